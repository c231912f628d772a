//! From messages to what a transaction writes.
//!
//! ```text
//! Batch ─► Decoder ─► Reader ─► documents ┐
//!    └──► Reject, refusals ─► dead letters ┴─► Prepared: entries in order of offset
//! ```
//!
//! Owns: `_id`s, the shape of a dead letter, what a tombstone means.
//! Does not own: writing (`write`).

use std::collections::BTreeMap;
use std::ops::{AddAssign, Range};

use arrow_array::ArrayRef;
use mongodb::bson::RawDocumentBuf;

use crate::decode::{Decoder, Reject, decoder};
use crate::source::Message;
use crate::table::{Column, KAFKA_OFFSET, KAFKA_PARTITION, Kind};

use super::batch::Batch;
use super::bytes::Writer;
use super::document::Reader;
use super::plan::{Id, Plan};

/// Bytes of a document that no server takes more of.
pub(super) const MOST_DOCUMENT_BYTES: usize = 16 << 20;
/// Bytes of a value that a dead letter keeps; the rest of 16 MiB is for what is said about it.
const MOST_DEAD_BYTES: usize = 15 << 20;
/// Bytes of decoded columns after which a transaction takes no more messages: a small message may
/// unfold into a large document.
const MOST_COLUMN_BYTES: usize = 64 << 20;

/// Why a message is no document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// A fixed word, such as `missing_field`.
    pub(super) reason: &'static str,
    pub(super) field: Option<String>,
    pub(super) detail: String,
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self {
            reason: reject.reason.as_str(),
            field: reject.field,
            detail: reject.detail,
        }
    }
}

/// What a message becomes.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// A document.
    Document {
        /// Where its bytes lie.
        at: Range<usize>,
        /// Its row in the columns.
        row: usize,
    },
    /// A dead letter.
    Dead(Range<usize>),
    /// Nothing, or with keys the end of the document whose `{_id}` lies here.
    Tombstone(Option<Range<usize>>),
}

/// A message's place and what it becomes.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// Index of the message in its batch.
    pub(super) index: usize,
    pub(super) content: Content,
}

/// What one transaction writes.
pub(super) struct Prepared {
    pub(super) entries: Vec<Entry>,
    /// How many messages became what, by source partition.
    pub(super) counts: BTreeMap<i32, Counts>,
    /// Documents, dead letters and ids one after the other.
    pub(super) bytes: Vec<u8>,
    pub(super) columns: Vec<ArrayRef>,
    /// First message of the batch that is not part of this.
    pub(super) next_index: usize,
    /// Fields that the schema does not have.
    pub(super) unknown_fields: u64,
}

impl Prepared {
    /// Makes documents of these messages: of all of them, unless they unfold too far.
    /// `refused` says which are dead letters because the server has said so.
    pub(super) fn of(
        plan: &Plan,
        batch: &Batch,
        wanted: Range<usize>,
        refused: impl Fn(usize) -> Option<Refusal>,
    ) -> Self {
        let mut decoder = decoder(plan.format, &plan.schema);
        let mut fates = Vec::new();
        let mut index = wanted.start;
        while index < wanted.end && decoder.bytes() < MOST_COLUMN_BYTES {
            fates.push(fate(
                decoder.as_mut(),
                &batch.message(index),
                refused(index),
            ));
            index += 1;
        }
        let unknown_fields = decoder.unknown_fields();
        let columns = decoder.finish();
        let readers = readers(plan, &columns);
        let mut making = Making {
            plan,
            readers: &readers,
            writer: Writer::default(),
        };
        let entries = fates.into_iter().zip(wanted.start..).map(|(fate, index)| {
            let message = batch.message(index);
            Entry {
                partition: message.partition,
                offset: message.offset,
                index,
                content: making.content(&message, fate),
            }
        });
        let entries: Vec<Entry> = entries.collect();
        let bytes = making.writer.bytes;
        drop(readers);
        Self {
            counts: counts(&entries),
            entries,
            bytes,
            columns,
            next_index: index,
            unknown_fields,
        }
    }
}

/// How many messages became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) dead_letters: u64,
    pub(super) tombstones: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.documents += more.documents;
        self.dead_letters += more.dead_letters;
        self.tombstones += more.tombstones;
    }
}

/// How many messages became what, by source partition.
fn counts(entries: &[Entry]) -> BTreeMap<i32, Counts> {
    let mut all: BTreeMap<i32, Counts> = BTreeMap::new();
    for entry in entries {
        let counts = all.entry(entry.partition).or_default();
        match entry.content {
            Content::Document { .. } => counts.documents += 1,
            Content::Dead(_) => counts.dead_letters += 1,
            Content::Tombstone(_) => counts.tombstones += 1,
        }
    }
    all
}

/// Every column, ready to be read.
pub(super) fn readers<'a>(plan: &'a Plan, columns: &'a [ArrayRef]) -> Vec<Reader<'a>> {
    let columns = plan.schema.columns.iter().zip(columns);
    columns
        .map(|(column, array)| Reader::new(column, array))
        .collect()
}

/// What decoding made of a message.
enum Fate {
    Row(usize),
    Dead(Refusal),
    Tombstone,
}

fn fate(decoder: &mut dyn Decoder, message: &Message<'_>, refused: Option<Refusal>) -> Fate {
    let Some(value) = message.value else {
        return match refused {
            Some(refusal) => Fate::Dead(refusal),
            None => Fate::Tombstone,
        };
    };
    let row = decoder.rows();
    match (refused, decoder.append(value)) {
        (Some(refusal), _) => Fate::Dead(refusal),
        (None, Err(reject)) => Fate::Dead(reject.into()),
        (None, Ok(())) => Fate::Row(row),
    }
}

