//! Rollups of a day, added up anew and put in the place of those that are there.
//!
//! ```text
//! documents ─► minutes, ten at a time ─► day, each in a transaction that holds the claims
//! ```
//!
//! Owns: what is added up, and how it takes the place of what was there.
//! Does not own: documents and claims (`rebuild`).

use std::ops::Range;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};

use crate::mirror::command::{COMMAND_BYTES, Command};
use crate::mirror::failure::{DatabaseError, FailureKind};
use crate::mirror::outcome::{Stopped, Tries};
use crate::mirror::rollup::GRAINS;
use crate::mirror::transaction::Transaction;
use crate::mirror::verify::rollups::start_of;

use super::{ACTION, DAY_MS, Rebuild, between, fenced};

/// Minutes whose rollups one transaction replaces.
const SLICE_MS: i64 = 10 * 60_000;

/// What rollups are added up of.
struct Source<'a> {
    collection: &'a str,
    time: &'a str,
    /// Where the source partition stands.
    part: &'a str,
    count: Bson,
}

impl Rebuild {
    /// Adds up the rollups of a day anew, from its documents.
    ///
    /// # Errors
    /// As the database; [`FailureKind::Fenced`] when a mirror has started.
    pub async fn add_up(&self, day: i64) -> Result<(), DatabaseError> {
        let (start, end) = (day * DAY_MS, (day + 1) * DAY_MS);
        let [(minutes, minute_ms), (days, day_ms)] = GRAINS;
        let minutes = self.mongo.beside(minutes);
        let documents = self.mongo.documents();
        let time = self.time().name.clone();
        let mut from = start;
        while from < end {
            let of_documents = Source {
                collection: documents,
                time: &time,
                part: "$_id.partition",
                count: 1_i64.into(),
            };
            self.replace(&of_documents, &minutes, minute_ms, from..from + SLICE_MS)
                .await?;
            from += SLICE_MS;
        }
        let of_minutes = Source {
            collection: &minutes,
            time: "bucket",
            part: "$_id.part",
            count: "$count".into(),
        };
        self.replace(&of_minutes, &self.mongo.beside(days), day_ms, start..end)
            .await
    }

    /// Replaces rollups by what their source adds up to, in one transaction.
    async fn replace(
        &self,
        source: &Source<'_>,
        collection: &str,
        length_ms: i64,
        span: Range<i64>,
    ) -> Result<(), DatabaseError> {
        let mut tries = Tries::default();
        loop {
            let trying = self.try_replace(source, collection, length_ms, span.clone());
            let Err(stopped) = trying.await else {
                return Ok(());
            };
            if !tries.another(&stopped).await {
                return Err(failed(stopped));
            }
        }
    }

    async fn try_replace(
        &self,
        source: &Source<'_>,
        collection: &str,
        length_ms: i64,
        span: Range<i64>,
    ) -> Result<(), Stopped> {
        let Some(server_session) = &self.server_session else {
            return Ok(());
        };
        let mut session = server_session.session.lock().await;
        let mut transaction = Transaction::begin(&self.mongo, &mut session).await?;
        let filled = self
            .fill(&mut transaction, source, collection, length_ms, span)
            .await;
        transaction.end(filled).await
    }

