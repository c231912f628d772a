//! What a person can set: one TOML file and the environment, as plain data.
//!
//! ```text
//! file, environment, --set ─► load ─► check ─► Settings ─► the parts, injected
//! ```
//!
//! Owns: names, defaults and checks of every key.
//! Does not own: anything that is opened, connected or started.

mod key;
mod uri;
mod problem;
mod nearest;
mod assign;
mod file;
mod env;
mod load;
mod check;
mod print;
mod reference;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use key::{ENV_PREFIX, Key, Kind, Properties, REDACTED, is_secret};
pub use load::{Loaded, Sources, load};
pub use print::{Line, effective, effective_toml};
pub use problem::{Origin, Problem, SettingsError};
pub use reference::reference;
pub use uri::SecretUri;

use key::{settings_choice, settings_table};

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where messages come from.
    pub source: Source,
    /// What is written, and where.
    pub table: Table,
    /// When a commit happens.
    pub rotation: Rotation,
    /// How the commit log is kept short, and the stage clean.
    pub log: Log,
    /// How much memory the writer may use.
    pub memory: Memory,
    /// How files are written.
    pub parquet: Parquet,
    /// How stores are reached.
    pub store: StoreSettings,
    /// Where the topic is mirrored beside the table.
    pub mirror: Mirror,
    /// Logs, metrics, health.
    pub telemetry: Telemetry,
}

impl Settings {
    /// Every key, in the order in which a sale passes.
    pub fn keys() -> impl Iterator<Item = &'static Key> {
        [
            Kafka::KEYS,
            Table::KEYS,
            Rotation::KEYS,
            Log::KEYS,
            Memory::KEYS,
            Parquet::KEYS,
            StoreSettings::KEYS,
            S3::KEYS,
            Hdfs::KEYS,
            MongoDb::KEYS,
            Rollup::KEYS,
            Telemetry::KEYS,
        ]
        .into_iter()
        .flatten()
        .filter(|key| key.kind != Kind::Table)
    }
}

/// The `[source]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// The Kafka topic.
    pub kafka: Kafka,
}

settings_choice! {
    /// Wire formats of message values.
    Format, first Json {
        /// One JSON object a message.
        Json = "json",
        /// One plain Avro datum a message, written with the table's own schema.
        Avro = "avro",
    }
}

settings_choice! {
    /// Where the very first start of a table begins; afterwards the commit log alone decides.
    FirstStart, first Earliest {
        /// The first message that the topic still has.
        Earliest = "earliest",
        /// Only messages that arrive from now on.
        Latest = "latest",
    }
}

settings_table! {
    /// The `[source.kafka]` table.
    Kafka at "source.kafka" {
        /// Brokers to begin with, `host:port`, separated by commas.
        bootstrap_servers: String = "localhost:9092".into(),
        /// The topic.
        topic: String = "sales".into(),
        /// The consumer group; its members share the topic's partitions.
        group_id: String = "lake-writer".into(),
        /// How values are encoded: one JSON object, or one plain Avro datum written with the
        /// table's own schema, a message.
        format: Format = Format::Json,
        /// Where a table without a log begins: at the first message that the topic still has, or
        /// with those that arrive from now on. Afterwards the commit log alone decides.
        first_start: FirstStart = FirstStart::Earliest,
        /// Id of a topic that was deleted and created again, to add its messages to the table.
        accept_topic_id: Option<String> = None,
        /// Goes on past offsets that retention took before they were written, instead of halting.
        accept_lost_offsets: bool = false,
        /// Any librdkafka property, TLS and SASL included. `"name_file" = "path"` reads the value
        /// of `name` from a file.
        client: Properties = Properties::default(),
    }
}

settings_table! {
    /// The `[table]` table.
    Table at "table" {
        /// Where the table lies: `file:///…`, `hdfs://…` or `s3://bucket/prefix`. Required.
        url: String = String::new(),
        /// Avro schema (`.avsc`) of the table's rows.
        schema: PathBuf = PathBuf::from("schemas/sale.avsc"),
        /// File of derived columns (`.toml`): looked up in reference tables, or computed from
        /// fields of messages.
        derived: Option<PathBuf> = None,
        /// The partition spec: columns, and `date(column)` or `hour(column)` of timestamps.
        partition_by: Vec<String> = vec!["date(sold_at)".into(), "region".into()],
        /// Columns by which rows are sorted inside a file.
        sort_by: Vec<String> = Vec::new(),
        /// Time zone of `date(…)` and `hour(…)`, an IANA name such as `Europe/Paris`.
        time_zone: String = "UTC".into(),
    }
}

