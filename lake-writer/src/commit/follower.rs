//! A table's live files, kept at the end of its log for readers who ask again and again.
//!
//! ```text
//! segments of the newest checkpoint ─► Follower ◄─ records behind its head, at each look
//! ```
//!
//! Owns: what was read already, and when it has to be read anew.
//! Does not own: which files are visible already: the last commit may still be on its way.

use std::collections::BTreeMap;

use crate::store::{Store, TablePath};

use super::CommitError;
use super::boundary::Boundary;
use super::fold::read_on;
use super::live::newest_segments;
use super::segment::{LiveFile, Segment};
use super::state::State;

/// A table's state and live files as of its last look. Dropped in the middle of a look, it stays sound.
#[derive(Debug)]
pub struct Follower {
    boundary: Boundary,
    state: State,
    whole: Segment,
    /// Up to here what was read is the log's: no checkpoint had passed it afterwards.
    sure: Option<u64>,
}

impl Default for Follower {
    fn default() -> Self {
        Self {
            boundary: Boundary::default(),
            state: State::default(),
            whole: Segment::beginning(0),
            sure: None,
        }
    }
}

impl Follower {
    /// Reads on to the end of the log. With nothing new that is one read and one listing; segments are
    /// read at the first look alone, and when a checkpoint has passed what was read.
    ///
    /// # Errors
    /// As [`super::snapshot`].
    pub async fn catch_up(&mut self, store: &dyn Store) -> Result<(), CommitError> {
        loop {
            let whole = &mut self.whole;
            let read = read_on(store, &mut self.state, |number, record| {
                whole.add(number, &record.body);
                whole.ranges.clear();
            });
            let read = match read.await {
                Err(error) if !matches!(error, CommitError::Broken { .. }) => return Err(error),
                read => read,
            };
            self.boundary.look(store).await?;
            if self.boundary.head() <= self.sure {
                self.sure = self.state.head;
                return read;
            }
            // Whatever was read may have been put where records had been dropped.
            self.begin_at_checkpoint(store).await?;
        }
    }

    async fn begin_at_checkpoint(&mut self, store: &dyn Store) -> Result<(), CommitError> {
        let mut whole = newest_segments(store, &mut self.boundary).await?;
        whole.ranges = Vec::new();
        self.state = self.boundary.state();
        self.sure = self.state.head;
        self.whole = whole;
        Ok(())
    }

    /// The state up to the last record.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Live files below `data/` and `dead/`.
    pub fn files(&self) -> &BTreeMap<TablePath, LiveFile> {
        &self.whole.files
    }
}
