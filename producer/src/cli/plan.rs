//! From options to a complete, checked plan of a run.
//!
//! Args ──► Plan { where from, how written, how driven, where to }
//!
//! Owns the rules between options that a parser cannot know. Reads the properties file; opens
//! nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate};

use super::args::{
    Args, BadLinesArg, DecimalsArg, EpochArg, FileFormatArg, FormatArg, KeyArg, OutputArg, StyleArg,
};
use super::values;
use crate::clock::Clock;
use crate::company::till::TillSettings;
use crate::company::timeline::EventTimes;
use crate::deliver::{KafkaSettings, MAX_PARTITIONS, NewTopicSettings};
use crate::encode::{Decimals, JsonStyle};
use crate::pace::Rate;
use crate::replay::{BadLines, EpochUnit, FileFormat, ReplaySettings, TimeReading};
use crate::run::{RunSettings, TransactionSettings};
use crate::stream::{KeyBy, StreamSettings};
use crate::totals::start_of_day;

/// Messages a second when nothing else is said and the run has no end.
const ENDLESS_RATE: f64 = 1_000.0;
/// Partitions of a topic that is made without a word about them.
const DEFAULT_PARTITIONS: u64 = 1;

/// Everything about a run.
#[derive(Debug)]
pub struct Plan {
    /// Where sales come from.
    pub origin: OriginPlan,
    /// How they are written.
    pub format: FormatPlan,
    /// Keys, faults and number of messages.
    pub stream: StreamSettings,
    /// Pace and transactions.
    pub run: RunSettings,
    /// Where messages go.
    pub target: Target,
    /// Where the summary goes.
    pub summary: SummaryPlan,
}

/// Where sales come from.
#[derive(Debug)]
pub enum OriginPlan {
    /// The company.
    Company(TillSettings),
    /// A file.
    File(ReplaySettings),
}

/// How sales are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatPlan {
    /// JSON of a style.
    Json(JsonStyle, Decimals),
    /// Plain Avro datums.
    Avro,
}

/// Where messages go.
#[derive(Debug)]
pub enum Target {
    /// A topic.
    Kafka(KafkaSettings),
    /// Standard output.
    Lines,
    /// Nowhere.
    Nowhere,
}

/// Where the summary goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryPlan {
    /// JSON instead of text.
    pub json: bool,
    /// A file for the JSON form.
    pub file: Option<PathBuf>,
    /// Neither progress nor text.
    pub quiet: bool,
}

