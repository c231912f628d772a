//! The `lake-dashboard` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lake_dashboard::cli::main(std::env::args_os())
}
