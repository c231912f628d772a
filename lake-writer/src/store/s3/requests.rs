//! The two requests that `object_store` does not make: completing an upload only if nobody has the
//! name, and listing the uploads that are open.
//!
//! ```text
//! complete, open_uploads ─► signed request ─► answer in XML ─► what it means
//! ```
//!
//! Owns: their URLs, bodies and answers, and trying again when the server is busy.
//! Does not own: credentials and the connection, which are `object_store`'s.

use std::time::Duration;

use object_store::aws::{AmazonS3, AwsAuthorizer};
use object_store::client::{HttpClient, HttpError, HttpRequest, HttpRequestBody};
use reqwest::header::{HeaderValue, IF_NONE_MATCH};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

/// Tries of one request while the server is busy or the connection breaks.
const TRIES: u32 = 4;
/// Pause before the second try; it doubles afterwards.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Sends requests to one bucket.
#[derive(Clone)]
pub(super) struct Requests {
    pub(super) client: HttpClient,
    /// Gives credentials, which it renews by itself.
    pub(super) bucket: AmazonS3,
    /// Without a slash at its end.
    pub(super) bucket_url: String,
    pub(super) region: String,
}

/// What the completion of an upload came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completed {
    /// The object is there, by this request.
    Now,
    /// The server does not know the upload: completed before, or aborted.
    NoUpload,
    /// Somebody has the name, or was taking it at the same time.
    Taken,
}

/// One page of open uploads.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct UploadsPage {
    pub(super) is_truncated: bool,
    pub(super) next_key_marker: Option<String>,
    pub(super) next_upload_id_marker: Option<String>,
    #[serde(rename = "Upload")]
    pub(super) uploads: Vec<UploadEntry>,
}

