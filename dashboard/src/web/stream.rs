//! Server-sent events: figures and analysis of one view as they change, and freshness every second.

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
use crate::live::{Latest, Watched};

/// How often freshness is told.
const HEARTBEAT: Duration = Duration::from_secs(1);

struct Viewer {
    app: Arc<App>,
    watched: Watched,
    heartbeat: Interval,
    /// The first look does not wait for a change: others may look at the same view already.
    first: [bool; 2],
}

impl Viewer {
    async fn next(&mut self) -> Event {
        let [first_figures, first_analysis] = &mut self.first;
        loop {
            let (name, latest) = tokio::select! {
                latest = next_of(&mut self.watched.figures, first_figures) => ("figures", latest),
                latest = next_of(&mut self.watched.analysis, first_analysis) => ("analysis", latest),
                _ = self.heartbeat.tick() => {
                    let freshness = self.app.shared.status.freshness(&*self.app.shared.clock);
                    let text = serde_json::to_string(&freshness).unwrap_or_default();
                    return Event::default().event("status").data(text);
                }
            };
            if let Some(answer) = latest {
                return Event::default().event(name).data(&*answer);
            }
        }
    }
}

async fn next_of(states: &mut watch::Receiver<Latest>, first: &mut bool) -> Latest {
    if !std::mem::take(first) {
        // The sender lives as long as a receiver does.
        let _ = states.changed().await;
    }
    states.borrow_and_update().clone()
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
        watched: app.live.watch(view),
        heartbeat: interval(HEARTBEAT),
        first: [true; 2],
        app,
    };
    // Proxies that hold answers back would hold events back.
    let unbuffered = [(header::HeaderName::from_static("x-accel-buffering"), "no")];
    Ok((unbuffered, Sse::new(events(viewer))).into_response())
}
