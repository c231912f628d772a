//! Batches on their way into the database, one at a time of each lane.

use tokio::sync::oneshot;

use crate::mirror::MirrorError;
use crate::mirror::batch::Batch;
use crate::mirror::failure::DatabaseError;
use crate::mirror::lane::{InFlight, Lane};
use crate::mirror::write::{Writing, Written};
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
        let until = self.member.clock.monotonic() + self.member.drain_timeout;
        self.member.set_paused(true)?;
        let is_busy = |session: &Session| {
            let lanes = partitions.iter().filter_map(|p| session.lanes.of(*p));
            lanes.into_iter().any(Lane::is_busy)
        };
        while is_busy(session) {
            if self.member.clock.monotonic() > until {
                return Err(MirrorError::DrainTimeout(self.member.drain_timeout));
            }
            self.dispatch(session, Some(partitions));
            self.poll(session)?;
            self.collect(session)?;
        }
        Ok(())
    }

    /// Begins to write what is due; with `only` whatever the lanes of these partitions have.
    pub(super) fn dispatch(&mut self, session: &mut Session, only: Option<&[i32]>) {
        let now = self.member.clock.monotonic();
        let ends = self.own_targets_read(session);
        for lane in &mut session.lanes.all {
            let holds = |only: &[i32]| only.iter().any(|p| lane.held.contains_key(p));
            let in_any_case = ends || only.is_some_and(holds);
            if let Some(batch) = lane.due(&self.limits, now, in_any_case) {
                self.begin_writing(lane, batch);
            }
        }
    }

    fn begin_writing(&self, lane: &mut Lane, batch: Batch) {
        let claims = lane.held.iter().map(|(p, held)| (*p, held.claim));
        let writing = Writing {
            mongo: self.mongo.clone(),
            plan: self.plan.clone(),
            server_session: lane.server_session.clone(),
            claims: claims.collect(),
            learned: lane.learned.clone(),
        };
        let bytes = batch.bytes();
        let (going_on, stopped) = oneshot::channel();
        let runtime = self.member.runtime.clone();
        // Decoding keeps a thread busy, so it is not one of those that wait for the database.
        let task = self.member.runtime.spawn_blocking(move || {
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
    }

    /// Takes note of what was written.
    pub(super) fn collect(&mut self, session: &mut Session) -> Result<(), MirrorError> {
        let mut done = Vec::new();
        for lane in &mut session.lanes.all {
            let finished = lane.in_flight.take_if(|flight| flight.task.is_finished());
            done.extend(finished.map(|flight| flight.task));
        }
        let mut next = Vec::new();
        for task in done {
            let written = self.member.finished(task)?;
            self.note(&written);
            for (partition, offset) in written.next {
                session.written.insert(partition, offset);
                session.lanes.written(partition, offset);
                next.push((partition, offset));
            }
        }
        if !next.is_empty() {
            self.member.source.acknowledge(&next);
            self.member.succeeded();
        }
        Ok(())
    }

    fn note(&mut self, written: &Written) {
        self.summary.transactions += written.transactions;
        let counts = written.counts;
        self.summary.documents += counts.documents;
        self.summary.dead_letters += counts.dead_letters;
        self.summary.tombstones += counts.tombstones;
        self.member.metrics.unknown_fields(written.unknown_fields);
        self.member.metrics.committed(&CommitReport {
            rows: counts.documents,
            dead_letters: counts.dead_letters,
            tombstones: counts.tombstones,
            bytes: written.bytes,
            at_micros: self.member.clock.wall_micros(),
            ..CommitReport::default()
        });
    }
}
