//! The member of the consumer group: reads where the writer says, and never anywhere else.
//!
//! ```text
//! consumer queue ─► Batch ─► admitted by Membership ─► sink
//!       └─ rebalances ─► Membership ─► Assigned, Revoked, Lost ─► (writer) ─► start, release
//! ```
//!
//! Owns: the order of calls to the client that keeps every message exactly once.
//! Does not own: the calls themselves (`native`), the state (`membership`), the verdicts
//! (`errors`).
//!
//! Three properties of librdkafka shape this file:
//! - An assignment is acknowledged at once with an empty list, so the group never waits for the
//!   writer and nothing is fetched; `start` attaches partitions later, at explicit offsets.
//! - A revocation is answered by the first detaching call, whatever it names. So there is exactly
//!   one such call for each revocation, once everything was released; setting back a partition
//!   seeks instead of detaching and attaching it.
//! - A batch that ends with an end-of-partition event leaves the client's idea of the position one
//!   offset too far, and resuming after a pause (its own during a rebalance included) goes on from
//!   there. So every pause is followed by a seek to our own position before it is resumed.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::super::{Message, Polled, Source, SourceError, SourceEvent, TopicIdentity, Watermarks};
use super::config::Purpose;
use super::errors::{self, Verdict};
use super::membership::Membership;
use super::native::{Batch, Client, Fault, Partitions, Queue, Rebalance, Taken};
use super::watch::Watch;
use crate::clock::Clock;
use crate::settings;

/// Messages of one poll at most: enough to make the call cheap, few enough that the writer looks
/// at its clock often.
pub(super) const BATCH_MESSAGES: usize = 4096;
/// How long one question to a broker may take.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long a poll waits while a partition still has to be set to its offset.
const ADRIFT_WAIT: Duration = Duration::from_millis(5);
/// Leaving the group takes this many turns at most; a broker that is away must not hold the
/// process.
const LEAVE_TURNS: usize = 200;
/// One turn of leaving the group.
const LEAVE_TURN: Duration = Duration::from_millis(50);

/// A member of a consumer group, reading one topic.
pub struct KafkaSource {
    batch: Batch,
    watch: Watch,
    queue: Queue,
    client: Client,
    topic: CString,
    name: String,
    membership: Membership,
    clock: Arc<dyn Clock>,
    joined: bool,
    paused: bool,
    /// Events that came up outside of a poll.
    waiting: Vec<SourceEvent>,
    /// Partitions of which the broker said that our offset is not there.
    doubted: BTreeSet<i32>,
}

impl std::fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaSource")
            .field("topic", &self.name)
            .field("membership", &self.membership)
            .finish_non_exhaustive()
    }
}

/// What one batch held besides messages.
#[derive(Default)]
struct Aside {
    ends: BTreeMap<i32, i64>,
    troubles: Vec<(Option<(i32, i64)>, Fault)>,
}

impl KafkaSource {
    /// A source with these settings. Connects in the background; joins the group with the first
    /// poll.
    ///
    /// # Errors
    /// Halts on properties that are unknown, do not fit or may not be changed.
    pub fn connect(settings: &settings::Kafka, clock: Arc<dyn Clock>) -> Result<Self, SourceError> {
        let (client, topic) = super::client(settings, Purpose::Member)?;
        let queue = Queue::consumer(&client)
            .map_err(|fault| errors::of_call("opening the consumer", &settings.topic, &fault))?;
        Ok(Self {
            batch: Batch::new(&client, BATCH_MESSAGES),
            watch: Watch::new(&settings.topic),
            queue,
            client,
            topic,
            name: settings.topic.clone(),
            membership: Membership::default(),
            clock,
            joined: false,
            paused: false,
            waiting: Vec::new(),
            doubted: BTreeSet::new(),
        })
    }

    fn failed<'a>(&'a self, action: &'a str) -> impl Fn(Fault) -> SourceError + 'a {
        move |fault| errors::of_call(action, &self.name, &fault)
    }

