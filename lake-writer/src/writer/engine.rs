//! The loop: poll, fill the cut, rotate, commit; and begin again where the log stands whenever
//! something fails.
//!
//! A *session* is one stretch between two failures: a log folded and rolled forward, claims, and
//! cuts read under them. What the group assigned outlives sessions; nothing else does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::commit::{CommitError, Log};
use crate::error_chain::ErrorChain;
use crate::source::{SourceError, SourceEvent, TopicIdentity};
use crate::telemetry::{Away, EngineState, Phase};

use super::assign::{self, Wanted};
use super::commit::{self, Committed};
use super::cut::Relief;
use super::outage::{Backoff, Policy, policy};
use super::read_times::ReadTimes;
use super::session::{Session, finished, next_offsets};
use super::upkeep::Upkeep;
use super::{RunMode, Stop, Summary, WriterError, WriterParts};

/// Wait for messages when nothing else is going on: bounds how late a rotation by age or a stop is
/// noticed.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// Wait for messages while a claim or commit is under way, whose end should be noticed soon.
const BUSY_WAIT: Duration = Duration::from_millis(5);
/// How long the end of a run waits for a checkpoint that is being written.
const CHECKPOINT_WAIT: Duration = Duration::from_secs(10);
/// How often lag is looked at, and the log for the progress of other writers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// One writer process, across its sessions.
pub(super) struct Engine {
    parts: WriterParts,
    mode: RunMode,
    stop: watch::Receiver<Stop>,
    /// Partitions the group has given us.
    assigned: BTreeSet<i32>,
    events: VecDeque<SourceEvent>,
    /// High watermarks seen at the start, for [`RunMode::UntilEnd`].
    targets: Option<BTreeMap<i32, i64>>,
    /// Whether fetching is stopped, by us.
    paused: bool,
    summary: Summary,
    backoff: Backoff,
    /// Whether a session of this process has claimed or committed before.
    proven: bool,
}

impl Engine {
    pub(super) fn new(parts: WriterParts, mode: RunMode, stop: watch::Receiver<Stop>) -> Self {
        Self {
            parts,
            mode,
            stop,
            assigned: BTreeSet::new(),
            events: VecDeque::new(),
            targets: None,
            paused: false,
            summary: Summary::default(),
            backoff: Backoff::new(),
            proven: false,
        }
    }

    pub(super) fn run(mut self) -> Result<Summary, WriterError> {
        let result = loop {
            self.parts.metrics.state(EngineState::Starting);
            let error = match self.session() {
                Ok(()) => break Ok(self.summary),
                Err(error) => error,
            };
            match policy(&error, self.proven) {
                Policy::Halt => break Err(error),
                Policy::Again(cause) => self.begin_again(cause, &error),
            }
            if self.told_to_stop() {
                break Err(error);
            }
        };
        self.parts.metrics.state(EngineState::Stopped);
        self.parts.source.close();
        result
    }

    /// Waits a while after a failure, staying in the group. Said once for an outage, not at every
    /// try.
    fn begin_again(&mut self, cause: &'static str, error: &WriterError) {
        self.summary.restarts += 1;
        self.parts.metrics.restart(cause);
        if self.backoff.is_reset() {
            tracing::warn!(
                cause,
                error = %ErrorChain(error),
                "dropped what was in hand; trying again until it works"
            );
        }
        if cause.starts_with("store") {
            self.parts.metrics.away(Away::Store, true);
        }
        let wait = self.backoff.wait(&mut self.parts.chance);
        let until = self.parts.clock.monotonic() + wait;
        while self.parts.clock.monotonic() < until && !self.told_to_stop() {
            if let Err(error) = self.poll_nothing(IDLE_WAIT) {
                tracing::debug!(%error, "polling during an outage failed");
                self.parts.clock.sleep(IDLE_WAIT);
            }
        }
    }

    fn told_to_stop(&self) -> bool {
        *self.stop.borrow() == Stop::Drain
    }

    /// Polls while nothing is being read: the group stays ours, events are kept for later. What was
    /// fetched before reading stopped is dropped; every partition is started anew at the log's
    /// offset before it is read again.
    fn poll_nothing(&mut self, wait: Duration) -> Result<(), SourceError> {
        let polled = self.parts.source.poll(wait, &mut |_| {})?;
        self.events.extend(polled.events);
        self.parts.metrics.polled(self.parts.clock.monotonic());
        Ok(())
    }

