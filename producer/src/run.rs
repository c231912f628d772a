//! One run: messages are made at their pace, handed to the sink, counted, and waited for.
//!
//! Stream ──► Pace ──► Sink ──► Totals ──► RunReport
//!
//! Owns the loop, transactions, and what becomes of the run when it is interrupted or fails. Knows
//! neither Kafka nor the command line.

use std::time::Duration;

use chrono_tz::Tz;

use crate::chance::{Chance, Purpose, Ratio};
use crate::clock::Clock;
use crate::deliver::{DeliverError, Deliveries, Sent, Sink};
use crate::pace::{Pace, Rate};
use crate::progress::{Progress, State};
use crate::replay::ReplayError;
use crate::stop::Stop;
use crate::stream::Stream;
use crate::totals::Totals;

/// How a run is driven.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Messages a second.
    pub rate: Rate,
    /// The zone whose days the totals are kept by.
    pub zone: Tz,
    /// Sends in transactions.
    pub transactions: Option<TransactionSettings>,
}

/// When a transaction ends, and how.
#[derive(Debug, Clone, Copy)]
pub struct TransactionSettings {
    /// Messages in a transaction.
    pub size: u64,
    /// The longest a transaction stays open.
    pub age: Duration,
    /// The share of transactions that are aborted on purpose.
    pub abort_ratio: Ratio,
    /// The choice of these.
    pub seed: u64,
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The sink.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// The file that is replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

/// What a run did.
#[derive(Debug)]
pub struct RunReport {
    /// All that readers of the topic are to find, provided that nothing is undelivered.
    pub totals: Totals,
    /// What became of the messages.
    pub deliveries: Deliveries,
    /// Messages of transactions that were aborted on purpose: in the topic, but not to be read.
    pub aborted_messages: u64,
    /// From the first message to the last delivery.
    pub elapsed: Duration,
    /// A signal ended the run.
    pub interrupted: bool,
    /// An error ended the run.
    pub failure: Option<RunError>,
}

/// What the run works with.
#[derive(Debug)]
pub struct Tools<'a> {
    /// Time.
    pub clock: &'a dyn Clock,
    /// The wish to stop.
    pub stop: &'a Stop,
    /// Where progress is shown.
    pub progress: Progress,
}

/// Sends the messages of a stream until it ends, the run is stopped or an error ends it, and waits
/// for their delivery.
pub fn run(
    stream: &mut Stream,
    sink: &mut dyn Sink,
    settings: &RunSettings,
    tools: Tools<'_>,
) -> RunReport {
    let start = tools.clock.monotonic();
    let aborts = settings
        .transactions
        .map(|t| Chance::new(t.seed, Purpose::Aborts));
    let mut run = Run {
        stream,
        sink,
        settings,
        start,
        tools,
        totals: Totals::new(settings.zone),
        transaction: None,
        aborts,
        aborted_messages: 0,
        lost_with_transaction: 0,
    };
    let outcome = run.drive();
    run.close(outcome.err())
}

struct Run<'a> {
    stream: &'a mut Stream,
    sink: &'a mut dyn Sink,
    settings: &'a RunSettings,
    start: Duration,
    tools: Tools<'a>,
    totals: Totals,
    transaction: Option<Transaction>,
    aborts: Option<Chance>,
    aborted_messages: u64,
    /// Messages of a transaction that was to be committed and is not known to be.
    lost_with_transaction: u64,
}

/// A transaction that is open.
struct Transaction {
    totals: Totals,
    since: Duration,
    /// It will be aborted on purpose.
    doomed: bool,
}

