//! The command: what people type and what they see.

mod add_user;
mod amount;
mod open;
mod query;
mod serve;

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use lake_writer::cli::{Exit, Failure, command, completions, man, print};
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  lake-sql add-user --users users anna              asks for a password, and makes the file
  lake-sql --config lake-writer.toml --users users  serves at 127.0.0.1:5433
  lake-sql --config lake-writer.toml --users users --listen 0.0.0.0:5433 \\
    --tls-certificate server.crt --tls-key server.key
  lake-sql --config lake-writer.toml query \"SELECT region, sum(amount) FROM sales GROUP BY region\"
  psql 'host=localhost port=5433 dbname=lake user=anna sslmode=require'

";

/// SQL over the lake and its mirror, for everything that speaks PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "lake-sql",
    version,
    propagate_version = true,
    after_help = codes(),
    after_long_help = format!("{EXAMPLES}{}", codes()),
)]
pub struct Arguments {
    /// Settings of lake-writer; `lake-writer.toml` in the working folder is read if it is there
    #[arg(
        long,
        short,
        global = true,
        value_name = "FILE",
        env = "LAKE_WRITER_CONFIG"
    )]
    pub(crate) config: Option<PathBuf>,

    /// Set one key of the settings, stronger than file and environment; can be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,

    /// Where to listen; port 0 takes a free one and says which
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "LAKE_SQL_LISTEN",
        default_value = "127.0.0.1:5433"
    )]
    pub(crate) listen: String,

    /// File of users, as `add-user` writes it
    #[arg(long, value_name = "FILE", env = "LAKE_SQL_USERS")]
    pub(crate) users: Option<PathBuf>,

    /// Certificate of the server and of those that vouch for it, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "LAKE_SQL_TLS_CERTIFICATE",
        requires = "tls_key"
    )]
    pub(crate) tls_certificate: Option<PathBuf>,

    /// Key of the certificate, in PEM
    #[arg(
        long,
        value_name = "FILE",
        env = "LAKE_SQL_TLS_KEY",
        requires = "tls_certificate"
    )]
    pub(crate) tls_key: Option<PathBuf>,

    /// Take connections that are not encrypted, from other machines too
    #[arg(long, env = "LAKE_SQL_ALLOW_PLAINTEXT")]
    pub(crate) allow_plaintext: bool,

    /// Longest time of a statement, such as 90s or 5m; 0 for no bound
    #[arg(long, global = true, value_name = "TIME", env = "LAKE_SQL_STATEMENT_TIMEOUT", default_value = "5m", value_parser = amount::duration)]
    pub(crate) statement_timeout: Duration,

    /// Memory that running statements share, such as 512MiB or 2GiB
    #[arg(long, global = true, value_name = "BYTES", env = "LAKE_SQL_MEMORY_LIMIT", default_value = "1GiB", value_parser = amount::bytes)]
    pub(crate) memory_limit: usize,

    /// Most clients at a time
    #[arg(long, value_name = "NUMBER", env = "LAKE_SQL_MAX_CONNECTIONS", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_connections: u16,

    /// How long running statements may go on after the first signal to stop
    #[arg(long, value_name = "TIME", env = "LAKE_SQL_STOP_TIMEOUT", default_value = "10s", value_parser = amount::duration)]
    pub(crate) stop_timeout: Duration,

    /// Form of the log
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORM",
        env = "LAKE_SQL_LOG_FORMAT",
        default_value_t
    )]
    pub(crate) log_format: LogFormat,

    /// What to log, such as `debug` or `lake_sql=debug`
    #[arg(long, global = true, value_name = "FILTER", env = "LAKE_SQL_LOG")]
    pub(crate) log: Option<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user to the file of users, or change a password
    ///
    /// The password comes from the first line of standard input, or is asked for on a terminal. It is not
    /// stored; what is stored lets whoever reads the file connect to this server.
    #[command(
        after_help = "Examples:\n  lake-sql add-user --users users anna\n  lake-sql add-user --users users anna < password-file"
    )]
    AddUser(add_user::AddUser),

    /// Run one statement without a server
    #[command(
        after_help = "Examples:\n  lake-sql query \"SELECT count(*) FROM sales_lake\"\n  lake-sql query --output csv \"SELECT * FROM sales_lake LIMIT 10\""
    )]
    Query(query::Query),

    /// Print a script that completes commands in a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },

    /// Print the manual page, or write all pages into a folder
    Man {
        /// The folder
        dir: Option<PathBuf>,
    },
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs, a JSON document a line.
    Json,
}

/// The exit codes that there are here; they mean what they mean for lake-writer.
fn codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for (exit, meaning) in [
        (Exit::Success, "done, or stopped by a signal"),
        (
            Exit::Failure,
            "the statement failed, or the address cannot be listened at",
        ),
        (
            Exit::Usage,
            "the command line, the settings, the users or the certificate are wrong",
        ),
        (
            Exit::Store,
            "the store, or the mirror's database: out of reach, not allowed, or unfit",
        ),
        (Exit::Interrupted, "stopped while statements were running"),
    ] {
        text.push_str(&format!("  {}  {meaning}\n", exit as u8));
    }
    text
}

/// Parses the arguments, runs the command and says how it ended. Errors go to standard error.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    command(arguments, run, |_: &Arguments, failure| {
        let _ = writeln!(std::io::stderr().lock(), "error: {failure}");
    })
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        None => {
            log(arguments, "info")?;
            serve::run(arguments)
        }
        Some(Command::AddUser(user)) => user.run(),
        Some(Command::Query(query)) => {
            log(arguments, "warn")?;
            query.run(arguments)
        }
        Some(Command::Completions { shell }) => completions::<Arguments>(*shell),
        Some(Command::Man { dir }) => man::<Arguments>(dir.as_deref()),
    }
}

/// Starts the log, on standard error.
fn log(arguments: &Arguments, default: &str) -> Result<(), Failure> {
    let filter = arguments.log.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| Failure::of(Exit::Usage, "read --log", &error))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match arguments.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logs were started before");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_arguments_are_sound_and_their_help_has_examples_and_codes() {
        Arguments::command().debug_assert();
        let help = Arguments::command().render_long_help().to_string();
        assert!(
            help.contains("lake-sql add-user") && help.contains("Exit codes:"),
            "{help}"
        );
    }

    #[test]
    fn every_option_of_the_server_has_an_environment_variable() {
        for argument in Arguments::command().get_arguments() {
            let name = argument.get_id().as_str();
            assert!(argument.get_env().is_some() || name == "set", "{name}");
        }
    }
}
