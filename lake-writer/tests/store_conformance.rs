//! Every store keeps every promise of the port, on the real thing.

use std::sync::Arc;
use std::time::Duration;

use lake_writer::clock::Chance;
use lake_writer::settings::StoreSettings;
use lake_writer::store::Store;
use lake_writer::store::local::LocalStore;
use lake_writer::store::memory::{MemoryStore, Staging};
use lake_writer::store::open::open;
use lake_writer::store_conformance;

fn memory(staging: Staging) -> impl Fn() -> Arc<dyn Store> {
    let table = MemoryStore::new(staging);
    move || Arc::new(table.clone())
}

fn local_table(name: &str) -> impl Fn() -> Arc<dyn Store> {
    let folder = tempfile::Builder::new().prefix(name).tempdir();
    let folder = folder.expect("a temporary folder");
    move || {
        let table = folder.path().join("a lake/sales é");
        Arc::new(LocalStore::new(table, Duration::from_secs(60)))
    }
}

/// A table of its own below the URL that the environment names. `LAKE_WRITER_TEST_STORE` may hold
/// the `[store]` table as JSON, for servers that want certificates or a keytab.
fn remote_table(variable: &str, name: &str) -> impl Fn() -> Arc<dyn Store> + use<> {
    let Ok(url) = std::env::var(variable) else {
        panic!("{variable} is not set: it names a place for tests, such as s3://bucket/tests");
    };
    let id = Chance::from_entropy().hex_id();
    let table = format!("{}/{name} é-{id}", url.trim_end_matches('/'));
    let settings = std::env::var("LAKE_WRITER_TEST_STORE").unwrap_or_else(|_| "{}".into());
    let settings: StoreSettings = serde_json::from_str(&settings).expect("the [store] table");
    move || {
        let store = open(&table, &settings);
        store.expect("the URL and the settings fit")
    }
}

store_conformance! { memory_by_file, |_name: &str| memory(Staging::File) }
store_conformance! { memory_by_upload, |_name: &str| memory(Staging::Upload) }
store_conformance! { local, local_table }
store_conformance! {
    #[ignore = "needs LAKE_WRITER_TEST_S3_URL and AWS_*: a bucket of a running server"]
    s3, |name: &str| remote_table("LAKE_WRITER_TEST_S3_URL", name)
}
store_conformance! {
    #[ignore = "needs LAKE_WRITER_TEST_HDFS_URL and HADOOP_CONF_DIR: a folder of a running HDFS"]
    hdfs, |name: &str| remote_table("LAKE_WRITER_TEST_HDFS_URL", name)
}
