//! `run` as its own process, against brokers in this one and a table on disk.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

/// A topic of two partitions and an empty lake.
struct Scene {
    broker: MockCluster<'static, DefaultProducerContext>,
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let broker = MockCluster::new(1).unwrap();
        broker.create_topic("sales", 2, 1).unwrap();
        Self {
            broker,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Sends messages, some to each partition.
    fn send(&self, values: impl Iterator<Item = String>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap_servers())
            .create()
            .unwrap();
        for (number, value) in values.enumerate() {
            let partition = i32::try_from(number % 2).unwrap();
            let record = BaseRecord::<(), str>::to("sales")
                .partition(partition)
                .payload(&value);
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(10)).unwrap();
    }

    fn table(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc");
        let mut command = Command::new(env!("CARGO_BIN_EXE_lake-writer"));
        command
            .current_dir(&self.folder)
            .env(
                "LAKE_WRITER__TABLE__URL",
                format!("file://{}", self.table().display()),
            )
            .env("LAKE_WRITER__TABLE__SCHEMA", schema)
            .env(
                "LAKE_WRITER__SOURCE__KAFKA__BOOTSTRAP_SERVERS",
                self.broker.bootstrap_servers(),
            )
            .args(arguments);
        command
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self
            .command(&[&["--output", "json"], arguments].concat())
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Rows of each published file, by its folder below `data/`.
    fn published(&self) -> Vec<(String, i64)> {
        let mut files = Vec::new();
        collect(&self.table().join("data"), &mut files);
        let mut rows: Vec<(String, i64)> = files
            .iter()
            .map(|file| {
                let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
                let folder = file.parent().unwrap().strip_prefix(self.table()).unwrap();
                (
                    folder.display().to_string(),
                    reader.metadata().file_metadata().num_rows(),
                )
            })
            .collect();
        rows.sort();
        rows
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn sale(number: usize, region: &str) -> String {
    format!(
        r#"{{"sale_id":"00000000-0000-4000-8000-{number:012}","sold_at":"2026-01-31T10:00:00Z",
        "region":"{region}","store_id":"S0001","product_id":"P1","product_name":"Thé","category":"x",
        "quantity":2,"unit_price":"1.50","amount":"3.00","currency":"EUR","customer_id":null,
        "channel":"web"}}"#
    )
}

/// A running writer, killed if the test fails before it ends.
struct Running {
    child: Child,
    errors: BufReader<ChildStderr>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child, errors }
    }

    /// Reads the log until a line holds `text`, and returns that line.
    fn until_logged(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.errors.read_line(&mut line).unwrap();
            assert!(read > 0, "the log ended without `{text}`:\n{seen}");
            if line.contains(text) {
                return line;
            }
            seen += &line;
        }
    }

    fn signal(&self, signal: libc::c_int) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: sends a signal to a child that was not waited for, so the id is still its own.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// Exit code and standard output, once it has ended.
    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.errors.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        let mut out = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut out)
            .unwrap();
        (status.code(), out)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut reply = String::new();
    connection.read_to_string(&mut reply).unwrap();
    reply
}

/// The value of a metric that has no label besides the table's.
fn figure(address: &str, name: &str) -> Option<String> {
    let scrape = get(address, "/metrics");
    let line = scrape
        .lines()
        .find(|line| line.starts_with(&format!("{name}{{")))?;
    line.rsplit(' ').next().map(ToOwned::to_owned)
}

#[test]
fn run_until_end_writes_what_is_there_and_stops() {
    // GIVEN sales of two regions, and two messages that are none
    let scene = Scene::new();
    let regions = ["Île-de-France", "Provence-Alpes-Côte d'Azur"];
    let sales = (0..100).map(|number| sale(number, regions[number / 50]));
    scene.send(sales.chain(["{".into(), "{}".into()]));

    // WHEN the writer runs to the end
    let summary = scene.json(&["run", "--until-end"]);

    // THEN every sale is in the folder of its region, and the rest are dead letters
    assert_eq!(summary["rows"], 100, "{summary}");
    assert_eq!(summary["dead_letters"], 2, "{summary}");
    assert_eq!(
        scene.published(),
        [
            (
                "data/date=2026-01-31/region=Provence-Alpes-Côte d%27Azur".to_owned(),
                50
            ),
            ("data/date=2026-01-31/region=Île-de-France".to_owned(), 50),
        ]
    );
    // AND the table is level with the topic
    let status = scene.json(&["status"]);
    assert_eq!(status["rows"], 100);
    for partition in status["partitions"].as_array().unwrap() {
        assert_eq!(partition["lag"], 0, "{status}");
        assert_eq!(partition["next"], 51, "{status}");
        assert_eq!(partition["dead_letters"], 1, "{status}");
    }

    // WHEN it runs once more THEN there is nothing to do
    let summary = scene.json(&["run", "--until-end"]);
    assert_eq!(summary["rows"], 0, "{summary}");
    assert_eq!(scene.published().len(), 2);
}

