//! `backfill --file`: writes files into the table.
//!
//! Owns: what is typed and shown.
//! Does not own: reading files (`source::file`), writing (`rewrite::Loader`).

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use serde::Serialize;
use serde_json::json;

use super::Arguments;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::nowhere::Nowhere;
use super::open;
use super::output::{Output, print, print_json};
use super::rewriting::cuts;
use crate::batch::Rotation;
use crate::clock::Chance;
use crate::rewrite::{
    FileName, Filling, Loaded, Loader, Portion, Portions, RewriteError, RewriterParts,
};
use crate::settings::Format;
use crate::source::file::{self, ColumnMap, FileError, FileFormat, FileOptions, FileRows, Stamp};
use crate::telemetry::figures::count;
use crate::writer::assemble::CutMaker;

/// Stands in for a file's number in a dry run.
const NO_NUMBER: i32 = -1;

#[derive(Debug, Args)]
pub(super) struct FileArguments {
    /// Write these files into the table instead of offsets of the topic: CSV (.csv, .tsv, .txt),
    /// NDJSON (.ndjson, .jsonl, .json) or Parquet (.parquet). Needs --name
    #[arg(long = "file", value_name = "FILE", num_args = 1.., conflicts_with_all = ["partition", "from", "to", "since", "until"])]
    files: Vec<PathBuf>,

    /// The format of the files, where their names do not tell
    #[arg(
        long, value_name = "FORMAT", requires = "files",
        value_parser = PossibleValuesParser::new(FORMATS.map(|(name, _)| name)).map(|name| format(&name)),
    )]
    format: Option<FileFormat>,

    /// A column of CSV or Parquet files that has another name than its field; can be repeated
    #[arg(long, value_name = "COLUMN=FIELD", requires = "files", value_parser = pair)]
    map: Vec<(String, String)>,

    /// Between the values of a CSV line: one character, or `tab`
    #[arg(long, value_name = "CHARACTER", requires = "files", value_parser = delimiter)]
    delimiter: Option<u8>,

    /// Write files again that are in the table already, in place of what they became before
    #[arg(long, requires = "files")]
    again: bool,
}

/// What `--format` takes.
const FORMATS: [(&str, FileFormat); 3] = [
    ("csv", FileFormat::Csv),
    ("ndjson", FileFormat::Ndjson),
    ("parquet", FileFormat::Parquet),
];

fn format(name: &str) -> FileFormat {
    let named = FORMATS.iter().find(|(of, _)| *of == name);
    named.map_or(FileFormat::Csv, |(_, format)| *format)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (column, field) = text.rsplit_once('=').ok_or("write COLUMN=FIELD")?;
    Ok((column.to_owned(), field.to_owned()))
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" => Ok(b'\t'),
        [one] if one.is_ascii() && !one.is_ascii_alphanumeric() => Ok(*one),
        _ => Err("write one ASCII character that is no letter or digit, or `tab`".into()),
    }
}

/// A file that is to be written.
struct Input<'a> {
    path: &'a Path,
    options: FileOptions,
    name: FileName,
    stamp: Stamp,
}

impl FileArguments {
    pub(super) fn are_given(&self) -> bool {
        !self.files.is_empty()
    }

    /// Every file with its name, before anything is written.
    fn inputs(&self, set: &str) -> Result<Vec<Input<'_>>, Failure> {
        let mut names = BTreeSet::new();
        let input = |path: &'_ PathBuf| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if !names.insert(name.clone()) {
                let message = format!(
                    "two files are named `{name}`: a file is known by its name, so give them \
                     different ones, or load them under two --name"
                );
                return Err(Failure::new(Exit::Usage, message));
            }
            Ok(name)
        };
        let names = self
            .files
            .iter()
            .map(input)
            .collect::<Result<Vec<_>, _>>()?;
        let files = self.files.iter().zip(names);
        files
            .map(|(path, name)| {
                let stamp = Stamp::of(path)?;
                Ok(Input {
                    path,
                    options: self.options(path)?,
                    name: FileName {
                        set: set.to_owned(),
                        name,
                        fingerprint: stamp.fingerprint().to_owned(),
                    },
                    stamp,
                })
            })
            .collect()
    }

    fn options(&self, path: &Path) -> Result<FileOptions, Failure> {
        let format = self.format.or_else(|| FileFormat::of(path));
        let format = format.ok_or_else(|| {
            let message = format!(
                "the name of `{}` does not tell its format: give --format csv, ndjson or parquet",
                path.display()
            );
            Failure::new(Exit::Usage, message)
        })?;
        let is_tsv = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
        Ok(FileOptions {
            format,
            map: ColumnMap(self.map.clone()),
            delimiter: self.delimiter.unwrap_or(if is_tsv { b'\t' } else { b',' }),
        })
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::new(Exit::Usage, error.to_string())
    }
}

