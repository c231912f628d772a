//! Predicates are evaluated twice over the same rows: by the query engine, and as `$match` by a small
//! evaluator of what the server does with values of one type and null.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray as _, BooleanArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use datafusion::common::DFSchema;
use datafusion::logical_expr::{col, lit};
use datafusion::prelude::SessionContext;
use lake_writer::settings::MongoDb;
use lake_writer::table::Kind;
use mongodb::bson::{DateTime, RawDocumentBuf};
use proptest::prelude::*;

use super::*;
use crate::fixtures::{DECIMAL, schema};
use crate::mirror::decode::Decoder;

fn shape() -> Shape {
    let sale = schema([
        ("region", Kind::String, true),
        ("quantity", Kind::Int, true),
        ("amount", DECIMAL, true),
        ("sold_at", Kind::TimestampMicros, true),
    ]);
    Shape::of_documents(&sale, &MongoDb::default())
}

/// Whether `$match` takes a document: the operators that are used here, as the server has them.
fn takes(filter: &Document, row: &Document) -> bool {
    filter
        .iter()
        .all(|(name, wanted)| match (name.as_str(), wanted) {
            ("$and", Bson::Array(parts)) => parts.iter().all(|part| part_takes(part, row)),
            ("$or", Bson::Array(parts)) => parts.iter().any(|part| part_takes(part, row)),
            ("$nor", Bson::Array(parts)) => !parts.iter().any(|part| part_takes(part, row)),
            ("$expr", Bson::Boolean(constant)) => *constant,
            (name, Bson::Document(operators))
                if operators.keys().all(|key| key.starts_with('$')) =>
            {
                let found = row.get(name).unwrap_or(&Bson::Null);
                operators
                    .iter()
                    .all(|(operator, value)| holds(found, operator, value))
            }
            (name, value) => row.get(name).unwrap_or(&Bson::Null) == value,
        })
}

fn part_takes(part: &Bson, row: &Document) -> bool {
    takes(part.as_document().expect("a filter"), row)
}

/// Comparisons take values of one type only, `$ne` and `$nin` take whatever is not equal.
fn holds(found: &Bson, operator: &str, value: &Bson) -> bool {
    let order = order(found, value);
    match (operator, value) {
        ("$eq", _) => found == value,
        ("$ne", _) => found != value,
        ("$in", Bson::Array(values)) => values.contains(found),
        ("$nin", Bson::Array(values)) => !values.contains(found),
        ("$lt", _) => order.is_some_and(std::cmp::Ordering::is_lt),
        ("$lte", _) => order.is_some_and(std::cmp::Ordering::is_le),
        ("$gt", _) => order.is_some_and(std::cmp::Ordering::is_gt),
        ("$gte", _) => order.is_some_and(std::cmp::Ordering::is_ge),
        other => panic!("{other:?} is not used"),
    }
}

fn order(one: &Bson, other: &Bson) -> Option<std::cmp::Ordering> {
    use lake_writer::mirror::decimal::decode;
    match (one, other) {
        (Bson::Int32(one), Bson::Int32(other)) => Some(one.cmp(other)),
        (Bson::String(one), Bson::String(other)) => Some(one.as_bytes().cmp(other.as_bytes())),
        (Bson::DateTime(one), Bson::DateTime(other)) => Some(one.cmp(other)),
        (Bson::Decimal128(one), Bson::Decimal128(other)) => {
            Some(decode(*one, 2)?.cmp(&decode(*other, 2)?))
        }
        _ => None,
    }
}

fn nullable<T: Into<Bson>>(value: Option<T>) -> Bson {
    value.map_or(Bson::Null, Into::into)
}

fn decimal(cents: i64) -> Bson {
    let bytes = lake_writer::mirror::decimal::encode(cents.into(), 2);
    mongodb::bson::Decimal128::from_bytes(bytes).into()
}

fn text() -> impl Strategy<Value = String> {
    let known = [
        "",
        "Corse",
        "Cors",
        "Corsé",
        "Corsf",
        "Île",
        "a\u{10FFFF}",
        "a",
    ];
    proptest::sample::select(known.map(str::to_owned).to_vec())
}

fn row() -> impl Strategy<Value = Document> {
    (
        proptest::option::of(text()),
        proptest::option::of(-3..3_i32),
        proptest::option::of(-300..300_i64),
        proptest::option::of(-3 * 86_400_000..3 * 86_400_000_i64),
    )
        .prop_map(|(region, quantity, cents, millis)| {
            doc! {
                "region": nullable(region),
                "quantity": nullable(quantity),
                "amount": nullable(cents.map(decimal)),
                "sold_at": nullable(millis.map(DateTime::from_millis)),
            }
        })
}

fn micros(value: Option<i64>) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(value, Some("UTC".into())))
}

fn comparison_of(one: Expr, op: usize, other: Expr) -> Expr {
    match op {
        0 => one.eq(other),
        1 => one.not_eq(other),
        2 => one.lt(other),
        3 => one.lt_eq(other),
        4 => one.gt(other),
        _ => one.gt_eq(other),
    }
}