impl Run<'_> {
    fn drive(&mut self) -> Result<(), RunError> {
        let mut pace = Pace::new(self.settings.rate);
        while !self.tools.stop.is_requested() {
            let elapsed = self.elapsed();
            let allowed = pace.allowance(elapsed);
            if allowed == 0 {
                self.tools.clock.sleep(pace.pause(elapsed));
            }
            if !self.send(allowed)? {
                break;
            }
            self.sink.tend()?;
            self.end_old_transaction()?;
            self.show_progress();
        }
        self.end_transaction()
    }

    /// Sends so many messages; false when there are no more or the sink takes no more.
    fn send(&mut self, count: u64) -> Result<bool, RunError> {
        for _ in 0..count {
            if self.settings.transactions.is_some() && self.transaction.is_none() {
                self.begin_transaction()?;
            }
            let Some(message) = self.stream.next_message()? else {
                return Ok(false);
            };
            if self.sink.send(message.key, message.value)? == Sent::Abandoned {
                return Ok(false);
            }
            let totals = match &mut self.transaction {
                Some(transaction) => &mut transaction.totals,
                None => &mut self.totals,
            };
            totals.count(&message.fact, message.value.len());
            self.end_full_transaction()?;
        }
        Ok(true)
    }

    fn begin_transaction(&mut self) -> Result<(), RunError> {
        self.sink.begin()?;
        let ratio = self
            .settings
            .transactions
            .map_or(Ratio::NEVER, |t| t.abort_ratio);
        let doomed = self
            .aborts
            .as_mut()
            .is_some_and(|aborts| aborts.happens(ratio));
        let (totals, since) = (Totals::new(self.settings.zone), self.elapsed());
        self.transaction = Some(Transaction {
            totals,
            since,
            doomed,
        });
        Ok(())
    }

    fn end_full_transaction(&mut self) -> Result<(), RunError> {
        match (&self.transaction, self.settings.transactions) {
            (Some(open), Some(rule)) if open.totals.messages() >= rule.size => {
                self.end_transaction()
            }
            _ => Ok(()),
        }
    }

    fn end_old_transaction(&mut self) -> Result<(), RunError> {
        let elapsed = self.elapsed();
        match (&self.transaction, self.settings.transactions) {
            (Some(open), Some(rule)) if elapsed - open.since >= rule.age => self.end_transaction(),
            _ => Ok(()),
        }
    }

    fn end_transaction(&mut self) -> Result<(), RunError> {
        let Some(Transaction { totals, doomed, .. }) = self.transaction.take() else {
            return Ok(());
        };
        if doomed {
            self.sink.abort()?;
            self.stream.forget();
            self.aborted_messages += totals.messages();
            return Ok(());
        }
        self.lost_with_transaction = totals.messages();
        self.sink.commit()?;
        self.lost_with_transaction = 0;
        self.totals.merge(totals);
        Ok(())
    }

    fn show_progress(&mut self) {
        let elapsed = self.elapsed();
        if !self.tools.progress.is_due(elapsed) {
            return;
        }
        while let Some(notice) = self.sink.take_notice() {
            self.tools.progress.notice(&notice);
        }
        let deliveries = self.sink.deliveries();
        let state = State {
            elapsed,
            messages: self.stream.made(),
            deliveries: &deliveries,
        };
        self.tools.progress.show(&state);
    }

    /// Ends what is open and waits for what is under way.
    fn close(mut self, failure: Option<RunError>) -> RunReport {
        let mut failure = failure;
        if let Some(open) = self.transaction.take() {
            self.lost_with_transaction += open.totals.messages();
        }
        if self.lost_with_transaction > 0 {
            // What matters is the error that led here; the broker aborts in the end by itself.
            let _ = self.sink.abort();
        }
        if let Err(error) = self.sink.finish(None) {
            failure.get_or_insert(error.into());
        }
        while let Some(notice) = self.sink.take_notice() {
            self.tools.progress.notice(&notice);
        }
        self.tools.progress.clear();
        let mut deliveries = self.sink.deliveries();
        deliveries.undelivered += self.lost_with_transaction;
        if self.lost_with_transaction > 0 {
            let reason = "TransactionNotCommitted".to_owned();
            deliveries.errors.insert(reason, self.lost_with_transaction);
        }
        RunReport {
            totals: self.totals.clone(),
            deliveries,
            aborted_messages: self.aborted_messages,
            elapsed: self.elapsed(),
            interrupted: self.tools.stop.is_requested(),
            failure,
        }
    }

    fn elapsed(&self) -> Duration {
        self.tools.clock.monotonic().saturating_sub(self.start)
    }
}