/// Options that do not go together, or a properties file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Too many partitions.
    #[error("--partitions {0} is more than {MAX_PARTITIONS}")]
    Partitions(u64),
    /// More copies than Kafka can count.
    #[error("--replication-factor {0} is more than {max}", max = i16::MAX)]
    Replication(u64),
    /// A window that leaves the calendar.
    #[error("--days {0} leads out of the calendar; choose fewer days")]
    Days(u64),
    /// Lines of binary data.
    #[error("--to-stdout writes lines, and Avro is binary; use --format json or --dry-run")]
    BinaryLines,
    /// An empty name.
    #[error("--topic is empty; give the name of a topic")]
    NoTopic,
    /// Ratios that leave no sales.
    #[error("--duplicate-ratio 1 leaves nothing to repeat; choose a smaller one")]
    OnlyDuplicates,
    /// The properties file cannot be read.
    #[error("failed to read the properties file {path}")]
    PropertiesFile {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A line of the properties file is not a property.
    #[error("{path}, line {line}: expected key=value")]
    Properties {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

impl Plan {
    /// Checks the options and completes them. `fallback_seed` is taken when none is given.
    ///
    /// # Errors
    /// When options contradict each other or the properties file cannot be read.
    pub fn new(args: &Args, clock: Arc<dyn Clock>, fallback_seed: u64) -> Result<Self, PlanError> {
        let seed = args.seed.unwrap_or(fallback_seed);
        let origin = origin(args, clock, seed)?;
        let endless = args.count.is_none()
            && args.from_file.is_none()
            && (args.from.is_none() || args.days.is_none());
        let default_rate = if endless {
            Rate::PerSecond(ENDLESS_RATE)
        } else {
            Rate::Max
        };
        if args.duplicate_ratio == crate::chance::Ratio::new(1.0).unwrap_or_default() {
            return Err(PlanError::OnlyDuplicates);
        }
        Ok(Self {
            origin,
            format: format(args),
            stream: StreamSettings {
                seed,
                key: key(args.key),
                count: args.count,
                malformed_ratio: args.malformed_ratio,
                duplicate_ratio: args.duplicate_ratio,
            },
            run: RunSettings {
                rate: args.rate.unwrap_or(default_rate),
                zone: args.time_zone,
                transactions: args.transactional.then_some(TransactionSettings {
                    size: args.transaction_size,
                    age: Duration::from_millis(args.transaction_ms),
                    abort_ratio: args.abort_ratio,
                    seed,
                }),
            },
            target: target(args)?,
            summary: SummaryPlan {
                json: args.output == OutputArg::Json,
                file: args.summary_file.clone(),
                quiet: args.quiet,
            },
        })
    }
}

fn origin(args: &Args, clock: Arc<dyn Clock>, seed: u64) -> Result<OriginPlan, PlanError> {
    if let Some(path) = &args.from_file {
        return Ok(OriginPlan::File(replay(args, path.clone(), seed)));
    }
    let late_ratio = args.late_ratio;
    let times = match args.from {
        None => EventTimes::Live(clock),
        Some(from) => event_times(args, from)?,
    };
    Ok(OriginPlan::Company(TillSettings {
        seed,
        times,
        late_ratio,
    }))
}

fn event_times(args: &Args, from: NaiveDate) -> Result<EventTimes, PlanError> {
    let start_us = start_of_day(from, args.time_zone);
    let end_us = match args.days {
        None => None,
        Some(days) => {
            let last = from
                .checked_add_days(Days::new(days))
                .ok_or(PlanError::Days(days))?;
            Some(start_of_day(last, args.time_zone))
        }
    };
    Ok(match (args.count, end_us) {
        (Some(sales), Some(end_us)) => EventTimes::Spread {
            start_us,
            end_us,
            sales,
        },
        _ => EventTimes::Flowing {
            start_us,
            end_us,
            daily_sales: args.daily_sales as f64,
        },
    })
}

fn replay(args: &Args, path: PathBuf, seed: u64) -> ReplaySettings {
    ReplaySettings {
        path,
        format: args.file_format.map(|format| match format {
            FileFormatArg::Csv => FileFormat::Csv,
            FileFormatArg::Ndjson => FileFormat::Ndjson,
            FileFormatArg::Parquet => FileFormat::Parquet,
        }),
        map: args.map.clone(),
        set: args.set.clone(),
        delimiter: args.delimiter,
        times: TimeReading {
            format: args.time_format.clone(),
            epoch_unit: match args.epoch_unit {
                EpochArg::S => EpochUnit::Seconds,
                EpochArg::Ms => EpochUnit::Millis,
                EpochArg::Us => EpochUnit::Micros,
            },
            zone: args.time_zone,
        },
        decimal_comma: args.decimal_comma,
        round: args.round,
        bad_lines: match args.bad_lines {
            BadLinesArg::Stop => BadLines::Stop,
            BadLinesArg::Skip => BadLines::Skip,
        },
        seed,
    }
}

fn format(args: &Args) -> FormatPlan {
    let style = match args.json_style {
        StyleArg::Plain => JsonStyle::Plain,
        StyleArg::Shuffled => JsonStyle::Shuffled,
        StyleArg::Escaped => JsonStyle::Escaped,
        StyleArg::Mixed => JsonStyle::Mixed,
    };
    let decimals = match args.decimals {
        DecimalsArg::Number => Decimals::Number,
        DecimalsArg::String => Decimals::Text,
    };
    match args.format {
        FormatArg::Json => FormatPlan::Json(style, decimals),
        FormatArg::Avro => FormatPlan::Avro,
    }
}

fn key(key: KeyArg) -> KeyBy {
    match key {
        KeyArg::Store => KeyBy::Store,
        KeyArg::Sale => KeyBy::Sale,
        KeyArg::None => KeyBy::Nothing,
    }
}

fn target(args: &Args) -> Result<Target, PlanError> {
    if args.to_stdout && args.format == FormatArg::Avro {
        return Err(PlanError::BinaryLines);
    }
    if args.to_stdout {
        return Ok(Target::Lines);
    }
    if args.dry_run {
        return Ok(Target::Nowhere);
    }
    if args.topic.is_empty() {
        return Err(PlanError::NoTopic);
    }
    let mut properties = match &args.properties_file {
        None => Vec::new(),
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| PlanError::PropertiesFile {
                    path: path.clone(),
                    source,
                })?;
            values::properties(&text).map_err(|line| PlanError::Properties {
                path: path.clone(),
                line,
            })?
        }
    };
    properties.extend(args.properties.iter().cloned());
    let default_id = || format!("sales-producer-{}", args.topic);
    Ok(Target::Kafka(KafkaSettings {
        bootstrap: args.bootstrap.clone(),
        topic: args.topic.clone(),
        create: if args.create_topic {
            Some(new_topic(args)?)
        } else {
            None
        },
        transactional_id: args
            .transactional
            .then(|| args.transactional_id.clone().unwrap_or_else(default_id)),
        properties,
        connect_limit: Duration::from_secs(args.connect_timeout),
    }))
}

