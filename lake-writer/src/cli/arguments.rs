//! What can be typed.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::backfill::BackfillArguments;
use super::demo::DemoArguments;
use super::exit::Exit;
use super::files::FilesArguments;
use super::log::LogArguments;
use super::mirror::MirrorArguments;
use super::output::Output;
use super::place::WhereArguments;
use super::plan::PlanArguments;
use super::repair::RepairArguments;
use super::run::RunArguments;
use super::sweep::SweepArguments;
use super::verify::VerifyArguments;
use crate::settings::{Loaded, SettingsError, Sources, load};

/// Writes a Kafka topic to a partitioned Parquet table, every row exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "lake-writer",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = Exit::table(),
    after_long_help = format!("{}{}", EXAMPLES, Exit::table()),
)]
pub struct Arguments {
    /// Settings file; `lake-writer.toml` in the working folder is read if it is there
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "LAKE_WRITER_CONFIG"
    )]
    pub config: Option<PathBuf>,

    /// Set one key, stronger than file and environment; can be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Form of output
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub output: Output,

    /// Log more: -v debug, -vv trace
    #[arg(long, short, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Log warnings and errors alone, and show no progress
    #[arg(long, short, global = true)]
    pub quiet: bool,

    /// What to do
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  lake-writer demo                    watch the whole of it, with nothing set up before
  lake-writer config check            say everything that is wrong with the settings
  lake-writer plan                    what the next commits would be
  lake-writer run                     write the topic to the table until told to stop
  lake-writer run --until-end         write what is there now, and stop
  lake-writer status                  where the table stands, and how far behind it is
  lake-writer verify                  whether the table holds what the topic says

