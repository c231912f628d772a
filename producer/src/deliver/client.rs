//! What the Kafka client calls back with: failed deliveries, errors, log lines.
//!
//! Owns the tally of failures and the last words of the client. Does not own what follows from
//! them (`kafka`).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

/// Most notices kept for the terminal at a time; one that nobody has read yet says enough.
const NOTICES_KEPT: usize = 8;

/// Listens to the client.
#[derive(Debug, Default)]
pub(super) struct Listener {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Failed deliveries by reason.
    pub(super) failures: BTreeMap<String, u64>,
    /// The latest trouble with a broker.
    pub(super) last_error: Option<(RDKafkaErrorCode, String)>,
    /// Lines for the terminal.
    pub(super) notices: Vec<String>,
    last_notice: String,
}

impl Listener {
    /// What was heard so far. A callback that panicked would leave plain numbers behind, so a
    /// poisoned lock is no reason to stop.
    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a message that will not arrive.
    pub(super) fn lost(&self, reason: &str) {
        *self.heard().failures.entry(reason.to_owned()).or_default() += 1;
    }

    /// Number of messages that failed.
    pub(super) fn failed(&self) -> u64 {
        self.heard().failures.values().sum()
    }
}

impl Heard {
    /// Keeps a line, unless it says what the last one said.
    fn notice(&mut self, line: String) {
        if self.last_notice != line && self.notices.len() < NOTICES_KEPT {
            self.last_notice.clone_from(&line);
            self.notices.push(line);
        }
    }
}

impl ClientContext for Listener {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What `error` brings to the terminal already is not said twice.
        if !matches!(facility, "FAIL" | "ERROR") {
            self.heard().notice(format!("kafka {facility}: {message}"));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        let mut heard = self.heard();
        // That all brokers are down says less than what was heard of each before.
        if code == RDKafkaErrorCode::AllBrokersDown && heard.last_error.is_some() {
            return;
        }
        let is_new = heard
            .last_error
            .as_ref()
            .is_none_or(|(last, _)| *last != code);
        heard.last_error = Some((code, reason.to_owned()));
        if is_new {
            heard.notice(format!("kafka: {reason}"));
        }
    }
}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let reason = match error.rdkafka_error_code() {
                Some(code) => format!("{code:?}"),
                None => error.to_string(),
            };
            self.lost(&reason);
        }
    }
}
