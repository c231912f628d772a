//! Completions and manual pages, from the definition of the arguments.

use std::path::Path;

use clap::CommandFactory as _;
use lake_writer::cli::{Exit, Failure};

use super::{Arguments, print};

pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lake-sql", &mut script);
    print(&script)
}

pub(super) fn man(dir: Option<&Path>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::of(Exit::Failure, "write manual pages", &error);
    match dir {
        Some(dir) => {
            std::fs::create_dir_all(dir).map_err(failed)?;
            clap_mangen::generate_to(Arguments::command(), dir).map_err(failed)
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command())
                .render(&mut page)
                .map_err(failed)?;
            print(&page)
        }
    }
}
