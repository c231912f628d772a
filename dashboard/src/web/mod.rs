//! The page and the API over HTTP. Only GET, and nothing is ever written.

mod auth;
mod answers;
mod assets;
mod api;
mod stream;
mod table;
mod download;
mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware;
use axum::response::Response;
use axum::routing::get;

pub use assets::Assets;
pub use auth::Door;

use crate::analysis::Analysed;
use crate::feed::Shared;
use crate::figures::{Figurer, Scales};
use crate::live::Live;
use crate::mirror::Mirror;
use crate::settings::Page;

/// No script, style or data but our own, nothing inline, no frame, no form.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";
/// For the extension: Tableau shows it in a frame, from an address that is not known here.
const FRAMED_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     base-uri 'none'; form-action 'none'";

/// What requests are answered from.
#[derive(Debug)]
pub struct App {
    /// The cube and its freshness.
    pub shared: Arc<Shared>,
    /// Figures of a view.
    pub figurer: Figurer,
    /// What is known of sales one by one.
    pub analysed: Arc<Analysed>,
    /// Views that are looked at.
    pub live: Arc<Live>,
    /// Sales themselves.
    pub mirror: Mirror,
    /// Digits after the point.
    pub scales: Scales,
    /// What the page shows of itself.
    pub page: Page,
    /// The page's files.
    pub assets: Assets,
    /// Who may look.
    pub door: Door,
}

/// Every route.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(assets::index))
        .route("/assets/{name}", get(assets::asset))
        .route("/api/openapi.json", get(api::openapi))
        .route("/api/page", get(api::page))
        .route("/api/status", get(api::status))
        .route("/api/choices", get(api::choices))
        .route("/api/figures", get(api::figures))
        .route("/api/totals", get(api::totals))
        .route("/api/over-time", get(api::over_time))
        .route("/api/by-region", get(api::by_region))
        .route("/api/by-product", get(api::by_product))
        .route("/api/by-category", get(api::by_category))
        .route("/api/analysis", get(api::analysis))
        .route("/api/statistics", get(api::statistics))
        .route("/api/customers", get(api::customers))
        .route("/api/forecast", get(api::forecast))
        .route("/api/sales", get(api::sales))
        .route("/api/stream", get(stream::stream))
        .route("/api/download/{file}", get(download::download))
        .route("/metrics", get(metrics::metrics))
        .layer(middleware::from_fn_with_state(app.clone(), auth::guard))
        // Outside the door, so that whoever starts the process can ask.
        .route("/healthz", get(api::healthz))
        // Also outside: Tableau brings no password into a frame, and there are no figures to see.
        .route("/tableau/{name}", get(assets::extension))
        .fallback(answers::nothing_there)
        .layer(middleware::map_response(with_headers))
        .with_state(app)
}

async fn with_headers(mut response: Response) -> Response {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let policy = response
        .headers_mut()
        .entry(header::CONTENT_SECURITY_POLICY);
    policy.or_insert(HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    let cache = response.headers_mut().entry(header::CACHE_CONTROL);
    cache.or_insert(HeaderValue::from_static("no-store"));
    response
}