fn leaf() -> impl Strategy<Value = Expr> {
    let quantity = || proptest::option::of(-3..3_i32);
    let cents = |value: Option<i64>| lit(ScalarValue::Decimal128(value.map(i128::from), 18, 2));
    let time = || proptest::option::of(-260_000_000_000..260_000_000_000_i64);
    let day = |value: i32| lit(ScalarValue::Date32(Some(value)));
    prop_oneof![
        (0..6_usize, proptest::option::of(text())).prop_map(|(op, value)| comparison_of(
            col("region"),
            op,
            lit(ScalarValue::Utf8(value))
        )),
        (0..6_usize, quantity()).prop_map(|(op, value)| comparison_of(
            lit(ScalarValue::Int32(value)),
            op,
            col("quantity")
        )),
        (0..6_usize, proptest::option::of(-300..300_i64))
            .prop_map(move |(op, value)| comparison_of(col("amount"), op, cents(value))),
        (0..6_usize, time(), 0..1_000_i64).prop_map(|(op, value, rest)| {
            let value = value.map(|value| value.div_euclid(1_000) * 1_000 + rest * (rest % 2));
            comparison_of(col("sold_at"), op, micros(value))
        }),
        (0..6_usize, -3..3_i32).prop_map(move |(op, value)| {
            let of = datafusion::logical_expr::cast(col("sold_at"), DataType::Date32);
            comparison_of(of, op, day(value))
        }),
        (proptest::collection::vec(quantity(), 1..4), any::<bool>()).prop_map(
            |(values, negated)| {
                let values = values
                    .into_iter()
                    .map(|value| lit(ScalarValue::Int32(value)));
                col("quantity").in_list(values.collect(), negated)
            }
        ),
        (text(), any::<bool>(), any::<bool>()).prop_map(|(start, open, negated)| {
            let pattern = lit(format!("{start}{}", if open { "%" } else { "" }));
            if negated {
                col("region").not_like(pattern)
            } else {
                col("region").like(pattern)
            }
        }),
        (quantity(), quantity(), any::<bool>()).prop_map(|(low, high, negated)| {
            let (low, high) = (lit(ScalarValue::Int32(low)), lit(ScalarValue::Int32(high)));
            if negated {
                col("quantity").not_between(low, high)
            } else {
                col("quantity").between(low, high)
            }
        }),
        proptest::sample::select(vec!["region", "quantity", "amount", "sold_at"])
            .prop_map(|name| col(name).is_null()),
        proptest::sample::select(vec!["region", "amount"]).prop_map(|name| col(name).is_not_null()),
    ]
}

fn predicate() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, other)| one.and(other)),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| one.or(other)),
            inner.clone().prop_map(|one| !one),
            inner.clone().prop_map(Expr::is_true),
            inner.clone().prop_map(Expr::is_not_false),
        ]
    })
}

/// Which rows the query engine takes.
fn taken(predicate: &Expr, rows: &[Document], shape: &Shape) -> Vec<bool> {
    let fields: Vec<Field> = ["region", "quantity", "amount", "sold_at"]
        .iter()
        .map(|name| shape.column(name).expect("a column").0.clone())
        .collect();
    let schema = Arc::new(ArrowSchema::new(fields));
    let mut decoder = Decoder::new(schema.clone()).expect("a decoder");
    for row in rows {
        let raw = RawDocumentBuf::try_from(row).expect("sound BSON");
        decoder.append(&raw).expect("fits");
    }
    let batch: RecordBatch = decoder.finish().expect("a batch");
    let schema = DFSchema::try_from(schema).expect("a schema");
    let context = SessionContext::new();
    let physical = context.create_physical_expr(predicate.clone(), &schema);
    let value = physical
        .expect("an expression")
        .evaluate(&batch)
        .expect("a value");
    let array = value.into_array(rows.len()).expect("an array");
    let array: &BooleanArray = array.as_boolean();
    array.iter().map(|value| value == Some(true)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_server_takes_the_rows_that_the_engine_takes(
        predicate in predicate(),
        rows in proptest::collection::vec(row(), 1..20),
    ) {
        let shape = shape();
        let filter = matching(&predicate, &shape);
        prop_assert!(filter.is_some(), "{} has no translation", predicate);
        let filter = filter.unwrap_or_default();
        let found: Vec<bool> = rows.iter().map(|row| takes(&filter, row)).collect();
        prop_assert_eq!(found, taken(&predicate, &rows, &shape), "{} as {}", predicate, filter);
    }
}

#[test]
fn what_has_no_exact_translation_is_left_to_the_engine() {
    let shape = shape();
    let seconds = DataType::Timestamp(TimeUnit::Second, Some("UTC".into()));
    let cut = datafusion::logical_expr::cast(col("sold_at"), seconds);
    let other_scale = lit(ScalarValue::Decimal128(Some(1), 18, 3));
    for predicate in [
        col("region").like(lit("%orse")),
        col("region").like(lit("C_rse")),
        col("region").ilike(lit("corse%")),
        col("region").eq(col("quantity")),
        col("amount").gt(other_scale),
        cut.eq(lit(ScalarValue::TimestampSecond(
            Some(0),
            Some("UTC".into()),
        ))),
        col("region")
            .eq(lit("Corse"))
            .and(col("region").like(lit("%e"))),
    ] {
        assert!(matching(&predicate, &shape).is_none(), "{predicate}");
    }
}
