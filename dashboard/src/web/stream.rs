//! Server-sent events: figures of one view as they change, and freshness every second.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use tokio::sync::watch;
use tokio::time::{Interval, interval};

use super::App;
use super::answers::Refusal;
use crate::live::Latest;

/// How often freshness is told.
const HEARTBEAT: Duration = Duration::from_secs(1);

struct Viewer {
    app: Arc<App>,
    figures: watch::Receiver<Latest>,
    heartbeat: Interval,
    first: bool,
}

impl Viewer {
    async fn next(&mut self) -> Event {
        loop {
            // The first look does not wait for a change: others may look at the same view already.
            let changed = async {
                if !std::mem::take(&mut self.first) {
                    // The sender lives as long as a receiver does.
                    let _ = self.figures.changed().await;
                }
            };
            tokio::select! {
                () = changed => {
                    let latest = self.figures.borrow_and_update().clone();
                    if let Some(figures) = latest {
                        return Event::default().event("figures").data(&*figures);
                    }
                }
                _ = self.heartbeat.tick() => {
                    let freshness = self.app.shared.status.freshness(&*self.app.shared.clock);
                    let text = serde_json::to_string(&freshness).unwrap_or_default();
                    return Event::default().event("status").data(text);
                }
            }
        }
    }
}

fn events(viewer: Viewer) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await;
        Some((Ok(event), viewer))
    })
}

pub(super) async fn stream(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let view = app.view(query.as_deref(), &[])?;
    let viewer = Viewer {
        figures: app.live.watch(view),
        heartbeat: interval(HEARTBEAT),
        first: true,
        app,
    };
    // Proxies that hold answers back would hold events back.
    let unbuffered = [(header::HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events(viewer))).into_response())
}
