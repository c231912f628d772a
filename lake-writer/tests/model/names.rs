//! Small ids of the model, and the real names and records that they stand for.
//!
//! ```text
//! Session, FileId ─► TablePath, DataFile, Record ─► the real State, Append and Judge
//! ```
//!
//! Owns: the mapping, both ways, so that the model's states stay small while the code under test
//! sees what it sees in production.
//! Does not own: what is done with them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use lake_writer::commit::record::{
    Body, Claim, ClaimedSource, Commit, CommittedRange, DataFile, Definition, FORMAT, FileChange,
    FileSource, Record, Replace, TakenFile,
};
use lake_writer::source::{OffsetRange, SourcePartition};
use lake_writer::store::memory::Staging;
use lake_writer::store::{Staged, TablePath};

/// A value that is shared between states of the model and hashed once.
#[derive(Debug)]
pub(crate) struct Shared<T>(Arc<(u64, T)>);

impl<T: Hash> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        Self(Arc::new((hasher.finish(), value)))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.0 == other.0.0 && (Arc::ptr_eq(&self.0, &other.0) || self.0.1 == other.0.1)
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.0);
    }
}

/// One stretch of a process between two failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Session {
    pub(crate) process: u8,
    pub(crate) incarnation: u8,
}

impl Session {
    /// As a writer names itself in the log: 16 hexadecimal characters.
    pub(crate) fn text(self) -> String {
        format!("{:08x}{:08x}", self.process, self.incarnation)
    }

    fn parse(text: &str) -> Self {
        let number = u64::from_str_radix(text, 16).expect("the model's own session");
        let [.., _, _, _, process, _, _, _, incarnation] = number.to_be_bytes();
        Self {
            process,
            incarnation,
        }
    }
}

/// A set of rows of the topic: offset `o` of partition `p` is bit `4 p + o`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Rows(pub(crate) u16);

/// Offsets that a source partition of the model can have at most.
pub(crate) const MOST_ROWS: u8 = 4;

impl Rows {
    pub(crate) fn insert(&mut self, partition: u8, offset: u8) {
        self.0 |= 1 << (partition * MOST_ROWS + offset);
    }

    pub(crate) fn all(partitions: u8, rows: u8) -> Self {
        let mut all = Self::default();
        for partition in 0..partitions {
            for offset in 0..rows {
                all.insert(partition, offset);
            }
        }
        all
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A file of a cut, with the rows in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FileId {
    pub(crate) session: Session,
    pub(crate) cut: u8,
    pub(crate) file: u8,
    /// Whether it holds dead letters and lies below `dead/`.
    pub(crate) dead: bool,
    pub(crate) rows: Rows,
}

impl FileId {
    /// Its final name.
    pub(crate) fn target(self) -> TablePath {
        let folder = if self.dead { "dead" } else { "data" };
        path(format!(
            "{folder}/lake={}/{}-{:06}-{:05}.parquet",
            self.file,
            self.session.text(),
            self.cut,
            self.file
        ))
    }

    /// Its name below `stage/`.
    pub(crate) fn staging(self) -> TablePath {
        let session = self.session.text();
        path(format!("stage/{session}/{:06}-{:05}", self.cut, self.file))
    }

    /// The store's id of its upload.
    pub(crate) fn upload(self) -> String {
        format!("upload-{}-{}-{}", self.session.text(), self.cut, self.file)
    }

    /// As a record names it. The rows inside stand in the place of its size, which nothing in the
    /// protocol computes with.
    fn data_file(self, staging: Staging) -> DataFile {
        let staged = match staging {
            Staging::File => Staged::File {
                path: self.staging(),
            },
            Staging::Upload => Staged::Upload {
                id: self.upload(),
                parts: Vec::new(),
            },
        };
        DataFile {
            path: self.target(),
            staged,
            bytes: u64::from(self.rows.0),
            rows: u64::from(self.rows.0.count_ones()),
            xxh3: String::new(),
            partition: std::iter::empty().collect(),
            sources: Vec::<FileSource>::new(),
        }
    }

    /// The file that a record names.
    fn of(path: &TablePath, bytes: u64) -> Self {
        let name = path.file_name().trim_end_matches(".parquet");
        let mut parts = name.split('-');
        let mut part = || parts.next().expect("the model's own file name");
        let number = |text: &str| text.parse().expect("the model's own number");
        Self {
            session: Session::parse(part()),
            cut: number(part()),
            file: number(part()),
            dead: path.as_str().starts_with("dead/"),
            rows: Rows(u16::try_from(bytes).expect("the model's own rows")),
        }
    }
}

/// All files that a change adds, as the code under test lists them.
pub(crate) fn added_by(change: &FileChange) -> Vec<FileId> {
    let added = change.added();
    added
        .map(|file| FileId::of(&file.path, file.bytes))
        .collect()
}

/// All files that a change takes out.
pub(crate) fn taken_by(change: &FileChange) -> Vec<FileId> {
    let taken = change.taken().iter();
    taken
        .map(|file| FileId::of(&file.path, file.bytes))
        .collect()
}

/// A record of the log with what the properties ask of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    pub(crate) files: Vec<FileId>,
    pub(crate) taken: Vec<FileId>,
}

impl Entry {
    pub(crate) fn new(record: Record) -> Shared<Self> {
        let change = record.body.change();
        let files = change.as_ref().map_or_else(Vec::new, added_by);
        let taken = change.as_ref().map_or_else(Vec::new, taken_by);
        Shared::new(Self {
            record,
            files,
            taken,
        })
    }
}

/// Offsets of one source partition in a cut, and the claim under which they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CutRange {
    pub(crate) partition: u8,
    pub(crate) start: u8,
    pub(crate) next: u8,
    pub(crate) epoch: u64,
}

