//! Settings as people write them, right and wrong.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::*;

/// A folder with a settings file and whatever else a test puts beside it.
struct Desk {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Desk {
    fn with_file(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lake-writer.toml");
        std::fs::write(&file, text).unwrap();
        Self {
            folder,
            sources: Sources {
                file: Some(file),
                ..Sources::default()
            },
        }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((OsString::from(name), value.into()));
        self
    }

    fn flag(mut self, flag: &str) -> Self {
        self.sources.flags.push(flag.into());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Loaded {
        load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The problems as printed, with the folder cut off.
    fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        match load(&self.sources) {
            Ok(_) => Vec::new(),
            Err(error) => error
                .problems
                .iter()
                .map(|problem| problem.to_string().replace(&folder, ""))
                .collect(),
        }
    }
}

const MINIMAL: &str = "[table]\nurl = \"file:///lake/sales\"\n";

#[test]
fn the_file_in_the_readme_is_understood() {
    // GIVEN a file with every kind of value
    let desk = Desk::with_file(
        r#"
        [source.kafka]
        bootstrap_servers = "k1:9092,k2:9092"
        topic = "ventes"
        format = "avro"
        [source.kafka.client]
        security.protocol = "SASL_SSL"
        "socket.timeout.ms" = 10_000
        "enable.sparse.connections" = true
        [table]
        url = "hdfs://localhost:9000/lake/Île-de-France"
        schema = "schemas/vente.avsc"
        partition_by = ["date(sold_at)", "region"]
        time_zone = "Europe/Paris"
        [rotation]
        max_rows = 1_000
        [store.s3]
        path_style = false
        "#,
    );

    // WHEN it is loaded
    let loaded = desk.load();
    let settings = &loaded.settings;

    // THEN each value is where it belongs, properties as text whatever they were written as
    assert_eq!(settings.source.kafka.format, Format::Avro);
    let client = &settings.source.kafka.client;
    assert_eq!(client["security.protocol"], "SASL_SSL");
    assert_eq!(client["socket.timeout.ms"], "10000");
    assert_eq!(client["enable.sparse.connections"], "true");
    assert_eq!(
        settings.table.url,
        "hdfs://localhost:9000/lake/Île-de-France"
    );
    assert_eq!(settings.rotation.max_rows, 1_000);
    assert_eq!(settings.store.s3.path_style, Some(false));
    // AND what was not written has its default
    assert_eq!(settings.rotation.max_age_ms, 60_000);
    // AND a relative path counts from the file's folder
    assert_eq!(settings.table.schema, desk.path("schemas/vente.avsc"));
}

#[test]
fn the_environment_is_stronger_than_the_file_and_the_command_line_than_both() {
    // GIVEN a file, an environment and flags that disagree
    let desk = Desk::with_file(
        "[table]\nurl = \"file:///a\"\n[rotation]\nmax_rows = 1\nmax_bytes = 2\nmax_age_ms = 3\n",
    )
    .env("LAKE_WRITER__ROTATION__MAX_BYTES", "1_000")
    .env("LAKE_WRITER__ROTATION__MAX_AGE_MS", "20")
    .env("LAKE_WRITER__TABLE__PARTITION_BY", "hour(sold_at), channel")
    .env("LAKE_WRITER__TABLE__SORT_BY", "[\"sold_at\"]")
    .env("LAKE_WRITER__STORE__S3__ALLOW_HTTP", "true")
    .env("LAKE_WRITER__TABLE__SCHEMA", "here.avsc")
    .env("LAKE_WRITER_PORT", "tcp://10.0.0.1:80")
    .env("PATH", "/bin")
    .flag("rotation.max_age_ms=300");

    // WHEN they are loaded
    let loaded = desk.load();
    let settings = &loaded.settings;

    // THEN the stronger wins, typed by its key
    assert_eq!(settings.rotation.max_rows, 1);
    assert_eq!(settings.rotation.max_bytes, 1_000);
    assert_eq!(settings.rotation.max_age_ms, 300);
    assert_eq!(settings.table.partition_by, ["hour(sold_at)", "channel"]);
    assert_eq!(settings.table.sort_by, ["sold_at"]);
    assert!(settings.store.s3.allow_http);
    // AND a path from the environment counts from the working folder
    assert_eq!(settings.table.schema, Path::new("here.avsc"));
    // AND each says where it is from
    assert_eq!(loaded.origin("rotation.max_age_ms"), Origin::Flag);
    assert_eq!(
        loaded.origin("rotation.max_bytes").to_string(),
        "environment LAKE_WRITER__ROTATION__MAX_BYTES"
    );
    assert!(
        loaded
            .origin("rotation.max_rows")
            .to_string()
            .ends_with("lake-writer.toml:4")
    );
    assert_eq!(loaded.origin("memory.budget_bytes"), Origin::Default);
}

#[test]
fn properties_come_from_the_environment_by_their_own_names() {
    // GIVEN properties in the file, one by one in the environment, whole, and by flag
    let desk = Desk::with_file(&format!(
        "{MINIMAL}[source.kafka.client]\n\"client.id\" = \"a\"\n\"log_level\" = 1\n"
    ))
    .env(
        "LAKE_WRITER__SOURCE__KAFKA__CLIENT__SECURITY_PROTOCOL",
        "SSL",
    )
    .env(
        "LAKE_WRITER__SOURCE__KAFKA__CLIENT__ssl_ca_location",
        "/ca.pem",
    )
    .env("LAKE_WRITER__SOURCE__KAFKA__CLIENT__LOG_LEVEL", "7")
    .env(
        "LAKE_WRITER__STORE__HDFS__PROPERTIES",
        "{ \"dfs.client.use-datanode-hostname\" = true }",
    )
    .flag("source.kafka.client.socket.timeout.ms=5");

    // WHEN they are loaded
    let settings = desk.load().settings;

    // THEN all are there, under the names that the clients know
    let client: Vec<(&str, &str)> = settings
        .source
        .kafka
        .client
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        client,
        [
            ("client.id", "a"),
            ("log_level", "7"),
            ("security.protocol", "SSL"),
            ("socket.timeout.ms", "5"),
            ("ssl.ca.location", "/ca.pem"),
        ]
    );
    let hdfs = &settings.store.hdfs.properties;
    assert_eq!(hdfs["dfs.client.use-datanode-hostname"], "true");
}

#[test]
fn secrets_are_read_from_files_and_shown_nowhere() {
    // GIVEN a password in a file beside the settings, and one in the environment
    let desk = Desk::with_file(&format!(
        "{MINIMAL}[source.kafka.client]\n\"sasl.password_file\" = \"secret.txt\"\n"
    ))
    .env(
        "LAKE_WRITER__SOURCE__KAFKA__CLIENT__SSL_KEY_PASSWORD",
        "hush-2",
    );
    std::fs::write(desk.path("secret.txt"), "hush-1\r\n").unwrap();

    // WHEN they are loaded
    let loaded = desk.load();
    let client = &loaded.settings.source.kafka.client;

    // THEN the client gets both, without the file's line end
    assert_eq!(client["sasl.password"], "hush-1");
    assert_eq!(client["ssl.key.password"], "hush-2");
    assert!(!client.contains_key("sasl.password_file"));
    // AND no print shows them
    let lines = serde_json::to_string(&effective(&loaded)).unwrap();
    for printed in [format!("{loaded:?}"), effective_toml(&loaded), lines] {
        assert!(!printed.contains("hush"), "{printed}");
        assert!(printed.contains(REDACTED), "{printed}");
    }
    assert!(
        loaded
            .origin("source.kafka.client.sasl.password")
            .to_string()
            .contains("secret.txt")
    );
}

#[test]
fn a_secret_file_in_the_environment_is_read_too() {
    let desk = Desk::with_file(MINIMAL);
    std::fs::write(desk.path("pw"), "hush").unwrap();
    let path = desk.path("pw").display().to_string();
    let desk = desk.env(
        "LAKE_WRITER__SOURCE__KAFKA__CLIENT__SASL_PASSWORD__FILE",
        &path,
    );
    assert_eq!(
        desk.load().settings.source.kafka.client["sasl.password"],
        "hush"
    );
}

#[test]
fn all_problems_are_said_at_once_each_with_place_and_remedy() {
    // GIVEN a file with a mistake of each sort, and more in environment and flags
    let desk = Desk::with_file(
        r#"[table]
ulr = "file:///a"
url = "ftp://host/a"
time_zone = "Europe/Pariss"
partition_by = "region"
[source.kafka]
format = "jsn"
topic = "Île"
[source.kafka.client]
"client.id" = "x"
"a.list" = [1]
"sasl.password_file" = "none.txt"
[rotation]
max_rows = -1
max_bytes = 0
max_age_ms = 99999999999999999999
[rotatoin]
max_rows = 1
[parquet]
compression_level = 23
[store]
s3 = true
"#,
    )
    .env("LAKE_WRITER__TABLE__URI", "x")
    .env("LAKE_WRITER__MEMORY__BUDGET_BYTES", "lots")
    .flag("telemetry.log_fomat=json")
    .flag("telemetry.listen");

    // WHEN it is loaded THEN every one is named, with what to do
    let file = "lake-writer.toml";
    let expected = BTreeSet::from([
        format!("{file}:2: `table.ulr` is not a known key; the nearest known one is `table.url`"),
        format!("{file}:3: `table.url` is of an unknown kind, `ftp`; write file:///folder, hdfs://host:port/folder or s3://bucket/prefix"),
        format!("{file}:4: `table.time_zone` is `Europe/Pariss`, which is no IANA time zone; the nearest is `Europe/Paris`"),
        format!("{file}:5: `table.partition_by` is a text; write a list of texts, such as [\"one\", \"two\"]"),
        format!("{file}:7: `source.kafka.format` cannot be `jsn`, the nearest is `json`; write one of `json`, `avro`"),
        format!("{file}:8: `source.kafka.topic` is `Île`, which no topic can be called; use 1 to 249 ASCII letters, digits, `.`, `_` and `-`"),
        format!("{file}:11: `source.kafka.client.a.list` is a list; write the property's value as text"),
        format!("{file}:12: `source.kafka.client.sasl.password_file` cannot be read: `none.txt`: No such file or directory (os error 2); name a readable text file"),
        format!("{file}:14: `rotation.max_rows` is -1, less than 0; write a whole number of 0 or more"),
        format!("{file}:15: `rotation.max_bytes` is 0; write 1 or more"),
        format!("{file}:16: `rotation.max_age_ms` is a number with a point or beyond 64 bits; write a whole number of 0 or more"),
        format!("{file}:17: `rotatoin` is not a known key; the nearest known one is `rotation`"),
        format!("{file}:20: `parquet.compression_level` is 23; write 1 (fast) to 22 (small)"),
        format!("{file}:22: `store.s3` is a table, not a value; write [store.s3] and its keys below"),
        "`LAKE_WRITER__TABLE__URI` is not a known environment variable; the nearest known one is `LAKE_WRITER__TABLE__URL`".into(),
        "environment LAKE_WRITER__MEMORY__BUDGET_BYTES: `LAKE_WRITER__MEMORY__BUDGET_BYTES` is `lots`; write a whole number of 0 or more".into(),
        "--set: `telemetry.log_fomat` is not a known key; the nearest known one is `telemetry.log_format`".into(),
        "--set: has no `=`; write --set key=value, such as --set rotation.max_rows=100000".into(),
    ]);
    let found: BTreeSet<String> = desk.problems().into_iter().collect();
    assert_eq!(found, expected);
}

#[test]
fn values_that_contradict_each_other_or_the_world_are_refused() {
    for (setting, problem) in [
        ("table.url=", "`table.url` is not set;"),
        ("table.url=lake/sales", "which is no URL;"),
        ("table.url=file://lake/sales", "write three slashes"),
        ("table.url=hdfs://n:9000", "without a folder"),
        (
            "table.url=s3://key:hush@bucket/x",
            "`table.url` holds credentials;",
        ),
        ("table.partition_by=region,region", "holds `region` twice"),
        ("table.sort_by=[\"\"]", "holds an empty name"),
        ("source.kafka.bootstrap_servers=k1", "write host:port"),
        ("source.kafka.bootstrap_servers=k1:99999", "write host:port"),
        ("source.kafka.group_id=", "name the consumer group"),
        ("memory.budget_bytes=1000", "too small"),
        ("store.call_timeout_ms=0", "write 1 or more"),
        ("store.s3.endpoint=http://localhost:7070", "allow_http"),
        ("store.s3.endpoint=localhost:7070", "write http://host:port"),
        (
            "store.s3.access_key_id=AK",
            "without store.s3.secret_access_key_file",
        ),
        (
            "store.s3.secret_access_key_file=/s",
            "without store.s3.access_key_id",
        ),
        (
            "telemetry.log_filter=lake=loud",
            "`telemetry.log_filter` is `lake=loud`",
        ),
        ("telemetry.listen=9464", "write address:port"),
        ("telemetry.livez_timeout_ms=0", "write 1 or more"),
        ("store.s3.path_style=yes", "write true or false"),
    ] {
        let problems = Desk::with_file(MINIMAL).flag(setting).problems();
        assert_eq!(problems.len(), 1, "{setting}: {problems:?}");
        assert!(problems[0].contains(problem), "{setting}: {problems:?}");
        assert!(problems[0].starts_with("--set: "), "{problems:?}");
        assert!(!problems[0].contains("hush"), "{problems:?}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_by_line_without_showing_it() {
    // GIVEN a line with a secret and a missing quote
    let desk = Desk::with_file("[source.kafka.client]\n\"sasl.password\" = hush\n");

    // WHEN it is loaded
    let problems = desk.problems();

    // THEN the line is named and not shown
    assert!(!problems.is_empty());
    assert!(
        problems[0].starts_with("lake-writer.toml:2: is not TOML:"),
        "{problems:?}"
    );
    assert!(
        !problems.iter().any(|problem| problem.contains("hush")),
        "{problems:?}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut desk = Desk::with_file(MINIMAL);
    desk.sources.file = Some(desk.path("other.toml"));
    let problems = desk.problems();
    assert!(
        problems[0].contains("cannot be read: `other.toml`"),
        "{problems:?}"
    );
}

#[test]
fn a_secret_given_twice_is_refused() {
    let desk = Desk::with_file(&format!(
        "{MINIMAL}[source.kafka.client]\n\"sasl.password\" = \"a\"\n\"sasl.password_file\" = \"b\"\n"
    ));
    let problems = desk.problems();
    assert_eq!(
        problems,
        [
            "lake-writer.toml:5: `source.kafka.client.sasl.password_file` is set beside `source.kafka.client.sasl.password`; remove one of them"
        ]
    );
}

#[test]
fn what_is_printed_can_be_loaded_again() {
    // GIVEN settings from a file
    let loaded = Desk::with_file(&format!(
        "{MINIMAL}schema = \"/vente.avsc\"\n[source.kafka.client]\n\"client.id\" = \"été #1\"\n[rotation]\nmax_rows = 7\n"
    ))
    .load();

    // WHEN their print is loaded
    let again = Desk::with_file(&effective_toml(&loaded)).load();

    // THEN it says the same
    assert_eq!(
        serde_json::to_value(&loaded.settings).unwrap(),
        serde_json::to_value(&again.settings).unwrap()
    );
}

/// Dotted paths of all leaves; a table of properties is a leaf.
fn leaves(prefix: &str, value: &serde_json::Value, into: &mut BTreeSet<String>) {
    let is_properties = Settings::keys().any(|key| key.path == prefix);
    match value {
        serde_json::Value::Object(fields) if !is_properties => {
            for (name, value) in fields {
                let dot = if prefix.is_empty() { "" } else { "." };
                leaves(&format!("{prefix}{dot}{name}"), value, into);
            }
        }
        _ => {
            into.insert(prefix.to_owned());
        }
    }
}

#[test]
fn every_field_is_a_key_and_every_key_a_field() {
    let mut fields = BTreeSet::new();
    let defaults = serde_json::to_value(Settings::default()).unwrap();
    leaves("", &defaults, &mut fields);
    let keys: BTreeSet<String> = Settings::keys().map(|key| key.path.to_owned()).collect();
    assert_eq!(fields, keys);
}

#[test]
fn the_reference_in_the_documentation_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/configuration.md is out of date: run `lake-writer config reference > docs/configuration.md`"
    );
}

#[test]
fn the_reference_names_every_key_and_its_variable() {
    let reference = reference();
    for key in Settings::keys() {
        assert!(reference.contains(&key.env_name()), "{}", key.path);
        assert!(!key.meaning.trim().is_empty(), "{}", key.path);
    }
}
