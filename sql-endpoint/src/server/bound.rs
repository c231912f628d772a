//! How long a statement may go on: until it is cancelled, its time is up or the server stops.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::api::{ClientInfo, ConnectionHandle};
use datafusion_postgres::pgwire::error::PgWireResult;
use futures::channel::oneshot;
use tokio::time::Sleep;

use super::fault::error;

/// The bound of one statement, from the time that it was made.
pub(super) struct Bound {
    cancelled: Option<oneshot::Receiver<()>>,
    timeout: Option<Pin<Box<Sleep>>>,
}

impl Bound {
    /// Begins a statement of a client.
    pub(super) async fn begin<C: ClientInfo + Sync>(client: &C, timeout: Option<Duration>) -> Self {
        let handle = client.session_extensions().get::<Arc<ConnectionHandle>>();
        let cancelled = match handle {
            Some(handle) => Some(handle.start_query().await),
            None => None,
        };
        Self {
            cancelled,
            timeout: timeout.map(|time| Box::pin(tokio::time::sleep(time))),
        }
    }

    /// Does a part of the statement.
    ///
    /// # Errors
    /// 57014 when the statement must end before the part is done; the part is dropped then.
    pub(super) async fn within<F: Future>(&mut self, part: F) -> PgWireResult<F::Output> {
        let cancelled = async {
            // A sender that is dropped is a connection that ends, not a wish to cancel.
            if let Some(told) = &mut self.cancelled
                && told.await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        };
        let late = async {
            match &mut self.timeout {
                Some(timeout) => timeout.as_mut().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cancelled => Err(error("57014", "canceling statement due to user request")),
            () = late => Err(error("57014", "canceling statement due to statement timeout")),
            done = part => Ok(done),
        }
    }
}