    fn join(&mut self) -> Result<(), SourceError> {
        if !self.joined {
            self.client
                .subscribe(&self.topic)
                .map_err(self.failed("joining the consumer group"))?;
            self.joined = true;
        }
        Ok(())
    }

    /// Lends what is in the batch to the sink, as far as it was asked for.
    fn hand_out(&mut self, sink: &mut dyn FnMut(Message<'_>)) -> (usize, Aside) {
        let mut aside = Aside::default();
        let mut messages = 0;
        let membership = &mut self.membership;
        self.batch.drain(|taken| match taken {
            Taken::Message(message) => {
                if membership.admit(message.partition, message.offset) {
                    // An end that more messages followed is no end any more.
                    if !aside.ends.is_empty() {
                        aside.ends.remove(&message.partition);
                    }
                    sink(message);
                    messages += 1;
                }
            }
            Taken::End { partition, next } => {
                if membership.admit_end(partition, next) {
                    aside.ends.insert(partition, next);
                }
            }
            Taken::Trouble {
                partition,
                offset,
                fault,
            } => aside
                .troubles
                .push((partition.map(|number| (number, offset)), fault)),
        });
        (messages, aside)
    }

    /// Tells the writer what the group wants, and the group what it need not wait for.
    fn serve_group(&mut self, events: &mut Vec<SourceEvent>) -> Result<(), SourceError> {
        for change in self.client.take_rebalances() {
            tracing::debug!(topic = self.name, ?change, "the group changes");
            let given = matches!(change, Rebalance::Given(_));
            events.extend(self.membership.note(change));
            if given {
                self.reseat()?;
                let nothing = Partitions::of(&self.topic, []);
                self.client
                    .attach(&nothing)
                    .map_err(self.failed("acknowledging an assignment"))?;
            }
        }
        // A revocation of nothing, or of what was released before, needs nobody's leave.
        self.answer_revocation(&[])
    }

    fn answer_revocation(&mut self, released: &[i32]) -> Result<(), SourceError> {
        let Some(let_go) = self.membership.release(released) else {
            return Ok(());
        };
        self.reseat()?;
        let list = Partitions::of(&self.topic, let_go);
        if self.paused {
            // The flag outlives the assignment and would stop whoever gets the partition next.
            self.client
                .resume(&list)
                .map_err(self.failed("resuming partitions"))?;
        }
        self.client
            .detach(&list)
            .map_err(self.failed("giving partitions back"))?;
        self.membership.answered();
        Ok(())
    }

    /// Sets the client to our own positions: see the head of this file.
    fn reseat(&mut self) -> Result<(), SourceError> {
        let positions = self.membership.positions();
        self.seek(&positions)
    }

    fn seek(&mut self, targets: &[(i32, i64)]) -> Result<(), SourceError> {
        if targets.is_empty() {
            return Ok(());
        }
        let list = Partitions::at(&self.topic, targets.iter().copied());
        match self.client.seek(&list, CALL_LIMIT) {
            Ok(()) => {}
            Err(fault) if fault.code == Code::RD_KAFKA_RESP_ERR__TIMED_OUT => {}
            Err(fault) => return Err(self.failed("setting a partition to its offset")(fault)),
        }
        for (partition, offset, code) in list.outcomes() {
            if code == Code::RD_KAFKA_RESP_ERR_NO_ERROR {
                self.membership.sought(partition, offset);
            } else {
                // Its fetcher is still starting or stopping; tried again with the next poll.
                tracing::debug!(topic = self.name, partition, offset, ?code, "seek put off");
                self.membership.not_sought(partition, offset);
            }
        }
        Ok(())
    }

    /// Reports what the client noticed about the brokers and the topic.
    fn look_around(&mut self, events: &mut Vec<SourceEvent>) -> Result<(), SourceError> {
        self.client.serve();
        for fault in self.client.take_errors() {
            self.watch.note(&fault, events);
            if let Verdict::Halt(error) = errors::judge(&fault, &self.name, None) {
                return Err(error);
            }
        }
        let now = self.clock.monotonic();
        self.watch.look(&self.client, &self.topic, now, events)
    }

    fn judge(
        &mut self,
        troubles: Vec<(Option<(i32, i64)>, Fault)>,
        events: &mut Vec<SourceEvent>,
    ) -> Result<(), SourceError> {
        for (place, fault) in troubles {
            if fault.code == Code::RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED {
                // The client has left the group, but asks for its partitions only when the session
                // is over; it would hand out messages that another member reads.
                events.extend(self.membership.put_out());
            }
            // What is said of a partition that is not read any more is old.
            if place.is_some_and(|(number, _)| self.membership.position(number).is_none()) {
                continue;
            }
            if let (Some((number, _)), true) = (place, errors::is_out_of_range(&fault)) {
                self.doubted.insert(number);
                continue;
            }
            let fault = match fault.code {
                Code::RD_KAFKA_RESP_ERR__FATAL => self.client.fatal().unwrap_or(fault),
                _ => fault,
            };
            match errors::judge(&fault, &self.name, place) {
                Verdict::Halt(error) => return Err(error),
                Verdict::AskForTopic => self.watch.doubt(),
                Verdict::Passing => tracing::warn!(
                    topic = self.name,
                    partition = place.map(|(number, _)| number),
                    reason = fault.reason,
                    "the Kafka client met an error and goes on"
                ),
            }
        }
        Ok(())
    }

    /// Asks the brokers whether offsets are really not there. They may have been asked for one too
    /// far (see the head of this file) or for a place that was left since; then the fetcher, which
    /// the error has stopped, is started again.
    fn settle_doubts(&mut self) -> Result<(), SourceError> {
        // Detaching now would be taken for the answer to the revocation.
        if self.doubted.is_empty() || self.membership.owes_answer() {
            return Ok(());
        }
        for partition in std::mem::take(&mut self.doubted) {
            let Some(offset) = self.membership.position(partition) else {
                continue;
            };
            match self.client.watermarks(&self.topic, partition, CALL_LIMIT) {
                Ok(marks) if offset < marks.low || offset > marks.high => {
                    // A topic that was created again has other offsets: that is said first.
                    self.watch
                        .ask(&self.client, &self.topic, &mut self.waiting)?;
                    return Err(errors::out_of_range(&self.name, partition, offset, marks));
                }
                Ok(_) => self.restart(partition, offset)?,
                Err(fault) => {
                    tracing::debug!(topic = self.name, partition, reason = fault.reason, "doubt");
                    self.doubted.insert(partition);
                }
            }
        }
        Ok(())
    }

    fn restart(&mut self, partition: i32, offset: i64) -> Result<(), SourceError> {
        let list = Partitions::at(&self.topic, [(partition, offset)]);
        self.client
            .detach(&list)
            .map_err(self.failed("starting a partition again"))?;
        self.attach(&[(partition, offset)])
    }

    /// Has the client fetch partitions, and hands their messages out from now on.
    fn attach(&mut self, from: &[(i32, i64)]) -> Result<(), SourceError> {
        let list = Partitions::at(&self.topic, from.iter().copied());
        self.client
            .attach(&list)
            .map_err(self.failed("starting partitions"))?;
        self.membership.attached_at(from);
        if self.paused {
            self.client
                .pause(&list)
                .map_err(self.failed("pausing partitions"))?;
        }
        Ok(())
    }

    /// Answers the group while it is being left; nothing is owed to the writer any more.
    fn take_leave(&mut self, leaving: &Queue) {
        leaving.fill(&mut self.batch, LEAVE_TURN);
        self.batch.drain(|_| {});
        for change in self.client.take_rebalances() {
            self.membership.note(change);
        }
        if let Some(let_go) = self.membership.give_up_owed() {
            let list = Partitions::of(&self.topic, let_go);
            if let Err(fault) = self.client.detach(&list) {
                tracing::debug!(
                    topic = self.name,
                    reason = fault.reason,
                    "leaving the group"
                );
            }
            self.membership.answered();
        }
    }
}

impl Source for KafkaSource {
    fn identify(&mut self) -> Result<TopicIdentity, SourceError> {
        let described = self
            .watch
            .ask(&self.client, &self.topic, &mut self.waiting)?;
        Ok(TopicIdentity {
            name: self.name.clone(),
            topic_id: described.topic_id,
            partitions: described.partitions,
        })
    }

