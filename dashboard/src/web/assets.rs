//! The page's files, read from a folder when the server starts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::answers::nothing_there;
use super::{App, FRAMED_POLICY};

const NOT_BUILT: &str = "The page is not built: run `make dashboard-page`, or name its folder with \
     --page. The API answers all the same: see /api/openapi.json.\n";

#[derive(Debug)]
struct File {
    kind: &'static str,
    tag: String,
    bytes: Bytes,
}

/// The files by name. Nothing outside of them can be asked for.
#[derive(Debug, Default)]
pub struct Assets(HashMap<String, File>);

impl Assets {
    /// Reads all files of a folder.
    ///
    /// # Errors
    /// When the folder cannot be read or has no index.html.
    pub fn read(folder: &Path) -> std::io::Result<Self> {
        let mut files = HashMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let (Some(name), Some(kind)) =
                (path.file_name().and_then(|name| name.to_str()), kind(&path))
            else {
                continue;
            };
            let bytes = Bytes::from(std::fs::read(&path)?);
            let tag = format!("\"{:032x}\"", xxh3_128(&bytes));
            files.insert(name.to_owned(), File { kind, tag, bytes });
        }
        if files.contains_key("index.html") {
            Ok(Self(files))
        } else {
            Err(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "it has no index.html",
            ))
        }
    }

    fn answer(&self, name: &str, headers: &HeaderMap) -> Option<Response> {
        let file = self.0.get(name)?;
        let caching = [
            (header::ETAG, file.tag.clone()),
            (header::CACHE_CONTROL, "no-cache".into()),
        ];
        let known = headers
            .get(header::IF_NONE_MATCH)
            .is_some_and(|tag| tag.as_bytes() == file.tag.as_bytes());
        if known {
            return Some((StatusCode::NOT_MODIFIED, caching).into_response());
        }
        let kind = [(header::CONTENT_TYPE, file.kind)];
        Some((caching, kind, file.bytes.clone()).into_response())
    }
}

fn kind(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "html" => Some("text/html; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "txt" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

pub(super) async fn index(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    match app.assets.answer("index.html", &headers) {
        Some(answer) => answer,
        None => (StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT).into_response(),
    }
}

pub(super) async fn asset(
    State(app): State<Arc<App>>,
    UrlPath(name): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    match app.assets.answer(&name, &headers) {
        Some(answer) => answer,
        None => nothing_there().await.into_response(),
    }
}

/// The page that Tableau shows in its dashboards, and what it needs: `tableau-refresh.html` is
/// `/tableau/refresh.html`.
pub(super) async fn extension(
    State(app): State<Arc<App>>,
    UrlPath(name): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    match app.assets.answer(&format!("tableau-{name}"), &headers) {
        Some(mut answer) => {
            answer.headers_mut().insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(FRAMED_POLICY),
            );
            answer
        }
        None => nothing_there().await.into_response(),
    }
}
