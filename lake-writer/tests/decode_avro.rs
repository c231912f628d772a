//! The Avro decoder against apache-avro, and against damaged data.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod reference;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use apache_avro::types::Value;
use lake_writer::decode::{Decoder, RejectReason, decoder};
use lake_writer::settings::Format;
use lake_writer::table::{Column, Kind, Schema};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use reference::{Val, mutate, rounds, rows, schemas, seed};

/// The schema for apache-avro, without logical types: it is to judge the binary form alone.
fn plain_avro(avsc: &str) -> apache_avro::Schema {
    fn strip(json: &mut serde_json::Value) {
        match json {
            serde_json::Value::Object(object) => {
                object.remove("logicalType");
                object.values_mut().for_each(strip);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut json = serde_json::from_str(avsc).unwrap();
    strip(&mut json);
    apache_avro::Schema::parse(&json).unwrap()
}

/// A row as apache-avro has it.
fn row_to_avro(schema: &Schema, row: &Val) -> Value {
    kind_to_avro(&Kind::Record(schema.columns.clone()), row)
}

fn to_avro(column: &Column, value: &Val) -> Value {
    let null = u32::from(column.null_branch);
    match (column.nullable, value) {
        (true, Val::Null) => Value::Union(null, Box::new(Value::Null)),
        (true, value) => Value::Union(1 - null, Box::new(kind_to_avro(&column.kind, value))),
        (false, value) => kind_to_avro(&column.kind, value),
    }
}

fn kind_to_avro(kind: &Kind, value: &Val) -> Value {
    match (kind, value) {
        (Kind::Boolean, Val::Bool(b)) => Value::Boolean(*b),
        (Kind::Int | Kind::Date | Kind::TimeMillis, Val::Int(n)) => Value::Int(*n as i32),
        (Kind::Decimal { fixed, .. }, Val::Int(n)) => decimal_to_avro(*n, *fixed),
        (_, Val::Int(n)) => Value::Long(*n as i64),
        (Kind::Float, Val::Float(x)) => Value::Float(*x as f32),
        (_, Val::Float(x)) => Value::Double(*x),
        (Kind::Uuid { fixed: true }, Val::Text(text)) => {
            Value::Fixed(16, uuid::Uuid::try_parse(text).unwrap().as_bytes().to_vec())
        }
        (Kind::Enum(symbols), Val::Text(text)) => {
            let place = symbols.iter().position(|symbol| symbol == text).unwrap();
            Value::Enum(place as u32, text.clone())
        }
        (_, Val::Text(text)) => Value::String(text.clone()),
        (Kind::Fixed(size), Val::Bytes(bytes)) => Value::Fixed(*size, bytes.clone()),
        (_, Val::Bytes(bytes)) => Value::Bytes(bytes.clone()),
        (Kind::Record(columns), Val::Record(values)) => Value::Record(
            columns
                .iter()
                .zip(values)
                .map(|(c, v)| (c.name.clone(), to_avro(c, v)))
                .collect(),
        ),
        (Kind::Array(item), Val::List(items)) => {
            Value::Array(items.iter().map(|v| to_avro(item, v)).collect())
        }
        (Kind::Map(of), Val::Map(entries)) => Value::Map(
            entries
                .iter()
                .map(|(key, v)| (key.clone(), to_avro(of, v)))
                .collect::<HashMap<_, _>>(),
        ),
        (kind, value) => panic!("{value:?} is no {kind:?}"),
    }
}

/// Two's complement, as short as it can be on bytes, filled up on a fixed.
fn decimal_to_avro(n: i128, fixed: Option<usize>) -> Value {
    let bytes = n.to_be_bytes();
    let sign = if n < 0 { 0xff } else { 0 };
    match fixed {
        Some(size) => {
            let mut filled = vec![sign; size.saturating_sub(16)];
            filled.extend(&bytes[16_usize.saturating_sub(size)..]);
            Value::Fixed(size, filled)
        }
        None => {
            let spare = (0..15)
                .take_while(|i| bytes[*i] == sign && (bytes[i + 1] ^ sign) < 0x80)
                .count();
            Value::Bytes(bytes[spare..].to_vec())
        }
    }
}

#[test]
fn values_come_back_from_what_apache_avro_writes() {
    // GIVEN random schemas and rows
    let mut rng = SmallRng::seed_from_u64(seed());
    for _ in 0..rounds(150) {
        let avsc = schemas::random_avsc(&mut rng);
        let schema = Schema::from_avsc(&avsc).unwrap();
        let avro = plain_avro(&avsc);
        let mut decoder = decoder(Format::Avro, &schema);
        let mut wanted = Vec::new();
        for _ in 0..20 {
            let row = schemas::random_row(&mut rng, &schema);
            // WHEN apache-avro writes them and they are decoded
            let datum = apache_avro::to_avro_datum(&avro, row_to_avro(&schema, &row)).unwrap();
            if let Err(reject) = decoder.append(&datum) {
                panic!("{reject}: {row:?}\n{avsc}");
            }
            wanted.push(row);
        }
        // THEN they are what they were
        assert_eq!(rows(&schema, &decoder.finish()), wanted, "{avsc}");
    }
}

#[test]
fn every_cut_is_noticed_and_so_is_every_byte_more() {
    // GIVEN a datum with every kind
    let mut rng = SmallRng::seed_from_u64(seed());
    let schema = schemas::everything();
    let avro = plain_avro(schemas::EVERYTHING);
    let mut decoder = decoder(Format::Avro, &schema);
    for _ in 0..20 {
        let row = schemas::random_row(&mut rng, &schema);
        let mut datum = apache_avro::to_avro_datum(&avro, row_to_avro(&schema, &row)).unwrap();
        // WHEN it is cut at any place THEN the reject says so
        for end in 0..datum.len() {
            let reject = decoder.append(&datum[..end]).unwrap_err();
            assert_eq!(
                reject.reason,
                RejectReason::Truncated,
                "cut at {end}: {reject}"
            );
            assert_eq!(decoder.rows(), 0);
        }
        // WHEN a byte follows THEN too
        datum.push(0);
        assert_eq!(
            decoder.append(&datum).unwrap_err().reason,
            RejectReason::Malformed
        );
    }
}

#[test]
fn damaged_data_are_rows_only_where_apache_avro_reads_the_same() {
    let mut rng = SmallRng::seed_from_u64(seed());
    let schema = schemas::everything();
    let avro = plain_avro(schemas::EVERYTHING);
    let mut decoder = decoder(Format::Avro, &schema);
    let (mut accepted, mut rejected) = (0, 0);
    for _ in 0..rounds(20_000) {
        // GIVEN a damaged datum
        let row = schemas::random_row(&mut rng, &schema);
        let mut datum = apache_avro::to_avro_datum(&avro, row_to_avro(&schema, &row)).unwrap();
        mutate::damage(&mut rng, &mut datum);
        // WHEN it is decoded
        let done = catch_unwind(AssertUnwindSafe(|| decoder.append(&datum)));
        let done = done.unwrap_or_else(|_| panic!("panic at {}", datum.escape_ascii()));
        if done.is_err() {
            rejected += 1;
            continue;
        }
        accepted += 1;
        // THEN a row is what apache-avro reads too, to the last byte
        let got = rows(&schema, &decoder.finish()).remove(0);
        let mut rest = &datum[..];
        let theirs = apache_avro::from_avro_datum(&avro, &mut rest, None)
            .unwrap_or_else(|e| panic!("{e}: {}", datum.escape_ascii()));
        assert!(rest.is_empty());
        let same = same_datum(&theirs, &row_to_avro(&schema, &got));
        assert!(same, "{theirs:?}\n{got:?}");
    }
    println!("{accepted} rows, {rejected} rejects");
    assert!(
        accepted > 500 && rejected > 500,
        "{accepted} rows, {rejected} rejects"
    );
}

/// Whether two values mean the same: decimals may have sign bytes in front, UUIDs capitals, floats
/// may be NaN.
fn same_datum(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Record(a), Value::Record(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((n, a), (m, b))| n == m && same_datum(a, b))
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_datum(a, b))
        }
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same_datum(a, b)))
        }
        (Value::Union(i, a), Value::Union(j, b)) => i == j && same_datum(a, b),
        (Value::Bytes(a), Value::Bytes(b)) => a == b || (a.len() > b.len() && a.ends_with(b)),
        (Value::String(a), Value::String(b)) => a == b || a.eq_ignore_ascii_case(b),
        (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::Double(a), Value::Double(b)) => a == b || (a.is_nan() && b.is_nan()),
        (a, b) => a == b,
    }
}

