//! Whole runs against a sink that keeps what it is given: pace, transactions, interruption.

// The functions beside the tests are tests too; the lint does not see that.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chrono_tz::Tz;
use sales_producer::chance::Ratio;
use sales_producer::clock::{Clock, ManualClock};
use sales_producer::company::till::{Till, TillSettings};
use sales_producer::company::timeline::EventTimes;
use sales_producer::deliver::{DeliverError, Deliveries, Sent, Sink};
use sales_producer::encode::{Decimals, Encoder, JsonEncoder, JsonStyle, Layout};
use sales_producer::pace::Rate;
use sales_producer::progress::Progress;
use sales_producer::run::{RunReport, RunSettings, Tools, TransactionSettings, run};
use sales_producer::stop::Stop;
use sales_producer::stream::{KeyBy, Origin, Stream, StreamSettings};

const START_US: i64 = 1_769_731_200_000_000; // 2026-01-30T00:00:00Z

/// Keeps values the way a broker does: those of a transaction show when it is committed.
#[derive(Debug, Default)]
struct Shelf {
    visible: Vec<Vec<u8>>,
    open: Option<Vec<Vec<u8>>>,
    transactions: Vec<(usize, bool)>,
    /// Asks for the end after so many messages.
    stop_after: Option<(usize, std::sync::Arc<Stop>)>,
    /// Refuses the commit of this transaction.
    failing_commit: Option<usize>,
    /// Reports so many messages as lost.
    lost: u64,
    taken: usize,
}

impl Sink for Shelf {
    fn send(&mut self, _key: &[u8], value: &[u8]) -> Result<Sent, DeliverError> {
        self.open
            .as_mut()
            .unwrap_or(&mut self.visible)
            .push(value.to_vec());
        self.taken += 1;
        if let Some((limit, stop)) = &self.stop_after
            && self.taken == *limit
        {
            stop.request();
        }
        Ok(Sent::Accepted)
    }

    fn tend(&mut self) -> Result<(), DeliverError> {
        Ok(())
    }

    fn begin(&mut self) -> Result<(), DeliverError> {
        assert!(
            self.open.replace(Vec::new()).is_none(),
            "a transaction in a transaction"
        );
        Ok(())
    }

    fn commit(&mut self) -> Result<(), DeliverError> {
        let values = self.open.take().expect("a transaction is open");
        if self.failing_commit == Some(self.transactions.len()) {
            let reason = "fenced".to_owned();
            return Err(DeliverError::Transaction {
                step: "commit",
                reason,
            });
        }
        self.transactions.push((values.len(), true));
        self.visible.extend(values);
        Ok(())
    }

    fn abort(&mut self) -> Result<(), DeliverError> {
        let values = self.open.take().unwrap_or_default();
        self.transactions.push((values.len(), false));
        Ok(())
    }

    fn finish(&mut self, _limit: Option<Duration>) -> Result<(), DeliverError> {
        Ok(())
    }

    fn deliveries(&self) -> Deliveries {
        let errors = (self.lost > 0).then(|| ("MessageTimedOut".to_owned(), self.lost));
        Deliveries {
            undelivered: self.lost,
            waiting: 0,
            errors: errors.into_iter().collect(),
        }
    }
}

fn stream(count: Option<u64>, duplicates: f64) -> Stream {
    let times = EventTimes::Flowing {
        start_us: START_US,
        end_us: None,
        daily_sales: 100_000.0,
    };
    let till = Till::new(TillSettings {
        seed: 1,
        times,
        late_ratio: Ratio::NEVER,
    });
    let layout = Layout::shipped().unwrap();
    let encoder = JsonEncoder::new(&layout, JsonStyle::Plain, Decimals::Number, 1);
    let settings = StreamSettings {
        seed: 1,
        key: KeyBy::Store,
        count,
        malformed_ratio: Ratio::NEVER,
        duplicate_ratio: Ratio::new(duplicates).unwrap(),
    };
    Stream::new(
        Origin::Company(Box::new(till)),
        Encoder::Json(encoder),
        settings,
    )
}

fn settings(rate: Rate, transactions: Option<TransactionSettings>) -> RunSettings {
    RunSettings {
        rate,
        zone: Tz::UTC,
        transactions,
    }
}

fn drive(
    stream: &mut Stream,
    shelf: &mut Shelf,
    settings: &RunSettings,
    clock: &dyn Clock,
    stop: &Stop,
) -> RunReport {
    run(
        stream,
        shelf,
        settings,
        Tools {
            clock,
            stop,
            progress: Progress::silent(),
        },
    )
}

fn transactions(size: u64, abort_ratio: f64) -> Option<TransactionSettings> {
    let abort_ratio = Ratio::new(abort_ratio).unwrap();
    Some(TransactionSettings {
        size,
        age: Duration::from_secs(1),
        abort_ratio,
        seed: 1,
    })
}

