//! The company of `sales-producer`, selling at a steady rate on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use sales_producer::chance::Ratio;
use sales_producer::clock::SystemClock;
use sales_producer::company::till::{Till, TillSettings};
use sales_producer::company::timeline::EventTimes;
use sales_producer::deliver::{DeliverError, Deliveries, KafkaSettings, KafkaSink, Sent, Sink};
use sales_producer::encode::{Decimals, Encoder, JsonEncoder, JsonStyle, Layout};
use sales_producer::pace::Rate;
use sales_producer::progress::Progress;
use sales_producer::run::{self, RunReport, RunSettings, Tools};
use sales_producer::stop::Stop;
use sales_producer::stream::{KeyBy, Origin, Stream, StreamSettings};

use crate::cli::exit::{Exit, Failure, with_causes};
use crate::clock::Chance;

/// One message in a thousand is not a sale: a demo without dead letters would hide what becomes of
/// them.
const MALFORMED: f64 = 0.001;
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A company that sells.
pub(super) struct Company {
    /// `None` once it is closed.
    thread: Option<JoinHandle<RunReport>>,
    stop: Arc<Stop>,
    sent: Arc<AtomicU64>,
}

/// What a company has sent, once it is closed.
pub(super) struct Books {
    /// Messages that the broker has.
    pub(super) messages: u64,
    /// Those that are no sales.
    pub(super) malformed: u64,
}

impl Company {
    /// Begins to sell. Two companies never sell the same sale.
    pub(super) fn open(brokers: &str, topic: &str, rate: u32) -> Result<Self, Failure> {
        let seed = u64::from_str_radix(&Chance::from_entropy().hex_id(), 16).unwrap_or(0);
        let clock = Arc::new(SystemClock::new());
        let stop = Arc::new(Stop::default());
        let sent = Arc::new(AtomicU64::new(0));
        let settings = KafkaSettings {
            bootstrap: brokers.to_owned(),
            topic: topic.to_owned(),
            create: None,
            transactional_id: None,
            properties: Vec::new(),
            connect_limit: CONNECT_LIMIT,
        };
        let sink = KafkaSink::connect(&settings, clock.clone(), stop.clone())
            .map_err(|error| Failure::of(Exit::Source, "send sales", &error))?;
        let mut sink = Counting {
            sink,
            sent: sent.clone(),
        };
        let layout = Layout::shipped()
            .map_err(|error| Failure::of(Exit::Failure, "read the schema of a sale", &error))?;
        let run_settings = RunSettings {
            rate: Rate::PerSecond(f64::from(rate)),
            zone: chrono_tz::UTC,
            transactions: None,
        };
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut stream = stream(&layout, seed, clock.clone());
            let tools = Tools {
                clock: clock.as_ref(),
                stop: &stopped,
                progress: Progress::silent(),
            };
            run::run(&mut stream, &mut sink, &run_settings, tools)
        });
        Ok(Self {
            thread: Some(thread),
            stop,
            sent,
        })
    }

    /// Messages handed to the client so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether it has stopped selling by itself, which only a failure makes it do.
    pub(super) fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops selling, and waits until the broker has everything.
    ///
    /// # Panics
    /// When it is closed already.
    pub(super) fn close(&mut self) -> Result<Books, Failure> {
        self.stop.request();
        let thread = self.thread.take().expect("a company is closed once");
        let report = match thread.join() {
            Ok(report) => report,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        if let Some(error) = &report.failure {
            return Err(Failure::new(Exit::Source, with_causes(error)));
        }
        if report.deliveries.undelivered > 0 {
            let lost = report.deliveries.undelivered;
            return Err(Failure::new(
                Exit::Source,
                format!("the embedded broker did not take {lost} messages"),
            ));
        }
        Ok(Books {
            messages: report.totals.messages(),
            malformed: report.totals.malformed().values().sum(),
        })
    }
}

fn stream(layout: &Layout, seed: u64, clock: Arc<SystemClock>) -> Stream {
    let till = Till::new(TillSettings {
        seed,
        times: EventTimes::Live(clock),
        late_ratio: Ratio::NEVER,
    });
    let encoder = JsonEncoder::new(layout, JsonStyle::Plain, Decimals::Number, seed);
    Stream::new(
        Origin::Company(Box::new(till)),
        Encoder::Json(encoder),
        StreamSettings {
            seed,
            key: KeyBy::Store,
            count: None,
            malformed_ratio: Ratio::new(MALFORMED).unwrap_or(Ratio::NEVER),
            duplicate_ratio: Ratio::NEVER,
        },
    )
}

/// A sink that counts for the screen.
#[derive(Debug)]
struct Counting {
    sink: KafkaSink,
    sent: Arc<AtomicU64>,
}

impl Sink for Counting {
    fn send(&mut self, key: &[u8], value: &[u8]) -> Result<Sent, DeliverError> {
        let sent = self.sink.send(key, value)?;
        if sent == Sent::Accepted {
            self.sent.fetch_add(1, Relaxed);
        }
        Ok(sent)
    }

    fn tend(&mut self) -> Result<(), DeliverError> {
        self.sink.tend()
    }

    fn finish(&mut self, limit: Option<Duration>) -> Result<(), DeliverError> {
        self.sink.finish(limit)
    }

    fn deliveries(&self) -> Deliveries {
        self.sink.deliveries()
    }
}
