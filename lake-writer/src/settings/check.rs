//! What sound settings are, in one place. Looks at values alone: nothing is opened or reached.

use super::problem::{Origin, Problem};
use super::{Compression, Settings};

/// Below this the fixed buffers of the Kafka client and of an encoder leave no room for rows.
const SMALLEST_BUDGET_BYTES: u64 = 16 << 20;

/// Everything that is wrong, in the order of the keys; origins are filled in by the caller.
pub(super) fn check(settings: &Settings) -> Vec<Problem> {
    let mut found = Findings::default();
    source(settings, &mut found);
    table(settings, &mut found);
    limits(settings, &mut found);
    store(settings, &mut found);
    mirror(settings, &mut found);
    telemetry(settings, &mut found);
    found.0
}

#[derive(Default)]
struct Findings(Vec<Problem>);

impl Findings {
    fn add(&mut self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Problem {
            key: Some(key.to_owned()),
            origin: Origin::Default,
            what: what.into(),
            remedy: remedy.into(),
        });
    }
}

fn source(settings: &Settings, found: &mut Findings) {
    let kafka = &settings.source.kafka;
    let servers = &kafka.bootstrap_servers;
    if !servers.split(',').all(|server| is_host_port(server.trim())) {
        found.add(
            "source.kafka.bootstrap_servers",
            format!("is `{servers}`"),
            "write host:port, several separated by commas",
        );
    }
    let topic = &kafka.topic;
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if topic.is_empty() || topic.len() > 249 || !topic.chars().all(legal) {
        found.add(
            "source.kafka.topic",
            format!("is `{topic}`, which no topic can be called"),
            "use 1 to 249 ASCII letters, digits, `.`, `_` and `-`",
        );
    }
    if kafka.group_id.is_empty() {
        found.add(
            "source.kafka.group_id",
            "is empty",
            "name the consumer group",
        );
    }
}

/// `host:port`, `[v6]:port`, or with a security protocol before, as librdkafka takes them.
fn is_host_port(server: &str) -> bool {
    let server = server.rsplit("://").next().unwrap_or(server);
    server
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn table(settings: &Settings, found: &mut Findings) {
    let table = &settings.table;
    table_url(&table.url, found);
    if table.schema.as_os_str().is_empty() {
        found.add("table.schema", "is empty", "name the table's .avsc file");
    }
    for (key, columns) in [
        ("table.partition_by", &table.partition_by),
        ("table.sort_by", &table.sort_by),
        (
            "parquet.bloom_filter_columns",
            &settings.parquet.bloom_filter_columns,
        ),
    ] {
        for (n, column) in columns.iter().enumerate() {
            if column.trim().is_empty() {
                found.add(key, "holds an empty name", "remove it");
            } else if columns[..n].contains(column) {
                found.add(key, format!("holds `{column}` twice"), "remove one");
            }
        }
    }
    if table.time_zone.parse::<chrono_tz::Tz>().is_err() {
        let zone = &table.time_zone;
        let near = super::nearest::nearest(zone, chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()));
        found.add(
            "table.time_zone",
            format!("is `{zone}`, which is no IANA time zone"),
            format!("the nearest is `{near}`"),
        );
    }
}

fn table_url(text: &str, found: &mut Findings) {
    const KEY: &str = "table.url";
    const FORMS: &str = "write file:///folder, hdfs://host:port/folder or s3://bucket/prefix";
    if text.is_empty() {
        found.add(KEY, "is not set", FORMS);
        return;
    }
    let Ok(url) = url::Url::parse(text) else {
        found.add(KEY, format!("is `{text}`, which is no URL"), FORMS);
        return;
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The URL is not repeated: it holds a secret.
        found.add(
            KEY,
            "holds credentials",
            "remove them and see [store.s3] and [store.hdfs]",
        );
        return;
    }
    match url.scheme() {
        "file" if url.host_str().is_some() => found.add(
            KEY,
            format!("is `{text}`, with a host"),
            "write three slashes: file:///folder",
        ),
        "file" | "hdfs" if url.path().len() < 2 => {
            found.add(KEY, format!("is `{text}`, without a folder"), FORMS);
        }
        "s3" if url.host_str().is_none() => {
            found.add(KEY, format!("is `{text}`, without a bucket"), FORMS);
        }
        "file" | "hdfs" | "s3" => {}
        other => found.add(KEY, format!("is of an unknown kind, `{other}`"), FORMS),
    }
}

