//! The database: reaching it, and what has to be there before anything is written.
//!
//! ```text
//! [mirror.mongodb] ─► Mongo ─► prepare: replica set? collections, validation, indexes, definition
//! ```
//!
//! Owns: the client, names of collections, time limits of calls.
//! Does not own: checkpoints (`checkpoint`), transactions (`transaction`).

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{Acknowledgment, ClientOptions, Credential, WriteConcern};
use mongodb::{Client, Collection, Database};

use crate::settings::MongoDb;

use super::failure::{DatabaseError, FailureKind};
use super::plan::{Id, Plan};
use super::rollup::GRAINS;
use super::validation;

/// How long the driver looks for a primary, unless the URI says otherwise: an outage is told after it.
const SELECTION: Duration = Duration::from_secs(5);
/// First wire version of MongoDB 4.4.
const OLDEST_WIRE_VERSION: i32 = 9;
/// The version of documents, rollups and checkpoints; another one is refused.
const FORMAT: i32 = 1;
/// The server's code for an index of the same name with other options.
const INDEX_CONFLICTS: [i32; 2] = [85, 86];
const NAMESPACE_EXISTS: i32 = 48;

/// A reachable database, and the collections of one mirror.
#[derive(Clone, Debug)]
pub struct Mongo {
    pub(super) client: Client,
    pub(super) database: Database,
    collection: String,
    limit: Duration,
    /// Hosts and names, without credentials.
    pub(super) place: String,
    first_host: String,
}

impl Mongo {
    /// Reads the URI. Nothing is sent yet.
    ///
    /// # Errors
    /// [`FailureKind::Unfit`] for a URI that is none, or a DNS name that leads nowhere.
    pub async fn open(settings: &MongoDb) -> Result<Self, DatabaseError> {
        let uri = settings.uri.as_deref().unwrap_or_default();
        let mut options = ClientOptions::parse(uri)
            .await
            .map_err(|error| DatabaseError::of("read mirror.mongodb.uri", &error))?;
        if let Some(file) = &settings.password_file {
            let unreadable = |error: std::io::Error| {
                let reason = format!("{}: {error}", file.display());
                DatabaseError::new(
                    FailureKind::Unfit,
                    "read mirror.mongodb.password_file",
                    reason,
                )
            };
            let secret = std::fs::read_to_string(file).map_err(unreadable)?;
            let credential = options.credential.get_or_insert_with(Credential::default);
            credential.password = Some(secret.trim_end_matches(['\r', '\n']).to_owned());
        }
        options.app_name.get_or_insert_with(|| "lake-writer".into());
        options.server_selection_timeout.get_or_insert(SELECTION);
        options.write_concern = Some(
            WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .build(),
        );
        let hosts: Vec<String> = options.hosts.iter().map(ToString::to_string).collect();
        let client = Client::with_options(options)
            .map_err(|error| DatabaseError::of("use mirror.mongodb.uri", &error))?;
        Ok(Self {
            database: client.database(&settings.database),
            client,
            place: format!(
                "mongodb://{}/{}.{}",
                hosts.join(","),
                settings.database,
                settings.collection
            ),
            first_host: hosts.into_iter().next().unwrap_or_default(),
            collection: settings.collection.clone(),
            limit: Duration::from_millis(settings.call_timeout_ms),
        })
    }

    /// Hosts, database and collection, without credentials.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// The client, for who only reads.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The database of the mirror's collections.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Name of the collection of documents.
    pub(super) fn documents(&self) -> &str {
        &self.collection
    }

