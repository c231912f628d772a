//! The commands. Nothing below knows this module.
//!
//! ```text
//! arguments ─► Arguments ─► settings ─► a command ─► output, exit code
//! ```
//!
//! Owns: what people type and what they see.
//! Does not own: any work on rows. A command puts the parts together and shows what they report.

mod arguments;
mod exit;
mod output;
mod columns;
mod context;
mod open;
mod signals;
mod running;
mod run;
#[cfg(feature = "mongodb")]
mod mirror;
#[cfg(not(feature = "mongodb"))]
#[path = "no_mirror.rs"]
mod mirror;
mod plan;
mod nowhere;
mod demo;
mod status;
mod offsets;
mod verify;
mod rewriting;
mod repair;
mod backfill;
mod place;
mod load;
mod log;
mod files;
mod sweep;
mod config;
mod shell;

use std::ffi::OsString;
use std::process::ExitCode;

pub use arguments::Arguments;
pub use exit::{Exit, Failure};
pub use output::print;
pub use shell::{command, completions, man};

use arguments::Command;

/// Parses the arguments, runs the command and says how it ended. Errors go to standard error.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    command(arguments, run, |arguments: &Arguments, failure| {
        output::print_failure(arguments.output, failure);
    })
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Run(run) => run::run(arguments, run),
        Command::Mirror(mirror) => mirror::run(arguments, mirror),
        Command::Plan(plan) => plan::run(arguments, plan),
        Command::Demo(demo) => demo::run(arguments, demo),
        Command::Status => status::run(arguments),
        Command::Verify(verify) => verify::run(arguments, verify),
        Command::Repair(repair) => repair::run(arguments, repair),
        Command::Backfill(backfill) => backfill::run(arguments, backfill),
        Command::Where(wanted) => place::run(arguments, wanted),
        Command::Log(log) => log::run(arguments, log),
        Command::Files(files) => files::run(arguments, files),
        Command::Sweep(sweep) => sweep::run(arguments, sweep),
        Command::Config(command) => config::run(arguments, command),
        Command::Completions { shell } => completions::<Arguments>(*shell),
        Command::Man { dir } => man::<Arguments>(dir.as_deref()),
    }
}
