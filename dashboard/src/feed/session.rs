//! One session with the database, from its change stream's opening to its failure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::Bson;
use mongodb::change_stream::event::ResumeToken;

use super::Shared;
use super::upkeep::{Background, Upkeep};
use crate::calendar::Step;
use crate::cube::{Cells, Change, Groups};
use crate::mirror::{Changes, Event, Happened, Mirror, MirrorError, Row};

/// A transaction of more changes than this is applied in parts, to bound what is held.
const MOST_PENDING: usize = 100_000;

/// A document of which nothing is known was deleted: everything is loaded again, at most this often.
const RELOAD_EVERY: Duration = Duration::from_secs(30);

/// An open session.
pub(super) struct Session<'a> {
    shared: &'a Arc<Shared>,
    mirror: &'a Mirror,
    changes: Changes,
    /// Changes of the transaction that is arriving.
    pending: Vec<Event>,
    /// From where to go on after what was applied.
    token: Option<ResumeToken>,
    upkeep: Upkeep,
    background: Background,
    loaded_at: Duration,
}

/// What the session came to: its error, and where the next can go on.
type Ended = (Option<MirrorError>, Option<ResumeToken>);

impl<'a> Session<'a> {
    /// Opens the change stream, at a token or now, and loads everything unless a token tells that it is.
    pub(super) async fn begin(
        shared: &'a Arc<Shared>,
        mirror: &'a Mirror,
        token: Option<ResumeToken>,
    ) -> Result<Self, (MirrorError, Option<ResumeToken>)> {
        let resumed = token.is_some();
        let changes = match mirror.changes(token.clone()).await {
            Ok(changes) => changes,
            Err(error) => return Err((error, token)),
        };
        let background = Background::new(shared, mirror);
        if !resumed {
            Self::load(shared, mirror, &background)
                .await
                .map_err(|error| (error, None))?;
        } else if !shared.cube().archive_complete() {
            background.load_archive();
        }
        tracing::info!(resumed, "following the mirror");
        Ok(Self {
            shared,
            mirror,
            changes,
            pending: Vec::new(),
            token,
            upkeep: Upkeep::default(),
            background,
            loaded_at: shared.clock.monotonic(),
        })
    }

    /// Loads the window, and begins to load what is older.
    async fn load(
        shared: &Shared,
        mirror: &Mirror,
        background: &Background,
    ) -> Result<(), MirrorError> {
        shared.status.loading();
        let from = shared.window_start();
        shared.cube_mut().clear(from);
        let now_s = shared.seconds();
        let mut rows = 0;
        mirror
            .rollups(from, None, |chunk| {
                rows += chunk.len();
                let mut cube = shared.cube_mut();
                for row in chunk {
                    let rollup = row.numbered(&mut cube.groups);
                    cube.apply(Change::Put(rollup), now_s);
                }
            })
            .await?;
        tracing::info!(rows, "the window is loaded");
        background.load_archive();
        Ok(())
    }

    /// Applies changes until something fails.
    pub(super) async fn run(mut self) -> Ended {
        let error = loop {
            match self.turn().await {
                Ok(true) => {}
                Ok(false) => return (None, None),
                Err(error) => break error,
            }
        };
        // What was being read again for a day ends with the session; the next one reads it.
        let mut cube = self.shared.cube_mut();
        cube.unsettled.days.extend(self.upkeep.day_under_way);
        (Some(error), self.token)
    }

    /// One change or none. False when everything must be loaded again.
    async fn turn(&mut self) -> Result<bool, MirrorError> {
        let shared = self.shared;
        let event = self.changes.next().await?;
        shared.status.contact(&*shared.clock);
        match event {
            Some(event) if matches!(event.happened, Happened::Lost) => {
                tracing::warn!("the rollups were dropped or renamed; loading again");
                return Ok(false);
            }
            Some(event) => {
                let other = self
                    .pending
                    .first()
                    .is_some_and(|first| first.transaction != event.transaction);
                if other || self.pending.len() >= MOST_PENDING {
                    self.apply().await?;
                }
                self.pending.push(event);
            }
            None => {
                self.apply().await?;
                self.token = self.changes.token().or(self.token.take());
                if !shared.status.has_loaded() {
                    shared.status.loaded();
                    shared.publish();
                }
            }
        }
        if self.pending.len() <= 1 {
            self.background.take_results(shared, &mut self.upkeep);
            self.upkeep
                .turn(shared, self.mirror, &self.background)
                .await?;
        }
        let long_ago = shared.clock.monotonic().saturating_sub(self.loaded_at) > RELOAD_EVERY;
        Ok(!(shared.cube().unsettled.everything && long_ago))
    }

    /// Applies the changes of one transaction at once.
    async fn apply(&mut self) -> Result<(), MirrorError> {
        let Some(last) = self.pending.last() else {
            return Ok(());
        };
        let token = last.token.clone();
        let count = self.pending.len();
        let unknown = self.apply_known();
        if !unknown.is_empty() {
            let rows = self.mirror.documents(unknown).await?;
            let now_s = self.shared.seconds();
            let mut cube = self.shared.cube_mut();
            for row in rows {
                let rollup = row.numbered(&mut cube.groups);
                cube.apply(Change::Put(rollup), now_s);
            }
        }
        self.token = Some(token);
        self.shared.status.changed(count, &*self.shared.clock);
        if self.shared.status.has_loaded() {
            self.shared.publish();
        }
        Ok(())
    }

    /// Applies what can be applied; the documents that must be looked up for the rest.
    fn apply_known(&mut self) -> Vec<Bson> {
        let mut unknown = Vec::new();
        let now_s = self.shared.seconds();
        let mut cube = self.shared.cube_mut();
        for event in self.pending.drain(..) {
            match event.happened {
                Happened::Put(row) => {
                    let rollup = row.numbered(&mut cube.groups);
                    cube.apply(Change::Put(rollup), now_s);
                }
                Happened::Update {
                    id,
                    key,
                    count,
                    amount,
                    quantity,
                } => {
                    if !cube.apply(
                        Change::Update {
                            key,
                            count,
                            amount,
                            quantity,
                        },
                        now_s,
                    ) {
                        unknown.push(id);
                    }
                }
                Happened::Moved(id) => unknown.push(id),
                Happened::Delete(key) => {
                    cube.apply(Change::Delete(key), now_s);
                }
                // Ends the session before it gets here.
                Happened::Lost => {}
            }
        }
        unknown
    }
}

/// Rows of whole days as cells by day.
pub(super) fn by_day(
    rows: &[Row],
    shared: &Shared,
    groups: &mut Groups,
) -> BTreeMap<chrono::NaiveDate, Cells> {
    let mut days: BTreeMap<chrono::NaiveDate, Cells> = BTreeMap::new();
    for row in rows {
        let start = shared.calendar.floor(Step::Day, row.minute);
        let day = days.entry(shared.calendar.day_of(start)).or_default();
        *day.entry(row.numbered(groups).group).or_default() += row.sums;
    }
    days
}
