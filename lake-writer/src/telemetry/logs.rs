//! Log lines on standard error, as text or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::terminal::StatusLine;
use crate::settings::{LogFormat, Telemetry};

/// Sends log lines of this process to standard error, above the status line. The second call in a
/// process changes nothing.
///
/// `filter` is stronger than the settings: what `-v` and `-q` mean.
///
/// # Errors
/// When a filter is not one.
pub fn start(
    settings: &Telemetry,
    filter: Option<&str>,
    line: &StatusLine,
) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::try_new(filter.unwrap_or(&settings.log_filter))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(line.clone())
        .with_ansi(std::io::stderr().is_terminal());
    let started = match settings.log_format {
        LogFormat::Text => builder.finish().try_init(),
        LogFormat::Json => builder.json().flatten_event(true).finish().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logs were started before");
    }
    Ok(())
}
