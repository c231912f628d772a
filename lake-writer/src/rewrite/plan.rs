//! What follows from the findings of a verification.
//!
//! ```text
//! Report + units + watermarks ─► Plan { foreign files, commits to write again, what cannot be helped }
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crate::source::Watermarks;
use crate::store::TablePath;
use crate::verify::{Finding, FindingKind, Report};

use super::unit::Unit;

/// What a repair does, and what it cannot do.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Files that nobody committed, to be moved out of the table.
    pub foreign: Vec<TablePath>,
    /// Committed files that are staged still, to be published.
    pub publish: Vec<String>,
    /// Commits to be written again from the topic.
    pub units: Vec<Unit>,
    /// Findings that stay, each with the reason.
    pub beyond: Vec<String>,
}

impl Plan {
    /// Draws the consequences. As long as there are foreign files, offsets that are doubled or differ
    /// may be those files' doing: they are left to the next look.
    pub fn of(report: &Report, units: Vec<Unit>, topic: &BTreeMap<i32, Watermarks>) -> Self {
        let mut plan = Self::default();
        let mut chosen = BTreeSet::new();
        let mut beyond = BTreeSet::new();
        for finding in &report.findings {
            let of_finding = || units.iter().filter(|unit| concerns(unit, finding));
            match finding.kind {
                FindingKind::ForeignFile => plan.foreign.extend(path(finding)),
                FindingKind::UnpublishedFile => plan.publish.extend(finding.path.clone()),
                FindingKind::WrongCounts | FindingKind::ShortTopic => {
                    beyond.insert(in_words(finding, &finding.detail));
                }
                _ if of_finding().next().is_none() => {
                    let why = "it belongs to no commit of this topic; rows of a file come back with \
                               `backfill --again`";
                    beyond.insert(in_words(finding, why));
                }
                _ => chosen.extend(of_finding().map(|unit| (unit.commit, finding.path.is_some()))),
            }
        }
        let only_files = !plan.foreign.is_empty();
        for unit in units {
            let by_file = chosen.contains(&(unit.commit, true));
            if !by_file && (only_files || !chosen.contains(&(unit.commit, false))) {
                continue;
            }
            match unit.obstacle(topic) {
                None => plan.units.push(unit),
                Some(why) => {
                    beyond.insert(format!("commit {}: {why}", unit.commit));
                }
            }
        }
        plan.beyond = beyond.into_iter().collect();
        plan
    }

    /// Whether there is nothing to be done.
    pub fn is_empty(&self) -> bool {
        self.foreign.is_empty() && self.publish.is_empty() && self.units.is_empty()
    }
}

fn path(finding: &Finding) -> Option<TablePath> {
    TablePath::new(finding.path.clone()?).ok()
}

fn concerns(unit: &Unit, finding: &Finding) -> bool {
    match (&finding.path, finding.partition, finding.offsets) {
        (Some(path), ..) => unit.files.iter().any(|file| file.path.as_str() == path),
        (None, Some(partition), Some(offsets)) => unit.touches(partition, offsets),
        _ => false,
    }
}

fn in_words(finding: &Finding, why: &str) -> String {
    let about = match (&finding.path, finding.partition, finding.offsets) {
        (Some(path), ..) => path.clone(),
        (None, Some(partition), Some(offsets)) => {
            let (start, next) = (offsets.start(), offsets.next());
            format!("offsets {start}..{next} of partition {partition}")
        }
        (None, Some(partition), None) => format!("partition {partition}"),
        _ => "the table".into(),
    };
    format!("{} {about}: {why}", finding.kind.as_str())
}
