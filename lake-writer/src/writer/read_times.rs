//! When the last message read from each source partition was made: lag in seconds.

use std::collections::BTreeMap;

use crate::source::Message;

/// Timestamps of the latest messages, by source partition.
///
/// Messages come in runs of one partition, so a message costs a comparison, and a change of
/// partition a look into the map.
#[derive(Debug, Default)]
pub(super) struct ReadTimes {
    by_partition: BTreeMap<i32, i64>,
    run: Option<(i32, i64)>,
}

impl ReadTimes {
    /// A message was read. One without a timestamp says nothing.
    #[inline]
    pub(super) fn saw(&mut self, message: &Message<'_>) {
        let Some(timestamp_ms) = message.timestamp_ms else {
            return;
        };
        match &mut self.run {
            Some((partition, latest)) if *partition == message.partition => *latest = timestamp_ms,
            run => {
                if let Some((partition, latest)) = run.replace((message.partition, timestamp_ms)) {
                    self.by_partition.insert(partition, latest);
                }
            }
        }
    }

    /// Milliseconds since the epoch at which the last message of the partition was made.
    pub(super) fn last_ms(&self, partition: i32) -> Option<i64> {
        match self.run {
            Some((current, latest)) if current == partition => Some(latest),
            _ => self.by_partition.get(&partition).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(partition: i32, timestamp_ms: Option<i64>) -> Message<'static> {
        Message {
            partition,
            offset: 0,
            timestamp_ms,
            key: None,
            value: None,
        }
    }

    #[test]
    fn the_last_message_of_each_partition_counts() {
        // GIVEN runs of two partitions, and messages without a time
        let mut times = ReadTimes::default();
        assert_eq!(times.last_ms(0), None);
        for (partition, timestamp_ms) in [
            (0, Some(10)),
            (0, Some(11)),
            (1, Some(20)),
            (0, Some(12)),
            (0, None),
            (2, None),
        ] {
            times.saw(&message(partition, timestamp_ms));
        }

        // WHEN they are asked for THEN each has its last one
        assert_eq!(times.last_ms(0), Some(12));
        assert_eq!(times.last_ms(1), Some(20));
        assert_eq!(times.last_ms(2), None);
    }
}
