//! From settings and Hadoop's own files to a client of one name node or name service.
//!
//! ```text
//! settings + HADOOP_CONF_DIR + ticket cache or keytab ─► hdfs_native::Client
//! ```
//!
//! Owns: which configuration holds, and time limits inside the client.
//! Does not own: what is called.

use std::collections::BTreeMap;
use std::io;
use std::sync::LazyLock;
use std::time::Duration;

use hdfs_native::{Client, ClientBuilder, HdfsError};
use tokio::runtime::{Handle, Runtime};

use super::super::open::OpenError;
use crate::settings::Hdfs;

/// Where all clients' connections live, for as long as the process does. Left to itself, a client
/// that is built outside of a runtime makes one of its own, and replacing that client inside of
/// another runtime panics: no runtime may be dropped there.
static CONNECTIONS: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("hdfs")
        .enable_all()
        .build()
});

/// Everything that a client is built from; kept, since a client that hangs is replaced.
pub(super) struct Connect {
    name_node: String,
    settings: Hdfs,
    properties: BTreeMap<String, String>,
}

impl Connect {
    /// Checks what can be checked without a name node. `name_node` is `hdfs://host:port` or
    /// `hdfs://name-service`.
    pub(super) fn new(
        name_node: &str,
        settings: &Hdfs,
        call_timeout: Duration,
    ) -> Result<Self, OpenError> {
        if let Some(folder) = &settings.conf_dir {
            let files = ["core-site.xml", "hdfs-site.xml"];
            if !files.iter().any(|file| folder.join(file).is_file()) {
                return Err(OpenError::HadoopConf(folder.clone()));
            }
        }
        // The client tries for minutes before it says that nobody answers. It shall end before the
        // call's own limit does, so that the error says what was wrong.
        let longest_sleep = (call_timeout.as_millis() / 12).max(1).to_string();
        let mut properties: BTreeMap<String, String> = [
            ("dfs.client.failover.max.attempts", "10"),
            ("dfs.client.failover.sleep.max.millis", &longest_sleep),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let given = settings.properties.iter();
        properties.extend(given.map(|(name, value)| (name.clone(), value.clone())));
        Ok(Self {
            name_node: name_node.to_owned(),
            settings: settings.clone(),
            properties,
        })
    }

    /// A new client, with connections of its own. Nothing is sent yet.
    pub(super) fn client(&self) -> Result<Client, OpenError> {
        let mut builder = ClientBuilder::new()
            .with_io_runtime(connections()?)
            .with_url(&self.name_node)
            .with_config(&self.properties);
        let settings = &self.settings;
        if let Some(folder) = &settings.conf_dir {
            builder = builder.with_config_dir(folder.to_string_lossy());
        }
        if let Some(user) = &settings.user {
            builder = builder.with_user(user);
        }
        if let Some(principal) = &settings.kerberos_principal {
            builder = builder.with_kerberos_principal(principal);
        }
        if let Some(keytab) = &settings.kerberos_keytab {
            builder = builder.with_kerberos_keytab(keytab.to_string_lossy());
        }
        if let Some(cache) = &settings.kerberos_cache {
            builder = builder.with_kerberos_cache(cache.to_string_lossy());
        }
        builder.build().map_err(|error| match error {
            HdfsError::InvalidArgument(what) if what.contains("No NameNode hosts") => {
                OpenError::NameService(self.name_node.clone())
            }
            error => OpenError::client(error),
        })
    }
}

fn connections() -> Result<Handle, OpenError> {
    match &*CONNECTIONS {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => Err(OpenError::client(HdfsError::IOError(io::Error::new(
            error.kind(),
            error.to_string(),
        )))),
    }
}
