//! Looks at the table whenever it changes, and says which promise is broken.
//!
//! Owns: a fold of the log of its own, which shares nothing with the code under test but the format
//! of records; what is visible, offset by offset.
//! Does not own: what was sent (`topic`).

mod log;
mod end;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lake_writer::commit::record::{
    Body, Claim, ClaimedSource, Commit, DataFile, Record, Replace, record_path,
};
use lake_writer::source::SourcePartition;
use lake_writer::store::TablePath;
use lake_writer::store::fault::Op;
use lake_writer::store::memory::MemoryStore;
use lake_writer::table::hive;

use super::contents::{Letter, Row, letters, rows};
use super::topic::{Sent, TOPIC_ID, Topic};
use super::trace::Trace;

/// The oracle of a run.
#[derive(Clone, Debug)]
pub(crate) struct Oracle(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    memory: MemoryStore,
    topic: Topic,
    trace: Trace,
    /// First broken promise.
    broken: Option<String>,
    /// Number of the next record.
    next_record: u64,
    sources: BTreeMap<SourcePartition, Held>,
    /// Where each partition of the table begins.
    begins: BTreeMap<SourcePartition, i64>,
    /// Files that the log names, and that may lie in `data/` and `dead/`.
    named: BTreeMap<TablePath, DataFile>,
    /// Files that a replacement has taken out. They may still be visible, but not come back.
    taken: BTreeSet<TablePath>,
    /// Last record that a checkpoint holds.
    boundary: Option<u64>,
    /// Commits whose files were not all visible yet when it was last looked.
    unsettled: Vec<Unsettled>,
    visible: BTreeMap<TablePath, Vec<(i32, i64)>>,
    /// The file in which each offset is visible.
    places: BTreeMap<(i32, i64), TablePath>,
    /// Offsets that retention took and the log accepts as lost, by partition.
    lost: BTreeMap<i32, u64>,
    tombstones: u64,
    commits: u64,
    claims: u64,
    takeovers: u64,
    checkpoints: u64,
    replacements: u64,
}

/// A source partition as the log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Held {
    next: i64,
    epoch: u64,
    session: String,
}

/// A commit some of whose files are not visible.
#[derive(Debug)]
struct Unsettled {
    number: u64,
    session: String,
    /// What it covers: source partitions, and the first offset behind it.
    ends: BTreeMap<SourcePartition, i64>,
    files: Vec<TablePath>,
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) commits: u64,
    pub(crate) claims: u64,
    pub(crate) takeovers: u64,
    pub(crate) checkpoints: u64,
    pub(crate) replacements: u64,
    pub(crate) rows: u64,
}

impl Oracle {
    pub(crate) fn new(memory: &MemoryStore, topic: &Topic, trace: &Trace) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            memory: memory.clone(),
            topic: topic.clone(),
            trace: trace.clone(),
            broken: None,
            next_record: 0,
            sources: BTreeMap::new(),
            begins: BTreeMap::new(),
            named: BTreeMap::new(),
            taken: BTreeSet::new(),
            boundary: None,
            checkpoints: 0,
            replacements: 0,
            unsettled: Vec::new(),
            visible: BTreeMap::new(),
            places: BTreeMap::new(),
            lost: BTreeMap::new(),
            tombstones: 0,
            commits: 0,
            claims: 0,
            takeovers: 0,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first promise that was broken.
    pub(crate) fn broken(&self) -> Option<String> {
        self.inner().broken.clone()
    }

    /// A promise was seen broken elsewhere.
    pub(crate) fn report(&self, broken: String) {
        self.inner().broken.get_or_insert(broken);
    }

    /// A call has taken effect.
    pub(crate) fn look(&self, op: Op, path: &TablePath) {
        let mut inner = self.inner();
        let judged = match op {
            Op::PutIfAbsent => inner.read_log().and_then(|()| inner.read_checkpoint(path)),
            Op::Delete if path.as_str().starts_with("log/") => inner.judge_drop(path),
            Op::Publish | Op::Delete | Op::Discard => inner.look_at(path),
            _ => Ok(()),
        };
        if let Err(broken) = judged {
            inner.trace.note(0, "BROKEN", "", || broken.clone());
            inner.broken.get_or_insert(broken);
        }
    }