    /// Name of a collection beside it, such as `_dead`.
    pub(super) fn beside(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.collection)
    }

    pub(super) fn checkpoint(&self) -> Collection<Document> {
        self.database.collection(&self.beside("_checkpoint"))
    }

    /// Waits for a call no longer than the settings allow.
    pub(super) async fn limited<T>(
        &self,
        action: &'static str,
        call: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, DatabaseError> {
        match tokio::time::timeout(self.limit, call.into_future()).await {
            Ok(outcome) => outcome.map_err(|error| DatabaseError::of(action, &error)),
            Err(_) => Err(DatabaseError::timeout(action)),
        }
    }

    /// The same, with the driver's own error where it came in time.
    pub(super) async fn limited_raw<T>(
        &self,
        action: &'static str,
        call: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<mongodb::error::Result<T>, DatabaseError> {
        tokio::time::timeout(self.limit, call.into_future())
            .await
            .map_err(|_| DatabaseError::timeout(action))
    }

    async fn command(
        &self,
        action: &'static str,
        command: Document,
    ) -> Result<mongodb::error::Result<Document>, DatabaseError> {
        self.limited_raw(action, self.database.run_command(command))
            .await
    }

    /// Looks whether the server can hold a mirror, and makes what is missing.
    ///
    /// # Errors
    /// [`FailureKind::Unfit`] with the remedy for a server that is of no replica set or too old, and
    /// for collections that another definition of the mirror has made.
    pub(super) async fn prepare(&self, plan: &Plan) -> Result<(), DatabaseError> {
        self.probe().await?;
        self.make(self.documents(), Some(validation::validator(plan)))
            .await?;
        for suffix in ["_dead", "_checkpoint"] {
            self.make(&self.beside(suffix), None).await?;
        }
        if let Some(rollup) = &plan.rollup {
            let by: Vec<&str> = rollup.by.iter().map(|column| plan.name(*column)).collect();
            let time = plan.name(rollup.time);
            self.index(self.documents(), time, &by, plan.ttl_seconds)
                .await?;
            for (suffix, _) in GRAINS {
                let collection = self.beside(suffix);
                self.make(&collection, None).await?;
                self.index(&collection, "bucket", &by, None).await?;
            }
        }
        self.refuse_other_definition(plan).await
    }

    /// Whether the server can hold a mirror and lets us in. Changes nothing.
    ///
    /// # Errors
    /// [`FailureKind::Unfit`] with the remedy, [`FailureKind::Denied`] for credentials.
    pub async fn probe(&self) -> Result<(), DatabaseError> {
        const ACTION: &str = "look at the server";
        const REMEDY: &str = "transactions need a replica set, one of a single member will do: start \
                              mongod with --replSet rs0, run rs.initiate(), and add \
                              ?replicaSet=rs0 to mirror.mongodb.uri";
        let hello = match self.command(ACTION, doc! {"hello": 1}).await? {
            Ok(hello) => hello,
            Err(error) if matches!(*error.kind, ErrorKind::ServerSelection { .. }) => {
                return Err(self.why_no_server(&error, REMEDY).await);
            }
            Err(error) => return Err(DatabaseError::of(ACTION, &error)),
        };
        let is_router = matches!(hello.get_str("msg"), Ok("isdbgrid"));
        if !is_router && hello.get_str("setName").is_err() {
            let reason = format!("{} is of no replica set; {REMEDY}", self.first_host);
            return Err(DatabaseError::new(FailureKind::Unfit, ACTION, reason));
        }
        if hello.get_i32("maxWireVersion").unwrap_or(0) < OLDEST_WIRE_VERSION {
            let reason = "the server is older than MongoDB 4.4; upgrade it";
            return Err(DatabaseError::new(FailureKind::Unfit, ACTION, reason));
        }
        // `hello` needs no credentials; this does.
        self.limited(ACTION, self.database.list_collection_names())
            .await?;
        Ok(())
    }

    /// A server that answers by itself and is of another set, or none, is no outage.
    async fn why_no_server(&self, error: &mongodb::error::Error, remedy: &str) -> DatabaseError {
        const ACTION: &str = "find the primary";
        let away = DatabaseError::of(ACTION, error);
        let uri = format!("mongodb://{}/?directConnection=true", self.first_host);
        let Ok(mut options) = ClientOptions::parse(&uri).await else {
            return away;
        };
        options.server_selection_timeout = Some(Duration::from_secs(2));
        let Ok(client) = Client::with_options(options) else {
            return away;
        };
        let admin = client.database("admin");
        let asking = admin.run_command(doc! {"hello": 1});
        let Ok(hello) = self.limited(ACTION, asking).await else {
            return away;
        };
        match hello.get_str("setName") {
            Ok(_) => away,
            Err(_) => {
                let reason = format!("{} is of no replica set; {remedy}", self.first_host);
                DatabaseError::new(FailureKind::Unfit, ACTION, reason)
            }
        }
    }

    /// Makes a collection if it is missing, and gives it the validator if it has another.
    async fn make(&self, name: &str, validator: Option<Document>) -> Result<(), DatabaseError> {
        const ACTION: &str = "make the collections";
        let mut create = doc! {"create": name};
        if let Some(validator) = &validator {
            create.insert("validator", validator.clone());
        }
        match self.command(ACTION, create).await? {
            Ok(_) => return Ok(()),
            Err(error) if code(&error) == Some(NAMESPACE_EXISTS) => {}
            Err(error) => return Err(DatabaseError::of(ACTION, &error)),
        }
        let Some(validator) = validator else {
            return Ok(());
        };
        let list = doc! {"listCollections": 1, "filter": {"name": name}};
        let listed = self.command(ACTION, list).await?;
        let listed = listed.map_err(|error| DatabaseError::of(ACTION, &error))?;
        let found = listed
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"))
            .ok()
            .and_then(|batch| batch.first()?.as_document())
            .and_then(|entry| entry.get_document("options").ok())
            .and_then(|options| options.get_document("validator").ok());
        if found == Some(&validator) {
            return Ok(());
        }
        let change = doc! {"collMod": name, "validator": validator};
        let changed = self.command(ACTION, change).await?;
        changed.map_err(|error| DatabaseError::of(ACTION, &error))?;
        Ok(())
    }

    /// Indexes for what is asked by time, and by each `by` field and time.
    async fn index(
        &self,
        collection: &str,
        time: &str,
        by: &[&str],
        ttl_seconds: Option<u64>,
    ) -> Result<(), DatabaseError> {
        const ACTION: &str = "make the indexes";
        let mut first = doc! {"key": {time: 1}, "name": time};
        if let Some(seconds) = ttl_seconds {
            let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
            first.insert("expireAfterSeconds", seconds);
        }
        let more = by.iter().map(|field| {
            let key = doc! {*field: 1, time: 1};
            Bson::Document(doc! {"key": key, "name": format!("{field}_{time}")})
        });
        let indexes: Vec<Bson> = std::iter::once(Bson::Document(first)).chain(more).collect();
        let create = doc! {"createIndexes": collection, "indexes": indexes};
        let Err(error) = self.command(ACTION, create).await? else {
            return Ok(());
        };
        match (code(&error), ttl_seconds) {
            (Some(code), Some(seconds)) if INDEX_CONFLICTS.contains(&code) => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                let index = doc! {"name": time, "expireAfterSeconds": seconds};
                let change = doc! {"collMod": collection, "index": index};
                let changed = self.command(ACTION, change).await?;
                changed.map_err(|error| DatabaseError::of(ACTION, &error))?;
                Ok(())
            }
            (Some(code), _) if INDEX_CONFLICTS.contains(&code) => {
                let reason = format!("{error}; drop that index of `{collection}` and start again");
                Err(DatabaseError::new(FailureKind::Unfit, ACTION, reason))
            }
            _ => Err(DatabaseError::of(ACTION, &error)),
        }
    }

    /// Documents under other ids, or rollups of other fields, cannot be mixed with what is there.
    async fn refuse_other_definition(&self, plan: &Plan) -> Result<(), DatabaseError> {
        const ACTION: &str = "read the mirror's definition";
        let wanted = definition(plan);
        let checkpoint = self.checkpoint();
        let query = doc! {"_id": "definition"};
        let put = checkpoint
            .update_one(query.clone(), doc! {"$setOnInsert": wanted.clone()})
            .upsert(true);
        self.limited(ACTION, put).await?;
        let found = self.limited(ACTION, checkpoint.find_one(query)).await?;
        let mut found = found.unwrap_or_default();
        found.remove("_id");
        if found == wanted {
            return Ok(());
        }
        let reason = format!(
            "the collections were made with {found}, the settings say {wanted}; use those settings, \
             or another mirror.mongodb.collection"
        );
        Err(DatabaseError::new(FailureKind::Unfit, ACTION, reason))
    }
}

/// What must stay as it is for as long as the collections live.
fn definition(plan: &Plan) -> Document {
    let id = match plan.id {
        Id::Offset => "offset".to_owned(),
        Id::Field(column) => format!("field:{}", plan.name(column)),
    };
    let mut definition = doc! {"format": FORMAT, "id": id};
    if let Some(rollup) = &plan.rollup {
        let names = |columns: &mut dyn Iterator<Item = usize>| {
            columns
                .map(|c| Bson::from(plan.name(c)))
                .collect::<Vec<_>>()
        };
        let by = names(&mut rollup.by.iter().copied());
        let sum = names(&mut rollup.sum.iter().map(|sum| sum.column));
        let rollup = doc! {"time": plan.name(rollup.time), "by": by, "sum": sum};
        definition.insert("rollup", rollup);
    }
    definition
}

/// The server's code of a failed command.
pub(super) fn code(error: &mongodb::error::Error) -> Option<i32> {
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}
