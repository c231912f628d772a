//! Columns of the mirror's collections, and where they lie in documents.
//!
//! Owns: from the table's schema and the mirror's settings to columns and paths.
//! Does not own: how documents are written (`lake_writer::mirror`, docs/mirror.md).

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use lake_writer::settings::MongoDb;
use lake_writer::table::{KAFKA_OFFSET, KAFKA_PARTITION, Kind, Schema};

use super::decode::is_flat;

/// Digits of a sum: as many as a Decimal128 of BSON holds.
const SUM_DIGITS: u8 = 34;

/// Columns of a collection.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    /// Columns in the order of the table.
    pub(crate) schema: SchemaRef,
    /// Where the value of each lies in a document, such as `region` or `_id.offset`.
    paths: Vec<String>,
}

impl Shape {
    /// Documents of the mirror: the columns of the table, without those that hold others.
    pub(crate) fn of_documents(schema: &Schema, settings: &MongoDb) -> Self {
        let by_offset = settings.id == "offset";
        let schema = schema.arrow();
        let flat = schema
            .fields()
            .iter()
            .filter(|field| is_flat(field.data_type()));
        let path = |field: &Arc<Field>| match field.name().as_str() {
            KAFKA_PARTITION if by_offset => "_id.partition".to_owned(),
            KAFKA_OFFSET if by_offset => "_id.offset".to_owned(),
            name => name.to_owned(),
        };
        let (fields, paths): (Vec<_>, Vec<_>) =
            flat.map(|field| (field.clone(), path(field))).unzip();
        Self {
            schema: Arc::new(ArrowSchema::new(fields)),
            paths,
        }
    }

    /// Rollups: `bucket`, the `by` fields, `count`, the sums. `None` where none are kept.
    pub(crate) fn of_rollups(schema: &Schema, settings: &MongoDb) -> Option<Self> {
        settings.rollup.time.as_ref()?;
        let column = |name: &String| schema.columns.iter().find(|column| column.name == *name);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let mut fields = vec![Field::new("bucket", time, false)];
        for by in &settings.rollup.by {
            fields.push(column(by)?.field());
        }
        fields.push(Field::new("count", DataType::Int64, false));
        for sum in &settings.rollup.sum {
            let kind = match column(sum)?.kind {
                Kind::Int => DataType::Int64,
                Kind::Decimal { scale, .. } => DataType::Decimal128(SUM_DIGITS, scale),
                _ => DataType::Decimal128(SUM_DIGITS, 0),
            };
            fields.push(Field::new(sum, kind, false));
        }
        Some(Self {
            paths: fields.iter().map(|field| field.name().clone()).collect(),
            schema: Arc::new(ArrowSchema::new(fields)),
        })
    }

    /// Names of the table's columns that documents hold and this table does not.
    pub(crate) fn left_out(schema: &Schema) -> Vec<String> {
        let columns = schema.columns.iter();
        columns
            .filter(|column| !is_flat(&column.kind.data_type()))
            .map(|column| column.name.clone())
            .collect()
    }

    /// Field and path of a column.
    pub(super) fn column(&self, name: &str) -> Option<(&Field, &str)> {
        let at = self.schema.index_of(name).ok()?;
        Some((self.schema.field(at), &self.paths[at]))
    }

    /// Path of the column at this index.
    pub(super) fn path(&self, at: usize) -> &str {
        &self.paths[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale() -> Schema {
        Schema::from_avsc(include_str!("../../../schemas/sale.avsc")).expect("a schema")
    }

    #[test]
    fn offsets_lie_where_the_mirror_puts_them() {
        let mut settings = MongoDb::default();
        let path = |settings: &MongoDb| {
            let shape = Shape::of_documents(&sale(), settings);
            shape.column(KAFKA_OFFSET).expect("a column").1.to_owned()
        };
        assert_eq!(path(&settings), "_id.offset");
        settings.id = "field:sale_id".into();
        assert_eq!(path(&settings), KAFKA_OFFSET);
    }

    #[test]
    fn sums_have_room_for_all_that_they_may_hold() {
        let mut settings = MongoDb::default();
        assert!(Shape::of_rollups(&sale(), &settings).is_none());
        settings.rollup.time = Some("sold_at".into());
        settings.rollup.by = vec!["region".into()];
        settings.rollup.sum = vec!["amount".into(), "quantity".into()];
        let shape = Shape::of_rollups(&sale(), &settings).expect("rollups");
        let fields = shape.schema.fields().iter();
        let found: Vec<String> = fields
            .map(|field| format!("{} {}", field.name(), field.data_type()))
            .collect();
        let expected = [
            "bucket Timestamp(µs, \"UTC\")",
            "region Utf8",
            "count Int64",
            "amount Decimal128(34, 2)",
            "quantity Int64",
        ];
        assert_eq!(found, expected);
    }
}
