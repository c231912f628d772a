//! SIGTERM and SIGINT: the first asks for an orderly stop, the second stops at once.
//!
//! Stopping at once is safe at any moment: what was not committed is read again at the next start,
//! and what was committed is finished by it.

use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::exit::{Exit, Failure};
use crate::member::Stop;
use crate::telemetry::terminal::StatusLine;

/// Signals this soon after the first are the same wish: `timeout` and some supervisors signal the
/// process and then its group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// Says [`Stop::Drain`] at the first signal, and ends the process at the second. Others may say it
/// too, through the sender.
pub(super) fn stop_on_signals(
    runtime: &Runtime,
    line: &StatusLine,
) -> Result<watch::Sender<Stop>, Failure> {
    let stop = watch::Sender::new(Stop::Go);
    let (line, told) = (line.clone(), stop.clone());
    let _entered = runtime.enter();
    let failed = |error: std::io::Error| Failure::of(Exit::Failure, "listen to signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    runtime.spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        told.send_replace(Stop::Drain);
        tokio::time::sleep(SAME_WISH).await;
        let _ = terminate.recv().now_or_never();
        let _ = interrupt.recv().now_or_never();
        tracing::info!("asked to stop; one more signal stops at once");
        either(&mut terminate, &mut interrupt).await;
        line.show("");
        tracing::warn!("stopped at once; the next start reads again what was not committed");
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
