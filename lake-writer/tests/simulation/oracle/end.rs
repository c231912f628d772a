//! What the table must look like when everything was written and swept.

use std::collections::{BTreeMap, BTreeSet};

use lake_writer::commit::snapshot;
use lake_writer::source::SourcePartition;
use lake_writer::store::TablePath;

use super::super::process::still_runtime;
use super::super::topic::Sent;
use super::{Held, Inner, source};

impl Inner {
    /// What the code under test reads of the table, from checkpoints, segments and the records that
    /// are left, is what all records said.
    pub(super) fn judge_snapshot(&self) -> Result<(), String> {
        let reading = snapshot(&self.memory);
        let read = still_runtime().block_on(reading);
        let read = read.map_err(|error| format!("the table cannot be read: {error}"))?;
        self.compare_sources(&read.state)?;
        let live: BTreeSet<_> = self
            .named
            .keys()
            .filter(|it| !self.taken.contains(it))
            .collect();
        let found: BTreeSet<_> = read.files.keys().collect();
        if live != found {
            return Err(format!("{live:?} are live, but {found:?} are said to be"));
        }
        let mut next: BTreeMap<SourcePartition, i64> = BTreeMap::new();
        for range in read.ranges {
            let (source, range) = (range.range.source, range.range.range);
            let begin = self.begins.get(&source).copied().unwrap_or(0);
            let expected = next.insert(source.clone(), range.next()).unwrap_or(begin);
            if expected != range.start() {
                return Err(format!(
                    "a range of {source} begins at {}, not at {expected}",
                    range.start()
                ));
            }
        }
        let stands = next
            .iter()
            .all(|(source, next)| self.sources[source].next == *next);
        if stands {
            return Ok(());
        }
        Err(format!(
            "ranges end at {next:?}, the log at {:?}",
            self.sources
        ))
    }

    /// Every message once: as a row, a dead letter or a tombstone, or as lost when that is accepted.
    pub(super) fn judge_complete(&self) -> Result<(), String> {
        let brokers = self.topic.brokers();
        let (mut tombstones, mut gone) = (0, 0);
        for (number, partition) in brokers.numbers().into_iter().zip(&brokers.partitions) {
            let stands = self
                .sources
                .get(&source(number))
                .map_or(0, |held| held.next);
            let begin = self.begins.get(&source(number)).copied().unwrap_or(0);
            let may_lose = self.lost.get(&number).is_some_and(|lost| *lost > 0);
            for (offset, sent) in (0..).zip(&partition.sent) {
                if offset < begin {
                    continue;
                }
                let visible = self.places.contains_key(&(number, offset));
                match sent {
                    Sent::Gap => {}
                    Sent::Tombstone => tombstones += 1,
                    Sent::Row { .. } | Sent::Malformed(_) if visible => {}
                    Sent::Row { .. } | Sent::Malformed(_) if may_lose && offset < partition.low => {
                        gone += 1;
                    }
                    Sent::Row { .. } | Sent::Malformed(_) => {
                        return Err(format!(
                            "offset {offset} of partition {number} is missing: {sent:?}; the log \
                             stands at {stands}"
                        ));
                    }
                }
            }
        }
        let lost: u64 = self.lost.values().sum();
        if gone > lost {
            return Err(format!(
                "{gone} messages are missing, {lost} were accepted as lost"
            ));
        }
        if self.tombstones != tombstones && lost == 0 {
            return Err(format!(
                "{tombstones} tombstones were sent, the log counts {}",
                self.tombstones
            ));
        }
        Ok(())
    }

    /// Nothing is left in `stage/`, and no upload is open.
    pub(super) fn judge_clean(&self) -> Result<(), String> {
        let files = self.memory.files();
        let left = files
            .keys()
            .find(|path| path.as_str().starts_with("stage/") && !self.is_half_a_checkpoint(path));
        if let Some(left) = left {
            return Err(format!("{left} is left after a sweep"));
        }
        let uploads = self.memory.uploads();
        uploads.first().map_or(Ok(()), |upload| {
            Err(format!(
                "the upload {} for {} is left after a sweep",
                upload.id, upload.path
            ))
        })
    }

    /// A writer that is over leaves the checkpoint that it was writing, as a crash would. What waited
    /// for its name then is its session's, and is swept once another has claimed in its place.
    fn is_half_a_checkpoint(&self, path: &TablePath) -> bool {
        let mut parts = path.as_str().split('/').skip(1);
        let (session, name) = (parts.next(), parts.next().unwrap_or_default());
        let holds = |held: &Held| Some(held.session.as_str()) == session;
        name.starts_with("log-") && self.sources.values().any(holds)
    }
}
