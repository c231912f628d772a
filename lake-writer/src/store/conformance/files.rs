//! Promises about files: staged invisibly, published once, swept when nobody wants them.
//!
//! ```text
//! stage ─► finish ─► publish, by several ─► data/…
//! ```
//!
//! Owns: what [`Store::stage`], [`Store::publish`] and [`Store::discard`] must do.
//! Does not own: names and listings (see the parent module).

use std::collections::BTreeSet;

use bytes::Bytes;
use futures::future::join_all;

use super::super::{Published, Staged, StoreErrorKind};
use super::{NASTY_NAMES, Open, entry, list, path, put, read, stage, stage_writer, write};

/// Nothing is seen below `data/` before the publication, everything after it.
pub async fn staged_files_are_invisible(open: Open<'_>) {
    let (store, reader) = (open(), open());
    let target = "data/date=2026-01-31/a.parquet";
    let staging = path("stage/a");
    let mut writer = stage_writer(&*store, target, staging.as_str()).await;
    write(&mut writer, "first, ").await;
    write(&mut writer, "second").await;
    assert_eq!(list(&*reader, "data").await, []);
    let staged = writer.finish().await.expect("finished");
    assert_eq!(list(&*reader, "data").await, []);
    assert_eq!(reader.size(&path(target)).await.expect("size"), None);
    if let Staged::File { path } = &staged {
        assert_eq!(path, &staging);
        assert_eq!(list(&*reader, "stage").await, [entry("stage/a", 13)]);
    }

    let published = store.publish(&staged, &path(target), 13).await;
    assert_eq!(published.expect("published"), Published::Now);
    assert_eq!(list(&*reader, "data").await, [entry(target, 13)]);
    assert_eq!(read(&*reader, target).await, "first, second");
    assert_eq!(list(&*reader, "stage").await, []);
    let uploads = reader.open_uploads(&path("data")).await;
    assert_eq!(uploads.expect("listed"), []);
}

/// A publication whose reply was lost is repeated, by anybody.
pub async fn publishing_can_be_repeated(open: Open<'_>) {
    let (store, other) = (open(), open());
    let target = path("data/a.parquet");
    let staged = stage(&*store, target.as_str(), "stage/a", "whole").await;
    let first = store.publish(&staged, &target, 5).await;
    assert_eq!(first.expect("published"), Published::Now);
    for client in [&store, &other] {
        let again = client.publish(&staged, &target, 5).await;
        assert_ne!(again.expect("published"), Published::Missing);
    }
    assert_eq!(read(&*other, target.as_str()).await, "whole");

    // Published and later replaced: a writer that wakes up must not bring it back.
    store.delete(&target).await.expect("deleted");
    let woken = other.publish(&staged, &target, 5).await;
    assert_eq!(woken.expect("looked up"), Published::Missing);
    assert_eq!(list(&*store, "data").await, []);
}

/// Neither source nor destination: the caller has to hear of it.
pub async fn publishing_a_missing_file_says_so(open: Open<'_>) {
    let store = open();
    let target = path("data/no such folder/a.parquet");
    let staged = stage(&*store, target.as_str(), "stage/a", "whole").await;
    store.discard(&staged, &target).await.expect("discarded");
    let published = store.publish(&staged, &target, 5).await;
    assert_eq!(published.expect("looked up"), Published::Missing);
    assert_eq!(list(&*store, "data").await, []);
}

/// A stranger's file of another size under the final name is left alone and reported.
pub async fn publishing_never_overwrites(open: Open<'_>) {
    let store = open();
    let target = path("data/region=Île-de-France/a.parquet");
    put(&*store, target.as_str(), "a stranger's file").await;
    let staged = stage(&*store, target.as_str(), "stage/a", "ours").await;
    for _ in 0..2 {
        let refused = store.publish(&staged, &target, 4).await;
        assert_eq!(refused.expect_err("foreign").kind, StoreErrorKind::Corrupt);
        assert_eq!(read(&*store, target.as_str()).await, "a stranger's file");
    }
    // The staged file was not spent: once the stranger's is moved away, it goes out.
    store.delete(&target).await.expect("deleted");
    let published = store.publish(&staged, &target, 4).await;
    assert_eq!(published.expect("published"), Published::Now);
    assert_eq!(read(&*store, target.as_str()).await, "ours");
}

