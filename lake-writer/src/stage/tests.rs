//! Rows of any schema, encoded and read back.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow_select::concat::concat_batches;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::batch::MemoryBudget;
use crate::decode::decoder;
use crate::settings::{Compression, Format, Parquet};
use crate::store::Store;
use crate::store::memory::{MemoryStore, Staging};
use crate::table::Schema;

/// An Avro type, and how a value of it is drawn from a number.
type Kind = (&'static str, fn(i64) -> Value);

const KINDS: [Kind; 21] = [
    (r#""boolean""#, |n| json!(n % 2 == 0)),
    (r#""int""#, |n| json!(n % 1_000)),
    (r#""long""#, |n| json!(n)),
    (r#""float""#, |n| json!((n % 1_000) as f32 / 8.0)),
    (r#""double""#, |n| json!((n % 100_000) as f64 / 64.0)),
    (r#""string""#, |n| json!(format!("é{}", n % 50))),
    (r#""bytes""#, |n| json!(format!("\u{0}{}\u{ff}", n % 7))),
    (r#"{"type":"fixed","name":"F","size":2}"#, |n| {
        json!(["ab", "\u{e9}z", "\u{0}\u{0}"][n.rem_euclid(3) as usize])
    }),
    (
        r#"{"type":"enum","name":"E","symbols":["store","web"]}"#,
        |n| json!(["store", "web"][n.rem_euclid(2) as usize]),
    ),
    (r#"{"type":"string","logicalType":"uuid"}"#, |n| {
        json!(format!("00000000-0000-4000-a000-{:012x}", n & 0xffff_ffff))
    }),
    (
        r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#,
        |n| json!(format!("{}.{:02}", n % 100_000, n.rem_euclid(100))),
    ),
    (
        r#"{"type":"bytes","logicalType":"decimal","precision":18,"scale":4}"#,
        |n| json!((n % 1_000_000).to_string()),
    ),
    (
        r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":10}"#,
        |n| json!(n.to_string()),
    ),
    (r#"{"type":"int","logicalType":"date"}"#, |n| {
        json!(n % 30_000)
    }),
    (r#"{"type":"int","logicalType":"time-millis"}"#, |n| {
        json!(n.rem_euclid(86_400_000))
    }),
    (r#"{"type":"long","logicalType":"time-micros"}"#, |n| {
        json!(n.rem_euclid(86_400_000_000))
    }),
    (r#"{"type":"long","logicalType":"timestamp-millis"}"#, |n| {
        json!(n % 4_000_000_000_000)
    }),
    (
        r#"{"type":"long","logicalType":"local-timestamp-micros"}"#,
        |n| json!(n % 4_000_000_000_000_000),
    ),
    (
        r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":"int"},{"name":"b","type":["null","string"]}]}"#,
        |n| json!({"a": n % 5, "b": (n % 3 != 0).then(|| (n % 9).to_string())}),
    ),
    (
        r#"{"type":"array","items":["null","string"]}"#,
        |n| match n.rem_euclid(4) {
            0 => json!([]),
            1 => json!([null, "x"]),
            _ => json!([format!("{}", n % 6)]),
        },
    ),
    (r#"{"type":"map","values":"long"}"#, |n| {
        match n.rem_euclid(3) {
            0 => json!({}),
            _ => json!({"k": n, "ÿ": n % 2}),
        }
    }),
];

/// Columns: a kind, and whether it can be null.
fn columns() -> impl Strategy<Value = Vec<(Kind, bool)>> {
    prop::sample::subsequence(KINDS.to_vec(), 1..KINDS.len()).prop_flat_map(|kinds| {
        let nullable = prop::collection::vec(any::<bool>(), kinds.len());
        nullable.prop_map(move |nullable| kinds.iter().copied().zip(nullable).collect())
    })
}

fn schema(columns: &[(Kind, bool)]) -> Schema {
    let field = |(at, ((kind, _), nullable)): (usize, &(Kind, bool))| {
        let kind = if *nullable {
            format!(r#"["null",{kind}]"#)
        } else {
            (*kind).to_owned()
        };
        format!(r#"{{"name":"c{at}","type":{kind}}}"#)
    };
    let fields: Vec<_> = columns.iter().enumerate().map(field).collect();
    let text = format!(
        r#"{{"type":"record","name":"Any","fields":[{}]}}"#,
        fields.join(",")
    );
    Schema::from_avsc(&text).expect("a valid schema")
}

fn batch(schema: &Schema, columns: &[(Kind, bool)], numbers: &[i64], first: i64) -> RecordBatch {
    let mut decoder = decoder(Format::Json, schema);
    for &number in numbers {
        let value = |(at, ((_, draw), nullable)): (usize, &(Kind, bool))| {
            let is_null = *nullable && number % 4 == 0;
            (
                format!("c{at}"),
                if is_null { Value::Null } else { draw(number) },
            )
        };
        let message: serde_json::Map<_, _> = columns.iter().enumerate().map(value).collect();
        let message = Value::Object(message).to_string();
        decoder.append(message.as_bytes()).expect(&message);
    }
    let rows = i64::try_from(numbers.len()).expect("a few");
    let mut arrays = decoder.finish();
    arrays.push(Arc::new(Int32Array::from(vec![3; numbers.len()])) as ArrayRef);
    arrays.push(Arc::new(Int64Array::from_iter_values(first..first + rows)));
    RecordBatch::try_new(schema.arrow(), arrays).expect("the schema's columns")
}

fn write(schema: &Schema, settings: Parquet, groups: &[Vec<RecordBatch>]) -> (bytes::Bytes, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let store = Arc::new(MemoryStore::new(Staging::File));
    let budget = MemoryBudget::new(1 << 30);
    let uploader = Uploader::new(store.clone(), runtime.handle().clone(), Arc::clone(&budget));
    let rules = RowGroupProperties::new(schema.arrow(), Sorting::default(), settings);
    let rules = Arc::new(rules.expect("Parquet has these columns"));
    let metadata = FileMetadata {
        table_url: "memory:///".into(),
        cut: "1".into(),
    };
    let mut dictionaries = Dictionaries::default();
    dictionaries.sample(&groups[0]).expect("one schema");
    let leaves = rules.parquet_schema().num_columns();
    assert_eq!(
        dictionaries.columns(),
        leaves,
        "each leaf is judged by itself"
    );
    let encoder = RowGroupEncoder::new(rules, &dictionaries, &metadata).expect("an encoder");
    let path = |text: &str| TablePath::new(text).expect("a path");
    let name = FileName {
        target: path("data/1.parquet"),
        staging: path("stage/1"),
        partition: Vec::new(),
    };
    let mut file = OpenFile::create(name, &encoder, &uploader.begin_cut(), &budget).expect("open");
    for group in groups {
        let row_group = encoder.encode(group.clone()).expect("rows");
        file.append(row_group).expect("a row group");
    }
    let closed = file.close().expect("a footer");
    let staged = runtime.block_on(closed.staged).expect("durable");
    let publish = store.publish(&staged.staged, &staged.target, staged.bytes);
    runtime.block_on(publish).expect("published");
    let bytes = runtime.block_on(store.read(&staged.target));
    (bytes.expect("readable").expect("there"), staged.rows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_any_schema_read_back(
        columns in columns(),
        groups in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<i64>(), 1..60), 1..4), 1..4),
        compression in prop::sample::select(vec![
            Compression::Zstd, Compression::Lz4, Compression::Snappy, Compression::None,
        ]),
        bloom_filter in any::<bool>(),
    ) {
        // GIVEN batches of a random schema, in several row groups.
        let schema = schema(&columns);
        let mut first = 0;
        let mut next = |numbers: &Vec<i64>| {
            first += 100;
            batch(&schema, &columns, numbers, first)
        };
        let groups: Vec<Vec<RecordBatch>> = groups
            .iter()
            .map(|group| group.iter().map(&mut next).collect())
            .collect();
        // WHEN they are written.
        let settings = Parquet {
            compression,
            bloom_filter_columns: bloom_filter.then(|| "c0".to_owned()).into_iter().collect(),
            ..Parquet::default()
        };
        let (bytes, rows) = write(&schema, settings, &groups);
        // THEN a reader finds the same rows in the same order, one row group for each.
        let options = ArrowReaderOptions::new().with_schema(schema.arrow());
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)
            .expect("a Parquet file of the schema");
        prop_assert_eq!(builder.metadata().num_row_groups(), groups.len());
        let read: Vec<RecordBatch> = builder
            .build()
            .expect("a reader")
            .map(|batch| batch.expect("rows"))
            .collect();
        let written = concat_batches(&schema.arrow(), groups.iter().flatten()).expect("one schema");
        let read = concat_batches(&schema.arrow(), &read).expect("one schema");
        prop_assert_eq!(read.num_rows() as u64, rows);
        prop_assert_eq!(read, written);
    }
}
