//! What happened, in order: always as a hash, as text when a run is replayed.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

/// The trace of a run, shared by everything in it.
#[derive(Clone, Debug)]
pub(crate) struct Trace(Arc<Mutex<Inner>>);

struct Inner {
    hash: Xxh3,
    text: Option<Vec<String>>,
    steps: u64,
    now: Duration,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Trace {
    /// An empty trace, which keeps its text when it is `told`.
    pub(crate) fn new(told: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            hash: Xxh3::new(),
            text: told.then(Vec::new),
            steps: 0,
            now: Duration::ZERO,
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scheduler's next step begins.
    pub(crate) fn step(&self, now: Duration) -> u64 {
        let mut inner = self.inner();
        inner.steps += 1;
        inner.now = now;
        inner.steps
    }

    /// Something happened to somebody. `what` is a part of the hash, `more` of the text alone.
    pub(crate) fn note(
        &self,
        who: u32,
        kind: &'static str,
        what: &str,
        more: impl FnOnce() -> String,
    ) {
        let mut inner = self.inner();
        inner.hash.update(&who.to_le_bytes());
        inner.hash.update(kind.as_bytes());
        inner.hash.update(what.as_bytes());
        let (steps, now) = (inner.steps, inner.now);
        if let Some(text) = &mut inner.text {
            let who = if who == 0 {
                "world".into()
            } else {
                format!("process {who}")
            };
            let mut line = format!(
                "{steps:>6} {:>9.3} s  {who:<11} {kind:<15} {what}",
                now.as_secs_f64()
            );
            let more = more();
            if !more.is_empty() {
                let _ = write!(line, "  {more}");
            }
            text.push(line);
        }
    }

    pub(crate) fn steps(&self) -> u64 {
        self.inner().steps
    }

    pub(crate) fn hash(&self) -> u64 {
        self.inner().hash.digest()
    }

    /// The text, if it was kept.
    pub(crate) fn text(&self) -> Vec<String> {
        self.inner().text.clone().unwrap_or_default()
    }
}

/// Nothing more to say.
pub(crate) fn no_more() -> String {
    String::new()
}
