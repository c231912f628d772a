//! Waits between two tries of the same thing.

use std::time::Duration;

use crate::clock::Chance;

/// Shortest and longest wait between two tries.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Growing waits with jitter, so that many members do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: SHORTEST }
    }

    /// The next wait, each about twice the last.
    pub(super) fn wait(&mut self, chance: &mut Chance) -> Duration {
        let wait = chance.jitter(self.next);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }

    /// It went well: the next wait is short again.
    pub(super) fn reset(&mut self) {
        self.next = SHORTEST;
    }

    /// Whether the last try went well.
    pub(super) fn is_reset(&self) -> bool {
        self.next == SHORTEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_short_again() {
        // GIVEN a backoff
        let mut chance = Chance::from_seed(7);
        let mut backoff = Backoff::new();
        // WHEN it waits many times
        let waits: Vec<Duration> = (0..20).map(|_| backoff.wait(&mut chance)).collect();
        // THEN the first is short, the last long and bounded
        assert!(waits[0] <= SHORTEST && waits[0] >= SHORTEST / 2);
        assert!(waits[19] <= LONGEST && waits[19] >= LONGEST / 2);
        // WHEN it is reset THEN it is short again
        backoff.reset();
        assert!(backoff.wait(&mut chance) <= SHORTEST);
    }
}
