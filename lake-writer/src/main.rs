//! The `lake-writer` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything is allocated: the allocator's settings hold from here on.
    lake_writer::batch::tune_allocator();
    lake_writer::cli::main(std::env::args_os())
}
