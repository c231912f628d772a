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

use hashbrown::HashSet;
use mongodb::ClientSession;
use mongodb::bson::{RawBsonRef, RawDocumentBuf};

use super::bytes::Writer;
use super::command::Command;
use super::outcome::Stopped;
use super::rollup::{Addend, GRAINS, Shape, Sums};
use super::transaction::Writing;

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
    session: &mut ClientSession,
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
            add_portion(writing, session, &target, portion).await?;
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
    session: &mut ClientSession,
    target: &Target<'_>,
    addends: &[Addend<'_>],
) -> Result<(), Stopped> {
    let (known, unknown): (Vec<Addend<'_>>, Vec<Addend<'_>>) = {
        let mut learned = writing.learned.lock().expect("nobody panics with it");
        let mut writer = Writer::default();
        addends.iter().partition(|(bucket, by, _)| {
            writer.bytes.clear();
            let id = target.shape.write_id(&mut writer, "_id", *bucket, by);
            learned.note(target.grain, &writer.bytes[id])
        })
    };
    let there = those_there(writing, session, target, &unknown).await?;
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
            writing.run(session, ACTION, command.finish()).await?;
        }
    }
    Ok(())
}

/// For each sum, whether its document is there. In doubt they are: an update inserts what is missing.
async fn those_there(
    writing: &Writing,
    session: &mut ClientSession,
    target: &Target<'_>,
    addends: &[Addend<'_>],
) -> Result<Vec<bool>, Stopped> {
    if addends.is_empty() {
        return Ok(Vec::new());
    }
    let (command, ids) = question(target, addends);
    let mongo = &writing.mongo;
    let asking = mongo
        .database
        .run_raw_cursor_command(command)
        .session(&mut *session);
    let asked = mongo.limited_raw(ACTION, asking).await?;
    let mut cursor = asked.map_err(|error| Stopped::of(ACTION, &error))?;
    let mut found: HashSet<Vec<u8>> = HashSet::new();
    loop {
        let advanced = mongo.limited_raw(ACTION, cursor.advance(session)).await?;
        if !advanced.map_err(|error| Stopped::of(ACTION, &error))? {
            break;
        }
        if let Ok(Some(RawBsonRef::Document(id))) = cursor.current().get("_id") {
            found.insert(id.as_bytes().to_vec());
        }
    }
    let there: Vec<bool> = ids.iter().map(|id| found.contains(&id[..])).collect();
    let known = there.iter().filter(|there| **there).count();
    Ok(match known == found.len() {
        true => there,
        false => vec![true; ids.len()],
    })
}

/// `{find, filter: {_id: {$in}}, projection: {_id: 1}, batchSize}`, and the ids asked for.
fn question(target: &Target<'_>, addends: &[Addend<'_>]) -> (RawDocumentBuf, Vec<Vec<u8>>) {
    let mut writer = Writer::default();
    let mut ids = Vec::with_capacity(addends.len());
    let command = writer.begin();
    writer.string("find", &target.collection);
    let filter = writer.begin_document("filter");
    let condition = writer.begin_document("_id");
    let list = writer.begin_array("$in");
    for (index, (bucket, by, _)) in addends.iter().enumerate() {
        let at = target
            .shape
            .write_id(&mut writer, &index.to_string(), *bucket, by);
        ids.push(writer.bytes[at].to_vec());
    }
    writer.end(list);
    writer.end(condition);
    writer.end(filter);
    let projection = writer.begin_document("projection");
    writer.int32("_id", 1);
    writer.end(projection);
    let most = i32::try_from(addends.len()).unwrap_or(i32::MAX);
    writer.int32("batchSize", most.saturating_add(1));
    writer.end(command);
    let command = RawDocumentBuf::from_bytes(writer.bytes)
        .expect("a document that was closed has its length and its end");
    (command, ids)
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
