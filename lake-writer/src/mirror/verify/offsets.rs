//! With offsets as ids: both sides in order of offset, stretch by stretch.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use mongodb::bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};

use crate::mirror::checkpoint::{self, Checkpoint};
use crate::mirror::database::Mongo;
use crate::mirror::failure::DatabaseError;
use crate::mirror::plan::Plan;

use super::topic::{Expected, content, hash, read};
use super::{MirrorFindingKind, MirrorPartition, MirrorVerifyError, Range, Sides, next_offsets};

/// Offsets whose hashes are held at a time.
const STRETCH: i64 = 50_000;
const ACTION: &str = "read documents";

/// What a message should be, without its bytes.
enum Want {
    Document { content: u128, millis: Option<i64> },
    Dead(u128),
    Nothing,
}

/// A dead letter as it is stored.
pub(super) struct StoredDead {
    pub(super) content: u128,
    /// Hash of the message's value.
    pub(super) value: u128,
    /// Whether the server refused the document, which a verification cannot foresee.
    pub(super) is_refusal: bool,
}

pub(super) fn compare(
    sides: &mut Sides<'_>,
    ranges: &[Range],
    checkpoints: &BTreeMap<i32, Checkpoint>,
    reports: &mut [MirrorPartition],
) -> Result<(), MirrorVerifyError> {
    for (range, report) in ranges.iter().zip(reports) {
        let mut from = range.from;
        while from < range.next {
            let next = range.next.min(from + STRETCH);
            let stretch = Range {
                from,
                next,
                ..*range
            };
            compare_stretch(sides, stretch, report)?;
            from = next;
        }
    }
    find_foreign(sides, checkpoints)
}

fn compare_stretch(
    sides: &mut Sides<'_>,
    range: Range,
    report: &mut MirrorPartition,
) -> Result<(), MirrorVerifyError> {
    let wanted = wanted(sides, range)?;
    let (mongo, runtime) = (sides.parts.mongo, sides.parts.runtime);
    let documents = runtime.block_on(documents(mongo, sides.parts.plan, range))?;
    let dead = runtime.block_on(dead_letters(mongo, Some(range)))?;
    let messages = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
    report.gaps += u64::try_from(range.next - range.from - messages).unwrap_or(0);
    let expires_ms = expires_ms(sides);
    for (offset, (value, want)) in &wanted {
        let place = (range.partition, *offset);
        let stored = Stored {
            document: documents.get(offset).copied(),
            letter: dead.get(&place),
        };
        let mut add = |kind, detail: &str| sides.findings.add(kind, Some(place), detail);
        match want {
            Want::Document { content, millis } => {
                let may_be_gone = millis.zip(expires_ms).is_some_and(|(at, end)| at < end);
                stored.judge_document(*content, *value, may_be_gone, report, &mut add);
            }
            Want::Dead(content) => stored.judge_dead_letter(*content, report, &mut add),
            Want::Nothing => {
                report.tombstones += 1;
                if stored.document.is_some() || stored.letter.is_some() {
                    add(MirrorFindingKind::Unexpected, "a document of a tombstone");
                }
            }
        }
    }
    let dead_offsets = dead.keys().map(|(_, offset)| *offset);
    let stored_offsets = documents.keys().copied().chain(dead_offsets);
    for offset in stored_offsets.filter(|offset| !wanted.contains_key(offset)) {
        let detail = "the topic has no message there";
        let place = Some((range.partition, offset));
        let kind = MirrorFindingKind::Unexpected;
        sides.findings.add(kind, place, detail);
    }
    Ok(())
}

/// Of each offset that has a message, the hash of its value and what it should have become.
fn wanted(
    sides: &mut Sides<'_>,
    range: Range,
) -> Result<BTreeMap<i64, (u128, Want)>, MirrorVerifyError> {
    let mut wanted = BTreeMap::new();
    let plan = sides.parts.plan;
    read(sides, range, &mut |offset, value, expected| {
        let want = match expected {
            Expected::Document { document, millis } => Want::Document {
                content: content(plan, document),
                millis,
            },
            Expected::Dead(letter) => Want::Dead(hash(letter)),
            Expected::Tombstone(_) => Want::Nothing,
        };
        wanted.insert(offset, (value, want));
    })?;
    Ok(wanted)
}

/// Documents of sales before this may have expired; none without a time to live.
fn expires_ms(sides: &Sides<'_>) -> Option<i64> {
    let ttl = sides.parts.plan.ttl_seconds?;
    let ttl_ms = i64::try_from(ttl.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let end = sides.parts.now_ms.saturating_sub(ttl_ms);
    // The server's own clock may be a little ahead of ours.
    Some(end.saturating_add(60_000))
}

/// What the database has of one offset.
struct Stored<'a> {
    document: Option<u128>,
    letter: Option<&'a StoredDead>,
}

impl Stored<'_> {
    /// Where the message makes a document. One that the server would not take is a dead letter, with the
    /// message's own value.
    fn judge_document(
        &self,
        content: u128,
        value: u128,
        may_be_gone: bool,
        report: &mut MirrorPartition,
        add: &mut dyn FnMut(MirrorFindingKind, &str),
    ) {
        use MirrorFindingKind::{Differing, Doubled, Missing};
        match (self.document, self.letter) {
            (Some(_), Some(_)) => add(Doubled, "a document and a dead letter"),
            (Some(found), None) => {
                report.documents += 1;
                if found != content {
                    add(Differing, "another document than its message makes");
                }
            }
            (None, Some(letter)) if letter.is_refusal => {
                report.dead_letters += 1;
                if letter.value != value {
                    add(Differing, "a dead letter of another message");
                }
            }
            (None, Some(_)) => {
                report.documents += 1;
                add(Differing, "a dead letter, and should be a document");
            }
            (None, None) => {
                report.documents += 1;
                match may_be_gone {
                    true => report.expired += 1,
                    false => add(Missing, "no document"),
                }
            }
        }
    }

    /// Where the message makes a dead letter.
    fn judge_dead_letter(
        &self,
        content: u128,
        report: &mut MirrorPartition,
        add: &mut dyn FnMut(MirrorFindingKind, &str),
    ) {
        use MirrorFindingKind::{Differing, Missing, Unexpected};
        report.dead_letters += 1;
        if self.document.is_some() {
            add(Unexpected, "a document of a dead letter");
        }
        match self.letter {
            None => add(Missing, "no dead letter"),
            Some(letter) if letter.content != content => {
                add(Differing, "another dead letter than its message makes");
            }
            Some(_) => {}
        }
    }
}