fn amount_of(values: &[Vec<u8>]) -> i128 {
    values
        .iter()
        .map(|value| {
            let text = std::str::from_utf8(value).unwrap();
            let amount = text
                .split("\"amount\":")
                .nth(1)
                .unwrap()
                .split(',')
                .next()
                .unwrap();
            amount.replace('.', "").parse::<i128>().unwrap()
        })
        .sum()
}

fn counted_amount(report: &RunReport) -> i128 {
    report
        .totals
        .by_date_and_region()
        .values()
        .map(|tally| tally.amount_cents)
        .sum()
}

#[test]
fn a_rate_is_kept_by_the_clock() {
    // GIVEN 250 messages a second and a clock that only sleep moves. WHEN 1,000 are sent. THEN
    // four seconds have passed.
    let (clock, mut shelf) = (ManualClock::at(0), Shelf::default());
    let settings = settings(Rate::PerSecond(250.0), None);
    let report = drive(
        &mut stream(Some(1_000), 0.0),
        &mut shelf,
        &settings,
        &clock,
        &Stop::default(),
    );
    assert_eq!(shelf.visible.len(), 1_000);
    assert!(
        (3_950..4_050).contains(&report.elapsed.as_millis()),
        "{:?}",
        report.elapsed
    );
    assert!(!report.interrupted && report.failure.is_none());
}

#[test]
fn what_is_committed_is_what_is_counted() {
    // GIVEN transactions of 100 of which a third is aborted, and duplicates. THEN totals are those
    // of the visible messages, and a duplicate there has its original there too.
    let (clock, mut shelf) = (ManualClock::at(0), Shelf::default());
    let settings = settings(Rate::Max, transactions(100, 0.33));
    let report = drive(
        &mut stream(Some(10_050), 0.1),
        &mut shelf,
        &settings,
        &clock,
        &Stop::default(),
    );
    assert_eq!(shelf.transactions.len(), 101);
    assert_eq!(
        shelf.transactions.last(),
        Some(&(50, shelf.transactions[100].1))
    );
    let aborted = shelf
        .transactions
        .iter()
        .filter(|(_, committed)| !committed)
        .count();
    assert!((20..50).contains(&aborted), "{aborted}");
    assert_eq!(report.totals.messages(), shelf.visible.len() as u64);
    assert_eq!(report.aborted_messages + report.totals.messages(), 10_050);
    assert_eq!(counted_amount(&report), amount_of(&shelf.visible));
    let distinct: std::collections::HashSet<&Vec<u8>> = shelf.visible.iter().collect();
    let tallies = report.totals.by_date_and_region();
    let counted: u64 = tallies
        .values()
        .map(sales_producer::totals::Tally::distinct_rows)
        .sum();
    assert_eq!(counted, distinct.len() as u64);
}

#[test]
fn a_slow_transaction_ends_with_its_time() {
    let (clock, mut shelf) = (ManualClock::at(0), Shelf::default());
    let settings = settings(Rate::PerSecond(10.0), transactions(1_000_000, 0.0));
    drive(
        &mut stream(Some(50), 0.0),
        &mut shelf,
        &settings,
        &clock,
        &Stop::default(),
    );
    assert!(
        (5..=6).contains(&shelf.transactions.len()),
        "{:?}",
        shelf.transactions
    );
}

#[test]
fn an_interrupted_run_commits_and_counts_what_it_sent() {
    let stop = std::sync::Arc::new(Stop::default());
    let stop_after = Some((2_500, std::sync::Arc::clone(&stop)));
    let mut shelf = Shelf {
        stop_after,
        ..Shelf::default()
    };
    let settings = settings(Rate::Max, transactions(1_000, 0.0));
    let report = drive(
        &mut stream(None, 0.0),
        &mut shelf,
        &settings,
        &ManualClock::at(0),
        &stop,
    );
    assert!(report.interrupted && report.failure.is_none());
    assert!(shelf.visible.len() >= 2_500);
    assert_eq!(report.totals.messages(), shelf.visible.len() as u64);
}

#[test]
fn a_commit_that_fails_leaves_its_messages_undelivered_and_uncounted() {
    let mut shelf = Shelf {
        failing_commit: Some(3),
        ..Shelf::default()
    };
    let settings = settings(Rate::Max, transactions(100, 0.0));
    let clock = ManualClock::at(0);
    let report = drive(
        &mut stream(Some(1_000), 0.0),
        &mut shelf,
        &settings,
        &clock,
        &Stop::default(),
    );
    assert!(report.failure.is_some());
    assert_eq!(report.totals.messages(), 300);
    assert_eq!(report.deliveries.undelivered, 100);
    assert_eq!(shelf.visible.len(), 300);
}