/// The source partition that who replaces files claims. It is none of the topic's.
pub(crate) const REPAIR: u8 = 200;

pub(crate) fn source(partition: u8) -> SourcePartition {
    SourcePartition {
        topic_id: "topic".into(),
        partition: partition.into(),
    }
}

pub(crate) fn definition() -> Definition {
    Definition {
        partition_by: Vec::new(),
        time_zone: "UTC".into(),
        columns: Vec::new(),
    }
}

pub(crate) fn claim_of(partitions: &[u8]) -> Claim {
    let claimed = |partition: &u8| ClaimedSource {
        source: source(*partition),
        first: 0,
    };
    Claim {
        topic: "sales".into(),
        sources: partitions.iter().map(claimed).collect(),
        begins: Vec::new(),
    }
}

pub(crate) fn commit_of(ranges: &[CutRange], files: &[FileId], staging: Staging) -> Commit {
    let range = |cut: &CutRange| CommittedRange {
        source: source(cut.partition),
        range: OffsetRange::new(cut.start.into(), cut.next.into()),
        epoch: cut.epoch,
        rows: u64::from(cut.next - cut.start),
        dead_letters: 0,
        tombstones: 0,
        lost: 0,
    };
    let named = |dead: bool| {
        let of_kind = files.iter().filter(|file| file.dead == dead);
        of_kind.map(|file| file.data_file(staging)).collect()
    };
    Commit {
        ranges: ranges.iter().map(range).collect(),
        files: named(false),
        dead: named(true),
    }
}

/// The replacement of one file by another that holds the same rows.
pub(crate) fn replace_of(epoch: u64, old: FileId, new: FileId, staging: Staging) -> Replace {
    let named = |dead: bool| {
        let of_kind = [new].into_iter().filter(|file| file.dead == dead);
        of_kind.map(|file| file.data_file(staging)).collect()
    };
    Replace {
        source: source(REPAIR),
        epoch,
        reason: String::new(),
        taken: vec![TakenFile {
            path: old.target(),
            bytes: u64::from(old.rows.0),
            rows: u64::from(old.rows.0.count_ones()),
        }],
        files: named(false),
        dead: named(true),
    }
}

/// A record as `Log` makes it, but for what nothing is decided by: its time, and the head that was
/// known when it was made.
pub(crate) fn record(session: Session, nonce: u8, published: &[u64], body: Body) -> Record {
    Record {
        format: FORMAT,
        session: session.text(),
        nonce: format!("{}-{nonce}", session.text()),
        checked: None,
        at: String::new(),
        published: published.to_vec(),
        body,
    }
}

fn path(text: String) -> TablePath {
    TablePath::new(text).expect("the model makes legal names")
}
