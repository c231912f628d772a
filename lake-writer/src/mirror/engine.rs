//! The loop: poll, fill batches, write them; and begin again at the checkpoints whenever something
//! fails.
//!
//! A *session* is one stretch between two failures: claims, and batches read under them. What the
//! group assigned outlives sessions; nothing else does. One thread polls; documents are made and
//! transactions run on the runtime beside it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::error_chain::ErrorChain;
use crate::settings::FirstStart;
use crate::source::{SourceError, SourceEvent, TopicIdentity, Watermarks};
use crate::telemetry::{Away, CommitReport, EngineState};
use crate::writer::{RunMode, Stop};

use super::checkpoint::{self, Checkpoint, Claim};
use super::failure::{DatabaseError, FailureKind};
use super::lane::{InFlight, Lane};
use super::transaction::{Writing, Written};
use super::{MirrorError, MirrorParts, Summary};

/// Wait for messages when nothing is in hand: bounds how late a stop is noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Wait for messages while a batch fills or is being written.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// Shortest and longest wait between two sessions.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// How often lag is looked at, and the checkpoints for the progress of other mirrors.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One stretch between two failures.
struct Session {
    id: String,
    lanes: BTreeMap<i32, Lane>,
    claiming: Option<Claiming>,
    looking: Option<JoinHandle<Result<BTreeMap<i32, Checkpoint>, DatabaseError>>>,
    /// First offset not written, by partition, as far as is known.
    written: BTreeMap<i32, i64>,
    looked_at: Duration,
    /// The partition that was served last: the next turn begins after it.
    served: i32,
}

struct Claiming {
    watermarks: BTreeMap<i32, Watermarks>,
    task: JoinHandle<Result<Vec<Claim>, DatabaseError>>,
}

/// One mirror process, across its sessions.
pub(super) struct Engine {
    parts: MirrorParts,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
    assigned: BTreeSet<i32>,
    events: VecDeque<SourceEvent>,
    /// High watermarks seen at the start, for [`RunMode::UntilEnd`].
    targets: Option<BTreeMap<i32, i64>>,
    is_paused: bool,
    summary: Summary,
    wait: Duration,
    /// Whether the database has ever let this process write.
    is_proven: bool,
}

