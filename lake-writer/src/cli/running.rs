//! What a process that runs shows of itself: metrics and health to machines, a line to people.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::context::Context;
use super::exit::{Exit, Failure};
use crate::telemetry::http::Server;
use crate::telemetry::{Metrics, progress};

/// Metrics and health, if the settings want them. They stop when the server is dropped.
pub(super) fn serve_telemetry(
    context: &Context,
    metrics: &[Arc<Metrics>],
) -> Result<Option<Server>, Failure> {
    let telemetry = &context.settings.telemetry;
    let Some(listen) = &telemetry.listen else {
        return Ok(None);
    };
    let timeout = Duration::from_millis(telemetry.livez_timeout_ms);
    let starting = Server::start(listen, metrics.to_vec(), context.clock.clone(), timeout);
    let server = context
        .runtime
        .block_on(starting)
        .map_err(|error| Failure::of(Exit::Usage, "serve metrics", &error))?;
    tracing::info!(address = %server.address(), "serving /metrics, /livez and /readyz");
    Ok(Some(server))
}

/// The line that tells how far it is, until it is aborted.
pub(super) fn show_progress(context: &Context, metrics: Vec<Arc<Metrics>>) -> JoinHandle<()> {
    let line = context.line.clone();
    context
        .runtime
        .spawn(progress::show(metrics, context.clock.clone(), line))
}
