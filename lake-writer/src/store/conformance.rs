//! What every backend must do, as tests that each of them runs on the real thing.
//!
//! ```text
//! store_conformance!(backend, opener) ─► one #[tokio::test] a promise ─► two and more clients of one table
//! ```
//!
//! Owns: the promises of [`Store`], each a function that panics when it is broken.
//! Does not own: servers; the opener is handed in and says which table to use.

pub mod names;
pub mod files;

use std::sync::Arc;

use bytes::Bytes;

use super::{Entry, Prepared, Put, StageWriter, Staged, Store, TablePath};

/// Opens one more client of the table under test, which is empty at first.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn Store> + Send + Sync);

/// Names that escaping, URLs, XML or globbing get wrong somewhere.
pub const NASTY_NAMES: [&str; 12] = [
    "region=Île-de-France",
    "region=Provence-Alpes-Côte d'Azur",
    "region=Auvergne-Rhône-Alpes",
    "at=2026-01-31 12%3A00",
    "half=50%25 off",
    "lone=100%",
    "plus=a+b&c=d;e",
    "quote=\"<é>\"",
    "question=why#not",
    "tilde=~,(x)!@$",
    "日本=東京",
    "emoji=🛒",
];

/// Writes a test module that runs every promise against one backend.
///
/// `$open` takes the name of a test and gives a function that opens clients of a table of its own.
/// Attributes, such as `#[ignore = "needs …"]`, go to every test.
#[macro_export]
macro_rules! store_conformance {
    ($(#[$attribute:meta])* $backend:ident, $open:expr) => {
        mod $backend {
            #[allow(unused_imports)]
            use super::*;
            $crate::store_conformance! { @tests [$(#[$attribute])*] names, $open,
                put_if_absent_has_one_winner
                prepared_bytes_can_be_put_again
                dropped_bytes_leave_nothing
                missing_files_are_told_apart
                ranges_are_exact
                listings_are_deep_and_complete
                listing_after_is_sorted_and_flat
                long_listings_are_whole
                deleting_can_be_repeated
                the_probe_accepts_it
            }
            $crate::store_conformance! { @tests [$(#[$attribute])*] files, $open,
                staged_files_are_invisible
                publishing_can_be_repeated
                publishing_a_missing_file_says_so
                publishing_never_overwrites
                two_publishers_publish_once
                discarded_files_are_gone
                discarding_after_publishing_harms_nothing
                unfinished_files_can_be_swept
                abandoned_files_are_gone
                nasty_names_come_back
                large_files_come_back
                empty_files_come_back
                many_files_are_staged_at_once
            }
        }
    };
    (@tests $attributes:tt $room:ident, $open:expr, $($promise:ident)+) => {
        $($crate::store_conformance! { @test $attributes $room, $promise, $open })+
    };
    (@test [$(#[$attribute:meta])*] $room:ident, $promise:ident, $open:expr) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $(#[$attribute])*
        async fn $promise() {
            let open = ($open)(stringify!($promise));
            $crate::store::conformance::$room::$promise(&open).await;
        }
    };
}

fn path(path: &str) -> TablePath {
    TablePath::new(path).expect("a legal path")
}

fn record(number: usize) -> TablePath {
    path(&format!("log/{number:020}.json"))
}

fn entry(at: &str, size: u64) -> Entry {
    Entry {
        path: path(at),
        size,
    }
}

async fn prepare(store: &dyn Store, name: &str, body: &str) -> Prepared {
    let body = Bytes::copy_from_slice(body.as_bytes());
    store.prepare(&path(name), body).await.expect("prepared")
}

async fn put(store: &dyn Store, at: &str, body: &str) {
    let name = format!("stage/put-{}", at.replace('/', "-"));
    let prepared = prepare(store, &name, body).await;
    let put = store.put_if_absent(&prepared, &path(at)).await;
    assert_eq!(put.expect("put"), Put::Created, "{at}");
    store.drop_prepared(prepared).await.expect("dropped");
}

async fn read(store: &dyn Store, at: &str) -> Bytes {
    let bytes = store.read(&path(at)).await.expect("read");
    bytes.expect("the file is there")
}

async fn list(store: &dyn Store, folder: &str) -> Vec<Entry> {
    store.list(&path(folder)).await.expect("listed")
}

async fn stage_writer(store: &dyn Store, target: &str, staging: &str) -> Box<dyn StageWriter> {
    let writer = store.stage(&path(target), &path(staging)).await;
    writer.expect("begun")
}

async fn write(writer: &mut Box<dyn StageWriter>, body: &str) {
    let body = Bytes::copy_from_slice(body.as_bytes());
    writer.write(body).await.expect("written");
}

async fn stage(store: &dyn Store, target: &str, staging: &str, body: &str) -> Staged {
    let mut writer = stage_writer(store, target, staging).await;
    write(&mut writer, body).await;
    writer.finish().await.expect("finished")
}
