//! Which offsets of the mirror the lake does not hold yet.
//!
//! Owns: what has to be true of the two for their union to hold every message once. Pure: no I/O.
//! Does not own: reading either.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, Document, doc};

use crate::lake::Moment;
use crate::mirror::{Checkpoint, LetterBehind};

/// Why the lake and the mirror do not make one table. Each is a table by itself all the same.
#[derive(Debug, thiserror::Error)]
pub enum CutError {
    /// Two incarnations of a topic.
    #[error(
        "partition {partition}: the mirror was written from the topic with id {mirror}, the lake from \
         {lake}: mirror the topic of the lake into another collection, or query `{live}` and `{lake_table}`"
    )]
    OtherTopic {
        /// The source partition.
        partition: i32,
        /// The mirror's topic.
        mirror: String,
        /// The lake's.
        lake: String,
        /// The mirror's table.
        live: String,
        /// The lake's table.
        lake_table: String,
    },
    /// Messages that neither has.
    #[error(
        "partition {partition}: the lake ends at offset {next} and the mirror begins at {first}: wait \
         until the lake has committed offset {last}, then run the query again"
    )]
    Gap {
        /// The source partition.
        partition: i32,
        /// First offset that the lake does not have.
        next: i64,
        /// First that the mirror has.
        first: i64,
        /// Last that neither has.
        last: i64,
    },
    /// A message that the mirror could not hold.
    #[error(
        "partition {partition}: the mirror could not hold the message at offset {offset} ({reason}), \
         and the lake has not committed it yet: run the query again when it has"
    )]
    Refused {
        /// The source partition.
        partition: i32,
        /// The message.
        offset: i64,
        /// Why not.
        reason: String,
    },
    /// Documents that may have expired.
    #[error(
        "partition {partition}: of {offsets} offsets from {from} that the lake has not committed yet \
         the mirror holds {found} messages, and with mirror.mongodb.ttl_seconds = {ttl_seconds} the \
         others may have expired: run the query again when the lake has committed offset {last}, or \
         raise ttl_seconds"
    )]
    Expired {
        /// The source partition.
        partition: i32,
        /// First offset that the lake does not have.
        from: i64,
        /// Last that the mirror has read.
        last: i64,
        /// Offsets between them, both included.
        offsets: i64,
        /// Documents and dead letters there.
        found: i64,
        /// The setting.
        ttl_seconds: u64,
    },
}

impl From<LetterBehind> for CutError {
    fn from(letter: LetterBehind) -> Self {
        Self::Refused {
            partition: letter.partition,
            offset: letter.offset,
            reason: letter.reason,
        }
    }
}

/// Half-open ranges of offsets that the mirror adds, by source partition. Empty ones are left out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cut(BTreeMap<i32, (i64, i64)>);

impl Cut {
    /// What the mirror adds to the moment.
    ///
    /// A mirror that is behind the lake, or has not begun with a partition, adds nothing there.
    ///
    /// # Errors
    /// [`CutError::OtherTopic`], [`CutError::Gap`].
    pub(super) fn new(
        moment: &Moment,
        mirror: &BTreeMap<i32, Checkpoint>,
        (lake_table, live): (&str, &str),
    ) -> Result<Self, CutError> {
        let topics = moment.next.keys().chain(moment.begins.keys());
        let topics: Vec<&str> = topics
            .filter(|source| source.is_of_topic())
            .map(|source| source.topic_id.as_str())
            .collect();
        let mut ranges = BTreeMap::new();
        for (partition, checkpoint) in mirror {
            let known = topics.contains(&checkpoint.topic_id.as_str());
            if let (false, Some(other)) = (known, topics.first()) {
                return Err(CutError::OtherTopic {
                    partition: *partition,
                    mirror: checkpoint.topic_id.clone(),
                    lake: (*other).to_owned(),
                    live: live.to_owned(),
                    lake_table: lake_table.to_owned(),
                });
            }
            let from = begins_at(moment, *partition, checkpoint);
            if from < checkpoint.first {
                return Err(CutError::Gap {
                    partition: *partition,
                    next: from,
                    first: checkpoint.first,
                    last: checkpoint.first - 1,
                });
            }
            if from < checkpoint.next {
                ranges.insert(*partition, (from, checkpoint.next));
            }
        }
        Ok(Self(ranges))
    }

    /// Whether the lake has everything that the mirror has.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The documents of these ranges, found by the index of `_id`: documents compare field by field.
    pub(super) fn ranges(&self) -> Document {
        let ranges = self.0.iter().map(|(partition, (from, next))| {
            let from = doc! {"partition": partition, "offset": from};
            let next = doc! {"partition": partition, "offset": next};
            doc! {"_id": {"$gte": from, "$lt": next}}
        });
        let ranges: Vec<Bson> = ranges.map(Bson::from).collect();
        doc! {"$or": ranges}
    }

    /// Refuses ranges in which an offset has neither a document nor a dead letter. A tombstone or a
    /// marker of a transaction has none either, and nothing tells them from what has expired.
    ///
    /// # Errors
    /// [`CutError::Expired`].
    pub(super) fn refuse_expired(
        &self,
        counted: &BTreeMap<i32, i64>,
        ttl_seconds: u64,
    ) -> Result<(), CutError> {
        for (partition, (from, next)) in &self.0 {
            let found = counted.get(partition).copied().unwrap_or(0);
            if found != next - from {
                return Err(CutError::Expired {
                    partition: *partition,
                    from: *from,
                    last: next - 1,
                    offsets: next - from,
                    found,
                    ttl_seconds,
                });
            }
        }
        Ok(())
    }
}