    /// One session, to the end of the run or to a failure.
    fn session(&mut self) -> Result<(), WriterError> {
        let topic = self.identify()?;
        let mut session = self.open_session(&topic)?;
        let result = self.drive(&mut session, &topic);
        if result.is_ok() {
            self.finish_checkpoint(&session);
        }
        // What the log holds is finished by the next session or start; the rest is read again.
        session.drop_work();
        if result.is_err() {
            self.set_paused(true)?;
        }
        result
    }

    /// Lets a checkpoint that was begun come to its end. Where every run ends with its first commits, as
    /// a nightly `--until-end` does, none would ever be written otherwise.
    fn finish_checkpoint(&mut self, session: &Session) {
        let until = self.parts.clock.monotonic() + CHECKPOINT_WAIT;
        while session.upkeep.is_checkpointing() && self.parts.clock.monotonic() < until {
            if self.poll_nothing(BUSY_WAIT).is_err() {
                return;
            }
        }
    }

    fn identify(&mut self) -> Result<TopicIdentity, WriterError> {
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

    /// Folds the log and finishes what a crash has left.
    fn open_session(&mut self, topic: &TopicIdentity) -> Result<Session, WriterError> {
        let began = self.parts.clock.monotonic();
        let (store, clock) = (self.parts.store.clone(), self.parts.clock.clone());
        let (chance, definition) = (self.parts.chance.split(), self.parts.definition.clone());
        let opening = self.parts.runtime.spawn(async move {
            let mut log = Log::open(store, clock, chance, definition).await?;
            let finished = log.roll_forward().await?;
            Ok::<_, CommitError>((log, finished))
        });
        let (log, finished) = self.wait_for(opening)??;
        self.parts
            .metrics
            .phase(Phase::Recover, self.parts.clock.monotonic() - began);
        if finished > 0 {
            tracing::info!(
                commits = finished,
                "finished publishing commits of an earlier run"
            );
        }
        assign::refuse_recreated(log.state(), topic, self.parts.accept_topic_id.as_deref())?;
        let cut = (self.parts.make_cut)(log.session())?;
        tracing::info!(
            session = log.session(),
            head = log.state().head,
            "opened the commit log"
        );
        Ok(Session {
            published: next_offsets(&log, topic),
            begins_latest: assign::begins_latest(log.state(), topic, self.parts.first_start),
            log: Arc::new(Mutex::new(log)),
            cut,
            reading: BTreeMap::new(),
            claiming: None,
            committing: None,
            looking: None,
            read_times: ReadTimes::default(),
            looked_at: Duration::ZERO,
            upkeep: Upkeep::new(
                self.parts.upkeep,
                self.parts.runtime.clone(),
                self.parts.clock.monotonic(),
            ),
            identity_retry_at: Duration::ZERO,
        })
    }

    /// Waits for work on the runtime while polling, so that the group keeps us.
    fn wait_for<T>(&mut self, task: JoinHandle<T>) -> Result<T, WriterError> {
        while !task.is_finished() {
            self.poll_nothing(BUSY_WAIT)?;
        }
        Ok(finished(&self.parts.runtime, task))
    }

    fn drive(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), WriterError> {
        loop {
            self.poll(session)?;
            while let Some(event) = self.events.pop_front() {
                self.handle(session, topic, event)?;
            }
            self.finish_claim(session)?;
            self.begin_claim(session, topic)?;
            self.finish_commit(session)?;
            self.look(session, topic)?;
            if self.told_to_stop() {
                return self.drain(session, topic);
            }
            if self.rotation_due(session)? && self.same_topic(session, topic)? {
                self.begin_commit(session);
            }
            if self.reached_end(session) {
                return Ok(());
            }
        }
    }

    fn poll(&mut self, session: &mut Session) -> Result<(), WriterError> {
        let wait = if session.is_busy() {
            BUSY_WAIT
        } else {
            IDLE_WAIT
        };
        let (cut, read_times) = (&mut session.cut, &mut session.read_times);
        let polled = self.parts.source.poll(wait, &mut |message| {
            read_times.saw(&message);
            cut.accept(message);
        })?;
        for (partition, next) in &polled.ends {
            cut.advance(*partition, *next);
        }
        self.events.extend(polled.events);
        let metrics = &self.parts.metrics;
        metrics.polled(self.parts.clock.monotonic());
        metrics.consumed(polled.messages as u64);
        Ok(())
    }

    fn handle(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        event: SourceEvent,
    ) -> Result<(), WriterError> {
        match event {
            SourceEvent::Assigned(partitions) => {
                tracing::info!(?partitions, "assigned");
                self.assigned.extend(partitions);
            }
            SourceEvent::Revoked(partitions) => {
                tracing::info!(?partitions, "revoked");
                let kept = self.give_back(session, topic, &partitions);
                if kept.is_err() {
                    session.drop_work();
                }
                self.forget(session, &partitions)?;
                kept?;
            }
            SourceEvent::Lost(partitions) => {
                tracing::warn!(
                    ?partitions,
                    "lost without being asked; reading again from the log"
                );
                session.drop_work();
                self.forget(session, &partitions)?;
                return Err(WriterError::Source(SourceError::Transient {
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

    /// Commits what was read of partitions that the group asks back. What cannot be committed in
    /// time is dropped with the session: the next owner reads it again.
    fn give_back(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        asked: &[i32],
    ) -> Result<(), WriterError> {
        match self.commit_asked(session, topic, asked) {
            Err(WriterError::DrainTimeout(waited)) => {
                Err(WriterError::Source(SourceError::Transient {
                    action: "commit before giving partitions back".into(),
                    reason: format!("not done within {waited:?}"),
                }))
            }
            result => result,
        }
    }

    fn commit_asked(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        asked: &[i32],
    ) -> Result<(), WriterError> {
        // A claim under way may take partitions that are about to be another's: harmless, since the
        // next owner claims them again, and simplest once it is over.
        let until = self.drain_deadline();
        while session.claiming.is_some() {
            self.poll_until(session, until)?;
            self.finish_claim(session)?;
        }
        if !asked
            .iter()
            .any(|partition| session.reading.contains_key(partition))
        {
            return Ok(());
        }
        self.commit_all(session, topic, until)
    }

    fn forget(&mut self, session: &mut Session, partitions: &[i32]) -> Result<(), WriterError> {
        session.cut.forget(partitions);
        for partition in partitions {
            self.assigned.remove(partition);
            session.reading.remove(partition);
        }
        self.parts.metrics.released(partitions);
        self.parts.source.release(partitions)?;
        Ok(())
    }

    fn begin_claim(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<(), WriterError> {
        let unclaimed = || {
            self.assigned
                .iter()
                .filter(|p| !session.reading.contains_key(p))
        };
        if session.claiming.is_some() || unclaimed().next().is_none() {
            return Ok(());
        }
        let mut watermarks = BTreeMap::new();
        for partition in unclaimed().copied().collect::<Vec<_>>() {
            watermarks.insert(partition, self.parts.source.watermarks(partition)?);
        }
        let mut begins = BTreeMap::new();
        if session.begins_latest {
            for partition in 0..topic.partitions {
                begins.insert(partition, self.parts.source.watermarks(partition)?.high);
            }
        }
        let wanted = Wanted {
            topic: topic.clone(),
            watermarks,
            begins,
        };
        let claim = assign::claim(session.log.clone(), wanted.clone());
        session.claiming = Some((wanted, self.parts.runtime.spawn(claim)));
        Ok(())
    }

    fn finish_claim(&mut self, session: &mut Session) -> Result<(), WriterError> {
        let Some((wanted, claiming)) = session.claiming.take() else {
            return Ok(());
        };
        if !claiming.is_finished() {
            session.claiming = Some((wanted, claiming));
            return Ok(());
        }
        let claimed = finished(&self.parts.runtime, claiming)?;
        let mut from = Vec::new();
        for start in wanted.starts(&claimed, self.parts.accept_lost_offsets)? {
            let partition = start.held.source.partition;
            if !self.assigned.contains(&partition) {
                continue;
            }
            session.cut.begin(partition, start.committed);
            session.cut.advance(partition, start.read_from);
            session.published.insert(partition, start.committed);
            from.push((partition, start.read_from));
            session.reading.insert(partition, start.held);
        }
        self.parts.source.start(&from)?;
        session.begins_latest = false;
        self.succeeded();
        tracing::info!(partitions = ?from, "reading from these offsets");
        let now = self.parts.clock.monotonic();
        session.upkeep.sweep(session.log.clone(), now);
        Ok(())
    }

    /// The store answers: an outage, if there was one, is over.
    fn succeeded(&mut self) {
        self.proven = true;
        self.backoff.reset();
        self.parts.metrics.away(Away::Store, false);
        self.parts.metrics.state(EngineState::Running);
    }

    /// Whether to commit now. Pauses the source while there is no room for more.
    fn rotation_due(&mut self, session: &mut Session) -> Result<bool, WriterError> {
        let relief = session.cut.relieve().map_err(CommitError::Store)?;
        let contents = session.cut.contents();
        let now = self.parts.clock.monotonic();
        let due = relief == Relief::CommitNow
            || self.parts.rotation.due(&contents, now).is_some()
            // Targets may lie behind the markers of transactions, which are no messages.
            || (session.cut.has_moved() && self.own_targets_read(session));
        // One commit at a time; while it is under way the next cut fills up to its own rotation.
        let crowded = relief == Relief::Wait || (due && session.committing.is_some());
        self.set_paused(crowded)?;
        Ok(due && session.committing.is_none())
    }

    fn set_paused(&mut self, paused: bool) -> Result<(), WriterError> {
        if self.paused != paused {
            if paused {
                self.parts.source.pause()?;
            } else {
                self.parts.source.resume()?;
            }
            self.paused = paused;
        }
        Ok(())
    }

    fn begin_commit(&mut self, session: &mut Session) {
        let began = self.parts.clock.monotonic();
        let sealing = session.cut.seal();
        self.parts
            .metrics
            .phase(Phase::Seal, self.parts.clock.monotonic() - began);
        let held = session.reading.clone();
        for held in session.reading.values_mut() {
            held.lost = 0;
        }
        let (clock, metrics) = (self.parts.clock.clone(), self.parts.metrics.clone());
        let commit = commit::commit(session.log.clone(), sealing, held, clock, metrics);
        session.committing = Some(self.parts.runtime.spawn(commit));
    }

    fn finish_commit(&mut self, session: &mut Session) -> Result<(), WriterError> {
        let Some(committing) = session.committing.take() else {
            return Ok(());
        };
        if !committing.is_finished() {
            session.committing = Some(committing);
            return Ok(());
        }
        let Committed {
            report,
            next,
            since_checkpoint,
        } = finished(&self.parts.runtime, committing)?;
        if session.upkeep.wants_checkpoint(since_checkpoint) {
            session.upkeep.checkpoint(session.log.clone());
        }
        session.published.extend(next.iter().copied());
        self.parts.source.acknowledge(&next);
        self.parts.metrics.committed(&report);
        self.summary.commits += 1;
        self.summary.rows += report.rows;
        self.summary.files += report.files;
        self.summary.bytes += report.bytes;
        self.summary.dead_letters += report.dead_letters;
        self.summary.tombstones += report.tombstones;
        self.succeeded();
        tracing::info!(
            record = report.record,
            rows = report.rows,
            files = report.files,
            dead_letters = report.dead_letters,
            "committed and published"
        );
        Ok(())
    }

    fn drain_deadline(&self) -> Duration {
        self.parts.clock.monotonic() + self.parts.drain_timeout
    }

    /// Commits everything in hand and waits for it.
    fn commit_all(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
        until: Duration,
    ) -> Result<(), WriterError> {
        self.set_paused(true)?;
        while session.committing.is_some() || !session.cut.is_empty() {
            if session.committing.is_none() && self.same_topic(session, topic)? {
                self.begin_commit(session);
            }
            self.poll_until(session, until)?;
            self.finish_commit(session)?;
        }
        self.set_paused(false)
    }

    /// Polls once more, unless the deadline has passed. The source is paused, or what still comes
    /// goes into the cut.
    fn poll_until(&mut self, session: &mut Session, until: Duration) -> Result<(), WriterError> {
        if self.parts.clock.monotonic() > until {
            return Err(WriterError::DrainTimeout(self.parts.drain_timeout));
        }
        self.poll(session)
    }

    fn drain(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), WriterError> {
        self.parts.metrics.state(EngineState::Draining);
        tracing::info!("told to stop; committing what is in hand");
        let until = self.drain_deadline();
        self.commit_all(session, topic, until)
    }

    /// Whether everything in the cut was read from the topic that the session began with. Topic ids
    /// never return, so one look after reading is enough. `false` while the brokers cannot say.
    fn same_topic(
        &mut self,
        session: &mut Session,
        topic: &TopicIdentity,
    ) -> Result<bool, WriterError> {
        let now = self.parts.clock.monotonic();
        if now < session.identity_retry_at {
            return Ok(false);
        }
        match self.parts.source.identify() {
            Ok(found) if found.topic_id == topic.topic_id => Ok(true),
            Ok(found) => Err(WriterError::Source(SourceError::Transient {
                action: "commit".into(),
                reason: format!(
                    "topic `{}` was deleted and created again while it was read: id {} became {}",
                    topic.name, topic.topic_id, found.topic_id
                ),
            })),
            Err(SourceError::Transient { action, reason }) => {
                tracing::debug!(action, reason, "the commit waits until the brokers answer");
                session.identity_retry_at = now + LOOK_EVERY;
                Ok(false)
            }
            Err(halt) => Err(halt.into()),
        }
    }

    /// Once a second: lag for the metrics, and what other writers have published.
    fn look(&mut self, session: &mut Session, topic: &TopicIdentity) -> Result<(), WriterError> {
        if let Some(looking) = session.looking.take() {
            if looking.is_finished() {
                // It may have looked before a commit of ours that has ended since: offsets only grow.
                for (partition, next) in finished(&self.parts.runtime, looking)? {
                    let known = session.published.entry(partition).or_insert(next);
                    *known = next.max(*known);
                }
            } else {
                session.looking = Some(looking);
            }
        }
        let now = self.parts.clock.monotonic();
        if now.saturating_sub(session.looked_at) < LOOK_EVERY {
            return Ok(());
        }
        session.looked_at = now;
        session.upkeep.sweep_if_due(&session.log, now);
        for partition in session.reading.keys() {
            let high = self.parts.source.cached_high(*partition);
            if let (Some(high), Some(at)) = (high, session.cut.position(*partition)) {
                self.report_lag(*partition, (high - at).max(0), &session.read_times);
            }
        }
        let others = self
            .targets
            .as_ref()
            .is_some_and(|t| t.len() > session.reading.len());
        if others && session.looking.is_none() {
            let (log, topic) = (session.log.clone(), topic.clone());
            session.looking = Some(self.parts.runtime.spawn(async move {
                let mut log = log.lock().await;
                log.catch_up().await?;
                Ok(next_offsets(&log, &topic))
            }));
        }
        Ok(())
    }

    /// Behind by so many messages, and in time by the age of the last one that was read.
    fn report_lag(&self, partition: i32, messages: i64, read_times: &ReadTimes) {
        let now_ms = self.parts.clock.wall_micros() / 1_000;
        let age_ms = match read_times.last_ms(partition) {
            Some(read_ms) if messages > 0 => now_ms - read_ms,
            _ => 0,
        };
        let age = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0));
        self.parts.metrics.lag(partition, messages);
        self.parts.metrics.lag_age(partition, age);
    }

    /// Until-end: whether every target of the partitions we read has been read, and one of them is
    /// not published yet.
    fn own_targets_read(&self, session: &Session) -> bool {
        let Some(targets) = &self.targets else {
            return false;
        };
        let target = |partition: &i32| targets.get(partition).copied().unwrap_or(0);
        let read = |p: &i32| session.cut.position(*p).is_some_and(|at| at >= target(p));
        let unpublished = |p: &i32| {
            session
                .published
                .get(p)
                .is_none_or(|next| *next < target(p))
        };
        session.reading.keys().all(read) && session.reading.keys().any(unpublished)
    }

    /// Until-end: whether everything before the targets is published, by us or by others.
    fn reached_end(&self, session: &Session) -> bool {
        session.committing.is_none()
            && self.targets.as_ref().is_some_and(|targets| {
                targets.iter().all(|(partition, target)| {
                    session
                        .published
                        .get(partition)
                        .is_some_and(|next| next >= target)
                })
            })
    }
}
