//! `repair`: puts right what `verify` finds, after showing what that will be.
//!
//! Owns: what is typed and shown, and the rounds: foreign files first, then what still differs.
//! Does not own: what follows from a finding (`rewrite::plan`), writing (`rewrite`).

use clap::Args;
use serde_json::{Value, json};

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::{Exit, Failure};
use super::open;
use super::output::{Output, print, print_json};
use super::rewriting::{Topic, begin, read_log};
use super::verify;
use crate::commit::record::Definition;
use crate::rewrite::{Outcome, Plan, Rewriter, move_out};
use crate::source::RangeReader;
use crate::source::kafka::KafkaReader;
use crate::telemetry::figures::count;
use crate::verify::{Report, Request, VerifyParts};

/// Findings looked at in one round.
const MOST_FINDINGS: usize = 1_000_000;

/// Rounds of looking and mending: foreign files, commits, and once more for what shows only then.
const MOST_ROUNDS: usize = 4;

#[derive(Debug, Args)]
pub(super) struct RepairArguments {
    /// Do it. Without this, say what would be done and change nothing
    #[arg(long)]
    yes: bool,
}

/// What a repair works with.
struct Repair<'a> {
    context: &'a Context,
    parts: VerifyParts,
    definition: Definition,
    reader: KafkaReader,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    moved: Vec<Value>,
    written: Vec<Value>,
    published: usize,
    refused: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, repair: &RepairArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    let (parts, definition) = open::compared(&context)?;
    let reader = open::reader(&context)?;
    let mut work = Repair {
        context: &context,
        parts,
        definition,
        reader,
    };
    let (mut report, mut plan) = work.look()?;
    if !repair.yes {
        show_plan(arguments.output, &report, &plan)?;
        return match report.clean {
            true => Ok(()),
            false => Err(Failure::new(
                Exit::Mismatch,
                "nothing was changed: run it again with --yes to do so",
            )),
        };
    }
    let mut done = Done::default();
    let mut rewriter: Option<Rewriter> = None;
    for _ in 0..MOST_ROUNDS {
        if plan.is_empty() {
            break;
        }
        let rewriter = match &mut rewriter {
            Some(rewriter) => rewriter,
            none => none.insert(begin(
                &context,
                work.parts.store.clone(),
                &work.definition,
                "repair",
            )?),
        };
        let before = done.count();
        work.mend(&plan, rewriter, &mut done)?;
        (report, plan) = work.look()?;
        if done.count() == before {
            break;
        }
    }
    show_done(arguments.output, &report, &plan, &done)?;
    match report.clean {
        true => Ok(()),
        false => Err(Failure::new(
            Exit::Mismatch,
            format!(
                "{} findings are left",
                count(report.findings.len() as u64 + report.findings_left_out)
            ),
        )),
    }
}

impl Done {
    fn count(&self) -> usize {
        self.moved.len() + self.written.len() + self.published
    }
}

impl Repair<'_> {
    fn look(&mut self) -> Result<(Report, Plan), Failure> {
        let request = Request {
            most_findings: MOST_FINDINGS,
            ..Request::default()
        };
        let mut line = verify::Line::new(self.context, false);
        let reader: Option<&mut dyn RangeReader> = Some(&mut self.reader);
        let report = crate::verify::verify(
            &self.parts,
            &self.definition,
            reader,
            &request,
            &mut |progress| line.show(progress),
        );
        self.context.line.show("");
        let report = report?;
        if report.clean {
            return Ok((report, Plan::default()));
        }
        let topic = Topic::ask(&mut self.reader)?;
        let (_, units) = read_log(self.context, self.parts.store.as_ref(), &topic)?;
        let plan = Plan::of(&report, units, &topic.watermarks);
        Ok((report, plan))
    }

    fn mend(
        &mut self,
        plan: &Plan,
        rewriter: &mut Rewriter,
        done: &mut Done,
    ) -> Result<(), Failure> {
        let store = self.parts.store.as_ref();
        for path in &plan.foreign {
            let moving = move_out(store, rewriter.session(), path);
            let to = self.context.runtime.block_on(moving)?;
            done.moved.push(json!({ "path": path, "to": to }));
        }
        for unit in &plan.units {
            let outcome = rewriter.rewrite(unit, &mut self.reader, "repair")?;
            match outcome {
                Outcome::Replaced {
                    record,
                    files,
                    rows,
                } => done.written.push(json!({
                    "commit": unit.commit, "record": record, "files": files, "rows": rows,
                    "replaced": unit.files.len(),
                })),
                Outcome::Refused(why) => {
                    done.refused.push(format!("commit {}: {why}", unit.commit));
                }
            }
        }
        if !plan.publish.is_empty() {
            done.published += rewriter.roll_forward()?;
        }
        Ok(())
    }
}

fn plan_json(plan: &Plan) -> Value {
    let units = plan.units.iter().map(|unit| {
        let files: Vec<_> = unit.files.iter().map(|file| &file.path).collect();
        json!({ "commit": unit.commit, "messages": unit.messages(), "files": files })
    });
    json!({
        "move_out": plan.foreign,
        "write_again": units.collect::<Vec<_>>(),
        "publish": plan.publish,
        "beyond_repair": plan.beyond,
    })
}

fn show_plan(output: Output, report: &Report, plan: &Plan) -> Result<(), Failure> {
    if output == Output::Json {
        return print_json(&json!({
            "table": report.table, "changed": false, "clean": report.clean,
            "findings": report.findings.len() as u64 + report.findings_left_out,
            "plan": plan_json(plan),
        }));
    }
    if report.clean {
        return print("nothing differs: there is nothing to repair\n");
    }
    let mut text = String::new();
    for path in &plan.foreign {
        text += &format!("would move out   {path}\n");
    }
    for unit in &plan.units {
        text += &format!(
            "would write      commit {} again from the topic: {} messages, in place of {} files\n",
            unit.commit,
            count(unit.messages()),
            count(unit.files.len() as u64)
        );
    }
    for path in &plan.publish {
        text += &format!("would publish    {path}\n");
    }
    for what in &plan.beyond {
        text += &format!("cannot repair    {what}\n");
    }
    if !plan.foreign.is_empty() {
        text +=
            "doubled and differing offsets are looked at again once foreign files are moved out\n";
    }
    print(&text)
}

fn show_done(output: Output, report: &Report, plan: &Plan, done: &Done) -> Result<(), Failure> {
    if output == Output::Json {
        return print_json(&json!({
            "table": report.table, "changed": done.count() > 0, "clean": report.clean,
            "moved_out": done.moved, "written_again": done.written, "published": done.published,
            "refused": done.refused, "left": plan_json(plan), "findings": report.findings,
        }));
    }
    let mut text = String::new();
    for moved in &done.moved {
        text += &format!(
            "moved out        {} to {}\n",
            word(&moved["path"]),
            word(&moved["to"])
        );
    }
    for written in &done.written {
        text += &format!(
            "wrote            commit {} again: {} rows in {} files, in place of {}, by record {}\n",
            written["commit"],
            written["rows"],
            written["files"],
            written["replaced"],
            written["record"]
        );
    }
    if done.published > 0 {
        text += &format!("published        the files of {} commits\n", done.published);
    }
    for why in done.refused.iter().chain(&plan.beyond) {
        text += &format!("cannot repair    {why}\n");
    }
    if report.clean {
        text += "nothing differs\n";
    }
    print(&text)
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
