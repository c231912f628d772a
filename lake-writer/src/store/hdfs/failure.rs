//! What a failed call to HDFS means for the one who made it.
//!
//! ```text
//! hdfs-native's error with the class of a Java exception, or a time limit ─► Failure ─► StoreErrorKind
//! ```
//!
//! Owns: the classification, in one place.
//! Does not own: what is done about it.

use std::io;
use std::ops::Range;

use hdfs_native::HdfsError;

use super::super::StoreErrorKind;

/// Why a call did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The name node refused; the class of its exception says why.
    #[error("{class} says {message}")]
    Refused {
        /// Without its package.
        class: String,
        /// Its first line; the rest is a stack trace of the server.
        message: String,
    },
    /// What a name node that wants Kerberos does to a client that does not know of it, and also
    /// what one does that is being stopped.
    #[error(
        "the name node closed the connection; if it wants Kerberos, set HADOOP_CONF_DIR or \
         store.hdfs.conf_dir to the folder of its core-site.xml"
    )]
    Disconnected(#[source] io::Error),
    #[error(transparent)]
    Client(HdfsError),
    #[error("no answer within the time limit (store.call_timeout_ms)")]
    Time(#[source] tokio::time::error::Elapsed),
    #[error("it is missing or has no bytes {0:?}")]
    Range(Range<u64>),
    #[error("{found} bytes are there, {size} were written")]
    Other { found: u64, size: u64 },
    #[error("the prepared file `{0}` is gone")]
    Gone(String),
    #[error("`{0}` is no name for a file")]
    Name(String),
    #[error("it was made by a store of another kind: look at the table's URL")]
    Foreign,
}

impl From<HdfsError> for Failure {
    fn from(error: HdfsError) -> Self {
        match error {
            HdfsError::RPCError(class, message) | HdfsError::FatalRPCError(class, message) => {
                Self::Refused {
                    class: class.rsplit('.').next().unwrap_or_default().to_owned(),
                    message: message.lines().next().unwrap_or_default().to_owned(),
                }
            }
            HdfsError::IOError(error) if error.kind() == io::ErrorKind::ConnectionAborted => {
                Self::Disconnected(error)
            }
            other => Self::Client(other),
        }
    }
}

impl Failure {
    pub(super) fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Refused { class, message } => kind_of_exception(class, message),
            Self::Client(error) => kind_of_client(error),
            Self::Time(_) | Self::Disconnected(_) => StoreErrorKind::Transient,
            Self::Range(_) | Self::Other { .. } | Self::Gone(_) => StoreErrorKind::Corrupt,
            Self::Name(_) | Self::Foreign => StoreErrorKind::Unfit,
        }
    }

    /// A definite answer that a file or the folder above it is not there.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Refused { class, .. } => class == "FileNotFoundException",
            Self::Client(error) => matches!(error, HdfsError::FileNotFound(_)),
            _ => false,
        }
    }

    /// A name node that wants larger blocks than were asked for.
    pub(super) fn is_about_block_size(&self) -> bool {
        match self {
            Self::Refused { message, .. } => message.contains("block size"),
            _ => false,
        }
    }
}

fn kind_of_exception(class: &str, message: &str) -> StoreErrorKind {
    match class {
        "DSQuotaExceededException"
        | "NSQuotaExceededException"
        | "QuotaByStorageTypeExceededException"
        | "QuotaExceededException"
        | "DiskOutOfSpaceException" => StoreErrorKind::Full,
        "AccessControlException"
        | "AuthorizationException"
        | "AuthenticationException"
        | "SaslException"
        | "GSSException"
        | "SecretManager$InvalidToken"
        | "InvalidToken" => StoreErrorKind::Denied,
        "InvalidPathException"
        | "ParentNotDirectoryException"
        | "PathIsNotDirectoryException"
        | "FSLimitException$PathComponentTooLongException"
        | "FSLimitException$MaxDirectoryItemsExceededException"
        | "UnsupportedOperationException"
        | "RpcNoSuchMethodException"
        | "RpcNoSuchProtocolException"
        | "HadoopIllegalArgumentException"
        | "UnresolvedPathException" => StoreErrorKind::Unfit,
        // Data nodes that run and still take no block have no room for it: the client excludes none
        // by itself, although the message counts those that were left out for lack of room.
        _ if message.contains("could only be written to 0")
            && !message.contains("There are 0 datanode(s) running") =>
        {
            StoreErrorKind::Full
        }
        // A colon in a name, on name nodes that tell it this way.
        "RemoteException" | "IOException" if message.contains("Invalid file name") => {
            StoreErrorKind::Unfit
        }
        // SafeModeException, StandbyException, LeaseExpiredException, NotReplicatedYetException
        // and whatever else a name node says when it cannot just now.
        _ => StoreErrorKind::Transient,
    }
}

fn kind_of_client(error: &HdfsError) -> StoreErrorKind {
    match error {
        HdfsError::ChecksumError => StoreErrorKind::Corrupt,
        HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => {
            StoreErrorKind::Denied
        }
        HdfsError::InvalidPath(_)
        | HdfsError::InvalidArgument(_)
        | HdfsError::UrlParseError(_)
        | HdfsError::XmlParseError(_)
        | HdfsError::IsADirectoryError(_)
        | HdfsError::UnsupportedErasureCodingPolicy(_)
        | HdfsError::UnsupportedFeature(_) => StoreErrorKind::Unfit,
        _ => StoreErrorKind::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(class: &str, message: &str) -> StoreErrorKind {
        Failure::from(HdfsError::RPCError(class.into(), message.into())).kind()
    }

    #[test]
    fn the_java_class_decides_what_is_to_be_done() {
        for (class, kind_of_it) in [
            (
                "org.apache.hadoop.hdfs.server.namenode.SafeModeException",
                StoreErrorKind::Transient,
            ),
            (
                "org.apache.hadoop.ipc.StandbyException",
                StoreErrorKind::Transient,
            ),
            (
                "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException",
                StoreErrorKind::Full,
            ),
            (
                "org.apache.hadoop.security.AccessControlException",
                StoreErrorKind::Denied,
            ),
            (
                "org.apache.hadoop.security.token.SecretManager$InvalidToken",
                StoreErrorKind::Denied,
            ),
            (
                "org.apache.hadoop.fs.InvalidPathException",
                StoreErrorKind::Unfit,
            ),
        ] {
            assert_eq!(kind(class, ""), kind_of_it, "{class}");
        }
    }

    #[test]
    fn data_nodes_that_are_full_are_told_from_data_nodes_that_are_away() {
        let placing = |rest: &str| {
            let message = format!(
                "File /x could only be written to 0 of the 1 minReplication nodes. There are {rest}"
            );
            kind("java.io.IOException", &message)
        };
        let full = "1 datanode(s) running and 1 node(s) are excluded in this operation.";
        let away = "0 datanode(s) running and 0 node(s) are excluded in this operation.";
        assert_eq!(placing(full), StoreErrorKind::Full);
        assert_eq!(placing(away), StoreErrorKind::Transient);
    }

    #[test]
    fn a_server_s_stack_trace_is_left_out() {
        let message = "Path is bad\n\tat org.apache.hadoop.X.y(X.java:1)\n\tat …".to_owned();
        let class = "org.apache.hadoop.fs.InvalidPathException".to_owned();
        let failure = Failure::from(HdfsError::RPCError(class, message));
        assert_eq!(failure.to_string(), "InvalidPathException says Path is bad");
    }
}
