//! The topic's side: what each message should have become.
//!
//! ```text
//! rounds of ranges ─► RangeReader ─► Decoder, Router (as the writer has them) ─► Entry
//! ```
//!
//! Owns: reading the ranges to their ends, and turning messages into entries.
//! Does not own: decoding and routing: those are the writer's, so that both sides mean the same.

use std::collections::BTreeSet;
use std::time::Duration;

use arrow_schema::ArrowError;
use xxhash_rust::xxh3::xxh3_64;

use crate::decode::{Decoder, decoder};
use crate::partition::{Router, SKIP};
use crate::settings::Format;
use crate::source::{Message, OffsetRange, RangeReader, SourceError, SourceEvent};
use crate::table::Schema;
use crate::table::spec::Spec;

use super::VerifyError;
use super::entry::{Entry, Kind};
use super::hash::{RowHash, hash_rows};
use super::lake::compared;

/// How long one look for messages waits.
const POLL_WAIT: Duration = Duration::from_millis(200);

/// Rows decoded before they are hashed.
const BATCH_ROWS: usize = 8_192;

/// Bytes of a batch, for wide rows.
const BATCH_BYTES: usize = 16 << 20;

/// Lake partitions that the router remembers before it begins anew.
const MOST_FOLDERS: usize = 65_536;

/// Reads ranges, one round after the other, and hands every message to `sink`. Returns the
/// partitions that end before their range does, with their ends. `tick` is told after each poll.
///
/// # Errors
/// As the reader; also when the brokers go out of reach.
pub(crate) fn read_rounds(
    reader: &mut dyn RangeReader,
    rounds: &[Vec<(i32, OffsetRange)>],
    sink: &mut dyn FnMut(Message<'_>) -> Result<(), ArrowError>,
    tick: &mut dyn FnMut(u64),
) -> Result<Vec<(i32, i64)>, VerifyError> {
    let mut ends = Vec::new();
    for round in rounds {
        reader.open(round)?;
        let mut open: BTreeSet<i32> = round.iter().map(|(partition, _)| *partition).collect();
        while !open.is_empty() {
            let mut failed = Ok(());
            let progress = reader.poll(POLL_WAIT, &mut |message| {
                if failed.is_ok() {
                    failed = sink(message);
                }
            })?;
            failed?;
            tick(progress.messages as u64);
            if let Some(SourceEvent::Away(reason)) = progress.events.into_iter().next() {
                let action = "reading the topic to compare it".into();
                return Err(SourceError::Transient { action, reason }.into());
            }
            for partition in &progress.done {
                open.remove(partition);
            }
            // A range whose end does not come is one that the topic does not have any more.
            for (partition, end) in progress.short {
                if open.remove(&partition) {
                    ends.push((partition, end));
                }
            }
        }
    }
    Ok(ends)
}

/// Turns messages into entries.
pub(super) struct Translator<'a> {
    schema: &'a Schema,
    looked_up: Vec<bool>,
    spec: &'a Spec,
    decoder: Box<dyn Decoder>,
    router: Router,
    /// Hash of each folder that the router knows.
    folders: Vec<u64>,
    /// Source partition, offset and folder of each row in the decoder.
    places: Vec<(i32, i64, u32)>,
}

impl<'a> Translator<'a> {
    pub(super) fn new(schema: &'a Schema, spec: &'a Spec, format: Format) -> Self {
        Self {
            decoder: decoder(format, schema),
            router: Router::new(spec, schema),
            looked_up: schema.looked_up(),
            folders: Vec::new(),
            places: Vec::new(),
            schema,
            spec,
        }
    }

    /// Takes a message. Its entry may be handed out later, by [`Translator::flush`] at the latest.
    ///
    /// # Errors
    /// When a column has a type that cannot be, which the schema refuses before.
    pub(super) fn accept(
        &mut self,
        message: &Message<'_>,
        sink: &mut dyn FnMut(Entry),
    ) -> Result<(), ArrowError> {
        let Some(value) = message.value else {
            sink(entry(message, Kind::Tombstone, 0));
            return Ok(());
        };
        let folder = match self.decoder.append(value) {
            Err(_) => None,
            Ok(()) => {
                let decoder = &self.decoder;
                let routed = self.router.route(|column| decoder.last(column)).ok();
                // A row that no folder takes stays in the decoder's columns, and is left out.
                let id = routed.unwrap_or(SKIP);
                self.places.push((message.partition, message.offset, id));
                routed
            }
        };
        if folder.is_none() {
            sink(entry(message, Kind::DeadLetter, raw_hash(message, value)));
        }
        if self.places.len() >= BATCH_ROWS || self.decoder.bytes() >= BATCH_BYTES {
            self.flush(sink)?;
        }
        Ok(())
    }

    /// Hands out the entries of all rows taken so far.
    ///
    /// # Errors
    /// As [`Translator::accept`].
    pub(super) fn flush(&mut self, sink: &mut dyn FnMut(Entry)) -> Result<(), ArrowError> {
        let known = self.folders.len();
        let new = self.router.partitions()[known..].iter();
        self.folders
            .extend(new.map(|partition| folder_hash(&partition.path)));
        let columns = compared(&self.decoder.finish(), &self.looked_up);
        let hashes = hash_rows(&columns, self.places.len())?;
        for ((partition, offset, id), hash) in self.places.drain(..).zip(hashes) {
            if id != SKIP {
                sink(Entry {
                    partition,
                    offset,
                    kind: Kind::Row,
                    content: hash.finish(),
                    folder: self.folders[id as usize],
                });
            }
        }
        if self.folders.len() > MOST_FOLDERS {
            self.router = Router::new(self.spec, self.schema);
            self.folders.clear();
        }
        Ok(())
    }
}

fn entry(message: &Message<'_>, kind: Kind, content: u128) -> Entry {
    Entry {
        partition: message.partition,
        offset: message.offset,
        kind,
        content,
        folder: 0,
    }
}

/// The message as a dead letter keeps it: what [`hash_rows`] makes of key, value and timestamp.
fn raw_hash(message: &Message<'_>, value: &[u8]) -> u128 {
    let mut hash = RowHash::default();
    match message.key {
        Some(key) => hash.add_bytes(key),
        None => hash.add_null(),
    }
    hash.add_bytes(value);
    match message.timestamp_ms {
        Some(timestamp) => hash.add(timestamp.cast_unsigned()),
        None => hash.add_null(),
    }
    hash.finish()
}

/// Hash of a lake partition's path, such as `date=2026-01-31/region=Corse`.
pub(super) fn folder_hash(path: &str) -> u64 {
    xxh3_64(path.as_bytes())
}
