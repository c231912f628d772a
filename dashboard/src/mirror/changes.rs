//! The change stream of the rollups by minute.

use std::time::Duration;

use mongodb::bson::{Bson, Document};
use mongodb::change_stream::ChangeStream;
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType, ResumeToken};

use super::rows::{Row, key_of};
use super::{Mirror, MirrorError};
use crate::cube::DocumentKey;

/// How long the server waits for a change before it says that there is none.
const PATIENCE: Duration = Duration::from_millis(50);

/// What happened to one rollup document.
#[derive(Debug)]
pub enum Happened {
    /// It was inserted or replaced.
    Put(Row),
    /// Its sums changed.
    Update {
        /// The document.
        id: Bson,
        /// Its hash.
        key: DocumentKey,
        /// New absolute values.
        count: Option<i64>,
        /// New absolute values.
        amount: Option<i128>,
        /// New absolute values.
        quantity: Option<i128>,
    },
    /// What it is told apart by changed: it is to be read again.
    Moved(Bson),
    /// It is gone.
    Delete(DocumentKey),
    /// The collection was dropped, renamed or replaced: all must be loaded again.
    Lost,
}

/// A change, and what belongs to it.
#[derive(Debug)]
pub struct Event {
    /// What happened.
    pub happened: Happened,
    /// Changes of one transaction have this in common.
    pub transaction: (Option<mongodb::bson::Timestamp>, Option<i64>),
    /// From here a stream can go on after this change.
    pub token: ResumeToken,
}

/// An open change stream.
pub struct Changes {
    stream: ChangeStream<ChangeStreamEvent<Document>>,
    mirror: Mirror,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl Changes {
    /// The next change, or none within some tens of milliseconds.
    ///
    /// # Errors
    /// When the server is away or a rollup is not what the settings say.
    pub async fn next(&mut self) -> Result<Option<Event>, MirrorError> {
        match self.stream.next_if_any().await? {
            None => Ok(None),
            Some(event) => self.mirror.event(event).map(Some),
        }
    }

    /// From where a stream can go on after everything that [`Self::next`] has given.
    pub fn token(&self) -> Option<ResumeToken> {
        self.stream.resume_token()
    }
}

impl Mirror {
    /// Opens the stream of changes from now on, or from a token.
    ///
    /// # Errors
    /// When the server is away or does not know the token any more.
    pub async fn changes(&self, token: Option<ResumeToken>) -> Result<Changes, MirrorError> {
        let stream = self
            .minutes
            .watch()
            .resume_after(token)
            .max_await_time(PATIENCE)
            .batch_size(10_000)
            .await?;
        Ok(Changes {
            stream,
            mirror: self.clone(),
        })
    }

    fn event(&self, event: ChangeStreamEvent<Document>) -> Result<Event, MirrorError> {
        let id = event
            .document_key
            .as_ref()
            .and_then(|key| key.get("_id"))
            .cloned();
        let happened = match (event.operation_type, id) {
            (OperationType::Insert | OperationType::Replace, _) => match &event.full_document {
                Some(document) => Happened::Put(self.row(document)?),
                None => Happened::Lost,
            },
            (OperationType::Update, Some(id)) => match event.update_description {
                Some(new) => self.update(id, &new.updated_fields, &new.removed_fields)?,
                None => Happened::Moved(id),
            },
            (OperationType::Delete, Some(id)) => Happened::Delete(key_of(&id)),
            _ => Happened::Lost,
        };
        Ok(Event {
            happened,
            transaction: (event.cluster_time, event.txn_number),
            token: event.id,
        })
    }

    fn update(
        &self,
        id: Bson,
        new: &Document,
        removed: &[String],
    ) -> Result<Happened, MirrorError> {
        let fields = &self.fields;
        let place = ["bucket", &fields.region, &fields.product, &fields.category];
        let sums = ["count", &fields.amount, &fields.quantity];
        let moved = place.iter().any(|field| new.contains_key(field))
            || removed
                .iter()
                .any(|field| place.contains(&field.as_str()) || sums.contains(&field.as_str()));
        if moved {
            return Ok(Happened::Moved(id));
        }
        Ok(Happened::Update {
            key: key_of(&id),
            id,
            count: self.count(new)?,
            amount: self.amount(new)?,
            quantity: self.quantity(new)?,
        })
    }
}
