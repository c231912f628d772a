//! The question put to a store before it is trusted with a table.
//!
//! ```text
//! start ─► probe(store) ─► (a few small files below stage/, removed again) ─► fit, or refused with the remedy
//! ```
//!
//! Owns: what a store has to show at start-up.
//! Does not own: the full list of promises, which `conformance` tests on every backend.

use bytes::Bytes;
use futures::future::join_all;

use super::{Prepared, Published, Put, Staged, Store, StoreError, StoreErrorKind, TablePath};

/// Names that several clients of one process fight for.
const RACED_NAMES: usize = 4;
/// How many put each of them at the same time. A store that checks first and writes afterwards
/// lets several through in nearly every such race.
const CONTENDERS: usize = 6;

/// How often a store is asked before a broken promise is believed. To a sweep the files of a probe
/// are debris from the start, like those of a session that never claims, so that nothing of a dead
/// one stays behind: who sweeps in the middle of a probe breaks it. A store that breaks its promises
/// does so every time.
const TRIES: u32 = 3;

/// Tries whether a store honours put-if-absent and never overwrites when it publishes, and takes
/// away what it wrote. `id` must be new at each start, and look like a session's: 16 hexadecimal
/// characters.
///
/// # Errors
/// [`StoreErrorKind::Unfit`] with the broken promise and the remedy as its source; or the failure
/// of a call, when the store could not be asked.
pub async fn probe(store: &dyn Store, id: &str) -> Result<(), StoreError> {
    let mut tried = 1;
    loop {
        let probe = Probe {
            store,
            id,
            folder: format!("stage/{id}/probe-{tried}"),
        };
        let outcome = match probe.put_if_absent().await {
            Ok(()) => probe.publish().await,
            failed => failed,
        };
        let cleaned = probe.clean_up().await;
        match outcome {
            Err(error) if tried < TRIES && may_be_a_sweeps(error.kind) => tried += 1,
            outcome => return outcome.and(cleaned),
        }
    }
}

/// Whether files that vanish can be the cause of such a failure.
fn may_be_a_sweeps(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Unfit | StoreErrorKind::Corrupt)
}

struct Probe<'a> {
    store: &'a dyn Store,
    id: &'a str,
    folder: String,
}