/// A decoder of one field `c`.
fn of_type(avro: &str) -> Box<dyn Decoder> {
    let avsc = format!(
        r#"{{"type": "record", "name": "T", "fields": [{{"name": "c", "type": {avro}}}]}}"#
    );
    decoder(Format::Avro, &Schema::from_avsc(&avsc).unwrap())
}

#[test]
fn what_the_binary_form_does_not_allow_is_refused() {
    use RejectReason::*;
    let array = r#"{"type": "array", "items": "int"}"#;
    let decimal = r#"{"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}"#;
    for (avro, datum, reason) in [
        // A varint of more than 64 bits, and one that does not end.
        (
            "\"long\"",
            &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"[..],
            Malformed,
        ),
        (
            "\"long\"",
            b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
            Malformed,
        ),
        ("\"long\"", b"\x80", Truncated),
        ("\"int\"", b"\x80\x80\x80\x80\x10", OutOfRange),
        ("\"boolean\"", b"\x02", Malformed),
        // Lengths: negative, and of more bytes than there are.
        ("\"string\"", b"\x01", Malformed),
        (
            "\"string\"",
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01ab",
            Truncated,
        ),
        ("\"bytes\"", b"\x06ab", Truncated),
        ("\"string\"", b"\x04\xc3\x28", InvalidUtf8),
        (r#"["null", "int"]"#, b"\x04", Malformed),
        (r#"["null", "int"]"#, b"\x01", Malformed),
        (
            r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#,
            b"\x02",
            OutOfRange,
        ),
        (
            r#"{"type": "enum", "name": "E", "symbols": ["A"]}"#,
            b"\x01",
            OutOfRange,
        ),
        // Blocks: more items than bytes, the least count there is, a wrong size.
        (array, b"\xfe\xff\xff\xff\x0f\x02", Truncated),
        (
            array,
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x02\x00",
            Truncated,
        ),
        (array, b"\x01\x04\x02\x00", Malformed),
        (array, b"\x01\x01\x02\x00", Malformed),
        (
            r#"{"type": "map", "values": "int"}"#,
            b"\x04\x02a\x02\x02a\x02\x00",
            DuplicateKey,
        ),
        (decimal, b"\x00", Malformed),
        (decimal, b"\x04\x27\x10", OutOfRange),
        (
            decimal,
            b"\x22\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
            OutOfRange,
        ),
        (
            r#"{"type": "int", "logicalType": "time-millis"}"#,
            b"\x01",
            OutOfRange,
        ),
        (
            r#"{"type": "string", "logicalType": "uuid"}"#,
            b"\x02a",
            InvalidText,
        ),
    ] {
        let mut decoder = of_type(avro);
        let reject = decoder.append(datum).unwrap_err();
        assert_eq!(
            reject.reason,
            reason,
            "{avro}: {} gave {reject}",
            datum.escape_ascii()
        );
        assert_eq!(
            reject.field.as_deref().and_then(|f| f.split('.').next()),
            Some("c")
        );
        assert_eq!(decoder.rows(), 0);
    }
}

#[test]
fn blocks_may_say_their_size() {
    // GIVEN an array in two blocks, one of which says its bytes
    let mut decoder = of_type(r#"{"type": "array", "items": "int"}"#);
    decoder.append(b"\x03\x04\x02\x04\x02\x06\x00").unwrap();
    let schema = Schema::from_avsc(
        r#"{"type": "record", "name": "T", "fields": [
            {"name": "c", "type": {"type": "array", "items": "int"}}]}"#,
    );
    // THEN all items are there
    let got = rows(&schema.unwrap(), &decoder.finish()).remove(0);
    let items = [1, 2, 3].map(Val::Int).to_vec();
    assert_eq!(got, Val::Record(vec![Val::List(items)]));
}

#[test]
fn a_small_datum_cannot_unfold_into_a_huge_row() {
    // GIVEN an array of 60,000 nulls, each of which takes 64 KiB in its column
    let mut decoder = of_type(
        r#"{"type": "array", "items": ["null", {"type": "fixed", "name": "F", "size": 65536}]}"#,
    );
    let mut datum = b"\xc0\xa9\x07".to_vec();
    datum.extend(vec![0; 60_001]);
    // WHEN it is decoded THEN it is refused
    assert_eq!(
        decoder.append(&datum).unwrap_err().reason,
        RejectReason::OutOfRange
    );
}

#[test]
fn random_bytes_never_break_a_decoder_of_random_schema() {
    let mut rng = SmallRng::seed_from_u64(seed());
    for _ in 0..rounds(1_000) {
        let schema = Schema::from_avsc(&schemas::random_avsc(&mut rng)).unwrap();
        let mut decoder = decoder(Format::Avro, &schema);
        for _ in 0..20 {
            let len = rng.random_range(0..40);
            let small = rng.random();
            let datum: Vec<u8> = (0..len)
                .map(|_| rng.random::<u8>() >> if small { 5 } else { 0 })
                .collect();
            let before = decoder.rows();
            let done = catch_unwind(AssertUnwindSafe(|| decoder.append(&datum)))
                .unwrap_or_else(|_| panic!("panic at {}", datum.escape_ascii()));
            assert_eq!(decoder.rows(), before + usize::from(done.is_ok()));
        }
        rows(&schema, &decoder.finish());
    }
}
