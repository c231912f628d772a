//! What every command of the workspace does alike: it parses its arguments and says how it ended, and it
//! writes completions and manual pages from their definition.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use super::exit::{Exit, Failure};
use super::output::print;

/// Parses the arguments, runs the command and says how it ended; `told` says why it failed.
pub fn command<A: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    run: impl FnOnce(&A) -> Result<(), Failure>,
    told: impl FnOnce(&A, &Failure),
) -> ExitCode {
    let arguments = match A::try_parse_from(arguments) {
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
            told(&arguments, &failure);
            failure.exit.into()
        }
    }
}

/// Prints a script that completes the command in a shell.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions<A: CommandFactory>(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut command = A::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the manual page, or writes all pages into a folder.
///
/// # Errors
/// When they cannot be written.
pub fn man<A: CommandFactory>(dir: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::of(Exit::Failure, "write manual pages", &error);
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed)?;
            clap_mangen::generate_to(A::command(), dir).map_err(failed)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(A::command())
                .render(&mut page)
                .map_err(failed)?;
            print(&String::from_utf8_lossy(&page))
        }
    }
}
