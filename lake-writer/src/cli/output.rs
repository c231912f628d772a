//! Standard output and standard error, as text for people or as JSON for programs.

use std::io::Write as _;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::exit::{Exit, Failure};

/// The form of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Writes text to standard output. A reader that has gone (`| head`) is not an error.
///
/// # Errors
/// When it cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::of(Exit::Failure, "write the output", &error))
        }
        _ => Ok(()),
    }
}

/// Writes one JSON document and a line end to standard output.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::of(Exit::Failure, "write JSON", &error))?;
    print(&format!("{text}\n"))
}

/// Says on standard error why a command failed.
pub(super) fn print_failure(output: Output, failure: &Failure) {
    let mut err = std::io::stderr().lock();
    // Nobody is left to be told when standard error itself is gone.
    let _ = match output {
        Output::Text => writeln!(err, "error: {failure}"),
        Output::Json => writeln!(
            err,
            "{}",
            json!({ "error": { "kind": failure.exit.as_str(), "message": failure.message } })
        ),
    };
}
