//! Days of the mirror, made again from rows of the lake.
//!
//! ```text
//! claims ─► a day: documents removed ─► documents of the lake's rows ─► rollups added up anew
//! ```
//!
//! Owns: the order in which a day is made again, and what is not touched.
//! Does not own: the lake's rows, which come as batches (`verify::rows`).
//!
//! Documents of offsets that the lake does not have yet, or the mirror, stay as they are. All partitions
//! are claimed first, so a mirror that runs is put out; one that starts afterwards claims them itself,
//! which the next transaction of this rebuilding sees: it ends, and has to be run again.

mod rollups;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int32Type, Int64Type};
use futures::TryStreamExt as _;
use mongodb::bson::{Bson, DateTime, Document, RawDocumentBuf, doc};

use crate::table::{KAFKA_OFFSET, KAFKA_PARTITION};

use super::checkpoint::{self, Claim, ServerSession};
use super::database::Mongo;
use super::failure::{DatabaseError, FailureKind};
use super::plan::{Id, Plan, Rollup};
use super::prepared::{document_of, readers};
use super::verify::rollups::{complete_from, start_of};

const DAY_MS: i64 = 86_400_000;
/// Documents of one command.
const BATCH: usize = 1_000;
/// Why the server has not taken a document: it would not take it now.
const REFUSED_BY_SERVER: [&str; 4] = [
    "too_large",
    "refused_by_validation",
    "duplicate_key",
    "refused_by_server",
];

/// What became of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rebuilt {
    /// Documents that were there.
    pub removed: u64,
    /// Documents that are there now.
    pub inserted: u64,
}

/// A mirror whose partitions are all claimed.
#[derive(Debug)]
pub struct Rebuild {
    mongo: Mongo,
    plan: Arc<Plan>,
    claims: BTreeMap<i32, Claim>,
    /// Once it is claimed, the one in which its transactions run.
    server_session: Option<ServerSession>,
    topic_id: String,
    /// First offset of each partition that is left alone.
    limits: BTreeMap<i32, i64>,
    /// Offsets whose documents the server does not take.
    refused: HashSet<(i32, i64)>,
}

impl Rebuild {
    /// What can be rebuilt of a mirror at all.
    ///
    /// # Errors
    /// [`FailureKind::Unfit`] for documents under keys, for a mirror without rollups' time, and for
    /// one that was never begun.
    pub async fn look(mongo: Mongo, plan: Arc<Plan>) -> Result<Self, DatabaseError> {
        const ACTION: &str = "look at the mirror";
        let unfit = |reason: &str| Err(DatabaseError::new(FailureKind::Unfit, ACTION, reason));
        if plan.id != Id::Offset {
            return unfit(
                "documents under keys cannot be made of the lake, which holds every version: drop \
                 the mirror's collections and let `lake-writer mirror` begin anew",
            );
        }
        if plan.rollup.is_none() {
            return unfit("without mirror.mongodb.rollup.time nothing says which day a row is of");
        }
        mongo.probe().await?;
        let checkpoints = checkpoint::read(&mongo).await?;
        let Some(topic_id) = checkpoints
            .values()
            .next()
            .map(|first| first.topic_id.clone())
        else {
            return unfit("it has no checkpoint: run `lake-writer mirror` once");
        };
        let limits = checkpoints
            .iter()
            .map(|(partition, at)| (*partition, at.next));
        let limits = limits.collect();
        let refused = refused(&mongo).await?;
        Ok(Self {
            claims: BTreeMap::new(),
            server_session: None,
            mongo,
            plan,
            topic_id,
            limits,
            refused,
        })
    }

    /// The topic that was mirrored.
    pub fn topic_id(&self) -> &str {
        &self.topic_id
    }

    /// The column that says which day a row is of.
    pub fn time(&self) -> &crate::table::Column {
        &self.plan.schema.columns[self.rollup().time]
    }

    fn rollup(&self) -> &Rollup {
        self.plan.rollup.as_ref().expect("was looked for")
    }

    /// The first day of which no document has expired at `now_ms`, if any does: what came before lives
    /// in rollups alone, which must not be added up anew.
    pub fn first_day(&self, now_ms: i64) -> Option<i64> {
        complete_from(&self.plan, now_ms).map(|ms| ms.div_euclid(DAY_MS))
    }

    /// Leaves alone what the lake does not have yet.
    pub fn stop_at(&mut self, in_lake: &BTreeMap<i32, i64>) {
        for (partition, limit) in &mut self.limits {
            *limit = (*limit).min(in_lake.get(partition).copied().unwrap_or(0));
        }
    }

    /// Claims all partitions.
    ///
    /// # Errors
    /// As the database.
    pub async fn claim(&mut self, session: &str) -> Result<(), DatabaseError> {
        let server_session = ServerSession::start(&self.mongo).await?;
        for partition in self.limits.keys() {
            let claim =
                checkpoint::claim(&self.mongo, *partition, session, &server_session).await?;
            self.claims.insert(*partition, claim);
        }
        self.server_session = Some(server_session);
        Ok(())
    }

