//! `verify`: whether the lake holds what the topic says.
//!
//! Owns: what is typed, the progress line, and how the report is shown.
//! Does not own: any comparison (`verify`).

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;

use super::Arguments;
use super::columns::columns;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::offsets::OffsetArguments;
use super::open;
use super::output::{Output, print, print_json};
use crate::source::RangeReader;
use crate::telemetry::figures::{bytes, count};
use crate::verify::{self, Finding, Progress, Report, Request, VerifyError};

/// Between two changes of the progress line.
const LINE_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    offsets: OffsetArguments,

    /// Look at a part of the commits, between 0 and 1; the same ones each time
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    sample: Option<f64>,

    /// Compare log and listings alone: names and sizes, no content, no topic
    #[arg(long, conflicts_with_all = ["partition", "from", "to", "since", "until", "sample"])]
    quick: bool,

    /// Compare MongoDB with the topic, and rollups with documents, in place of the lake
    #[arg(long, conflicts_with_all = ["partition", "from", "to", "since", "until", "sample", "quick"])]
    mirror: bool,

    /// How many findings are listed; all are counted
    #[arg(long, value_name = "COUNT", default_value_t = 1_000)]
    findings: usize,
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok();
    ratio
        .filter(|ratio| (0.0..=1.0).contains(ratio))
        .ok_or_else(|| "write a number between 0 and 1, such as 0.05".into())
}

pub(super) fn run(arguments: &Arguments, verify: &VerifyArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    if verify.mirror {
        return super::mirror::verify(arguments, &context, verify.findings);
    }
    let (parts, definition) = open::compared(&context)?;
    let request = Request {
        sample: verify.sample,
        most_findings: verify.findings,
        ..verify.offsets.request()?
    };
    let mut reader = match verify.quick {
        true => None,
        false => Some(open::reader(&context)?),
    };
    let reader = reader.as_mut().map(|reader| reader as &mut dyn RangeReader);
    let mut line = Line::new(&context, arguments.quiet);
    let report = verify::verify(&parts, &definition, reader, &request, &mut |progress| {
        line.show(progress);
    });
    context.line.show("");
    let report = report?;
    match arguments.output {
        Output::Text => print(&in_words(&report))?,
        Output::Json => print_json(&report)?,
    }
    if report.clean {
        return Ok(());
    }
    let findings = report.findings.len() as u64 + report.findings_left_out;
    let message = format!(
        "the lake and the topic differ: {} findings",
        count(findings)
    );
    Err(Failure::new(Exit::Mismatch, message))
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Source(error) => error.into(),
            VerifyError::Commit(error) => error.into(),
            VerifyError::Store(error) => error.into(),
            VerifyError::OtherTable(_) => Self::new(Exit::Usage, error.to_string()),
            VerifyError::Column(_) => Self::new(Exit::Failure, error.to_string()),
        }
    }
}

/// The progress line, where there is a terminal for it.
pub(super) struct Line<'a> {
    context: &'a Context,
    is_shown: bool,
    last: Duration,
}

impl<'a> Line<'a> {
    pub(super) fn new(context: &'a Context, is_quiet: bool) -> Self {
        Self {
            context,
            is_shown: !is_quiet && std::io::stderr().is_terminal(),
            last: Duration::ZERO,
        }
    }

    pub(super) fn show(&mut self, progress: Progress) {
        let now = self.context.clock.monotonic();
        if !self.is_shown || now < self.last + LINE_EVERY {
            return;
        }
        self.last = now;
        let Progress {
            messages,
            rows,
            files,
            of_files,
        } = progress;
        self.context.line.show(&format!(
            "verifying · {} messages of the topic · {} rows of the lake, in {} of {} files",
            count(messages),
            count(rows),
            count(files),
            count(of_files)
        ));
    }
}

fn in_words(report: &Report) -> String {
    let mut text = format!("table      {}\n", report.table);
    if !report.quick {
        text += &format!("topic      {}\n", report.topic);
    }
    match report.head {
        None => text += "log        empty: nothing was written yet\n",
        Some(head) => {
            let commits = count(report.commits.in_log);
            text += &format!("log        at record {head}, {commits} commits\n");
        }
    }
    let files = &report.files;
    text += &format!(
        "files      {} named, {}; {} checksummed, {} compared with the topic, {} foreign\n",
        count(files.named),
        bytes(files.bytes),
        count(files.checksummed),
        count(files.compared),
        count(files.foreign)
    );
    if !report.quick && !report.partitions.is_empty() {
        text += "\n";
        text += &partition_table(report);
    }
    for limit in &report.unproved {
        text += &format!("\nnot proved: {limit}");
    }
    if !report.unproved.is_empty() {
        text += "\n";
    }
    if !report.findings.is_empty() {
        text += "\n";
    }
    for finding in &report.findings {
        text += &finding_in_words(finding);
    }
    if report.findings_left_out > 0 {
        text += &format!("… and {} more\n", count(report.findings_left_out));
    }
    if report.clean {
        text += "\nnothing differs\n";
    }
    text
}

fn finding_in_words(finding: &Finding) -> String {
    let mut text = format!("{:<16}", finding.kind.as_str());
    if let Some(path) = &finding.path {
        text += &format!("  {path}");
    }
    if let Some(commit) = finding.commit {
        text += &format!("  commit {commit}");
    }
    if let Some(partition) = finding.partition {
        text += &format!("  partition {partition}");
    }
    if let Some(offsets) = finding.offsets {
        text += &match offsets.len() {
            1 => format!("  offset {}", offsets.start()),
            _ => format!("  offsets {}..{}", offsets.start(), offsets.next()),
        };
    }
    text + &format!("  {}\n", finding.detail)
}

fn partition_table(report: &Report) -> String {
    const HEAD: [&str; 14] = [
        "partition",
        "from",
        "next",
        "compared",
        "rows",
        "dead",
        "tombstones",
        "gaps",
        "compacted",
        "unproved",
        "waiting",
        "missing",
        "doubled",
        "other",
    ];
    let rows: Vec<Vec<String>> = report
        .partitions
        .iter()
        .map(|p| {
            vec![
                p.partition.to_string(),
                count(p.from),
                count(p.next),
                count(p.compared),
                count(p.rows),
                count(p.dead_letters),
                count(p.tombstones),
                count(p.gaps),
                count(p.compacted),
                count(p.unproved),
                count(p.not_yet_committed),
                count(p.missing),
                count(p.doubled),
                count(p.differing + p.misplaced + p.unexpected),
            ]
        })
        .collect();
    columns(&HEAD, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_lies_between_nothing_and_all() {
        assert_eq!(ratio("0.25"), Ok(0.25));
        for wrong in ["1.5", "-0.1", "NaN", "some"] {
            assert!(ratio(wrong).is_err(), "{wrong}");
        }
    }
}
