//! `$jsonSchema` from the Avro schema: what the server lets into the collection.

use mongodb::bson::{Bson, Document, doc};

use crate::table::{Column, KAFKA_OFFSET, KAFKA_PARTITION, Kind};

use super::plan::{Id, Plan};

/// The validator of the collection of documents.
pub(super) fn validator(plan: &Plan) -> Document {
    let mut schema = object(&plan.schema.columns);
    if let (Ok(properties), Id::Field(_)) = (schema.get_document_mut("properties"), plan.id) {
        properties.insert(KAFKA_PARTITION, doc! {"bsonType": "int"});
        properties.insert(KAFKA_OFFSET, doc! {"bsonType": "long"});
    }
    schema.insert("title", plan.schema.name.clone());
    doc! {"$jsonSchema": schema}
}

fn object(columns: &[Column]) -> Document {
    let properties: Document = columns
        .iter()
        .map(|column| (column.name.clone(), Bson::Document(value(column))))
        .collect();
    let required: Vec<Bson> = columns.iter().map(|c| c.name.as_str().into()).collect();
    let mut schema = doc! {"bsonType": "object", "properties": properties};
    // The server refuses an empty list.
    if !required.is_empty() {
        schema.insert("required", required);
    }
    schema
}

fn value(column: &Column) -> Document {
    let mut schema = match &column.kind {
        Kind::Record(columns) => object(columns),
        Kind::Array(item) => doc! {"bsonType": "array", "items": value(item)},
        Kind::Map(inner) => doc! {"bsonType": "object", "additionalProperties": value(inner)},
        Kind::Enum(symbols) => {
            let mut symbols: Vec<Bson> = symbols.iter().map(|s| s.as_str().into()).collect();
            if column.nullable {
                symbols.push(Bson::Null);
            }
            doc! {"bsonType": "string", "enum": symbols}
        }
        kind => doc! {"bsonType": name(kind)},
    };
    if column.nullable {
        let kind = schema.get_str("bsonType").unwrap_or_default().to_owned();
        schema.insert("bsonType", vec![kind, "null".into()]);
    }
    schema
}

/// What the server calls the type of a kind that holds no others.
fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "bool",
        Kind::Int | Kind::TimeMillis => "int",
        Kind::Long | Kind::TimeMicros => "long",
        Kind::Float | Kind::Double => "double",
        Kind::Bytes | Kind::Fixed(_) => "binData",
        Kind::Decimal { .. } => "decimal",
        Kind::Date
        | Kind::TimestampMillis
        | Kind::TimestampMicros
        | Kind::LocalTimestampMillis
        | Kind::LocalTimestampMicros => "date",
        Kind::String | Kind::Enum(_) | Kind::Uuid { .. } => "string",
        Kind::Record(_) | Kind::Map(_) => "object",
        Kind::Array(_) => "array",
    }
}
