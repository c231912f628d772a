//! Sums on their way into the rollups.
//!
//! ```text
//! Sums ─► which of these documents are there? ─► inserts of those that are not, updates of the others
//! ```
//!
//! Owns: how sums are added inside a transaction.
//! Does not own: the sums and their shape (`rollup`), what is known already (`learned`).
//!
//! An upsert that finds nothing takes a server twice as long as question and insert together; one that
//! finds its document takes less than a question and an update. So only those are asked for that this
//! lane has not written yet. The question is of the transaction's own snapshot: who inserts the same
//! document meanwhile is a conflict, and the transaction is tried again.

use std::ops::Range;

use hashbrown::HashSet;
use mongodb::bson::{RawBsonRef, RawDocumentBuf};

use super::bytes::Writer;
use super::command::Command;
use super::outcome::Stopped;
use super::rollup::{Addend, GRAINS, Shape, Sums};
use super::transaction::Transaction;
use super::write::Writing;

const ACTION: &str = "add to the rollups";
/// Sums of one command, and bytes of their `by` fields; a command holds these twice, and more.
const PORTION: usize = 5_000;
const PORTION_BYTES: usize = 2 << 20;

/// Adds sums to the rollups, minutes and days.
///
/// # Errors
/// As every command of a transaction.
pub(super) async fn add(
    writing: &Writing,
    transaction: &mut Transaction<'_>,
    sums: &Sums,
) -> Result<(), Stopped> {
    let Some(rollup) = &writing.plan.rollup else {
        return Ok(());
    };
    let names = rollup.sum.iter();
    let shape = Shape {
        sums: names
            .map(|sum| (writing.plan.name(sum.column), sum.scale))
            .collect(),
        part: writing.part(),
    };
    for (grain, (suffix, _)) in GRAINS.into_iter().enumerate() {
        let collection = writing.mongo.beside(suffix);
        let mut addends: Vec<Addend<'_>> = sums.of_grain(grain).collect();
        // Neighbours in the index lie on the same pages.
        addends.sort_unstable_by_key(|(bucket, by, _)| (*bucket, *by));
        let target = Target {
            grain,
            collection,
            shape: &shape,
        };
        for portion in portions(&addends) {
            add_portion(writing, transaction, &target, portion).await?;
        }
    }
    Ok(())
}

/// Cuts where a command would become too large.
fn portions<'a, 'b>(addends: &'a [Addend<'b>]) -> impl Iterator<Item = &'a [Addend<'b>]> {
    let mut rest = addends;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |(_, by, _): &&Addend<'_>| {
            bytes += by.len();
            bytes <= PORTION_BYTES
        };
        let most = rest.iter().take(PORTION).take_while(fits).count();
        let (portion, more) = rest.split_at(most.max(1).min(rest.len()));
        rest = more;
        (!portion.is_empty()).then_some(portion)
    })
}

/// Rollups of one kind.
struct Target<'a> {
    grain: usize,
    collection: String,
    shape: &'a Shape<'a>,
}

async fn add_portion(
    writing: &Writing,
    transaction: &mut Transaction<'_>,
    target: &Target<'_>,
    addends: &[Addend<'_>],
) -> Result<(), Stopped> {
    let mut ids = Ids::default();
    let (known, unknown): (Vec<Addend<'_>>, Vec<Addend<'_>>) = {
        let mut learned = writing.learned.lock().expect("nobody panics with it");
        let is_known = |(bucket, by, _): &&Addend<'_>| {
            ids.add_unless(target.shape, *bucket, by, |id| {
                learned.note(target.grain, id)
            })
        };
        addends.iter().partition(is_known)
    };
    let there = those_there(transaction, target, &ids).await?;
    let mut inserts = Command::new("insert", &target.collection, "documents");
    let mut updates = Command::new("update", &target.collection, "updates");
    let asked = unknown.iter().zip(there);
    for (addend, is_there) in known.iter().map(|addend| (addend, true)).chain(asked) {
        if is_there {
            let name = updates.next_name();
            let shape = target.shape;
            shape.write_update(&mut updates.writer, &name, *addend);
        } else {
            let name = inserts.next_name();
            target.shape.write_new(&mut inserts.writer, &name, *addend);
        }
    }
    for command in [inserts, updates] {
        if !command.is_empty() {
            transaction.run(ACTION, command.finish()).await?;
        }
    }
    Ok(())
}

