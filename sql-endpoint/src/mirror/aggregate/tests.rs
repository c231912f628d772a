use datafusion::arrow::datatypes::TimeUnit;
use datafusion::common::Column;
use datafusion::functions::datetime::expr_fn::{date_part, date_trunc};
use datafusion::functions_aggregate::expr_fn::{avg, count, count_distinct, max, min, sum};
use datafusion::logical_expr::{ExprFunctionExt as _, cast, col, lit};
use lake_writer::settings::MongoDb;
use lake_writer::table::Kind;

use super::*;
use crate::fixtures::{DECIMAL, schema};

const UTC: &str = "UTC";

fn shape() -> Shape {
    let sale = schema([
        ("region", Kind::String, false),
        ("customer", Kind::String, true),
        ("quantity", Kind::Int, false),
        ("points", Kind::Int, true),
        ("amount", DECIMAL, false),
        ("weight", Kind::Double, false),
        ("paid", Kind::Boolean, false),
        ("sold_at", Kind::TimestampMicros, false),
        ("paid_at", Kind::TimestampMicros, true),
    ]);
    Shape::of_documents(&sale, &MongoDb::default())
}

fn time(zone: Option<&str>) -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into))
}

/// The key of a group, of a server that knows `$dateTrunc`.
fn keyed(of: &Expr) -> Option<Bson> {
    key(of, &shape(), true)
}

/// What an aggregate becomes: accumulators, the column that comes out, and what it says of nothing.
fn added(of: Expr, kind: DataType) -> Option<(Document, Bson, ScalarValue)> {
    let Expr::AggregateFunction(function) = of else {
        panic!("{of} is no aggregate");
    };
    let mut grouping = Grouping::default();
    grouping.add(&function, &Field::new("a", kind, true), &shape())?;
    let (value, of_nothing) = (grouping.values.pop()?, grouping.of_nothing.pop()?);
    Some((grouping.accumulators, value, of_nothing))
}

#[test]
fn columns_with_an_order_that_both_sides_share_are_keys() {
    assert_eq!(keyed(&col("region")), Some("$region".into()));
    assert_eq!(keyed(&col("paid").alias("p")), Some("$paid".into()));
    let missing = doc! {"$ifNull": ["$customer", Bson::Null]};
    assert_eq!(
        keyed(&col("customer")),
        Some(missing.into()),
        "null and missing are one group"
    );
    assert_eq!(keyed(&col("kafka_offset")), Some("$_id.offset".into()));
    // 0.0 and -0.0 are one group to one side alone, and NaN is one to the other.
    assert_eq!(keyed(&col("weight")), None);
    assert_eq!(keyed(&col("nothing")), None);
    assert_eq!(
        keyed(&(col("quantity") + lit(1))),
        None,
        "sums wrap here and grow there"
    );
}

#[test]
fn times_are_cut_by_the_server_in_utc_alone() {
    let trunc = |unit: &str| doc! {"$dateTrunc": {"date": "$sold_at", "unit": unit}};
    for unit in ["year", "quarter", "month", "day", "hour", "minute"] {
        let of = date_trunc(lit(unit), col("sold_at"));
        assert_eq!(keyed(&of), Some(trunc(unit).into()), "{unit}");
        assert_eq!(key(&of, &shape(), false), None, "before MongoDB 5.0");
    }
    let week = doc! {"date": "$sold_at", "unit": "week", "startOfWeek": "monday"};
    let of = date_trunc(lit("week"), col("sold_at"));
    assert_eq!(keyed(&of), Some(doc! {"$dateTrunc": week}.into()));
    let day = cast(col("sold_at"), DataType::Date32);
    assert_eq!(keyed(&day), Some(trunc("day").into()));
    assert_eq!(key(&day, &shape(), false), None, "before MongoDB 5.0");
    // Below a minute a Date has fewer digits than the lake.
    assert_eq!(keyed(&date_trunc(lit("second"), col("sold_at"))), None);
    // A clock in UTC shows the same; other zones are put into functions that the server lacks.
    let clock = cast(col("sold_at"), time(None));
    assert_eq!(
        keyed(&date_trunc(lit("day"), clock)),
        Some(trunc("day").into())
    );
    let elsewhere = cast(col("sold_at"), time(Some("Europe/Paris")));
    assert_eq!(keyed(&date_trunc(lit("day"), elsewhere)), None);
    let missing = doc! {"$ifNull": ["$paid_at", Bson::Null]};
    let of = date_trunc(lit("day"), col("paid_at"));
    let expected = doc! {"$dateTrunc": {"date": missing, "unit": "day"}};
    assert_eq!(keyed(&of), Some(expected.into()));
}

