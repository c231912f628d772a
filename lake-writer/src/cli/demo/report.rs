//! What a demo says at its end, and whether DuckDB agrees with the log.

use std::path::PathBuf;

use serde_json::json;

use super::query::{ALL_REGIONS, Answer};
use crate::cli::columns::columns;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Output, print, print_json};
use crate::telemetry::figures::count;
use crate::writer::Summary;

const NO_DUCKDB: &str =
    "DuckDB is not installed here: `pip install duckdb`, or https://duckdb.org\n";

/// Everything that happened.
pub(super) struct Report {
    pub(super) seconds: f64,
    /// Messages of this demo.
    pub(super) sent: u64,
    /// Those that are no sales.
    pub(super) malformed: u64,
    /// What the writer did in this demo.
    pub(super) written: Summary,
    /// Messages that the mirror has dealt with, in words too, or why it has not; `None` without one.
    pub(super) mirrored: Option<Result<(u64, String), Failure>>,
    /// Rows of the lake, those of earlier demos included.
    pub(super) lake_rows: u64,
    pub(super) lake_files: u64,
    /// The table's folder.
    pub(super) lake: String,
    pub(super) settings_file: PathBuf,
    pub(super) query: String,
    /// `None` where DuckDB is not installed.
    pub(super) answer: Option<Answer>,
}

impl Report {
    /// Shows it, and fails if the figures do not add up.
    pub(super) fn show(mut self, output: Output) -> Result<(), Failure> {
        let agreed = self.refuse_difference();
        match output {
            Output::Text => print(&self.in_words(agreed.is_ok()))?,
            Output::Json => print_json(&self.as_json())?,
        }
        agreed?;
        // The lake is told first, and whole: a mirror that has failed does not touch it.
        match self.mirrored.take() {
            Some(Err(failure)) => Err(failure),
            Some(Ok((mirrored, _))) if mirrored != self.sent => Err(Failure::new(
                Exit::Corrupt,
                format!(
                    "{} messages were sent, but {mirrored} were mirrored",
                    self.sent
                ),
            )),
            _ => Ok(()),
        }
    }

    fn as_json(&self) -> serde_json::Value {
        json!({
            "seconds": self.seconds,
            "sent": self.sent,
            "malformed": self.malformed,
            "written": self.written,
            "mirrored": match &self.mirrored {
                Some(Ok((mirrored, _))) => Some(*mirrored),
                _ => None,
            },
            "lake": { "folder": self.lake, "rows": self.lake_rows, "files": self.lake_files },
            "query": self.query,
            "answer": self.answer,
        })
    }

    fn refuse_difference(&self) -> Result<(), Failure> {
        let written = self.written.rows + self.written.dead_letters;
        if written != self.sent || self.written.dead_letters != self.malformed {
            return Err(Failure::new(
                Exit::Corrupt,
                format!(
                    "{} messages were sent, {} of them no sales, but {} rows and {} dead letters \
                     were written",
                    self.sent, self.malformed, self.written.rows, self.written.dead_letters
                ),
            ));
        }
        let Some(answer) = &self.answer else {
            return Ok(());
        };
        let is_total = |row: &&Vec<String>| row.first().is_some_and(|name| name == ALL_REGIONS);
        let total = answer.iter().find(is_total).cloned().unwrap_or_default();
        let expected = self.lake_rows.to_string();
        if total.get(1) == Some(&expected) && total.get(2) == Some(&expected) {
            Ok(())
        } else {
            Err(Failure::new(
                Exit::Corrupt,
                format!(
                    "the log has {expected} rows, but DuckDB says {}",
                    total.join(", ")
                ),
            ))
        }
    }

    fn in_words(&self, agreed: bool) -> String {
        let settings = self.settings_file.display();
        let mut text = format!(
            "{} messages sent in {:.0} s; {} rows and {} dead letters written by {} commits\n\
             the lake: {} rows in {} files below {}\n\n\
             ask DuckDB:\n\n{}\n\n",
            count(self.sent),
            self.seconds,
            count(self.written.rows),
            count(self.written.dead_letters),
            count(self.written.commits),
            count(self.lake_rows),
            count(self.lake_files),
            self.lake,
            self.query,
        );
        if let Some(Ok((_, words))) = &self.mirrored {
            text += &format!("the mirror: {words}\n\n");
        }
        match self.answer.as_deref() {
            Some([head, rows @ ..]) => {
                let head: Vec<&str> = head.iter().map(String::as_str).collect();
                text += &columns(&head, rows);
                if agreed {
                    text += "\nevery sale is there, and none twice\n";
                }
            }
            _ => text += NO_DUCKDB,
        }
        text += &format!("\nlook at its commits: lake-writer --config {settings} log --last 3\n");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let row = |cells: [&str; 4]| cells.map(ToOwned::to_owned).to_vec();
        Report {
            seconds: 30.0,
            sent: 1_001,
            malformed: 1,
            written: Summary {
                rows: 1_000,
                dead_letters: 1,
                commits: 3,
                ..Summary::default()
            },
            mirrored: Some(Ok((1_001, "1,000 documents".into()))),
            lake_rows: 3_000,
            lake_files: 39,
            lake: "/demo/sales".into(),
            settings_file: "demo/lake-writer.toml".into(),
            query: "SELECT 1".into(),
            answer: Some(vec![
                row(["region", "sales", "distinct_sales", "revenue"]),
                row(["all regions", "3000", "3000", "12345.60"]),
                row(["Île-de-France", "3000", "3000", "12345.60"]),
            ]),
        }
    }

    #[test]
    fn a_demo_whose_figures_agree_succeeds() {
        let report = report();
        assert!(report.refuse_difference().is_ok());
        let text = report.in_words(true);
        assert!(
            text.contains("every sale is there, and none twice"),
            "{text}"
        );
        assert!(text.contains("Île-de-France"), "{text}");
        assert!(text.contains("the mirror: 1,000 documents"), "{text}");
        assert!(report.show(Output::Json).is_ok());
    }

    #[test]
    fn a_demo_that_lost_or_doubled_a_row_fails() {
        // GIVEN a row that was not written, one that DuckDB does not see, and one it sees twice
        let mut lost = report();
        lost.written.rows -= 1;
        let mut unseen = report();
        unseen.lake_rows += 1;
        let mut doubled = report();
        doubled.answer.as_mut().unwrap()[1][2] = "2999".into();

        // AND one that the mirror has not
        let mut unmirrored = report();
        unmirrored.mirrored = Some(Ok((1_000, String::new())));
        let failure = unmirrored.show(Output::Json).unwrap_err();
        assert_eq!(failure.exit, Exit::Corrupt);

        // WHEN the figures are compared THEN each is noticed
        for report in [lost, unseen, doubled] {
            assert_eq!(report.refuse_difference().unwrap_err().exit, Exit::Corrupt);
        }
    }
}
