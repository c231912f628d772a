//! Figures of the server itself, for Prometheus.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::App;
use crate::feed::State as FeedState;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut registry = Registry::with_prefix("lake_dashboard");
    let freshness = app.shared.status.freshness(&*app.shared.clock);
    let age = |moment: Option<i64>| moment.map_or(-1, |moment| freshness.now_ms - moment);
    let whole = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let (changes, sessions) = app.shared.status.counts();
    let (views, viewers) = app.live.counts();
    let (documents, cells) = app.shared.cube().size();
    let r = &mut registry;
    counter(r, "changes", "Changes of rollups applied", changes);
    counter(r, "sessions", "Sessions with MongoDB begun", sessions);
    gauge(
        r,
        "live",
        "1 while figures follow every change",
        (freshness.state == FeedState::Live).into(),
    );
    gauge(
        r,
        "last_change_age_ms",
        "Since the last change arrived; -1 before the first",
        age(freshness.last_change_ms),
    );
    gauge(
        r,
        "newest_sale_age_ms",
        "Since the newest sale was made; -1 without one",
        age(freshness.newest_sale_ms),
    );
    gauge(r, "views", "Different views looked at", whole(views));
    gauge(r, "viewers", "Open event streams", whole(viewers));
    gauge(r, "cube_cells", "Sums in memory", whole(cells));
    gauge(
        r,
        "cube_documents",
        "Rollup documents whose last sums are in memory",
        whole(documents),
    );
    let (sample, tallies) = app.analysed.tallies().size();
    gauge(
        r,
        "analysis_tallies",
        "Groups by bucket of which amounts are analysed",
        whole(tallies),
    );
    gauge(
        r,
        "analysis_sample",
        "Customers by bucket and group in the sample",
        whole(sample),
    );
    let mut text = String::new();
    if encode(&mut text, &registry).is_err() {
        text.clear();
    }
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}