#[test]
fn a_plan_says_what_a_run_does_and_writes_nothing() {
    // GIVEN sales of two regions, and a message that is none
    let scene = Scene::new();
    let regions = ["Île-de-France", "Bretagne"];
    let sales = (0..60).map(|number| sale(number, regions[number / 30]));
    scene.send(sales.chain(["{".into()]));

    // WHEN they are planned
    let plan = scene.json(&["plan"]);

    // THEN the files, their rows and the dead letter are those to come, and nothing is there
    assert_eq!(plan["rows"], 60, "{plan}");
    assert_eq!(plan["dead_letters"], 1, "{plan}");
    assert_eq!(plan["reasons"]["truncated"], 1, "{plan}");
    let files = plan["commits"][0]["files"].as_array().unwrap();
    let planned: Vec<(String, i64)> = files
        .iter()
        .map(|file| {
            let (folder, _) = file["path"].as_str().unwrap().rsplit_once('/').unwrap();
            (folder.to_owned(), file["rows"].as_i64().unwrap())
        })
        .collect();
    assert!(!scene.table().exists());
    scene.json(&["run", "--until-end"]);
    assert_eq!(scene.published(), planned);

    // WHEN there is nothing left THEN the plan says so
    let plan = scene.json(&["plan"]);
    assert_eq!(plan["commits"].as_array().unwrap().len(), 0, "{plan}");

    // WHEN a range is asked for THEN it alone is looked at, written before or not
    let range = ["plan", "--partition", "1", "--from", "10", "--to", "20"];
    let plan = scene.json(&range);
    assert_eq!(plan["rows"], 10, "{plan}");
    let text = scene.command(&range).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("offsets by partition 1: 10..20"), "{text}");
    assert!(text.ends_with("nothing was written\n"), "{text}");
}

/// A demo of some seconds in this folder.
fn demo(folder: &Path, duration: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lake-writer"));
    command
        .args([
            "--output",
            "json",
            "demo",
            "--rate",
            "500",
            "--duration",
            duration,
        ])
        .arg("--dir")
        .arg(folder);
    command
}

fn figures(out: &str) -> (i64, i64, i64) {
    let report: serde_json::Value = serde_json::from_str(out).unwrap();
    let figure = |value: &serde_json::Value| value.as_i64().unwrap();
    let sales = figure(&report["sent"]) - figure(&report["malformed"]);
    (
        sales,
        figure(&report["written"]["rows"]),
        figure(&report["lake"]["rows"]),
    )
}

#[test]
fn a_demo_writes_every_sale_and_a_second_one_goes_on() {
    // GIVEN a folder with a name that needs care
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("l'été à Paris");

    // WHEN a demo runs in it
    let output = demo(&dir, "2s").output().unwrap();

    // THEN every sale is written
    assert!(output.status.success(), "{output:?}");
    let (sales, written, first) = figures(&String::from_utf8(output.stdout).unwrap());
    assert!(sales > 0);
    assert_eq!((written, first), (sales, sales));

    // WHEN another one follows, and is interrupted
    let mut second = Running::start(demo(&dir, "1h"));
    second.until_logged("   1 s  sent");
    second.signal(libc::SIGINT);
    let (code, out) = second.end();

    // THEN it ends in order, and the lake has the sales of both
    assert_eq!(code, Some(0), "{out}");
    let (sales, written, both) = figures(&out);
    assert_eq!((written, both), (sales, first + sales));

    // AND the settings beside the lake fit it
    let log = Command::new(env!("CARGO_BIN_EXE_lake-writer"))
        .arg("--config")
        .arg(dir.join("lake-writer.toml"))
        .args(["log", "--last", "1"])
        .output()
        .unwrap();
    assert!(
        String::from_utf8(log.stdout)
            .unwrap()
            .contains("  commit  "),
        "{:?}",
        log.stderr
    );
}

