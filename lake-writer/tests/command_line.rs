//! The command as people run it: its own process, its output and its exit codes.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use lake_writer::clock::{Chance, SystemClock};
use lake_writer::commit::Log;
use lake_writer::commit::record::{Claim, ClaimedSource, Commit, CommittedRange, Definition};
use lake_writer::source::{OffsetRange, SourcePartition};
use lake_writer::store::local::LocalStore;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

/// A working folder with nothing around it that the command could pick up.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("lake/été").display())
    }

    fn lake_writer(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lake-writer"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LAKE_WRITER") {
                command.env_remove(name);
            }
        }
        command
            .current_dir(&self.folder)
            .env("LAKE_WRITER__TABLE__URL", self.url())
            .args(arguments)
            .output()
            .unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// A broker with the topic `sales`, whose partitions hold 10 messages and none.
fn broker() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("sales", 2, 1).unwrap();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .create()
        .unwrap();
    for _ in 0..10 {
        let record = BaseRecord::<(), str>::to("sales")
            .partition(0)
            .payload("{}");
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
    cluster
}

/// A log with a claim of partition 0 and a commit of its first seven messages.
fn write_log(root: &Path, topic_id: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(LocalStore::new(root, Duration::from_secs(5)));
        let definition = Definition {
            partition_by: vec!["date(sold_at)".into(), "region".into()],
            time_zone: "UTC".into(),
            columns: vec![("sold_at".into(), "Timestamp".into())],
        };
        let clock = Arc::new(SystemClock::new());
        let mut log = Log::open(store, clock, Chance::from_seed(7), definition)
            .await
            .unwrap();
        let source = SourcePartition {
            topic_id: topic_id.into(),
            partition: 0,
        };
        let claim = Claim {
            topic: "sales".into(),
            sources: vec![ClaimedSource {
                source: source.clone(),
                first: 0,
            }],
            begins: Vec::new(),
        };
        let held = log.claim(claim).await.unwrap();
        let commit = Commit {
            ranges: vec![CommittedRange {
                source,
                range: OffsetRange::new(0, 7),
                epoch: held[0].1.epoch,
                rows: 0,
                dead_letters: 5,
                tombstones: 2,
                lost: 0,
            }],
            files: Vec::new(),
            dead: Vec::new(),
        };
        log.commit(commit).await.unwrap();
    });
}

