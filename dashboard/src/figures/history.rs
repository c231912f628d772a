//! Sums of parts of days before the window: asked of the database, once for all who want the same.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::calendar::{Minute, Step};
use crate::cube::Cells;
use crate::feed::Shared;
use crate::mirror::{Mirror, MirrorError};

/// An answer younger than this is used although a sale has come late since.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// Answers that are kept. The oldest give way.
const MOST_ANSWERS: usize = 64;

/// Sums by the first minute of each step.
#[derive(Debug)]
pub struct Slice {
    /// The sums.
    pub steps: BTreeMap<Minute, Cells>,
    archive_version: u64,
    asked_at: Duration,
}

type Key = (Step, Minute, Minute);

/// Answers of the database, and questions that are under way.
#[derive(Debug)]
pub struct History {
    shared: Arc<Shared>,
    mirror: Mirror,
    answers: Mutex<HashMap<Key, Arc<OnceCell<Arc<Slice>>>>>,
}

impl History {
    /// Nothing is asked yet.
    pub fn new(shared: Arc<Shared>, mirror: Mirror) -> Self {
        Self {
            shared,
            mirror,
            answers: Mutex::default(),
        }
    }

    /// The sums by step of `from` to before `to`, and whether they are of the newest state.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn slice(
        &self,
        step: Step,
        from: Minute,
        to: Minute,
    ) -> Result<(Arc<Slice>, bool), MirrorError> {
        let key = (step, from, to);
        let cell = self.cell(key);
        let slice = cell.get_or_try_init(|| self.ask(key)).await?.clone();
        let current = slice.archive_version == self.shared.cube().archive_version();
        Ok((slice, current))
    }

    fn cell(&self, key: Key) -> Arc<OnceCell<Arc<Slice>>> {
        let now = self.shared.clock.monotonic();
        let version = self.shared.cube().archive_version();
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |cell: &OnceCell<Arc<Slice>>| {
            cell.get()
                .map_or(Duration::ZERO, |slice| now.saturating_sub(slice.asked_at))
        };
        answers.retain(|_, cell| {
            cell.get()
                .is_none_or(|slice| slice.archive_version == version)
                || age(cell) < FRESH_FOR
        });
        if answers.len() >= MOST_ANSWERS && !answers.contains_key(&key) {
            let oldest = answers
                .iter()
                .max_by_key(|(_, cell)| age(cell))
                .map(|(key, _)| *key);
            oldest.and_then(|oldest| answers.remove(&oldest));
        }
        answers.entry(key).or_default().clone()
    }

    async fn ask(&self, (step, from, to): Key) -> Result<Arc<Slice>, MirrorError> {
        let asked_at = self.shared.clock.monotonic();
        // Read before the question: a change during it makes the answer an old one, never a wrong new one.
        let archive_version = self.shared.cube().archive_version();
        let rows = self
            .mirror
            .sums(self.shared.calendar, step, Some(from), to)
            .await?;
        let mut steps: BTreeMap<Minute, Cells> = BTreeMap::new();
        let mut cube = self.shared.cube_mut();
        for row in &rows {
            let group = row.numbered(&mut cube.groups).group;
            *steps
                .entry(row.minute)
                .or_default()
                .entry(group)
                .or_default() += row.sums;
        }
        Ok(Arc::new(Slice {
            steps,
            archive_version,
            asked_at,
        }))
    }
}
