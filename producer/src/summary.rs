//! What a run did, for people and for tests.
//!
//! RunReport ──► Summary ──► text | JSON
//!
//! Owns the format of the summary, which tests take as the oracle: counts, and sums as exact
//! decimals in text. New keys may be added; a change of meaning raises [`SUMMARY_VERSION`].

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use crate::progress::grouped;
use crate::run::RunReport;
use crate::totals::Tally;

/// Version of the JSON form.
pub const SUMMARY_VERSION: u32 = 1;

/// What the run was told, as far as its result depends on it.
#[derive(Debug, Clone, Serialize)]
pub struct Identity {
    /// Topic, or null when nothing was sent.
    pub topic: Option<String>,
    /// Partitions of the topic.
    pub partitions: Option<usize>,
    /// json or avro.
    pub format: &'static str,
    /// What messages are keyed by: `store_id`, `sale_id` or none.
    pub key: &'static str,
    /// The seed: with the same options it makes the same bytes again.
    pub seed: u64,
    /// Zone of the dates.
    pub time_zone: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All was made and delivered.
    Complete,
    /// A signal ended it; all that was made was delivered.
    Interrupted,
    /// Messages are missing, or it ended by an error.
    Failed,
}

/// What a run did.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    version: u32,
    /// How the run ended.
    pub outcome: Outcome,
    failure: Option<String>,
    #[serde(flatten)]
    identity: Identity,
    seconds: f64,
    messages_per_second: f64,
    value_bytes: u64,
    /// Messages that a reader of the topic finds: rows and malformed ones.
    messages: u64,
    /// Messages that can be decoded, duplicates included.
    rows: u64,
    distinct_sale_ids: u64,
    /// Sum over all rows.
    amount: String,
    /// Sum with each `sale_id` taken once.
    distinct_amount: String,
    duplicates: u64,
    malformed: u64,
    malformed_by_flaw: BTreeMap<&'static str, u64>,
    late: u64,
    aborted_messages: u64,
    skipped_lines: u64,
    undelivered: u64,
    delivery_errors: BTreeMap<String, u64>,
    first_sold_at: Option<String>,
    last_sold_at: Option<String>,
    by_region: BTreeMap<String, Figures>,
    by_date: BTreeMap<String, Figures>,
    by_date_and_region: Vec<Cell>,
}

/// Rows and money of a part of the sales.
#[derive(Debug, Clone, Serialize)]
struct Figures {
    rows: u64,
    amount: String,
    distinct_rows: u64,
    distinct_amount: String,
}

/// A day in a region.
#[derive(Debug, Clone, Serialize)]
struct Cell {
    date: String,
    region: String,
    #[serde(flatten)]
    figures: Figures,
}

impl Summary {
    /// Sums a run up. `skipped_lines` are those of a replayed file that were left out.
    pub fn new(identity: Identity, report: &RunReport, skipped_lines: u64) -> Self {
        let cells = report.totals.by_date_and_region();
        let mut whole = Tally::default();
        let mut by_region: BTreeMap<String, Tally> = BTreeMap::new();
        let mut by_date: BTreeMap<String, Tally> = BTreeMap::new();
        for ((date, region), tally) in &cells {
            whole.add(tally);
            by_region
                .entry((*region).to_owned())
                .or_default()
                .add(tally);
            by_date.entry(date.to_string()).or_default().add(tally);
        }
        let totals = &report.totals;
        let undelivered = report.deliveries.undelivered;
        let seconds = report.elapsed.as_secs_f64();
        let sent = totals.messages() + report.aborted_messages;
        let figures = |tallies: BTreeMap<String, Tally>| {
            tallies
                .into_iter()
                .map(|(name, tally)| (name, Figures::from(tally)))
                .collect()
        };
        let moment = |us| {
            DateTime::from_timestamp_micros(us)
                .map(|moment| moment.to_rfc3339_opts(SecondsFormat::Micros, true))
        };
        let times = totals.event_times_us();
        let malformed = totals.malformed();
        Self {
            version: SUMMARY_VERSION,
            outcome: outcome(report),
            failure: report.failure.as_ref().map(chain),
            identity,
            seconds: round(seconds, 1e3),
            messages_per_second: round(sent as f64 / seconds.max(1e-9), 1e1),
            value_bytes: totals.value_bytes(),
            messages: totals.messages(),
            rows: whole.rows,
            distinct_sale_ids: whole.distinct_rows(),
            amount: decimal(whole.amount_cents),
            distinct_amount: decimal(whole.distinct_amount_cents()),
            duplicates: whole.duplicate_rows,
            malformed: malformed.values().sum(),
            malformed_by_flaw: malformed
                .iter()
                .map(|(flaw, n)| (flaw.name(), *n))
                .collect(),
            late: totals.late(),
            aborted_messages: report.aborted_messages,
            skipped_lines,
            undelivered,
            delivery_errors: report.deliveries.errors.clone(),
            first_sold_at: times.and_then(|(first, _)| moment(first)),
            last_sold_at: times.and_then(|(_, last)| moment(last)),
            by_region: figures(by_region),
            by_date: figures(by_date),
            by_date_and_region: cells
                .into_iter()
                .map(|((date, region), tally)| Cell {
                    date: date.to_string(),
                    region: region.to_owned(),
                    figures: tally.into(),
                })
                .collect(),
        }
    }

