//! What is done beside the changes: reading again what a change could not settle, moving the window,
//! forgetting documents, looking up categories and the newest sale.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::mpsc;

use super::Shared;
use super::session::by_day;
use crate::calendar::Step;
use crate::mirror::{Mirror, MirrorError, Row};

/// How often the rest is looked after.
const TURN_EVERY: Duration = Duration::from_millis(100);

/// Documents of a minute are held this long after its last change; a later one reads the minute again.
const DOCUMENTS_HELD_S: u64 = 15 * 60;

/// Minutes read again in one turn, so that changes do not wait long.
const MINUTES_A_TURN: usize = 20;

/// Days read again at once: one, so that late sales cost the database one query at a time.
const DAY_AFTER_DAY: Duration = Duration::from_millis(500);

/// Products whose categories are looked up in one go, and how many of them side by side.
const CATEGORIES_AT_ONCE: usize = 500;
const LOOK_UPS: usize = 8;

/// After something could not be read beside the changes.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Upkeep {
    last_turn: Option<Duration>,
    last_forgotten_s: u64,
    /// The day that is being read again.
    pub(super) day_under_way: Option<NaiveDate>,
    last_day: Option<Duration>,
    categories_under_way: bool,
}

impl Upkeep {
    pub(super) async fn turn(
        &mut self,
        shared: &Shared,
        mirror: &Mirror,
        background: &Background,
    ) -> Result<(), MirrorError> {
        let now = shared.clock.monotonic();
        if self
            .last_turn
            .is_some_and(|last| now.saturating_sub(last) < TURN_EVERY)
        {
            return Ok(());
        }
        self.last_turn = Some(now);
        self.settle_minutes(shared, mirror).await?;
        self.settle_a_day(shared, now, background);
        let window_start = shared.window_start();
        if window_start > shared.cube().window_start() {
            shared.cube_mut().roll(window_start);
        }
        if now.as_secs() > self.last_forgotten_s + 60 {
            self.last_forgotten_s = now.as_secs();
            shared
                .cube_mut()
                .forget_documents(now.as_secs().saturating_sub(DOCUMENTS_HELD_S));
        }
        let products = shared.cube().groups.without_category(CATEGORIES_AT_ONCE);
        if !self.categories_under_way && !products.is_empty() {
            self.categories_under_way = true;
            background.load_categories(products);
        }
        Ok(())
    }

    async fn settle_minutes(&self, shared: &Shared, mirror: &Mirror) -> Result<(), MirrorError> {
        for _ in 0..MINUTES_A_TURN {
            let Some(minute) = shared.cube_mut().unsettled.minutes.pop_first() else {
                break;
            };
            let mut rows = Vec::new();
            let read = mirror
                .rollups(minute, Some(minute + 1), |chunk| rows.extend(chunk))
                .await;
            if let Err(error) = read {
                shared.cube_mut().unsettled.minutes.insert(minute);
                return Err(error);
            }
            let now_s = shared.seconds();
            let mut cube = shared.cube_mut();
            let rollups: Vec<_> = rows
                .iter()
                .map(|row| row.numbered(&mut cube.groups))
                .collect();
            cube.replace_minute(minute, &rollups, now_s);
            drop(cube);
            shared.publish();
        }
        Ok(())
    }

    fn settle_a_day(&mut self, shared: &Shared, now: Duration, background: &Background) {
        let soon = self
            .last_day
            .is_some_and(|last| now.saturating_sub(last) < DAY_AFTER_DAY);
        if self.day_under_way.is_some() || soon || !shared.cube().archive_complete() {
            return;
        }
        let next = shared.cube_mut().unsettled.days.pop_first();
        if let Some(day) = next {
            self.day_under_way = Some(day);
            self.last_day = Some(now);
            background.load_day(day);
        }
    }
}

enum Read {
    Archive(Result<Vec<Row>, MirrorError>),
    Day(NaiveDate, Result<Vec<Row>, MirrorError>),
    Categories(Result<Vec<(Arc<str>, String)>, MirrorError>),
}

