//! From settings and environment to a client of one bucket.
//!
//! ```text
//! settings + AWS_* + ~/.aws ─► AmazonS3 (object_store) + Requests (ours)
//! ```
//!
//! Owns: address, region, certificates, time limits, where credentials come from.
//! Does not own: what is sent.

use std::path::Path;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{HttpConnector, ReqwestConnector};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};
use url::Url;

use super::super::open::OpenError;
use super::profile;
use super::requests::Requests;
use crate::settings::S3;

/// Both ways to one bucket.
pub(super) struct Connected {
    pub(super) bucket: AmazonS3,
    pub(super) requests: Requests,
}

/// Prepares a client; nothing is sent yet.
pub(super) fn connect(
    bucket: &str,
    settings: &S3,
    call_timeout: Duration,
) -> Result<Connected, OpenError> {
    if bucket.ends_with("--x-s3") {
        return Err(OpenError::DirectoryBucket(bucket.to_owned()));
    }
    let builder = credentials(AmazonS3Builder::from_env(), settings)?;
    let given = |key| builder.get_config_value(&key).filter(|it| !it.is_empty());
    let region = settings
        .region
        .clone()
        .or_else(|| given(AmazonS3ConfigKey::Region))
        .or_else(profile::region)
        .unwrap_or_else(|| "us-east-1".into());
    let endpoint = settings
        .endpoint
        .clone()
        .or_else(|| given(AmazonS3ConfigKey::S3Endpoint))
        .or_else(|| given(AmazonS3ConfigKey::Endpoint));
    let address = Address::of(bucket, endpoint.as_deref(), &region, settings.path_style)?;
    let allow_http = settings.allow_http
        || std::env::var("AWS_ALLOW_HTTP").is_ok_and(|it| it.eq_ignore_ascii_case("true"));
    if address.bucket_url.starts_with("http://") && !allow_http {
        return Err(OpenError::PlainHttp(address.bucket_url));
    }

    let options = client_options(settings, allow_http, call_timeout)?;
    let bucket = builder
        .with_bucket_name(bucket)
        .with_region(&region)
        .with_config(AmazonS3ConfigKey::S3Endpoint, &address.endpoint)
        .with_virtual_hosted_style_request(address.virtual_hosted)
        .with_client_options(options.clone())
        .with_retry(retries(call_timeout))
        .build()
        .map_err(OpenError::client)?;
    let client = ReqwestConnector::default().connect(&options);
    let requests = Requests {
        client: client.map_err(OpenError::client)?,
        bucket: bucket.clone(),
        bucket_url: address.bucket_url,
        region,
    };
    Ok(Connected { bucket, requests })
}

/// The settings' own keys, else the environment's, else those of the shared files of the AWS
/// tools; without any, roles of the machine or container are asked at the first request.
fn credentials(builder: AmazonS3Builder, settings: &S3) -> Result<AmazonS3Builder, OpenError> {
    match (&settings.access_key_id, &settings.secret_access_key_file) {
        (Some(id), Some(file)) => {
            let secret = read_file("store.s3.secret_access_key_file", file)?;
            let secret = String::from_utf8_lossy(&secret).trim().to_owned();
            return Ok(builder
                .with_access_key_id(id)
                .with_secret_access_key(secret));
        }
        (None, None) => {}
        _ => return Err(OpenError::HalfCredentials),
    }
    let has = |key| builder.get_config_value(&key).is_some();
    if has(AmazonS3ConfigKey::AccessKeyId)
        || has(AmazonS3ConfigKey::SecretAccessKey)
        || std::env::var_os("AWS_WEB_IDENTITY_TOKEN_FILE").is_some()
    {
        return Ok(builder);
    }
    let Some(keys) = profile::keys()? else {
        return Ok(builder);
    };
    let builder = builder
        .with_access_key_id(keys.id)
        .with_secret_access_key(keys.secret);
    Ok(match keys.token {
        Some(token) => builder.with_token(token),
        None => builder,
    })
}