    fn poll(
        &mut self,
        max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<Polled, SourceError> {
        self.join()?;
        let adrift = self.membership.adrift();
        self.seek(&adrift)?;
        let wait = if !self.waiting.is_empty() {
            Duration::ZERO
        } else if adrift.is_empty() {
            max_wait
        } else {
            max_wait.min(ADRIFT_WAIT)
        };
        self.queue.fill(&mut self.batch, wait);
        let (messages, aside) = self.hand_out(sink);
        let mut events = std::mem::take(&mut self.waiting);
        self.serve_group(&mut events)?;
        self.look_around(&mut events)?;
        self.judge(aside.troubles, &mut events)?;
        self.settle_doubts()?;
        Ok(Polled {
            messages,
            ends: aside.ends.into_iter().collect(),
            events,
        })
    }

    fn watermarks(&mut self, partition: i32) -> Result<Watermarks, SourceError> {
        self.client
            .watermarks(&self.topic, partition, CALL_LIMIT)
            .map_err(self.failed("reading the watermarks"))
    }

    fn start(&mut self, from: &[(i32, i64)]) -> Result<(), SourceError> {
        if let Some((partition, offset)) = from.iter().find(|(_, offset)| *offset < 0) {
            return Err(SourceError::Halt {
                problem: format!("partition {partition} cannot be read from offset {offset}"),
                remedy: "report this: the writer asked for an offset that cannot be".into(),
            });
        }
        let plan = self
            .membership
            .plan_start(from)
            .map_err(|partition| SourceError::Halt {
                problem: format!("partition {partition} is not ours to read"),
                remedy: "report this: the writer started what the group did not give".into(),
            })?;
        let mut seek = plan.seek;
        if !plan.attach.is_empty() {
            // The call acknowledges an assignment that was not noted yet, if there is one, and so
            // resumes the partitions that are being read: see the head of this file.
            let standing = self.membership.positions();
            self.attach(&plan.attach)?;
            seek.extend(
                standing
                    .into_iter()
                    .filter(|(partition, _)| !from.iter().any(|(started, _)| started == partition)),
            );
        }
        self.seek(&seek)
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        self.answer_revocation(partitions)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        if self.paused {
            return Ok(());
        }
        let list = Partitions::of(&self.topic, self.membership.attached());
        self.client
            .pause(&list)
            .map_err(self.failed("pausing partitions"))?;
        self.paused = true;
        self.reseat()
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        if !self.paused {
            return Ok(());
        }
        let list = Partitions::of(&self.topic, self.membership.attached());
        self.client
            .resume(&list)
            .map_err(self.failed("resuming partitions"))?;
        self.paused = false;
        Ok(())
    }

    fn acknowledge(&mut self, next: &[(i32, i64)]) {
        if next.is_empty() {
            return;
        }
        let list = Partitions::at(&self.topic, next.iter().copied());
        if let Err(fault) = self.client.commit_async(&list) {
            tracing::debug!(
                topic = self.name,
                reason = fault.reason,
                "group offsets not told"
            );
        }
    }

    fn cached_high(&self, partition: i32) -> Option<i64> {
        self.client.cached_high(&self.topic, partition)
    }

    fn close(mut self: Box<Self>) {
        if !self.joined {
            return;
        }
        let leaving = Queue::new(&self.client);
        if let Err(fault) = self.client.leave(&leaving) {
            tracing::debug!(topic = self.name, reason = fault.reason, "group not left");
            return;
        }
        for _ in 0..LEAVE_TURNS {
            self.take_leave(&leaving);
            if self.client.has_left() {
                return;
            }
        }
        tracing::warn!(
            topic = self.name,
            "the group could not be left in time; it notices when the session times out"
        );
    }
}
