//! What a failed request means for the one who made it.
//!
//! ```text
//! object_store's error, our own request's error, a time limit ─► Failure ─► StoreErrorKind
//! ```
//!
//! Owns: the classification, in one place.
//! Does not own: what is done about it.

use std::ops::Range;

use crate::error_chain::ErrorChain;

use super::super::StoreErrorKind;
use super::requests::RequestError;

/// Why a request did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server refused and said why.
    #[error("the server answered {code}: {message}")]
    Answer {
        kind: StoreErrorKind,
        code: String,
        message: String,
    },
    #[error(transparent)]
    Store(object_store::Error),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("no answer within the time limit (store.call_timeout_ms)")]
    Time(#[source] tokio::time::error::Elapsed),
    #[error("the key cannot be one of S3")]
    Key(#[from] object_store::path::Error),
    #[error("the object is missing or shorter than that")]
    Gone,
    #[error("{found} bytes came instead of {range:?}")]
    Short { found: u64, range: Range<u64> },
    #[error("{found} bytes are there, {size} were written")]
    Other { found: u64, size: u64 },
    #[error("another request for the same name was under way")]
    Raced,
    #[error("it was made by a store of another kind: look at the table's URL")]
    Foreign,
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        // The client's error holds the whole answer, with all that went into the signature.
        let text = ErrorChain(&error).to_string();
        match (element(&text, "Code"), element(&text, "Message")) {
            (Some(code), message) => Self::Answer {
                kind: kind_of_text(&text),
                code,
                message: message.unwrap_or_default(),
            },
            _ => Self::Store(error),
        }
    }
}

impl Failure {
    pub(super) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Store(object_store::Error::InvalidPath { .. })
            | Self::Gone
            | Self::Short { .. }
            | Self::Other { .. } => StoreErrorKind::Corrupt,
            Self::Answer { kind, .. } => *kind,
            Self::Store(error) => kind_of_text(&ErrorChain(error).to_string()),
            Self::Request(error) => kind_of_text(&ErrorChain(error).to_string()),
            Self::Time(_) | Self::Raced => StoreErrorKind::Transient,
            Self::Key(_) | Self::Foreign => StoreErrorKind::Unfit,
        }
    }
}

/// Error codes of S3 and its likes. The client hands the server's answer on as text only.
const CODES: [(&str, StoreErrorKind); 31] = {
    use StoreErrorKind::{Corrupt, Denied, Full, Transient, Unfit};
    [
        ("XMinioStorageFull", Full),
        ("QuotaExceeded", Full),
        ("InsufficientStorage", Full),
        ("507 Insufficient Storage", Full),
        ("no space left on device", Full),
        ("AccessDenied", Denied),
        ("InvalidAccessKeyId", Denied),
        ("SignatureDoesNotMatch", Denied),
        ("ExpiredToken", Denied),
        ("InvalidToken", Denied),
        ("TokenRefreshRequired", Denied),
        ("RequestTimeTooSkewed", Denied),
        ("AllAccessDisabled", Denied),
        // Nobody gave credentials, and this machine has no role to ask for them.
        ("169.254.169.254", Denied),
        ("401 Unauthorized", Denied),
        ("403 Forbidden", Denied),
        ("NoSuchBucket", Unfit),
        ("PermanentRedirect", Unfit),
        ("AuthorizationHeaderMalformed", Unfit),
        ("InvalidBucketName", Unfit),
        ("KeyTooLong", Unfit),
        ("NotImplemented", Unfit),
        ("MethodNotAllowed", Unfit),
        ("redirect without LOCATION", Unfit),
        ("invalid peer certificate", Unfit),
        ("InvalidPart", Corrupt),
        ("RequestTimeout", Transient),
        ("408 Request Timeout", Transient),
        ("409 Conflict", Transient),
        ("429 Too Many Requests", Transient),
        ("400 Bad Request", Unfit),
    ]
};

fn kind_of_text(text: &str) -> StoreErrorKind {
    let known = CODES.iter().find(|(code, _)| text.contains(code));
    known.map_or(StoreErrorKind::Transient, |(_, kind)| *kind)
}

/// Whether a conditional put was refused because the name is taken. A conflict is not that: it
/// says that somebody else is writing just now, and nothing about the outcome.
pub(super) fn says_exists(error: &object_store::Error) -> bool {
    use object_store::Error::{AlreadyExists, NotModified, Precondition};
    match error {
        AlreadyExists { source, .. } => source
            .downcast_ref::<object_store::Error>()
            .is_some_and(says_exists),
        Precondition { .. } | NotModified { .. } => true,
        _ => false,
    }
}

/// A bucket that is missing looks like an object that is, but is a matter for the operator.
pub(super) fn is_missing_bucket(error: &object_store::Error) -> bool {
    ErrorChain(error).to_string().contains("NoSuchBucket")
}

pub(super) fn is_range_refused(error: &object_store::Error) -> bool {
    let text = ErrorChain(error).to_string();
    [
        "416 Range Not Satisfiable",
        "InvalidRange",
        "Wanted range starting",
    ]
    .iter()
    .any(|says| text.contains(says))
}

/// The text of the first `<name>` in an answer.
fn element(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = rest.split_once(&format!("</{name}>"))?;
    let inside = quick_xml::escape::unescape(inside).ok()?;
    Some(inside.into_owned())
}

#[cfg(test)]
mod tests {
    use object_store::Error;

    use super::*;

    fn generic(text: &'static str) -> Error {
        Error::Generic {
            store: "S3",
            source: text.into(),
        }
    }

    #[test]
    fn what_the_server_says_decides_what_is_to_be_done() {
        for (text, kind) in [
            (
                "status code: 403 Forbidden: <Code>InvalidAccessKeyId</Code>",
                StoreErrorKind::Denied,
            ),
            (
                "status code: 507 Insufficient Storage: <Code>XMinioStorageFull</Code>",
                StoreErrorKind::Full,
            ),
            (
                "status code: 404 Not Found: <Code>NoSuchBucket</Code>",
                StoreErrorKind::Unfit,
            ),
            (
                "status code: 503 Service Unavailable: <Code>SlowDown</Code>",
                StoreErrorKind::Transient,
            ),
            ("connection refused", StoreErrorKind::Transient),
            (
                "Error performing PUT http://169.254.169.254/latest/api/token",
                StoreErrorKind::Denied,
            ),
        ] {
            assert_eq!(Failure::from(generic(text)).kind(), kind, "{text}");
        }
    }

    #[test]
    fn of_an_answer_the_code_and_the_message_are_shown() {
        let text = "status code: 403 Forbidden: <Error><Code>AccessDenied</Code><Message>not \
                    &lt;you&gt;</Message><StringToSign>AWS4…</StringToSign></Error>";
        let shown = Failure::from(generic(text));
        assert_eq!(
            shown.to_string(),
            "the server answered AccessDenied: not <you>"
        );
        assert_eq!(shown.kind(), StoreErrorKind::Denied);
        assert!(!format!("{shown:?}").contains("StringToSign"));
    }

    #[test]
    fn a_conflict_is_not_an_answer() {
        let path = || "log/1.json".to_owned();
        let taken = Error::AlreadyExists {
            path: path(),
            source: Box::new(Error::Precondition {
                path: path(),
                source: "412".into(),
            }),
        };
        let conflict = Error::AlreadyExists {
            path: path(),
            source: "Server returned non-2xx status code: 409 Conflict".into(),
        };
        assert!(says_exists(&taken));
        assert!(!says_exists(&conflict));
        assert_eq!(Failure::from(conflict).kind(), StoreErrorKind::Transient);
    }
}
