//! `verify --mirror`: whether MongoDB holds what the topic says.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::{missing, opened};
use crate::cli::columns::columns;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Output, print, print_json};
use crate::cli::{Arguments, open};
use crate::mirror::verify::{
    self as compare, MirrorFinding, MirrorReport, MirrorVerifyError, MirrorVerifyParts,
};
use crate::telemetry::figures::count;

/// How often the progress line is written.
const LINE_EVERY: Duration = Duration::from_millis(200);

/// `verify --mirror`.
pub(in crate::cli) fn verify(
    arguments: &Arguments,
    context: &Context,
    most_findings: usize,
) -> Result<(), Failure> {
    if context.settings.mirror.mongodb.uri.is_none() {
        return Err(missing());
    }
    let (mongo, plan) = opened(context, &context.settings)?;
    let mut reader = open::reader(context)?;
    let parts = MirrorVerifyParts {
        mongo: &mongo,
        plan: &plan,
        runtime: &context.runtime,
        now_ms: context.clock.wall_micros() / 1_000,
        most_findings,
    };
    let is_shown = !arguments.quiet && std::io::stderr().is_terminal();
    let (mut messages, mut last) = (0, Duration::ZERO);
    let mut watch = |more: u64| {
        messages += more;
        let now = context.clock.monotonic();
        if is_shown && now >= last + LINE_EVERY {
            last = now;
            let read = count(messages);
            context
                .line
                .show(&format!("verifying · {read} messages of the topic"));
        }
    };
    let report = compare::verify(&parts, &mut reader, &mut watch);
    context.line.show("");
    let report = report?;
    match arguments.output {
        Output::Text => print(&report_in_words(&report))?,
        Output::Json => print_json(&report)?,
    }
    if report.clean {
        return Ok(());
    }
    let findings = report.findings.len() as u64 + report.findings_left_out;
    let message = format!(
        "the mirror and the topic differ: {} findings",
        count(findings)
    );
    Err(Failure::new(Exit::Mismatch, message))
}

fn report_in_words(report: &MirrorReport) -> String {
    const HEAD: [&str; 10] = [
        "partition",
        "from",
        "next",
        "documents",
        "dead",
        "tombstones",
        "gaps",
        "expired",
        "unproved",
        "waiting",
    ];
    let rows = report.partitions.iter().map(|p| {
        vec![
            p.partition.to_string(),
            count(p.from),
            count(p.next),
            count(p.documents),
            count(p.dead_letters),
            count(p.tombstones),
            count(p.gaps),
            count(p.expired),
            count(p.unproved),
            count(p.not_yet_mirrored),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let mut text = format!(
        "mirror     {}\ntopic      {}\n",
        report.mirror, report.topic
    );
    if !rows.is_empty() {
        text += "\n";
        text += &columns(&HEAD, &rows);
    }
    for limit in &report.unproved {
        text += &format!("\nnot proved: {limit}\n");
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

fn finding_in_words(finding: &MirrorFinding) -> String {
    let mut text = format!("{:<16}", finding.kind.as_str());
    if let Some(partition) = finding.partition {
        text += &format!("  partition {partition}");
    }
    if let Some(offset) = finding.offset {
        text += &format!("  offset {offset}");
    }
    text + &format!("  {}\n", finding.detail)
}

impl From<MirrorVerifyError> for Failure {
    fn from(error: MirrorVerifyError) -> Self {
        match error {
            MirrorVerifyError::Source(error) => error.into(),
            MirrorVerifyError::Database(error) => error.into(),
            MirrorVerifyError::Other(error) => error.into(),
        }
    }
}
