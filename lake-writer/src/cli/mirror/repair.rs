//! `mirror repair --from-lake`: days of the mirror made again from the lake.
//!
//! Owns: which days, what is shown, and bringing the lake's rows to the mirror.
//! Does not own: reading the lake (`verify::rows`), the database (`mirror::Rebuild`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use super::{missing, opened};
use crate::cli::context::{Chatter, Context};
use crate::cli::exit::{Exit, Failure};
use crate::cli::offsets::milliseconds;
use crate::cli::output::{Output, print, print_json};
use crate::cli::{Arguments, open};
use crate::clock::Chance;
use crate::mirror::{Rebuild, Rebuilt};
use crate::telemetry::figures::count;
use crate::verify::VerifyParts;
use crate::verify::rows::{DayIndex, RowsError};

const DAY_MS: i64 = 86_400_000;

/// The years 1 to 9999, in days since the epoch.
const ALL_DAYS: Range<i64> = -719_162..2_932_897;

#[derive(Debug, Args)]
pub(super) struct RepairArguments {
    /// The lake is what the mirror is made of; it has to be given, since there may be other ways
    #[arg(long, required = true)]
    from_lake: bool,

    /// Begin with this day, in UTC; a time means its day
    #[arg(long, value_name = "DAY", value_parser = milliseconds)]
    since: Option<i64>,

    /// End before this day, in UTC; a time means that its day is the last one
    #[arg(long, value_name = "DAY", value_parser = milliseconds)]
    until: Option<i64>,

    /// Do it. Without this, say what would be done and change nothing
    #[arg(long)]
    yes: bool,
}

impl RepairArguments {
    fn days(&self) -> Range<i64> {
        let day = |ms: i64| ms.div_euclid(DAY_MS);
        let first = self.since.map_or(ALL_DAYS.start, day).max(ALL_DAYS.start);
        let end = self.until.map_or(ALL_DAYS.end, |ms| day(ms + DAY_MS - 1));
        first..end.min(ALL_DAYS.end)
    }
}

impl From<RowsError> for Failure {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::Commit(error) => error.into(),
            RowsError::Store(error) => error.into(),
            RowsError::File { .. } => Self::new(Exit::Mismatch, error.to_string()),
        }
    }
}

/// A repair that is about to be done.
struct Repair<'a> {
    context: &'a Context,
    parts: VerifyParts,
    index: DayIndex,
    rebuild: Rebuild,
    /// Documents there are now, by day.
    documents: BTreeMap<i64, u64>,
    is_shown: bool,
}

pub(super) fn run(arguments: &Arguments, wanted: &RepairArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    if context.settings.mirror.mongodb.uri.is_none() {
        return Err(missing());
    }
    let (parts, _) = open::compared(&context)?;
    let (mongo, plan) = opened(&context, &context.settings)?;
    let mut rebuild = context
        .runtime
        .block_on(Rebuild::look(mongo, Arc::new(plan)))?;
    let mut days = wanted.days();
    if let Some(first) = rebuild.first_day(context.clock.wall_micros() / 1_000)
        && first > days.start
    {
        days.start = first;
        if !arguments.quiet {
            let day = name(first);
            eprintln!("days before {day} are left alone: some of their documents have expired");
        }
    }
    let index = DayIndex::of(&parts, rebuild.topic_id(), rebuild.time(), &days)?;
    rebuild.stop_at(&index.next);
    let documents = context.runtime.block_on(rebuild.documents_by_day(&days))?;
    let mut repair = Repair {
        is_shown: !arguments.quiet && std::io::stderr().is_terminal(),
        context: &context,
        parts,
        index,
        rebuild,
        documents,
    };
    let done = match wanted.yes {
        true => repair.carry_out(),
        false => repair.plan(),
    };
    context.line.show("");
    show(arguments.output, wanted.yes, &done?)
}

impl Repair<'_> {
    fn days(&self) -> BTreeSet<i64> {
        self.index
            .days()
            .chain(self.documents.keys().copied())
            .collect()
    }

    fn tell(&self, day: i64) {
        if self.is_shown {
            self.context.line.show(&format!("{}…", name(day)));
        }
    }

    /// What is there and what would be.
    fn plan(&self) -> Result<BTreeMap<i64, Rebuilt>, Failure> {
        let mut planned = BTreeMap::new();
        for day in self.days() {
            self.tell(day);
            let mut inserted = 0;
            self.index.read(&self.parts, day, &mut |batch| {
                inserted += self.rebuild.documents(day, batch).len() as u64;
                Ok::<(), Failure>(())
            })?;
            let removed = self.documents.get(&day).copied().unwrap_or(0);
            planned.insert(day, Rebuilt { removed, inserted });
        }
        Ok(planned)
    }

    fn carry_out(&mut self) -> Result<BTreeMap<i64, Rebuilt>, Failure> {
        let runtime = &self.context.runtime;
        let session = Chance::from_entropy().hex_id();
        runtime.block_on(self.rebuild.claim(&session))?;
        let mut done = BTreeMap::new();
        for day in self.days() {
            self.tell(day);
            let mut inserted = 0;
            let removed = runtime.block_on(self.rebuild.remove(day))?;
            self.index.read(&self.parts, day, &mut |batch| {
                let documents = self.rebuild.documents(day, batch);
                inserted += documents.len() as u64;
                runtime.block_on(self.rebuild.insert(&documents))?;
                Ok::<(), Failure>(())
            })?;
            runtime.block_on(self.rebuild.add_up(day))?;
            done.insert(day, Rebuilt { removed, inserted });
        }
        Ok(done)
    }
}

/// A day as people write it.
fn name(day: i64) -> String {
    let start = DateTime::<Utc>::from_timestamp_millis(day * DAY_MS);
    start.map_or_else(String::new, |start| start.format("%Y-%m-%d").to_string())
}

fn show(output: Output, is_done: bool, days: &BTreeMap<i64, Rebuilt>) -> Result<(), Failure> {
    if output == Output::Json {
        let days = days.iter().map(|(day, Rebuilt { removed, inserted })| {
            json!({ "day": name(*day), "before": removed, "after": inserted })
        });
        return print_json(&json!({ "changed": is_done, "days": days.collect::<Vec<_>>() }));
    }
    let mut text = String::new();
    for (day, Rebuilt { removed, inserted }) in days {
        let (day, before, after) = (name(*day), count(*removed), count(*inserted));
        text += &match is_done {
            true => format!("{day}: {before} documents gave way to {after} of the lake\n"),
            false => {
                format!("{day}: {before} documents there are; {after} would come of the lake\n")
            }
        };
    }
    if days.is_empty() {
        text = "there is no document and no row in these days\n".into();
    } else if !is_done {
        text += "nothing was changed: stop the mirror, and run it again with --yes\n";
    }
    print(&text)
}
