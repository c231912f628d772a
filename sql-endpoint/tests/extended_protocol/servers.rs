//! The two servers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Error, NoTls};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Encrypted;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A variable that names a server.
fn named(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is missing: run tests/test_rust_on_real_servers.py, which starts the servers")
    })
}

async fn connect(variable: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(&named(variable), NoTls)
        .await
        .unwrap();
    tokio::spawn(async move { connection.await.unwrap() });
    client
}

/// A session of `lake-sql`.
pub(crate) async fn ours() -> Client {
    connect("LAKE_WRITER_TEST_SQL").await
}

/// A session of PostgreSQL.
pub(crate) async fn theirs() -> Client {
    connect("LAKE_WRITER_TEST_POSTGRES").await
}

/// Both, the one that is tested first.
pub(crate) async fn both() -> [Client; 2] {
    [ours().await, theirs().await]
}

/// The SQLSTATE of what must fail.
pub(crate) fn code<T>(failed: Result<T, Error>) -> String {
    let Err(error) = failed else {
        panic!("it did not fail");
    };
    let code = error
        .code()
        .unwrap_or_else(|| panic!("{error:?} has no SQLSTATE"));
    code.code().to_owned()
}

/// A session of a `lake-sql` that encrypts, whose certificate is checked.
pub(crate) async fn encrypted() -> Result<Client, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(named("LAKE_WRITER_TEST_SQL_CA")).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Tls(TlsConnector::from(Arc::new(config)), None);
    let (client, connection) =
        tokio_postgres::connect(&named("LAKE_WRITER_TEST_SQL_TLS"), tls).await?;
    tokio::spawn(async move { connection.await.unwrap() });
    Ok(client)
}

/// A connection without TLS to the server that wants it.
pub(crate) async fn plain() -> Result<(), Error> {
    let place = named("LAKE_WRITER_TEST_SQL_TLS").replace("sslmode=require", "sslmode=disable");
    tokio_postgres::connect(&place, NoTls).await.map(drop)
}

#[derive(Clone)]
struct Tls(TlsConnector, Option<ServerName<'static>>);

impl MakeTlsConnect<tokio_postgres::Socket> for Tls {
    type Stream = Stream;
    type TlsConnect = Self;
    type Error = std::io::Error;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Self, Self::Error> {
        let name = ServerName::try_from(domain.to_owned()).map_err(std::io::Error::other)?;
        Ok(Self(self.0.clone(), Some(name)))
    }
}

impl TlsConnect<tokio_postgres::Socket> for Tls {
    type Stream = Stream;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, std::io::Error>> + Send>>;

    fn connect(self, socket: tokio_postgres::Socket) -> Self::Future {
        Box::pin(async move {
            let name = self
                .1
                .ok_or_else(|| std::io::Error::other("no name of a server"))?;
            self.0.connect(name, socket).await.map(Stream)
        })
    }
}

struct Stream(Encrypted<tokio_postgres::Socket>);

impl TlsStream for Stream {
    fn channel_binding(&self) -> ChannelBinding {
        // That of psycopg is tested: what is here is SCRAM without it, over TLS.
        ChannelBinding::none()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