#[test]
fn parts_of_times_are_keys_where_both_count_alike() {
    for (unit, operator) in [
        ("year", "$year"),
        ("month", "$month"),
        ("week", "$isoWeek"),
        ("DAY", "$dayOfMonth"),
        ("doy", "$dayOfYear"),
        ("hour", "$hour"),
        ("minute", "$minute"),
    ] {
        let of = date_part(lit(unit), col("sold_at"));
        assert_eq!(
            keyed(&of),
            Some(doc! {operator: "$sold_at"}.into()),
            "{unit}"
        );
    }
    // Sundays are 0 here and 1 there; seconds have digits that a Date lacks.
    for unit in ["dow", "second", "epoch"] {
        assert_eq!(keyed(&date_part(lit(unit), col("sold_at"))), None, "{unit}");
    }
    let day = cast(col("sold_at"), DataType::Date32);
    assert_eq!(keyed(&date_part(lit("year"), day)), None);
}

#[test]
fn counts_and_sums_pass_over_nulls_as_sql_does() {
    let rows = added(count(lit(1_i64)), DataType::Int64).expect("pushed");
    let expected = doc! {"a0": {"$sum": 1}};
    assert_eq!(rows, (expected, "$a0".into(), ScalarValue::Int64(Some(0))));
    let (counted, ..) = added(count(col("customer")), DataType::Int64).expect("pushed");
    let there = doc! {"$cond": [{"$gt": ["$customer", Bson::Null]}, 1, 0]};
    assert_eq!(counted, doc! {"a0": {"$sum": there}});
    let (summed, value, nothing) = added(sum(col("quantity")), DataType::Int64).expect("pushed");
    assert_eq!(summed, doc! {"a0": {"$sum": "$quantity"}});
    assert_eq!((value, nothing), ("$a0".into(), ScalarValue::Int64(None)));
    // As the engine writes it: summed in 64 bits.
    let wide = added(sum(cast(col("quantity"), DataType::Int64)), DataType::Int64);
    assert_eq!(wide.expect("pushed").0, doc! {"a0": {"$sum": "$quantity"}});
    let narrow = cast(col("kafka_offset"), DataType::Int32);
    assert!(
        added(sum(narrow), DataType::Int64).is_none(),
        "fewer bits may not hold it"
    );
    // The server's sum of nulls alone is 0, that of SQL is null.
    let (summed, value, _) = added(sum(col("points")), DataType::Int64).expect("pushed");
    let there = doc! {"$cond": [{"$gt": ["$points", Bson::Null]}, 1, 0]};
    assert_eq!(
        summed,
        doc! {"a0": {"$sum": "$points"}, "a0_values": {"$sum": there}}
    );
    let some = doc! {"$cond": [{"$gt": ["$a0_values", 0]}, "$a0", Bson::Null]};
    assert_eq!(value, Bson::from(some));
}

#[test]
fn sums_are_pushed_where_they_are_exact() {
    let decimal = |scale| DataType::Decimal128(28, scale);
    assert!(added(sum(col("amount")), decimal(2)).is_some());
    assert!(
        added(sum(col("amount")), decimal(4)).is_none(),
        "another scale than it is read by"
    );
    assert!(
        added(sum(col("weight")), DataType::Float64).is_none(),
        "in another order"
    );
    assert!(
        added(avg(col("amount")), decimal(6)).is_none(),
        "quotients are rounded otherwise"
    );
    assert!(added(min(col("amount")), decimal(2)).is_some());
    assert!(added(max(col("region")), DataType::Utf8).is_some());
    assert!(
        added(max(col("weight")), DataType::Float64).is_none(),
        "NaN"
    );
    assert!(added(max(col("paid")), DataType::Boolean).is_none());
}

#[test]
fn aggregates_with_more_to_them_are_computed_here() {
    assert!(added(count_distinct(col("region")), DataType::Int64).is_none());
    assert!(added(count(lit(ScalarValue::Int64(None))), DataType::Int64).is_none());
    assert!(added(sum(col("quantity") + lit(1)), DataType::Int64).is_none());
    let filtered = count(col("region")).filter(col("paid")).build();
    assert!(added(filtered.expect("an aggregate"), DataType::Int64).is_none());
}

#[test]
fn groups_are_one_document_each_and_without_keys_there_is_always_one() {
    let mut grouping = Grouping::default();
    let field = |kind| Field::new("c", kind, true);
    let Expr::AggregateFunction(rows) = count(lit(1_i64)) else {
        panic!("no aggregate");
    };
    let region = Expr::Column(Column::from_name("region"));
    let text = field(DataType::Utf8);
    grouping
        .add_key(&region, &text, &shape(), true)
        .expect("a key");
    grouping
        .add(&rows, &field(DataType::Int64), &shape())
        .expect("an aggregate");
    let expected = doc! {"$group": {"_id": {"k0": "$region"}, "a1": {"$sum": 1}}};
    assert_eq!(grouping.stage(), (expected, false));
    assert_eq!(grouping.values, ["$_id.k0", "$a1"].map(Bson::from));
    let mut whole = Grouping::default();
    whole
        .add(&rows, &field(DataType::Int64), &shape())
        .expect("an aggregate");
    let expected = doc! {"$group": {"_id": Bson::Null, "a0": {"$sum": 1}}};
    assert_eq!(whole.stage(), (expected, true));
    let at = |time: &str| cast(col("sold_at"), self::time(Some(time)));
    assert!(
        moment(&at(UTC), &shape()).is_some() && moment(&at("Asia/Kolkata"), &shape()).is_none()
    );
}
