//! The `lake-sql` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lake_sql::cli::main(std::env::args_os())
}