/// `_id`s of rollups that are to be asked for, one after the other.
#[derive(Default)]
struct Ids {
    writer: Writer,
    places: Vec<Range<usize>>,
}

impl Ids {
    /// Adds one, unless it is known; whether it is.
    fn add_unless(
        &mut self,
        shape: &Shape<'_>,
        bucket: i64,
        by: &[u8],
        is_known: impl FnOnce(&[u8]) -> bool,
    ) -> bool {
        let before = self.writer.bytes.len();
        let place = shape.write_id(&mut self.writer, "_id", bucket, by);
        let known = is_known(&self.writer.bytes[place.clone()]);
        match known {
            true => self.writer.bytes.truncate(before),
            false => self.places.push(place),
        }
        known
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.places
            .iter()
            .map(|place| &self.writer.bytes[place.clone()])
    }
}

/// For each id, whether its document is there. In doubt they are: an update inserts what is missing.
async fn those_there(
    transaction: &mut Transaction<'_>,
    target: &Target<'_>,
    ids: &Ids,
) -> Result<Vec<bool>, Stopped> {
    if ids.places.is_empty() {
        return Ok(Vec::new());
    }
    let mongo = transaction.mongo;
    let asking = mongo
        .database
        .run_raw_cursor_command(question(target, ids))
        .session(&mut *transaction.session);
    let asked = mongo.limited_raw(ACTION, asking).await?;
    let mut cursor = asked.map_err(|error| Stopped::of(ACTION, &error))?;
    let mut found: HashSet<Vec<u8>> = HashSet::new();
    loop {
        let advancing = cursor.advance(transaction.session);
        let advanced = mongo.limited_raw(ACTION, advancing).await?;
        if !advanced.map_err(|error| Stopped::of(ACTION, &error))? {
            break;
        }
        if let Ok(Some(RawBsonRef::Document(id))) = cursor.current().get("_id") {
            found.insert(id.as_bytes().to_vec());
        }
    }
    let there: Vec<bool> = ids.iter().map(|id| found.contains(id)).collect();
    let known = there.iter().filter(|there| **there).count();
    Ok(match known == found.len() {
        true => there,
        false => vec![true; there.len()],
    })
}

/// `{find, filter: {_id: {$in}}, projection: {_id: 1}, batchSize}`.
fn question(target: &Target<'_>, ids: &Ids) -> RawDocumentBuf {
    let mut writer = Writer::default();
    let command = writer.begin();
    writer.string("find", &target.collection);
    let filter = writer.begin_document("filter");
    let condition = writer.begin_document("_id");
    let list = writer.begin_array("$in");
    for (index, id) in ids.iter().enumerate() {
        writer.document(&index.to_string(), id);
    }
    writer.end(list);
    writer.end(condition);
    writer.end(filter);
    let projection = writer.begin_document("projection");
    writer.int32("_id", 1);
    writer.end(projection);
    let most = i32::try_from(ids.places.len()).unwrap_or(i32::MAX);
    writer.int32("batchSize", most.saturating_add(1));
    writer.end(command);
    RawDocumentBuf::from_bytes(writer.bytes)
        .expect("a document that was closed has its length and its end")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mirror::rollup::Delta;

    #[test]
    fn portions_are_bounded_and_hold_everything() {
        let delta = Delta::default();
        let (small, large) = (vec![0; 10], vec![0; PORTION_BYTES + 1]);
        let mut addends: Vec<Addend<'_>> = vec![(0, &small, &delta); PORTION + 3];
        addends.extend([
            (1, &large[..], &delta),
            (2, &large, &delta),
            (3, &small, &delta),
        ]);
        let lengths: Vec<usize> = portions(&addends).map(<[_]>::len).collect();
        assert_eq!(lengths, [PORTION, 3, 1, 1, 1]);
        assert_eq!(portions(&[]).count(), 0);
    }
}