#[test]
fn wrong_words_and_wrong_settings_have_code_2() {
    let desk = Desk::new();
    // GIVEN a command that does not exist THEN the nearest one is named
    let output = desk.lake_writer(&["statsu"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("status"), "{}", err(&output));

    // GIVEN a settings file with two mistakes THEN both are said
    std::fs::write(
        desk.path("lake-writer.toml"),
        "[tabel]\n[memory]\nbudget_bytes = 1\n",
    )
    .unwrap();
    let output = desk.lake_writer(&["config", "check"]);
    assert_eq!(code(&output), 2);
    let said = err(&output);
    assert!(
        said.contains("lake-writer.toml:1: `tabel` is not a known key"),
        "{said}"
    );
    assert!(
        said.contains("lake-writer.toml:3: `memory.budget_bytes`"),
        "{said}"
    );
    assert_eq!(out(&output), "");

    // AND as JSON for programs
    let output = desk.lake_writer(&["--output", "json", "config", "check"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(said["error"]["kind"], "usage");

    // GIVEN a file that is named and not there THEN so
    let output = desk.lake_writer(&["--config", "other.toml", "config", "print"]);
    assert_eq!(code(&output), 2);
    assert!(err(&output).contains("other.toml"), "{}", err(&output));
}

#[test]
fn help_version_completions_and_manual_are_there() {
    let desk = Desk::new();
    let help = desk.lake_writer(&["--help"]);
    assert_eq!(code(&help), 0);
    for expected in [
        "status",
        "log",
        "config",
        "--config <FILE>",
        "Examples:",
        "Exit codes:",
    ] {
        assert!(out(&help).contains(expected), "{expected}: {}", out(&help));
    }
    let version = desk.lake_writer(&["--version"]);
    assert_eq!(
        out(&version),
        format!("lake-writer {}\n", env!("CARGO_PKG_VERSION"))
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.lake_writer(&["completions", shell]);
        assert_eq!(code(&script), 0);
        assert!(out(&script).contains("lake-writer"), "{shell}");
    }
    let pages = desk.path("man");
    assert_eq!(
        code(&desk.lake_writer(&["man", "--dir", pages.to_str().unwrap()])),
        0
    );
    assert!(pages.join("lake-writer-status.1").exists());
}

#[test]
fn settings_in_force_are_printed_without_secrets() {
    // GIVEN a file that names a file with a secret
    let desk = Desk::new();
    std::fs::write(desk.path("pw"), "hush\n").unwrap();
    let file =
        "[source.kafka.client]\n\"sasl.password_file\" = \"pw\"\n\"sasl.username\" = \"u\"\n";
    std::fs::write(desk.path("lake-writer.toml"), file).unwrap();

    // WHEN it is printed, both ways
    let text = out(&desk.lake_writer(&["--set", "rotation.max_rows=9", "config", "print"]));
    let lines = json(&desk.lake_writer(&["--output", "json", "config", "print"]));

    // THEN everything is there but the secret
    assert!(text.contains("max_rows = 9"), "{text}");
    assert!(
        text.contains("\"sasl.password\" = \"[redacted]\""),
        "{text}"
    );
    assert!(text.contains("\"sasl.username\" = \"u\""), "{text}");
    assert!(!text.contains("hush") && !lines.to_string().contains("hush"));
    let url = lines
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["key"] == "table.url")
        .unwrap();
    assert_eq!(url["value"], desk.url());
    assert_eq!(url["origin"], "environment LAKE_WRITER__TABLE__URL");
}

#[test]
fn status_and_log_show_where_a_table_stands() {
    // GIVEN a topic of two partitions, and a table that has seven of ten messages of the first
    let desk = Desk::new();
    let broker = broker();
    let servers = format!(
        "source.kafka.bootstrap_servers={}",
        broker.bootstrap_servers()
    );
    let empty = json(&desk.lake_writer(&["--set", &servers, "--output", "json", "status"]));
    let topic_id = empty["partitions"][0]["topic_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(empty["head"], serde_json::Value::Null);
    assert_eq!(empty["partitions"][0]["lag"], 10);
    write_log(&desk.path("lake/été"), &topic_id);

    // WHEN its status is asked for
    let output = desk.lake_writer(&["--set", &servers, "--output", "json", "status"]);
    let status = json(&output);

    // THEN log and brokers are put together
    assert_eq!(code(&output), 0);
    assert_eq!(status["table"], desk.url());
    assert_eq!(status["head"], 2);
    assert_eq!(status["commits"], 1);
    assert_eq!(status["brokers"], serde_json::Value::Null);
    let first = &status["partitions"][0];
    assert_eq!(first["next"], 7);
    assert_eq!(first["high"], 10);
    assert_eq!(first["lag"], 3);
    assert_eq!(first["dead_letters"], 5);
    assert_eq!(first["tombstones"], 2);
    assert_eq!(first["epoch"], 1);
    let second = &status["partitions"][1];
    assert_eq!(second["next"], serde_json::Value::Null);
    assert_eq!(second["lag"], 0);
    // AND for people
    let text = out(&desk.lake_writer(&["--set", &servers, "status"]));
    assert!(text.contains("log        at record 2, 1 commits"), "{text}");
    assert!(text.contains("partition  next  low  high  lag"), "{text}");

    // WHEN the log is asked for THEN each record is a line
    let text = out(&desk.lake_writer(&["log"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[0].contains("table   partitioned by date(sold_at), region in UTC"),
        "{text}"
    );
    assert!(lines[1].contains("claim   sales partition 0"), "{text}");
    assert!(
        lines[2].contains("5 dead letters, 2 tombstones; partition 0: 0..7"),
        "{text}"
    );
    let last = desk.lake_writer(&["--output", "json", "log", "--last", "1"]);
    assert_eq!(json(&last)["number"], 2);
    assert_eq!(json(&last)["kind"], "commit");
    let from = out(&desk.lake_writer(&["log", "--from", "1"]));
    assert_eq!(from.lines().count(), 2, "{from}");
}

#[test]
fn status_goes_on_without_brokers() {
    // GIVEN a table whose brokers do not answer
    let desk = Desk::new();
    write_log(&desk.path("lake/été"), "some-topic");

    // WHEN its status is asked for
    let output = desk.lake_writer(&[
        "--set",
        "source.kafka.bootstrap_servers=127.0.0.1:1",
        "status",
    ]);

    // THEN the log's part is shown, and why the rest is missing
    assert_eq!(code(&output), 0, "{}", err(&output));
    let text = out(&output);
    assert!(text.contains("at record 2"), "{text}");
    assert!(text.contains("brokers    no figures: "), "{text}");
}

#[test]
fn a_damaged_log_has_code_6() {
    // GIVEN a log whose first claim somebody removed
    let desk = Desk::new();
    write_log(&desk.path("lake/été"), "some-topic");
    std::fs::remove_file(desk.path("lake/été/log/00000000000000000001.json")).unwrap();

    // WHEN it is shown, or added up THEN the record is named
    for command in ["log", "status"] {
        let output = desk.lake_writer(&[command]);
        assert_eq!(code(&output), 6, "{command}: {output:?}");
        assert!(
            err(&output).contains("record 1"),
            "{command}: {}",
            err(&output)
        );
    }
}

#[test]
fn config_check_looks_at_schema_topic_and_store() {
    // GIVEN sound settings and a schema
    let desk = Desk::new();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc");
    let schema = format!("table.schema={}", schema.display());
    let broker = broker();
    let servers = format!(
        "source.kafka.bootstrap_servers={}",
        broker.bootstrap_servers()
    );
    let sound = ["--set", &schema, "--set", &servers, "config", "check"];

    // WHEN they are checked, offline and online THEN all is well, and nothing is left behind
    assert_eq!(code(&desk.lake_writer(&sound)), 0);
    assert!(!desk.path("lake").exists());
    let output = desk.lake_writer(&[&sound[..], &["--connect"]].concat());
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(
        out(&output).contains("`sales` with 2 partitions"),
        "{}",
        out(&output)
    );
    assert!(
        out(&output).contains("never overwrites"),
        "{}",
        out(&output)
    );

    // GIVEN a topic that is not there THEN it is the source's fault
    let set = ["--set", "source.kafka.topic=nothing"];
    let output = desk.lake_writer(&[&set, &sound[..], &["--connect"]].concat());
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(out(&output).contains("WRONG  topic"), "{}", out(&output));

    // GIVEN columns that the schema does not have THEN each is named
    for set in [
        "table.partition_by=date(sold_at),regoin",
        "table.sort_by=sold_ta",
        "parquet.bloom_filter_columns=customer",
    ] {
        let output = desk.lake_writer(&[&["--set", set], &sound[..]].concat());
        assert_eq!(code(&output), 2, "{output:?}");
        let wrong = set.split(['=', ',']).next_back().unwrap();
        assert!(out(&output).contains(wrong), "{}", out(&output));
    }

    // GIVEN no schema THEN that is said, and the rest is looked at all the same
    let output = desk.lake_writer(&["--output", "json", "config", "check"]);
    assert_eq!(code(&output), 2);
    let findings = json(&output);
    assert_eq!(findings[1]["what"], "table");
    assert_eq!(findings[1]["sound"], false);
    assert_eq!(findings[3]["sound"], true);
}