    /// The JSON form, on several lines.
    ///
    /// # Errors
    /// None: it consists of texts and numbers.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl From<Tally> for Figures {
    fn from(tally: Tally) -> Self {
        Self {
            rows: tally.rows,
            amount: decimal(tally.amount_cents),
            distinct_rows: tally.distinct_rows(),
            distinct_amount: decimal(tally.distinct_amount_cents()),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match (&self.identity.topic, self.outcome) {
            (None, _) => "made",
            (_, Outcome::Failed) => "tried to send",
            _ => "sent",
        };
        write!(
            f,
            "{verb} {} messages",
            grouped(self.messages + self.aborted_messages)
        )?;
        if let Some(topic) = &self.identity.topic {
            write!(f, " to {topic}")?;
        }
        writeln!(
            f,
            " in {:.1} s: {}/s, {:.0} bytes each, seed {}",
            self.seconds,
            grouped(self.messages_per_second as u64),
            self.value_bytes as f64 / (self.messages as f64).max(1.0),
            self.identity.seed
        )?;
        writeln!(
            f,
            "rows {}, amount {}, {} regions, {} dates ({})",
            grouped(self.rows),
            self.amount,
            self.by_region.len(),
            self.by_date.len(),
            self.identity.time_zone
        )?;
        for (label, count) in [
            ("duplicates", self.duplicates),
            ("malformed", self.malformed),
            ("late", self.late),
            ("in aborted transactions", self.aborted_messages),
            ("lines of the file skipped", self.skipped_lines),
            ("UNDELIVERED", self.undelivered),
        ] {
            if count > 0 {
                writeln!(f, "{label}: {}", grouped(count))?;
            }
        }
        if self.duplicates > 0 {
            writeln!(
                f,
                "distinct sale_ids {}, their amount {}",
                grouped(self.distinct_sale_ids),
                self.distinct_amount
            )?;
        }
        for (reason, count) in &self.delivery_errors {
            writeln!(f, "  {reason}: {}", grouped(*count))?;
        }
        Ok(())
    }
}

fn outcome(report: &RunReport) -> Outcome {
    if report.failure.is_some() || report.deliveries.undelivered > 0 {
        Outcome::Failed
    } else if report.interrupted {
        Outcome::Interrupted
    } else {
        Outcome::Complete
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(impl std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent errors repeat themselves.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

fn decimal(cents: i128) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!(
        "{sign}{}.{:02}",
        cents.unsigned_abs() / 100,
        cents.unsigned_abs() % 100
    )
}

fn round(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_decimals() {
        for (cents, text) in [
            (0, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (-1230, "-12.30"),
            (i128::MAX, "1701411834604692317316873037158841057.27"),
        ] {
            assert_eq!(decimal(cents), text);
        }
    }
}