impl Probe<'_> {
    /// Of several that put one name at the same time and after one another, one succeeds. The names
    /// are raced for side by side: closing a file takes HDFS half a second, and there are many.
    async fn put_if_absent(&self) -> Result<(), StoreError> {
        let races = (0..RACED_NAMES).map(|name| self.race(name));
        join_all(races).await.into_iter().collect()
    }

    async fn race(&self, name: usize) -> Result<(), StoreError> {
        let bodies: [Bytes; CONTENDERS] = std::array::from_fn(|n| format!("contender {n}").into());
        let target = self.path(&format!("record-{name}"))?;
        let preparing = bodies.iter().enumerate().map(async |(number, body)| {
            let temporary = self.path(&format!("prepared-{name}-{number}"))?;
            self.store.prepare(&temporary, body.clone()).await
        });
        let prepared: Result<Vec<_>, _> = join_all(preparing).await.into_iter().collect();
        let prepared = prepared?;
        let puts = prepared.iter();
        let puts = join_all(puts.map(|it| self.store.put_if_absent(it, &target))).await;
        let mut winner = None;
        for (number, put) in puts.into_iter().enumerate() {
            if put? == Put::Created && winner.replace(number).is_some() {
                return Err(self.unfit(Broken::TwoWinners));
            }
        }
        let winner = winner.ok_or_else(|| self.unfit(Broken::NoWinner))?;
        self.put_again(&prepared, winner, &target).await?;
        if self.store.read(&target).await?.as_ref() != Some(&bodies[winner]) {
            return Err(self.unfit(Broken::PutOverwrote));
        }
        let dropping = prepared.into_iter().map(|it| self.store.drop_prepared(it));
        join_all(dropping).await.into_iter().collect()
    }

    async fn put_again(
        &self,
        prepared: &[Prepared],
        winner: usize,
        target: &TablePath,
    ) -> Result<(), StoreError> {
        let loser = &prepared[(winner + 1) % CONTENDERS];
        match self.store.put_if_absent(loser, target).await? {
            Put::Exists => Ok(()),
            Put::Created => Err(self.unfit(Broken::TwoWinners)),
        }
    }

    /// A published file can be published again, and another one cannot take its place.
    async fn publish(&self) -> Result<(), StoreError> {
        // Where files are staged as uploads, a sweep goes by the name of the target.
        let target = self.path(&format!("{}-published", self.id))?;
        let ours = self.stage(&target, "ours", "whole").await?;
        let first = self.store.publish(&ours, &target, 5).await?;
        let again = self.store.publish(&ours, &target, 5).await?;
        let other = self.stage(&target, "other", "another").await?;
        let refused = self.store.publish(&other, &target, 7).await;
        let there = self.store.read(&target).await?;
        self.store.discard(&other, &target).await?;
        if first == Published::Missing || there.is_none() {
            return Err(self.unfit(Broken::NotPublished));
        }
        if again == Published::Missing {
            return Err(self.unfit(Broken::NotRepeatable));
        }
        match refused {
            Err(error) if error.kind != StoreErrorKind::Corrupt => return Err(error),
            Err(_) if there.as_deref() == Some(b"whole") => {}
            Err(_) | Ok(_) => return Err(self.unfit(Broken::PublishOverwrote)),
        }
        self.store.delete(&target).await?;
        match self.store.publish(&ours, &target, 5).await? {
            Published::Missing => Ok(()),
            Published::Now | Published::Before => Err(self.unfit(Broken::CameBack)),
        }
    }

    async fn stage(
        &self,
        target: &TablePath,
        name: &str,
        body: &'static str,
    ) -> Result<Staged, StoreError> {
        let staging = self.path(name)?;
        let mut writer = self.store.stage(target, &staging).await?;
        writer.write(Bytes::from_static(body.as_bytes())).await?;
        writer.finish().await
    }

    async fn clean_up(&self) -> Result<(), StoreError> {
        let folder = TablePath::new(&self.folder).map_err(|error| self.invalid(error))?;
        for upload in self.store.open_uploads(&folder).await? {
            let staged = Staged::Upload {
                id: upload.id,
                parts: Vec::new(),
            };
            self.store.discard(&staged, &upload.path).await?;
        }
        for file in self.store.list(&folder).await? {
            self.store.delete(&file.path).await?;
        }
        Ok(())
    }

    fn path(&self, name: &str) -> Result<TablePath, StoreError> {
        TablePath::new(format!("{}/{name}", self.folder)).map_err(|error| self.invalid(error))
    }

    fn invalid(&self, error: super::InvalidPath) -> StoreError {
        StoreError::new(StoreErrorKind::Unfit, "probe", self.store.url(), error)
    }

    fn unfit(&self, broken: Broken) -> StoreError {
        StoreError::new(StoreErrorKind::Unfit, "probe", self.store.url(), broken)
    }
}

