//! What the store makes of answers that a healthy server never gives, and of none at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::StoreErrorKind;
use super::*;

/// What the server does with the next request.
enum Reply {
    /// Answers with a status, a length in place of a body for `HEAD`, and a body.
    Says(u16, &'static str),
    /// Tells an object's size.
    Size(u64),
    /// Takes the request and closes the connection: its reply is lost.
    HangsUp,
}

use Reply::{HangsUp, Says, Size};

const COMPLETED: &str =
    "<CompleteMultipartUploadResult><ETag>\"x-1\"</ETag></CompleteMultipartUploadResult>";
const NO_UPLOAD: &str = "<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>";
const TAKEN: &str = "<Error><Code>PreconditionFailed</Code><Message>taken</Message></Error>";
const BUSY: &str = "<Error><Code>InternalError</Code><Message>try again</Message></Error>";
const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";

/// A server that answers by the script, one request a connection, and notes what it was asked.
struct Server {
    store: S3Store,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn with(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut script: VecDeque<Reply> = script.into_iter().collect();
        let notes = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let reply = script
                    .pop_front()
                    .unwrap_or(Says(500, "the script is over"));
                let request = answer(connection, reply).await;
                notes.lock().expect("not poisoned").push(request);
            }
        });
        let secret = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&secret, "hush").expect("written");
        let settings = S3 {
            endpoint: Some(endpoint),
            allow_http: true,
            access_key_id: Some("id".into()),
            secret_access_key_file: Some(secret.path().to_owned()),
            ..S3::default()
        };
        let store = S3Store::new("lake", "sales", &settings, Duration::from_secs(10));
        Self {
            store: store.expect("the settings fit"),
            asked,
        }
    }

    async fn publish(&self) -> Result<Published, StoreError> {
        let staged = Staged::Upload {
            id: "up/1".into(),
            parts: vec!["\"a\"".into()],
        };
        let target = TablePath::new("data/région=a b/1.parquet").expect("legal");
        self.store.publish(&staged, &target, 5).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

/// Reads one request, replies, and returns its first line and the condition it set.
async fn answer(mut connection: TcpStream, reply: Reply) -> String {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_ascii_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|it| it.lines().next()?.parse().ok());
        (body.len() >= length.unwrap_or(0)).then(|| head.to_owned())
    };
    let head = loop {
        if let Some(head) = whole(&request) {
            break head;
        }
        match connection.read(&mut buffer).await {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => break String::from("half a request"),
        }
    };
    let text = match reply {
        HangsUp => String::new(),
        Says(status, body) => {
            let length = body.len();
            format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            )
        }
        Size(size) => format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {size}\r\netag: \"x\"\r\n\
             last-modified: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n"
        ),
    };
    connection.write_all(text.as_bytes()).await.ok();
    let condition = head.lines().find(|line| line.starts_with("if-none-match"));
    let first = head.lines().next().unwrap_or_default();
    format!("{first} {}", condition.unwrap_or_default())
        .trim()
        .to_owned()
}

#[tokio::test]
async fn a_completion_asks_that_nobody_has_the_name() {
    // GIVEN a server that completes
    let server = Server::with([Says(200, COMPLETED)]).await;
    // WHEN a file is published
    let published = server.publish().await.expect("published");
    // THEN one request was enough, with the condition in it
    assert_eq!(published, Published::Now);
    let expected = "post /lake/sales/data/r%c3%a9gion%3da%20b/1.parquet?uploadid=up%2f1 http/1.1 \
                    if-none-match: *";
    assert_eq!(server.asked(), [expected]);
}

