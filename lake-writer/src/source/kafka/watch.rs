//! Whether the brokers are in reach, and whether the topic is still the one we began with.
//!
//! ```text
//! client errors, answers of the brokers ─► Watch ─► Away, Back, or a halt that says why
//! ```
//!
//! Owns: the topic's identity as first seen, the question under way, what was already said.
//! Does not own: reconnecting; the client does that by itself.

use std::ffi::CStr;
use std::time::Duration;

use rdkafka::bindings::rd_kafka_resp_err_t as Code;

use super::super::{SourceError, SourceEvent};
use super::admin::{self, Described, Inquiry, NO_TOPIC_ID};
use super::errors;
use super::native::{Client, Fault};

/// How often the brokers are asked in the background whether the topic is still the same one.
const ROUTINE: Duration = Duration::from_secs(10);
/// How soon they are asked again when there is a doubt.
const DOUBT: Duration = Duration::from_secs(1);
/// How long one question may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(10);
/// How long one question in the background may take: the next one may find a broker that is back.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(3);
/// One turn of waiting for an answer, between looks at the client's errors.
const TURN: Duration = Duration::from_millis(50);
/// Answers in a row that a topic is missing before it is believed: a broker that has just started
/// may not know all topics yet.
const MISSING_ANSWERS: u32 = 2;

/// What is known about brokers and topic.
#[derive(Debug)]
pub(super) struct Watch {
    topic: String,
    seen: Option<Described>,
    /// A broker that can be asked.
    broker: Option<i32>,
    under_way: Option<Inquiry>,
    /// Whether the next question in the background goes to the controller: the broker that was
    /// asked before may be gone for good.
    ask_controller: bool,
    due: Duration,
    missing: u32,
    away: bool,
    reason: Option<String>,
}