fn new_topic(args: &Args) -> Result<NewTopicSettings, PlanError> {
    let asked = args.partitions.unwrap_or(DEFAULT_PARTITIONS);
    let partitions = usize::try_from(asked)
        .ok()
        .filter(|&partitions| partitions <= MAX_PARTITIONS)
        .ok_or(PlanError::Partitions(asked))?;
    let replication = match args.replication_factor {
        None => None,
        Some(copies) => {
            let small = i16::try_from(copies).map_err(|_| PlanError::Replication(copies))?;
            Some(usize::from(small.unsigned_abs()))
        }
    };
    Ok(NewTopicSettings {
        partitions,
        is_exact: args.partitions.is_some(),
        replication,
        properties: args.topic_config.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use clap::{CommandFactory, Parser};

    fn plan(line: &str) -> Result<Plan, String> {
        let words = std::iter::once("sales-producer").chain(line.split_whitespace());
        let args = Args::try_parse_from(words).map_err(|error| error.to_string())?;
        Plan::new(&args, Arc::new(ManualClock::at(0)), 7).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_endless_run_is_slow_and_a_bounded_one_fast_unless_told_otherwise() {
        assert_eq!(plan("").unwrap().run.rate, Rate::PerSecond(1_000.0));
        assert_eq!(
            plan("--from 2026-01-30").unwrap().run.rate,
            Rate::PerSecond(1_000.0)
        );
        for bounded in [
            "--count 5",
            "--from 2026-01-30 --days 2",
            "--from-file a.csv",
        ] {
            assert_eq!(plan(bounded).unwrap().run.rate, Rate::Max, "{bounded}");
        }
        assert_eq!(
            plan("--rate 0.5 --count 5").unwrap().run.rate,
            Rate::PerSecond(0.5)
        );
    }

    #[test]
    fn days_are_those_of_the_zone() {
        let line = "--count 10 --from 2026-03-29 --days 1 --time-zone Europe/Paris";
        let OriginPlan::Company(settings) = plan(line).unwrap().origin else {
            panic!("a file")
        };
        let EventTimes::Spread {
            start_us,
            end_us,
            sales,
        } = settings.times
        else {
            panic!("not spread")
        };
        assert_eq!((end_us - start_us) / 3_600_000_000, 23);
        assert_eq!(sales, 10);
    }

    #[test]
    fn options_that_do_not_go_together_are_refused_by_name() {
        for (line, name) in [
            ("--days 2", "--from"),
            ("--partitions 8", "--create-topic"),
            ("--create-topic --partitions 10001", "--partitions"),
            ("--transaction-size 5", "--transactional"),
            ("--to-stdout --format avro", "--format json"),
            ("--from-file a.csv --late-ratio 0.1", "--late-ratio"),
            ("--map a=region", "--from-file"),
            ("--duplicate-ratio 1", "--duplicate-ratio"),
            ("--from 2026-01-30 --days 999999999999", "--days"),
            ("--rate 0", "--rate"),
            ("--properties-file missing.properties", "missing.properties"),
        ] {
            let error = plan(line).expect_err(line);
            assert!(error.contains(name), "{line}: {error}");
        }
    }

    #[test]
    fn a_refused_property_is_not_repeated() {
        let error = plan("-X hunter2").unwrap_err();
        assert!(
            !error.contains("hunter2") || error.contains("KEY=VALUE"),
            "{error}"
        );
    }
}