    async fn fill(
        &self,
        transaction: &mut Transaction<'_>,
        source: &Source<'_>,
        collection: &str,
        length_ms: i64,
        span: Range<i64>,
    ) -> Result<(), Stopped> {
        // Held for the transaction: a claim of another mirror conflicts with it.
        for claim in self.claims.values() {
            let held = doc! {"q": {"_id": claim.partition, "epoch": claim.epoch}, "u": {"$inc": {"rebuilt": 1_i64}}};
            let command = doc! {"update": self.mongo.beside("_checkpoint"), "updates": [held]};
            let reply = transaction.run(ACTION, raw(&command)?).await?;
            if !matches!(reply.get_i32("n"), Ok(1)) {
                return Err(fenced(claim.partition).into());
            }
        }
        let gone = doc! {"q": {"bucket": between(span.start, span.end)}, "limit": 0};
        let command = doc! {"delete": collection, "deletes": [gone]};
        transaction.run(ACTION, raw(&command)?).await?;
        let found = self.added_up(transaction, source, length_ms, span).await?;
        let mut command = Command::new("insert", collection, "documents");
        for document in &found {
            if command.bytes() > COMMAND_BYTES {
                let next = Command::new("insert", collection, "documents");
                let full = std::mem::replace(&mut command, next);
                transaction.run(ACTION, full.finish()).await?;
            }
            command.push(raw(document)?.as_bytes());
        }
        if !found.is_empty() {
            transaction.run(ACTION, command.finish()).await?;
        }
        Ok(())
    }

    /// Rollups of a span, as the mirror writes them.
    async fn added_up(
        &self,
        transaction: &mut Transaction<'_>,
        source: &Source<'_>,
        length_ms: i64,
        span: Range<i64>,
    ) -> Result<Vec<Document>, Stopped> {
        let pipeline = self.pipeline(source, length_ms, span);
        let collection = self
            .mongo
            .database
            .collection::<Document>(source.collection);
        let failed = |error: mongodb::error::Error| Stopped::of(ACTION, &error);
        let running = collection
            .aggregate(pipeline)
            .allow_disk_use(true)
            .session(&mut *transaction.session);
        let mut cursor = running.await.map_err(failed)?;
        let mut found = Vec::new();
        while let Some(mut sums) = cursor
            .next(transaction.session)
            .await
            .transpose()
            .map_err(failed)?
        {
            let id = sums.get_document("_id").cloned().unwrap_or_default();
            if let Ok(bucket) = id.get_datetime("bucket") {
                sums.insert("bucket", *bucket);
            }
            if let Ok(by) = id.get_document("by") {
                sums.extend(by.clone());
            }
            found.push(sums);
        }
        Ok(found)
    }

    fn pipeline(&self, source: &Source<'_>, length_ms: i64, span: Range<i64>) -> Vec<Document> {
        let (plan, rollup) = (&self.plan, self.rollup());
        let of = |name: &str| format!("${name}");
        let by: Document = rollup
            .by
            .iter()
            .map(|column| {
                (
                    plan.name(*column).to_owned(),
                    Bson::from(of(plan.name(*column))),
                )
            })
            .collect();
        let id = doc! {"bucket": start_of(source.time, length_ms), "by": by, "part": source.part};
        let mut group = doc! {"_id": id, "count": {"$sum": source.count.clone()}};
        let mut typed = doc! {"count": {"$toLong": "$count"}};
        for sum in &rollup.sum {
            let name = plan.name(sum.column);
            let operator = match sum.scale {
                Some(_) => "$toDecimal",
                None => "$toLong",
            };
            group.insert(name, doc! {"$sum": {operator: of(name)}});
            typed.insert(name, doc! {operator: of(name)});
        }
        vec![
            doc! {"$match": {source.time: between(span.start, span.end)}},
            doc! {"$group": group},
            doc! {"$set": typed},
        ]
    }
}

fn raw(document: &Document) -> Result<RawDocumentBuf, DatabaseError> {
    RawDocumentBuf::try_from(document)
        .map_err(|error| DatabaseError::new(FailureKind::Unfit, ACTION, error.to_string()))
}

/// Why rollups were not replaced.
fn failed(stopped: Stopped) -> DatabaseError {
    let reason = match stopped {
        Stopped::Again(error) | Stopped::Conflict(error) | Stopped::Failed(error) => return error,
        Stopped::Refused(_, refusal) => format!("the server refuses a rollup: {}", refusal.detail),
        Stopped::TooLarge(reason) => reason,
    };
    DatabaseError::new(FailureKind::Unfit, ACTION, reason)
}