struct Making<'a> {
    plan: &'a Plan,
    readers: &'a [Reader<'a>],
    writer: Writer,
}

impl Making<'_> {
    fn content(&mut self, message: &Message<'_>, fate: Fate) -> Content {
        let refusal = match fate {
            Fate::Row(row) => match self.document(message, row) {
                Ok(at) => return Content::Document { at, row },
                Err(refusal) => refusal,
            },
            Fate::Tombstone => match self.tombstone(message) {
                Ok(id) => return Content::Tombstone(id),
                Err(refusal) => refusal,
            },
            Fate::Dead(refusal) => refusal,
        };
        Content::Dead(dead_letter(&mut self.writer, message, &refusal))
    }

    fn document(&mut self, message: &Message<'_>, row: usize) -> Result<Range<usize>, Refusal> {
        let before = self.writer.bytes.len();
        let written = self.write_document(message, row);
        let refusal = match written {
            Ok(at) if at.len() <= MOST_DOCUMENT_BYTES => return Ok(at),
            Ok(at) => Refusal {
                reason: "too_large",
                field: None,
                detail: format!("a document of {} bytes, and 16 MiB are the most", at.len()),
            },
            Err(nul) => Refusal {
                reason: "invalid_text",
                field: Some(nul.field),
                detail: "a key of the map holds NUL".into(),
            },
        };
        self.writer.bytes.truncate(before);
        Err(refusal)
    }

    fn write_document(
        &mut self,
        message: &Message<'_>,
        row: usize,
    ) -> Result<Range<usize>, super::document::NulInKey> {
        let writer = &mut self.writer;
        let open = writer.begin();
        match self.plan.id {
            Id::Offset => write_place(writer, message),
            Id::Field(column) => {
                // No map can be a key, so it cannot fail.
                let _ = self.readers[column].write_as("_id", row, writer);
            }
        }
        for reader in self.readers {
            reader.write(row, writer)?;
        }
        if self.plan.id != Id::Offset {
            writer.int32(KAFKA_PARTITION, message.partition);
            writer.int64(KAFKA_OFFSET, message.offset);
        }
        Ok(writer.end(open))
    }

    /// With offsets as ids a tombstone says nothing; with a key it names what goes.
    fn tombstone(&mut self, message: &Message<'_>) -> Result<Option<Range<usize>>, Refusal> {
        let Id::Field(column) = self.plan.id else {
            return Ok(None);
        };
        let column = &self.plan.schema.columns[column];
        let refusal = |detail: &str| Refusal {
            reason: "invalid_text",
            field: Some(column.name.clone()),
            detail: detail.to_owned(),
        };
        let key = message
            .key
            .ok_or_else(|| refusal("a tombstone without a key"))?;
        let text =
            std::str::from_utf8(key).map_err(|_| refusal("the key of a tombstone is not UTF-8"))?;
        let open = self.writer.begin();
        if write_key(&mut self.writer, column, text).is_none() {
            self.writer.end(open);
            return Err(refusal("the key of a tombstone is no value of the field"));
        }
        Ok(Some(self.writer.end(open)))
    }
}

/// The document of a row, under its place; `None` for one that has none in BSON.
pub(super) fn document_of(
    readers: &[Reader<'_>],
    partition: i32,
    offset: i64,
    row: usize,
) -> Option<RawDocumentBuf> {
    let message = Message {
        partition,
        offset,
        timestamp_ms: None,
        key: None,
        value: None,
    };
    let mut writer = Writer::default();
    let open = writer.begin();
    write_place(&mut writer, &message);
    for reader in readers {
        reader.write(row, &mut writer).ok()?;
    }
    writer.end(open);
    RawDocumentBuf::from_bytes(writer.bytes).ok()
}

/// `_id: {partition, offset}`.
pub(super) fn write_place(writer: &mut Writer, message: &Message<'_>) {
    let id = writer.begin_document("_id");
    writer.int32("partition", message.partition);
    writer.int64("offset", message.offset);
    writer.end(id);
}

fn write_key(writer: &mut Writer, column: &Column, text: &str) -> Option<()> {
    match column.kind {
        Kind::Int => writer.int32("_id", text.parse().ok()?),
        Kind::Long => writer.int64("_id", text.parse().ok()?),
        // Decoding writes UUIDs in lower case.
        Kind::Uuid { .. } => writer.string("_id", &text.to_ascii_lowercase()),
        _ => writer.string("_id", text),
    }
    Some(())
}

/// The message as it was, where it was, and why it is no document.
fn dead_letter(writer: &mut Writer, message: &Message<'_>, refusal: &Refusal) -> Range<usize> {
    let open = writer.begin();
    write_place(writer, message);
    match message.key {
        Some(key) => writer.binary("key", &key[..key.len().min(MOST_DEAD_BYTES / 8)]),
        None => writer.null("key"),
    }
    match message.value {
        Some(value) => {
            writer.binary("value", &value[..value.len().min(MOST_DEAD_BYTES / 8 * 7)]);
            let length = i64::try_from(value.len()).unwrap_or(i64::MAX);
            writer.int64("value_bytes", length);
        }
        None => writer.null("value"),
    }
    match message.timestamp_ms {
        Some(millis) => writer.date("kafka_timestamp", millis),
        None => writer.null("kafka_timestamp"),
    }
    writer.string("reason", refusal.reason);
    match &refusal.field {
        Some(field) => writer.string("field", field),
        None => writer.null("field"),
    }
    writer.string("detail", &refusal.detail);
    writer.end(open)
}
