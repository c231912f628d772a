//! The server: the PostgreSQL wire protocol in front of the engine.
//!
//! ```text
//! connection ─► door ─► handler ─► command ─► perform ─► rows ─► link
//!     │          │         │          └► text ─► query ─┘
//!   bound      users    session ─► variables, cursors
//! ```
//!
//! Owns: connections, users, sessions, and what of PostgreSQL is answered without asking a table.
//! Does not own: tables, and the engine that reads them.

mod arrays;
mod bound;
mod command;
pub(crate) mod compat;
mod connection;
mod dialect;
mod door;
pub(crate) mod fault;
mod handler;
mod link;
mod nothing;
mod parameters;
mod perform;
mod query;
mod rows;
mod session;
mod text;
mod tls;
mod users;
mod variables;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion_postgres::pgwire::api::{ConnectionManager, RandomPidSecretKeyGenerator};
use datafusion_postgres::pgwire::error::ErrorInfo;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use tls::{Tls, TlsError};
pub use users::{Users, UsersError};

pub(crate) use rows::type_modifier;
pub(crate) use session::{SharedVariables, zone_of};
pub(crate) use text::Texts;
pub(crate) use variables::{SERVER_VERSION, Variables};

use crate::engine::Engine;

/// Connections beyond the limit that are told so at a time; more are closed without a word.
const TOLD_FULL: usize = 32;

/// How a server is set up.
#[derive(Debug)]
pub struct Options {
    /// The file of users; read again when it changes.
    pub users: PathBuf,
    /// What encrypts connections, if they may be encrypted.
    pub tls: Option<Tls>,
    /// Whether connections that are not encrypted are taken although there is TLS.
    pub allow_plaintext: bool,
    /// Most clients at a time.
    pub max_connections: usize,
    /// How long running statements may go on when the server stops.
    pub grace: Duration,
}

/// What all connections share.
pub(crate) struct Hall {
    engine: Arc<Engine>,
    tls: Option<TlsAcceptor>,
    certificate: Option<Vec<u8>>,
    only_encrypted: bool,
    connections: Arc<ConnectionManager>,
    keys: Arc<RandomPidSecretKeyGenerator>,
    users: Mutex<Users>,
    users_file: PathBuf,
}

impl Hall {
    /// The users as the file has them now. A file that cannot be read any more leaves them as they were.
    fn users(&self) -> Users {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        match Users::open(&self.users_file) {
            Ok(read) => *users = read,
            Err(error) => tracing::warn!(%error, "the users stay as they were"),
        }
        users.clone()
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    hall: Arc<Hall>,
    max_connections: usize,
    grace: Duration,
}

impl std::fmt::Debug for Hall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hall")
            .field("users_file", &self.users_file)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens at an address.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub async fn bind(
        address: &str,
        engine: Arc<Engine>,
        users: Users,
        options: Options,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (tls, certificate) = options
            .tls
            .map(|tls| (tls.acceptor, tls.certificate))
            .unzip();
        let hall = Hall {
            engine,
            only_encrypted: tls.is_some() && !options.allow_plaintext,
            tls,
            certificate,
            connections: Arc::default(),
            keys: Arc::default(),
            users: Mutex::new(users),
            users_file: options.users,
        };
        Ok(Self {
            listener,
            address,
            hall: Arc::new(hall),
            max_connections: options.max_connections,
            grace: options.grace,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says true; then no client is taken any more, idle ones are sent away, and
    /// running statements have the grace that was set.
    ///
    /// Returns how many statements were cut off.
    pub async fn serve(self, stop: watch::Receiver<bool>) -> usize {
        let seats = Arc::new(Semaphore::new(self.max_connections));
        let standing = Arc::new(Semaphore::new(TOLD_FULL));
        let mut clients = JoinSet::new();
        let mut stopping = stop.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = connection::told_to(&mut stopping) => break,
                Some(_) = clients.join_next(), if !clients.is_empty() => continue,
                accepted = self.listener.accept() => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // Out of file descriptors, mostly: others must go first.
                    tracing::warn!(%error, "a client could not be taken");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (seat, full) = match seats.clone().try_acquire_owned() {
                Ok(seat) => (seat, false),
                Err(_) => match standing.clone().try_acquire_owned() {
                    Ok(place) => (place, true),
                    Err(_) => continue,
                },
            };
            let (hall, stop) = (self.hall.clone(), stop.clone());
            clients.spawn(async move {
                if let Err(error) = connection::serve(socket, hall, full, stop).await {
                    tracing::debug!(%error, "a connection broke");
                }
                drop(seat);
            });
        }
        drop(self.listener);
        let all_gone = async { while clients.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(self.grace, all_gone).await;
        clients.len()
    }
}

/// The rows of one query, without a client: under the engine's own bound of time.
///
/// # Errors
/// The SQLSTATE and what went wrong.
pub async fn answer(
    engine: &Arc<Engine>,
    text: &str,
) -> Result<(SchemaRef, Vec<RecordBatch>), (String, String)> {
    let timeout = engine.limits().statement_timeout;
    let told = async {
        let session =
            session::Session::new(engine.clone(), Variables::default(), compat::OWNER, 0)?;
        let mut rows = session.run(session.plan(text).await?.alone()?).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next(usize::MAX).await? {
            batches.push(batch);
        }
        Ok((rows.schema().clone(), batches))
    };
    let told = match timeout {
        Some(time) => tokio::time::timeout(time, told).await.unwrap_or_else(|_| {
            Err(fault::error(
                "57014",
                "canceling statement due to statement timeout",
            ))
        }),
        None => told.await,
    };
    told.map_err(|failed| {
        let info = ErrorInfo::from(failed);
        (info.code, info.message)
    })
}
