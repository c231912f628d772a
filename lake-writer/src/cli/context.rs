//! What every command that works on a table begins with.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::Arguments;
use super::exit::{Exit, Failure};
use crate::clock::{Clock, SystemClock};
use crate::settings::Settings;
use crate::telemetry::logs;
use crate::telemetry::terminal::StatusLine;

/// Settings in force, logs that flow, a runtime and a clock.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) runtime: Runtime,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) line: StatusLine,
}

/// What is logged by a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chatter {
    /// What the settings say.
    Settings,
    /// Warnings and errors alone: the output is what counts.
    Little,
}

impl Context {
    /// Loads the settings and begins to log.
    pub(super) fn new(arguments: &Arguments, chatter: Chatter) -> Result<Self, Failure> {
        let settings = arguments.load()?.settings;
        Self::with_settings(arguments, settings, chatter)
    }

    pub(super) fn with_settings(
        arguments: &Arguments,
        settings: Settings,
        chatter: Chatter,
    ) -> Result<Self, Failure> {
        let line = StatusLine::default();
        let filter = filter(arguments.verbose, arguments.quiet, chatter);
        logs::start(&settings.telemetry, filter, &line)
            .map_err(|error| Failure::of(Exit::Usage, "use telemetry.log_filter", &error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::of(Exit::Failure, "start threads", &error))?;
        Ok(Self {
            settings,
            runtime,
            clock: Arc::new(SystemClock::new()),
            line,
        })
    }
}

/// What `-v` and `-q` mean; `None` leaves it to the settings.
fn filter(verbose: u8, quiet: bool, chatter: Chatter) -> Option<&'static str> {
    match (verbose, quiet, chatter) {
        (_, true, _) | (0, _, Chatter::Little) => Some("warn"),
        (0, _, Chatter::Settings) => None,
        (1, _, _) => Some("lake_writer=debug,info"),
        _ => Some("lake_writer=trace,debug"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_stronger_than_the_settings() {
        assert_eq!(filter(0, false, Chatter::Settings), None);
        assert_eq!(filter(0, true, Chatter::Settings), Some("warn"));
        assert_eq!(filter(0, false, Chatter::Little), Some("warn"));
        assert_eq!(
            filter(1, false, Chatter::Little),
            Some("lake_writer=debug,info")
        );
        assert_eq!(
            filter(3, false, Chatter::Settings),
            Some("lake_writer=trace,debug")
        );
    }
}
