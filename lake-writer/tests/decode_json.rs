//! The JSON decoder against serde_json: what is JSON, what is a row, and with which values.

#![allow(clippy::unwrap_used, reason = "a test ends where it fails")]

mod reference;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, TimeUnit};
use lake_writer::decode::{Decoder, RejectReason, decoder};
use lake_writer::settings::Format;
use lake_writer::table::Schema;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use reference::from_json::{Verdict, judge};
use reference::{Val, mutate, rounds, rows, schemas, seed, spell};

fn sale_schema() -> Schema {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc");
    Schema::from_file(&path).unwrap()
}

fn sale(i: u32) -> Vec<u8> {
    let region = ["Île-de-France", "Provence-Alpes-Côte d'Azur", "Bretagne"][i as usize % 3];
    format!(
        r#"{{"sale_id":"0191d5b2-7c3e-7a91-8f4e-1d2c3b4a{i:04x}","sold_at":"2026-03-14T10:15:30.{:06}Z","region":"{region}","store_id":"S0042","product_id":"P00017","product_name":"Café moulu 250 g","category":"Épicerie","quantity":{},"unit_price":4.35,"amount":8.70,"currency":"EUR","customer_id":{},"channel":"store"}}"#,
        i % 1_000_000,
        1 + i % 9,
        if i.is_multiple_of(4) { "null" } else { "\"C0012345\"" },
    )
    .into_bytes()
}

#[test]
fn values_come_back_from_every_spelling() {
    // GIVEN random schemas and rows, spelled at random
    let mut rng = SmallRng::seed_from_u64(seed());
    for _ in 0..rounds(150) {
        let avsc = schemas::random_avsc(&mut rng);
        let schema = Schema::from_avsc(&avsc).unwrap_or_else(|e| panic!("{e}: {avsc}"));
        let mut decoder = decoder(Format::Json, &schema);
        let mut wanted = Vec::new();
        for _ in 0..20 {
            let row = schemas::random_row(&mut rng, &schema);
            let doc = spell::document(&mut rng, &schema, &row);
            // WHEN they are decoded
            if let Err(reject) = decoder.append(&doc) {
                panic!("{reject}: {}\n{avsc}", String::from_utf8_lossy(&doc));
            }
            wanted.push((row, doc));
        }
        // THEN they are what they were
        assert_eq!(decoder.rows(), wanted.len());
        for (got, (row, doc)) in rows(&schema, &decoder.finish()).iter().zip(&wanted) {
            assert_eq!(got, row, "{}\n{avsc}", String::from_utf8_lossy(doc));
        }
    }
}

#[test]
fn damaged_sales_are_judged_as_serde_json_does() {
    let mut rng = SmallRng::seed_from_u64(seed());
    let tally = damage_and_judge(&mut rng, &sale_schema(), rounds(60_000), |_, i| sale(i));
    tally.assert_covers_all();
}

#[test]
fn damaged_documents_of_every_kind_are_judged_as_serde_json_does() {
    let mut rng = SmallRng::seed_from_u64(seed());
    let schema = schemas::everything();
    let tally = damage_and_judge(&mut rng, &schema, rounds(30_000), |rng, _| {
        let row = schemas::random_row(rng, &schema);
        spell::document(rng, &schema, &row)
    });
    tally.assert_covers_all();
}

/// What became of damaged documents.
#[derive(Debug, Default)]
struct Tally {
    not_json: u32,
    no_row: u32,
    rows: u32,
}

impl Tally {
    /// A test in which one of these never happens tests nothing of it.
    fn assert_covers_all(&self) {
        println!("{self:?}");
        let all = self.not_json + self.no_row + self.rows;
        for part in [self.not_json, self.no_row, self.rows] {
            assert!(part > all / 50, "{self:?}");
        }
    }
}

fn damage_and_judge(
    rng: &mut SmallRng,
    schema: &Schema,
    rounds: usize,
    make: impl Fn(&mut SmallRng, u32) -> Vec<u8>,
) -> Tally {
    let mut tally = Tally::default();
    let mut decoder = decoder(Format::Json, schema);
    let mut wanted = Vec::new();
    for i in 0..rounds {
        // GIVEN a damaged document
        let mut doc = make(rng, i as u32);
        mutate::damage(rng, &mut doc);
        // WHEN both decoders look at it
        let done = catch_unwind(AssertUnwindSafe(|| decoder.append(&doc)));
        let done = done.unwrap_or_else(|_| panic!("panic at {}", shown(&doc)));
        // THEN they agree on whether it is JSON, whether it is a row, and on its values
        match (judge(schema, &doc), done) {
            (Verdict::NotJson, Err(reject)) if is_about_form(reject.reason) => tally.not_json += 1,
            (Verdict::NoRow(_), Err(reject)) if !is_about_form(reject.reason) => tally.no_row += 1,
            (Verdict::Row(row), Ok(())) => {
                wanted.push((Some(row), doc));
                tally.rows += 1;
            }
            (Verdict::Unknown, Err(_)) => {}
            (Verdict::Unknown, Ok(())) => wanted.push((None, doc)),
            (Verdict::NoRow(_), Ok(())) if is_beyond_doubles(&doc) => wanted.push((None, doc)),
            (Verdict::Row(_), Err(reject))
                if is_beyond_doubles(&doc) && !is_about_form(reject.reason) => {}
            (verdict, done) => panic!("{verdict:?} against {done:?}: {}", shown(&doc)),
        }
        if decoder.rows() == 1_000 {
            compare(schema, decoder.as_mut(), &mut wanted);
        }
    }
    compare(schema, decoder.as_mut(), &mut wanted);
    tally
}