/// Reads that take long, beside the changes. Ends with its session.
pub(super) struct Background {
    shared: Arc<Shared>,
    mirror: Mirror,
    sender: mpsc::UnboundedSender<Read>,
    receiver: mpsc::UnboundedReceiver<Read>,
}

impl Background {
    pub(super) fn new(shared: &Arc<Shared>, mirror: &Mirror) -> Self {
        // At most the archive, one day and one go of categories are under way.
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            shared: shared.clone(),
            mirror: mirror.clone(),
            sender,
            receiver,
        }
    }

    pub(super) fn load_archive(&self) {
        let (mirror, sender) = (self.mirror.clone(), self.sender.clone());
        let (calendar, to) = (self.shared.calendar, self.shared.cube().window_start());
        tokio::spawn(async move {
            let read = mirror.sums(calendar, Step::Day, None, to).await;
            if read.is_err() {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            // Nobody listens when the session has ended.
            let _ = sender.send(Read::Archive(read));
        });
    }

    fn load_day(&self, day: NaiveDate) {
        let (mirror, sender) = (self.mirror.clone(), self.sender.clone());
        let calendar = self.shared.calendar;
        let from = calendar.first_minute(day);
        let to = calendar
            .next(Step::Day, from)
            .min(self.shared.cube().window_start());
        tokio::spawn(async move {
            let read = mirror.sums(calendar, Step::Day, Some(from), to).await;
            let _ = sender.send(Read::Day(day, read));
        });
    }

    fn load_categories(&self, products: Vec<Arc<str>>) {
        let (mirror, sender) = (self.mirror.clone(), self.sender.clone());
        tokio::spawn(async move {
            let look_up = |product: Arc<str>| {
                let mirror = mirror.clone();
                async move {
                    let category = mirror.category(&product).await?;
                    Ok((product, category))
                }
            };
            let read: Result<Vec<_>, MirrorError> = futures::stream::iter(products)
                .map(look_up)
                .buffer_unordered(LOOK_UPS)
                .try_collect()
                .await;
            if read.is_err() {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            let _ = sender.send(Read::Categories(read));
        });
    }

    pub(super) fn take_results(&mut self, shared: &Shared, upkeep: &mut Upkeep) {
        while let Ok(read) = self.receiver.try_recv() {
            match read {
                Read::Archive(Ok(rows)) => {
                    let mut cube = shared.cube_mut();
                    let days = by_day(&rows, shared, &mut cube.groups);
                    tracing::info!(days = days.len(), "days before the window are loaded");
                    cube.complete_archive(days);
                }
                Read::Archive(Err(error)) => {
                    tracing::warn!(error = %crate::error_chain::ErrorChain(&error), "days before the window are not loaded; trying again");
                    self.load_archive();
                }
                Read::Categories(read) => {
                    upkeep.categories_under_way = false;
                    match read {
                        Ok(found) => shared.cube_mut().set_categories(found),
                        Err(error) => {
                            tracing::warn!(error = %crate::error_chain::ErrorChain(&error), "categories are not known; trying again");
                        }
                    }
                }
                Read::Day(day, Ok(rows)) => {
                    upkeep.day_under_way = None;
                    let mut cube = shared.cube_mut();
                    let mut days: BTreeMap<_, _> = by_day(&rows, shared, &mut cube.groups);
                    cube.replace_day(day, days.remove(&day).unwrap_or_default());
                }
                Read::Day(day, Err(error)) => {
                    upkeep.day_under_way = None;
                    shared.cube_mut().unsettled.days.insert(day);
                    tracing::warn!(error = %crate::error_chain::ErrorChain(&error), "a day is not read again; trying again");
                }
            }
            if shared.status.has_loaded() {
                shared.publish();
            }
        }
    }
}

/// Looks up the newest sale, once a second and only after a change.
pub(super) async fn follow_newest_sale(shared: Arc<Shared>, mirror: Mirror) {
    let mut changed = shared.changed.subscribe();
    while changed.changed().await.is_ok() {
        match mirror.newest_sale_ms().await {
            Ok(moment) => shared.status.newest_sale(moment),
            Err(error) => tracing::debug!(%error, "the newest sale is not known"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
