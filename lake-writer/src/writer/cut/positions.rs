//! How far each source partition was read since the last commit.
//!
//! ```text
//! begin, take, advance ─► Positions ─► seal ─► SourceRange (start..next), and on from next
//! ```

use crate::source::OffsetRange;

use super::SourceRange;

/// Counts of messages by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) dead_letters: u64,
    pub(super) tombstones: u64,
}

/// A source partition: offsets from `start` up to, but without, `next` were read.
#[derive(Clone, Copy, Debug)]
struct Position {
    start: i64,
    next: i64,
    counts: Counts,
}

/// Source partitions by number, which is dense in a topic. A file's is negative, and alone.
#[derive(Debug, Default)]
pub(super) struct Positions {
    /// Number of the first: 0 in a topic.
    base: i32,
    by_number: Vec<Option<Position>>,
}

impl Positions {
    pub(super) fn begin(&mut self, partition: i32, offset: i64) {
        if self.by_number.iter().all(Option::is_none) {
            self.by_number.clear();
            self.base = partition.min(0);
        }
        let at = self
            .at(partition)
            .expect("a topic's partitions are numbered from 0 on");
        if self.by_number.len() <= at {
            self.by_number.resize(at + 1, None);
        }
        let held = self.by_number[at].filter(|position| position.counts.messages() > 0);
        assert!(
            held.is_none(),
            "source partition {partition} is begun while the cut holds messages of it"
        );
        self.by_number[at] = Some(Position {
            start: offset,
            next: offset,
            counts: Counts::default(),
        });
    }

    pub(super) fn forget(&mut self, partition: i32) {
        let Some(position) = self.get_mut(partition) else {
            return;
        };
        assert!(
            position.counts.messages() == 0,
            "source partition {partition} is forgotten while the cut holds messages of it"
        );
        if let Some(slot) = self.slot(partition) {
            self.by_number[slot] = None;
        }
    }

    pub(super) fn next(&self, partition: i32) -> Option<i64> {
        let slot = self.slot(partition)?;
        Some(self.by_number[slot]?.next)
    }

    /// Moves behind a message and says where to count it; `None` when it is not wanted.
    #[inline]
    pub(super) fn take(&mut self, partition: i32, offset: i64) -> Option<&mut Counts> {
        let position = self.get_mut(partition)?;
        if offset < position.next {
            return None;
        }
        position.next = offset + 1;
        Some(&mut position.counts)
    }

    pub(super) fn advance(&mut self, partition: i32, next: i64) {
        if let Some(position) = self.get_mut(partition) {
            position.next = position.next.max(next);
        }
    }

    pub(super) fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        for position in self.by_number.iter().flatten() {
            totals.rows += position.counts.rows;
            totals.dead_letters += position.counts.dead_letters;
            totals.tombstones += position.counts.tombstones;
        }
        totals
    }

    pub(super) fn messages(&self) -> u64 {
        self.totals().messages()
    }

    /// Whether any moved since the last seal.
    pub(super) fn have_moved(&self) -> bool {
        let mut positions = self.by_number.iter().flatten();
        positions.any(|position| position.next > position.start)
    }

    /// The ranges that moved; reading goes on behind them.
    pub(super) fn seal(&mut self) -> Vec<SourceRange> {
        let mut ranges = Vec::new();
        for (partition, position) in (self.base..).zip(&mut self.by_number) {
            let Some(position) = position.as_mut().filter(|p| p.next > p.start) else {
                continue;
            };
            let Counts {
                rows,
                dead_letters,
                tombstones,
            } = std::mem::take(&mut position.counts);
            ranges.push(SourceRange {
                partition,
                range: OffsetRange::new(position.start, position.next),
                rows,
                dead_letters,
                tombstones,
            });
            position.start = position.next;
        }
        ranges
    }

    #[inline]
    fn at(&self, partition: i32) -> Option<usize> {
        usize::try_from(partition.wrapping_sub(self.base)).ok()
    }

    fn slot(&self, partition: i32) -> Option<usize> {
        self.at(partition).filter(|&at| at < self.by_number.len())
    }

    #[inline]
    fn get_mut(&mut self, partition: i32) -> Option<&mut Position> {
        let at = self.at(partition)?;
        self.by_number.get_mut(at)?.as_mut()
    }
}

impl Counts {
    pub(super) fn messages(self) -> u64 {
        self.rows + self.dead_letters + self.tombstones
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(partition: i32, start: i64, next: i64, rows: u64) -> SourceRange {
        SourceRange {
            partition,
            range: OffsetRange::new(start, next),
            rows,
            dead_letters: 0,
            tombstones: 0,
        }
    }

    #[test]
    fn ranges_join_without_a_gap() {
        // GIVEN two source partitions, one begun at 5 with a gap in its offsets.
        let mut positions = Positions::default();
        positions.begin(0, 5);
        positions.begin(2, 0);
        for offset in [5, 9] {
            positions.take(0, offset).expect("wanted").rows += 1;
        }
        // WHEN sealed, read on, and sealed again.
        let first = positions.seal();
        positions.take(0, 12).expect("wanted").rows += 1;
        positions.advance(2, 3);
        let second = positions.seal();
        // THEN each range begins where the last ended, and what did not move is not named.
        assert_eq!(first, [range(0, 5, 10, 2)]);
        assert_eq!(second, [range(0, 10, 13, 1), range(2, 0, 3, 0)]);
        assert_eq!(positions.seal(), []);
    }

    #[test]
    fn what_was_read_or_never_begun_is_ignored() {
        // GIVEN a source partition read up to 8 WHEN older messages or others' come THEN none is
        // taken, and the position does not move back.
        let mut positions = Positions::default();
        positions.begin(1, 5);
        assert!(positions.take(1, 7).is_some());
        for (partition, offset) in [(1, 7), (1, 5), (1, 0), (0, 7), (9, 7), (-1, 7)] {
            assert!(positions.take(partition, offset).is_none());
        }
        positions.advance(1, 2);
        assert_eq!(positions.next(1), Some(8));
        assert_eq!(positions.next(0), None);
    }

    #[test]
    fn a_file_has_a_negative_number() {
        let mut positions = Positions::default();
        for number in [-12, -7] {
            positions.begin(number, 0);
            positions.take(number, 0).expect("wanted").rows += 1;
            assert!(positions.take(0, 0).is_none());
            assert_eq!(positions.seal(), [range(number, 0, 1, 1)]);
            positions.forget(number);
        }
        positions.begin(3, 0);
        assert!(positions.take(-7, 5).is_none());
        assert!(positions.take(3, 0).is_some());
    }

    #[test]
    #[should_panic(expected = "forgotten while the cut holds messages")]
    fn rows_do_not_lose_their_range() {
        let mut positions = Positions::default();
        positions.begin(0, 0);
        positions.take(0, 0).expect("wanted").tombstones += 1;
        positions.forget(0);
    }

    #[test]
    fn an_empty_range_can_be_forgotten() {
        let mut positions = Positions::default();
        positions.begin(0, 0);
        positions.advance(0, 4);
        positions.forget(0);
        positions.forget(7);
        assert_eq!(positions.next(0), None);
        assert_eq!(positions.seal(), []);
    }
}
