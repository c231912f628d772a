//! Promises about names: put once, read, listed, deleted.
//!
//! ```text
//! prepare ─► put_if_absent, by several ─► log/… ─► read, list, delete
//! ```
//!
//! Owns: what the calls for small files must do, and that the probe takes a store that does it.
//! Does not own: staged files (see `files`).

use bytes::Bytes;
use futures::future::join_all;

use crate::error_chain::ErrorChain;

use super::super::{Put, Store, StoreErrorKind, probe};
use super::{Open, entry, list, path, prepare, put, read, record};

/// 4 clients put 100 names, many at a time: each name is won once, and holds the winner's bytes.
pub async fn put_if_absent_has_one_winner(open: Open<'_>) {
    const CLIENTS: usize = 4;
    const NAMES: usize = 100;
    let clients = (0..CLIENTS).map(|client| {
        let store = open();
        tokio::spawn(async move {
            let mut won = Vec::new();
            for first in (0..NAMES).step_by(25) {
                let names = first..first + 25;
                let races = names.map(|name| race(&*store, client, name));
                won.extend(join_all(races).await.into_iter().flatten());
            }
            won
        })
    });
    let won = join_all(clients).await;

    let store = open();
    let mut winners = [None; NAMES];
    for (client, won) in won.into_iter().enumerate() {
        for name in won.expect("the client did not panic") {
            assert_eq!(winners[name], None, "name {name} was won twice");
            winners[name] = Some(client);
        }
    }
    for (name, winner) in winners.into_iter().enumerate() {
        let winner = winner.expect("every name is won by somebody");
        let body = store.read(&record(name)).await.expect("read");
        let expected = format!("client {winner}, name {name}");
        assert_eq!(body, Some(Bytes::from(expected)));
    }
    assert_eq!(list(&*store, "stage").await, []);
}

async fn race(store: &dyn Store, client: usize, name: usize) -> Option<usize> {
    let body = format!("client {client}, name {name}");
    let prepared = prepare(store, &format!("stage/{client}-{name}"), &body).await;
    let put = store.put_if_absent(&prepared, &record(name)).await;
    store.drop_prepared(prepared).await.expect("dropped");
    (put.expect("put") == Put::Created).then_some(name)
}

/// Losing one name does not spoil the bytes for the next.
pub async fn prepared_bytes_can_be_put_again(open: Open<'_>) {
    let (store, other) = (open(), open());
    put(&*other, "log/1.json", "theirs").await;

    let mine = prepare(&*store, "stage/mine", "mine").await;
    let first = store.put_if_absent(&mine, &path("log/1.json")).await;
    assert_eq!(first.expect("put"), Put::Exists);
    let second = store.put_if_absent(&mine, &path("log/2.json")).await;
    assert_eq!(second.expect("put"), Put::Created);
    store.drop_prepared(mine).await.expect("dropped");

    assert_eq!(read(&*other, "log/1.json").await, "theirs");
    assert_eq!(read(&*other, "log/2.json").await, "mine");
    assert_eq!(list(&*store, "stage").await, []);
}

/// Bytes that are never put leave no file behind.
pub async fn dropped_bytes_leave_nothing(open: Open<'_>) {
    let store = open();
    let prepared = prepare(&*store, "stage/never", "never put").await;
    store.drop_prepared(prepared).await.expect("dropped");
    assert_eq!(list(&*store, "stage").await, []);
    assert_eq!(list(&*store, "log").await, []);
}

/// A missing file is `None` where that is an answer, and an error where it is not.
pub async fn missing_files_are_told_apart(open: Open<'_>) {
    let store = open();
    let nowhere = path("log/no folder/nothing.json");
    assert_eq!(store.read(&nowhere).await.expect("read"), None);
    assert_eq!(store.size(&nowhere).await.expect("size"), None);
    assert_eq!(list(&*store, "log").await, []);
    let after = store.list_after(&path("log"), "").await;
    assert_eq!(after.expect("listed"), []);
    let uploads = store.open_uploads(&path("data")).await;
    assert_eq!(uploads.expect("listed"), []);
    let error = store.read_range(&nowhere, 0..1).await;
    assert_eq!(error.expect_err("missing").kind, StoreErrorKind::Corrupt);
}

