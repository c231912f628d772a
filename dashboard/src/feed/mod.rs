//! Keeps the cube equal to the rollups.
//!
//! ```text
//! open the change stream ─► load ─► apply changes, a transaction at a time ─► tell the page
//! ```
//!
//! The stream is opened before anything is loaded, so no change is missed; changes that the load has
//! seen already are applied again, which is harmless because they tell absolute values. Figures are shown
//! only after the stream was drained once.
//!
//! Owns: sessions with the database and what follows from their failures.
//! Does not own: what a change adds (see `cube`), the calls (see `mirror`).

mod status;
mod session;
mod upkeep;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use tokio::sync::watch;

pub use status::{Freshness, State, Status};

use crate::calendar::{Calendar, Minute};
use crate::clock::Clock;
use crate::cube::Cube;
use crate::mirror::{Mirror, MirrorError};

/// Between a failed session and the next.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// The cube, its freshness and news of its changes: what the feed and the web share.
#[derive(Debug)]
pub struct Shared {
    /// The page's time zone.
    pub calendar: Calendar,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How fresh the cube is.
    pub status: Status,
    /// The cube's version, told after every transaction.
    pub changed: watch::Sender<u64>,
    cube: RwLock<Cube>,
    window_days: u64,
}

impl Shared {
    /// An empty cube.
    pub fn new(calendar: Calendar, clock: Arc<dyn Clock>, window_days: u64) -> Self {
        let now = clock.wall_ms().div_euclid(60_000);
        let window_start = calendar.days_before(now, window_days.saturating_sub(1));
        Self {
            calendar,
            clock,
            status: Status::default(),
            changed: watch::Sender::new(0),
            cube: RwLock::new(Cube::new(calendar, window_start)),
            window_days,
        }
    }

    /// The cube, to look at. Never held across an await.
    pub fn cube(&self) -> RwLockReadGuard<'_, Cube> {
        self.cube.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The cube, to change. Never held across an await.
    pub fn cube_mut(&self) -> RwLockWriteGuard<'_, Cube> {
        self.cube.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current minute.
    pub fn now(&self) -> Minute {
        self.clock.wall_ms().div_euclid(60_000)
    }

    /// Where the window should begin now.
    fn window_start(&self) -> Minute {
        let before = self.window_days.saturating_sub(1);
        self.calendar.days_before(self.now(), before)
    }

    fn seconds(&self) -> u64 {
        self.clock.monotonic().as_secs()
    }

    fn publish(&self) {
        let version = self.cube().version();
        self.changed
            .send_if_modified(|told| std::mem::replace(told, version) != version);
    }
}

/// Follows the mirror for ever: one session after another.
pub async fn follow(shared: Arc<Shared>, mirror: Mirror) {
    tokio::spawn(upkeep::follow_newest_sale(shared.clone(), mirror.clone()));
    let mut token = None;
    loop {
        shared.status.session();
        let ended = session::Session::begin(&shared, &mirror, token.take()).await;
        let error = match ended {
            Ok(session) => {
                let (error, resume) = session.run().await;
                token = resume;
                error
            }
            Err((error, resume)) => {
                token = resume;
                Some(error)
            }
        };
        if let Some(error) = error {
            if error.is_history_lost() {
                token = None;
            }
            shared.status.problem(told(&error));
            tracing::warn!(error = %crate::error_chain::ErrorChain(&error), "the mirror is not followed; trying again");
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// What people are told: what to do, and no address.
fn told(error: &MirrorError) -> &'static str {
    match error {
        MirrorError::Number { .. } | MirrorError::Shape(..) => {
            "a rollup is not what the settings say; see the server's log"
        }
        MirrorError::Uri | MirrorError::Server(_) => {
            "MongoDB does not answer as it should; see the server's log"
        }
    }
}