    /// Days of which there are documents.
    ///
    /// # Errors
    /// As the database.
    pub async fn documents_by_day(
        &self,
        wanted: &Range<i64>,
    ) -> Result<BTreeMap<i64, u64>, DatabaseError> {
        const ACTION: &str = "count documents by day";
        let time = &self.time().name;
        let bounds = |day: i64| DateTime::from_millis(day.saturating_mul(DAY_MS));
        let pipeline = vec![
            doc! {"$match": {time: {"$gte": bounds(wanted.start), "$lt": bounds(wanted.end)}}},
            doc! {"$group": {"_id": start_of(time, DAY_MS), "count": {"$sum": 1_i64}}},
        ];
        let collection = self
            .mongo
            .database
            .collection::<Document>(self.mongo.documents());
        let failed = |error: mongodb::error::Error| DatabaseError::of(ACTION, &error);
        let cursor = collection.aggregate(pipeline).allow_disk_use(true).await;
        let found: Vec<Document> = cursor
            .map_err(failed)?
            .try_collect()
            .await
            .map_err(failed)?;
        let day = |found: &Document| {
            let start = found.get_datetime("_id").ok()?.timestamp_millis();
            Some((
                start.div_euclid(DAY_MS),
                found.get_i64("count").ok()?.unsigned_abs(),
            ))
        };
        Ok(found.iter().filter_map(day).collect())
    }

    /// Rows of a day in a batch that become documents, each with its bytes.
    pub fn documents(&self, day: i64, batch: &RecordBatch) -> Vec<RawDocumentBuf> {
        let columns = self.plan.schema.columns.iter();
        let columns: Vec<_> = columns
            .filter_map(|column| batch.column_by_name(&column.name).cloned())
            .collect();
        let place = |name| batch.column_by_name(name);
        let (Some(partitions), Some(offsets)) = (place(KAFKA_PARTITION), place(KAFKA_OFFSET))
        else {
            return Vec::new();
        };
        let partitions = partitions.as_primitive::<Int32Type>().values();
        let offsets = offsets.as_primitive::<Int64Type>().values();
        let readers = readers(&self.plan, &columns);
        let time = &readers[self.rollup().time];
        let mut documents = Vec::new();
        for (row, (partition, offset)) in partitions.iter().zip(offsets).enumerate() {
            let is_ours = self
                .limits
                .get(partition)
                .is_some_and(|limit| offset < limit)
                && time.millis(row).div_euclid(DAY_MS) == day
                && !self.refused.contains(&(*partition, *offset));
            if is_ours {
                documents.extend(document_of(&readers, *partition, *offset, row));
            }
        }
        documents
    }

    /// Removes the documents of a day, but for those that are left alone.
    ///
    /// # Errors
    /// As the database; [`FailureKind::Fenced`] when a mirror has started.
    pub async fn remove(&self, day: i64) -> Result<u64, DatabaseError> {
        const ACTION: &str = "remove the documents of a day";
        self.is_still_ours().await?;
        let collection = self
            .mongo
            .database
            .collection::<Document>(self.mongo.documents());
        let time = &self.time().name;
        let mut removed = 0;
        for (partition, limit) in &self.limits {
            for hour in 0..24 {
                let from = day * DAY_MS + hour * DAY_MS / 24;
                let filter = doc! {
                    time: between(from, from + DAY_MS / 24),
                    "_id.partition": partition, "_id.offset": {"$lt": limit},
                };
                let deleted = self
                    .mongo
                    .limited(ACTION, collection.delete_many(filter))
                    .await?;
                removed += deleted.deleted_count;
            }
        }
        Ok(removed)
    }

    /// Inserts documents.
    ///
    /// # Errors
    /// As the database.
    pub async fn insert(&self, documents: &[RawDocumentBuf]) -> Result<(), DatabaseError> {
        let name = self.mongo.documents();
        let collection = self.mongo.database.collection::<RawDocumentBuf>(name);
        for batch in documents.chunks(BATCH) {
            let inserting = collection.insert_many(batch);
            self.mongo.limited("insert documents", inserting).await?;
        }
        Ok(())
    }

    async fn is_still_ours(&self) -> Result<(), DatabaseError> {
        for claim in self.claims.values() {
            let query = doc! {"_id": claim.partition, "epoch": claim.epoch};
            let found = self
                .mongo
                .limited(ACTION, self.mongo.checkpoint().find_one(query))
                .await?;
            if found.is_none() {
                return Err(fenced(claim.partition));
            }
        }
        Ok(())
    }
}

const ACTION: &str = "rebuild a day";

fn between(from_ms: i64, to_ms: i64) -> Document {
    doc! {"$gte": DateTime::from_millis(from_ms), "$lt": DateTime::from_millis(to_ms)}
}

fn fenced(partition: i32) -> DatabaseError {
    let reason = format!(
        "partition {partition} was claimed since: a mirror has started; stop it, and run the repair \
         again from the beginning"
    );
    DatabaseError::new(FailureKind::Fenced, ACTION, reason)
}

/// Offsets of rows that are dead letters here because the server has not taken them.
async fn refused(mongo: &Mongo) -> Result<HashSet<(i32, i64)>, DatabaseError> {
    const ACTION: &str = "read the dead letters";
    let collection = mongo
        .database
        .collection::<Document>(&mongo.beside("_dead"));
    let reasons: Vec<Bson> = REFUSED_BY_SERVER.into_iter().map(Bson::from).collect();
    let find = collection
        .find(doc! {"reason": {"$in": reasons}})
        .projection(doc! {"_id": 1});
    let cursor = mongo.limited(ACTION, find).await?;
    let found: Vec<Document> = mongo.limited(ACTION, cursor.try_collect()).await?;
    let place = |found: &Document| {
        let id = found.get_document("_id").ok()?;
        Some((id.get_i32("partition").ok()?, id.get_i64("offset").ok()?))
    };
    Ok(found.iter().filter_map(place).collect())
}