    /// A writer told the group how far the table has come.
    pub(crate) fn acknowledged(&self, process: u32, next: &[(i32, i64)]) {
        let mut inner = self.inner();
        for (partition, next) in next {
            let stands = inner
                .sources
                .get(&source(*partition))
                .map_or(0, |held| held.next);
            if *next > stands {
                let broken = format!(
                    "process {process} acknowledged partition {partition} up to {next}, but the log \
                     stands at {stands}"
                );
                inner.broken.get_or_insert(broken);
            }
        }
    }

    /// A writer begins to read: whatever the log holds before these offsets is visible by now, whoever
    /// committed it.
    pub(crate) fn began(&self, process: u32, from: &[(i32, i64)]) {
        let mut inner = self.inner();
        inner.forget_settled();
        for (partition, next) in from {
            let source = source(*partition);
            let left = inner.unsettled.iter();
            let mut left = left.filter(|it| it.ends.get(&source).is_some_and(|end| end <= next));
            if let Some(left) = left.next() {
                let broken = format!(
                    "process {process} reads partition {partition} from {next} on behind record {} of \
                     {}, of which not all of {:?} are visible",
                    left.number, left.session, left.files
                );
                inner.broken.get_or_insert(broken);
            }
        }
    }

    /// What the table must look like once everything was written.
    pub(crate) fn judge_end(&self) -> Result<(), String> {
        let mut inner = self.inner();
        inner.read_log()?;
        inner.look_at_all()?;
        inner.judge_snapshot()?;
        inner.judge_complete()?;
        inner.judge_clean()
    }

    /// How many offsets are committed.
    pub(crate) fn committed(&self) -> i64 {
        self.inner().sources.values().map(|held| held.next).sum()
    }

    /// First offset of each partition that is not committed.
    pub(crate) fn next_offsets(&self) -> BTreeMap<i32, i64> {
        let inner = self.inner();
        let next = inner.sources.iter();
        let next = next.filter(|(source, _)| source.topic_id == TOPIC_ID);
        next.map(|(source, held)| (source.partition, held.next))
            .collect()
    }

    pub(crate) fn seen(&self) -> Seen {
        let inner = self.inner();
        Seen {
            commits: inner.commits,
            claims: inner.claims,
            takeovers: inner.takeovers,
            checkpoints: inner.checkpoints,
            replacements: inner.replacements,
            rows: inner.places.len() as u64,
        }
    }
}

fn source(partition: i32) -> SourcePartition {
    SourcePartition {
        topic_id: TOPIC_ID.into(),
        partition,
    }
}

impl Inner {
    /// Folds the records that are new.
    fn read_log(&mut self) -> Result<(), String> {
        loop {
            let number = self.next_record;
            let Some(bytes) = self.memory.file(&record_path(number)) else {
                return Ok(());
            };
            let record = Record::decode(number, &bytes);
            let record =
                record.map_err(|error| format!("record {number} cannot be read: {error}"))?;
            self.next_record += 1;
            self.trace
                .note(0, "record", &number.to_string(), || text(&record));
            match &record.body {
                Body::Table(_) => {}
                Body::Claim(claim) => self.claim(number, &record.session, claim)?,
                Body::Replace(replace) => self.replace(number, &record.session, replace)?,
                Body::Commit(commit) => self.commit(number, &record.session, commit)?,
            }
        }
    }

    fn claim(&mut self, number: u64, session: &str, claim: &Claim) -> Result<(), String> {
        self.claims += 1;
        for claimed in &claim.begins {
            self.begins
                .entry(claimed.source.clone())
                .or_insert(claimed.first);
        }
        for claimed in &claim.sources {
            self.begin(claimed)?;
            let held = self.sources.entry(claimed.source.clone()).or_default();
            self.takeovers += u64::from(!held.session.is_empty() && held.session != session);
            held.epoch = number;
            held.session = session.to_owned();
        }
        Ok(())
    }

