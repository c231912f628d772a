//! Batches on their way into the database, one at a time of each partition.

use tokio::sync::oneshot;

use crate::mirror::MirrorError;
use crate::mirror::failure::DatabaseError;
use crate::mirror::lane::{InFlight, Lane};
use crate::mirror::transaction::{Writing, Written};
use crate::telemetry::CommitReport;

use super::Engine;
use super::session::Session;

impl Engine {
    /// Writes what was read of these partitions and waits for it.
    pub(super) fn drain(
        &mut self,
        session: &mut Session,
        partitions: &[i32],
    ) -> Result<(), MirrorError> {
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

    /// Begins to write what is due, each time from another partition on; with `only` whatever these
    /// partitions have.
    pub(super) fn dispatch(&mut self, session: &mut Session, only: Option<&[i32]>) {
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
    pub(super) fn collect(&mut self, session: &mut Session) -> Result<(), MirrorError> {
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
}
