//! `lake-sql add-user`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use lake_writer::cli::{Exit, Failure};

use crate::server::Users;

#[derive(Args, Debug)]
pub(super) struct AddUser {
    /// File of users; made if there is none
    #[arg(long, value_name = "FILE", env = "LAKE_SQL_USERS")]
    users: PathBuf,

    /// Name of the user
    name: String,
}

impl AddUser {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let failed =
            |error: std::io::Error| Failure::of(Exit::Failure, "read the password", &error);
        let password = match std::io::stdin().is_terminal() {
            true => asked(&self.name).map_err(failed)?,
            false => line().map_err(failed)?,
        };
        Users::add(&self.users, &self.name, &password)
            .map_err(|error| Failure::new(Exit::Usage, error.to_string()))
    }
}

fn line() -> std::io::Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks on the terminal, which shows nothing of what is typed.
fn asked(name: &str) -> std::io::Result<String> {
    let mut terminal = std::io::stderr();
    write!(terminal, "Password for {name}: ")?;
    terminal.flush()?;
    let silenced = echo("-echo");
    let line = line();
    if silenced {
        echo("echo");
    }
    writeln!(terminal)?;
    line
}

fn echo(wanted: &str) -> bool {
    let set = Command::new("stty")
        .arg(wanted)
        .stdin(Stdio::inherit())
        .stderr(Stdio::null())
        .status();
    set.is_ok_and(|status| status.success())
}
