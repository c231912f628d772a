//! How far the mirror reaches, as it says itself.
//!
//! Owns: reading checkpoints and dead letters at the time that a query sees.
//! Does not own: what follows from them (`both`).

use std::collections::BTreeMap;

use mongodb::bson::{Document, doc};
use mongodb::options::ReadConcern;

use super::database::{Mirror, MirrorError, Seen};

/// Why messages are dead letters of the mirror alone: the lake has them as rows.
const OF_THE_MIRROR_ALONE: [&str; 4] = [
    "too_large",
    "refused_by_validation",
    "duplicate_key",
    "refused_by_server",
];

/// Where the mirror stands in a source partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The topic's id as the broker gives it.
    pub(crate) topic_id: String,
    /// First offset that the mirror has read.
    pub(crate) first: i64,
    /// First offset that it has not.
    pub(crate) next: i64,
}

/// A message that is a dead letter of the mirror and a row of the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LetterBehind {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) reason: String,
}

impl Mirror {
    /// Checkpoints of all partitions.
    ///
    /// # Errors
    /// As the server; [`MirrorError::Checkpoint`] for a document that is none.
    pub(crate) async fn checkpoints(
        &self,
        seen: Seen,
    ) -> Result<BTreeMap<i32, Checkpoint>, MirrorError> {
        let partitions = doc! {"$match": {"_id": {"$type": "int"}}};
        let found = self
            .all(seen, &self.beside("_checkpoint"), vec![partitions])
            .await?;
        let read = |document: &Document| -> mongodb::bson::error::Result<_> {
            let checkpoint = Checkpoint {
                topic_id: document.get_str("topic_id")?.to_owned(),
                first: document.get_i64("first")?,
                next: document.get_i64("next")?,
            };
            Ok((document.get_i32("_id")?, checkpoint))
        };
        let read = |document| {
            read(document).map_err(|error| MirrorError::Checkpoint {
                place: self.place().to_owned(),
                problem: error.to_string(),
            })
        };
        found.iter().map(read).collect()
    }

    /// A message of these ranges of `_id` that the mirror could not hold and the lake will have.
    ///
    /// # Errors
    /// As the server.
    pub(crate) async fn letter_behind(
        &self,
        seen: Seen,
        ranges: Document,
    ) -> Result<Option<LetterBehind>, MirrorError> {
        let reasons = doc! {"reason": {"$in": OF_THE_MIRROR_ALONE.as_slice()}};
        let stages = vec![
            doc! {"$match": {"$and": [ranges, reasons]}},
            doc! {"$limit": 1},
            doc! {"$project": {"reason": 1}},
        ];
        let found = self.all(seen, &self.beside("_dead"), stages).await?;
        Ok(found.first().and_then(|letter| {
            let id = letter.get_document("_id").ok()?;
            Some(LetterBehind {
                partition: id.get_i32("partition").ok()?,
                offset: id.get_i64("offset").ok()?,
                reason: letter.get_str("reason").ok()?.to_owned(),
            })
        }))
    }

    /// Documents and dead letters of these ranges of `_id`, counted by partition.
    ///
    /// # Errors
    /// As the server.
    pub(crate) async fn counted(
        &self,
        seen: Seen,
        ranges: &Document,
    ) -> Result<BTreeMap<i32, i64>, MirrorError> {
        let mut counts = BTreeMap::new();
        for collection in [self.documents().to_owned(), self.beside("_dead")] {
            let stages = vec![
                doc! {"$match": ranges.clone()},
                doc! {"$group": {"_id": "$_id.partition", "count": {"$sum": 1_i64}}},
            ];
            for group in self.all(seen, &collection, stages).await? {
                if let (Ok(partition), Ok(count)) = (group.get_i32("_id"), group.get_i64("count")) {
                    *counts.entry(partition).or_default() += count;
                }
            }
        }
        Ok(counts)
    }

    async fn all(
        &self,
        seen: Seen,
        collection: &str,
        stages: Vec<Document>,
    ) -> Result<Vec<Document>, MirrorError> {
        let read = async {
            let mut session = self.session(seen).await?;
            let collection = self.collection(collection);
            let aggregate = collection.aggregate(stages);
            let aggregate = match seen {
                Seen::At(_) => aggregate,
                Seen::Majority => aggregate.read_concern(ReadConcern::majority()),
            };
            let cursor = aggregate.session(&mut session).await;
            let mut cursor = cursor.map_err(|error| self.failed(error))?;
            let mut documents = Vec::new();
            while let Some(document) = cursor.next(&mut session).await {
                documents.push(document.map_err(|error| self.failed(error))?);
            }
            Ok(documents)
        };
        read.await
    }
}