settings_table! {
    /// The `[rotation]` table: a commit happens when the first of these is reached.
    Rotation: Copy at "rotation" {
        /// Rows since the last commit.
        max_rows: u64 = 5_000_000,
        /// Encoded bytes since the last commit.
        max_bytes: u64 = 256 << 20,
        /// Milliseconds since the first row after the last commit. By chance up to a tenth less, so that writers
        /// that were started together do not meet at the log.
        max_age_ms: u64 = 60_000,
        /// Milliseconds between the earliest and the latest timestamp of the messages since the
        /// last commit: event time, as the producers set it. Unset, event time does not count.
        max_event_span_ms: Option<u64> = None,
        /// Milliseconds that a stop, or giving source partitions back to the group, waits for the
        /// commit of what is in hand. After that it is dropped and read again by the next writer.
        drain_timeout_ms: u64 = 30_000,
    }
}

settings_table! {
    /// The `[log]` table.
    Log: Copy at "log" {
        /// Records behind the newest checkpoint after which the next one is written, beside the
        /// work. A start reads that many records at most, and those of the commits after.
        checkpoint_after_records: u64 = 200,
        /// Records that are kept once a checkpoint holds them, for `lake-writer log`. Nothing else
        /// needs them.
        keep_records: u64 = 1_000,
        /// Milliseconds between two sweeps for what crashed writers have left. One follows every
        /// start and every rebalance in any case.
        sweep_interval_ms: u64 = 600_000,
    }
}

settings_table! {
    /// The `[memory]` table.
    Memory: Copy at "memory" {
        /// Bytes of rows held and of encoded files not yet sent. When it is reached, rows are
        /// encoded early, then reading pauses.
        budget_bytes: u64 = 512 << 20,
    }
}

settings_choice! {
    /// Codecs of Parquet pages.
    Compression, first Zstd {
        /// Zstandard at `compression_level`.
        Zstd = "zstd",
        /// LZ4, raw blocks.
        Lz4 = "lz4",
        /// Snappy.
        Snappy = "snappy",
        /// None.
        None = "none",
    }
}

settings_table! {
    /// The `[parquet]` table.
    Parquet at "parquet" {
        /// Codec of pages.
        compression: Compression = Compression::Zstd,
        /// Level of Zstandard, 1 to 22; other codecs have none.
        compression_level: i32 = 1,
        /// Bytes in memory after which a row group is closed.
        row_group_bytes: u64 = 128 << 20,
        /// Columns that get a bloom filter.
        bloom_filter_columns: Vec<String> = Vec::new(),
    }
}

settings_table! {
    /// The `[store]` table.
    StoreSettings at "store" {
        /// S3 and what speaks its protocol.
        s3: S3 = S3::default(),
        /// HDFS.
        hdfs: Hdfs = Hdfs::default(),
        /// Milliseconds after which a call to the store counts as failed, its outcome unknown.
        /// Each store has its own limit unless this is set.
        call_timeout_ms: Option<u64> = None,
    }
}

settings_table! {
    /// The `[store.s3]` table. Credentials come by the usual AWS chain.
    S3 at "store.s3" {
        /// Endpoint of a store that is not AWS.
        endpoint: Option<String> = None,
        /// Region.
        region: Option<String> = None,
        /// `http://host/bucket/key` instead of `http://bucket.host/key`; true for an own endpoint
        /// unless said otherwise.
        path_style: Option<bool> = None,
        /// Whether plain HTTP is allowed.
        allow_http: bool = false,
        /// File of certificates to trust besides the system's, PEM.
        ca_file: Option<PathBuf> = None,
        /// Access key, when the AWS chain is not used.
        access_key_id: Option<String> = None,
        /// File that holds the secret key, when the AWS chain is not used.
        secret_access_key_file: Option<PathBuf> = None,
    }
}