/// A writer and the one that rolls its commit forward publish the same files at the same time.
pub async fn two_publishers_publish_once(open: Open<'_>) {
    const FILES: usize = 20;
    let (store, other) = (open(), open());
    for number in 0..FILES {
        let target = path(&format!("data/{number}.parquet"));
        let staging = format!("stage/{number}");
        let staged = stage(&*store, target.as_str(), &staging, "whole").await;
        let (one, two) = tokio::join!(
            store.publish(&staged, &target, 5),
            other.publish(&staged, &target, 5)
        );
        for outcome in [one, two] {
            match outcome {
                Ok(outcome) => assert_ne!(outcome, Published::Missing, "{target}"),
                Err(error) => {
                    // Allowed where the store refuses concurrent requests: look and try again.
                    assert_eq!(error.kind, StoreErrorKind::Transient, "{error:?}");
                    let again = store.publish(&staged, &target, 5).await;
                    assert_ne!(again.expect("published"), Published::Missing);
                }
            }
        }
        assert_eq!(read(&*store, target.as_str()).await, "whole");
    }
    assert_eq!(list(&*store, "data").await.len(), FILES);
    assert_eq!(list(&*store, "stage").await, []);
}

/// What is discarded is gone, as often as one likes.
pub async fn discarded_files_are_gone(open: Open<'_>) {
    let (store, other) = (open(), open());
    let target = path("data/a.parquet");
    let staged = stage(&*store, target.as_str(), "stage/a", "whole").await;
    for client in [&store, &other, &store] {
        let discarded = client.discard(&staged, &target).await;
        discarded.expect("discarded");
    }
    assert_eq!(list(&*store, "stage").await, []);
    let uploads = store.open_uploads(&path("data")).await;
    assert_eq!(uploads.expect("listed"), []);
}

/// A sweep that comes late must not touch what was published.
pub async fn discarding_after_publishing_harms_nothing(open: Open<'_>) {
    let store = open();
    let target = path("data/a.parquet");
    let staged = stage(&*store, target.as_str(), "stage/a", "whole").await;
    let published = store.publish(&staged, &target, 5).await;
    published.expect("published");
    store.discard(&staged, &target).await.expect("discarded");
    assert_eq!(read(&*store, target.as_str()).await, "whole");
}

/// What a dead writer left is found by listing, and can be taken away.
pub async fn unfinished_files_can_be_swept(open: Open<'_>) {
    let (store, sweeper) = (open(), open());
    let finished = stage(&*store, "data/région=a/1.parquet", "stage/1", "whole").await;
    let mut writer = stage_writer(&*store, "data/région=a/2.parquet", "stage/2").await;
    for _ in 0..6 {
        let mebibytes = Bytes::from(vec![b'x'; 2 << 20]);
        writer.write(mebibytes).await.expect("written");
    }
    drop(writer);

    let uploads = sweeper.open_uploads(&path("data")).await.expect("listed");
    let elsewhere = sweeper.open_uploads(&path("dead")).await;
    assert_eq!(elsewhere.expect("listed"), []);
    if let Staged::Upload { id, .. } = &finished {
        assert!(
            uploads.iter().any(|open| &open.id == id),
            "{id} in {uploads:?}"
        );
    }
    for open in uploads {
        let staged = Staged::Upload {
            id: open.id,
            parts: Vec::new(),
        };
        let discarded = sweeper.discard(&staged, &open.path).await;
        discarded.expect("discarded");
    }
    for file in list(&*sweeper, "stage").await {
        sweeper.delete(&file.path).await.expect("deleted");
    }
    assert_eq!(list(&*sweeper, "stage").await, []);
    assert_eq!(list(&*sweeper, "data").await, []);
    let uploads = sweeper.open_uploads(&path("data")).await;
    assert_eq!(uploads.expect("listed"), []);
}

/// A cut that is dropped takes its open files along.
pub async fn abandoned_files_are_gone(open: Open<'_>) {
    let store = open();
    let mut small = stage_writer(&*store, "data/small.parquet", "stage/small").await;
    write(&mut small, "a few bytes").await;
    let mut large = stage_writer(&*store, "data/large.parquet", "stage/large").await;
    for _ in 0..5 {
        let mebibytes = Bytes::from(vec![b'x'; 2 << 20]);
        large.write(mebibytes).await.expect("written");
        assert!(large.held_bytes() <= 10 << 20);
    }
    let untouched = stage_writer(&*store, "data/none.parquet", "stage/none").await;
    for writer in [small, large, untouched] {
        writer.abandon().await.expect("abandoned");
    }
    assert_eq!(list(&*store, "stage").await, []);
    let uploads = store.open_uploads(&path("data")).await;
    assert_eq!(uploads.expect("listed"), []);
}

