//! `backfill`: writes offsets or times of the topic again, in the place of what is there, or files.
//!
//! Owns: what is typed and shown, and going on after an interruption.
//! Does not own: writing (`rewrite`), what is special to files (`load`).

use std::io::IsTerminal as _;

use clap::Args;
use serde_json::json;

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::load::{self, FileArguments};
use super::offsets::OffsetArguments;
use super::open;
use super::output::{Output, print, print_json};
use super::rewriting::{Topic, begin, read_log};
use crate::rewrite::{Outcome, Rewriter, Unit};
use crate::source::RangeReader;
use crate::telemetry::figures::count;
use crate::verify::wanted;

#[derive(Debug, Args)]
pub(super) struct BackfillArguments {
    #[command(flatten)]
    offsets: OffsetArguments,

    #[command(flatten)]
    files: FileArguments,

    /// Name of this backfill. One that was interrupted goes on when it is run again under its name;
    /// another name writes everything anew
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

fn name(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match !text.is_empty() && text.len() <= 100 && text.chars().all(legal) {
        true => Ok(text.to_owned()),
        false => Err("write up to 100 letters, digits, `-`, `_` and `.`".into()),
    }
}

/// What a backfill did.
#[derive(Default)]
struct Written {
    commits: u64,
    rows: u64,
    files: u64,
    /// Commits that were not written, since they are younger than the beginning of this name.
    before: u64,
}

pub(super) fn run(arguments: &Arguments, backfill: &BackfillArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    if backfill.files.are_given() {
        let Some(set) = &backfill.name else {
            let message = "files need --name: under it the same file is never written twice";
            return Err(Failure::new(Exit::Usage, message));
        };
        return load::run(&context, arguments, &backfill.files, set, backfill.dry_run);
    }
    let (parts, definition) = open::compared(&context)?;
    let mut reader = open::reader(&context)?;
    let topic = Topic::ask(&mut reader)?;
    let (ledger, mut units) = read_log(&context, parts.store.as_ref(), &topic)?;
    let asked_for = wanted(
        &ledger,
        &backfill.offsets.request()?,
        &topic.identity,
        &mut reader,
    )?;
    units.retain(|unit| {
        let mut asked_for = asked_for.iter();
        asked_for.any(|(of, range)| unit.touches(*of, *range))
    });
    refuse_what_is_gone(&units, &topic)?;
    if backfill.dry_run {
        return show_plan(arguments.output, &units);
    }
    let name = backfill.name(&context, arguments.quiet);
    let mut rewriter = begin(&context, parts.store.clone(), &definition, &work_of(&name))?;
    let is_shown = !arguments.quiet && std::io::stderr().is_terminal();
    let written = write_again(&units, &mut rewriter, &mut reader, &name, &mut |progress| {
        if is_shown {
            context.line.show(progress);
        }
    });
    context.line.show("");
    show_written(arguments.output, &parts.store.url(), &name, &written?)
}

/// What is claimed for a backfill, and the reason in its records.
fn work_of(name: &str) -> String {
    format!("backfill {name}")
}

fn write_again(
    units: &[Unit],
    rewriter: &mut Rewriter,
    reader: &mut dyn RangeReader,
    name: &str,
    watch: &mut dyn FnMut(&str),
) -> Result<Written, Failure> {
    let begun_at = rewriter.begun_at();
    let mut written = Written::default();
    for (number, unit) in (1..).zip(units) {
        if unit.is_newer_than(begun_at) {
            written.before += 1;
            continue;
        }
        let (of, rows) = (units.len(), count(written.rows));
        watch(&format!("commit {number} of {of} · {rows} rows written"));
        match rewriter.rewrite(unit, reader, &work_of(name)) {
            Ok(Outcome::Replaced { files, rows, .. }) => {
                written.commits += 1;
                written.files += files;
                written.rows += rows;
            }
            Ok(Outcome::Refused(why)) => {
                let message = format!("commit {} was left as it was: {why}", unit.commit);
                return Err(Failure::new(Exit::Mismatch, message));
            }
            Err(error) => {
                let failure = Failure::from(error);
                let message = format!("{}; go on with --name {name}", failure.message);
                return Err(Failure::new(failure.exit, message));
            }
        }
    }
    Ok(written)
}

impl BackfillArguments {
    /// The name that was given, or one that is told.
    fn name(&self, context: &Context, is_quiet: bool) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let name = format!("at-{}", context.clock.wall_micros());
        if !is_quiet {
            eprintln!(
                "this backfill is named {name}: after an interruption, go on with --name {name}"
            );
        }
        name
    }
}

/// Before anything is changed.
fn refuse_what_is_gone(chosen: &[Unit], topic: &Topic) -> Result<(), Failure> {
    let obstacle = chosen
        .iter()
        .find_map(|unit| Some((unit.commit, unit.obstacle(&topic.watermarks)?)));
    match obstacle {
        None => Ok(()),
        Some((commit, why)) => Err(Failure::new(
            Exit::Source,
            format!(
                "commit {commit} cannot be written again: {why}; nothing was changed, choose later \
                 offsets with --from or --since"
            ),
        )),
    }
}

fn show_plan(output: Output, chosen: &[Unit]) -> Result<(), Failure> {
    let messages: u64 = chosen.iter().map(Unit::messages).sum();
    if output == Output::Json {
        let commits = chosen.iter().map(|unit| {
            let ranges = unit.offsets().map(|(partition, range)| {
                json!({ "partition": partition, "start": range.start(), "next": range.next() })
            });
            let files: Vec<_> = unit.files.iter().map(|file| &file.path).collect();
            json!({
                "commit": unit.commit, "messages": unit.messages(),
                "ranges": ranges.collect::<Vec<_>>(), "files": files,
            })
        });
        return print_json(
            &json!({ "messages": messages, "commits": commits.collect::<Vec<_>>() }),
        );
    }
    let mut text = String::new();
    for unit in chosen {
        let ranges: Vec<_> = unit
            .offsets()
            .map(|(partition, range)| {
                format!("partition {partition}: {}..{}", range.start(), range.next())
            })
            .collect();
        text += &format!(
            "would write commit {} again: {}, {} messages, in place of {} files\n",
            unit.commit,
            ranges.join(", "),
            count(unit.messages()),
            count(unit.files.len() as u64)
        );
    }
    print(
        &(text
            + &format!(
                "{} commits, {} messages; whole commits are written, so that each file has one origin\n",
                count(chosen.len() as u64),
                count(messages)
            )),
    )
}

fn show_written(output: Output, table: &str, name: &str, written: &Written) -> Result<(), Failure> {
    let Written {
        commits,
        rows,
        files,
        before,
    } = *written;
    if output == Output::Json {
        return print_json(&json!({
            "table": table, "name": name, "commits": commits, "rows": rows, "files": files,
            "written_before": before,
        }));
    }
    let (commits, rows, files) = (count(commits), count(rows), count(files));
    let mut text = format!("wrote {commits} commits again: {rows} rows in {files} files\n");
    if before > 0 {
        let before = count(before);
        text += &format!("{before} commits were written by {name} before, or since it began\n");
    }
    print(&text)
}