impl Engine {
    pub(super) fn new(parts: MirrorParts, mode: RunMode, stop: watch::Receiver<Stop>) -> Self {
        Self {
            parts,
            mode,
            stop,
            assigned: BTreeSet::new(),
            events: VecDeque::new(),
            targets: None,
            is_paused: false,
            summary: Summary::default(),
            wait: SHORTEST,
            is_proven: false,
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, MirrorError> {
        let result = loop {
            self.parts.metrics.state(EngineState::Starting);
            let error = match self.session() {
                Ok(()) => break Ok(self.summary),
                Err(error) => error,
            };
            match self.cause(&error) {
                Some(cause) if !self.told_to_stop() => self.begin_again(cause, &error),
                _ => break Err(error),
            }
        };
        self.parts.metrics.state(EngineState::Stopped);
        self.parts.source.close();
        result
    }

    /// The one decision between beginning again, with a word for a metric, and halting.
    fn cause(&self, error: &MirrorError) -> Option<&'static str> {
        match error {
            MirrorError::Source(SourceError::Transient { .. }) => Some("source"),
            MirrorError::Source(SourceError::Halt { .. }) | MirrorError::DrainTimeout(_) => None,
            MirrorError::Database(error) => match error.kind {
                FailureKind::Transient => Some("store"),
                FailureKind::Fenced => Some("fenced"),
                // What is refused from the first call on is a matter of settings, what is refused
                // later may pass.
                FailureKind::Denied if self.is_proven => Some("store_denied"),
                FailureKind::Denied | FailureKind::Unfit => None,
            },
        }
    }

    /// Waits a while after a failure, staying in the group.
    fn begin_again(&mut self, cause: &'static str, error: &MirrorError) {
        self.summary.restarts += 1;
        self.parts.metrics.restart(cause);
        if self.wait == SHORTEST {
            tracing::warn!(
                cause,
                error = %ErrorChain(error),
                "the mirror dropped what was in hand; trying again until it works"
            );
        }
        if cause.starts_with("store") {
            self.parts.metrics.away(Away::Store, true);
        }
        let until = self.parts.clock.monotonic() + self.parts.chance.jitter(self.wait);
        self.wait = (self.wait * 2).min(LONGEST);
        while self.parts.clock.monotonic() < until && !self.told_to_stop() {
            if let Err(error) = self.poll_nothing(BUSY_WAIT) {
                tracing::debug!(%error, "polling during an outage failed");
                self.parts.clock.sleep(IDLE_WAIT);
            }
        }
    }

    fn told_to_stop(&self) -> bool {
        *self.stop.borrow() == Stop::Drain
    }

    /// Polls while nothing is being read; every partition is started anew before it is read again.
    fn poll_nothing(&mut self, wait: Duration) -> Result<(), SourceError> {
        let polled = self.parts.source.poll(wait, &mut |_| {})?;
        self.events.extend(polled.events);
        self.parts.metrics.polled(self.parts.clock.monotonic());
        Ok(())
    }

    fn session(&mut self) -> Result<(), MirrorError> {
        let topic = self.identify()?;
        let (mongo, plan) = (self.parts.mongo.clone(), self.parts.plan.clone());
        let opening = self.parts.runtime.spawn(async move {
            mongo.prepare(&plan).await?;
            checkpoint::read(&mongo).await
        });
        let checkpoints = self.wait_for(opening)??;
        checkpoint::refuse_recreated(checkpoints.values(), &topic)?;
        let mut session = Session {
            id: self.parts.chance.hex_id(),
            lanes: BTreeMap::new(),
            claiming: None,
            looking: None,
            written: next_offsets(&checkpoints),
            looked_at: Duration::ZERO,
            served: -1,
        };
        tracing::info!(
            session = session.id,
            place = self.parts.mongo.place(),
            "opened the mirror"
        );
        self.set_paused(false)?;
        let result = self.drive(&mut session, &topic);
        session.drop_work();
        if result.is_err() {
            self.set_paused(true)?;
        }
        result
    }

    fn identify(&mut self) -> Result<TopicIdentity, MirrorError> {
        let topic = self.parts.source.identify()?;
        if self.mode == RunMode::UntilEnd && self.targets.is_none() {
            let mut targets = BTreeMap::new();
            for partition in 0..topic.partitions {
                targets.insert(partition, self.parts.source.watermarks(partition)?.high);
            }
            self.targets = Some(targets);
        }
        Ok(topic)
    }

    /// Waits for work on the runtime while polling, so that the group keeps us.
    fn wait_for<T>(&mut self, task: JoinHandle<T>) -> Result<T, MirrorError> {
        while !task.is_finished() {
            self.poll_nothing(BUSY_WAIT)?;
        }
        Ok(self.finished(task))
    }

    /// The result of a task that is over.
    fn finished<T>(&self, task: JoinHandle<T>) -> T {
        match self.parts.runtime.block_on(task) {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => unreachable!("only a session that is over stops its tasks"),
        }
    }

    fn drive(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), MirrorError> {
        loop {
            self.poll(session)?;
            while let Some(event) = self.events.pop_front() {
                self.handle(session, event)?;
            }
            self.finish_claim(session)?;
            self.begin_claim(session, topic)?;
            self.collect(session)?;
            self.look(session)?;
            if self.told_to_stop() {
                self.parts.metrics.state(EngineState::Draining);
                let all: Vec<i32> = session.lanes.keys().copied().collect();
                return self.drain(session, &all);
            }
            self.dispatch(session, None);
            let held: usize = session.lanes.values().map(Lane::bytes).sum();
            self.parts.metrics.memory(held as u64, 0);
            self.set_paused(held >= self.parts.limits.budget_bytes)?;
            if self.reached_end(session) {
                return Ok(());
            }
        }
    }

    fn poll(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        let is_busy = session.claiming.is_some() || session.lanes.values().any(Lane::is_busy);
        let wait = if is_busy { BUSY_WAIT } else { IDLE_WAIT };
        let (lanes, limits) = (&mut session.lanes, &self.parts.limits);
        let now = self.parts.clock.monotonic();
        let polled = self.parts.source.poll(wait, &mut |message| {
            if let Some(lane) = lanes.get_mut(&message.partition) {
                lane.push(&message, limits, now);
            }
        })?;
        for (partition, next) in &polled.ends {
            if let Some(lane) = lanes.get_mut(partition) {
                lane.advance(*next, now);
            }
        }
        self.events.extend(polled.events);
        self.parts.metrics.polled(self.parts.clock.monotonic());
        self.parts.metrics.consumed(polled.messages as u64);
        Ok(())
    }

    fn handle(&mut self, session: &mut Session, event: SourceEvent) -> Result<(), MirrorError> {
        match event {
            SourceEvent::Assigned(partitions) => {
                tracing::info!(?partitions, "assigned to the mirror");
                self.assigned.extend(partitions);
            }
            SourceEvent::Revoked(partitions) => {
                tracing::info!(?partitions, "revoked from the mirror");
                let drained = self.drain(session, &partitions);
                self.forget(session, &partitions)?;
                if let Err(MirrorError::DrainTimeout(waited)) = drained {
                    return Err(MirrorError::Source(SourceError::Transient {
                        action: "write before giving partitions back".into(),
                        reason: format!("not done within {waited:?}"),
                    }));
                }
                drained?;
            }
            SourceEvent::Lost(partitions) => {
                tracing::warn!(?partitions, "lost without being asked; reading again");
                session.drop_work();
                self.forget(session, &partitions)?;
                return Err(MirrorError::Source(SourceError::Transient {
                    action: "stay in the group".into(),
                    reason: "partitions were taken away".into(),
                }));
            }
            SourceEvent::Away(reason) => {
                tracing::warn!(reason, "brokers are out of reach; the client keeps trying");
                self.parts.metrics.away(Away::Source, true);
            }
            SourceEvent::Back => {
                tracing::info!("brokers are back");
                self.parts.metrics.away(Away::Source, false);
            }
        }
        Ok(())
    }

    fn forget(&mut self, session: &mut Session, partitions: &[i32]) -> Result<(), MirrorError> {
        for partition in partitions {
            self.assigned.remove(partition);
            session.lanes.remove(partition);
        }
        self.parts.metrics.released(partitions);
        self.parts.source.release(partitions)?;
        Ok(())
    }

    /// Writes what was read of these partitions and waits for it.
    fn drain(&mut self, session: &mut Session, partitions: &[i32]) -> Result<(), MirrorError> {
        let until = self.parts.clock.monotonic() + self.parts.drain_timeout;
        self.set_paused(true)?;
        let is_busy = |session: &Session| {
            let lanes = partitions.iter().filter_map(|p| session.lanes.get(p));
            lanes.into_iter().any(Lane::is_busy)
        };
        while is_busy(session) {
            if self.parts.clock.monotonic() > until {
                return Err(MirrorError::DrainTimeout(self.parts.drain_timeout));
            }
            self.dispatch(session, Some(partitions));
            self.poll(session)?;
            self.collect(session)?;
        }
        Ok(())
    }

    fn begin_claim(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<(), MirrorError> {
        if session.claiming.is_some() {
            return Ok(());
        }
        let unclaimed = self
            .assigned
            .iter()
            .filter(|p| !session.lanes.contains_key(p));
        let unclaimed: Vec<i32> = unclaimed.copied().collect();
        if unclaimed.is_empty() {
            if session.lanes.is_empty() && self.assigned.is_empty() {
                self.parts.metrics.state(EngineState::Waiting);
            }
            return Ok(());
        }
        let mut watermarks = BTreeMap::new();
        for partition in &unclaimed {
            watermarks.insert(*partition, self.parts.source.watermarks(*partition)?);
        }
        // A mirror that begins at the latest messages fixes at once where every partition begins.
        let begins_latest =
            session.written.is_empty() && self.parts.first_start == FirstStart::Latest;
        let mut first: BTreeMap<i32, i64> = BTreeMap::new();
        if begins_latest {
            for partition in 0..topic.partitions {
                first.insert(partition, self.parts.source.watermarks(partition)?.high);
            }
        } else {
            first.extend(watermarks.iter().map(|(p, marks)| (*p, marks.low)));
        }
        let (mongo, topic, id) = (self.parts.mongo.clone(), topic.clone(), session.id.clone());
        let task = self.parts.runtime.spawn(async move {
            checkpoint::begin(&mongo, &topic, &first).await?;
            let mut claims = Vec::new();
            for partition in unclaimed {
                claims.push(checkpoint::claim(&mongo, partition, &id).await?);
            }
            Ok(claims)
        });
        session.claiming = Some(Claiming { watermarks, task });
        Ok(())
    }

    fn finish_claim(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        let Some(claiming) = session
            .claiming
            .take_if(|claiming| claiming.task.is_finished())
        else {
            return Ok(());
        };
        let claims = self.finished(claiming.task)?;
        let now = self.parts.clock.monotonic();
        let mut from = Vec::new();
        for claim in claims {
            let partition = claim.partition;
            if !self.assigned.contains(&partition) {
                continue;
            }
            let marks = claiming.watermarks[&partition];
            self.refuse_lost(&claim, marks)?;
            session.written.insert(partition, claim.next);
            let mut lane = Lane::new(claim);
            lane.advance(marks.low, now);
            from.push((partition, lane.position()));
            session.lanes.insert(partition, lane);
        }
        self.parts.source.start(&from)?;
        self.succeeded();
        tracing::info!(partitions = ?from, "mirroring from these offsets");
        Ok(())
    }

    /// Refuses where the topic no longer has what the checkpoint expects.
    fn refuse_lost(&self, claim: &Claim, marks: Watermarks) -> Result<(), SourceError> {
        let Claim {
            partition, next, ..
        } = *claim;
        let Watermarks { low, high } = marks;
        if next > high {
            return Err(SourceError::Halt {
                problem: format!(
                    "partition {partition} ends at offset {high}, but the mirror holds everything \
                     before {next}: the topic has lost messages"
                ),
                remedy: "restore the topic, or mirror it into another collection".into(),
            });
        }
        if next < low && !self.parts.accept_lost_offsets {
            return Err(SourceError::Halt {
                problem: format!(
                    "retention has passed the mirror: partition {partition} begins at offset {low}, \
                     the next one to mirror is {next}, so {} offsets are gone",
                    low - next
                ),
                remedy: "restore them, or set source.kafka.accept_lost_offsets = true to go on \
                         without them"
                    .into(),
            });
        }
        Ok(())
    }

    /// The database answers: an outage, if there was one, is over.
    fn succeeded(&mut self) {
        self.is_proven = true;
        self.wait = SHORTEST;
        self.parts.metrics.away(Away::Store, false);
        self.parts.metrics.state(EngineState::Running);
    }

    /// Begins to write what is due, each time from another partition on; with `only` whatever these
    /// partitions have.
    fn dispatch(&mut self, session: &mut Session, only: Option<&[i32]>) {
        let now = self.parts.clock.monotonic();
        let limits = self.parts.limits;
        let busy = session
            .lanes
            .values()
            .filter(|lane| lane.in_flight.is_some());
        let mut room = limits.transactions.saturating_sub(busy.count());
        let after = session.lanes.range(session.served + 1..).map(|(p, _)| *p);
        let before = session.lanes.range(..=session.served).map(|(p, _)| *p);
        let order: Vec<i32> = after.chain(before).collect();
        let ends = self.own_targets_read(session);
        for partition in order {
            let in_any_case = ends || only.is_some_and(|only| only.contains(&partition));
            let Some(lane) = session.lanes.get_mut(&partition).filter(|_| room > 0) else {
                continue;
            };
            let Some(batch) = lane.due(&limits, now, in_any_case) else {
                continue;
            };
            let writing = Writing {
                mongo: self.parts.mongo.clone(),
                plan: self.parts.plan.clone(),
                claim: lane.claim.clone(),
            };
            let bytes = batch.bytes();
            let (going_on, stopped) = oneshot::channel();
            let runtime = self.parts.runtime.clone();
            // Decoding keeps a thread busy, so it is not one of those that wait for the database.
            let task = self.parts.runtime.spawn_blocking(move || {
                runtime.block_on(async {
                    tokio::select! {
                        written = writing.write(&batch) => written,
                        _ = stopped => Err(DatabaseError::timeout("write a batch")),
                    }
                })
            });
            lane.in_flight = Some(InFlight {
                task,
                bytes,
                _going_on: going_on,
            });
            session.served = partition;
            room -= 1;
        }
    }

    /// Takes note of what was written.
    fn collect(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        let mut done = Vec::new();
        for lane in session.lanes.values_mut() {
            let finished = lane.in_flight.take_if(|flight| flight.task.is_finished());
            done.extend(finished.map(|flight| flight.task));
        }
        let mut next = Vec::new();
        for task in done {
            let written = self.finished(task)?;
            self.note(&written);
            next.push((written.partition, written.next));
            session.written.insert(written.partition, written.next);
            if let Some(lane) = session.lanes.get_mut(&written.partition) {
                lane.written = written.next;
            }
        }
        if !next.is_empty() {
            self.parts.source.acknowledge(&next);
            self.succeeded();
        }
        Ok(())
    }

    fn note(&mut self, written: &Written) {
        self.summary.transactions += written.transactions;
        self.summary.documents += written.documents;
        self.summary.dead_letters += written.dead_letters;
        self.summary.tombstones += written.tombstones;
        self.parts.metrics.unknown_fields(written.unknown_fields);
        self.parts.metrics.committed(&CommitReport {
            rows: written.documents,
            dead_letters: written.dead_letters,
            tombstones: written.tombstones,
            bytes: written.bytes,
            at_micros: self.parts.clock.wall_micros(),
            ..CommitReport::default()
        });
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), MirrorError> {
        if self.is_paused != paused {
            if paused {
                self.parts.source.pause()?;
            } else {
                self.parts.source.resume()?;
            }
            self.is_paused = paused;
        }
        Ok(())
    }

    /// Once a second: lag for the metrics, and what other mirrors have written.
    fn look(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        if let Some(looking) = session.looking.take_if(|looking| looking.is_finished()) {
            for (partition, next) in next_offsets(&self.finished(looking)?) {
                let known = session.written.entry(partition).or_insert(next);
                *known = next.max(*known);
            }
        }
        let now = self.parts.clock.monotonic();
        if now.saturating_sub(session.looked_at) < LOOK_EVERY {
            return Ok(());
        }
        session.looked_at = now;
        let now_ms = self.parts.clock.wall_micros() / 1_000;
        for (partition, lane) in &session.lanes {
            let Some(high) = self.parts.source.cached_high(*partition) else {
                continue;
            };
            let behind = (high - lane.written).max(0);
            let age = match lane.last_ms {
                Some(read) if behind > 0 => u64::try_from(now_ms - read).unwrap_or(0),
                _ => 0,
            };
            self.parts.metrics.lag(*partition, behind);
            self.parts
                .metrics
                .lag_age(*partition, Duration::from_millis(age));
        }
        let others = self
            .targets
            .as_ref()
            .is_some_and(|targets| targets.len() > session.lanes.len());
        if others && session.looking.is_none() {
            let mongo = self.parts.mongo.clone();
            let looking = async move { checkpoint::read(&mongo).await };
            session.looking = Some(self.parts.runtime.spawn(looking));
        }
        Ok(())
    }

    /// Until-end: whether every target of the partitions we read has been read.
    fn own_targets_read(&self, session: &Session) -> bool {
        self.targets.as_ref().is_some_and(|targets| {
            let target = |partition| targets.get(partition).copied().unwrap_or(0);
            let mut lanes = session.lanes.iter();
            lanes.all(|(partition, lane)| lane.position() >= target(partition))
        })
    }

    /// Until-end: whether everything before the targets is written, by us or by others.
    fn reached_end(&self, session: &Session) -> bool {
        self.targets.as_ref().is_some_and(|targets| {
            let mut targets = targets.iter();
            targets.all(|(partition, target)| {
                let written = session.written.get(partition);
                written.is_some_and(|next| next >= target)
            })
        })
    }
}

impl Session {
    /// Stops what is under way. The checkpoint tells the next session what of it was committed.
    fn drop_work(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.in_flight = None;
        }
        if let Some(claiming) = &self.claiming {
            claiming.task.abort();
        }
        if let Some(looking) = &self.looking {
            looking.abort();
        }
    }
}

fn next_offsets(checkpoints: &BTreeMap<i32, Checkpoint>) -> BTreeMap<i32, i64> {
    let next = checkpoints.iter();
    next.map(|(partition, checkpoint)| (*partition, checkpoint.next))
        .collect()
}
