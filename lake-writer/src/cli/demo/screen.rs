//! What a demo shows while it runs: a picture on a terminal, a line a second elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use super::lake::Folder;
use crate::cli::exit::Failure;
use crate::cli::output::{Output, print};
use crate::telemetry::Snapshot;
use crate::telemetry::figures::{ago, bytes, count};
use crate::telemetry::process::resident_bytes;

/// Folders shown; more would push the picture out of a small terminal.
const SHOWN_FOLDERS: usize = 13;
/// Width of the longest bar.
const BAR: u64 = 24;

/// Everything that can be seen at one moment.
pub(super) struct Sight<'a> {
    pub(super) elapsed: Duration,
    pub(super) duration: Duration,
    pub(super) rate: u32,
    pub(super) sent: u64,
    pub(super) writer: Snapshot,
    pub(super) now_micros: i64,
    pub(super) folders: &'a BTreeMap<String, Folder>,
    pub(super) lake: &'a str,
}

/// Where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A picture, drawn over itself.
    Picture,
    /// A line at a time on standard output.
    Lines,
    /// A line at a time on standard error: standard output is for a program.
    Aside,
    /// Nothing.
    Dark,
}

/// The place where a demo is shown.
pub(super) struct Screen {
    kind: Kind,
    /// Lines of the picture that is there now.
    drawn: usize,
}

impl Screen {
    pub(super) fn new(output: Output, quiet: bool) -> Self {
        let kind = match output {
            _ if quiet => Kind::Dark,
            Output::Json => Kind::Aside,
            Output::Text if std::io::stdout().is_terminal() => Kind::Picture,
            Output::Text => Kind::Lines,
        };
        Self { kind, drawn: 0 }
    }

    pub(super) fn is_terminal(&self) -> bool {
        self.kind == Kind::Picture
    }

    /// Shows this moment in place of the one before.
    pub(super) fn draw(&mut self, sight: &Sight<'_>) -> Result<(), Failure> {
        match self.kind {
            Kind::Dark => Ok(()),
            Kind::Lines => print(&line(sight)),
            Kind::Aside => {
                eprint!("{}", line(sight));
                Ok(())
            }
            Kind::Picture => {
                let picture = picture(sight, resident_bytes());
                let back = match self.drawn {
                    0 => String::new(),
                    lines => format!("\x1b[{lines}A\x1b[J"),
                };
                self.drawn = picture.lines().count();
                print(&(back + &picture))
            }
        }
    }

    /// Leaves the last picture where it is.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.drawn = 0;
        match self.kind {
            Kind::Picture | Kind::Lines => print("\n"),
            Kind::Aside | Kind::Dark => Ok(()),
        }
    }
}

fn line(sight: &Sight<'_>) -> String {
    let writer = &sight.writer;
    format!(
        "{:>4} s  sent {}  read {}  committed {} rows in {} files  lag {}  dead letters {}\n",
        sight.elapsed.as_secs(),
        count(sight.sent),
        count(writer.consumed),
        count(writer.rows),
        count(writer.files),
        count(lag(sight)),
        count(writer.dead_letters),
    )
}

