//! Bytes on their way to a name in the log.
//!
//! Owns: preparing them, again when a sweep took them, and putting a document whose name is known.
//! Does not own: the number that a record gets (`append`).

use bytes::Bytes;

use crate::store::{Prepared, Put, Store, StoreError, TablePath};

use super::CommitError;

/// How often a record is prepared before its loss counts as the store's fault.
const MOST_PREPARED: u32 = 8;

/// The bytes of a record, waiting below `stage/` for the number that they get.
#[derive(Debug)]
pub(super) struct Offer {
    name: TablePath,
    bytes: Bytes,
    pub(super) prepared: Prepared,
    times: u32,
}

impl Offer {
    pub(super) async fn prepare(
        store: &dyn Store,
        name: TablePath,
        bytes: Bytes,
    ) -> Result<Self, CommitError> {
        let prepared = store.prepare(&name, bytes.clone()).await?;
        Ok(Self {
            name,
            bytes,
            prepared,
            times: 1,
        })
    }

    /// Whether losing it once more is still a sweep's doing.
    pub(super) fn may_be_prepared_again(&self) -> bool {
        self.times < MOST_PREPARED
    }

    /// A sweep of another writer took the prepared bytes: it cannot tell a session that is about to
    /// claim from one that died before it could. Nothing was put, and without its bytes nothing of
    /// an earlier put can take effect any more.
    pub(super) async fn prepare_again(&mut self, store: &dyn Store) -> Result<(), CommitError> {
        self.prepared = store.prepare(&self.name, self.bytes.clone()).await?;
        self.times += 1;
        Ok(())
    }
}

/// The name under which a part of the log waits for its own: `nonce` is new each time.
pub(super) fn prepared_name(session: &str, nonce: &str) -> TablePath {
    TablePath::new(format!("stage/{session}/log-{nonce}"))
        .expect("hexadecimal ids make a legal name")
}

/// Puts a document if there is none of its name.
///
/// # Errors
/// Store errors, after which it may be there or not.
pub(super) async fn put_document(
    store: &dyn Store,
    waiting: &TablePath,
    path: &TablePath,
    bytes: Bytes,
) -> Result<Put, StoreError> {
    let prepared = store.prepare(waiting, bytes).await?;
    let put = store.put_if_absent(&prepared, path).await;
    if let Err(error) = store.drop_prepared(prepared).await {
        tracing::debug!(%error, "a prepared document of the log stays behind");
    }
    put
}