fn limits(settings: &Settings, found: &mut Findings) {
    let rotation = settings.rotation;
    for (key, value) in [
        ("rotation.max_rows", rotation.max_rows),
        ("rotation.max_bytes", rotation.max_bytes),
        ("rotation.max_age_ms", rotation.max_age_ms),
        (
            "rotation.max_event_span_ms",
            rotation.max_event_span_ms.unwrap_or(1),
        ),
        ("rotation.drain_timeout_ms", rotation.drain_timeout_ms),
        (
            "log.checkpoint_after_records",
            settings.log.checkpoint_after_records,
        ),
        ("log.sweep_interval_ms", settings.log.sweep_interval_ms),
        ("parquet.row_group_bytes", settings.parquet.row_group_bytes),
        (
            "telemetry.livez_timeout_ms",
            settings.telemetry.livez_timeout_ms,
        ),
        (
            "store.call_timeout_ms",
            settings.store.call_timeout_ms.unwrap_or(1),
        ),
    ] {
        if value == 0 {
            found.add(key, "is 0", "write 1 or more");
        }
    }
    let budget = settings.memory.budget_bytes;
    if budget < SMALLEST_BUDGET_BYTES {
        found.add(
            "memory.budget_bytes",
            format!("is {budget}, too small to write anything"),
            format!("write {SMALLEST_BUDGET_BYTES} or more"),
        );
    }
    let parquet = &settings.parquet;
    if parquet.compression == Compression::Zstd && !(1..=22).contains(&parquet.compression_level) {
        found.add(
            "parquet.compression_level",
            format!("is {}", parquet.compression_level),
            "write 1 (fast) to 22 (small)",
        );
    }
}

fn store(settings: &Settings, found: &mut Findings) {
    let s3 = &settings.store.s3;
    if let Some(endpoint) = &s3.endpoint {
        match url::Url::parse(endpoint) {
            Ok(url) if url.scheme() == "http" && !s3.allow_http => found.add(
                "store.s3.endpoint",
                "is plain HTTP",
                "use https, or set store.s3.allow_http = true",
            ),
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
            _ => found.add(
                "store.s3.endpoint",
                format!("is `{endpoint}`"),
                "write http://host:port or https://host:port",
            ),
        }
    }
    match (&s3.access_key_id, &s3.secret_access_key_file) {
        (Some(_), None) => found.add(
            "store.s3.access_key_id",
            "is set without store.s3.secret_access_key_file",
            "set both, or neither and use the AWS chain",
        ),
        (None, Some(_)) => found.add(
            "store.s3.secret_access_key_file",
            "is set without store.s3.access_key_id",
            "set both, or neither and use the AWS chain",
        ),
        _ => {}
    }
}

fn mirror(settings: &Settings, found: &mut Findings) {
    let mongodb = &settings.mirror.mongodb;
    if let Some(uri) = &mongodb.uri
        && !["mongodb://", "mongodb+srv://"]
            .iter()
            .any(|scheme| uri.starts_with(scheme))
    {
        // The text is not repeated: it may hold a secret.
        found.add(
            "mirror.mongodb.uri",
            "is no connection string",
            "write mongodb://host:port/?replicaSet=name",
        );
    }
    for (key, name) in [
        ("mirror.mongodb.database", &mongodb.database),
        ("mirror.mongodb.collection", &mongodb.collection),
    ] {
        let illegal = |c: char| c.is_whitespace() || c.is_control() || "/\\\"$*<>:|?".contains(c);
        if name.is_empty() || name.len() > 63 || name.contains(illegal) || name.contains("system.")
        {
            found.add(
                key,
                format!("is `{name}`, which MongoDB does not take"),
                "use 1 to 63 letters, digits, `_` and `-`",
            );
        }
    }
    for (key, value) in [
        (
            "mirror.mongodb.batch_max_messages",
            mongodb.batch_max_messages,
        ),
        ("mirror.mongodb.batch_max_bytes", mongodb.batch_max_bytes),
        ("mirror.mongodb.transactions", mongodb.transactions),
        ("mirror.mongodb.budget_bytes", mongodb.budget_bytes),
        ("mirror.mongodb.call_timeout_ms", mongodb.call_timeout_ms),
        (
            "mirror.mongodb.ttl_seconds",
            mongodb.ttl_seconds.unwrap_or(1),
        ),
    ] {
        if value == 0 {
            found.add(key, "is 0", "write 1 or more");
        }
    }
    let (group, lake) = (&mongodb.group_id, &settings.source.kafka.group_id);
    if group
        .as_ref()
        .is_some_and(|group| group == lake || group.is_empty())
    {
        found.add(
            "mirror.mongodb.group_id",
            "is not a group of its own",
            "name another one than source.kafka.group_id",
        );
    }
}

fn telemetry(settings: &Settings, found: &mut Findings) {
    let telemetry = &settings.telemetry;
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&telemetry.log_filter) {
        found.add(
            "telemetry.log_filter",
            format!("is `{}`: {error}", telemetry.log_filter),
            "write a level such as info, or target=level pairs separated by commas",
        );
    }
    if let Some(listen) = &telemetry.listen
        && !is_host_port(listen)
    {
        found.add(
            "telemetry.listen",
            format!("is `{listen}`"),
            "write address:port, such as 127.0.0.1:9464 or 0.0.0.0:9464",
        );
    }
}