settings_table! {
    /// The `[store.hdfs]` table.
    Hdfs at "store.hdfs" {
        /// Folder with `core-site.xml` and `hdfs-site.xml`; `HADOOP_CONF_DIR` unless set.
        conf_dir: Option<PathBuf> = None,
        /// Hadoop properties, stronger than the files.
        properties: Properties = Properties::default(),
        /// User as which files are written where Kerberos is not used; else `HADOOP_USER_NAME`,
        /// else the user of this process.
        user: Option<String> = None,
        /// Kerberos principal; unless set, the ticket cache of `KRB5CCNAME` says who it is.
        kerberos_principal: Option<String> = None,
        /// Kerberos keytab; goes with `kerberos_principal`.
        kerberos_keytab: Option<PathBuf> = None,
        /// Kerberos ticket cache in the place of `KRB5CCNAME`; goes with `kerberos_principal`.
        kerberos_cache: Option<PathBuf> = None,
    }
}

/// The `[mirror]` table.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mirror {
    /// MongoDB.
    pub mongodb: MongoDb,
}

settings_table! {
    /// The `[mirror.mongodb]` table.
    MongoDb at "mirror.mongodb" {
        /// Connection string of a replica set, TLS and credentials included. Unless it is set there
        /// is no mirror. Its password is never printed; better keep it in `password_file`.
        uri: Option<SecretUri> = None,
        /// File that holds the password of the user named in `uri`.
        password_file: Option<PathBuf> = None,
        /// The database.
        database: String = "lake".into(),
        /// Collection of documents; those of rollups, dead letters and checkpoints are named after it.
        collection: String = "sales".into(),
        /// Where `_id` comes from: `offset`, or `field:<name>` to replace and delete by that field.
        id: String = "offset".into(),
        /// The mirror's consumer group; `<source.kafka.group_id>-mirror` unless set.
        group_id: Option<String> = None,
        /// Messages that one transaction writes at most. Where the server's cache is too small for that, it
        /// is halved until it fits.
        batch_max_messages: u64 = 20_000,
        /// Bytes of messages that one transaction writes at most, where one message has not more.
        batch_max_bytes: u64 = 8 << 20,
        /// Milliseconds that a message waits for others of its transaction at most.
        batch_max_age_ms: u64 = 100,
        /// Transactions in flight, each of its own source partitions. Fewer make fewer rollup documents.
        transactions: u64 = 2,
        /// Bytes of messages held that are not written yet; when it is reached, reading pauses.
        budget_bytes: u64 = 64 << 20,
        /// Milliseconds after which a call to the database counts as failed, its outcome unknown.
        call_timeout_ms: u64 = 30_000,
        /// Seconds after `rollup.time` at which documents expire; rollups stay. Unset, all stay.
        ttl_seconds: Option<u64> = None,
        /// Sums by minute and by day.
        rollup: Rollup = Rollup::default(),
    }
}

settings_table! {
    /// The `[mirror.mongodb.rollup]` table.
    Rollup at "mirror.mongodb.rollup" {
        /// Timestamp or date field that says which minute and day (UTC) a document belongs to.
        /// Unset, there are no rollups.
        time: Option<String> = None,
        /// Fields that each have sums of their own.
        by: Vec<String> = Vec::new(),
        /// Fields that are summed, exactly: integers and decimals.
        sum: Vec<String> = Vec::new(),
    }
}

settings_choice! {
    /// How log lines are written.
    LogFormat, first Text {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

settings_table! {
    /// The `[telemetry]` table.
    Telemetry at "telemetry" {
        /// Form of log lines, which go to standard error.
        log_format: LogFormat = LogFormat::Text,
        /// What is logged, such as `info` or `lake_writer::commit=debug,info`.
        log_filter: String = "info".into(),
        /// `host:port` of `/metrics`, `/livez` and `/readyz`; none unless set.
        listen: Option<String> = None,
        /// Milliseconds without a turn of the engine's loop after which `/livez` fails.
        livez_timeout_ms: u64 = 30_000,
    }
}

#[cfg(test)]
mod tests;