impl Watch {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            seen: None,
            broker: None,
            under_way: None,
            ask_controller: false,
            due: Duration::ZERO,
            missing: 0,
            away: false,
            reason: None,
        }
    }

    /// Asks the brokers about the topic and waits for the answer.
    ///
    /// # Errors
    /// Halts when the topic is missing or another one, or, before the first success, when the
    /// brokers refuse us; transient when they do not answer.
    pub(super) fn ask(
        &mut self,
        client: &Client,
        topic: &CStr,
        events: &mut Vec<SourceEvent>,
    ) -> Result<Described, SourceError> {
        let mut turns = QUESTION_LIMIT.as_millis() / TURN.as_millis();
        let mut inquiry: Option<Inquiry> = None;
        while turns > 0 {
            turns -= 1;
            match &inquiry {
                None => {
                    self.broker = admin::some_broker(client, TURN).unwrap_or(None);
                    inquiry = self
                        .broker
                        .map(|broker| Inquiry::send(client, topic, Some(broker), QUESTION_LIMIT));
                }
                Some(inquiry) => {
                    if let Some(answer) = inquiry.answer(TURN) {
                        return self.conclude(answer, events);
                    }
                }
            }
            client.serve();
            for fault in client.take_errors() {
                self.note(&fault, events);
                if errors::is_authentication(&fault) && self.seen.is_none() {
                    return Err(errors::not_let_in(&fault.reason));
                }
            }
        }
        self.conclude(
            Err(Fault::from_code(Code::RD_KAFKA_RESP_ERR__TIMED_OUT)),
            events,
        )
    }

    fn conclude(
        &mut self,
        answer: Result<Described, Fault>,
        events: &mut Vec<SourceEvent>,
    ) -> Result<Described, SourceError> {
        let described = answer.map_err(|fault| {
            let error = errors::of_call("asking the brokers for the topic", &self.topic, &fault);
            self.with_reason(error)
        })?;
        self.in_reach(events);
        self.compare(&described)?;
        Ok(described)
    }

    /// "Timed out" alone helps nobody: adds why the brokers could not be reached.
    fn with_reason(&self, error: SourceError) -> SourceError {
        match (error, &self.reason) {
            (SourceError::Transient { action, reason }, Some(why)) => SourceError::Transient {
                action,
                reason: format!("{reason} ({why})"),
            },
            (error, _) => error,
        }
    }

    fn compare(&mut self, now: &Described) -> Result<(), SourceError> {
        if now.topic_id == NO_TOPIC_ID {
            return Err(SourceError::Halt {
                problem: "the brokers do not tell topic ids".into(),
                remedy: "use Kafka 2.8 or newer: without ids a topic that was created again \
                         cannot be told from its predecessor"
                    .into(),
            });
        }
        match &self.seen {
            Some(before) if before.topic_id != now.topic_id => Err(errors::recreated_topic(
                &self.topic,
                &before.topic_id,
                &now.topic_id,
            )),
            _ => {
                self.seen = Some(now.clone());
                Ok(())
            }
        }
    }

    /// Takes note of a client error; the first that says "out of reach" becomes an event.
    pub(super) fn note(&mut self, fault: &Fault, events: &mut Vec<SourceEvent>) {
        // "All brokers are down" never says why; the errors before it do.
        if fault.code != Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN {
            self.reason = Some(fault.reason.clone());
        }
        if errors::is_away(fault) && !self.away {
            self.away = true;
            self.due = Duration::ZERO;
            let reason = self.reason.clone().unwrap_or_else(|| fault.reason.clone());
            events.push(SourceEvent::Away(reason));
        }
    }

    fn in_reach(&mut self, events: &mut Vec<SourceEvent>) {
        self.missing = 0;
        self.reason = None;
        if std::mem::take(&mut self.away) {
            events.push(SourceEvent::Back);
        }
    }

    /// Something hints that the topic may be gone: ask soon.
    pub(super) fn doubt(&mut self) {
        self.due = Duration::ZERO;
    }

    /// Goes on asking in the background, at most one question at a time; never waits.
    ///
    /// # Errors
    /// Halts when the topic is gone or another one, or may no longer be read.
    pub(super) fn look(
        &mut self,
        client: &Client,
        topic: &CStr,
        now: Duration,
        events: &mut Vec<SourceEvent>,
    ) -> Result<(), SourceError> {
        let Some(inquiry) = &self.under_way else {
            if now >= self.due {
                let broker = self.broker.filter(|_| !self.ask_controller);
                self.under_way = Some(Inquiry::send(client, topic, broker, BACKGROUND_LIMIT));
            }
            return Ok(());
        };
        let Some(answer) = inquiry.answer(Duration::ZERO) else {
            return Ok(());
        };
        self.under_way = None;
        let in_doubt = matches!(
            &answer,
            Err(fault) if fault.code == Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        );
        if in_doubt {
            self.missing += 1;
            if self.missing < MISSING_ANSWERS {
                self.due = now + DOUBT;
                return Ok(());
            }
        }
        match self.conclude(answer, events) {
            Ok(_) => self.due = now + ROUTINE,
            Err(SourceError::Transient { .. }) => {
                self.ask_controller = !self.ask_controller;
                self.due = now + DOUBT;
            }
            Err(halt) => return Err(halt),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(code: Code, reason: &str) -> Fault {
        Fault {
            code,
            reason: reason.into(),
        }
    }

    fn described(topic_id: &str) -> Described {
        Described {
            topic_id: topic_id.into(),
            partitions: 1,
        }
    }

    #[test]
    fn away_is_said_once_with_the_reason_and_back_once() {
        let mut watch = Watch::new("sales");
        let mut events = Vec::new();
        let refused = fault(Code::RD_KAFKA_RESP_ERR__TRANSPORT, "connection refused");
        let down = fault(
            Code::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
            "1/1 brokers are down",
        );
        for _ in 0..2 {
            watch.note(&refused, &mut events);
            watch.note(&down, &mut events);
        }
        assert_eq!(events, [SourceEvent::Away("connection refused".into())]);
        for _ in 0..2 {
            let answer = watch.conclude(Ok(described("one")), &mut events);
            assert!(answer.is_ok());
        }
        assert_eq!(events[1..], [SourceEvent::Back]);
    }

    #[test]
    fn another_incarnation_halts() {
        let mut watch = Watch::new("sales");
        let mut events = Vec::new();
        assert!(watch.conclude(Ok(described("one")), &mut events).is_ok());
        let Err(error) = watch.conclude(Ok(described("two")), &mut events) else {
            panic!("must halt");
        };
        let words = error.to_string();
        assert!(words.contains("its id was one and is two"), "{words}");
    }

    #[test]
    fn brokers_without_topic_ids_are_refused() {
        let mut watch = Watch::new("sales");
        let outcome = watch.conclude(Ok(described(NO_TOPIC_ID)), &mut Vec::new());
        assert!(matches!(outcome, Err(SourceError::Halt { .. })));
    }

    #[test]
    fn a_time_out_tells_why() {
        let mut watch = Watch::new("sales");
        let mut events = Vec::new();
        let unknown = fault(Code::RD_KAFKA_RESP_ERR__RESOLVE, "no such host: kafka");
        watch.note(&unknown, &mut events);
        let timed_out = fault(Code::RD_KAFKA_RESP_ERR__TIMED_OUT, "timed out");
        let Err(error) = watch.conclude(Err(timed_out), &mut events) else {
            panic!("must fail");
        };
        assert!(matches!(error, SourceError::Transient { .. }));
        assert!(error.to_string().contains("no such host: kafka"));
    }
}
