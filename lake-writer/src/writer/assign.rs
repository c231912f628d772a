//! From partitions that the group gave us to partitions that we read: checks, claim, offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::commit::record::{Claim, ClaimedSource};
use crate::commit::state::{SourceState, State};
use crate::commit::{CommitError, Log};
use crate::settings::FirstStart;
use crate::source::{SourceError, SourcePartition, TopicIdentity, Watermarks};

use super::commit::Held;

/// Source partitions that were claimed, and where each stands.
pub(super) type Claimed = Vec<(SourcePartition, SourceState)>;

/// A claim that is about to be made: the partitions with the watermarks seen before it.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The topic they are of.
    pub(super) topic: TopicIdentity,
    /// Watermarks of the partitions to claim, by number.
    pub(super) watermarks: BTreeMap<i32, Watermarks>,
    /// High watermarks of every partition, when this is the table's first start and it is to begin
    /// at the latest messages.
    pub(super) begins: BTreeMap<i32, i64>,
}

/// Whether the log knows nothing of the topic yet, and is to begin at its latest messages.
/// Partitions that are added to a topic later always begin with their first message.
pub(super) fn begins_latest(state: &State, topic: &TopicIdentity, first: FirstStart) -> bool {
    let known = |source: &SourcePartition| source.topic_id == topic.topic_id;
    first == FirstStart::Latest && !state.sources.keys().chain(state.begins.keys()).any(known)
}

impl Wanted {
    fn claim(&self) -> Claim {
        let claimed = |(partition, first): (&i32, i64)| ClaimedSource {
            source: SourcePartition {
                topic_id: self.topic.topic_id.clone(),
                partition: *partition,
            },
            first,
        };
        Claim {
            topic: self.topic.name.clone(),
            sources: self
                .watermarks
                .iter()
                .map(|(p, marks)| claimed((p, marks.low)))
                .collect(),
            begins: self
                .begins
                .iter()
                .map(|(p, high)| claimed((p, *high)))
                .collect(),
        }
    }

    /// Where to start reading each partition. Refuses where the topic no longer has what the log
    /// expects, since a silent jump would lose rows; with `accept_lost` offsets that retention has
    /// taken are passed over, and counted.
    ///
    /// # Errors
    /// [`SourceError::Halt`] naming the partition and both offsets.
    pub(super) fn starts(
        &self,
        claimed: &Claimed,
        accept_lost: bool,
    ) -> Result<Vec<Start>, SourceError> {
        claimed
            .iter()
            .map(|(source, state)| self.start(source, state, accept_lost))
            .collect()
    }

    fn start(
        &self,
        source: &SourcePartition,
        state: &SourceState,
        accept_lost: bool,
    ) -> Result<Start, SourceError> {
        let Watermarks { low, high } = self.watermarks[&source.partition];
        let partition = source.partition;
        let (topic, next) = (&self.topic.name, state.next);
        if next > high {
            return Err(SourceError::Halt {
                problem: format!(
                    "partition {partition} of topic `{topic}` ends at offset {high}, but the table \
                     holds everything before {next}: the topic has lost messages"
                ),
                remedy: "restore the topic, or write it to another table".into(),
            });
        }
        if next < low && !accept_lost {
            return Err(SourceError::Halt {
                problem: format!(
                    "retention has passed the table: partition {partition} of topic `{topic}` \
                     begins at offset {low}, the next one to write is {next}, so {} offsets are gone",
                    low - next
                ),
                remedy: "restore them, or set source.kafka.accept_lost_offsets = true to go on \
                         without them"
                    .into(),
            });
        }
        let held = Held {
            source: source.clone(),
            epoch: state.epoch,
            lost: (low - next).max(0),
        };
        Ok(Start {
            held,
            committed: next,
            read_from: next.max(low),
        })
    }
}

/// A source partition that is about to be read.
#[derive(Debug)]
pub(super) struct Start {
    /// The claim.
    pub(super) held: Held,
    /// The log's next offset, where the first range begins.
    pub(super) committed: i64,
    /// First offset to read: later than `committed` only past offsets that are accepted as lost.
    pub(super) read_from: i64,
}

/// Refuses a topic that was deleted and created again since the log was begun.
///
/// # Errors
/// [`SourceError::Halt`] naming both ids.
pub(super) fn refuse_recreated(
    state: &State,
    topic: &TopicIdentity,
    accepted: Option<&str>,
) -> Result<(), SourceError> {
    let of_name = |(source, held): (&SourcePartition, &SourceState)| {
        (held.topic == topic.name).then(|| source.topic_id.clone())
    };
    let known: Vec<String> = state.sources.iter().filter_map(of_name).collect();
    if known.is_empty()
        || known.contains(&topic.topic_id)
        || accepted == Some(topic.topic_id.as_str())
    {
        return Ok(());
    }
    Err(SourceError::Halt {
        problem: format!(
            "topic `{}` was deleted and created again: the table was written from the topic with id \
             {}, this one has id {}",
            topic.name, known[0], topic.topic_id
        ),
        remedy: format!(
            "set source.kafka.accept_topic_id = \"{}\" to add the new topic's messages to the table, \
             or write it to another table",
            topic.topic_id
        ),
    })
}

/// Claims the wanted partitions.
///
/// # Errors
/// Store errors; the claim may stand all the same.
pub(super) async fn claim(log: Arc<Mutex<Log>>, wanted: Wanted) -> Result<Claimed, CommitError> {
    log.lock().await.claim(wanted.claim()).await
}
