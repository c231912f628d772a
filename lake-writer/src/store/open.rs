//! From a table's URL to a store.
//!
//! ```text
//! file:///…  hdfs://…  s3://bucket/prefix ─► open ─► Arc<dyn Store>
//! ```
//!
//! Owns: which URL means which backend, and what is wrong with a URL or with the settings.
//! Does not own: whether the store answers and is fit (see `probe`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Store;
use super::local::LocalStore;
use crate::settings::StoreSettings;

/// Time limit of a call unless the settings say otherwise. Long enough for a name node that is
/// being restarted, which takes 12 to 16 seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens the table at `url`. Nothing is sent or written yet.
///
/// The path is taken as it stands: it may hold spaces and any UTF-8, and `%41` is not an `A`.
///
/// # Errors
/// When the URL or the settings do not say which store is meant and how to reach it.
pub fn open(url: &str, settings: &StoreSettings) -> Result<Arc<dyn Store>, OpenError> {
    let call_timeout = match settings.call_timeout_ms {
        Some(0) => return Err(OpenError::CallTimeout),
        Some(milliseconds) => Duration::from_millis(milliseconds),
        None => CALL_TIMEOUT,
    };
    let location = Location::of(url)?;
    Ok(match location {
        Location::Local { folder } => Arc::new(LocalStore::new(folder, call_timeout)),
        #[cfg(feature = "s3")]
        Location::S3 { bucket, prefix } => {
            let settings = &settings.s3;
            let store = super::s3::S3Store::new(&bucket, &prefix, settings, call_timeout)?;
            Arc::new(store)
        }
        #[cfg(not(feature = "s3"))]
        Location::S3 { .. } => return Err(OpenError::NotBuilt("s3")),
        #[cfg(feature = "hdfs")]
        Location::Hdfs { name_node, folder } => {
            let settings = &settings.hdfs;
            let store = super::hdfs::HdfsStore::new(&name_node, &folder, settings, call_timeout)?;
            Arc::new(store)
        }
        #[cfg(not(feature = "hdfs"))]
        Location::Hdfs { .. } => return Err(OpenError::NotBuilt("hdfs")),
    })
}

/// Why a table cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No scheme at all.
    #[error(
        "the table's URL `{0}` has no scheme: write file:///folder, hdfs://name-node:9000/folder \
         or s3://bucket/prefix"
    )]
    NoScheme(String),
    /// A scheme that is none of ours.
    #[error(
        "the table's URL begins with `{0}://`, which is not known: use file:///folder, \
         hdfs://name-node:9000/folder or s3://bucket/prefix"
    )]
    Scheme(String),
    /// `file://folder`, where the folder stands in the place of a host.
    #[error("the table's URL `{0}` names a host: a folder on this machine is file:///folder")]
    LocalHost(String),
    /// Nothing behind the scheme.
    #[error("the table's URL `{url}` does not name {missing}")]
    Incomplete {
        /// The URL.
        url: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// The whole of a store, where other things may lie.
    #[error("the table's URL `{0}` is a whole disk or file system: name a folder of its own")]
    Root(String),
    /// A part that no store takes.
    #[error("the path of the table's URL `{0}` has an empty part, `.` or `..`")]
    Path(String),
    /// A store that was left out of this program.
    #[error(
        "this lake-writer was built without `{0}`: build it with `make build`, or with cargo and \
         --features {0}"
    )]
    NotBuilt(&'static str),
    /// User information in the URL.
    #[error(
        "the table's URL holds a user or password: take it out, credentials come from the \
         environment or from files"
    )]
    UserInfo,
    /// A time limit of nothing.
    #[error("store.call_timeout_ms is 0: give a store some time to answer, such as 60000")]
    CallTimeout,
    /// A file that the settings name.
    #[error("{key}: `{path}` cannot be read")]
    File {
        /// Which setting.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of certificates without any.
    #[error("store.s3.ca_file: `{0}` holds no certificate in PEM form")]
    NoCertificate(PathBuf),
    /// An S3 endpoint that is none.
    #[error(
        "the S3 endpoint `{0}` is not an address: write https://host or http://host:port, \
         without user and password"
    )]
    Endpoint(String),
    /// Plain HTTP that was not allowed.
    #[error("`{0}` is plain HTTP: set store.s3.allow_http = true if that is meant")]
    PlainHttp(String),
    /// Only one of the two.
    #[error(
        "store.s3.access_key_id and store.s3.secret_access_key_file go together: set both, or \
         neither to use the usual AWS chain"
    )]
    HalfCredentials,
    /// A profile of the AWS tools that cannot be used.
    #[error(
        "the AWS profile `{0}` holds no access key and secret: log in and run `aws configure \
         export-credentials --format env`, or choose another with AWS_PROFILE"
    )]
    Profile(String),
    /// S3 Express.
    #[error(
        "`{0}` is a directory bucket, whose listings have no order: use a general purpose bucket"
    )]
    DirectoryBucket(String),
    /// No Hadoop configuration where it should be.
    #[error(
        "store.hdfs.conf_dir: `{0}` holds neither core-site.xml nor hdfs-site.xml: name the folder \
         that HADOOP_CONF_DIR means on your cluster's machines"
    )]
    HadoopConf(PathBuf),
    /// A name service that nobody defines.
    #[error(
        "`{0}` has no port, and no name service of that name is configured: write \
         hdfs://host:port/folder, or set HADOOP_CONF_DIR or store.hdfs.conf_dir to the folder of \
         its hdfs-site.xml"
    )]
    NameService(String),
    /// The client library refused the settings.
    #[error("the settings of the store do not fit together")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(any(feature = "hdfs", feature = "s3"))]
