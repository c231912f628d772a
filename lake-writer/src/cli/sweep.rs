//! `sweep`: removes what crashed writers have left, or says what that is.

use clap::Args;
use serde_json::json;

use super::Arguments;
use super::context::{Chatter, Context};
use super::exit::Failure;
use super::open;
use super::output::{Output, print, print_json};
use crate::commit::sweep::{Debris, find, remove};
use crate::telemetry::figures::count;

#[derive(Debug, Args)]
pub(super) struct SweepArguments {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(arguments: &Arguments, sweep: &SweepArguments) -> Result<(), Failure> {
    let context = Context::new(arguments, Chatter::Little)?;
    let store = open::store(&context.settings)?;
    let debris = context.runtime.block_on(find(store.as_ref()))?;
    if !sweep.dry_run {
        let removing = remove(store.as_ref(), debris.clone());
        context.runtime.block_on(removing)?;
    }
    match arguments.output {
        Output::Text => print(&in_words(&debris, sweep.dry_run)),
        Output::Json => {
            let uploads = debris.uploads.iter();
            let uploads = uploads.map(|upload| json!({ "path": upload.path, "id": upload.id }));
            print_json(&json!({
                "table": store.url(),
                "removed": !sweep.dry_run,
                "files": debris.files,
                "uploads": uploads.collect::<Vec<_>>(),
            }))
        }
    }
}

fn in_words(debris: &Debris, dry_run: bool) -> String {
    let files = debris.files.iter().map(|path| format!("  {path}\n"));
    let uploads = debris.uploads.iter();
    let uploads = uploads.map(|upload| format!("  {} (upload {})\n", upload.path, upload.id));
    let listed: String = files.chain(uploads).collect();
    format!(
        "{} {} files and {} open uploads that no writer can use any more\n{listed}",
        if dry_run { "would remove" } else { "removed" },
        count(debris.files.len() as u64),
        count(debris.uploads.len() as u64),
    )
}