pub(super) fn run(
    context: &Context,
    arguments: &Arguments,
    files: &FileArguments,
    set: &str,
    dry_run: bool,
) -> Result<(), Failure> {
    let (parts, definition) = open::compared(context)?;
    let store = match dry_run {
        true => Arc::new(Nowhere {
            url: parts.store.url(),
        }),
        false => parts.store.clone(),
    };
    // Rows of files are spelled as JSON, whatever the topic's messages are.
    let cuts = CutMaker {
        format: Format::Json,
        ..cuts(context, store)?
    };
    let inputs = files.inputs(set)?;
    // A file that cannot be read is told before any other is written.
    let opened = inputs
        .iter()
        .map(|input| open(input, &cuts, arguments.quiet));
    let opened = opened.collect::<Result<Vec<_>, _>>()?;
    let rotation = Rotation::new(&context.settings.rotation);
    if dry_run {
        return plan(
            context,
            arguments,
            &cuts,
            rotation,
            inputs.iter().zip(opened),
        );
    }
    let parts = RewriterParts {
        cuts,
        definition,
        chance: Chance::from_entropy(),
    };
    let mut loader = Loader::begin(parts, rotation)?;
    let names = inputs.iter().map(|input| input.name.clone());
    let claimed = loader.claim(names.collect())?;
    let is_shown = !arguments.quiet && std::io::stderr().is_terminal();
    let mut done = Vec::new();
    for ((input, mut rows), claimed) in inputs.iter().zip(opened).zip(claimed) {
        let shown = input.path.display();
        let loaded = loader.load(claimed, rows.as_mut(), files.again, &mut |rows| {
            if is_shown {
                context.line.show(&format!("{shown}: {} rows", count(rows)));
            }
        });
        context.line.show("");
        done.push((input, loaded.map_err(|error| interrupted(error, set))?));
    }
    show(arguments.output, set, &done)
}

fn interrupted(error: RewriteError, set: &str) -> Failure {
    let failure = Failure::from(error);
    let message = format!(
        "{}; go on with the same command, --name {set}",
        failure.message
    );
    Failure::new(failure.exit, message)
}

fn open(input: &Input<'_>, cuts: &CutMaker, quiet: bool) -> Result<Box<dyn FileRows>, Failure> {
    let rows = file::open(&input.stamp, &input.options, &cuts.table.schema)?;
    if !quiet && !rows.unknown_columns().is_empty() {
        let columns = rows.unknown_columns().join(", ");
        let path = input.path.display();
        eprintln!("columns of {path} that the schema does not have are left out: {columns}");
    }
    Ok(rows)
}

/// What a file would become.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    file: &'a Path,
    rows: u64,
    dead_letters: u64,
    records: u64,
    files: Vec<PlannedFile>,
}

#[derive(Debug, Serialize)]
struct PlannedFile {
    path: String,
    rows: u64,
    bytes: u64,
}

/// What would be written.
fn plan<'a>(
    context: &Context,
    arguments: &Arguments,
    cuts: &CutMaker,
    rotation: Rotation,
    inputs: impl Iterator<Item = (&'a Input<'a>, Box<dyn FileRows>)>,
) -> Result<(), Failure> {
    let failed = |error| Failure::from(RewriteError::Parquet(error));
    let mut filling = Filling::new(cuts, &Chance::from_entropy().hex_id()).map_err(failed)?;
    let mut planned = Vec::new();
    for (input, mut rows) in inputs {
        let mut file = Planned::nothing_of(input.path);
        let mut portions = Portions::from(&mut filling, rows.as_mut(), &rotation, NO_NUMBER, 0)?;
        while let Some(portion) = portions.fill()? {
            file.add(portion);
            let (path, records) = (input.path.display(), file.records);
            context.line.show(&format!("{path}: {records} records"));
        }
        context.line.show("");
        planned.push(file);
    }
    match arguments.output {
        Output::Json => print_json(&json!({ "files": planned })),
        Output::Text => print(&planned.iter().map(Planned::in_words).collect::<String>()),
    }
}

impl<'a> Planned<'a> {
    fn nothing_of(file: &'a Path) -> Self {
        Self {
            file,
            rows: 0,
            dead_letters: 0,
            records: 0,
            files: Vec::new(),
        }
    }

    fn add(&mut self, portion: Portion) {
        self.records += 1;
        self.dead_letters += portion
            .sealed
            .dead
            .iter()
            .map(|file| file.rows)
            .sum::<u64>();
        for file in portion.sealed.files {
            self.rows += file.rows;
            self.files.push(PlannedFile {
                path: file.target.to_string(),
                rows: file.rows,
                bytes: file.bytes,
            });
        }
    }

    fn in_words(&self) -> String {
        format!(
            "{} would become {} rows in {} files, and {} dead letters, by {} records of the log\n",
            self.file.display(),
            count(self.rows),
            count(self.files.len() as u64),
            count(self.dead_letters),
            count(self.records),
        )
    }
}

fn show(output: Output, set: &str, done: &[(&Input<'_>, Loaded)]) -> Result<(), Failure> {
    if output == Output::Json {
        let files = done.iter().map(|(input, loaded)| {
            json!({
                "file": input.path, "kafka_partition": loaded.number, "rows": loaded.rows,
                "dead_letters": loaded.dead_letters, "written_before": loaded.before,
                "files": loaded.files, "replaced": loaded.replaced,
            })
        });
        return print_json(&json!({ "name": set, "files": files.collect::<Vec<_>>() }));
    }
    let line = |(input, loaded): &(&Input<'_>, Loaded)| {
        let mut text = format!(
            "{}: {} rows in {} files, kafka_partition {}",
            input.path.display(),
            count(loaded.rows),
            count(loaded.files),
            loaded.number
        );
        for (figure, what) in [
            (loaded.dead_letters, "rows became dead letters"),
            (loaded.before, "rows were there already"),
            (loaded.replaced, "files gave way"),
        ] {
            if figure > 0 {
                text += &format!("; {} {what}", count(figure));
            }
        }
        text + "\n"
    };
    print(&done.iter().map(line).collect::<String>())
}