impl OpenError {
    pub(super) fn client(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Client(source.into())
    }
}

/// What a URL says.
#[derive(Debug, PartialEq, Eq)]
enum Location {
    Local { folder: PathBuf },
    Hdfs { name_node: String, folder: String },
    S3 { bucket: String, prefix: String },
}

impl Location {
    fn of(url: &str) -> Result<Self, OpenError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(OpenError::NoScheme(url.to_owned()));
        };
        let (host, path) = match rest.split_once('/') {
            Some((host, path)) => (host, path.trim_end_matches('/')),
            None => (rest, ""),
        };
        if host.contains('@') {
            return Err(OpenError::UserInfo);
        }
        let legal = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !path.is_empty() && !path.split('/').all(legal) {
            return Err(OpenError::Path(url.to_owned()));
        }
        let incomplete = |missing| OpenError::Incomplete {
            url: url.to_owned(),
            missing,
        };
        match scheme {
            "file" if !host.is_empty() => Err(OpenError::LocalHost(url.to_owned())),
            "file" | "hdfs" if path.is_empty() => Err(OpenError::Root(url.to_owned())),
            "file" => Ok(Self::Local {
                folder: PathBuf::from(format!("/{path}")),
            }),
            "hdfs" if host.is_empty() => Err(incomplete("a name node or name service")),
            "hdfs" => Ok(Self::Hdfs {
                name_node: format!("hdfs://{host}"),
                folder: format!("/{path}"),
            }),
            "s3" | "s3a" if host.is_empty() => Err(incomplete("a bucket")),
            "s3" | "s3a" => Ok(Self::S3 {
                bucket: host.to_owned(),
                prefix: path.to_owned(),
            }),
            other => Err(OpenError::Scheme(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_leads_to_its_store_and_the_path_is_taken_verbatim() {
        let location = |url| Location::of(url).expect("a location");
        assert_eq!(
            location("file:///a lake/Île%20é/"),
            Location::Local {
                folder: "/a lake/Île%20é".into()
            }
        );
        assert_eq!(
            location("hdfs://localhost:9000/lake/sales"),
            Location::Hdfs {
                name_node: "hdfs://localhost:9000".into(),
                folder: "/lake/sales".into()
            }
        );
        assert_eq!(
            location("s3://bucket/pre fix/x"),
            Location::S3 {
                bucket: "bucket".into(),
                prefix: "pre fix/x".into()
            }
        );
        assert_eq!(
            location("s3a://bucket"),
            Location::S3 {
                bucket: "bucket".into(),
                prefix: String::new()
            }
        );
    }

    #[test]
    fn a_wrong_url_is_told_what_to_write_and_shows_no_password() {
        for (url, says) in [
            ("lake/sales", "no scheme"),
            ("gs://bucket/x", "`gs://`"),
            ("file://lake/sales", "file:///folder"),
            ("file:///", "folder of its own"),
            ("hdfs://localhost:9000/", "folder of its own"),
            ("hdfs:///lake", "name node"),
            ("s3:///lake", "a bucket"),
            ("s3://bucket/a//b", "empty part"),
            ("file:///a/../b", "`..`"),
            ("s3://id:secret@bucket/x", "environment"),
        ] {
            let error = Location::of(url).expect_err(url);
            assert!(error.to_string().contains(says), "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn no_time_at_all_is_refused() {
        let settings = StoreSettings {
            call_timeout_ms: Some(0),
            ..StoreSettings::default()
        };
        let error = open("file:///lake", &settings).expect_err("refused");
        assert!(matches!(error, OpenError::CallTimeout));
    }
}
