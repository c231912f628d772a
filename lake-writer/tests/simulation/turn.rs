//! Whose turn it is: threads of engines, of which one moves at a time.
//!
//! ```text
//! scheduler ─(Go)─► engine runs … until it would wait ─(Pause)─► scheduler
//! ```
//!
//! Owns: handing the turn over and back, and the end of an engine in the middle of its work.
//! Does not own: who gets the next turn (`world`).

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the scheduler says to an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Go {
    /// Go on.
    On,
    /// The process is killed here.
    Die,
}

/// Why an engine stopped running.
#[derive(Debug)]
pub(crate) enum Pause<T> {
    /// It waits, at most so long.
    Waits(Duration),
    /// It is over.
    Over(T),
}

/// The panic by which an engine's thread ends when its process is killed.
#[derive(Debug)]
pub(crate) struct Killed;

/// How an engine is told to go on, and how it says that it waits.
type Ends<T> = (Receiver<Go>, SyncSender<Pause<T>>);

/// An engine's end of the handover.
#[derive(Debug)]
pub(crate) struct Seat<T> {
    ends: Arc<Mutex<Ends<T>>>,
}

impl<T> Clone for Seat<T> {
    fn clone(&self) -> Self {
        Self {
            ends: Arc::clone(&self.ends),
        }
    }
}

/// The scheduler's end.
#[derive(Debug)]
pub(crate) struct Handle<T> {
    go: SyncSender<Go>,
    paused: Receiver<Pause<T>>,
}

/// Both ends.
pub(crate) fn handover<T>() -> (Handle<T>, Seat<T>) {
    let (go, told) = sync_channel(1);
    let (say, paused) = sync_channel(1);
    let seat = Seat {
        ends: Arc::new(Mutex::new((told, say))),
    };
    (Handle { go, paused }, seat)
}

impl<T> Seat<T> {
    /// Waits for the first turn.
    ///
    /// # Panics
    /// With [`Killed`] when the process is killed before it did anything.
    pub(crate) fn begin(&self) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        self.go_on_or_die(ends.0.recv().unwrap_or(Go::Die));
    }

    /// Hands the turn back, and waits for the next.
    ///
    /// # Panics
    /// With [`Killed`] when the process is killed meanwhile.
    pub(crate) fn wait(&self, at_most: Duration) {
        let go = {
            let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
            let handed = ends.1.send(Pause::Waits(at_most));
            handed.map_or(Go::Die, |()| ends.0.recv().unwrap_or(Go::Die))
        };
        self.go_on_or_die(go);
    }

    /// Says the last word.
    pub(crate) fn over(&self, result: T) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        // A scheduler that has given up does not listen.
        let _ = ends.1.send(Pause::Over(result));
    }

    fn go_on_or_die(&self, go: Go) {
        if go == Go::Die {
            std::panic::resume_unwind(Box::new(Killed));
        }
    }
}

impl<T> Handle<T> {
    /// Gives the turn to the engine until it waits or is over. `None` when there is no engine.
    pub(crate) fn run(&self) -> Option<Pause<T>> {
        self.go.send(Go::On).ok()?;
        self.paused.recv().ok()
    }

    /// Ends the engine at its wait; its thread ends soon, without another word.
    pub(crate) fn kill(&self) {
        // One that is over already does not listen.
        let _ = self.go.send(Go::Die);
    }
}
