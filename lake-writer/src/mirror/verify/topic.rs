//! The topic's side: what each message should have become.

use mongodb::bson::{RawDocument, RawDocumentBuf};
use xxhash_rust::xxh3::xxh3_128;

use crate::mirror::batch::Batch;
use crate::mirror::plan::Plan;
use crate::mirror::prepared::{Content, Prepared, readers};
use crate::source::OffsetRange;
use crate::verify::read_rounds;

use super::{MirrorVerifyError, Range, Sides};

/// Bytes of messages that are made into documents together.
const BATCH_BYTES: usize = 4 << 20;

/// What a message should have become.
#[derive(Clone, Debug)]
pub(super) enum Expected<'a> {
    /// This document.
    Document {
        document: &'a [u8],
        /// Milliseconds of the rollups' time field.
        millis: Option<i64>,
    },
    /// This dead letter.
    Dead(&'a [u8]),
    /// Nothing, or the end of the document whose `{_id}` this is.
    Tombstone(Option<&'a [u8]>),
}

/// Content of a document, or of the value that a dead letter keeps.
pub(super) fn hash(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// What is compared of a document: what was looked up follows a reference table, and is left out.
pub(super) fn content(plan: &Plan, document: &[u8]) -> u128 {
    let raw = match plan.looked_up.is_empty() {
        true => None,
        false => RawDocument::from_bytes(document).ok(),
    };
    let Some(raw) = raw else {
        return hash(document);
    };
    let mut kept = RawDocumentBuf::new();
    for (name, value) in raw.iter().flatten() {
        if !plan.looked_up.iter().any(|field| *field == name.as_str()) {
            kept.append(name, value);
        }
    }
    hash(kept.as_bytes())
}

/// Reads a range and tells what each message of it should have become, with the hash of its value.
/// A range that ends earlier in the topic than it should is shorter, no error.
pub(super) fn read(
    sides: &mut Sides<'_>,
    range: Range,
    sink: &mut dyn FnMut(i64, u128, Expected<'_>),
) -> Result<(), MirrorVerifyError> {
    if range.next <= range.from {
        return Ok(());
    }
    let plan = sides.parts.plan;
    let offsets = OffsetRange::new(range.from, range.next);
    let rounds = [vec![(range.partition, offsets)]];
    let mut batch = Batch::default();
    let watch = &mut *sides.watch;
    read_rounds(
        sides.reader,
        &rounds,
        &mut |message| {
            batch.push(&message);
            if batch.bytes() >= BATCH_BYTES {
                let full = std::mem::take(&mut batch);
                tell(plan, &full, sink);
            }
            Ok(())
        },
        &mut |messages| watch(messages),
    )?;
    tell(plan, &batch, sink);
    Ok(())
}

fn tell(plan: &Plan, batch: &Batch, sink: &mut dyn FnMut(i64, u128, Expected<'_>)) {
    let mut next = 0;
    while next < batch.len() {
        let prepared = Prepared::of(plan, batch, next..batch.len(), |_| None);
        let readers = readers(plan, &prepared.columns);
        for entry in &prepared.entries {
            let value = batch.message(entry.index).value.unwrap_or_default();
            let bytes = |at: &std::ops::Range<usize>| &prepared.bytes[at.clone()];
            let expected = match &entry.content {
                Content::Document { at, row } => Expected::Document {
                    document: bytes(at),
                    millis: plan
                        .rollup
                        .as_ref()
                        .map(|rollup| readers[rollup.time].millis(*row)),
                },
                Content::Dead(at) => Expected::Dead(bytes(at)),
                Content::Tombstone(id) => Expected::Tombstone(id.as_ref().map(bytes)),
            };
            sink(entry.offset, hash(value), expected);
        }
        next = prepared.next_index;
    }
}