/// A range is exactly what was asked for, or an error.
pub async fn ranges_are_exact(open: Open<'_>) {
    let store = open();
    put(&*store, "log/1.json", "0123456789").await;
    let file = path("log/1.json");
    assert_eq!(store.size(&file).await.expect("size"), Some(10));
    for (range, expected) in [(0..10, "0123456789"), (3..7, "3456"), (9..10, "9")] {
        let bytes = store.read_range(&file, range).await.expect("read");
        assert_eq!(bytes, expected);
    }
    for range in [5..11, 10..11, 20..30] {
        let error = store.read_range(&file, range).await;
        assert_eq!(error.expect_err("too long").kind, StoreErrorKind::Corrupt);
    }
}

/// A listing has every file below the folder with its size, and none beside it.
pub async fn listings_are_deep_and_complete(open: Open<'_>) {
    let store = open();
    put(&*store, "data/a", "1").await;
    put(&*store, "data/date=2026-01-31/b", "22").await;
    put(&*store, "data/date=2026-01-31/region=PAR/c", "333").await;
    put(&*store, "data-of-a-stranger/d", "4444").await;
    put(&*store, "dat", "55555").await;

    let mut found = list(&*store, "data").await;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    let expected = [
        entry("data/a", 1),
        entry("data/date=2026-01-31/b", 2),
        entry("data/date=2026-01-31/region=PAR/c", 3),
    ];
    assert_eq!(found, expected);
    let deeper = list(&*store, "data/date=2026-01-31/region=PAR").await;
    assert_eq!(deeper, expected[2..]);
}

/// Only later names, in byte order, of the folder itself.
pub async fn listing_after_is_sorted_and_flat(open: Open<'_>) {
    let store = open();
    for name in ["10", "9", "0", "é", "Z", "a", "below/11"] {
        put(&*store, &format!("log/{name}"), name).await;
    }
    let names = async |after| {
        let listed = store.list_after(&path("log"), after).await;
        let listed = listed.expect("listed").into_iter();
        listed.map(|it| it.path.to_string()).collect::<Vec<_>>()
    };
    let all = ["log/0", "log/10", "log/9", "log/Z", "log/a", "log/é"];
    assert_eq!(names("").await, all);
    assert_eq!(names("0").await, all[1..]);
    assert_eq!(names("1").await, all[1..]);
    assert_eq!(names("10").await, all[2..]);
    assert_eq!(names("Z").await, all[4..]);
    assert_eq!(names("é").await, all[6..]);
}

/// More files than a server puts on one page.
pub async fn long_listings_are_whole(open: Open<'_>) {
    const FILES: usize = 1_100;
    let store = open();
    for first in (0..FILES).step_by(220) {
        join_all((first..first + 220).map(|number| {
            let store = &store;
            async move {
                put(&**store, record(number).as_str(), "x").await;
            }
        }))
        .await;
    }
    assert_eq!(list(&*store, "log").await.len(), FILES);
    let later = store.list_after(&path("log"), record(9).file_name()).await;
    let later = later.expect("listed").into_iter().map(|it| it.path);
    let expected = (10..FILES).map(record);
    assert!(later.eq(expected), "sorted and whole from record 10 on");
}

/// The first deletion removes the file, the next finds nothing to do.
pub async fn deleting_can_be_repeated(open: Open<'_>) {
    let store = open();
    put(&*store, "data/date=2026-01-31/a", "1").await;
    let file = path("data/date=2026-01-31/a");
    store.delete(&file).await.expect("deleted");
    assert_eq!(store.size(&file).await.expect("size"), None);
    store.delete(&file).await.expect("nothing to delete");
    let nowhere = path("data/no such folder/b");
    store.delete(&nowhere).await.expect("nothing to delete");
    // A name that was freed can be taken again.
    put(&*store, file.as_str(), "2").await;
    assert_eq!(read(&*store, file.as_str()).await, "2");
}

/// The start-up probe takes the store, twice, and leaves nothing behind.
pub async fn the_probe_accepts_it(open: Open<'_>) {
    let store = open();
    for attempt in ["first", "second"] {
        let outcome = probe::probe(&*store, attempt).await;
        if let Err(error) = outcome {
            panic!("refused: {} (kind: {:?})", ErrorChain(&error), error.kind);
        }
        for folder in ["data", "stage", "log"] {
            assert_eq!(list(&*store, folder).await, []);
            let uploads = store.open_uploads(&path(folder)).await;
            assert_eq!(uploads.expect("listed"), []);
        }
    }
}
