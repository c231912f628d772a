//! Where the mirror stands, in the database itself.
//!
//! ```text
//! <collection>_checkpoint: {_id: partition, topic, topic_id, first, next, epoch, session, lsid,
//!                           documents, dead_letters, tombstones}, one a source partition
//! ```
//!
//! Owns: claims. A claim raises a partition's epoch by one; every transaction changes the partition's
//! checkpoint on condition of its offset *and* its epoch, so one that was claimed from cannot write
//! any more, however long it slept.
//! Does not own: the change inside a transaction (`write`).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt as _;
use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use mongodb::options::ReturnDocument;
use tokio::sync::Mutex;

use crate::source::TopicIdentity;

use super::database::Mongo;
use super::failure::{DatabaseError, FailureKind};

/// A source partition that is ours until somebody claims it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) partition: i32,
    pub(super) epoch: i64,
    /// First offset that the database does not hold.
    pub(super) next: i64,
}

/// A session of the server, in which transactions run one after the other. Claims name it, so that who
/// claims from them can end what is open in it.
#[derive(Clone, Debug)]
pub(super) struct ServerSession {
    pub(super) id: Document,
    pub(super) session: Arc<Mutex<ClientSession>>,
}

impl ServerSession {
    /// Begins one.
    ///
    /// # Errors
    /// As the database.
    pub(super) async fn start(mongo: &Mongo) -> Result<Self, DatabaseError> {
        let starting = mongo.client.start_session();
        let session = mongo.limited("start a session", starting).await?;
        Ok(Self {
            id: session.id().clone(),
            session: Arc::new(Mutex::new(session)),
        })
    }
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    pub(super) topic: String,
    pub(super) topic_id: String,
    pub(super) next: i64,
    /// First offset that the mirror has read.
    pub(super) first: i64,
}

/// Checkpoints of all partitions.
///
/// # Errors
/// As the database; [`FailureKind::Unfit`] for a document that is no checkpoint.
pub(super) async fn read(mongo: &Mongo) -> Result<BTreeMap<i32, Checkpoint>, DatabaseError> {
    const ACTION: &str = "read the checkpoints";
    let collection = mongo.checkpoint();
    let find = collection.find(doc! {"_id": {"$type": "int"}});
    let cursor = mongo.limited(ACTION, find).await?;
    let found: Vec<Document> = mongo.limited(ACTION, cursor.try_collect()).await?;
    found.iter().map(checkpoint).collect()
}

fn checkpoint(document: &Document) -> Result<(i32, Checkpoint), DatabaseError> {
    let read = || -> mongodb::bson::error::Result<_> {
        let checkpoint = Checkpoint {
            topic: document.get_str("topic")?.to_owned(),
            topic_id: document.get_str("topic_id")?.to_owned(),
            next: document.get_i64("next")?,
            first: document.get_i64("first")?,
        };
        Ok((document.get_i32("_id")?, checkpoint))
    };
    read().map_err(|error| {
        let reason = format!("{document} is no checkpoint: {error}; restore the collection");
        DatabaseError::new(FailureKind::Unfit, "read the checkpoints", reason)
    })
}

/// Refuses a topic that was deleted and created again: its offsets mean other messages.
///
/// # Errors
/// [`FailureKind::Unfit`] with both ids and the remedy.
pub(super) fn refuse_recreated<'a>(
    checkpoints: impl IntoIterator<Item = &'a Checkpoint>,
    topic: &TopicIdentity,
) -> Result<(), DatabaseError> {
    for checkpoint in checkpoints {
        if checkpoint.topic_id != topic.topic_id {
            let reason = format!(
                "the collections were written from topic `{}` with id {}, this is `{}` with id {}; \
                 mirror it into another collection",
                checkpoint.topic, checkpoint.topic_id, topic.name, topic.topic_id
            );
            return Err(DatabaseError::new(
                FailureKind::Unfit,
                "compare the topic with the checkpoints",
                reason,
            ));
        }
    }
    Ok(())
}

/// Makes checkpoints that begin at these offsets, where there is none.
///
/// # Errors
/// As the database.
pub(super) async fn begin(
    mongo: &Mongo,
    topic: &TopicIdentity,
    first: &BTreeMap<i32, i64>,
) -> Result<(), DatabaseError> {
    for (partition, first) in first {
        let fresh = doc! {
            "topic": &topic.name, "topic_id": &topic.topic_id, "first": first, "next": first,
            "epoch": 0_i64, "documents": 0_i64, "dead_letters": 0_i64, "tombstones": 0_i64,
        };
        let collection = mongo.checkpoint();
        let put = collection
            .update_one(doc! {"_id": partition}, doc! {"$setOnInsert": fresh})
            .upsert(true);
        mongo.limited("begin a checkpoint", put).await?;
    }
    Ok(())
}

/// Claims a partition whose checkpoint was begun. Whoever held it before is fenced from here on.
///
/// A mirror that was killed or frozen in mid-transaction leaves it open on the server, for a minute by
/// default, and every write to the same checkpoint waits for it. Its session stands in the checkpoint, so
/// it is ended first; whatever it had committed stays.
///
/// # Errors
/// As the database; the claim may stand all the same, which the next one gets past.
pub(super) async fn claim(
    mongo: &Mongo,
    partition: i32,
    session: &str,
    server_session: &ServerSession,
) -> Result<Claim, DatabaseError> {
    const ACTION: &str = "claim a partition";
    let collection = mongo.checkpoint();
    let before = collection.find_one(doc! {"_id": partition});
    let before = mongo.limited(ACTION, before).await?;
    if let Some(old) = before
        .as_ref()
        .and_then(|found| found.get_document("lsid").ok())
    {
        let kill = doc! {"killSessions": [old.clone()]};
        if let Err(error) = mongo
            .limited(ACTION, mongo.database.run_command(kill))
            .await
        {
            tracing::debug!(%error, "the session of the one before could not be ended");
        }
    }
    let change = doc! {
        "$inc": {"epoch": 1_i64},
        "$set": {"session": session, "lsid": &server_session.id},
    };
    let claiming = collection
        .find_one_and_update(doc! {"_id": partition}, change)
        .return_document(ReturnDocument::After);
    let found = mongo.limited(ACTION, claiming).await?;
    let gone = || {
        let reason = format!("the checkpoint of partition {partition} is gone; restore it");
        DatabaseError::new(FailureKind::Unfit, ACTION, reason)
    };
    let found = found.ok_or_else(gone)?;
    let (_, checkpoint) = checkpoint(&found)?;
    Ok(Claim {
        partition,
        epoch: found.get_i64("epoch").map_err(|_| gone())?,
        next: checkpoint.next,
    })
}

/// Says that nothing of these partitions is open in our session any more: it goes on with others, and
/// whoever claims these next must not end it.
///
/// # Errors
/// As the database. Then the next claim ends a transaction of ours, which is tried again.
pub(super) async fn release(mongo: &Mongo, claims: &[Claim]) -> Result<(), DatabaseError> {
    let collection = mongo.checkpoint();
    for claim in claims {
        let ours = doc! {"_id": claim.partition, "epoch": claim.epoch};
        let releasing = collection.update_one(ours, doc! {"$unset": {"lsid": ""}});
        mongo.limited("release a partition", releasing).await?;
    }
    Ok(())
}
