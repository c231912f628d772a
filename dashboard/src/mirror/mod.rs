//! The mirror in MongoDB, read only. The one room that knows the driver's calls.
//!
//! ```text
//! sales_rollup_minute ─► rows (whole minutes, or added up by the server) and changes
//! sales               ─► pages of sales, sales for statistics, the newest sale, categories of products
//! ```
//!
//! Every read is of majority-committed data, like the change stream, and so never of what may be rolled back.

mod rows;
mod changes;
mod read;
mod sales;

use std::time::Duration;

use mongodb::bson::Document;
use mongodb::options::{ClientOptions, ReadConcern};
use mongodb::{Client, Collection};

pub use changes::{Changes, Event, Happened};
pub use rows::Row;
pub use sales::{Cursor, SaleRow, SalesPage, SalesQuery};

use crate::decimal::Inexact;
use crate::settings::{Fields, Settings};

/// How long a call looks for a server before it says that there is none.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// A failure to read the mirror.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// The connection string cannot be used. Its text is not repeated: it may hold a password.
    #[error(
        "the connection string of `mongodb.uri` cannot be used; write mongodb://host:port/?replicaSet=rs0"
    )]
    Uri,
    /// The server, or the way to it.
    #[error("MongoDB cannot be read")]
    Server(#[from] mongodb::error::Error),
    /// A rollup is not what the settings say.
    #[error("field `{field}` of a rollup {source}")]
    Number {
        /// Which field.
        field: String,
        /// What it is.
        source: Inexact,
    },
    /// A rollup lacks what makes it one.
    #[error("a rollup has no `{0}` of the right kind; is `{1}` written by lake-writer mirror?")]
    Shape(&'static str, String),
}

impl MirrorError {
    /// Whether a change stream cannot go on from where it was, so that all must be loaded again.
    pub fn is_history_lost(&self) -> bool {
        // ChangeStreamFatalError, ChangeStreamHistoryLost, InvalidResumeToken.
        const CODES: [i32; 3] = [280, 286, 260];
        match self {
            Self::Server(error) => match error.kind.as_ref() {
                mongodb::error::ErrorKind::Command(command) => CODES.contains(&command.code),
                _ => false,
            },
            _ => false,
        }
    }
}

/// The mirror's collections.
#[derive(Clone, Debug)]
pub struct Mirror {
    sales: Collection<Document>,
    minutes: Collection<Document>,
    fields: Fields,
}

impl Mirror {
    /// Names the collections; nothing is reached yet.
    ///
    /// # Errors
    /// When the connection string cannot be used.
    pub async fn open(settings: &Settings) -> Result<Self, MirrorError> {
        let uri = settings.mongodb.uri.reveal();
        let mut options = ClientOptions::parse(uri)
            .await
            .map_err(|_| MirrorError::Uri)?;
        options
            .app_name
            .get_or_insert_with(|| "lake-dashboard".into());
        options
            .server_selection_timeout
            .get_or_insert(SELECTION_TIMEOUT);
        options.connect_timeout.get_or_insert(SELECTION_TIMEOUT);
        options.read_concern = Some(ReadConcern::majority());
        let client = Client::with_options(options).map_err(|_| MirrorError::Uri)?;
        let database = client.database(&settings.mongodb.database);
        let collection = &settings.mongodb.collection;
        Ok(Self {
            sales: database.collection(collection),
            minutes: database.collection(&format!("{collection}_rollup_minute")),
            fields: settings.fields.clone(),
        })
    }
}
