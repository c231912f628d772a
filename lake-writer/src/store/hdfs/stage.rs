//! A file that is being staged on HDFS.
//!
//! ```text
//! write ─► held in memory ─► (more than some MiB) ─► an open stream ─► close: durable
//!                        └─► (finished before) ─► written whole, again under another name if need be
//! ```
//!
//! Owns: when a stream is opened, and the name the file gets in the end.
//! Does not own: the client, and what its errors mean.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hdfs_native::file::FileWriter;
use hdfs_native::{Client, WriteOptions};

use super::super::held::Held;
use super::super::{StageWriter, Staged, StoreError, StoreErrorKind, TablePath};
use super::{HdfsStore, PIECE_BYTES};

/// A file is kept in memory up to here, so that a cut over thousands of lake partitions does not
/// hold as many streams, each with a connection to a data node. A cut of the usual 256 MiB has at
/// most 64 streams open.
const HELD_BYTES: usize = 4 << 20;
/// Names under which a file that is still whole in memory is tried.
const TRIES: u32 = 3;
/// Pause before the second name; twice as long before the third.
const PAUSE: Duration = Duration::from_millis(250);

pub(super) struct HdfsStage {
    store: HdfsStore,
    path: TablePath,
    held: Held,
    stream: Option<FileWriter>,
}

impl HdfsStage {
    pub(super) fn new(store: HdfsStore, path: TablePath) -> Self {
        Self {
            store,
            path,
            held: Held::default(),
            stream: None,
        }
    }
}

#[async_trait]
impl StageWriter for HdfsStage {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.held.push(bytes);
        if self.stream.is_none() {
            if self.held.len() <= HELD_BYTES {
                return Ok(());
            }
            self.stream = Some(create(&self.store, &self.path, None).await?);
        }
        if let Some(stream) = &mut self.stream {
            while self.held.len() > 0 {
                for piece in self.held.take(PIECE_BYTES) {
                    append(&self.store, &self.path, stream, piece).await?;
                }
            }
        }
        Ok(())
    }

    fn held_bytes(&self) -> u64 {
        self.held.len() as u64
    }

    async fn finish(self: Box<Self>) -> Result<Staged, StoreError> {
        let Self {
            store,
            path,
            held,
            stream,
        } = *self;
        let Some(mut stream) = stream else {
            let pieces: Vec<Bytes> = held.chunks().cloned().collect();
            let path = write_whole(&store, &path, &pieces).await?;
            return Ok(Staged::File { path });
        };
        if let Err(error) = close(&store, &path, &mut stream).await {
            drop(stream);
            store.give_up(&path).await;
            return Err(error);
        }
        Ok(Staged::File { path })
    }

    async fn abandon(self: Box<Self>) -> Result<(), StoreError> {
        let Self {
            store,
            path,
            stream,
            ..
        } = *self;
        match stream {
            // The lease ends with the stream; a file that is open is removed as well as a closed.
            Some(stream) => {
                drop(stream);
                store.remove(&path).await
            }
            None => Ok(()),
        }
    }
}

/// Writes a file of which every byte is at hand, and says under which name in the end.
///
/// A data node that fails or hangs spoils the file, not its name alone: the outcome of a call
/// without an answer is unknown. So the file is begun again under a name nobody has used.
pub(super) async fn write_whole(
    store: &HdfsStore,
    name: &TablePath,
    pieces: &[Bytes],
) -> Result<TablePath, StoreError> {
    let length = pieces.iter().map(|piece| piece.len() as u64).sum();
    let mut path = name.clone();
    let mut tries = 1;
    loop {
        // When the name node does not answer, another name is no help.
        let mut stream = create(store, &path, Some(length)).await?;
        let Err(error) = fill(store, &path, &mut stream, pieces).await else {
            return Ok(path);
        };
        drop(stream);
        store.give_up(&path).await;
        // A full store may only be counting blocks that other files have asked for and not used.
        let passing = matches!(error.kind, StoreErrorKind::Transient | StoreErrorKind::Full);
        if !passing || tries == TRIES {
            return Err(error);
        }
        tokio::time::sleep(PAUSE * tries).await;
        tries += 1;
        tracing::warn!(%path, error = %error.source, "file begun again under another name");
        path = store.other_name(name, tries)?;
    }
}

async fn fill(
    store: &HdfsStore,
    path: &TablePath,
    stream: &mut FileWriter,
    pieces: &[Bytes],
) -> Result<(), StoreError> {
    for piece in pieces {
        let mut rest = piece.clone();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(PIECE_BYTES));
            append(store, path, stream, piece).await?;
        }
    }
    close(store, path, stream).await
}

/// Begins a file of unknown length, or of a known one.
///
/// The name node reserves room for a whole block, 128 MiB as a rule, for every file that is being
/// written. A few hundred small files at once would so fill tens of gigabytes that are free, and be
/// refused: a file whose length is known asks for a block of its own size.
async fn create(
    store: &HdfsStore,
    path: &TablePath,
    length: Option<u64>,
) -> Result<FileWriter, StoreError> {
    let place = store.place(path);
    let sized = length
        .filter(|_| store.may_choose_block_size())
        .map(|length| WriteOptions::default().block_size(block_size(length)));
    if let Some(options) = sized {
        match store
            .ask(async |client: Client| client.create(&place, &options).await)
            .await
        {
            Ok(stream) => return Ok(stream),
            Err(failure) if failure.is_about_block_size() => store.leave_block_size_alone(),
            Err(failure) => return Err(store.error("create", path, failure)),
        }
    }
    let options = WriteOptions::default();
    let create = async |client: Client| client.create(&place, &options).await;
    store.call("create", path, create).await
}

/// The length in whole mebibytes, and at least one: the least that a name node takes by default.
fn block_size(length: u64) -> u64 {
    const MEBIBYTE: u64 = 1 << 20;
    length.div_ceil(MEBIBYTE).max(1) * MEBIBYTE
}

async fn append(
    store: &HdfsStore,
    path: &TablePath,
    stream: &mut FileWriter,
    bytes: Bytes,
) -> Result<(), StoreError> {
    // On the heap, since the client's futures are tens of kilobytes large.
    let write = Box::pin(stream.write_bytes(bytes));
    store.transfer("write", path, write).await.map(drop)
}

/// The data node syncs the block to disk before it confirms the last packet of a file.
async fn close(
    store: &HdfsStore,
    path: &TablePath,
    stream: &mut FileWriter,
) -> Result<(), StoreError> {
    let close = Box::pin(stream.close());
    store.transfer("close", path, close).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_the_file_and_is_no_smaller_than_name_nodes_take() {
        for (length, expected) in [
            (0, 1),
            (1, 1),
            (1 << 20, 1),
            ((1 << 20) + 1, 2),
            (4 << 20, 4),
        ] {
            assert_eq!(block_size(length), expected << 20, "{length}");
        }
    }
}
