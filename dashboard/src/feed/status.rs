//! How fresh the figures are.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::clock::Clock;

/// The database answers twenty times a second; silence this long means that figures are stale.
const STALE_AFTER: Duration = Duration::from_millis(1_500);

/// What state the figures are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// They are being loaded for the first time, or again.
    Loading,
    /// They follow every change.
    Live,
    /// The database does not answer.
    Stale,
}

/// What is told of freshness. Moments are milliseconds since the epoch in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// Which state.
    pub state: State,
    /// Last word of the database before it fell silent.
    pub stale_since_ms: Option<i64>,
    /// When the last change of the figures arrived here.
    pub last_change_ms: Option<i64>,
    /// When the newest sale was made.
    pub newest_sale_ms: Option<i64>,
    /// Now, by the server's clock.
    pub now_ms: i64,
    /// What is the matter, for people.
    pub problem: Option<String>,
}

#[derive(Debug, Default)]
struct Facts {
    loaded: bool,
    contact: Option<(Duration, i64)>,
    last_change_ms: Option<i64>,
    newest_sale_ms: Option<i64>,
    problem: Option<String>,
    changes: u64,
    sessions: u64,
}

/// What the feed knows of itself; written by the feed, read by everybody.
#[derive(Debug, Default)]
pub struct Status(Mutex<Facts>);

impl Status {
    fn with<T>(&self, look: impl FnOnce(&mut Facts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything must be loaded.
    pub fn loading(&self) {
        self.with(|facts| facts.loaded = false);
    }

    /// Everything is loaded and every change up to now applied.
    pub fn loaded(&self) {
        self.with(|facts| {
            facts.loaded = true;
            facts.problem = None;
        });
    }

    /// A session with the database begins.
    pub fn session(&self) {
        self.with(|facts| facts.sessions += 1);
    }

    /// The database has answered.
    pub fn contact(&self, clock: &dyn Clock) {
        let now = (clock.monotonic(), clock.wall_ms());
        self.with(|facts| facts.contact = Some(now));
    }

    /// Changes were applied.
    pub fn changed(&self, changes: usize, clock: &dyn Clock) {
        let now = clock.wall_ms();
        self.with(|facts| {
            facts.changes += changes as u64;
            facts.last_change_ms = Some(now);
        });
    }

    /// The newest sale was looked up.
    pub fn newest_sale(&self, moment_ms: Option<i64>) {
        self.with(|facts| facts.newest_sale_ms = moment_ms);
    }

    /// The session with the database has failed; told to people, so it holds no secret.
    pub fn problem(&self, what: &str) {
        self.with(|facts| facts.problem = Some(what.to_owned()));
    }

    /// Whether figures can be shown at all.
    pub fn has_loaded(&self) -> bool {
        self.with(|facts| facts.loaded)
    }

    /// Changes applied, and sessions begun, since the start.
    pub fn counts(&self) -> (u64, u64) {
        self.with(|facts| (facts.changes, facts.sessions))
    }

    /// What is told.
    pub fn freshness(&self, clock: &dyn Clock) -> Freshness {
        let (monotonic, now_ms) = (clock.monotonic(), clock.wall_ms());
        self.with(|facts| {
            let silent = facts
                .contact
                .is_none_or(|(at, _)| monotonic.saturating_sub(at) > STALE_AFTER);
            let state = match (facts.loaded, silent) {
                (true, false) => State::Live,
                (true, true) => State::Stale,
                (false, _) => State::Loading,
            };
            let stale = state == State::Stale;
            Freshness {
                state,
                stale_since_ms: facts.contact.filter(|_| stale).map(|(_, wall)| wall),
                last_change_ms: facts.last_change_ms,
                newest_sale_ms: facts.newest_sale_ms,
                now_ms,
                problem: facts.problem.clone().filter(|_| state != State::Live),
            }
        })
    }
}
