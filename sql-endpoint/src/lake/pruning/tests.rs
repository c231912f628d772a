use datafusion::arrow::datatypes::{Field, Schema as ArrowSchema};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::prelude::SessionContext;
use lake_writer::commit::record::FileSource;
use lake_writer::table::{Kind, Schema};

use super::*;
use crate::fixtures::schema;

fn sale() -> Schema {
    schema([
        ("sold_at", Kind::TimestampMicros, false),
        ("region", Kind::String, true),
    ])
}

fn file(date: &str, region: Option<&str>, offsets: (i64, i64)) -> (TablePath, LiveFile) {
    let path = TablePath::new(format!("data/date={date}/{}.parquet", offsets.0)).expect("a path");
    let partition = [
        ("date".to_owned(), Some(date.to_owned())),
        ("region".to_owned(), region.map(str::to_owned)),
    ];
    let live = LiveFile {
        number: 1,
        bytes: 1,
        rows: 1,
        xxh3: String::new(),
        partition: partition.into(),
        sources: vec![FileSource {
            partition: 3,
            min: offsets.0,
            max: offsets.1,
            rows: 1,
        }],
    };
    (path, live)
}

/// Which of these files remain: 30 and 31 January in Corse, 31 January without a region.
fn kept(predicate: Expr, zone: &str) -> Vec<bool> {
    let schema = sale();
    let entries = ["date(sold_at)".to_owned(), "region".to_owned()];
    let spec = Spec::parse(&entries, &schema, zone).expect("a spec");
    let files = [
        file("2026-01-30", Some("Corse"), (0, 9)),
        file("2026-01-31", Some("Corse"), (10, 19)),
        file("2026-01-31", None, (20, 29)),
    ];
    let arrow = schema.arrow();
    let shape = DFSchema::try_from(arrow.clone()).expect("a schema");
    let context = SessionContext::new();
    let predicate = context
        .create_physical_expr(predicate, &shape)
        .expect("an expression");
    keep(&files, &predicate, &spec, &arrow).expect("is evaluated")
}

fn at(rfc3339: &str) -> Expr {
    let at = DateTime::parse_from_rfc3339(rfc3339).expect("a time");
    let micros = Some(at.timestamp_micros());
    lit(ScalarValue::TimestampMicrosecond(
        micros,
        Some("UTC".into()),
    ))
}

#[test]
fn times_lead_to_days_of_the_tables_own_zone() {
    let from = |time| kept(col("sold_at").gt_eq(at(time)), "Europe/Paris");
    // 31 January begins at 23:00 in UTC
    assert_eq!(from("2026-01-30T22:59:59.999999Z"), [true, true, true]);
    assert_eq!(from("2026-01-30T23:00:00Z"), [false, true, true]);
    assert_eq!(from("2026-01-31T23:00:00Z"), [false, false, false]);
    let until = |time| kept(col("sold_at").lt(at(time)), "Europe/Paris");
    assert_eq!(until("2026-01-30T23:00:00Z"), [true, false, false]);
    assert_eq!(until("2026-01-29T23:00:00Z"), [false, false, false]);
}

#[test]
fn a_region_keeps_its_own_folder_and_the_one_whose_rows_are_not_known() {
    let region = |name: &str| kept(col("region").eq(lit(name)), "UTC");
    assert_eq!(region("Corse"), [true, true, true]);
    assert_eq!(region("Bretagne"), [false, false, true]);
    // null and the empty string share a folder
    assert_eq!(region(""), [false, false, true]);
    assert!(kept(col("region").is_null(), "UTC")[2]);
    let either = col("region")
        .eq(lit("Bretagne"))
        .or(col("sold_at").lt(at("2026-01-31T00:00:00Z")));
    assert_eq!(kept(either, "UTC"), [true, false, true]);
}

#[test]
fn offsets_are_known_by_the_log() {
    let behind = col(KAFKA_OFFSET).gt_eq(lit(15_i64));
    assert_eq!(kept(behind, "UTC"), [false, true, true]);
    let other = col(KAFKA_PARTITION).eq(lit(4_i32));
    assert_eq!(kept(other, "UTC"), [false, false, false]);
}

#[test]
fn an_hour_that_a_clock_shows_twice_is_an_hour_that_lasts_two() {
    let zone: Tz = "Europe/Paris".parse().expect("a zone");
    let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let found = bounds("2026-10-25-02+0200", Transform::Hour, &kind, zone).expect("bounds");
    let micros = |scalar: &ScalarValue| match scalar {
        ScalarValue::TimestampMicrosecond(Some(micros), _) => *micros,
        other => panic!("{other} is no time"),
    };
    assert_eq!(micros(&found.1) - micros(&found.0), 2 * 3_600_000_000 - 1);
    // A day with a gap at midnight begins where the clock is put forward.
    let zone: Tz = "America/Sao_Paulo".parse().expect("a zone");
    let (first, _) = wall_clock("2018-11-04", Transform::Date).expect("a day");
    let first = earliest(first, zone).expect("an instant");
    assert!(
        first
            <= "2018-11-04T03:00:00Z"
                .parse::<DateTime<Utc>>()
                .expect("a time")
    );
}

#[test]
fn spans_of_the_clock_end_where_the_next_begins() {
    for (value, transform, last) in [
        ("2026", Transform::Year, "2026-12-31T23:59:59.999999"),
        ("2026-02", Transform::Month, "2026-02-28T23:59:59.999999"),
        ("2026-02-28", Transform::Date, "2026-02-28T23:59:59.999999"),
        (
            "2026-02-28-07",
            Transform::Hour,
            "2026-02-28T07:59:59.999999",
        ),
    ] {
        let (_, found) = wall_clock(value, transform).expect("a span");
        assert_eq!(found, last.parse().expect("a time"), "{value}");
    }
    let shape = ArrowSchema::new(vec![Field::new("x", DataType::Utf8, true)]);
    assert!(arrays(std::iter::once(None), shape.field(0).data_type()).is_none());
}
