//! Values in binary, and how columns and parameters are described.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rust_decimal::Decimal;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::servers::both;

/// A column of each type.
const ALL: &str = "SELECT kafka_partition, kafka_offset, sale_id, customer_id, amount, sold_at,
    CAST(sold_at AS DATE) AS day, CAST(sold_at AS TIMESTAMP) AS clock, quantity > 1 AS several,
    CAST(amount AS DOUBLE PRECISION) AS rough, CAST(quantity AS SMALLINT) AS small,
    CAST(NULL AS BIGINT) AS nothing FROM sales_lake ORDER BY kafka_partition, kafka_offset";

type Sale = (
    (i32, i64, String, Option<String>, Decimal, DateTime<Utc>),
    (NaiveDate, NaiveDateTime, bool, f64, i16, Option<i64>),
);

fn sale(row: &Row) -> Sale {
    (
        (
            row.get(0),
            row.get(1),
            row.get(2),
            row.get(3),
            row.get(4),
            row.get(5),
        ),
        (
            row.get(6),
            row.get(7),
            row.get(8),
            row.get(9),
            row.get(10),
            row.get(11),
        ),
    )
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn values_of_every_type_are_the_same_in_binary() {
    let mut told = Vec::new();
    for client in both().await {
        let rows = client.query(ALL, &[]).await.unwrap();
        told.push(rows.iter().map(sale).collect::<Vec<Sale>>());
    }
    assert!(told[0].len() > 1_000);
    assert_eq!(told[0], told[1]);
    // Money has two decimals on the wire, zeros too.
    assert!(
        told[0]
            .iter()
            .all(|((_, _, _, _, amount, _), _)| amount.scale() == 2)
    );
    assert!(
        told[0]
            .iter()
            .any(|((_, _, _, customer, _, _), _)| customer.is_none())
    );
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn columns_and_parameters_are_described_before_anything_runs() {
    let text = format!(
        "SELECT * FROM ({ALL}) AS s WHERE sale_id = $1 AND kafka_partition = $2 AND kafka_offset < $3 AND amount > $4
            AND sold_at >= $5 AND day = $6 AND clock < $7 AND rough > $8 AND kafka_offset = ANY($9)
            AND customer_id <> ALL($10) AND sale_id LIKE $11 AND several = $12"
    );
    let mut told = Vec::new();
    for client in both().await {
        let statement = client.prepare(&text).await.unwrap();
        let columns = statement.columns().iter();
        let columns = columns.map(|column| (column.name().to_owned(), column.type_().clone()));
        told.push((columns.collect::<Vec<_>>(), statement.params().to_vec()));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].1[8..10], [Type::INT8_ARRAY, Type::TEXT_ARRAY]);
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn numbers_keep_their_digits() {
    // Of what does not fit, both say the same.
    let texts = [
        "0",
        "0.01",
        "-12345678901234.56",
        "0.000000000000000001",
        "79228162514264337593543950335",
    ];
    let [ours, theirs] = both().await;
    for text in texts {
        let number: Decimal = text.parse().unwrap();
        let mut told = Vec::new();
        for client in [&ours, &theirs] {
            let query =
                "SELECT CAST($1 AS NUMERIC(38, 18)) = $1 AS same, CAST($1 AS NUMERIC(28, 2)) AS n";
            let row = client.query_one(query, &[&number]).await;
            let row = row.map(|row| (row.get::<_, bool>(0), row.get::<_, Decimal>(1)));
            told.push(row.map_err(|error| error.code().map(|code| code.code().to_owned())));
        }
        assert_eq!(told[0], told[1], "{text}");
    }
}