/// The first offset of a partition that the lake does not hold.
fn begins_at(moment: &Moment, partition: i32, checkpoint: &Checkpoint) -> i64 {
    let is_it =
        |topic_id: &str, number: i32| topic_id == checkpoint.topic_id && number == partition;
    let find = |places: &BTreeMap<lake_writer::source::SourcePartition, i64>| {
        let mut places = places.iter();
        places
            .find(|(source, _)| is_it(&source.topic_id, source.partition))
            .map(|(_, next)| *next)
    };
    // Where the lake has never begun, what was there before the mirror's first offset had left the topic
    // by then, or was to be passed over: the lake will not have it either.
    find(&moment.next)
        .or_else(|| find(&moment.begins))
        .unwrap_or(checkpoint.first)
}

#[cfg(test)]
mod tests {
    use lake_writer::source::SourcePartition;

    use super::*;

    fn moment(next: &[(&str, i32, i64)], begins: &[(&str, i32, i64)]) -> Moment {
        let places = |places: &[(&str, i32, i64)]| {
            let place = |&(topic, partition, offset): &(&str, i32, i64)| {
                let topic_id = topic.to_owned();
                (
                    SourcePartition {
                        topic_id,
                        partition,
                    },
                    offset,
                )
            };
            places.iter().map(place).collect()
        };
        Moment {
            head: Some(1),
            files: Vec::new(),
            next: places(next),
            begins: places(begins),
        }
    }

    fn mirror(checkpoints: &[(&str, i32, i64, i64)]) -> BTreeMap<i32, Checkpoint> {
        let checkpoint = |&(topic, partition, first, next): &(&str, i32, i64, i64)| {
            let topic_id = topic.to_owned();
            (
                partition,
                Checkpoint {
                    topic_id,
                    first,
                    next,
                },
            )
        };
        checkpoints.iter().map(checkpoint).collect()
    }

    fn cut(moment: &Moment, mirror: &BTreeMap<i32, Checkpoint>) -> Result<Cut, CutError> {
        Cut::new(moment, mirror, ("sales_lake", "sales_live"))
    }

    #[test]
    fn the_mirror_adds_what_the_lake_does_not_have() {
        let lake = moment(&[("t", 0, 10), ("t", 1, 20), ("t", 2, 5)], &[]);
        // Ahead in 0, at the same place in 1, behind in 2, alone in 3.
        let mirror = mirror(&[
            ("t", 0, 0, 15),
            ("t", 1, 3, 20),
            ("t", 2, 0, 2),
            ("t", 3, 7, 9),
        ]);
        let found = cut(&lake, &mirror).expect("one table");
        assert_eq!(found, Cut(BTreeMap::from([(0, (10, 15)), (3, (7, 9))])));
        let expected = doc! {"$or": [
            {"_id": {
                "$gte": {"partition": 0, "offset": 10_i64}, "$lt": {"partition": 0, "offset": 15_i64}}},
            {"_id": {
                "$gte": {"partition": 3, "offset": 7_i64}, "$lt": {"partition": 3, "offset": 9_i64}}},
        ]};
        assert_eq!(found.ranges(), expected);
    }

    #[test]
    fn a_mirror_that_begins_behind_the_lakes_end_leaves_a_gap() {
        let lake = moment(&[("t", 0, 10)], &[("t", 1, 100)]);
        let error = cut(&lake, &mirror(&[("t", 0, 12, 15)])).expect_err("a gap");
        assert!(
            matches!(
                error,
                CutError::Gap {
                    partition: 0,
                    last: 11,
                    ..
                }
            ),
            "{error}"
        );
        // Also where nobody has claimed the partition yet and the log says where it begins.
        let error = cut(&lake, &mirror(&[("t", 1, 101, 105)])).expect_err("a gap");
        assert!(
            matches!(
                error,
                CutError::Gap {
                    partition: 1,
                    next: 100,
                    ..
                }
            ),
            "{error}"
        );
        let whole = cut(&lake, &mirror(&[("t", 1, 90, 105)])).expect("one table");
        assert_eq!(whole, Cut(BTreeMap::from([(1, (100, 105))])));
    }

    #[test]
    fn offsets_of_another_topic_mean_other_messages() {
        let lake = moment(&[("old", 0, 10)], &[]);
        let error = cut(&lake, &mirror(&[("new", 0, 0, 15)])).expect_err("another topic");
        let text = error.to_string();
        assert!(
            text.contains("new") && text.contains("old") && text.contains("sales_live"),
            "{text}"
        );
        // Files and repairs are no topics, and an empty lake has none to differ from.
        let mut upkeep = moment(&[], &[]);
        upkeep.next.insert(SourcePartition::of_upkeep("repair"), 0);
        let found = cut(&upkeep, &mirror(&[("new", 0, 0, 15)])).expect("one table");
        assert_eq!(found, Cut(BTreeMap::from([(0, (0, 15))])));
    }

    #[test]
    fn an_offset_without_a_message_may_have_expired() {
        let found = cut(&moment(&[("t", 0, 10)], &[]), &mirror(&[("t", 0, 0, 15)]));
        let found = found.expect("one table");
        assert!(found.refuse_expired(&BTreeMap::from([(0, 5)]), 60).is_ok());
        let error = found
            .refuse_expired(&BTreeMap::from([(0, 4)]), 60)
            .expect_err("a hole");
        assert!(error.to_string().contains("offsets from 10"), "{error}");
    }
}
