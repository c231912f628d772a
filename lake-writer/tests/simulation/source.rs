//! A member of the group, as the engine sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use lake_writer::source::{
    Message, Polled, Source, SourceError, SourceEvent, TopicIdentity, Watermarks,
};

use super::oracle::Oracle;
use super::process::EngineSeat;
use super::topic::{Brokers, Sent, TOPIC, TOPIC_ID, Topic};
use super::trace::{Trace, no_more};

/// One consumer. Every call that talks to the brokers hands the turn back first.
#[derive(Debug)]
pub(crate) struct MemberSource {
    pub(crate) topic: Topic,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) seat: EngineSeat,
    pub(crate) process: u32,
    pub(crate) reading: BTreeMap<i32, Reading>,
    pub(crate) paused: bool,
}

/// How far a started partition was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    next: i64,
    end_told: Option<i64>,
}

impl MemberSource {
    /// Asks the brokers something; they may not answer.
    fn ask<T>(
        &self,
        what: &'static str,
        answer: impl FnOnce(&mut Brokers) -> T,
    ) -> Result<T, SourceError> {
        self.seat.wait(Duration::from_millis(1));
        let mut brokers = self.topic.brokers();
        let errors = brokers.errors;
        let fails = brokers.away || brokers.dice.chance(errors);
        self.trace.note(
            self.process,
            if fails { "asks in vain" } else { "asks" },
            what,
            no_more,
        );
        if fails {
            return Err(transient(what));
        }
        Ok(answer(&mut brokers))
    }

    fn fetch(
        &mut self,
        brokers: &mut Brokers,
        polled: &mut Polled,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<(), SourceError> {
        let most = brokers.batch;
        let mut left = 1 + brokers.dice.below(most);
        let mut numbers: Vec<i32> = self.reading.keys().copied().collect();
        if !numbers.is_empty() {
            let first = brokers.dice.below(numbers.len());
            numbers.rotate_left(first);
        }
        for number in numbers {
            let Some(reading) = self.reading.get_mut(&number) else {
                continue;
            };
            let Some(partition) = brokers.partition(number) else {
                continue;
            };
            if reading.next < partition.low {
                return Err(SourceError::Halt {
                    problem: format!("{OUT_OF_RANGE} {} of partition {number}", reading.next),
                    remedy: "begin anew".into(),
                });
            }
            let high = partition.high();
            while left > 0 && reading.next < high {
                let offset = reading.next;
                if let Some(value) = partition.at(offset).and_then(Sent::value) {
                    sink(message(number, offset, value));
                    polled.messages += 1;
                    left -= 1;
                }
                reading.next = offset + 1;
            }
            if reading.next == high && reading.end_told != Some(high) {
                reading.end_told = Some(high);
                polled.ends.push((number, high));
            }
        }
        Ok(())
    }
}

/// How the error begins that says that retention was faster than the reader.
pub(crate) const OUT_OF_RANGE: &str = "retention has taken offset";

fn message(partition: i32, offset: i64, value: Option<&[u8]>) -> Message<'_> {
    Message {
        partition,
        offset,
        timestamp_ms: (offset % 7 != 0).then_some(1_769_860_800_000 + offset),
        key: Some(b"key"),
        value,
    }
}

fn transient(what: &str) -> SourceError {
    SourceError::Transient {
        action: format!("ask for {what}"),
        reason: "the brokers did not answer".into(),
    }
}

impl Source for MemberSource {
    fn identify(&mut self) -> Result<TopicIdentity, SourceError> {
        self.ask("identity", |brokers| TopicIdentity {
            name: TOPIC.into(),
            topic_id: TOPIC_ID.into(),
            partitions: i32::try_from(brokers.partitions.len()).expect("few partitions"),
        })
    }

    fn poll(
        &mut self,
        max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<Polled, SourceError> {
        self.seat.wait(max_wait);
        let topic = self.topic.clone();
        let mut brokers = topic.brokers();
        let mut polled = Polled::default();
        let errors = brokers.errors;
        if brokers.dice.chance(errors / 10) {
            return Err(transient("messages"));
        }
        let news = brokers.group.news(self.process);
        for event in &news {
            if let SourceEvent::Lost(partitions) = event {
                self.reading
                    .retain(|number, _| !partitions.contains(number));
            }
        }
        if !self.paused && !brokers.away {
            self.fetch(&mut brokers, &mut polled, sink)?;
        }
        polled.events.extend(news);
        self.trace.note(self.process, "polls", "", || {
            format!(
                "{} messages, ends {:?}, {:?}",
                polled.messages, polled.ends, polled.events
            )
        });
        Ok(polled)
    }

    fn watermarks(&mut self, number: i32) -> Result<Watermarks, SourceError> {
        self.ask("watermarks", |brokers| {
            let partition = brokers
                .partition(number)
                .expect("only partitions that are there");
            Watermarks {
                low: partition.low,
                high: partition.high(),
            }
        })
    }

    fn start(&mut self, from: &[(i32, i64)]) -> Result<(), SourceError> {
        for (partition, next) in from {
            let reading = Reading {
                next: *next,
                end_told: None,
            };
            self.reading.insert(*partition, reading);
        }
        self.oracle.began(self.process, from);
        Ok(())
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        self.reading
            .retain(|number, _| !partitions.contains(number));
        self.topic
            .brokers()
            .group
            .released(self.process, partitions);
        Ok(())
    }

    fn cached_high(&self, number: i32) -> Option<i64> {
        self.topic
            .brokers()
            .partition(number)
            .map(super::topic::Partition::high)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.paused = true;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.paused = false;
        Ok(())
    }

    fn acknowledge(&mut self, next: &[(i32, i64)]) {
        self.oracle.acknowledged(self.process, next);
    }

    fn close(self: Box<Self>) {
        self.topic.brokers().group.remove(self.process);
    }
}