fn client_options(
    settings: &S3,
    allow_http: bool,
    call_timeout: Duration,
) -> Result<ClientOptions, OpenError> {
    // Half of the call's time for one try: a request that hangs leaves room for another.
    let mut options = ClientOptions::new()
        .with_allow_http(allow_http)
        .with_connect_timeout(Duration::from_secs(5).min(call_timeout / 2))
        .with_timeout(call_timeout / 2);
    if let Some(file) = &settings.ca_file {
        let pem = read_file("store.s3.ca_file", file)?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(OpenError::client)?;
        if certificates.is_empty() {
            return Err(OpenError::NoCertificate(file.clone()));
        }
        for certificate in certificates {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

/// Tries end before the call's own limit does, so that the error says what was wrong.
fn retries(call_timeout: Duration) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 4,
        retry_timeout: call_timeout / 3,
    }
}

fn read_file(key: &'static str, path: &Path) -> Result<Vec<u8>, OpenError> {
    std::fs::read(path).map_err(|source| OpenError::File {
        key,
        path: path.to_owned(),
        source,
    })
}

/// Where a bucket answers.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    /// As `object_store` wants it: with the bucket in it only if it is part of the host.
    endpoint: String,
    /// Where keys are appended.
    bucket_url: String,
    virtual_hosted: bool,
}

impl Address {
    fn of(
        bucket: &str,
        endpoint: Option<&str>,
        region: &str,
        path_style: Option<bool>,
    ) -> Result<Self, OpenError> {
        // A dot in the bucket would not match AWS's certificates.
        let path_style = path_style.unwrap_or(endpoint.is_some() || bucket.contains('.'));
        let amazon = format!("https://s3.{region}.amazonaws.com");
        let endpoint = endpoint.unwrap_or(&amazon).trim_end_matches('/');
        let url = Url::parse(endpoint).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        let Some(url) = url else {
            return Err(OpenError::Endpoint(without_user_info(endpoint)));
        };
        if path_style {
            return Ok(Self {
                endpoint: endpoint.to_owned(),
                bucket_url: format!("{endpoint}/{bucket}"),
                virtual_hosted: false,
            });
        }
        let scheme = format!("{}://", url.scheme());
        let host = endpoint.strip_prefix(&scheme).unwrap_or(endpoint);
        let endpoint = format!("{scheme}{bucket}.{host}");
        Ok(Self {
            endpoint: endpoint.clone(),
            bucket_url: endpoint,
            virtual_hosted: true,
        })
    }
}

/// An address for an error message: a password in it must not be shown.
fn without_user_info(endpoint: &str) -> String {
    match endpoint.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => endpoint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket_url(endpoint: Option<&str>, path_style: Option<bool>) -> String {
        let address = Address::of("lake", endpoint, "eu-west-3", path_style);
        address.expect("an address").bucket_url
    }

    #[test]
    fn amazon_is_asked_by_host_and_an_own_endpoint_by_path_unless_said_otherwise() {
        let own = Some("http://localhost:7070/");
        assert_eq!(
            bucket_url(None, None),
            "https://lake.s3.eu-west-3.amazonaws.com"
        );
        assert_eq!(
            bucket_url(None, Some(true)),
            "https://s3.eu-west-3.amazonaws.com/lake"
        );
        assert_eq!(bucket_url(own, None), "http://localhost:7070/lake");
        assert_eq!(bucket_url(own, Some(false)), "http://lake.localhost:7070");
        let dotted = Address::of("my.lake", None, "eu-west-3", None).expect("an address");
        assert_eq!(
            dotted.bucket_url,
            "https://s3.eu-west-3.amazonaws.com/my.lake"
        );
    }

    #[test]
    fn an_endpoint_that_is_none_is_refused_without_showing_a_password() {
        for endpoint in ["localhost:7070", "ftp://x", "https://id:secret@host"] {
            let error = Address::of("lake", Some(endpoint), "r", None).expect_err("refused");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn half_of_the_credentials_is_an_error() {
        let settings = S3 {
            access_key_id: Some("id".into()),
            ..S3::default()
        };
        let error = credentials(AmazonS3Builder::new(), &settings).expect_err("refused");
        assert!(matches!(error, OpenError::HalfCredentials));
    }
}