fn picture(sight: &Sight<'_>, resident: Option<u64>) -> String {
    let writer = &sight.writer;
    let mut text = String::new();
    let elapsed = sight.elapsed.as_secs();
    let whole = sight.duration.as_secs();
    let _ = writeln!(
        text,
        "\x1b[1mlake-writer demo\x1b[0m  {elapsed} of {whole} s  (Ctrl-C ends it early)\n\
         the broker is embedded in this process, for trying out: it forgets everything at the end\n"
    );
    let _ = writeln!(
        text,
        "  company ──► topic `sales` ──► writer ──► {}\n",
        sight.lake
    );
    let rate = count(u64::from(sight.rate));
    let _ = writeln!(
        text,
        "  sent       {:>12}   {rate} a second",
        count(sight.sent)
    );
    let behind = count(lag(sight));
    let _ = writeln!(
        text,
        "  read       {:>12}   {behind} behind",
        count(writer.consumed)
    );
    let last = writer.last_commit_micros.map_or_else(
        || "the first one is due in a moment".to_owned(),
        |at| format!("the last one {} ago", ago(sight.now_micros - at)),
    );
    let _ = writeln!(
        text,
        "  committed  {:>12}   in {} files, {}, by {} commits, {last}",
        count(writer.rows),
        count(writer.files),
        bytes(writer.bytes),
        count(writer.commits),
    );
    let _ = writeln!(
        text,
        "  no sales   {:>12}   in dead/, each with its reason",
        count(writer.dead_letters)
    );
    let held = bytes(writer.held_bytes + writer.encoded_bytes);
    let process = resident.map_or_else(String::new, |all| format!(", {} in all", bytes(all)));
    let _ = writeln!(text, "  memory     {held:>12}   of rows{process}\n");
    folders(&mut text, sight.folders);
    text
}

fn folders(text: &mut String, folders: &BTreeMap<String, Folder>) {
    let most = folders
        .values()
        .map(|folder| folder.rows)
        .max()
        .unwrap_or(0);
    let width = folders
        .keys()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0);
    // The latest ones: names begin with the date.
    let hidden = folders.len().saturating_sub(SHOWN_FOLDERS);
    for (name, folder) in folders.iter().skip(hidden) {
        let gap = " ".repeat(width - name.chars().count());
        let bar = usize::try_from((folder.rows * BAR).div_ceil(most.max(1))).unwrap_or(0);
        let _ = writeln!(
            text,
            "  {name}{gap}  {:>5} files  {:>11} rows  {}",
            count(folder.files),
            count(folder.rows),
            "█".repeat(bar)
        );
    }
    if hidden > 0 {
        let _ = writeln!(text, "  and {} earlier folders", count(hidden as u64));
    }
}

/// Messages that were sent and not read yet.
fn lag(sight: &Sight<'_>) -> u64 {
    sight.sent.saturating_sub(sight.writer.consumed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{CommitReport, Metrics};

    #[test]
    fn the_picture_shows_the_flow_and_the_folders() {
        // GIVEN a demo in its fifth second, with more folders than there is room for
        let metrics = Metrics::new("file:///demo");
        metrics.consumed(9_990);
        metrics.committed(&CommitReport {
            rows: 6_000,
            files: 26,
            dead_letters: 3,
            at_micros: 1_000_000,
            ..CommitReport::default()
        });
        let folders: BTreeMap<String, Folder> = (0..15)
            .map(|n| {
                (
                    format!("date=2026-11-{:02}/region=Île-de-France", n + 1),
                    Folder {
                        files: 2,
                        rows: n + 1,
                    },
                )
            })
            .collect();
        let sight = Sight {
            elapsed: Duration::from_secs(5),
            duration: Duration::from_secs(30),
            rate: 2_000,
            sent: 10_000,
            writer: metrics.snapshot(),
            now_micros: 3_000_000,
            folders: &folders,
            lake: "/demo/sales",
        };

        // WHEN it is drawn
        let picture = picture(&sight, Some(64 << 20));

        // THEN it says what it is, what flows, and where it lies
        for expected in [
            "5 of 30 s",
            "embedded in this process, for trying out",
            "sent             10,000   2,000 a second",
            "read              9,990   10 behind",
            "committed         6,000   in 26 files",
            "the last one 2 s ago",
            "no sales              3",
            "of rows, 64.0 MiB in all",
            "date=2026-11-15/region=Île-de-France",
            "████████████████████████\n",
            "and 2 earlier folders",
        ] {
            assert!(
                picture.contains(expected),
                "`{expected}` is not in\n{picture}"
            );
        }
        assert!(!picture.contains("date=2026-11-02"), "{picture}");
        // AND as a line
        assert_eq!(
            line(&sight),
            "   5 s  sent 10,000  read 9,990  committed 6,000 rows in 26 files  lag 10  dead letters 3\n"
        );
    }
}
