//! What a schema file can hold, and how the rest is refused.

use serde_json::json;

use super::*;

fn with_field(field: &str) -> Result<Schema, SchemaError> {
    Schema::from_avsc(&format!(
        r#"{{"type": "record", "name": "T", "fields": [{field}]}}"#
    ))
}

fn column_of(type_json: &str) -> Column {
    let field = format!(r#"{{"name": "c", "type": {type_json}}}"#);
    with_field(&field).unwrap().columns.remove(0)
}

fn refused(type_json: &str) -> String {
    let field = format!(r#"{{"name": "c", "type": {type_json}}}"#);
    let message = with_field(&field).unwrap_err().to_string();
    assert!(message.starts_with("field `c"), "names no field: {message}");
    assert!(message.contains("; "), "gives no remedy: {message}");
    message
}

#[test]
fn the_sale_is_read_whole() {
    // GIVEN the project's own definition of a sale
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc");
    // WHEN it is read
    let schema = Schema::from_file(&path).unwrap();
    // THEN every column has its type
    assert_eq!(schema.name, "lake.sales.Sale");
    let of = |name: &str| schema.columns.iter().find(|c| c.name == name).unwrap();
    assert_eq!(schema.columns.len(), 13);
    assert_eq!(of("sale_id").kind, Kind::Uuid { fixed: false });
    assert_eq!(of("sold_at").kind, Kind::TimestampMicros);
    assert_eq!(of("quantity").kind, Kind::Int);
    let cents = Kind::Decimal {
        precision: 18,
        scale: 2,
        fixed: None,
    };
    assert_eq!(of("amount").kind, cents);
    assert!(of("customer_id").nullable && of("customer_id").default == Some(Value::Null));
    assert!(!of("region").nullable);
}

#[test]
fn every_type_has_its_kind() {
    for (avro, kind) in [
        (r#""boolean""#, Kind::Boolean),
        (r#""int""#, Kind::Int),
        (r#""long""#, Kind::Long),
        (r#""float""#, Kind::Float),
        (r#""double""#, Kind::Double),
        (r#""bytes""#, Kind::Bytes),
        (r#""string""#, Kind::String),
        (r#"{"type": "string"}"#, Kind::String),
        (
            r#"{"type": {"type": "int", "logicalType": "date"}}"#,
            Kind::Date,
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 3}"#,
            Kind::Fixed(3),
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}"#,
            Kind::Uuid { fixed: true },
        ),
        (
            r#"{"type": "enum", "name": "E", "symbols": ["a", "B_1"]}"#,
            Kind::Enum(vec!["a".into(), "B_1".into()]),
        ),
        (
            r#"{"type": "int", "logicalType": "time-millis"}"#,
            Kind::TimeMillis,
        ),
        (
            r#"{"type": "long", "logicalType": "time-micros"}"#,
            Kind::TimeMicros,
        ),
        (
            r#"{"type": "long", "logicalType": "timestamp-millis"}"#,
            Kind::TimestampMillis,
        ),
        (
            r#"{"type": "long", "logicalType": "local-timestamp-micros"}"#,
            Kind::LocalTimestampMicros,
        ),
        (
            r#"{"type": "long", "logicalType": "local-timestamp-millis"}"#,
            Kind::LocalTimestampMillis,
        ),
        (
            r#"{"type": "string", "logicalType": "acme-sku"}"#,
            Kind::String,
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 9}"#,
            Kind::Decimal {
                precision: 9,
                scale: 0,
                fixed: Some(4),
            },
        ),
    ] {
        assert_eq!(column_of(avro).kind, kind, "{avro}");
    }
}

#[test]
fn null_may_stand_on_either_side() {
    let first = column_of(r#"["null", "long"]"#);
    assert!(first.nullable && first.null_branch == 0);
    let second = column_of(r#"["string", {"type": "null"}]"#);
    assert!(second.nullable && second.null_branch == 1 && second.kind == Kind::String);
}

#[test]
fn nested_types_and_names_are_resolved() {
    // GIVEN a namespace that is inherited, a name that is used again, and a logical type on a fixed
    let schema = Schema::from_avsc(
        r#"{"type": "record", "name": "a.b.Order", "fields": [
            {"name": "to", "type": {"type": "record", "name": "Place", "fields": [
                {"name": "ville", "type": "string"},
                {"name": "id", "type": {"type": "fixed", "name": "Id", "size": 16, "logicalType": "uuid"}}]}},
            {"name": "from", "type": ["null", "a.b.Place"]},
            {"name": "stops", "type": {"type": "array", "items": ["null", "Place"]}},
            {"name": "ids", "type": {"type": "map", "values": "Id"}}]}"#,
    )
    .unwrap();
    // THEN all references mean the same type
    let [to, from, stops, ids] = &schema.columns[..] else {
        panic!("four columns")
    };
    assert_eq!(schema.name, "a.b.Order");
    assert_eq!(to.kind, from.kind);
    let Kind::Array(item) = &stops.kind else {
        panic!("an array")
    };
    assert!(item.nullable && item.name == "item" && item.kind == to.kind);
    let Kind::Map(value) = &ids.kind else {
        panic!("a map")
    };
    assert!(value.name == "value" && value.kind == Kind::Uuid { fixed: true });
}

#[test]
fn what_a_table_cannot_hold_is_refused_by_field_and_with_a_remedy() {
    for (avro, word) in [
        (r#""null""#, "holds nothing"),
        (r#"["null"]"#, "union of one"),
        (r#"["null", "int", "string"]"#, "union of 3"),
        (r#"["int", "string"]"#, "union of 2"),
        (r#"["null", "null"]"#, "union of 2"),
        (r#""Sale2""#, "not defined"),
        (r#""T""#, "holds itself"),
        (
            r#"{"type": "array", "items": {"type": "map", "values": "T"}}"#,
            "holds itself",
        ),
        (r#"{"type": "array"}"#, "no `items`"),
        (
            r#"{"type": "record", "name": "R", "fields": []}"#,
            "without fields",
        ),
        (
            r#"{"type": "record", "name": "T", "fields": []}"#,
            "defined twice",
        ),
        (
            r#"{"type": "record", "name": "9", "fields": []}"#,
            "name that Avro allows",
        ),
        (r#"{"type": "enum", "name": "E", "symbols": []}"#, "symbols"),
        (
            r#"{"type": "enum", "name": "E", "symbols": ["é"]}"#,
            "symbols",
        ),
        (
            r#"{"type": "enum", "name": "E", "symbols": ["A", "A"]}"#,
            "twice",
        ),
        (r#"{"type": "fixed", "name": "F", "size": 0}"#, "size"),
        (
            r#"{"type": "bytes", "logicalType": "decimal"}"#,
            "precision",
        ),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 39}"#,
            "39 digits",
        ),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 5}"#,
            "scale",
        ),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": -1}"#,
            "scale",
        ),
        (
            r#"{"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 10}"#,
            "1 to 9",
        ),
        (
            r#"{"type": "string", "logicalType": "decimal", "precision": 4}"#,
            "bytes",
        ),
        (
            r#"{"type": "string", "logicalType": "timestamp-micros"}"#,
            "\"long\"",
        ),
        (r#"{"type": "long", "logicalType": "date"}"#, "\"int\""),
        (
            r#"{"type": "long", "logicalType": "timestamp-nanos"}"#,
            "timestamp-micros",
        ),
        (
            r#"{"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}"#,
            "duration",
        ),
        (r#"42"#, "neither"),
        (r#"{"types": "int"}"#, "without `type`"),
    ] {
        let message = refused(avro);
        assert!(message.contains(word), "{avro}: {message}");
    }
}

#[test]
fn fields_that_clash_are_refused() {
    for (fields, name) in [
        (
            r#"{"name": "a", "type": "int"}, {"name": "a", "type": "int"}"#,
            "`a`",
        ),
        (
            r#"{"name": "a", "type": "int"}, {"name": "A", "type": "int"}"#,
            "`A`",
        ),
        (
            r#"{"name": "kafka_offset", "type": "long"}"#,
            "`kafka_offset`",
        ),
        (
            r#"{"name": "Kafka_Partition", "type": "int"}"#,
            "`Kafka_Partition`",
        ),
        (
            r#"{"name": "prix unitaire", "type": "int"}"#,
            "`prix unitaire`",
        ),
        (
            r#"{"name": "ts", "type": "long", "logicalType": "timestamp-micros"}"#,
            "`ts`",
        ),
        (r#"{"name": "x"}"#, "`x`"),
    ] {
        let message = with_field(fields).unwrap_err().to_string();
        assert!(message.contains(name), "{fields}: {message}");
    }
}

#[test]
fn the_path_of_a_nested_field_is_dotted() {
    let message = refused(
        r#"{"type": "array", "items": {"type": "record", "name": "L", "fields": [
            {"name": "price", "type": ["int", "string"]}]}}"#,
    );
    assert!(message.starts_with("field `c.item.price`: "), "{message}");
}

#[test]
fn a_small_file_cannot_unfold_into_millions_of_columns() {
    // GIVEN twenty types, each with two fields of the one before
    let mut inner =
        r#"{"type": "record", "name": "R0", "fields": [{"name": "x", "type": "int"}]}"#.to_owned();
    for level in 1..20 {
        inner = format!(
            r#"{{"type": "record", "name": "R{level}", "fields": [
                {{"name": "a", "type": {inner}}}, {{"name": "b", "type": "R{}"}}]}}"#,
            level - 1
        );
    }
    // WHEN it is read THEN it is refused, and at once
    let message = Schema::from_avsc(&inner).unwrap_err().to_string();
    assert!(message.contains("more than 16384 fields"), "{message}");
}

#[test]
fn defaults_take_the_form_of_messages() {
    for (avro, given, normal) in [
        (r#"["null", "int"]"#, json!(null), json!(null)),
        (r#"["int", "null"]"#, json!(7), json!(7)),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#,
            json!("\u{1}\u{b3}"),
            json!("4.35"),
        ),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#,
            json!("\u{ff}"),
            json!("-0.01"),
        ),
        (
            r#"{"type": "string", "logicalType": "uuid"}"#,
            json!("0191D5B2-7C3E-7A91-8F4E-1D2C3B4A5F60"),
            json!("0191d5b2-7c3e-7a91-8f4e-1d2c3b4a5f60"),
        ),
        (
            r#"{"type": "array", "items": "string"}"#,
            json!(["Épicerie"]),
            json!(["Épicerie"]),
        ),
        (
            r#"{"type": "record", "name": "R", "fields": [{"name": "x", "type": "int", "default": 3}]}"#,
            json!({}),
            json!({"x": 3}),
        ),
    ] {
        let field = format!(r#"{{"name": "c", "type": {avro}, "default": {given}}}"#);
        let column = with_field(&field).unwrap().columns.remove(0);
        assert_eq!(column.default, Some(normal), "{avro}");
    }
}

#[test]
fn defaults_that_do_not_fit_are_refused() {
    for (avro, given) in [
        (r#""int""#, "null"),
        (r#""int""#, "2147483648"),
        (r#""int""#, "1.5"),
        (r#""string""#, "1"),
        (r#""bytes""#, "\"\u{20ac}\""),
        (r#"{"type": "fixed", "name": "F", "size": 2}"#, r#""abc""#),
        (
            r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#,
            r#""B""#,
        ),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 2}"#,
            r#""\u0064""#,
        ),
        (
            r#"{"type": "bytes", "logicalType": "decimal", "precision": 2}"#,
            "0",
        ),
        (r#"{"type": "map", "values": "int"}"#, r#"{"a": "b"}"#),
    ] {
        let field = format!(r#"{{"name": "c", "type": {avro}, "default": {given}}}"#);
        let message = with_field(&field).unwrap_err().to_string();
        assert!(
            message.starts_with("field `c`: its default"),
            "{avro}: {message}"
        );
    }
}

#[test]
fn errors_about_a_file_name_it() {
    let missing = Schema::from_file(Path::new("/nowhere/vente.avsc")).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/vente.avsc"));
    assert!(matches!(missing.source, SchemaError::Read(_)));
    assert!(matches!(
        Schema::from_avsc("{"),
        Err(SchemaError::NotJson(_))
    ));
    assert!(
        Schema::from_avsc(r#""string""#)
            .unwrap_err()
            .to_string()
            .contains("record")
    );
}
