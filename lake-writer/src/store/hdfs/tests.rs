//! What the store does when a name node does not answer; the rest needs a real one.

use std::error::Error;

use tokio::net::TcpListener;

use super::super::StoreErrorKind;
use super::*;

/// The writer opens its store before it enters its runtime, and replaces the client inside of it.
#[test]
fn a_store_opened_outside_of_a_runtime_outlives_a_name_node_that_does_not_answer() {
    // GIVEN a frozen name node, and a store that was opened outside of any runtime
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let name_node = format!("hdfs://{}", listener.local_addr().expect("bound"));
    let limit = Duration::from_millis(50);
    let store = HdfsStore::new(&name_node, "/lake", &Hdfs::default(), limit);
    let store = store.expect("the settings fit");
    // WHEN calls run into their limit, each of which replaces the client
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let path = TablePath::new("log/1").expect("legal");
    for _ in 0..2 {
        let error = runtime.block_on(store.read(&path)).expect_err("no answer");
        // THEN they fail as passing trouble, and nothing panics
        assert_eq!(error.kind, StoreErrorKind::Transient);
    }
}

#[tokio::test]
async fn a_name_node_that_does_not_answer_is_given_up_within_the_limit() {
    // GIVEN a name node that accepts connections and says nothing, as a frozen one does
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let name_node = format!("hdfs://{}", listener.local_addr().expect("bound"));
    let limit = Duration::from_millis(100);
    let store = HdfsStore::new(&name_node, "/lake/é", &Hdfs::default(), limit);
    let store = store.expect("the settings fit");
    // WHEN every kind of call is made
    let path = TablePath::new("data/a b").expect("legal");
    let staged = Staged::File {
        path: TablePath::new("stage/a").expect("legal"),
    };
    let prepared = Prepared::File(TablePath::new("stage/b").expect("legal"));
    let outcomes = [
        store
            .prepare(&path, Bytes::from_static(b"x"))
            .await
            .map(drop),
        store.put_if_absent(&prepared, &path).await.map(drop),
        store.read(&path).await.map(drop),
        store.read_range(&path, 0..1).await.map(drop),
        store.size(&path).await.map(drop),
        store.list(&path).await.map(drop),
        store.list_after(&path, "").await.map(drop),
        store.publish(&staged, &path, 1).await.map(drop),
        store.discard(&staged, &path).await,
        store.delete(&path).await,
    ];
    // THEN each fails as passing trouble that names the limit's setting
    for outcome in outcomes {
        let error = outcome.expect_err("no answer");
        assert_eq!(error.kind, StoreErrorKind::Transient);
        let source = error.source().expect("it has a source").to_string();
        assert!(source.contains("call_timeout_ms"), "{source}");
    }
}

#[test]
fn a_name_service_that_nobody_defines_is_told_at_once() {
    let settings = Hdfs {
        conf_dir: None,
        ..Hdfs::default()
    };
    let limit = Duration::from_secs(1);
    let error = HdfsStore::new("hdfs://nowhere", "/lake", &settings, limit);
    assert!(matches!(error, Err(OpenError::NameService(_))), "{error:?}");
}

#[test]
fn a_folder_without_hadoop_s_files_is_told_at_once() {
    let empty = tempfile::tempdir().expect("a folder");
    let settings = Hdfs {
        conf_dir: Some(empty.path().to_owned()),
        ..Hdfs::default()
    };
    let error = HdfsStore::new("hdfs://n:9000", "/lake", &settings, Duration::from_secs(1));
    assert!(matches!(error, Err(OpenError::HadoopConf(_))), "{error:?}");
}