/// Every name comes back as it was given, from every call that speaks of it.
pub async fn nasty_names_come_back(open: Open<'_>) {
    let store = open();
    let mut expected = BTreeSet::new();
    for (number, name) in NASTY_NAMES.into_iter().enumerate() {
        let target = path(&format!("data/{name}/{name}.parquet"));
        let staging = format!("stage/{name} {number}");
        let staged = stage(&*store, target.as_str(), &staging, name).await;
        if let Staged::Upload { id, .. } = &staged {
            let uploads = store.open_uploads(&path("data")).await.expect("listed");
            let ours = uploads.iter().find(|open| &open.id == id);
            assert_eq!(ours.map(|open| &open.path), Some(&target));
        }
        let published = store.publish(&staged, &target, name.len() as u64).await;
        assert_eq!(published.expect("published"), Published::Now);
        assert_eq!(read(&*store, target.as_str()).await, name);
        let folder = path(target.parent().expect("it has a folder"));
        let flat = store.list_after(&folder, "").await.expect("listed");
        assert_eq!(flat, [entry(target.as_str(), name.len() as u64)]);
        assert_eq!(list(&*store, folder.as_str()).await, flat);
        put(&*store, &format!("log/{name}"), name).await;
        expected.insert(target);
    }
    let found = list(&*store, "data").await.into_iter();
    assert_eq!(found.map(|it| it.path).collect::<BTreeSet<_>>(), expected);
    for name in NASTY_NAMES {
        let file = path(&format!("log/{name}"));
        assert_eq!(read(&*store, file.as_str()).await, name);
        store.delete(&file).await.expect("deleted");
    }
    assert_eq!(list(&*store, "log").await, []);
}

/// 12 MiB and a bit, written unevenly: several parts, several packets, every byte in its place.
pub async fn large_files_come_back(open: Open<'_>) {
    let store = open();
    let all: Bytes = (0..(12_u32 << 18) + 7).flat_map(u32::to_le_bytes).collect();
    let target = path("data/large.parquet");
    let mut writer = stage_writer(&*store, target.as_str(), "stage/large").await;
    let mut rest = all.clone();
    for length in [1, 7 << 20, 100, 3 << 20, 65_536, 1 << 20].into_iter() {
        writer.write(rest.split_to(length)).await.expect("written");
    }
    writer.write(rest).await.expect("written");
    let staged = writer.finish().await.expect("finished");
    let size = all.len() as u64;
    let published = store.publish(&staged, &target, size).await;
    assert_eq!(published.expect("published"), Published::Now);

    assert_eq!(store.size(&target).await.expect("size"), Some(size));
    let whole = store.read_range(&target, 0..size).await.expect("read");
    assert!(whole == all, "all {size} bytes are in their places");
    let middle = (7 << 20) - 5..(7 << 20) + 5;
    let bytes = store.read_range(&target, middle.clone()).await;
    let start = usize::try_from(middle.start).expect("a few MiB");
    assert_eq!(bytes.expect("read"), all.slice(start..start + 10));
}

/// A file without a byte is a file.
pub async fn empty_files_come_back(open: Open<'_>) {
    let store = open();
    put(&*store, "log/empty", "").await;
    assert_eq!(read(&*store, "log/empty").await, "");
    let target = path("data/empty.parquet");
    let staged = stage(&*store, target.as_str(), "stage/empty", "").await;
    let published = store.publish(&staged, &target, 0).await;
    assert_eq!(published.expect("published"), Published::Now);
    assert_eq!(list(&*store, "data").await, [entry(target.as_str(), 0)]);
}

/// 300 files begun before the first is finished, as a cut over many lake partitions does.
pub async fn many_files_are_staged_at_once(open: Open<'_>) {
    const FILES: usize = 300;
    let store = open();
    let mut writers = Vec::new();
    for number in 0..FILES {
        let target = path(&format!("data/p={}/{number}.parquet", number % 30));
        let staging = format!("stage/{number}");
        let mut writer = stage_writer(&*store, target.as_str(), &staging).await;
        write(&mut writer, &format!("file {number}")).await;
        writers.push((target, writer));
    }
    let mut finished = Vec::new();
    for (target, writer) in writers {
        finished.push(async {
            let staged = writer.finish().await.expect("finished");
            (target, staged)
        });
    }
    for (number, (target, staged)) in join_all(finished).await.into_iter().enumerate() {
        let size = format!("file {number}").len() as u64;
        let published = store.publish(&staged, &target, size).await;
        assert_eq!(published.expect("published"), Published::Now);
    }
    assert_eq!(list(&*store, "data").await.len(), FILES);
    assert_eq!(list(&*store, "stage").await, []);
    assert_eq!(read(&*store, "data/p=7/7.parquet").await, "file 7");
}