    /// The first claim of a partition says where the table begins: not behind what is there.
    fn begin(&mut self, claimed: &ClaimedSource) -> Result<(), String> {
        if self.sources.contains_key(&claimed.source) || claimed.source.topic_id != TOPIC_ID {
            return Ok(());
        }
        let source = &claimed.source;
        let first = *self.begins.entry(source.clone()).or_insert(claimed.first);
        let low = self
            .topic
            .brokers()
            .partition(source.partition)
            .map_or(0, |it| it.low);
        if first > low {
            return Err(format!(
                "{source} begins at {first}, its first message is at {low}"
            ));
        }
        let held = Held {
            next: first,
            ..Held::default()
        };
        self.sources.insert(source.clone(), held);
        Ok(())
    }

    fn commit(&mut self, number: u64, session: &str, commit: &Commit) -> Result<(), String> {
        self.commits += 1;
        for range in &commit.ranges {
            let held = self.sources.entry(range.source.clone()).or_default();
            let (start, next) = (range.range.start(), range.range.next());
            if held.next != start || held.epoch != range.epoch || held.session != session {
                return Err(format!(
                    "record {number} of {session} commits {}: {start}..{next} under claim {}, but the \
                     log stands there at {held:?}",
                    range.source, range.epoch
                ));
            }
            held.next = next;
            self.tombstones += range.tombstones;
            *self.lost.entry(range.source.partition).or_default() += range.lost;
        }
        self.settle(number, session, commit)?;
        self.name(number, commit.all_files())
    }

    /// Each file that is taken out is live, and the claim is the session's own.
    fn replace(&mut self, number: u64, session: &str, replace: &Replace) -> Result<(), String> {
        self.replacements += 1;
        let held = self.sources.get(&replace.source);
        if !held.is_some_and(|held| held.epoch == replace.epoch && held.session == session) {
            return Err(format!(
                "record {number} of {session} replaces files under claim {}, but {held:?} holds",
                replace.epoch
            ));
        }
        for file in &replace.taken {
            let is_live = self.named.contains_key(&file.path);
            if !is_live || !self.taken.insert(file.path.clone()) {
                return Err(format!(
                    "record {number} replaces {}, which is not live",
                    file.path
                ));
            }
        }
        self.name(number, replace.files.iter().chain(&replace.dead))
    }

