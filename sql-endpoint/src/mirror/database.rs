//! The mirror's database, and what one query sees of it.
//!
//! Owns: what the server can do, at which time of it a query reads.
//! Does not own: the connection's settings (`lake_writer::mirror::Mongo`).

use datafusion::common::DataFusionError;
use lake_writer::mirror::{DatabaseError, Mongo};
use lake_writer::settings::MongoDb;
use mongodb::bson::{Document, Timestamp, doc};
use mongodb::options::SessionOptions;
use mongodb::{ClientSession, Collection};

/// First wire version of MongoDB 5.0: reads at one time, `$dateTrunc`.
const SNAPSHOTS: i32 = 13;

/// Why the mirror cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The way to the server.
    #[error("the mirror in {place} cannot be used")]
    Open {
        /// Hosts, database and collection, without credentials.
        place: String,
        /// Why.
        #[source]
        source: DatabaseError,
    },
    /// A call.
    #[error("MongoDB, {place}: {source}{}", remedy(.source))]
    Server {
        /// Hosts, database and collection, without credentials.
        place: String,
        /// Why.
        #[source]
        source: mongodb::error::Error,
    },
    /// Documents under other ids than the settings say.
    #[error(
        "the collections of {place} were made with `{found}`, and mirror.mongodb.id is `{wanted}`: \
         use the settings of `lake-writer mirror`"
    )]
    OtherDefinition {
        /// Hosts, database and collection, without credentials.
        place: String,
        /// What the collections say.
        found: String,
        /// What the settings say.
        wanted: String,
    },
    /// A checkpoint that is none.
    #[error("a checkpoint of {place} cannot be read: {problem}; restore the collection")]
    Checkpoint {
        /// Hosts, database and collection, without credentials.
        place: String,
        /// What is wrong.
        problem: String,
    },
}

/// `SnapshotTooOld`, `SnapshotUnavailable`.
fn remedy(error: &mongodb::error::Error) -> &'static str {
    match error.kind.as_ref() {
        mongodb::error::ErrorKind::Command(command) if matches!(command.code, 239 | 246) => {
            ": the query took longer than the server keeps the time at which it reads; read less, or \
             raise the server's minSnapshotHistoryWindowInSeconds"
        }
        _ => "",
    }
}

impl From<MirrorError> for DataFusionError {
    fn from(error: MirrorError) -> Self {
        Self::External(Box::new(error))
    }
}

/// What a query sees of the mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Everything as it was at one time of the server's.
    At(Timestamp),
    /// Whatever a majority has by the time it is read: servers before MongoDB 5.0.
    Majority,
}

/// The mirror's database.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    mongo: Mongo,
    collection: String,
    has_snapshots: bool,
}

impl Mirror {
    /// Connects, and looks what the server can do and whether it holds this mirror.
    ///
    /// # Errors
    /// [`MirrorError`], naming the place.
    pub(crate) async fn open(settings: &MongoDb) -> Result<Self, MirrorError> {
        let unusable = |place: &str, source| MirrorError::Open {
            place: place.to_owned(),
            source,
        };
        let named = format!("{}.{}", settings.database, settings.collection);
        let mongo = Mongo::open(settings).await;
        let mongo = mongo.map_err(|source| unusable(&named, source))?;
        let probed = mongo.probe().await;
        probed.map_err(|source| unusable(mongo.place(), source))?;
        let mut mirror = Self {
            mongo,
            collection: settings.collection.clone(),
            has_snapshots: false,
        };
        let hello = mirror.mongo.database().run_command(doc! {"hello": 1}).await;
        let hello = hello.map_err(|error| mirror.failed(error))?;
        mirror.has_snapshots = hello.get_i32("maxWireVersion").unwrap_or(0) >= SNAPSHOTS;
        mirror.refuse_other_definition(&settings.id).await?;
        Ok(mirror)
    }

    /// A mirror for plans, which nobody has asked yet whether it is there.
    #[cfg(test)]
    pub(super) async fn unasked(settings: &MongoDb) -> Self {
        Self {
            mongo: Mongo::open(settings).await.expect("settings"),
            collection: settings.collection.clone(),
            has_snapshots: true,
        }
    }

    async fn refuse_other_definition(&self, wanted: &str) -> Result<(), MirrorError> {
        let checkpoints = self.collection(&self.beside("_checkpoint"));
        let definition = checkpoints.find_one(doc! {"_id": "definition"}).await;
        let definition = definition.map_err(|error| self.failed(error))?;
        // There is none before the mirror's first start.
        let found = definition
            .as_ref()
            .and_then(|found| found.get_str("id").ok());
        match found {
            Some(found) if found != wanted => Err(MirrorError::OtherDefinition {
                place: self.place().to_owned(),
                found: found.to_owned(),
                wanted: wanted.to_owned(),
            }),
            _ => Ok(()),
        }
    }

    pub(crate) fn place(&self) -> &str {
        self.mongo.place()
    }

    /// Whether the server knows `$dateTrunc`.
    pub(super) fn truncates_dates(&self) -> bool {
        self.has_snapshots
    }

    /// Name of the collection of documents.
    pub(super) fn documents(&self) -> &str {
        &self.collection
    }

    /// Name of a collection beside it, such as `_checkpoint`.
    pub(crate) fn beside(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.collection)
    }

    pub(super) fn collection(&self, name: &str) -> Collection<Document> {
        self.mongo.database().collection(name)
    }

    pub(super) fn failed(&self, source: mongodb::error::Error) -> MirrorError {
        MirrorError::Server {
            place: self.place().to_owned(),
            source,
        }
    }

    /// The mirror as it stands now.
    ///
    /// # Errors
    /// As the server.
    pub(crate) async fn now(&self) -> Result<Seen, MirrorError> {
        if !self.has_snapshots {
            return Ok(Seen::Majority);
        }
        let snapshot = SessionOptions::builder().snapshot(true).build();
        let mut session = self.start(snapshot).await?;
        let checkpoints = self.collection(&self.beside("_checkpoint"));
        let read = checkpoints.find_one(doc! {}).session(&mut session).await;
        read.map_err(|error| self.failed(error))?;
        Ok(session.snapshot_time().map_or(Seen::Majority, Seen::At))
    }

    /// A session that sees the mirror so.
    pub(super) async fn session(&self, seen: Seen) -> Result<ClientSession, MirrorError> {
        let options = match seen {
            Seen::At(time) => SessionOptions::builder()
                .snapshot(true)
                .snapshot_time(time)
                .build(),
            Seen::Majority => SessionOptions::builder().causal_consistency(true).build(),
        };
        self.start(options).await
    }

    async fn start(&self, options: SessionOptions) -> Result<ClientSession, MirrorError> {
        let session = self.mongo.client().start_session().with_options(options);
        session.await.map_err(|error| self.failed(error))
    }
}
