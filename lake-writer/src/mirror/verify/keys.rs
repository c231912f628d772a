//! With keys as ids: the last message of each key, and the collection once.
//!
//! Holds a hash for each key of the topic, some hundred bytes.

use std::collections::{BTreeMap, HashMap};

use futures::TryStreamExt as _;
use mongodb::bson::{RawDocumentBuf, doc};

use crate::mirror::failure::DatabaseError;
use crate::mirror::keyed::Key;
use crate::table::{KAFKA_OFFSET, KAFKA_PARTITION};

use super::offsets::{StoredDead, dead_letters};
use super::topic::{self, Expected, hash, read};
use super::{MirrorFindingKind, MirrorPartition, MirrorVerifyError, Range, Sides};

/// What the topic says last about a key.
struct Last {
    place: (i32, i64),
    /// `None` after a tombstone.
    content: Option<u128>,
}

pub(super) fn compare(
    sides: &mut Sides<'_>,
    ranges: &[Range],
    reports: &mut [MirrorPartition],
) -> Result<(), MirrorVerifyError> {
    let stored = dead_letters(sides.parts.mongo, None);
    let mut stored = sides.parts.runtime.block_on(stored)?;
    let mut last: HashMap<Key, Last> = HashMap::new();
    for (range, report) in ranges.iter().zip(reports) {
        read_partition(sides, *range, report, &mut stored, &mut last)?;
    }
    let within = |(partition, offset): &(i32, i64)| {
        let mut ranges = ranges.iter();
        ranges.any(|r| r.partition == *partition && (r.from..r.next).contains(offset))
    };
    for place in stored.keys().filter(|place| within(place)) {
        let detail = "a dead letter that the topic has no message for";
        sides
            .findings
            .add(MirrorFindingKind::Unexpected, Some(*place), detail);
    }
    compare_documents(sides, ranges, &mut last)?;
    for last in last.values().filter(|last| last.content.is_some()) {
        let detail = "no document for the key of this message";
        sides
            .findings
            .add(MirrorFindingKind::Missing, Some(last.place), detail);
    }
    Ok(())
}

fn read_partition(
    sides: &mut Sides<'_>,
    range: Range,
    report: &mut MirrorPartition,
    stored: &mut BTreeMap<(i32, i64), StoredDead>,
    last: &mut HashMap<Key, Last>,
) -> Result<(), MirrorVerifyError> {
    let mut messages = 0;
    let mut differing = Vec::new();
    let plan = sides.parts.plan;
    read(sides, range, &mut |offset, value, expected| {
        messages += 1;
        let place = (range.partition, offset);
        let letter = stored.remove(&place);
        match (expected, letter) {
            (Expected::Document { .. }, Some(letter)) if letter.is_refusal => {
                report.dead_letters += 1;
                if letter.value != value {
                    differing.push((MirrorFindingKind::Differing, place));
                }
            }
            (Expected::Document { document, .. }, letter) => {
                report.documents += 1;
                if letter.is_some() {
                    differing.push((MirrorFindingKind::Doubled, place));
                }
                let content = Some(topic::content(plan, document));
                if let Some((key, _)) = Key::of(document) {
                    last.insert(key, Last { place, content });
                }
            }
            (Expected::Tombstone(id), _) => {
                report.tombstones += 1;
                let key = id.and_then(Key::of);
                if let Some((key, _)) = key {
                    let content = None;
                    last.insert(key, Last { place, content });
                }
            }
            (Expected::Dead(bytes), letter) => {
                report.dead_letters += 1;
                match letter {
                    None => differing.push((MirrorFindingKind::Missing, place)),
                    Some(letter) if letter.content != hash(bytes) => {
                        differing.push((MirrorFindingKind::Differing, place));
                    }
                    Some(_) => {}
                }
            }
        }
    })?;
    report.gaps = u64::try_from(range.next - range.from - messages).unwrap_or(0);
    for (kind, place) in differing {
        sides
            .findings
            .add(kind, Some(place), "the dead letter of this message");
    }
    Ok(())
}

/// Compares every document with what is last known of its key, which it takes out of `last`.
fn compare_documents(
    sides: &mut Sides<'_>,
    ranges: &[Range],
    last: &mut HashMap<Key, Last>,
) -> Result<(), MirrorVerifyError> {
    const ACTION: &str = "read documents";
    let (mongo, runtime, plan) = (sides.parts.mongo, sides.parts.runtime, sides.parts.plan);
    let failed = |error: mongodb::error::Error| DatabaseError::of(ACTION, &error);
    let collection = mongo
        .database
        .collection::<RawDocumentBuf>(mongo.documents());
    let mut cursor = runtime.block_on(mongo.limited(ACTION, collection.find(doc! {})))?;
    while let Some(document) = runtime.block_on(cursor.try_next()).map_err(failed)? {
        let place = document
            .get_i32(KAFKA_PARTITION)
            .ok()
            .zip(document.get_i64(KAFKA_OFFSET).ok());
        let range = place.and_then(|(p, _)| ranges.iter().find(|range| range.partition == p));
        let expected = Key::of(document.as_bytes()).and_then(|(key, _)| last.remove(&key));
        // Written after the checkpoints were read, or from what the topic has lost since.
        let is_outside = place
            .zip(range)
            .is_some_and(|((_, offset), range)| offset >= range.next || offset < range.from);
        let (kind, detail) = match expected.map(|last| last.content) {
            Some(Some(found)) if found == topic::content(plan, document.as_bytes()) => continue,
            _ if is_outside => continue,
            Some(Some(_)) => (
                MirrorFindingKind::Differing,
                "another document than the last message of its key makes",
            ),
            Some(None) => (
                MirrorFindingKind::Unexpected,
                "its key ended with a tombstone",
            ),
            None => (
                MirrorFindingKind::Unexpected,
                "the topic has no message of its key",
            ),
        };
        sides.findings.add(kind, place, detail);
    }
    Ok(())
}
