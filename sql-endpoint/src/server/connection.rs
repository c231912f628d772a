//! One connection, from the first byte to the last.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::api::cancel::DefaultCancelHandler;
use datafusion_postgres::pgwire::api::{ClientInfo as _, NoopHandler, PgWireConnectionState};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{negotiate_tls, process_error, process_message};
use futures::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Hall;
use super::door::Door;
use super::fault::{error, fatal};
use super::handler::{Handler, Prepared};

/// How long a client may take to say who it is.
const STARTUP: Duration = Duration::from_secs(30);

/// How long a client may take to read an error.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Talks to a client until it goes, it is sent away, or the server stops.
///
/// This loop is the server's own: the library's would listen to a client on whose password it has just
/// said no, and a panic would end it.
pub(super) async fn serve(
    socket: TcpStream,
    hall: Arc<Hall>,
    full: bool,
    mut stopping: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let begun = tokio::time::Instant::now();
    let left = || STARTUP.saturating_sub(begun.elapsed());
    let negotiated = timeout(
        left(),
        negotiate_tls::<Arc<Prepared>>(socket, hall.tls.clone()),
    )
    .await;
    let Ok(Some(mut socket)) = negotiated.unwrap_or(Ok(None)) else {
        return Ok(());
    };

    let handler = Handler::default();
    let door = Arc::new(Door::new(&hall, handler.clone(), full, socket.is_secure()));
    let handler = Arc::new(handler);
    let cancel = Arc::new(DefaultCancelHandler::new(hall.connections.clone()));
    loop {
        let starting = is_starting(socket.state());
        let message = tokio::select! {
            biased;
            () = told_to(&mut stopping) => {
                let gone = fatal("57P01", "terminating connection: the server stops");
                let _ = timeout(LAST_WORDS, last_words(&mut socket, gone)).await;
                return Ok(());
            }
            message = socket.next() => message,
            () = tokio::time::sleep(left()), if starting => None,
        };
        let Some(Ok(message)) = message else {
            return Ok(());
        };
        if matches!(message, PgWireFrontendMessage::Terminate(_)) {
            return Ok(());
        }
        let cancels = matches!(message, PgWireFrontendMessage::CancelRequest(_));
        let extended = message.is_extended_query();
        let done = AssertUnwindSafe(process_message(
            message,
            &mut socket,
            door.clone(),
            handler.clone(),
            handler.clone(),
            Arc::new(NoopHandler),
            cancel.clone(),
        ))
        .catch_unwind()
        .await
        .unwrap_or_else(|panic| Err(fallen(panic.as_ref())));
        if cancels {
            return Ok(());
        }
        let Err(failed) = done else { continue };
        if starting || ends(&failed) {
            let _ = timeout(LAST_WORDS, last_words(&mut socket, failed)).await;
            return Ok(());
        }
        tracing::debug!(error = %failed, client = %socket.socket_addr(), "a statement failed");
        match timeout(LAST_WORDS, process_error(&mut socket, failed, extended)).await {
            Ok(told) => told?,
            Err(_) => return Ok(()),
        }
    }
}

/// Waits until the server stops.
pub(super) async fn told_to(stopping: &mut watch::Receiver<bool>) {
    // A sender that is gone has nothing more to say.
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn is_starting(state: PgWireConnectionState) -> bool {
    matches!(
        state,
        PgWireConnectionState::AwaitingSslRequest
            | PgWireConnectionState::AwaitingStartup
            | PgWireConnectionState::AuthenticationInProgress
    )
}

/// Whether nothing can follow an error.
fn ends(failed: &PgWireError) -> bool {
    match failed {
        PgWireError::IoError(_) => true,
        PgWireError::UserError(info) => info.is_fatal(),
        _ => false,
    }
}

/// Says an error and closes, whatever would have followed.
async fn last_words<S>(socket: &mut S, failed: PgWireError) -> Result<(), S::Error>
where
    S: futures::Sink<PgWireBackendMessage> + Unpin,
{
    let mut info = ErrorInfo::from(failed);
    "FATAL".clone_into(&mut info.severity);
    socket
        .send(PgWireBackendMessage::ErrorResponse(info.into()))
        .await?;
    socket.close().await
}

/// A panic is a bug, and the statement's end; the session and the others' statements go on.
fn fallen(panic: &(dyn std::any::Any + Send)) -> PgWireError {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a word");
    tracing::error!(panic = text, "a statement fell over; this is a bug");
    error("XX000", format!("internal error: {text}"))
}