";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Write the topic to the table until told to stop
    ///
    /// SIGTERM and SIGINT commit what is in hand and stop; a second one stops at once, which is
    /// safe too. A start finishes what a crash has left.
    #[command(
        after_help = "Examples:\n  lake-writer run\n  lake-writer --config prod.toml --output json run --until-end"
    )]
    Run(RunArguments),

    /// Write the topic to MongoDB, with sums by minute and day, until told to stop
    ///
    /// A consumer of its own, with its own group and its own checkpoint in the database: it needs no
    /// lake and no lake's writer. `run` mirrors as well where `mirror.mongodb.uri` is set. SIGTERM and
    /// SIGINT write what is in hand and stop.
    #[command(
        after_help = "Examples:\n  lake-writer mirror\n  lake-writer --output json mirror --until-end"
    )]
    Mirror(MirrorArguments),

    /// Show what the next commits would be, and write nothing
    #[command(
        after_help = "Examples:\n  lake-writer plan\n  lake-writer plan --messages 1000000\n  lake-writer plan --partition 3 --from 120000 --to 130000"
    )]
    Plan(PlanArguments),

    /// Watch sales flow through an embedded broker into Parquet on this machine
    ///
    /// Brings its own broker, for trying out, and its own company that sells. The writer, its
    /// commits and its files are the real ones. Ends with a query for DuckDB, and the answer where
    /// DuckDB is installed. Settings files and the environment are left aside; --set counts.
    #[command(
        after_help = "Examples:\n  lake-writer demo\n  lake-writer demo --duration 2m --rate 10000 --dir /tmp/lake"
    )]
    Demo(DemoArguments),

    /// Show where the table stands: offsets, owners, lag, live files, dead letters
    #[command(
        after_help = "Examples:\n  lake-writer status\n  lake-writer --output json status | jq '.partitions[].lag'"
    )]
    Status,

    /// Compare the table with the topic, both ways, offset by offset
    ///
    /// Decodes the topic again and compares it with the rows in the files; compares files with the
    /// log's checksums and the folders with the log. Reads only, and may run beside a writer. Ends
    /// with 8 when anything differs.
    #[command(
        after_help = "Examples:\n  lake-writer verify\n  lake-writer verify --quick\n  lake-writer verify --mirror\n  lake-writer verify --sample 0.05\n  lake-writer --output json verify --partition 3 --from 120000 --to 130000 | jq .findings"
    )]
    Verify(VerifyArguments),

    /// Put right what `verify` finds: lost and damaged files, foreign ones; says what, and does it with --yes
    ///
    /// Moves files that nobody committed to `foreign/`, writes commits whose files are lost or damaged
    /// again from the topic, and publishes what a crashed writer has left. May run beside a writer. Ends
    /// with 8 while anything differs.
    #[command(
        after_help = "Examples:\n  lake-writer repair\n  lake-writer repair --yes\n  lake-writer --output json repair | jq .plan"
    )]
    Repair(RepairArguments),

    /// Write offsets or times of the topic again, in the place of the files that hold them, or files
    ///
    /// Commits that touch the offsets are written again whole, with the settings of now, one after the
    /// other; each replaces exactly what it wrote before. A file (CSV, NDJSON, Parquet) is written once
    /// under a name: again with other bytes, it replaces exactly what it had become before. May run
    /// beside a writer.
    #[command(
        after_help = "Examples:\n  lake-writer backfill --dry-run --since 2026-01-31 --until 2026-02-01\n  lake-writer backfill --name smaller-files --partition 3 --from 120000 --to 130000\n  lake-writer backfill --name smaller-files    go on after an interruption\n  lake-writer backfill --name 2025 --file 2025/*.csv --map \"Vendu le=sold_at\""
    )]
    Backfill(BackfillArguments),

    /// Find the file, row group and row of an offset or a value, or why there is none
    #[command(
        after_help = "Examples:\n  lake-writer where --partition 3 --offset 120000\n  lake-writer where --column sale_id --value 0198c2f4-5d3e-7a10-8c4b-2f6d1e9a7b35"
    )]
    Where(WhereArguments),

    /// Show the commit log readably
    #[command(
        after_help = "Examples:\n  lake-writer log --last 5 --files\n  lake-writer log --follow\n  lake-writer --output json log --from 0 | jq -c .ranges"
    )]
    Log(LogArguments),

    /// List the live files of the table at one moment, all files of a commit or none
    #[command(
        after_help = "Examples:\n  lake-writer files\n  lake-writer files --paths > snapshot.txt\n  lake-writer --output json files | jq -r '.files[].path'"
    )]
    Files(FilesArguments),

    /// Remove what crashed writers have left: staged files, open uploads, parts of the log
    ///
    /// What a running writer needs, or one that is frozen and may wake, is never removed, however
    /// old it is. A writer sweeps by itself at its start and every `log.sweep_interval_ms`.
    #[command(
        after_help = "Examples:\n  lake-writer sweep --dry-run\n  lake-writer --output json sweep"
    )]
    Sweep(SweepArguments),

    /// Check, print or document settings
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Write completions for a shell to standard output
    #[command(
        after_help = "Example:\n  lake-writer completions bash > /etc/bash_completion.d/lake-writer"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },

    /// Write the manual page to standard output, or one for each command into a folder
    #[command(after_help = "Example:\n  lake-writer man --dir /usr/local/share/man/man1")]
    Man {
        /// Folder for the pages
        #[arg(long)]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say everything that is wrong with settings, schema and partition spec; exit code 2 if anything is
    #[command(
        after_help = "Examples:\n  lake-writer config check\n  lake-writer --config prod.toml config check --connect"
    )]
    Check(CheckArguments),

    /// Show every key with its value and where it comes from, without secrets
    #[command(
        after_help = "Examples:\n  lake-writer config print\n  LAKE_WRITER__ROTATION__MAX_ROWS=1000 lake-writer --output json config print"
    )]
    Print,

    /// Write the reference of all keys, in Markdown
    #[command(after_help = "Example:\n  lake-writer config reference > docs/configuration.md")]
    Reference,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Also look for the topic on the brokers, and try the store
    #[arg(long)]
    pub(super) connect: bool,
}

impl Arguments {
    /// The settings in force.
    pub(super) fn load(&self) -> Result<Loaded, SettingsError> {
        load(&Sources::of_process(self.config.clone(), self.set.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    /// Every command, with its path.
    fn commands(command: &clap::Command, path: &str, into: &mut Vec<(String, clap::Command)>) {
        for inner in command
            .get_subcommands()
            .filter(|inner| inner.get_name() != "help")
        {
            let path = format!("{path} {}", inner.get_name());
            commands(inner, &path, into);
            into.push((path, inner.clone()));
        }
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        let mut all = Vec::new();
        commands(&Arguments::command(), "lake-writer", &mut all);
        assert!(all.len() >= 5);
        for (path, mut command) in all {
            assert!(command.get_about().is_some(), "{path}");
            let is_group = command.has_subcommands();
            let help = command.render_long_help().to_string();
            assert!(
                is_group || help.contains(&path.replace("lake-writer ", "")),
                "{path}: {help}"
            );
            assert!(is_group || help.contains("Example"), "{path}: {help}");
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let help = Arguments::command().render_long_help().to_string();
        for exit in Exit::ALL {
            assert!(
                help.contains(&format!("  {}  {}", exit as u8, exit.meaning())),
                "{help}"
            );
        }
    }
}
