//! Files that are filled for a record to come, within the memory budget.

use std::sync::Arc;
use std::time::Duration;

use parquet::errors::ParquetError;
use tokio::runtime::Handle;

use crate::clock::Clock;
use crate::stage::{StagedFile, discard};
use crate::store::{Store, StoreError};
use crate::writer::assemble::CutMaker;
use crate::writer::cut::{OpenCut, Relief, Sealed};

/// Between two looks whether the store has taken what is on its way.
const RELIEF_WAIT: Duration = Duration::from_millis(2);

/// A cut whose files are collected over several seals, since memory may ask for one at any time.
#[derive(Debug)]
pub struct Filling {
    /// One for all that a session writes: it numbers the session's files, so that no two have the
    /// same name.
    pub(super) cut: OpenCut,
    store: Arc<dyn Store>,
    runtime: Handle,
    clock: Arc<dyn Clock>,
}

impl Filling {
    /// Nothing yet.
    ///
    /// # Errors
    /// When Parquet cannot hold a column.
    pub fn new(cuts: &CutMaker, session: &str) -> Result<Self, ParquetError> {
        Ok(Self {
            cut: cuts.cut(session)?,
            store: cuts.store.clone(),
            runtime: cuts.runtime.clone(),
            clock: cuts.clock.clone(),
        })
    }

    /// Keeps to the memory budget.
    pub(super) fn make_room(&mut self, sealed: &mut Sealed) -> Result<(), StoreError> {
        loop {
            match self.cut.relieve()? {
                Relief::Enough => return Ok(()),
                Relief::CommitNow => self.seal(sealed)?,
                Relief::Wait => self.clock.sleep(RELIEF_WAIT),
            }
        }
    }

    /// Waits until all is durable.
    pub(super) fn seal(&mut self, sealed: &mut Sealed) -> Result<(), StoreError> {
        let sealing = self.cut.seal();
        let part = match self.runtime.block_on(sealing) {
            Ok(part) => part,
            Err(error) => {
                self.remove(std::mem::take(sealed));
                return Err(error);
            }
        };
        sealed.ranges.extend(part.ranges);
        sealed.files.extend(part.files);
        sealed.dead.extend(part.dead);
        Ok(())
    }

    /// What stays is found by a sweep, once this work is claimed anew.
    pub(super) fn remove(&self, sealed: Sealed) {
        let removing = async {
            let files: Vec<StagedFile> = sealed.files.into_iter().chain(sealed.dead).collect();
            for file in &files {
                discard(self.store.as_ref(), &file.staged, &file.target).await;
            }
        };
        self.runtime.block_on(removing);
    }
}
