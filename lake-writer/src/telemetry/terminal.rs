//! One line at the bottom of a terminal that is written over, and log lines that pass above it.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Back to the beginning of the line, and erase to its end.
const ERASE: &str = "\r\x1b[K";

/// The bottom line. Clones share it.
#[derive(Clone, Default)]
pub struct StatusLine {
    shown: Arc<Mutex<String>>,
}

impl std::fmt::Debug for StatusLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StatusLine").finish_non_exhaustive()
    }
}

impl StatusLine {
    /// Shows `text` in place of what was shown; nothing when it is empty.
    pub fn show(&self, text: &str) {
        self.show_on(&mut io::stderr().lock(), text);
    }

    fn show_on(&self, terminal: &mut impl Write, text: &str) {
        let mut shown = self.lock();
        if shown.is_empty() && text.is_empty() {
            return;
        }
        // A terminal that is gone is nobody's loss.
        let _ = write!(terminal, "{ERASE}{text}");
        let _ = terminal.flush();
        text.clone_into(&mut shown);
    }

    /// Writes whole lines above the bottom line.
    fn write_above(&self, terminal: &mut impl Write, lines: &[u8]) -> io::Result<()> {
        let shown = self.lock();
        if shown.is_empty() {
            return terminal.write_all(lines);
        }
        terminal.write_all(ERASE.as_bytes())?;
        terminal.write_all(lines)?;
        terminal.write_all(shown.as_bytes())?;
        terminal.flush()
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard error, above the bottom line. What is written at once are whole lines, as log lines
/// are.
#[derive(Debug)]
pub struct Above(StatusLine);

impl Write for Above {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.write_above(&mut io::stderr().lock(), lines)?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for StatusLine {
    type Writer = Above;

    fn make_writer(&'a self) -> Above {
        Above(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_pass_above_the_bottom_line() {
        // GIVEN a bottom line
        let line = StatusLine::default();
        let mut terminal = Vec::new();
        line.write_above(&mut terminal, b"first\n").unwrap();
        line.show_on(&mut terminal, "10 rows/s");

        // WHEN something is logged and the line changes and goes
        line.write_above(&mut terminal, b"second\n").unwrap();
        line.show_on(&mut terminal, "11 rows/s");
        line.show_on(&mut terminal, "");
        line.show_on(&mut terminal, "");

        // THEN the line is erased before and written again after
        let expected = "first\n\r\x1b[K10 rows/s\r\x1b[Ksecond\n10 rows/s\r\x1b[K11 rows/s\r\x1b[K";
        assert_eq!(String::from_utf8(terminal).unwrap(), expected);
    }
}
