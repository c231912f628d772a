//! A source with a step before and after each call.

use std::sync::Arc;
use std::time::Duration;

use super::Failpoints;
use crate::source::{Message, Polled, Source, SourceError, SourceEvent, TopicIdentity, Watermarks};

/// Any source, with [`Failpoints`] around its calls.
pub struct FailpointSource {
    inner: Box<dyn Source>,
    points: Arc<Failpoints>,
}

impl std::fmt::Debug for FailpointSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FailpointSource").finish_non_exhaustive()
    }
}

impl FailpointSource {
    pub(super) fn new(inner: Box<dyn Source>, points: Arc<Failpoints>) -> Self {
        Self { inner, points }
    }

    fn around<T>(&mut self, call: &str, inner: impl FnOnce(&mut dyn Source) -> T) -> T {
        self.points.pass(call, "topic", "before");
        let answer = inner(self.inner.as_mut());
        self.points.pass(call, "topic", "after");
        answer
    }
}

impl Source for FailpointSource {
    fn identify(&mut self) -> Result<TopicIdentity, SourceError> {
        self.around("identify", |source| source.identify())
    }

    /// A poll that brings nothing is no step: how many there are is a matter of time alone. The
    /// step before the call is one that brings something, since nobody can know before.
    fn poll(
        &mut self,
        max_wait: Duration,
        sink: &mut dyn FnMut(Message<'_>),
    ) -> Result<Polled, SourceError> {
        let points = &self.points;
        let mut first = true;
        let polled = self.inner.poll(max_wait, &mut |message| {
            if std::mem::take(&mut first) {
                points.pass("poll", "messages", "before");
            }
            sink(message);
        })?;
        if polled.messages > 0 {
            points.pass("poll", "messages", "after");
        }
        if !polled.ends.is_empty() {
            points.pass("poll", "ends", "after");
        }
        for event in &polled.events {
            let about = match event {
                SourceEvent::Assigned(_) => "assigned",
                SourceEvent::Revoked(_) => "revoked",
                SourceEvent::Lost(_) => "lost",
                SourceEvent::Away(_) => "away",
                SourceEvent::Back => "back",
            };
            points.pass("poll", about, "after");
        }
        Ok(polled)
    }

    fn watermarks(&mut self, partition: i32) -> Result<Watermarks, SourceError> {
        self.around("watermarks", |source| source.watermarks(partition))
    }

    fn start(&mut self, from: &[(i32, i64)]) -> Result<(), SourceError> {
        self.around("start", |source| source.start(from))
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        self.around("release", |source| source.release(partitions))
    }

    fn cached_high(&self, partition: i32) -> Option<i64> {
        self.inner.cached_high(partition)
    }

    fn pause(&mut self) -> Result<(), SourceError> {
        self.around("pause", |source| source.pause())
    }

    fn resume(&mut self) -> Result<(), SourceError> {
        self.around("resume", |source| source.resume())
    }

    fn acknowledge(&mut self, next: &[(i32, i64)]) {
        self.around("acknowledge", |source| source.acknowledge(next));
    }

    fn close(self: Box<Self>) {
        let Self { inner, points } = *self;
        points.pass("close", "topic", "before");
        inner.close();
        points.pass("close", "topic", "after");
    }
}
