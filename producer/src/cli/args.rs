//! Options as they are typed.
//!
//! Owns names, help and defaults. What belongs together is decided in `plan`.

use std::path::PathBuf;

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::{Parser, Subcommand, ValueEnum};

use super::values;
use crate::chance::Ratio;
use crate::exit;
use crate::pace::Rate;

const EXAMPLES: &str = "\
Examples:
  Live sales, 500 a second, until interrupted:
    sales-producer --create-topic --partitions 8 --rate 500
  Two million sales of two days, always the same ones, as fast as it goes:
    sales-producer --count 2_000_000 --from 2026-01-30 --days 2 --seed 42 \\
        --summary-file sales.json
  What a lake has to cope with:
    sales-producer --count 100_000 --from 2026-01-30 --days 7 --late-ratio 0.05 \\
        --malformed-ratio 0.01 --duplicate-ratio 0.02
  A real file, French style:
    sales-producer --from-file ventes.csv --delimiter ';' --decimal-comma \\
        --time-format '%d/%m/%Y %H:%M:%S' --time-zone Europe/Paris \\
        --map Région=region --map Magasin=store_id --set currency=EUR --set channel=store …
  Look at ten sales without a broker:
    sales-producer --to-stdout --count 10 --seed 1
  A broker with TLS and a password:
    sales-producer -b kafka:9093 --properties-file client.properties";

/// Makes the sales of a company with stores all over France and sends them to Kafka, or replays a
/// real file.
///
/// Every message is keyed by its store, so that the sales of a store stay in order. Event times
/// are those of the clock, or those of --from and --days, along the company's opening hours, weeks
/// and seasons. The same seed and options make the same bytes. The summary at the end holds exact
/// counts and sums that a lake can be checked against.
#[derive(Debug, Clone, Parser)]
#[command(name = "sales-producer", version, after_help = EXAMPLES, after_long_help =
    format!("{EXAMPLES}\n\n{}", exit::HELP), args_conflicts_with_subcommands = true)]