    fn name<'a>(
        &mut self,
        number: u64,
        files: impl Iterator<Item = &'a DataFile>,
    ) -> Result<(), String> {
        for file in files {
            if self.named.insert(file.path.clone(), file.clone()).is_some() {
                return Err(format!("record {number} names {} again", file.path));
            }
        }
        Ok(())
    }

    /// Whoever commits behind another has published what that one left.
    fn settle(&mut self, number: u64, session: &str, commit: &Commit) -> Result<(), String> {
        self.forget_settled();
        let ends = commit.ranges.iter();
        let ends = ends.map(|range| (range.source.clone(), range.range.next()));
        let ends: BTreeMap<SourcePartition, i64> = ends.collect();
        let left = self.unsettled.iter().find(|it| {
            it.session != session && it.ends.keys().any(|source| ends.contains_key(source))
        });
        if let Some(left) = left {
            return Err(format!(
                "record {number} of {session} goes on behind record {} of {}, of which not all of \
                 {:?} are visible",
                left.number, left.session, left.files
            ));
        }
        self.unsettled.push(Unsettled {
            number,
            session: session.to_owned(),
            ends,
            files: commit.all_files().map(|file| file.path.clone()).collect(),
        });
        Ok(())
    }

    fn forget_settled(&mut self) {
        let (visible, taken) = (&self.visible, &self.taken);
        let is_settled = |file: &TablePath| visible.contains_key(file) || taken.contains(file);
        self.unsettled.retain(|it| !it.files.iter().all(is_settled));
    }

    /// Looks at one file of `data/` or `dead/` that may have come, gone or changed.
    fn look_at(&mut self, path: &TablePath) -> Result<(), String> {
        let in_data = path.as_str().starts_with("data/");
        if !in_data && !path.as_str().starts_with("dead/") {
            return Ok(());
        }
        let Some(bytes) = self.memory.file(path) else {
            return self.forget(path);
        };
        if self.visible.contains_key(path) {
            return Ok(());
        }
        if self.taken.contains(path) {
            // A replacement takes published files alone, so this one was visible before.
            return Err(format!("{path} was replaced and is back"));
        }
        let file = self.named.get(path);
        let file = file.ok_or_else(|| format!("{path} is visible, and no record names it"))?;
        let hash = format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bytes));
        if bytes.len() as u64 != file.bytes || hash != file.xxh3 {
            return Err(format!(
                "{path} has {} bytes with hash {hash}, its record says {} with {}",
                bytes.len(),
                file.bytes,
                file.xxh3
            ));
        }
        let offsets = if in_data {
            self.check_rows(path, rows(&bytes)?)?
        } else {
            self.check_letters(path, letters(&bytes)?)?
        };
        for offset in &offsets {
            if let Some(other) = self.places.insert(*offset, path.clone()) {
                return Err(format!(
                    "offset {offset:?} is visible twice, in {other} and in {path}"
                ));
            }
        }
        self.visible.insert(path.clone(), offsets);
        Ok(())
    }

    /// A file is no longer there.
    fn forget(&mut self, path: &TablePath) -> Result<(), String> {
        match self.visible.remove(path) {
            Some(offsets) if self.taken.contains(path) => {
                for offset in offsets {
                    self.places.remove(&offset);
                }
                Ok(())
            }
            Some(_) => Err(format!("{path} was visible and is gone")),
            None => Ok(()),
        }
    }

    fn check_rows(&self, path: &TablePath, rows: Vec<Row>) -> Result<Vec<(i32, i64)>, String> {
        let folder = path.parent().and_then(|parent| parent.rsplit('/').next());
        let folder = folder.and_then(hive::parse_component);
        let folder = folder.ok_or_else(|| format!("{path} lies in no folder of a region"))?;
        let brokers = self.topic.brokers();
        let mut offsets = Vec::with_capacity(rows.len());
        for row in rows {
            let sent = brokers
                .partition(row.partition)
                .and_then(|it| it.at(row.offset));
            let same = matches!(sent, Some(Sent::Row { region, amount, .. })
                if super::topic::REGIONS[*region] == row.region && *amount == row.amount);
            if !same {
                return Err(format!("{path} holds {row:?}, sent was {sent:?}"));
            }
            if folder != ("region".to_owned(), Some(row.region.clone())) {
                return Err(format!("{row:?} lies in {path}"));
            }
            offsets.push((row.partition, row.offset));
        }
        Ok(offsets)
    }

    fn check_letters(
        &self,
        path: &TablePath,
        letters: Vec<Letter>,
    ) -> Result<Vec<(i32, i64)>, String> {
        let brokers = self.topic.brokers();
        let mut offsets = Vec::with_capacity(letters.len());
        for letter in letters {
            let sent = brokers
                .partition(letter.partition)
                .and_then(|it| it.at(letter.offset));
            if sent != Some(&Sent::Malformed(letter.value.clone())) {
                return Err(format!("{path} holds {letter:?}, sent was {sent:?}"));
            }
            offsets.push((letter.partition, letter.offset));
        }
        Ok(offsets)
    }

    /// Whether the table's files are those that were seen coming.
    fn look_at_all(&mut self) -> Result<(), String> {
        for path in self.memory.files().keys() {
            self.look_at(path)?;
        }
        let gone = self
            .visible
            .keys()
            .find(|path| self.memory.file(path).is_none());
        gone.map_or(Ok(()), |path| {
            Err(format!("{path} was visible and is gone"))
        })
    }
}

fn text(record: &Record) -> String {
    match &record.body {
        Body::Table(_) => format!("table, by {}", record.session),
        Body::Claim(claim) => {
            let sources: Vec<_> = claim.sources.iter().map(|it| it.source.partition).collect();
            format!("claim of {sources:?} by {}", record.session)
        }
        Body::Replace(replace) => {
            let taken: Vec<_> = replace.taken.iter().map(|file| &file.path).collect();
            format!("replacement of {taken:?} by {}", record.session)
        }
        Body::Commit(commit) => {
            format!(
                "commit of {} in {} files by {}",
                commit.ranges_text(),
                commit.all_files().count(),
                record.session
            )
        }
    }
}