/// The condition for ids of a range.
fn within(range: Range) -> Document {
    let id = |offset: i64| doc! {"partition": range.partition, "offset": offset};
    doc! {"_id": {"$gte": id(range.from), "$lt": id(range.next)}}
}

/// Partition and offset of an `_id`. Whoever has put a document there may have had other integers: to
/// the server they are the same.
fn place(document: &RawDocument) -> Option<(i32, i64)> {
    let id = document.get_document("_id").ok()?;
    let integer = |name| match id.get(name).ok()?? {
        RawBsonRef::Int32(value) => Some(i64::from(value)),
        RawBsonRef::Int64(value) => Some(value),
        _ => None,
    };
    Some((
        i32::try_from(integer("partition")?).ok()?,
        integer("offset")?,
    ))
}

async fn documents(
    mongo: &Mongo,
    plan: &Plan,
    range: Range,
) -> Result<BTreeMap<i64, u128>, DatabaseError> {
    let collection = mongo
        .database
        .collection::<RawDocumentBuf>(mongo.documents());
    let cursor = mongo
        .limited(ACTION, collection.find(within(range)))
        .await?;
    let hashes = cursor.try_fold(BTreeMap::new(), |mut hashes, document| async move {
        if let Some((_, offset)) = place(&document) {
            hashes.insert(offset, content(plan, document.as_bytes()));
        }
        Ok(hashes)
    });
    hashes
        .await
        .map_err(|error| DatabaseError::of(ACTION, &error))
}

/// Dead letters of a range, or all of them.
pub(super) async fn dead_letters(
    mongo: &Mongo,
    range: Option<Range>,
) -> Result<BTreeMap<(i32, i64), StoredDead>, DatabaseError> {
    const ACTION: &str = "read dead letters";
    let collection = mongo
        .database
        .collection::<RawDocumentBuf>(&mongo.beside("_dead"));
    let filter = range.map(within).unwrap_or_default();
    let cursor = mongo.limited(ACTION, collection.find(filter)).await?;
    let letters = cursor.try_fold(BTreeMap::new(), |mut letters, document| async move {
        if let Some(place) = place(&document) {
            let value = document.get_binary("value").map(|value| hash(value.bytes));
            let reason = document.get_str("reason").unwrap_or_default();
            let letter = StoredDead {
                content: hash(document.as_bytes()),
                value: value.unwrap_or_else(|_| hash(&[])),
                is_refusal: reason.starts_with("refused_") || reason == "duplicate_key",
            };
            letters.insert(place, letter);
        }
        Ok(letters)
    });
    letters
        .await
        .map_err(|error| DatabaseError::of(ACTION, &error))
}

/// Documents and dead letters that are of no mirrored offset at all. A mirror that runs beside goes on
/// writing: what its checkpoint covers by now is not foreign.
fn find_foreign(
    sides: &mut Sides<'_>,
    checkpoints: &BTreeMap<i32, Checkpoint>,
) -> Result<(), MirrorVerifyError> {
    let (mongo, runtime) = (sides.parts.mongo, sides.parts.runtime);
    for collection in [mongo.documents().to_owned(), mongo.beside("_dead")] {
        let foreign = runtime.block_on(outside(mongo, &collection, checkpoints))?;
        if foreign.is_empty() {
            continue;
        }
        let now = next_offsets(&runtime.block_on(checkpoint::read(mongo))?);
        for place in foreign {
            let first = |partition| checkpoints.get(&partition).map_or(0, |known| known.first);
            let is_new = place.is_some_and(|(partition, offset)| {
                offset >= first(partition) && now.get(&partition).is_some_and(|next| offset < *next)
            });
            if !is_new {
                let detail = format!("a document of `{collection}` that no offset stands for");
                sides
                    .findings
                    .add(MirrorFindingKind::Unexpected, place, detail);
            }
        }
    }
    Ok(())
}

async fn outside(
    mongo: &Mongo,
    collection: &str,
    checkpoints: &BTreeMap<i32, Checkpoint>,
) -> Result<Vec<Option<(i32, i64)>>, DatabaseError> {
    let inside = checkpoints.iter().map(|(partition, checkpoint)| {
        Bson::Document(within(Range {
            partition: *partition,
            from: checkpoint.first,
            next: checkpoint.next,
        }))
    });
    let inside: Vec<Bson> = inside.collect();
    let filter = if inside.is_empty() {
        doc! {}
    } else {
        doc! {"$nor": inside}
    };
    let found = mongo.database.collection::<RawDocumentBuf>(collection);
    let finding = found.find(filter).projection(doc! {"_id": 1});
    let failed = |error: mongodb::error::Error| DatabaseError::of(ACTION, &error);
    let cursor = finding.await.map_err(failed)?;
    let documents: Vec<RawDocumentBuf> = cursor.try_collect().await.map_err(failed)?;
    Ok(documents.iter().map(|found| place(found)).collect())
}