#[tokio::test]
async fn an_unknown_upload_is_looked_up() {
    for (head, expected) in [
        (Size(5), Ok(Published::Before)),
        (Size(6), Err(StoreErrorKind::Corrupt)),
        (Says(404, ""), Ok(Published::Missing)),
    ] {
        // GIVEN a server that has forgotten the upload
        let server = Server::with([Says(404, NO_UPLOAD), head]).await;
        // WHEN a file is published THEN the object tells what became of it
        let outcome = server.publish().await.map_err(|error| error.kind);
        assert_eq!(outcome, expected);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_looked_up() {
    for (status, head, expected) in [
        (412, Size(5), Ok(Published::Before)),
        (412, Size(6), Err(StoreErrorKind::Corrupt)),
        (412, Says(404, ""), Err(StoreErrorKind::Transient)),
        (409, Size(5), Ok(Published::Before)),
        (409, Says(404, ""), Err(StoreErrorKind::Transient)),
    ] {
        let server = Server::with([Says(status, TAKEN), head]).await;
        let outcome = server.publish().await.map_err(|error| error.kind);
        assert_eq!(outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn a_lost_reply_is_not_taken_for_a_loss() {
    // GIVEN a server whose first reply is lost, and which has forgotten the upload afterwards
    let server = Server::with([HangsUp, Says(404, NO_UPLOAD), Size(5)]).await;
    // WHEN a file is published THEN it is found
    let published = server.publish().await.expect("looked up");
    assert_eq!(published, Published::Before);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn an_error_under_a_status_of_success_is_an_error() {
    // GIVEN a server that fails half-way and succeeds when asked again
    let server = Server::with([Says(200, BUSY), Says(503, ""), Says(200, COMPLETED)]).await;
    // WHEN a file is published THEN it is asked again
    let published = server.publish().await.expect("published");
    assert_eq!(published, Published::Now);
    assert_eq!(server.asked().len(), 3);
}

#[tokio::test]
async fn a_server_that_stays_busy_is_passing_trouble() {
    let server = Server::with((0..20).map(|_| Says(503, BUSY))).await;
    let error = server.publish().await.expect_err("busy");
    assert_eq!(error.kind, StoreErrorKind::Transient);
    assert!(
        error.source.to_string().contains("InternalError"),
        "{}",
        error.source
    );
}

#[tokio::test]
async fn a_missing_bucket_is_not_an_empty_table() {
    // GIVEN a server without the bucket
    let record = TablePath::new("log/1.json").expect("legal");
    let server = Server::with((0..9).map(|_| Says(404, NO_BUCKET))).await;
    // WHEN a record is read, a file published, uploads listed
    let read = server.store.read(&record).await.map(|_| ());
    let published = server.publish().await.map(|_| ());
    let listed = server.store.open_uploads(&record).await.map(|_| ());
    // THEN each says that the place is wrong
    for outcome in [read, published, listed] {
        assert_eq!(outcome.expect_err("no bucket").kind, StoreErrorKind::Unfit);
    }
}

#[tokio::test]
async fn a_conditional_put_that_meets_another_is_not_answered() {
    // GIVEN a server that says that somebody else is writing the same name
    let server = Server::with([Says(409, TAKEN)]).await;
    // WHEN a record is put
    let record = TablePath::new("log/1.json").expect("legal");
    let prepared = Prepared::Memory(Bytes::from_static(b"{}"));
    let outcome = server.store.put_if_absent(&prepared, &record).await;
    // THEN the outcome is unknown
    assert_eq!(
        outcome.expect_err("unknown").kind,
        StoreErrorKind::Transient
    );
}

#[tokio::test]
async fn uploads_are_listed_page_by_page() {
    const FIRST: &str = "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>\
        <NextKeyMarker>sales/data/é 1</NextKeyMarker><NextUploadIdMarker>u1</NextUploadIdMarker>\
        <Upload><Key>sales/data/é 1</Key><UploadId>u1</UploadId></Upload>\
        </ListMultipartUploadsResult>";
    const LAST: &str = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
        <Upload><Key>sales/data/x&amp;y</Key><UploadId>u2</UploadId></Upload>\
        <Upload><Key>elsewhere/z</Key><UploadId>u3</UploadId></Upload>\
        </ListMultipartUploadsResult>";
    let server = Server::with([Says(200, FIRST), Says(200, LAST)]).await;
    let folder = TablePath::new("data").expect("legal");
    let uploads = server.store.open_uploads(&folder).await.expect("listed");
    let found = uploads.iter().map(|it| (it.path.as_str(), it.id.as_str()));
    let found: Vec<_> = found.collect();
    assert_eq!(found, [("data/é 1", "u1"), ("data/x&y", "u2")]);
    let second = &server.asked()[1];
    assert!(
        second.contains("key-marker=sales%2fdata%2f%c3%a9%201&upload-id-marker=u1"),
        "{second}"
    );
}

#[tokio::test]
async fn nothing_shows_the_secret() {
    let server = Server::with([Says(403, "<Error><Code>AccessDenied</Code></Error>")]).await;
    let error = server.publish().await.expect_err("denied");
    assert_eq!(error.kind, StoreErrorKind::Denied);
    let shown = format!("{:?} {error} {error:?}", server.store);
    assert!(!shown.contains("hush"), "{shown}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_within_the_limit() {
    // GIVEN a server that accepts connections and says nothing
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let secret = tempfile::NamedTempFile::new().expect("a file");
    let settings = S3 {
        endpoint: Some(format!("http://{}", listener.local_addr().expect("bound"))),
        allow_http: true,
        access_key_id: Some("id".into()),
        secret_access_key_file: Some(secret.path().to_owned()),
        ..S3::default()
    };
    let store = S3Store::new("lake", "", &settings, Duration::from_millis(200)).expect("settings");
    // WHEN every kind of call is made
    let path = TablePath::new("data/a").expect("legal");
    let staged = Staged::Upload {
        id: "u".into(),
        parts: Vec::new(),
    };
    let outcomes = [
        store.read(&path).await.map(drop),
        store.size(&path).await.map(drop),
        store.list(&path).await.map(drop),
        store.publish(&staged, &path, 1).await.map(drop),
        store.open_uploads(&path).await.map(drop),
    ];
    // THEN each fails as passing trouble
    for outcome in outcomes {
        assert_eq!(
            outcome.expect_err("no answer").kind,
            StoreErrorKind::Transient
        );
    }
}
