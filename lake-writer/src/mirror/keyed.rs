//! Documents under a key: later messages replace, tombstones delete, rollups follow.
//!
//! ```text
//! Prepared ─► last entry of each key ─► old documents (out of the sums) ─► replace, delete
//! ```
//!
//! Owns: what happens when a key comes again.
//! Does not own: which of two source partitions has the last word on a key. Messages of one key
//! belong into one partition, as Kafka's own partitioners put them.

use std::collections::HashMap;
use std::ops::Range;

use futures::StreamExt as _;
use mongodb::bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use super::command::{COMMAND_BYTES, Command};
use super::outcome::Stopped;
use super::prepared::{Content, Prepared, readers};
use super::rollup::Sums;
use super::transaction::Transaction;
use super::write::Writing;

/// Ids in one question for old documents.
const IDS: usize = 5_000;

/// A key as it stands in `_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// `int` and `long`.
    Number(i64),
    /// Everything else that can be a key.
    Text(String),
}

impl Key {
    /// The `_id` of a document; `None` when it is no key of ours.
    pub(super) fn of(document: &[u8]) -> Option<(Self, Bson)> {
        let id = RawDocument::from_bytes(document).ok()?.get("_id").ok()??;
        match id {
            RawBsonRef::Int32(id) => Some((Self::Number(id.into()), id.into())),
            RawBsonRef::Int64(id) => Some((Self::Number(id), id.into())),
            RawBsonRef::String(id) => Some((Self::Text(id.into()), id.into())),
            _ => None,
        }
    }
}

/// The last thing that a batch says about a key.
struct Last {
    entry: usize,
    id: Bson,
}

/// Replaces and deletes what the entries say, and adds the difference to `sums`.
///
/// # Errors
/// As every command of a transaction.
pub(super) async fn replace(
    writing: &Writing,
    transaction: &mut Transaction<'_>,
    prepared: &Prepared,
    sums: &mut Sums,
) -> Result<(), Stopped> {
    let last = last_of_each_key(prepared);
    let ids = last.values().map(|last| last.id.clone()).collect();
    take_old_out(writing, transaction, ids, sums).await?;
    let mut order: Vec<&Last> = last.values().collect();
    order.sort_by_key(|last| last.entry);
    if let Some(rollup) = &writing.plan.rollup {
        let readers = readers(&writing.plan, &prepared.columns);
        for last in &order {
            if let Content::Document { row, .. } = prepared.entries[last.entry].content {
                sums.add_row(rollup, &readers, row);
            }
        }
    }
    let kinds: [Kind; 2] = [
        ("update", "updates", |content| match content {
            Content::Document { at, .. } => Some(at.clone()),
            _ => None,
        }),
        ("delete", "deletes", |content| match content {
            Content::Tombstone(id) => id.clone(),
            _ => None,
        }),
    ];
    for kind in kinds {
        send(writing, transaction, prepared, &order, kind).await?;
    }
    Ok(())
}

/// Verb, name of its list, and which entries it is about.
type Kind = (
    &'static str,
    &'static str,
    fn(&Content) -> Option<Range<usize>>,
);

fn last_of_each_key(prepared: &Prepared) -> HashMap<Key, Last> {
    let mut last = HashMap::new();
    for (entry, content) in prepared.entries.iter().map(|e| &e.content).enumerate() {
        let (Content::Document { at, .. } | Content::Tombstone(Some(at))) = content else {
            continue;
        };
        if let Some((key, id)) = Key::of(&prepared.bytes[at.clone()]) {
            last.insert(key, Last { entry, id });
        }
    }
    last
}

async fn take_old_out(
    writing: &Writing,
    transaction: &mut Transaction<'_>,
    ids: Vec<Bson>,
    sums: &mut Sums,
) -> Result<(), Stopped> {
    const ACTION: &str = "read documents that are replaced";
    let Some(rollup) = &writing.plan.rollup else {
        return Ok(());
    };
    let mongo = &writing.mongo;
    let collection = mongo
        .database
        .collection::<RawDocumentBuf>(mongo.documents());
    for ids in ids.chunks(IDS) {
        let ids = ids.to_vec();
        let finding = collection
            .find(doc! {"_id": {"$in": ids}})
            .session(&mut *transaction.session);
        let found = mongo.limited_raw(ACTION, finding).await?;
        let mut cursor = found.map_err(|error| Stopped::of(ACTION, &error))?;
        let mut stream = cursor.stream(transaction.session);
        loop {
            let next = async { Ok(stream.next().await) };
            let Some(old) = mongo.limited(ACTION, next).await? else {
                break;
            };
            let old = old.map_err(|error| Stopped::of(ACTION, &error))?;
            // What is no document of this mirror is in no rollup either.
            let _ = sums.remove_document(&writing.plan, rollup, &old);
        }
    }
    Ok(())
}

async fn send(
    writing: &Writing,
    transaction: &mut Transaction<'_>,
    prepared: &Prepared,
    order: &[&Last],
    (verb, list, chosen): Kind,
) -> Result<(), Stopped> {
    const ACTION: &str = "replace documents";
    let collection = writing.mongo.documents().to_owned();
    let mut command = Command::new(verb, &collection, list);
    let mut entries = Vec::new();
    for last in order {
        let Some(at) = chosen(&prepared.entries[last.entry].content) else {
            continue;
        };
        if !entries.is_empty() && command.bytes() + at.len() > COMMAND_BYTES {
            let full = std::mem::replace(&mut command, Command::new(verb, &collection, list));
            writing.send(transaction, ACTION, full, &entries).await?;
            entries.clear();
        }
        let name = command.next_name();
        let writer = &mut command.writer;
        let one = writer.begin_document(&name);
        let query = writer.begin_document("q");
        match &last.id {
            Bson::Int32(id) => writer.int32("_id", *id),
            Bson::Int64(id) => writer.int64("_id", *id),
            Bson::String(id) => writer.string("_id", id),
            _ => {}
        }
        writer.end(query);
        if verb == "update" {
            writer.document("u", &prepared.bytes[at]);
            writer.boolean("upsert", true);
        } else {
            writer.int32("limit", 1);
        }
        writer.end(one);
        entries.push(last.entry);
    }
    if entries.is_empty() {
        return Ok(());
    }
    writing.send(transaction, ACTION, command, &entries).await
}
