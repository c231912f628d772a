//! The wish to stop, from a signal or a test.
//!
//! Owns one flag. Does not own signals: `main` sets the flag from them.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the run is to end: messages under way are still delivered and the summary is written.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Asks for the end. Can be called from a signal handler. Returns whether it had been asked
    /// for before.
    pub fn request(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }

    /// Whether the end was asked for.
    #[inline]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