/// An open upload as the server tells it.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UploadEntry {
    pub(super) key: String,
    pub(super) upload_id: String,
}

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The server refused.
    #[error("the server answered {status} {code}: {message}")]
    Refused {
        status: StatusCode,
        code: String,
        message: String,
    },
    /// No answer, or half of one.
    #[error("no answer")]
    Connection(#[source] HttpError),
    /// No credentials to sign with.
    #[error("no credentials")]
    Credentials(#[source] object_store::Error),
    /// The address cannot be one.
    #[error("`{0}` is not an address")]
    Address(String),
    /// The answer is not the XML that was expected.
    #[error("the server's answer cannot be read")]
    Answer(#[source] quick_xml::DeError),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ErrorAnswer {
    code: String,
    message: String,
}

impl Requests {
    /// Completes an upload, unless an object has the name already.
    pub(super) async fn complete(
        &self,
        key: &str,
        id: &str,
        parts: &[String],
    ) -> Result<Completed, RequestError> {
        let outcome = self
            .send(
                &Method::POST,
                Some(key),
                &[("uploadId", id)],
                &parts_as_xml(parts),
            )
            .await;
        match outcome {
            Ok(_) => Ok(Completed::Now),
            Err(RequestError::Refused { status, code, .. }) if refuses_name(status, &code) => {
                Ok(Completed::Taken)
            }
            Err(RequestError::Refused { status, code, .. }) if forgot(status, &code) => {
                Ok(Completed::NoUpload)
            }
            Err(error) => Err(error),
        }
    }

    /// A page of the uploads open below `prefix`, after the page before.
    pub(super) async fn open_uploads(
        &self,
        prefix: &str,
        after: Option<(&str, &str)>,
        page: u32,
    ) -> Result<UploadsPage, RequestError> {
        let page = page.to_string();
        let mut query = vec![("uploads", ""), ("max-uploads", &page), ("prefix", prefix)];
        if let Some((key, id)) = after {
            query.push(("key-marker", key));
            query.push(("upload-id-marker", id));
        }
        let answer = self.send(&Method::GET, None, &query, "").await?;
        quick_xml::de::from_str(&answer).map_err(RequestError::Answer)
    }

    async fn send(
        &self,
        method: &Method,
        key: Option<&str>,
        query: &[(&str, &str)],
        body: &str,
    ) -> Result<String, RequestError> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            let outcome = self.send_once(method, key, query, body).await;
            match &outcome {
                Err(error) if tries < TRIES && error.is_passing() => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    tries += 1;
                }
                _ => return outcome,
            }
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        key: Option<&str>,
        query: &[(&str, &str)],
        body: &str,
    ) -> Result<String, RequestError> {
        let mut request = HttpRequest::new(HttpRequestBody::from(body.to_owned()));
        *request.method_mut() = method.clone();
        let url = self.url(key, query);
        *request.uri_mut() = url.parse().map_err(|_| RequestError::Address(url))?;
        if method == Method::POST {
            let headers = request.headers_mut();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        let credential = self.bucket.credentials().get_credential().await;
        let credential = credential.map_err(RequestError::Credentials)?;
        AwsAuthorizer::new(&credential, "s3", &self.region).authorize(&mut request, None);

        let answer = self.client.execute(request).await;
        let answer = answer.map_err(RequestError::Connection)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await;
        let body = body.map_err(RequestError::Connection)?;
        let text = String::from_utf8_lossy(&body).into_owned();
        // A completion that fails half-way is told by an error under a status of success.
        let refused = quick_xml::de::from_str::<ErrorAnswer>(&text).unwrap_or_default();
        if status.is_success() && refused.code.is_empty() {
            return Ok(text);
        }
        Err(RequestError::Refused {
            status,
            code: refused.code,
            message: refused.message,
        })
    }

    fn url(&self, key: Option<&str>, query: &[(&str, &str)]) -> String {
        let mut url = self.bucket_url.clone();
        if let Some(key) = key {
            url.push('/');
            escape_into(&mut url, key, b"/");
        }
        for (number, (name, value)) in query.iter().enumerate() {
            url.push(if number == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            escape_into(&mut url, value, b"");
        }
        url
    }
}

fn refuses_name(status: StatusCode, code: &str) -> bool {
    status == StatusCode::PRECONDITION_FAILED
        || status == StatusCode::CONFLICT
        || code == "PreconditionFailed"
}

fn forgot(status: StatusCode, code: &str) -> bool {
    code == "NoSuchUpload" || (status == StatusCode::NOT_FOUND && code.is_empty())
}

impl RequestError {
    /// Whether the same request may well succeed in a moment.
    fn is_passing(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Refused { status, code, .. } => {
                status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || code == "InternalError"
                    || code == "SlowDown"
            }
            Self::Credentials(_) | Self::Address(_) | Self::Answer(_) => false,
        }
    }
}

/// Percent-encodes everything but the unreserved characters and `also`, as signing requires.
fn escape_into(url: &mut String, text: &str, also: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text.as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push('%');
            url.push(char::from(HEX[usize::from(byte >> 4)]));
            url.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

fn parts_as_xml(parts: &[String]) -> String {
    let mut xml =
        String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (index, tag) in parts.iter().enumerate() {
        let tag = quick_xml::escape::escape(tag.as_str());
        let number = index + 1;
        xml += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
    }
    xml + "</CompleteMultipartUpload>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_unreserved_characters_is_escaped() {
        let mut url = String::new();
        escape_into(&mut url, "data/région=Côte d'Azur/a%3Ab+c~.x", b"/");
        assert_eq!(
            url,
            "data/r%C3%A9gion%3DC%C3%B4te%20d%27Azur/a%253Ab%2Bc~.x"
        );
        url.clear();
        escape_into(&mut url, "data/", b"");
        assert_eq!(url, "data%2F");
    }

    #[test]
    fn parts_are_numbered_from_one_and_their_tags_escaped() {
        let xml = parts_as_xml(&["\"a&b\"".into(), "c".into()]);
        let expected = "<Part><PartNumber>1</PartNumber><ETag>&quot;a&amp;b&quot;</ETag></Part>\
                        <Part><PartNumber>2</PartNumber><ETag>c</ETag></Part>";
        assert!(xml.contains(expected), "{xml}");
    }

    #[test]
    fn a_page_of_uploads_is_read_whatever_surrounds_it() {
        let page = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Bucket>b</Bucket><KeyMarker></KeyMarker><IsTruncated>true</IsTruncated>\
            <Upload><Key>t/région=Côte d&apos;Azur &amp; co</Key><UploadId>1</UploadId>\
            <Initiator><ID>x</ID></Initiator></Upload><MaxUploads>2</MaxUploads>\
            <Upload><UploadId>2</UploadId><Key>t/b</Key></Upload>\
            <NextKeyMarker>t/b</NextKeyMarker><NextUploadIdMarker>2</NextUploadIdMarker>\
            </ListMultipartUploadsResult>";
        let page: UploadsPage = quick_xml::de::from_str(page).expect("readable");
        assert!(page.is_truncated);
        assert_eq!(page.uploads[0].key, "t/région=Côte d'Azur & co");
        assert_eq!(page.uploads[1].upload_id, "2");
        assert_eq!(page.next_key_marker.as_deref(), Some("t/b"));
        let nothing: UploadsPage =
            quick_xml::de::from_str("<ListMultipartUploadsResult/>").expect("readable");
        assert_eq!(nothing, UploadsPage::default());
    }
}
