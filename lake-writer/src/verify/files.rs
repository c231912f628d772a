//! Files: what the log names against what is there.
//!
//! ```text
//! Ledger + listings of data/ and dead/ ─► present files, and findings about the others
//! ```
//!
//! Owns: the rules by which a running writer's commits and publications are no findings. The log is
//! folded first and the folders are listed after. A file that is missing may be on its way to its
//! name while no record says that it was published; it is looked for again for a while. A file that
//! the fold does not name is looked up in a later one before it is called foreign: files get their
//! names after their records.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Clock;
use crate::commit::CommitError;
use crate::stage::DEAD_LETTERS;
use crate::store::{Entry as Listed, Staged, Store, StoreError, TablePath};

use super::lake::FileReading;
use super::ledger::{Ledger, LedgerFile, ledger};
use super::report::{Finding, FindingKind, Findings};

/// Between two looks for a file that is being published.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What lies below `data/` and `dead/`.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Size of each file that the log names and that is there.
    pub(super) present: BTreeMap<TablePath, u64>,
    /// Files that nobody committed, with their sizes.
    pub(super) foreign: Vec<(TablePath, u64)>,
}

/// Compares the listings with the log.
///
/// # Errors
/// When the store or the log cannot be read.
pub(super) async fn inventory(
    store: &dyn Store,
    clock: &dyn Clock,
    patience: Duration,
    of: &Ledger,
    findings: &mut Findings,
) -> Result<Inventory, CommitError> {
    let mut listed: BTreeMap<TablePath, u64> = BTreeMap::new();
    for folder in ["data", DEAD_LETTERS] {
        let folder = TablePath::new(folder).expect("a legal name");
        let entries = store.list(&folder).await?;
        listed.extend(
            entries
                .into_iter()
                .map(|Listed { path, size }| (path, size)),
        );
    }
    let mut inventory = Inventory::default();
    let mut missing = Vec::new();
    for (path, file) in &of.files {
        match listed.remove(path) {
            Some(size) => note_present(&mut inventory, file, size, findings),
            None => missing.push(file),
        }
    }
    let later = if listed.is_empty() && missing.is_empty() {
        None
    } else {
        Some(ledger(store).await?)
    };
    let is_live = |path: &TablePath| {
        let later = later.as_ref();
        later.is_some_and(|later| later.files.contains_key(path))
    };
    let unknown = listed.into_iter().filter(|(path, _)| !is_live(path));
    inventory.foreign = unknown.collect();
    // What was replaced meanwhile is rightly gone.
    missing.retain(|file| is_live(&file.path));
    wait_for(store, clock, patience, missing, &mut inventory, findings).await?;
    Ok(inventory)
}

fn note_present(inventory: &mut Inventory, file: &LedgerFile, size: u64, findings: &mut Findings) {
    let (path, bytes) = (&file.path, file.facts.bytes);
    if size != bytes {
        let detail = format!("{size} bytes are there, {bytes} were written");
        findings.add(of_file(FindingKind::WrongSize, file, detail));
    }
    inventory.present.insert(path.clone(), size);
}

fn of_file(kind: FindingKind, file: &LedgerFile, detail: String) -> Finding {
    Finding::new(kind, detail)
        .at_path(&file.path)
        .of_commit(file.commit)
}

/// Looks again for files that may be on their way, until they are there or patience ends.
async fn wait_for(
    store: &dyn Store,
    clock: &dyn Clock,
    patience: Duration,
    mut missing: Vec<&LedgerFile>,
    inventory: &mut Inventory,
    findings: &mut Findings,
) -> Result<(), StoreError> {
    let until = clock.monotonic() + patience;
    loop {
        let mut still = Vec::new();
        for file in missing {
            match store.size(&file.path).await? {
                Some(size) => note_present(inventory, file, size, findings),
                None => still.push(file),
            }
        }
        missing = still;
        let may_come = missing.iter().any(|file| file.on_its_way.is_some());
        if !may_come || clock.monotonic() >= until {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    for file in missing {
        findings.add(absent(store, file).await?);
    }
    Ok(())
}

/// Says what is known of a file that is not there.
async fn absent(store: &dyn Store, file: &LedgerFile) -> Result<Finding, StoreError> {
    let rows = file.facts.rows;
    let is_staged = match &file.on_its_way {
        Some(staged) => is_staged(store, file, staged).await?,
        None => false,
    };
    Ok(if is_staged {
        let detail = format!("its {rows} rows are committed and not visible: start a writer");
        of_file(FindingKind::UnpublishedFile, file, detail)
    } else {
        let detail = format!("its {rows} rows are lost, unless they are elsewhere");
        of_file(FindingKind::MissingFile, file, detail)
    })
}

async fn is_staged(
    store: &dyn Store,
    file: &LedgerFile,
    staged: &Staged,
) -> Result<bool, StoreError> {
    match staged {
        Staged::File { path } => Ok(store.size(path).await? == Some(file.facts.bytes)),
        Staged::Upload { id, .. } => {
            let folder = file.path.parent().unwrap_or("data");
            let folder = TablePath::new(folder).expect("the parent of a path is one");
            let uploads = store.open_uploads(&folder).await?;
            Ok(uploads.iter().any(|upload| upload.id == *id))
        }
    }
}

/// Compares what was found in a file with what the log says of it.
pub(super) fn judge(file: &LedgerFile, size: u64, reading: &FileReading, findings: &mut Findings) {
    let facts = &file.facts;
    // Another size was told already, and other bytes follow from it.
    if size == facts.bytes && reading.xxh3.as_ref() != Some(&facts.xxh3) {
        let detail = match &reading.xxh3 {
            Some(found) => format!("its XXH3 is {found}, {} was written", facts.xxh3),
            None => "it was changed while it was read".into(),
        };
        findings.add(of_file(FindingKind::WrongChecksum, file, detail));
    }
    if let Some(problem) = &reading.problem {
        findings.add(of_file(FindingKind::UnreadableFile, file, problem.clone()));
    }
    let Some(sources) = &reading.sources else {
        return;
    };
    let rows: u64 = sources.iter().map(|source| source.rows).sum();
    if rows != facts.rows {
        let detail = format!("it has {rows} rows, {} were written", facts.rows);
        findings.add(of_file(FindingKind::WrongFacts, file, detail));
    } else if *sources != facts.sources {
        let detail = "its rows have other offsets than the log says".to_owned();
        findings.add(of_file(FindingKind::WrongFacts, file, detail));
    }
}

/// Names a file that nobody committed, and what is known of it.
pub(super) fn foreign(path: &TablePath, size: u64, reading: &FileReading, of: &Ledger) -> Finding {
    let same = |file: &&LedgerFile| {
        file.facts.bytes == size && reading.xxh3.as_deref() == Some(file.facts.xxh3.as_str())
    };
    let mut detail = format!("no commit names it; {size} bytes");
    if let Some(original) = of.files.values().find(same) {
        detail += &format!(", a copy of {}", original.path);
    }
    if let Some(sources) = &reading.sources {
        let rows: u64 = sources.iter().map(|source| source.rows).sum();
        detail += &format!(", {rows} rows that readers see");
    }
    if let Some(problem) = &reading.problem {
        detail += &format!(", unreadable: {problem}");
    }
    Finding::new(FindingKind::ForeignFile, detail).at_path(path)
}
