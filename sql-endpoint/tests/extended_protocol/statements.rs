//! Statements: many at once, a few rows at a time, in transactions, cancelled and refused.

use std::time::Duration;

use futures::TryStreamExt as _;
use futures::future::join_all;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

use crate::servers::{both, code, encrypted, ours, plain};

const SLOW: &str =
    "SELECT count(*) FROM sales_lake a CROSS JOIN sales_lake b CROSS JOIN sales_lake c
    WHERE a.amount + b.amount < c.amount";

async fn count(client: &Client, condition: &str) -> i64 {
    let text = format!("SELECT count(*) FROM sales_lake WHERE {condition}");
    client.query_one(&text, &[]).await.unwrap().get(0)
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn statements_that_are_sent_at_once_are_answered_in_order() {
    for client in both().await {
        let expected = count(&client, "quantity = 1").await;
        let good = client
            .prepare("SELECT count(*) FROM sales_lake WHERE quantity = $1")
            .await
            .unwrap();
        let bad = client
            .prepare("SELECT 10 / (quantity - $1) FROM sales_lake")
            .await
            .unwrap();
        // Everything is on its way before the first answer comes; each has its own end.
        let asked = (0..40).map(|number| {
            let (client, statement) = (&client, if number % 8 == 3 { &bad } else { &good });
            async move { client.query(statement, &[&1_i32]).await }
        });
        for (number, told) in join_all(asked).await.into_iter().enumerate() {
            match number % 8 {
                3 => assert_eq!(code(told), "22012"),
                _ => assert_eq!(told.unwrap()[0].get::<_, i64>(0), expected),
            }
        }
    }
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn portals_give_so_many_rows_as_are_asked_for() {
    let text =
        "SELECT kafka_offset FROM sales_lake WHERE kafka_partition = $1 ORDER BY kafka_offset";
    let mut told = Vec::new();
    for mut client in both().await {
        let transaction = client.transaction().await.unwrap();
        let statement = transaction.prepare(text).await.unwrap();
        let first = transaction.bind(&statement, &[&0_i32]).await.unwrap();
        let second = transaction.bind(&statement, &[&1_i32]).await.unwrap();
        let mut rows = Vec::new();
        // One after the other, while both are open.
        for (portal, most) in [
            (&first, 10),
            (&second, 3),
            (&first, 25),
            (&second, 0),
            (&first, 0),
        ] {
            let page = transaction.query_portal(portal, most).await.unwrap();
            assert!(most == 0 || i32::try_from(page.len()).unwrap() == most);
            rows.push(
                page.iter()
                    .map(|row| row.get::<_, i64>(0))
                    .collect::<Vec<_>>(),
            );
        }
        assert!(
            transaction
                .query_portal(&first, 5)
                .await
                .unwrap()
                .is_empty()
        );
        told.push(rows);
        transaction.commit().await.unwrap();
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn cursors_are_declared_with_parameters() {
    let mut told = Vec::new();
    for mut client in both().await {
        let transaction = client.transaction().await.unwrap();
        let text = "DECLARE chosen CURSOR FOR SELECT kafka_offset FROM sales_lake
            WHERE quantity >= $1 AND region = ANY($2) ORDER BY kafka_partition, kafka_offset";
        let values: [&(dyn ToSql + Sync); 2] = [&2_i32, &vec!["Bretagne", "Corse"]];
        transaction.execute(text, &values).await.unwrap();
        let mut rows = Vec::new();
        for most in ["3", "4", "ALL"] {
            let page = transaction
                .query(&format!("FETCH {most} FROM chosen"), &[])
                .await
                .unwrap();
            rows.push(
                page.iter()
                    .map(|row| row.get::<_, i64>(0))
                    .collect::<Vec<_>>(),
            );
        }
        assert_eq!((rows[0].len(), rows[1].len()), (3, 4));
        told.push(rows);
        transaction.commit().await.unwrap();
        // Outside of a transaction there is nothing that it could live in.
        assert_eq!(code(client.execute(text, &values).await), "25P01");
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn transactions_end_well_or_are_given_up() {
    for mut client in both().await {
        let transaction = client.transaction().await.unwrap();
        let zone = "SET LOCAL TimeZone = 'Asia/Kolkata'";
        transaction.batch_execute(zone).await.unwrap();
        let shown = transaction.query_one("SHOW TimeZone", &[]).await.unwrap();
        assert_eq!(shown.get::<_, &str>(0), "Asia/Kolkata");
        transaction.rollback().await.unwrap();
        let shown = client.query_one("SHOW TimeZone", &[]).await.unwrap();
        assert_eq!(shown.get::<_, &str>(0), "UTC");

        let mut transaction = client.transaction().await.unwrap();
        let inner = transaction.savepoint("here").await.unwrap();
        assert_eq!(
            code(inner.query("SELECT nothing FROM sales_lake", &[]).await),
            "42703"
        );
        assert_eq!(code(inner.query("SELECT 1", &[]).await), "25P02");
        inner.rollback().await.unwrap();
        transaction.query("SELECT 1", &[]).await.unwrap();
        transaction.commit().await.unwrap();

        // One that is dropped is rolled back before the next statement.
        let transaction = client.transaction().await.unwrap();
        transaction.query("SELECT 1", &[]).await.unwrap();
        drop(transaction);
        assert!(count(&client, "quantity > 0").await > 0);
    }
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn a_statement_is_cancelled_and_the_session_goes_on() {
    for client in both().await {
        let token = client.cancel_token();
        let stop = async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let (told, ()) = tokio::join!(client.query(SLOW, &[]), stop);
        assert_eq!(code(told), "57014");
        client.query("SELECT 1", &[]).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn rows_come_while_they_are_read() {
    for client in both().await {
        let pairs = "SELECT a.sale_id, b.sale_id FROM sales_lake a CROSS JOIN sales_lake b";
        let none: [i32; 0] = [];
        let rows = client.query_raw(pairs, none).await.unwrap();
        let mut rows = Box::pin(rows);
        for _ in 0..5_000 {
            assert!(rows.try_next().await.unwrap().is_some());
        }
    }
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn errors_have_the_codes_of_postgresql() {
    for (text, values) in [
        ("SELECT * FROM nothing", 0),
        ("SELECT nothing FROM sales_lake", 0),
        ("SELEC 1", 0),
        ("SELECT no_such_function(1)", 0),
        ("SELECT region, count(*) FROM sales_lake", 0),
        ("SET TimeZone = 'Mars/Olympus'", 0),
        ("SELECT quantity / (quantity - quantity) FROM sales_lake", 0),
        ("SELECT 10 / $1::int FROM sales_lake", 1),
    ] {
        let mut told = Vec::new();
        for client in both().await {
            let given: Vec<&(dyn ToSql + Sync)> = vec![&0_i32; values];
            told.push(code(client.query(text, &given).await));
            client.query("SELECT 1", &[]).await.unwrap();
        }
        assert_eq!(told[0], told[1], "{text}");
    }
}

#[tokio::test]
#[ignore = "needs lake-sql and PostgreSQL"]
async fn passwords_are_checked_over_tls() {
    let client = encrypted().await.unwrap();
    let setting = "SELECT setting FROM pg_settings WHERE name = $1";
    let row = client.query_one(setting, &[&"ssl"]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "on");
    assert!(plain().await.is_err(), "not without it");
    assert!(count(&ours().await, "quantity > 0").await > 0);
}
