//! BSON written straight into a buffer.
//!
//! ```text
//! Writer: open ─► elements ─► close ─► bytes of a document, many after each other
//! ```
//!
//! Owns: the layout of BSON elements. A sale becomes a document of some fifteen elements forty
//! thousand times a second; a tree of values for each would cost more than all the rest.
//! Does not own: what is written (`document`, `rollup`, `write`).

/// Types of elements, as BSON numbers them.
const DOUBLE: u8 = 0x01;
const STRING: u8 = 0x02;
const DOCUMENT: u8 = 0x03;
const ARRAY: u8 = 0x04;
const BINARY: u8 = 0x05;
const BOOLEAN: u8 = 0x08;
const DATE: u8 = 0x09;
const NULL: u8 = 0x0a;
const INT32: u8 = 0x10;
const INT64: u8 = 0x12;
const DECIMAL: u8 = 0x13;

/// A document or array that is being written, by where it begins.
#[derive(Clone, Copy, Debug)]
#[must_use = "a document that is not closed has no length"]
pub(super) struct Open(usize);

/// A growing buffer of documents.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    /// Begins a document that is no element of another.
    pub(super) fn begin(&mut self) -> Open {
        let open = Open(self.bytes.len());
        self.bytes.extend([0; 4]);
        open
    }

    /// Begins a document inside the one that is open.
    pub(super) fn begin_document(&mut self, name: &str) -> Open {
        self.head(DOCUMENT, name);
        self.begin()
    }

    /// Begins an array; its elements are named `0`, `1`, …
    pub(super) fn begin_array(&mut self, name: &str) -> Open {
        self.head(ARRAY, name);
        self.begin()
    }

    /// Ends what was begun. Returns where it lies.
    ///
    /// # Panics
    /// At 2 GiB: batches are far smaller.
    pub(super) fn end(&mut self, open: Open) -> std::ops::Range<usize> {
        self.bytes.push(0);
        let length = self.bytes.len() - open.0;
        let length = i32::try_from(length).expect("a batch of documents is below 2 GiB");
        self.bytes[open.0..open.0 + 4].copy_from_slice(&length.to_le_bytes());
        open.0..self.bytes.len()
    }

    /// Names are those of Avro fields or of our own, or keys of maps that were looked at: without NUL.
    fn head(&mut self, kind: u8, name: &str) {
        self.bytes.push(kind);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
    }

    fn length(&mut self, length: usize) {
        let length = i32::try_from(length).expect("a value is below 2 GiB");
        self.bytes.extend(length.to_le_bytes());
    }

    pub(super) fn null(&mut self, name: &str) {
        self.head(NULL, name);
    }

    pub(super) fn boolean(&mut self, name: &str, value: bool) {
        self.head(BOOLEAN, name);
        self.bytes.push(value.into());
    }

    pub(super) fn int32(&mut self, name: &str, value: i32) {
        self.head(INT32, name);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn int64(&mut self, name: &str, value: i64) {
        self.head(INT64, name);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn double(&mut self, name: &str, value: f64) {
        self.head(DOUBLE, name);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn string(&mut self, name: &str, value: &str) {
        self.head(STRING, name);
        self.length(value.len() + 1);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
    }

    /// Generic binary.
    pub(super) fn binary(&mut self, name: &str, value: &[u8]) {
        self.head(BINARY, name);
        self.length(value.len());
        self.bytes.push(0);
        self.bytes.extend_from_slice(value);
    }

    /// Milliseconds since the epoch.
    pub(super) fn date(&mut self, name: &str, millis: i64) {
        self.head(DATE, name);
        self.bytes.extend(millis.to_le_bytes());
    }

    /// The 16 bytes of a Decimal128.
    pub(super) fn decimal(&mut self, name: &str, value: [u8; 16]) {
        self.head(DECIMAL, name);
        self.bytes.extend(value);
    }

    /// A document that is written already.
    pub(super) fn document(&mut self, name: &str, document: &[u8]) {
        self.head(DOCUMENT, name);
        self.bytes.extend_from_slice(document);
    }

    /// The elements of a document that is written already.
    pub(super) fn elements(&mut self, document: &[u8]) {
        self.bytes
            .extend_from_slice(&document[4..document.len() - 1]);
    }
}
