//! A command of the server, written while it is filled.

use mongodb::bson::RawDocumentBuf;

use super::bytes::{Open, Writer};

/// Bytes of one command; a server takes 16 MiB and a little, and one document may be that large.
pub(super) const COMMAND_BYTES: usize = 8 << 20;

/// A write command that is being filled.
pub(super) struct Command {
    pub(super) writer: Writer,
    whole: Open,
    list: Open,
    count: usize,
}

impl Command {
    /// `{verb: collection, ordered: true, list: [`
    pub(super) fn new(verb: &str, collection: &str, list: &str) -> Self {
        let mut writer = Writer::default();
        let whole = writer.begin();
        writer.string(verb, collection);
        writer.boolean("ordered", true);
        let list = writer.begin_array(list);
        Self {
            writer,
            whole,
            list,
            count: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes.len()
    }

    /// The name of the next element of the list, which is then written.
    pub(super) fn next_name(&mut self) -> String {
        self.count += 1;
        (self.count - 1).to_string()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn push(&mut self, document: &[u8]) {
        let name = self.next_name();
        self.writer.document(&name, document);
    }

    pub(super) fn finish(mut self) -> RawDocumentBuf {
        self.writer.end(self.list);
        self.writer.end(self.whole);
        RawDocumentBuf::from_bytes(self.writer.bytes)
            .expect("a document that was closed has its length and its end")
    }
}
