//! Metrics and health over HTTP.
//!
//! Owns: `/metrics`, `/livez` and `/readyz` on one address.
//! Does not own: TLS or access control; put it on an address that only the monitoring reaches.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::exposition;
use super::health::{self, Verdict};
use super::metrics::Metrics;
use crate::clock::Clock;

/// The format that `prometheus-client` encodes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on `{address}` for metrics and health; choose another telemetry.listen or stop \
     what uses it"
)]
pub struct ListenError {
    address: String,
    #[source]
    source: std::io::Error,
}

/// A listening server; stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

#[derive(Clone, Debug)]
struct Shared {
    /// Those of each table.
    metrics: Arc<[Arc<Metrics>]>,
    clock: Arc<dyn Clock>,
    livez_timeout: Duration,
}

impl Server {
    /// Listens on `address` (`host:port`, port 0 for any) and answers from the runtime's threads, for
    /// every table that this process writes.
    ///
    /// # Errors
    /// When the address is taken or is none of this machine.
    pub async fn start(
        address: &str,
        metrics: Vec<Arc<Metrics>>,
        clock: Arc<dyn Clock>,
        livez_timeout: Duration,
    ) -> Result<Self, ListenError> {
        let failed = |source| ListenError {
            address: address.to_owned(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Shared {
            metrics: metrics.into(),
            clock,
            livez_timeout,
        };
        let routes = Router::new()
            .route("/metrics", get(metrics_text))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .with_state(shared);
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::warn!(%error, "metrics and health are no longer served");
            }
        });
        Ok(Self { address, serving })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn metrics_text(State(shared): State<Shared>) -> impl IntoResponse {
    let tables = shared.metrics.iter().map(|metrics| metrics.encode());
    let text = exposition::merged(tables.collect());
    ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
}

async fn livez(State(shared): State<Shared>) -> impl IntoResponse {
    let now = shared.clock.monotonic();
    answer(shared.of_all(|metrics| health::live(metrics, now, shared.livez_timeout)))
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    answer(shared.of_all(health::ready))
}

impl Shared {
    /// Well when every table is; else what is the matter, with the table's name where there are
    /// several.
    fn of_all(&self, look: impl Fn(&Metrics) -> Verdict) -> Verdict {
        let mut matters = Vec::new();
        for metrics in self.metrics.iter() {
            match look(metrics) {
                Err(matter) if self.metrics.len() > 1 => {
                    matters.push(format!("{}: {matter}", metrics.table()));
                }
                Err(matter) => matters.push(matter),
                Ok(()) => {}
            }
        }
        if matters.is_empty() {
            Ok(())
        } else {
            Err(matters.join("; "))
        }
    }
}

fn answer(verdict: Verdict) -> (StatusCode, String) {
    match verdict {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::telemetry::EngineState;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Status line, headers and body of one request over a real connection.
    async fn request(address: SocketAddr, path: &str) -> String {
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).await.unwrap();
        reply
    }

    async fn server(metrics: &Arc<Metrics>) -> Server {
        let clock = Arc::new(SystemClock::new());
        Server::start(
            "127.0.0.1:0",
            vec![metrics.clone()],
            clock,
            Duration::from_secs(30),
        )
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn metrics_and_health_are_answered_over_http() {
        // GIVEN a writer that has read something and is not running yet
        let metrics = Arc::new(Metrics::new("file:///lake/été"));
        metrics.consumed(12);
        let server = server(&metrics).await;

        // WHEN it is asked
        let scrape = request(server.address(), "/metrics").await;
        let live = request(server.address(), "/livez").await;
        let ready = request(server.address(), "/readyz").await;

        // THEN it shows its figures, is alive, and not ready with a reason
        assert!(scrape.starts_with("HTTP/1.1 200 OK"), "{scrape}");
        assert!(scrape.contains("application/openmetrics-text"), "{scrape}");
        assert!(
            scrape.contains("messages_consumed_total{table=\"file:///lake/été\"} 12"),
            "{scrape}"
        );
        assert!(
            scrape.contains("lake_writer_process_resident_bytes"),
            "{scrape}"
        );
        assert!(live.starts_with("HTTP/1.1 200 OK"), "{live}");
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.ends_with("the engine is starting\n"), "{ready}");

        // AND ready once it runs
        metrics.state(EngineState::Running);
        let ready = request(server.address(), "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 200 OK"), "{ready}");
        assert!(ready.ends_with("ok\n"), "{ready}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let metrics = Arc::new(Metrics::new("file:///lake"));
        let first = server(&metrics).await;
        let clock = Arc::new(SystemClock::new());
        let second = Server::start(
            &first.address().to_string(),
            vec![metrics],
            clock,
            Duration::from_secs(30),
        )
        .await;
        let error = second.unwrap_err().to_string();
        assert!(error.contains(&format!("`{}`", first.address())), "{error}");
    }

    #[tokio::test]
    async fn several_tables_are_one_scrape_and_one_verdict() {
        // GIVEN two tables, one of which runs
        let tables =
            ["file:///lake/one", "file:///lake/two"].map(|url| Arc::new(Metrics::new(url)));
        tables[0].state(EngineState::Running);
        let clock = Arc::new(SystemClock::new());
        let limit = Duration::from_secs(30);
        let server = Server::start("127.0.0.1:0", tables.to_vec(), clock, limit)
            .await
            .unwrap();
        // WHEN they are asked
        let scrape = request(server.address(), "/metrics").await;
        let ready = request(server.address(), "/readyz").await;
        // THEN each family is described once and shows both, and the one that lacks something is named
        assert_eq!(
            scrape
                .matches("# TYPE lake_writer_messages_consumed ")
                .count(),
            1
        );
        for url in ["one", "two"] {
            let sample = format!("messages_consumed_total{{table=\"file:///lake/{url}\"}} 0");
            assert!(scrape.contains(&sample), "{scrape}");
        }
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(
            ready.ends_with("file:///lake/two: the engine is starting\n"),
            "{ready}"
        );
    }
}
