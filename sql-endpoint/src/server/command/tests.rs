use super::*;
use datafusion_postgres::pgwire::error::ErrorInfo;

fn one(text: &str) -> Command {
    commands(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .remove(0)
}

fn code(text: &str) -> String {
    ErrorInfo::from(commands(text).unwrap_err()).code
}

fn assigned(name: &str, value: Option<&str>, local: bool) -> Command {
    Command::Set {
        name: name.into(),
        value: value.map(Into::into),
        local,
    }
}

#[test]
fn statements_are_told_apart_and_semicolons_in_strings_do_not_part_them() {
    let told = commands("SELECT 'O''Brien;' ;; /* ; */ COMMIT;").unwrap();
    assert_eq!(
        told,
        [Command::Query("SELECT 'O''Brien;'".into()), Command::Commit]
    );
    assert!(commands(" ; \n;").unwrap().is_empty());
}

#[test]
fn parameters_are_set_in_every_spelling_that_drivers_use() {
    for (text, expected) in [
        (
            "SET extra_float_digits = 3",
            assigned("extra_float_digits", Some("3"), false),
        ),
        (
            "set application_name to 'PostgreSQL JDBC Driver'",
            assigned("application_name", Some("PostgreSQL JDBC Driver"), false),
        ),
        (
            "SET SESSION DateStyle TO ISO, DMY",
            assigned("datestyle", Some("ISO, DMY"), false),
        ),
        (
            "SET LOCAL statement_timeout = 10",
            assigned("statement_timeout", Some("10"), true),
        ),
        (
            "SET TIME ZONE 'Europe/Paris'",
            assigned("timezone", Some("Europe/Paris"), false),
        ),
        ("SET TIME ZONE LOCAL", assigned("timezone", None, false)),
        (
            "SET NAMES 'UTF8'",
            assigned("client_encoding", Some("UTF8"), false),
        ),
        (
            "RESET statement_timeout",
            assigned("statement_timeout", None, false),
        ),
        (
            "SET datafusion.execution.batch_size = 1",
            assigned("datafusion.execution.batch_size", Some("1"), false),
        ),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            Command::SetTransaction,
        ),
        (
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            Command::SetTransaction,
        ),
        ("DISCARD ALL", Command::ResetAll { discard: true }),
        (
            "SHOW TRANSACTION ISOLATION LEVEL",
            Command::Show("transaction_isolation".into()),
        ),
    ] {
        assert_eq!(one(text), expected, "{text}");
    }
}

#[test]
fn cursors_are_read_forwards() {
    let query = "SELECT 1";
    for (text, expected) in [
        (
            "declare \"SQL_CUR1\" cursor with hold for SELECT 1",
            Command::Declare {
                name: "SQL_CUR1".into(),
                hold: true,
                query: query.into(),
            },
        ),
        (
            "DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR SELECT 1",
            Command::Declare {
                name: "c".into(),
                hold: false,
                query: query.into(),
            },
        ),
        (
            "fetch 100 in \"SQL_CUR1\"",
            Command::Fetch {
                name: "SQL_CUR1".into(),
                rows: Some(100),
                skip: false,
            },
        ),
        (
            "FETCH FORWARD ALL FROM c",
            Command::Fetch {
                name: "c".into(),
                rows: None,
                skip: false,
            },
        ),
        (
            "FETCH c",
            Command::Fetch {
                name: "c".into(),
                rows: Some(1),
                skip: false,
            },
        ),
        (
            "MOVE 5 IN c",
            Command::Fetch {
                name: "c".into(),
                rows: Some(5),
                skip: true,
            },
        ),
        (
            "close \"SQL_CUR1\"",
            Command::Close(Some("SQL_CUR1".into())),
        ),
    ] {
        assert_eq!(one(text), expected, "{text}");
    }
    assert_eq!(code("FETCH BACKWARD 1 FROM c"), "55000");
    assert_eq!(code("DECLARE c SCROLL CURSOR FOR SELECT 1"), "0A000");
    assert_eq!(code("DECLARE c CURSOR FOR DELETE FROM sales"), "42601");
}

#[test]
fn whatever_is_not_a_question_is_refused() {
    for text in [
        "INSERT INTO sales VALUES (1)",
        "update sales set amount = 0",
        "DELETE FROM sales",
        "CREATE TABLE x (a int)",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "COPY sales TO '/tmp/x'",
        "COPY (SELECT 1) TO STDOUT",
        "DROP TABLE sales",
    ] {
        assert_eq!(code(text), "25006", "{text}");
    }
    for text in [
        "CREATE TEMPORARY TABLE x AS SELECT 1",
        "create local temp table x (a int)",
        "CREATE GLOBAL TEMPORARY TABLE x (a int)",
    ] {
        assert_eq!(code(text), "42501", "{text}");
    }
    assert_eq!(code("GRAB 1"), "42601");
    assert_eq!(code("SELECT 'open"), "42601");
    assert_eq!(code("SET ROLE admin"), "42501");
}