/// What the store did that it must not do, and what the operator can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Put-if-absent let two through.
    #[error(
        "two writers created one name: the store does not honour put-if-absent, so commits would \
         be lost; use one that does (a local disk, HDFS, or an S3 server that honours \
         `If-None-Match: *`, as AWS, MinIO and versitygw do)"
    )]
    TwoWinners,
    /// Put-if-absent let nobody through.
    #[error(
        "no writer could create a new name: the store refuses conditional writes; use one that \
         honours them, and check that no rule or proxy of the bucket rejects `If-None-Match`"
    )]
    NoWinner,
    /// Put-if-absent said "exists" and wrote all the same.
    #[error(
        "a writer that was told a name exists overwrote it: the store does not honour \
         put-if-absent; use one that does"
    )]
    PutOverwrote,
    /// A publication was confirmed and nothing was there.
    #[error(
        "a published file cannot be read: the store does not show what it confirmed; use one that \
         is consistent after a write"
    )]
    NotPublished,
    /// The second publication of a file did not find the first.
    #[error(
        "a publication that is repeated does not find the published file; use a store that is \
         consistent after a write"
    )]
    NotRepeatable,
    /// A publication replaced another file.
    #[error(
        "a publication overwrote a file of that name: the store does not honour rename without \
         overwrite; use one that does"
    )]
    PublishOverwrote,
    /// A publication brought a deleted file back.
    #[error(
        "a publication brought a deleted file back, so a writer that slept could double rows; use \
         a store that forgets an upload once it is completed"
    )]
    CameBack,
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::super::fault::{FaultStore, Faults, Op, Step};
    use super::super::memory::{MemoryStore, Staging};
    use super::*;

    /// Breaks one promise behind the store's back.
    #[derive(Debug)]
    struct Breaks {
        store: MemoryStore,
        broken: Broken,
        publications: AtomicU32,
    }

    impl Breaks {
        fn plant(&self, path: &TablePath, body: &'static str) {
            self.store.plant(path, Bytes::from_static(body.as_bytes()));
        }
    }

    #[async_trait]
    impl Faults for Breaks {
        async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
            if step.op == Op::Prepare {
                // A try of the probe begins.
                self.publications.store(0, Ordering::SeqCst);
            }
            let publication = match step.op {
                Op::Publish => self.publications.fetch_add(1, Ordering::SeqCst) + 1,
                _ => 0,
            };
            match (self.broken, step.op, publication) {
                (Broken::TwoWinners, Op::PutIfAbsent, _) => self.store.delete(step.path).await,
                (Broken::NoWinner, Op::PutIfAbsent, _) => {
                    self.plant(step.path, "nobody's");
                    Ok(())
                }
                (Broken::NotPublished, Op::Read, _)
                    if step.path.file_name().ends_with("-published") =>
                {
                    self.store.delete(step.path).await
                }
                // The probe publishes a file twice, then another in its place, then the first again
                // after it was deleted.
                (Broken::NotRepeatable, _, 2) | (Broken::PublishOverwrote, _, 3) => {
                    self.store.delete(step.path).await
                }
                (Broken::CameBack, _, 4) => {
                    self.plant(step.path, "whole");
                    Ok(())
                }
                _ => Ok(()),
            }
        }

        async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
            if self.broken == Broken::PutOverwrote && step.op == Op::PutIfAbsent {
                self.plant(step.path, "a loser's");
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn each_broken_promise_is_named_and_nothing_is_left() {
        for broken in [
            Broken::TwoWinners,
            Broken::NoWinner,
            Broken::PutOverwrote,
            Broken::NotPublished,
            Broken::NotRepeatable,
            Broken::PublishOverwrote,
            Broken::CameBack,
        ] {
            // GIVEN a store that breaks one promise
            let store = MemoryStore::new(Staging::Upload);
            let breaks = Breaks {
                store: store.clone(),
                broken,
                publications: AtomicU32::new(0),
            };
            let faulty = FaultStore::new(Arc::new(store.clone()), Arc::new(breaks));
            // WHEN it is probed
            let error = probe(&faulty, "1").await.expect_err("it is refused");
            // THEN the promise is named, and the probe's files are gone
            assert_eq!(error.kind, StoreErrorKind::Unfit);
            let source = error.source().expect("it has a source");
            assert_eq!(source.downcast_ref::<Broken>(), Some(&broken));
            assert!(store.files().is_empty(), "{broken:?}: {:?}", store.files());
            let folder = TablePath::new("stage").expect("legal");
            let uploads = store.open_uploads(&folder).await.expect("listed");
            assert!(uploads.is_empty(), "{broken:?}: {uploads:?}");
        }
    }
}
