//! Keeps the tallies equal to the sales.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use super::bucket::Bucket;
use super::customers;
use super::tallies::{By, Limits, Tallies, Work};
use crate::calendar::Step;
use crate::cube::Groups;
use crate::error_chain::ErrorChain;
use crate::feed::Shared;
use crate::mirror::{Mirror, MirrorError, SaleRow};

/// How often it is looked whether something has changed.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What was read before is read again at most every so many times of what the reading takes: a tenth of one
/// thread of the database, whatever changes and whoever looks.
const REST: u32 = 9;
const SHORTEST_REST: Duration = Duration::from_millis(300);
const LONGEST_REST: Duration = Duration::from_secs(60);

/// After sales could not be read.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The tallies: what the reader and the figures share.
#[derive(Debug)]
pub struct Analysed(RwLock<Tallies>);

impl Analysed {
    /// Nothing yet.
    pub fn new(shared: &Shared, limits: Limits) -> Self {
        Self(RwLock::new(Tallies::new(
            shared.calendar,
            limits,
            shared.now(),
        )))
    }

    /// The tallies, to look at. Never held across an await; where the cube is held too, it is taken first.
    pub fn tallies(&self) -> RwLockReadGuard<'_, Tallies> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tallies, to change. The same goes for these.
    pub fn tallies_mut(&self) -> RwLockWriteGuard<'_, Tallies> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what has changed, for ever; ends at once where no days are kept.
pub async fn follow(shared: Arc<Shared>, analysed: Arc<Analysed>, mirror: Mirror) {
    if analysed.tallies().limits().days == 0 {
        return;
    }
    let mut rest_until = Duration::ZERO;
    loop {
        let began = shared.clock.monotonic();
        let Some(work) = next(&shared, &analysed, began >= rest_until) else {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        };
        match read(&shared, &analysed, &mirror, &work).await {
            Ok(buckets) => {
                analysed.tallies_mut().put(&work, buckets);
                if work.again {
                    let now = shared.clock.monotonic();
                    let rest = now.saturating_sub(began) * REST;
                    rest_until = now + rest.clamp(SHORTEST_REST, LONGEST_REST);
                }
            }
            Err(error) => {
                analysed.tallies_mut().failed();
                tracing::warn!(error = %ErrorChain(&error), "sales are not read for statistics; trying again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

fn next(shared: &Shared, analysed: &Analysed, again: bool) -> Option<Work> {
    if !shared.status.has_loaded() {
        return None;
    }
    let touched = std::mem::take(&mut shared.cube_mut().touched);
    let cube = shared.cube();
    let mut tallies = analysed.tallies_mut();
    tallies.hear(touched, cube.window_start(), shared.now());
    tallies.next(&cube, again)
}

/// Every sale of the work, a bucket for each of its parts.
async fn read(
    shared: &Shared,
    analysed: &Analysed,
    mirror: &Mirror,
    work: &Work,
) -> Result<BTreeMap<i64, Bucket>, MirrorError> {
    let empty = analysed.tallies().empty_bucket();
    let mut buckets: BTreeMap<i64, Bucket> = BTreeMap::new();
    // Days are looked up once a day and not once a sale.
    let mut day = (0, 0);
    mirror
        .sale_rows(work.from, work.to, |rows| {
            let mut cube = shared.cube_mut();
            let by_category = cube.groups.are_by_category();
            for row in rows {
                let start = match work.by {
                    By::Minute => row.minute,
                    By::Stretch => work.from,
                    By::Day => {
                        if !(day.0..day.1).contains(&row.minute) {
                            let start = shared.calendar.floor(Step::Day, row.minute);
                            day = (start, shared.calendar.next(Step::Day, start));
                        }
                        day.0
                    }
                };
                let group = group_of(&mut cube.groups, &row, by_category);
                let bucket = buckets.entry(start).or_insert_with(|| empty.clone());
                let customer = row.customer.as_deref().map(customers::hash);
                bucket.add(group, row.amount, customer);
            }
        })
        .await?;
    Ok(buckets)
}

fn group_of(groups: &mut Groups, row: &SaleRow, by_category: bool) -> u32 {
    let category = by_category.then_some(row.category.as_str());
    groups.id(&row.region, &row.product, category)
}