#[test]
fn a_signal_commits_what_is_in_hand() {
    // GIVEN a writer that would hold its rows for an hour, and tells how it is
    let scene = Scene::new();
    scene.send((0..40).map(|number| sale(number, "Bretagne")));
    let mut command = scene.command(&["--set", "rotation.max_age_ms=3600000", "run"]);
    command.env("LAKE_WRITER__TELEMETRY__LISTEN", "127.0.0.1:0");
    let mut writer = Running::start(command);
    let serving = writer.until_logged("serving /metrics");
    let address = serving.split("address=").nth(1).unwrap();
    let address = address.split_whitespace().next().unwrap().to_owned();
    writer.until_logged("reading from these offsets");

    // WHEN it has read everything
    while figure(&address, "lake_writer_messages_consumed_total") != Some("40".into()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    // THEN it is alive and ready, level with the topic, and nothing is published yet
    let level = "lake_writer_lag_seconds{";
    while !get(&address, "/metrics")
        .lines()
        .any(|line| line.starts_with(level))
    {
        std::thread::sleep(Duration::from_millis(10));
    }
    let scrape = get(&address, "/metrics");
    let lag = scrape.lines().filter(|line| line.starts_with(level));
    assert!(lag.clone().all(|line| line.ends_with(" 0.0")), "{scrape}");
    assert!(get(&address, "/livez").starts_with("HTTP/1.1 200"));
    assert!(
        get(&address, "/readyz").starts_with("HTTP/1.1 200"),
        "{}",
        get(&address, "/readyz")
    );
    assert_eq!(scene.published(), []);

    // WHEN it is asked to stop
    writer.signal(libc::SIGTERM);
    let (code, out) = writer.end();

    // THEN everything is published
    assert_eq!(code, Some(0));
    assert!(out.contains("committed 40 rows in 1 files"), "{out}");
    assert_eq!(
        scene.published().iter().map(|(_, rows)| rows).sum::<i64>(),
        40
    );
}

#[test]
fn a_second_signal_stops_at_once_with_code_7() {
    // GIVEN a writer that asks for brokers that never answer
    let scene = Scene::new();
    let mut command = scene.command(&["run"]);
    command
        .env(
            "LAKE_WRITER__SOURCE__KAFKA__BOOTSTRAP_SERVERS",
            "127.0.0.1:1",
        )
        .env("LAKE_WRITER__TELEMETRY__LISTEN", "127.0.0.1:0");
    let mut writer = Running::start(command);
    writer.until_logged("serving /metrics");

    // WHEN it is told to stop, two signals in a row being one wish, and then once more
    writer.signal(libc::SIGTERM);
    writer.signal(libc::SIGINT);
    writer.until_logged("one more signal stops at once");
    writer.signal(libc::SIGTERM);
    writer.until_logged("stopped at once");

    // THEN it does
    assert_eq!(writer.end().0, Some(7));
}

#[test]
fn a_store_that_does_not_answer_is_waited_for() {
    // GIVEN a store that nobody listens for
    let scene = Scene::new();
    let mut command = scene.command(&[
        "--set",
        "table.url=s3://bucket/lake",
        "--set",
        "store.s3.endpoint=http://127.0.0.1:1",
        "--set",
        "store.s3.allow_http=true",
        "--set",
        "store.call_timeout_ms=300",
        "run",
    ]);
    command
        .env("AWS_ACCESS_KEY_ID", "nobody")
        .env("AWS_SECRET_ACCESS_KEY", "nothing")
        .env("AWS_REGION", "eu-west-3");

    // WHEN the writer starts THEN it says so and waits
    let mut writer = Running::start(command);
    writer.until_logged("the store is out of reach");

    // WHEN it is told to stop THEN it does, with the store's code
    writer.signal(libc::SIGTERM);
    assert_eq!(writer.end().0, Some(4));
}

#[test]
fn a_topic_that_is_not_there_has_code_3() {
    let scene = Scene::new();
    let output = scene
        .command(&["--set", "source.kafka.topic=nothing", "run"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("nothing"), "{said}");
}

#[test]
fn a_table_of_another_shape_has_code_2() {
    // GIVEN a table that was begun by date and region
    let scene = Scene::new();
    scene.send((0..2).map(|number| sale(number, "Corse")));
    scene.json(&["run", "--until-end"]);

    // WHEN the settings say something else
    let output = scene
        .command(&["--set", "table.partition_by=channel", "run", "--until-end"])
        .output()
        .unwrap();

    // THEN the writer refuses, and says what the table is
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("date(sold_at)"), "{said}");
}
