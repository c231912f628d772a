//! What JSON messages become, by hand-written examples.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};

use super::*;
use crate::table::Schema;

const SALE: &str = r#"{"sale_id":"0191D5B2-7c3e-7a91-8f4e-1d2c3b4a5f60","sold_at":"2026-03-14T10:15:30.123456Z","region":"Île-de-France","store_id":"S0042","product_id":"P00017","product_name":"Café moulu 250 g","category":"Épicerie","quantity":2,"unit_price":4.35,"amount":8.70,"currency":"EUR","customer_id":"C0012345","channel":"store"}"#;

fn sales() -> Json {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc");
    Json::new(&Schema::from_file(&path).unwrap().columns)
}

/// A decoder of the given Avro fields.
fn of(fields: &str) -> Json {
    let avsc = format!(r#"{{"type": "record", "name": "T", "fields": [{fields}]}}"#);
    Json::new(&Schema::from_avsc(&avsc).unwrap().columns)
}

/// A decoder of one field `c`.
fn of_type(avro: &str) -> Json {
    of(&format!(r#"{{"name": "c", "type": {avro}}}"#))
}

fn reject_of(decoder: &mut Json, doc: &[u8]) -> (RejectReason, Option<String>) {
    let before = decoder.rows();
    let reject = decoder.append(doc).expect_err("a reject");
    assert_eq!(decoder.rows(), before);
    assert!(!reject.detail.is_empty());
    (reject.reason, reject.field)
}

#[test]
fn a_sale_becomes_a_row() {
    // GIVEN a sale as producers write it, and the same with white space
    let mut decoder = sales();
    let spaced = SALE.replace("\":", "\" :\n ").replace(",\"", " ,\t\"");
    // WHEN both are decoded
    decoder.append(SALE.as_bytes()).unwrap();
    decoder.append(spaced.as_bytes()).unwrap();
    // THEN each value stands in its column
    assert_eq!(decoder.rows(), 2);
    let region = decoder.last(2);
    assert_eq!(region, Scalar::Text("Île-de-France".as_bytes()));
    assert_eq!(decoder.last(1), Scalar::Int(1_773_483_330_123_456));
    assert_eq!(
        decoder.last(9),
        Scalar::Null,
        "a decimal is none of the kinds"
    );
    let columns = decoder.finish();
    for row in 0..2 {
        let text = |i: usize| columns[i].as_string::<i32>().value(row);
        assert_eq!(text(0), "0191d5b2-7c3e-7a91-8f4e-1d2c3b4a5f60");
        let sold_at = columns[1].as_primitive::<TimestampMicrosecondType>();
        assert_eq!(sold_at.value(row), 1_773_483_330_123_456);
        assert_eq!(text(5), "Café moulu 250 g");
        assert_eq!(columns[7].as_primitive::<Int32Type>().value(row), 2);
        assert_eq!(columns[8].as_primitive::<Decimal128Type>().value(row), 435);
        assert_eq!(columns[9].as_primitive::<Decimal128Type>().value(row), 870);
        assert_eq!(text(11), "C0012345");
        assert_eq!(text(12), "store");
    }
    assert_eq!(decoder.rows(), 0);
    assert!(
        columns.iter().all(|c| c.nulls().is_none()),
        "no null was met, no bitmap made"
    );
}

#[test]
fn the_arrays_fit_the_table() {
    // GIVEN rows, one of them without the nullable field
    let mut decoder = sales();
    let without = SALE.replace(r#""customer_id":"C0012345","#, "");
    decoder.append(SALE.as_bytes()).unwrap();
    decoder.append(without.as_bytes()).unwrap();
    decoder
        .append(SALE.replace("\"C0012345\"", "null").as_bytes())
        .unwrap();
    // WHEN they are taken
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc");
    let schema = Schema::from_file(&path).unwrap();
    let fields: arrow_schema::SchemaRef = arrow_schema::Schema::new(
        schema
            .columns
            .iter()
            .map(crate::table::Column::field)
            .collect::<Vec<_>>(),
    )
    .into();
    // THEN they make a record batch of the table's own types
    let batch = RecordBatch::try_new(fields, decoder.finish()).unwrap();
    assert_eq!(batch.num_rows(), 3);
    assert_eq!(batch.column(11).null_count(), 2);
}

#[test]
fn a_rejected_row_leaves_no_trace() {
    // GIVEN a decoder of everything nested
    let fields = r#"
        {"name": "s", "type": ["null", "string"]},
        {"name": "r", "type": ["null", {"type": "record", "name": "R", "fields": [
            {"name": "a", "type": {"type": "array", "items": ["null", "string"]}},
            {"name": "b", "type": "boolean"}]}]},
        {"name": "m", "type": {"type": "map", "values": "long"}},
        {"name": "z", "type": "int"}"#;
    let good = [
        r#"{"s":"é","r":{"a":["x",null],"b":true},"m":{"k":1},"z":1}"#,
        r#"{"s":null,"r":null,"m":{},"z":2}"#,
        r#"{"r":{"a":[],"b":false},"m":{"k":1,"l":2},"z":3}"#,
    ];
    let bad = [
        r#"{"s":"é","r":{"a":["x",null],"b":true},"m":{"k":1},"z":"no"}"#,
        r#"{"s":"é","r":{"a":["x",7"#,
        r#"{"m":{"k":1,"k":1}}"#,
        r#"{"s":null,"r":null,"m":{"k":null},"z":1}"#,
        r#"{"z":1,"m":{"a":1},"r":{"b":true,"a":["xyz"],"b":true}}"#,
        r#"{"s":"abc"#,
    ];
    let mut plain = of(fields);
    let mut mixed = of(fields);
    // WHEN one reads good rows, the other bad ones between them
    for doc in good {
        plain.append(doc.as_bytes()).unwrap();
        for bad in bad {
            reject_of(&mut mixed, bad.as_bytes());
        }
        mixed.append(doc.as_bytes()).unwrap();
        reject_of(&mut mixed, bad[0].as_bytes());
    }
    // THEN both hold the same, in this batch and the next
    for _ in 0..2 {
        let (a, b) = (plain.finish(), mixed.finish());
        assert_eq!(a.len(), 4);
        for (a, b) in a.iter().zip(&b) {
            assert_eq!(a.to_data(), b.to_data());
        }
        plain.append(good[0].as_bytes()).unwrap();
        mixed.append(good[0].as_bytes()).unwrap();
    }
}

#[test]
fn rejects_say_why_and_where() {
    use RejectReason::*;
    let mut decoder = of(r#"{"name": "id", "type": "int"},
           {"name": "to", "type": {"type": "record", "name": "A", "fields": [
               {"name": "zip", "type": {"type": "array", "items": {"type": "record", "name": "B",
                   "fields": [{"name": "code", "type": "string"}]}}}]}}"#);
    let deep = format!("{{\"x\":{}", "[".repeat(127));
    for (doc, reason, field) in [
        ("", Truncated, None),
        ("{", Truncated, None),
        ("[]", WrongType, None),
        ("5", WrongType, None),
        ("nul", Truncated, None),
        ("{}", MissingField, Some("id")),
        (r#"{"id":1}"#, MissingField, Some("to")),
        (r#"{"id":null}"#, UnexpectedNull, Some("id")),
        (r#"{"id":1,"id":1}"#, DuplicateKey, Some("id")),
        (r#"{"id":1,"\u0069d":1}"#, DuplicateKey, Some("id")),
        (r#"{"id":2147483648}"#, OutOfRange, Some("id")),
        (r#"{"id":1.5}"#, OutOfRange, Some("id")),
        (r#"{"id":"1"}"#, WrongType, Some("id")),
        (r#"{"id":"1""#, Truncated, None),
        (r#"{"id":{"int":1}}"#, WrongType, Some("id")),
        (
            r#"{"id":1,"to":{"zip":[{"code":7}]}}"#,
            WrongType,
            Some("to.zip.item.code"),
        ),
        (
            r#"{"id":1,"to":{"zip":[{"code":"x"},{}]}}"#,
            MissingField,
            Some("to.zip.item.code"),
        ),
        (r#"{"id":1,"to":{"zip":[]}} {}"#, Malformed, None),
        (r#"{"id":01,"to":{"zip":[]}}"#, Malformed, None),
        (r#"{"id":1,"to":{"zip":[]},}"#, Malformed, None),
        (r#"{"id":1 "to":{"zip":[]}}"#, Malformed, None),
        (r#"{id:1}"#, Malformed, None),
        (r#"{"id":NaN}"#, Malformed, Some("id")),
        (&deep, TooDeep, None),
    ] {
        let (found, at) = reject_of(&mut decoder, doc.as_bytes());
        assert_eq!((found, at.as_deref()), (reason, field), "{doc}");
    }
    let (reason, field) = reject_of(
        &mut decoder,
        b"{\"id\":1,\"to\":{\"zip\":[{\"code\":\"\xff\"}]}}",
    );
    assert_eq!(
        (reason, field.as_deref()),
        (InvalidUtf8, Some("to.zip.item.code"))
    );
    let bom = decoder.append("\u{feff}{}".as_bytes()).unwrap_err();
    assert!(bom.to_string().contains("byte order mark"), "{bom}");
    let framed = decoder.append(b"\0\0\0\0\x07{}").unwrap_err();
    assert!(framed.to_string().contains("registry"), "{framed}");
}

#[test]
fn unknown_fields_are_checked_passed_over_and_counted() {
    let mut decoder = of_type("\"int\"");
    let doc = r#"{"x":{"c":[1,2,{"c":"\ud83d\ude00"}],"c":1e999},"c":1,"x":"é","":null,"y":true}"#;
    decoder.append(doc.as_bytes()).unwrap();
    assert_eq!(decoder.unknown_fields(), 4);
    let (reason, _) = reject_of(&mut decoder, br#"{"c":1,"x":"\ud83d"}"#);
    assert_eq!(reason, RejectReason::Malformed);
    assert_eq!(decoder.unknown_fields(), 4);
}

#[test]
fn defaults_stand_in_for_missing_fields() {
    let mut decoder = of(
        r#"{"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9,
               "scale": 2}, "default": "\u0001\u00b3"},
           {"name": "r", "type": {"type": "record", "name": "R", "fields": [
               {"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["é"]},
               {"name": "n", "type": ["null", "long"]}]}, "default": {"n": null}},
           {"name": "x", "type": ["long", "null"], "default": 7}"#,
    );
    decoder.append(b"{}").unwrap();
    decoder.append(br#"{"x":null,"r":{}}"#).unwrap();
    let columns = decoder.finish();
    assert_eq!(
        columns[0]
            .as_primitive::<Decimal128Type>()
            .values()
            .as_ref(),
        [435, 435]
    );
    let tags = columns[1]
        .as_struct()
        .column(0)
        .as_list::<i32>()
        .values()
        .clone();
    assert_eq!(
        tags.as_string::<i32>().iter().collect::<Vec<_>>(),
        [Some("é"), Some("é")]
    );
    let x = columns[2].as_primitive::<Int64Type>();
    assert_eq!(x.iter().collect::<Vec<_>>(), [Some(7), None]);
}

#[test]
fn a_small_message_cannot_unfold_into_a_huge_row() {
    // GIVEN an array whose items take much room even when null
    let mut decoder = of_type(
        r#"{"type": "array", "items": ["null", {"type": "fixed", "name": "F", "size": 65536}]}"#,
    );
    // WHEN a message of 20 kB asks for 320 MiB
    let doc = format!("{{\"c\":[{}null]}}", "null,".repeat(5000));
    // THEN it is refused
    let (reason, field) = reject_of(&mut decoder, doc.as_bytes());
    assert_eq!(
        (reason, field.as_deref()),
        (RejectReason::OutOfRange, Some("c"))
    );
}
