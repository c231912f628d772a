//! The command as it is typed, without a broker.

// The functions beside the tests are tests too; the lint does not see that.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const TWO_DAYS: [&str; 6] = ["--from", "2026-01-30", "--days", "2", "--seed", "42"];

fn producer(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sales-producer"));
    // A variable of the developer's shell is not to decide a test.
    for name in ["BOOTSTRAP", "TOPIC", "PROPERTIES_FILE"] {
        command.env_remove(format!("SALES_PRODUCER_{name}"));
    }
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

fn with<'a>(first: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [first, more].concat()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn lines_on_standard_output_and_the_summary_in_a_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("summary.json");
    let file = path.to_str().unwrap();
    let args = with(
        &TWO_DAYS,
        &["--to-stdout", "--count", "500", "--summary-file", file],
    );
    let output = producer(&args);
    assert!(output.status.success());
    let lines: Vec<Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(lines.len(), 500);
    assert_eq!(summary["rows"], 500);
    assert_eq!(summary["outcome"], "complete");
    assert_eq!(summary["seed"], 42);
    let bretagne = lines
        .iter()
        .filter(|sale| sale["region"] == "Bretagne")
        .count();
    assert_eq!(summary["by_region"]["Bretagne"]["rows"], bretagne);
    let dates = summary["by_date"].as_object().unwrap();
    assert_eq!(
        dates.keys().collect::<Vec<_>>(),
        ["2026-01-30", "2026-01-31"]
    );
    let cells = summary["by_date_and_region"].as_array().unwrap();
    let cents = |value: &Value| {
        value
            .as_str()
            .unwrap()
            .replace('.', "")
            .parse::<i64>()
            .unwrap()
    };
    let sum: i64 = cells.iter().map(|cell| cents(&cell["amount"])).sum();
    assert_eq!(sum, cents(&summary["amount"]));
    // The text of the summary does not mix with the lines.
    assert!(text(&output.stderr).contains("rows 500"));
}

#[test]
fn what_was_written_replays_as_the_same_sales() {
    // GIVEN lines with duplicates and malformed ones. WHEN replayed as Avro, skipping bad lines.
    // THEN the oracle says the same of both.
    let dir = TempDir::new().unwrap();
    let lines = dir.path().join("sales.ndjson");
    let faults = [
        "--duplicate-ratio",
        "0.1",
        "--malformed-ratio",
        "0.05",
        "--json-style",
        "mixed",
    ];
    let first = dir.path().join("first.json");
    let args = with(
        &with(&TWO_DAYS, &faults),
        &[
            "--to-stdout",
            "--count",
            "2000",
            "--summary-file",
            first.to_str().unwrap(),
        ],
    );
    std::fs::write(&lines, producer(&args).stdout).unwrap();
    let output = producer(&[
        "--from-file",
        lines.to_str().unwrap(),
        "--bad-lines",
        "skip",
        "--dry-run",
        "--format",
        "avro",
        "--output",
        "json",
    ]);
    let first: Value = serde_json::from_slice(&std::fs::read(first).unwrap()).unwrap();
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in [
        "rows",
        "distinct_sale_ids",
        "amount",
        "duplicates",
        "by_date_and_region",
    ] {
        assert_eq!(first[key], again[key], "{key}");
    }
    assert!(first["duplicates"].as_u64().unwrap() > 0);
    // An empty line is a malformed message, but no line of a file.
    let empty = first["malformed_by_flaw"]["empty"].as_u64().unwrap();
    assert_eq!(
        again["skipped_lines"],
        first["malformed"].as_u64().unwrap() - empty
    );
}

#[test]
fn exit_codes_and_errors_say_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    let csv = dir.path().join("a.csv");
    std::fs::write(&csv, "a;b\n").unwrap();
    let csv = csv.to_str().unwrap();
    let unreachable = [
        "--bootstrap",
        "127.0.0.1:1",
        "--connect-timeout",
        "1",
        "--count",
        "1",
    ];
    for (args, code, word) in [
        (vec!["--days", "2"], 2, "--from"),
        (vec!["--rate", "fast"], 2, "max"),
        (
            with(&unreachable, &["-X", "lingr.ms=hunter2"]),
            2,
            "lingr.ms",
        ),
        (unreachable.to_vec(), 3, "127.0.0.1:1"),
        (vec!["--dry-run", "--from-file", csv], 6, "--map"),
        (
            vec![
                "--dry-run",
                "--count",
                "1",
                "--summary-file",
                "/missing/a.json",
            ],
            7,
            "/missing",
        ),
    ] {
        let output = producer(&args);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(
            stderr.contains(word) && !stderr.contains("hunter2"),
            "{args:?}: {stderr}"
        );
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sales-producer"))
        .args(["--to-stdout", "--rate", "max", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut reader, &mut first).unwrap();
    drop(reader);
    assert!(child.wait().unwrap().success());
    assert!(first.starts_with("{\"sale_id\""));
}

#[test]
fn a_signal_ends_an_endless_run_with_its_summary() {
    // GIVEN an endless run that has written its first line. WHEN it is told to stop. THEN it ends
    // well, and what it says about itself is what it wrote.
    let mut child = Command::new(env!("CARGO_BIN_EXE_sales-producer"))
        .args(["--to-stdout", "--rate", "2000", "--output", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut reader, &mut first).unwrap();
    // SAFETY: the child has not been waited for, so the number is still its own.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
    let rest = std::io::BufRead::lines(reader).count();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let summary: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(summary["outcome"], "interrupted");
    assert_eq!(summary["rows"], rest as u64 + 1);
}

#[test]
fn help_and_completions() {
    let help = text(&producer(&["--help"]).stdout);
    for word in [
        "Examples:",
        "Exit codes:",
        "--duplicate-ratio",
        "--from-file",
    ] {
        assert!(help.contains(word), "{word}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&producer(&["completions", shell]).stdout);
        assert!(script.contains("malformed-ratio"), "{shell}");
    }
}
