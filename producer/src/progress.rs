//! A line on standard error that says how a long run is getting on.
//!
//! State ──► one line, rewritten in place on a terminal, now and then in a log file
//!
//! Owns the look of the line and when it is shown.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use crate::deliver::Deliveries;

/// Between two lines on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_secs(1);
/// Between two lines in a file: a run of a day leaves about 3,000.
const FILE_INTERVAL: Duration = Duration::from_secs(30);

/// How far the run is.
#[derive(Debug)]
pub struct State<'a> {
    /// Since the first message.
    pub elapsed: Duration,
    /// Messages made.
    pub messages: u64,
    /// What became of them.
    pub deliveries: &'a Deliveries,
}

/// Where progress is shown.
pub struct Progress {
    out: Option<Box<dyn Write>>,
    is_terminal: bool,
    due: Duration,
    last: (Duration, u64),
    is_line_open: bool,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("due", &self.due)
            .finish_non_exhaustive()
    }
}

impl Progress {
    /// Shows nothing.
    pub fn silent() -> Self {
        Self {
            out: None,
            is_terminal: false,
            due: Duration::ZERO,
            last: (Duration::ZERO, 0),
            is_line_open: false,
        }
    }

    /// Shows lines on `out`; on a terminal each takes the place of the one before.
    pub fn on(out: Box<dyn Write>, is_terminal: bool) -> Self {
        let due = if is_terminal {
            TERMINAL_INTERVAL
        } else {
            FILE_INTERVAL
        };
        Self {
            out: Some(out),
            is_terminal,
            due,
            ..Self::silent()
        }
    }

    /// Whether it is time for a line.
    pub fn is_due(&self, elapsed: Duration) -> bool {
        self.out.is_some() && elapsed >= self.due
    }

    /// Writes a line. A terminal that is gone is no reason to stop a run.
    pub fn show(&mut self, state: &State<'_>) {
        let interval = if self.is_terminal {
            TERMINAL_INTERVAL
        } else {
            FILE_INTERVAL
        };
        self.due = state.elapsed + interval;
        let (since, before) = self.last;
        self.last = (state.elapsed, state.messages);
        let seconds = (state.elapsed - since).as_secs_f64().max(1e-9);
        let rate = (state.messages - before) as f64 / seconds;
        let Deliveries {
            undelivered,
            waiting,
            ..
        } = *state.deliveries;
        let mut line = format!(
            "{:>6} s  {} messages  {}/s  {} under way",
            state.elapsed.as_secs(),
            grouped(state.messages),
            grouped(rate as u64),
            grouped(waiting)
        );
        if undelivered > 0 {
            // Writing into a String does not fail.
            let _ = write!(line, "  {} UNDELIVERED", grouped(undelivered));
        }
        let Some(out) = &mut self.out else { return };
        let _ = if self.is_terminal {
            write!(out, "\r\x1b[K{line}")
        } else {
            writeln!(out, "{line}")
        };
        let _ = out.flush();
        self.is_line_open = self.is_terminal;
    }

    /// Writes something that is not to be overwritten.
    pub fn notice(&mut self, text: &str) {
        self.clear();
        if let Some(out) = &mut self.out {
            let _ = writeln!(out, "{text}");
        }
    }

    /// Takes the line away.
    pub fn clear(&mut self) {
        if let Some(out) = &mut self.out
            && std::mem::take(&mut self.is_line_open)
        {
            let _ = write!(out, "\r\x1b[K");
            let _ = out.flush();
        }
    }
}

/// A number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
