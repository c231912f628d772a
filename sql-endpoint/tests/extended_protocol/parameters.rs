//! Parameters in binary, of one value and of many.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rust_decimal::Decimal;
use tokio_postgres::types::{ToSql, Type};

use crate::servers::{both, code, ours};

type Value = Box<dyn ToSql + Sync + Send>;

fn value(of: impl ToSql + Sync + Send + 'static) -> Value {
    Box::new(of)
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Counts the sales that both servers find, by conditions and what is bound to them.
async fn counted(asked: Vec<(&str, Vec<Value>)>) -> Vec<i64> {
    let [ours, theirs] = both().await;
    let mut counts = Vec::new();
    for (condition, values) in asked {
        let text = format!("SELECT count(*) FROM sales_lake WHERE {condition}");
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        let mut found = Vec::new();
        for client in [&ours, &theirs] {
            let row = client.query_one(&text, &values).await;
            found.push(
                row.unwrap_or_else(|error| panic!("{condition}: {error:?}"))
                    .get::<_, i64>(0),
            );
        }
        assert_eq!(found[0], found[1], "{condition}");
        counts.push(found[0]);
    }
    counts
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn parameters_of_every_type_are_bound() {
    let day = NaiveDate::from_ymd_opt(2026, 1, 30).unwrap();
    let clock: NaiveDateTime = day.and_hms_opt(6, 30, 0).unwrap();
    let counts = counted(vec![
        ("region = $1", vec![value("Bretagne")]),
        (
            "quantity >= $1 AND kafka_offset < $2",
            vec![value(2_i32), value(300_i64)],
        ),
        (
            "amount BETWEEN $1 AND $2",
            vec![value(decimal("5")), value(decimal("30.50"))],
        ),
        // More digits than the column has: nothing is rounded before it is compared.
        ("amount > $1", vec![value(decimal("19.9949"))]),
        (
            "sold_at >= $1 AND sold_at < $2",
            vec![
                value(time("2026-01-30T12:00:00Z")),
                value(time("2027-01-31T06:30:00Z")),
            ],
        ),
        ("CAST(sold_at AS DATE) >= $1", vec![value(day)]),
        ("CAST(sold_at AS TIMESTAMP) > $1", vec![value(clock)]),
        (
            "CAST(amount AS DOUBLE PRECISION) > $1",
            vec![value(19.5_f64)],
        ),
        ("(quantity > 1) = $1", vec![value(true)]),
        ("region = $1 OR $1 IS NULL", vec![value(None::<String>)]),
    ])
    .await;
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn parameters_are_arrays() {
    let offsets = || value(vec![1_i64, 3, 5, 7]);
    let regions = || value(vec!["Bretagne", "Corse"]);
    let counts = counted(vec![
        ("kafka_offset = ANY($1)", vec![offsets()]),
        ("kafka_offset <> ALL($1)", vec![offsets()]),
        ("NOT kafka_offset = ANY($1)", vec![offsets()]),
        (
            "region = ANY($1) AND quantity = ANY($2)",
            vec![regions(), value(vec![1_i32, 2])],
        ),
        ("region = ANY($1::text[])", vec![regions()]),
        (
            "amount = ANY($1)",
            vec![value(vec![
                decimal("1"),
                decimal("19.99"),
                decimal("4.5000"),
            ])],
        ),
        (
            "CAST(sold_at AS DATE) = ANY($1)",
            vec![value(vec![NaiveDate::from_ymd_opt(2026, 1, 30).unwrap()])],
        ),
        (
            "sold_at = ANY($1)",
            vec![value(vec![time("2026-01-30T12:00:00Z")])],
        ),
        // Of one that is NULL, of NULLs, and of none at all.
        (
            "region = ANY($1) OR $1 IS NULL",
            vec![value(None::<Vec<String>>)],
        ),
        (
            "region = ANY($1)",
            vec![value(vec![Some("Bretagne"), None])],
        ),
        (
            "region <> ALL($1)",
            vec![value(vec![Some("Bretagne"), None])],
        ),
        ("region <> ALL($1)", vec![value(Vec::<String>::new())]),
        ("customer_id = ANY($1)", vec![value(Vec::<String>::new())]),
        (
            "(customer_id = ANY($1)) IS NULL",
            vec![value(Vec::<String>::new())],
        ),
        (
            "(customer_id = ANY($1)) IS NULL",
            vec![value(vec!["C0000001"])],
        ),
    ])
    .await;
    assert!(
        counts[0] > 0 && counts[1] > counts[0] && counts[3] > 0,
        "{counts:?}"
    );
    assert_eq!(counts[10..], [0, counts[11], 0, 0, counts[14]]);
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn arrays_are_read_by_the_type_that_the_client_says() {
    let text = "SELECT count(*) FROM sales_lake WHERE kafka_offset = ANY($1)";
    let mut told = Vec::new();
    for client in both().await {
        let statement = client
            .prepare_typed(text, &[Type::INT4_ARRAY])
            .await
            .unwrap();
        let row = client
            .query_one(&statement, &[&vec![1_i32, 3]])
            .await
            .unwrap();
        told.push(row.get::<_, i64>(0));
    }
    assert!(told[0] > 0 && told[0] == told[1], "{told:?}");
    // An array of a type that is not taken names the parameter and the type.
    let client = ours().await;
    let statement = client
        .prepare_typed(text, &[Type::UUID_ARRAY])
        .await
        .unwrap();
    let refused = client.query(&statement, &[&Vec::<Raw>::new()]).await;
    assert_eq!(code(refused), "0A000");
}

/// Nothing, of whatever type.
#[derive(Debug)]
struct Raw;

impl ToSql for Raw {
    fn to_sql(
        &self,
        _: &Type,
        _: &mut bytes::BytesMut,
    ) -> Result<tokio_postgres::types::IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(tokio_postgres::types::IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}