fn compare(schema: &Schema, decoder: &mut dyn Decoder, wanted: &mut Vec<(Option<Val>, Vec<u8>)>) {
    let got = rows(schema, &decoder.finish());
    assert_eq!(got.len(), wanted.len());
    for (got, (row, doc)) in got.iter().zip(wanted.drain(..)) {
        let same = row.as_ref().is_none_or(|row| got.nearly(row)) || is_beyond_doubles(&doc);
        assert!(same, "{got:?}\n{row:?}\n{}", shown(&doc));
    }
}

fn is_about_form(reason: RejectReason) -> bool {
    use RejectReason::{InvalidUtf8, Malformed, TooDeep, Truncated};
    matches!(reason, Malformed | Truncated | InvalidUtf8 | TooDeep)
}

/// Whether more digits stand together than a double keeps, or a power of ten that is no double: there
/// the reference, which keeps numbers as doubles, cannot judge values.
fn is_beyond_doubles(doc: &[u8]) -> bool {
    let long = doc
        .split(|b| !matches!(b, b'0'..=b'9' | b'.'))
        .any(|digits| digits.len() > 16);
    let far = doc.split(|b| matches!(b, b'e' | b'E')).skip(1).any(|rest| {
        let rest = rest
            .strip_prefix(b"-")
            .or(rest.strip_prefix(b"+"))
            .unwrap_or(rest);
        let digits = rest.iter().take_while(|b| b.is_ascii_digit());
        // The largest power of ten that a double holds exactly is the 22nd.
        let exponent = digits.fold(0_u32, |exponent, digit| {
            let digit = u32::from(digit - b'0');
            exponent.saturating_mul(10).saturating_add(digit)
        });
        exponent > 22
    });
    long || far
}

fn shown(doc: &[u8]) -> String {
    format!("{:?}\n{}", String::from_utf8_lossy(doc), doc.escape_ascii())
}

#[test]
fn random_bytes_are_rejected_and_nothing_breaks() {
    // GIVEN bytes without sense, some of them after a sensible beginning
    let mut rng = SmallRng::seed_from_u64(seed());
    let schema = schemas::everything();
    let mut json = decoder(Format::Json, &schema);
    let mut avro = decoder(Format::Avro, &schema);
    for _ in 0..rounds(20_000) {
        let len = rng.random_range(0..64);
        let mut doc: Vec<u8> = (0..len).map(|_| rng.random()).collect();
        if rng.random() {
            doc.splice(0..0, *b"{\"b\":");
        }
        // WHEN they are decoded THEN they are refused, or at least no row is half there
        for decoder in [&mut json, &mut avro] {
            let before = decoder.rows();
            let done = catch_unwind(AssertUnwindSafe(|| decoder.append(&doc)))
                .unwrap_or_else(|_| panic!("panic at {}", shown(&doc)));
            assert_eq!(decoder.rows(), before + usize::from(done.is_ok()));
        }
    }
    rows(&schema, &json.finish());
    rows(&schema, &avro.finish());
}

#[test]
fn nesting_is_followed_as_deep_as_serde_json_does() {
    // GIVEN documents nested about as deep as the limit, in a field that the schema lacks
    let schema = Schema::from_avsc(
        r#"{"type": "record", "name": "T", "fields": [{"name": "a", "type": ["null", "int"]}]}"#,
    )
    .unwrap();
    let mut decoder = decoder(Format::Json, &schema);
    for depth in [1, 60, 125, 126, 127, 128, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let inner = if open == "[" { "" } else { "1" };
            let doc = format!(
                "{{\"x\":{}{inner}{}}}",
                open.repeat(depth),
                close.repeat(depth)
            );
            // WHEN both look at it THEN they agree, and no stack overflows
            let truth = serde_json::from_str::<serde_json::Value>(&doc).is_ok();
            let done = decoder.append(doc.as_bytes());
            assert_eq!(done.is_ok(), truth, "{depth}: {done:?}");
            if let Err(reject) = done {
                assert_eq!(reject.reason, RejectReason::TooDeep);
            }
        }
    }
}

#[test]
fn arrow_json_makes_the_same_columns_of_sales() {
    // GIVEN sales, and arrow-json with the same columns
    let schema = sale_schema();
    let fields: Vec<Field> = schema
        .columns
        .iter()
        .map(|column| match column.field() {
            // The name "UTC" would need a data base of time zones.
            field if matches!(field.data_type(), DataType::Timestamp(..)) => field.with_data_type(
                DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            ),
            field => field,
        })
        .collect();
    let fields: arrow_schema::SchemaRef = arrow_schema::Schema::new(fields).into();
    let mut theirs = arrow_json::ReaderBuilder::new(fields)
        .build_decoder()
        .unwrap();
    let mut ours = decoder(Format::Json, &schema);
    // WHEN both decode them
    for i in 0..500 {
        let doc = sale(i);
        ours.append(&doc).unwrap();
        assert_eq!(theirs.decode(&doc).unwrap(), doc.len());
    }
    let theirs: RecordBatch = theirs.flush().unwrap().unwrap();
    // THEN the values are the same
    for ((column, ours), theirs) in schema
        .columns
        .iter()
        .zip(ours.finish())
        .zip(theirs.columns())
    {
        let (ours, theirs) = (ours.to_data(), theirs.to_data());
        let same = match column.field().data_type() {
            DataType::Timestamp(..) => {
                ours.buffers()[0].as_slice() == theirs.buffers()[0].as_slice()
            }
            _ => ours == theirs,
        };
        assert!(same, "{}", column.name);
    }
}
