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
mod run;
#[cfg(feature = "mongodb")]
mod mirror;
#[cfg(feature = "mongodb")]
mod mirror_repair;
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

use clap::Parser as _;

pub use arguments::Arguments;
pub use exit::{Exit, Failure};

use arguments::Command;

/// Parses the arguments, runs the command and says how it ended. Errors go to standard error.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and go to standard output with code 0.
            let code = error.exit_code();
            let _ = error.print();
            return ExitCode::from(u8::try_from(code).unwrap_or(2));
        }
    };
    match run(&arguments) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            output::print_failure(arguments.output, &failure);
            failure.exit.into()
        }
    }
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
        Command::Completions { shell } => shell::completions(*shell),
        Command::Man { dir } => shell::man(dir.as_deref()),
    }
}