#[allow(missing_docs)] // The help is the documentation.
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Brokers, host:port, separated by commas
    #[arg(
        short,
        long,
        env = "SALES_PRODUCER_BOOTSTRAP",
        default_value = "localhost:9092"
    )]
    #[arg(value_name = "BROKERS", help_heading = "Kafka")]
    pub bootstrap: String,

    /// The topic to send to
    #[arg(short, long, env = "SALES_PRODUCER_TOPIC", default_value = "sales")]
    #[arg(help_heading = "Kafka")]
    pub topic: String,

    /// Make the topic if it is not there
    #[arg(long, help_heading = "Kafka")]
    pub create_topic: bool,

    /// Partitions of the topic to be made; a topic that has another number is an error
    #[arg(long, value_name = "N", value_parser = values::positive, requires = "create_topic")]
    #[arg(help_heading = "Kafka")]
    pub partitions: Option<u64>,

    /// Copies of each partition of the topic to be made [default: the broker's]
    #[arg(long, value_name = "N", value_parser = values::positive, requires = "create_topic")]
    #[arg(help_heading = "Kafka")]
    pub replication_factor: Option<u64>,

    /// A property of the topic to be made, such as retention.ms=-1; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair, requires = "create_topic")]
    #[arg(help_heading = "Kafka")]
    pub topic_config: Vec<(String, String)>,

    /// What messages are keyed by
    #[arg(long, value_enum, default_value = "store", help_heading = "Kafka")]
    pub key: KeyArg,

    /// A property of librdkafka, such as compression.codec=zstd; can be repeated
    ///
    /// Properties given here win over those of the file and over what the program sets. Values are
    /// never shown, but others can see the command line: keep passwords in a file.
    #[arg(short = 'X', long = "property", value_name = "KEY=VALUE", value_parser = values::pair)]
    #[arg(help_heading = "Kafka")]
    pub properties: Vec<(String, String)>,

    /// A file with properties of librdkafka, one key=value a line
    #[arg(long, value_name = "FILE", env = "SALES_PRODUCER_PROPERTIES_FILE")]
    #[arg(help_heading = "Kafka")]
    pub properties_file: Option<PathBuf>,

    /// Seconds to wait for a broker at the start
    #[arg(long, value_name = "SECONDS", value_parser = values::positive, default_value = "30")]
    #[arg(help_heading = "Kafka")]
    pub connect_timeout: u64,

    /// Send in transactions
    #[arg(long, help_heading = "Transactions")]
    pub transactional: bool,

    /// Identity of the transactions [default: sales-producer-TOPIC]
    #[arg(
        long,
        value_name = "ID",
        requires = "transactional",
        help_heading = "Transactions"
    )]
    pub transactional_id: Option<String>,

    /// Messages in a transaction
    #[arg(long, value_name = "N", value_parser = values::positive, default_value = "10000")]
    #[arg(requires = "transactional", help_heading = "Transactions")]
    pub transaction_size: u64,

    /// Milliseconds after which a transaction ends in any case
    #[arg(long, value_name = "MS", value_parser = values::positive, default_value = "1000")]
    #[arg(requires = "transactional", help_heading = "Transactions")]
    pub transaction_ms: u64,

    /// The share of transactions that are aborted; their sales are not sent again
    #[arg(long, value_name = "RATIO", value_parser = values::ratio, default_value = "0")]
    #[arg(requires = "transactional", conflicts_with = "from_file")]
    #[arg(help_heading = "Transactions")]
    pub abort_ratio: Ratio,

    /// Messages in all [default: until the days or the file are over, else endless]
    #[arg(long, value_name = "N", value_parser = values::count, help_heading = "How many")]
    pub count: Option<u64>,

    /// Messages a second, or max [default: max, but 1000 for endless live sales]
    #[arg(long, value_name = "N|max", value_parser = values::rate, help_heading = "How many")]
    pub rate: Option<Rate>,

    /// What makes runs repeatable [default: another one each time, shown in the summary]
    #[arg(long, value_name = "N", value_parser = values::count, help_heading = "How many")]
    pub seed: Option<u64>,

    /// First day of the event times, instead of the clock
    #[arg(long, value_name = "DATE", value_parser = values::date, conflicts_with = "from_file")]
    #[arg(help_heading = "When")]
    pub from: Option<NaiveDate>,

    /// How many days the event times cover; with --count the sales are spread over them
    #[arg(long, value_name = "N", value_parser = values::positive, requires = "from")]
    #[arg(help_heading = "When")]
    pub days: Option<u64>,

    /// Sales of an average day, where --count and --days do not say it
    #[arg(long, value_name = "N", value_parser = values::positive, default_value = "100000")]
    #[arg(requires = "from", help_heading = "When")]
    pub daily_sales: u64,

    /// The zone of --from, of dates in the summary, and of times without a zone in a file
    #[arg(long, value_name = "ZONE", value_parser = values::zone, default_value = "UTC")]
    #[arg(help_heading = "When")]
    pub time_zone: Tz,

    /// How messages are written; avro is the plain datum
    #[arg(long, value_enum, default_value = "json", help_heading = "Messages")]
    pub format: FormatArg,

    /// What JSON looks like
    #[arg(long, value_enum, default_value = "plain", help_heading = "Messages")]
    pub json_style: StyleArg,

    /// Decimals in JSON: 12.30 or "12.30"
    #[arg(long, value_enum, default_value = "number", help_heading = "Messages")]
    pub decimals: DecimalsArg,

    /// The share of sales that are sent minutes to days after they were made
    #[arg(long, value_name = "RATIO", value_parser = values::ratio, default_value = "0")]
    #[arg(conflicts_with = "from_file", help_heading = "Faults")]
    pub late_ratio: Ratio,

    /// The share of messages that cannot be decoded
    #[arg(long, value_name = "RATIO", value_parser = values::ratio, default_value = "0")]
    #[arg(help_heading = "Faults")]
    pub malformed_ratio: Ratio,

    /// The share of messages that repeat an earlier one, byte for byte
    #[arg(long, value_name = "RATIO", value_parser = values::ratio, default_value = "0")]
    #[arg(help_heading = "Faults")]
    pub duplicate_ratio: Ratio,

    /// Replay a CSV, NDJSON or Parquet file instead of making sales up
    #[arg(long, value_name = "FILE", help_heading = "Replay")]
    pub from_file: Option<PathBuf>,

    /// Format of the file [default: by the ending of its name]
    #[arg(long, value_enum, requires = "from_file", help_heading = "Replay")]
    pub file_format: Option<FileFormatArg>,

    /// Which column holds which field; columns named like a field need none. Can be repeated
    ///
    /// Without a column, sale_id is made from the seed and the line, amount is quantity times
    /// unit_price, and customer_id is null.
    #[arg(long, value_name = "COLUMN=FIELD", value_parser = values::pair, requires = "from_file")]
    #[arg(help_heading = "Replay")]
    pub map: Vec<(String, String)>,

    /// The value of a field that the file does not have; can be repeated
    #[arg(long, value_name = "FIELD=VALUE", value_parser = values::pair, requires = "from_file")]
    #[arg(help_heading = "Replay")]
    pub set: Vec<(String, String)>,

    /// What stands between the values of a CSV line
    #[arg(long, value_name = "CHAR", value_parser = values::delimiter, default_value = ",")]
    #[arg(requires = "from_file", help_heading = "Replay")]
    pub delimiter: u8,

    /// Pattern of times in the file, as of strftime [default: ISO 8601 or an epoch number]
    #[arg(
        long,
        value_name = "PATTERN",
        requires = "from_file",
        help_heading = "Replay"
    )]
    pub time_format: Option<String>,

    /// What an epoch number in the file counts
    #[arg(
        long,
        value_enum,
        default_value = "us",
        requires = "from_file",
        help_heading = "Replay"
    )]
    pub epoch_unit: EpochArg,

    /// Decimals in the file have a comma
    #[arg(long, requires = "from_file", help_heading = "Replay")]
    pub decimal_comma: bool,

    /// Round amounts with more than two decimals, half away from zero, instead of refusing them
    #[arg(long, requires = "from_file", help_heading = "Replay")]
    pub round: bool,

    /// What to do about lines that are not sales
    #[arg(long, value_enum, default_value = "stop", requires = "from_file")]
    #[arg(help_heading = "Replay")]
    pub bad_lines: BadLinesArg,

    /// How the summary is written
    #[arg(
        short,
        long,
        value_enum,
        default_value = "text",
        help_heading = "Output"
    )]
    pub output: OutputArg,

    /// Write the summary as JSON into a file as well
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub summary_file: Option<PathBuf>,

    /// Make everything and send nothing
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,

    /// Write the messages to standard output, one a line, instead of sending them
    #[arg(long, conflicts_with_all = ["dry_run", "transactional", "create_topic"])]
    #[arg(help_heading = "Output")]
    pub to_stdout: bool,

    /// No progress and no text summary
    #[arg(short, long, help_heading = "Output")]
    pub quiet: bool,
}

#[derive(Debug, Clone, Subcommand)]
#[allow(missing_docs)]
pub enum Command {
    /// Print the completions of a shell, to be put where it looks for them
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum KeyArg {
    /// store_id: the sales of a store stay in order
    Store,
    /// sale_id: partitions of equal size, fit for compaction
    Sale,
    /// no key
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum FormatArg {
    Json,
    Avro,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum StyleArg {
    /// keys in the order of the schema, UTF-8, no white space
    Plain,
    /// keys in another order in each message
    Shuffled,
    /// all but ASCII as \uXXXX, with white space
    Escaped,
    /// all of these by turns, null fields sometimes left out
    Mixed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum DecimalsArg {
    Number,
    String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum FileFormatArg {
    Csv,
    Ndjson,
    Parquet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum EpochArg {
    S,
    Ms,
    Us,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum BadLinesArg {
    /// end the run and say why
    Stop,
    /// leave them out and count them
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum OutputArg {
    Text,
    Json,
}
