//! Rollups against documents, both added up by the server: other code than the mirror's own sums.

use futures::TryStreamExt as _;
use mongodb::bson::{Bson, DateTime, Document, doc};

use crate::mirror::failure::DatabaseError;
use crate::mirror::plan::{Plan, Rollup};
use crate::mirror::rollup::GRAINS;

use super::{Findings, MirrorFindingKind, MirrorVerifyParts};

const ACTION: &str = "add up documents and rollups";
const DAY_MS: i64 = 86_400_000;
/// First wire version of MongoDB 5.0, from which on an aggregation can look at one moment.
const SNAPSHOT_WIRE_VERSION: i32 = 13;

/// Adds a finding for each bucket and group whose rollups are not the sums of documents.
///
/// # Errors
/// As the database.
pub(super) async fn compare(
    parts: &MirrorVerifyParts<'_>,
    findings: &mut Findings,
) -> Result<(), DatabaseError> {
    let Some(rollup) = &parts.plan.rollup else {
        return Ok(());
    };
    let mongo = parts.mongo;
    let hello = mongo.database.run_command(doc! {"hello": 1});
    let hello = mongo.limited(ACTION, hello).await?;
    let has_snapshots = hello.get_i32("maxWireVersion").unwrap_or(0) >= SNAPSHOT_WIRE_VERSION;
    for (suffix, length_ms) in GRAINS {
        let collection = mongo.beside(suffix);
        let mut command = doc! {
            "aggregate": mongo.documents(),
            "pipeline": differences(parts, rollup, &collection, length_ms),
            "cursor": {},
            "allowDiskUse": true,
        };
        if has_snapshots {
            command.insert("readConcern", doc! {"level": "snapshot"});
        }
        let failed = |error: mongodb::error::Error| DatabaseError::of(ACTION, &error);
        let running = mongo.database.run_cursor_command(command).await;
        let mut cursor = running.map_err(failed)?;
        while let Some(difference) = cursor.try_next().await.map_err(failed)? {
            let bucket = difference
                .get_document("_id")
                .and_then(|id| id.get_datetime("bucket"))
                .ok()
                .and_then(|bucket| bucket.try_to_rfc3339_string().ok())
                .unwrap_or_default();
            let detail = format!("`{collection}`, bucket {bucket}: {}", in_words(&difference));
            findings.add(MirrorFindingKind::WrongRollup, None, detail);
        }
    }
    Ok(())
}

/// Figures by which documents exceed rollups. The `by` fields are values and stay unsaid.
fn in_words(difference: &Document) -> String {
    let figures = difference.iter().filter(|(name, _)| *name != "_id");
    let figures: Vec<String> = figures
        .map(|(name, by)| format!("{name} of the documents is {by} more"))
        .collect();
    figures.join(", ")
}

/// Sums of documents, minus rollups, where anything is left.
fn differences(
    parts: &MirrorVerifyParts<'_>,
    rollup: &Rollup,
    collection: &str,
    length_ms: i64,
) -> Vec<Document> {
    let plan = parts.plan;
    let time = plan.name(rollup.time);
    let of = |name: &str| format!("${name}");
    let mut documents_id = doc! {"bucket": start_of(time, length_ms)};
    let mut rollups_id = doc! {"bucket": "$bucket"};
    let mut left = vec![doc! {"count": {"$ne": 0}}];
    let (mut summed, mut negated, mut added) = (
        doc! {"count": {"$sum": 1_i64}},
        doc! {"count": {"$multiply": ["$count", -1_i64]}},
        doc! {"count": {"$sum": "$count"}},
    );
    for column in &rollup.by {
        let name = plan.name(*column);
        documents_id.insert(name, of(name));
        rollups_id.insert(name, of(name));
    }
    for sum in &rollup.sum {
        let name = plan.name(sum.column);
        // Longs are added as decimals, as rollups have them.
        let value: Bson = match sum.scale {
            Some(_) => doc! {"$toDecimal": of(name)}.into(),
            None => of(name).into(),
        };
        summed.insert(name, doc! {"$sum": value});
        negated.insert(name, doc! {"$multiply": [of(name), -1_i64]});
        added.insert(name, doc! {"$sum": of(name)});
        left.push(doc! {name: {"$ne": 0}});
    }
    let mut grouped = doc! {"_id": documents_id};
    grouped.extend(summed);
    let mut projected = doc! {"_id": rollups_id};
    projected.extend(negated);
    let mut together = doc! {"_id": "$_id"};
    together.extend(added);
    let complete = complete_from(parts.plan, parts.now_ms);
    let matching = |field: &str| match complete {
        Some(from) => doc! {field: {"$gte": DateTime::from_millis(from)}},
        None => doc! {},
    };
    vec![
        doc! {"$match": matching(time)},
        doc! {"$group": grouped},
        doc! {"$unionWith": {
            "coll": collection,
            "pipeline": [{"$match": matching("bucket")}, {"$project": projected}],
        }},
        doc! {"$group": together},
        doc! {"$match": {"$or": left}},
    ]
}

/// The start of the bucket of a Date, before the epoch too; MongoDB 4.4 has no `$dateTrunc`.
pub(in crate::mirror) fn start_of(time: &str, length_ms: i64) -> Bson {
    let millis = doc! {"$toLong": format!("${time}")};
    let rest = doc! {"$mod": [millis, length_ms]};
    let rest = doc! {"$mod": [{"$add": [rest, length_ms]}, length_ms]};
    doc! {"$subtract": [format!("${time}"), rest]}.into()
}

/// First moment from which no document has expired; `None` when none ever does.
pub(in crate::mirror) fn complete_from(plan: &Plan, now_ms: i64) -> Option<i64> {
    let ttl_ms = i64::try_from(plan.ttl_seconds?.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let oldest = now_ms.saturating_sub(ttl_ms);
    Some(
        oldest
            .div_euclid(DAY_MS)
            .saturating_add(2)
            .saturating_mul(DAY_MS),
    )
}
