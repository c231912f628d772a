//! What it costs to bring rows together by lake partition, and to encode them: CPU time a row.
//!
//! ```text
//! cargo bench -p lake-writer --bench split_encode
//! sales ─► decoder, router ─► batches of 65,536 rows ─► split ─► slices by partition ─► row groups
//! ```
//!
//! The stages are those of the writer, with its settings' defaults; files and stores are left out.
//! Two dates give the 26 lake partitions of the whole-process benchmark, 170 dates give 2,210.

mod cpu;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use lake_writer::batch::{Held, MemoryBudget, Slice};
use lake_writer::decode::decoder;
use lake_writer::partition::{Router, Splitter};
use lake_writer::settings::{self, Format};
use lake_writer::stage::{
    Dictionaries, FileMetadata, RowGroupEncoder, RowGroupProperties, Sorting,
};
use lake_writer::table::Schema;
use lake_writer::table::spec::Spec;
use sales_producer::chance::Ratio;
use sales_producer::company::till::{Till, TillSettings};
use sales_producer::company::timeline::EventTimes;
use sales_producer::encode::{Decimals, Encoder, JsonEncoder, JsonStyle, Layout};
use sales_producer::stream::{KeyBy, Origin, Stream, StreamSettings};

const BATCH: usize = 65_536;
const BATCHES: usize = 16;
const ROWS: usize = BATCH * BATCHES;
const ROUNDS: usize = 5;
const DAY_US: i64 = 86_400_000_000;
/// 2026-01-30, where the whole-process benchmark begins.
const FIRST_DAY_US: i64 = 20_483 * DAY_US;

fn main() {
    let schema =
        Schema::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc"))
            .expect("the project's own schema is right");
    println!("{ROWS} sales, the best of {ROUNDS} rounds");
    println!("{:<34}{:>12}{:>14}", "", "CPU ns/row", "CPU-s/M rows");
    for days in [2, 170] {
        let topic = Topic::decoded(&schema, days);
        let partitions = topic.partitions;
        report(&format!("split, {partitions} lake partitions"), || {
            drop(topic.split());
        });
        let groups = topic.split();
        for (name, parquet) in variants() {
            let encoder = encoder(&schema, parquet, &groups);
            report(&format!("encode, {partitions}, {name}"), || {
                for group in &groups {
                    let encoded = encoder.encode(group.iter().map(Slice::batch).collect());
                    std::hint::black_box(encoded.expect("the writer's own rows"));
                }
            });
        }
    }
}

/// The settings that change the cost of encoding most.
fn variants() -> [(&'static str, settings::Parquet); 3] {
    let with = |compression| settings::Parquet {
        compression,
        ..settings::Parquet::default()
    };
    [
        ("as set by default", settings::Parquet::default()),
        ("lz4", with(settings::Compression::Lz4)),
        ("no compression", with(settings::Compression::None)),
    ]
}

fn report(name: &str, run: impl FnMut()) {
    let best = cpu::best_of(ROUNDS, run);
    println!(
        "{name:<34}{:>12.0}{:>14.3}",
        best / ROWS as f64 * 1e9,
        best / ROWS as f64 * 1e6
    );
}

/// Decoded batches with the lake partition of each row.
struct Topic {
    batches: Vec<(RecordBatch, Vec<u32>)>,
    partitions: usize,
}

impl Topic {
    fn decoded(schema: &Schema, days: i64) -> Self {
        let spec = ["date(sold_at)".to_owned(), "region".to_owned()];
        let spec = Spec::parse(&spec, schema, "UTC").expect("the spec of the sales");
        let mut router = Router::new(&spec, schema);
        let mut decoder = decoder(Format::Json, schema);
        let mut sales = sales(days);
        let mut batches = Vec::new();
        for number in 0..BATCHES {
            let mut ids = Vec::with_capacity(BATCH);
            for _ in 0..BATCH {
                let sale = sales.next_message().expect("made up");
                let value = sale.expect("as many as asked for").value;
                decoder.append(value).expect("a good sale");
                let id = router.route(|column| decoder.last(column));
                ids.push(id.expect("a sale has a date and a region"));
            }
            let mut columns = decoder.finish();
            columns.extend(offsets(number));
            let batch = RecordBatch::try_new(schema.arrow(), columns).expect("the schema's own");
            batches.push((batch, ids));
        }
        let partitions = router.partitions().len();
        Self {
            batches,
            partitions,
        }
    }

    /// The rows of each lake partition as the writer holds them.
    fn split(&self) -> Vec<Vec<Slice>> {
        let mut splitter = Splitter::default();
        let mut held = Held::new(MemoryBudget::new(usize::MAX));
        for (batch, ids) in &self.batches {
            held.push(splitter.split(batch.clone(), ids).expect("rows fit"));
        }
        (0..self.partitions)
            .map(|id| held.take(u32::try_from(id).expect("few partitions")))
            .collect()
    }
}

/// As if eight source partitions had been read by turns.
fn offsets(batch: usize) -> [ArrayRef; 2] {
    let run = |row: usize| (batch * BATCH + row) / 512;
    let partition = |row| i32::try_from(run(row) % 8).expect("below eight");
    let offset = |row: usize| ((run(row) / 8) * 512 + row % 512) as i64;
    [
        Arc::new(Int32Array::from_iter_values((0..BATCH).map(partition))),
        Arc::new(Int64Array::from_iter_values((0..BATCH).map(offset))),
    ]
}

fn encoder(schema: &Schema, parquet: settings::Parquet, groups: &[Vec<Slice>]) -> RowGroupEncoder {
    let sorting = Sorting::parse(&[], schema).expect("no order");
    let rules =
        RowGroupProperties::new(schema.arrow(), sorting, parquet).expect("Parquet has them");
    let mut dictionaries = Dictionaries::default();
    for group in groups {
        let batches: Vec<_> = group.iter().map(Slice::batch).collect();
        dictionaries.sample(&batches).expect("rows can be counted");
    }
    let metadata = FileMetadata {
        table_url: "memory:///".into(),
        cut: "bench".into(),
    };
    RowGroupEncoder::new(Arc::new(rules), &dictionaries, &metadata).expect("Parquet has them")
}

/// As `sales-producer --seed 7 --from 2026-01-30 --key sale` makes them.
fn sales(days: i64) -> Stream {
    let seed = 7;
    let till = Till::new(TillSettings {
        seed,
        times: EventTimes::Spread {
            start_us: FIRST_DAY_US,
            end_us: FIRST_DAY_US + days * DAY_US,
            sales: ROWS as u64,
        },
        late_ratio: Ratio::NEVER,
    });
    let layout = Layout::shipped().expect("the project's own schema");
    let encoder = JsonEncoder::new(&layout, JsonStyle::Plain, Decimals::Number, seed);
    let settings = StreamSettings {
        seed,
        key: KeyBy::Sale,
        count: Some(ROWS as u64),
        ..StreamSettings::default()
    };
    Stream::new(
        Origin::Company(Box::new(till)),
        Encoder::Json(encoder),
        settings,
    )
}
