//! Text and byte strings in a column, one after the other.
//!
//! Owns: bytes and offsets, and the promise that text is UTF-8.
//! Does not own: the check itself, which a decoder makes where it is cheapest.

use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, StringArray};
use arrow_buffer::{Buffer, NullBuffer};

use super::Reject;
use super::columns::{close, finish_offsets, repeat_last, take_keeping_room, truncate_offsets};

/// Values of bytes or of text that grow.
///
/// A value is written to the end of [`Text::data`] and then closed. Whoever closes a value of a
/// text column has checked that it is UTF-8; values of a column of bytes may be anything.
#[derive(Debug)]
pub(super) struct Text {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Default for Text {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            data: Vec::new(),
        }
    }
}

impl Text {
    /// Where the next value is written, by appending only.
    #[inline]
    pub(super) fn data(&mut self) -> &mut Vec<u8> {
        &mut self.data
    }

    /// Ends the value that was written last.
    #[inline]
    pub(super) fn close(&mut self) -> Result<(), Box<Reject>> {
        close(&mut self.offsets, self.data.len())
    }

    /// Appends a value whole.
    pub(super) fn push(&mut self, value: &[u8]) -> Result<(), Box<Reject>> {
        self.data.extend_from_slice(value);
        self.close()
    }

    /// Appends the empty value.
    pub(super) fn close_empty(&mut self) {
        repeat_last(&mut self.offsets);
    }

    /// Values that were closed.
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The value closed last.
    #[inline]
    pub(super) fn last(&self) -> Option<&[u8]> {
        let [.., start, end] = self.offsets[..] else {
            return None;
        };
        self.data.get(start as usize..end as usize)
    }

    /// The values from `start` on.
    pub(super) fn values_from(&self, start: usize) -> impl Iterator<Item = &[u8]> {
        let offsets = self.offsets.get(start..).unwrap_or(&[]);
        offsets
            .windows(2)
            .map(|pair| &self.data[pair[0] as usize..pair[1] as usize])
    }

    /// Drops what was written after the first `len` values, an unclosed one included.
    pub(super) fn truncate(&mut self, len: usize) {
        let end = truncate_offsets(&mut self.offsets, len);
        self.data.truncate(end);
    }

    /// Takes the values as a binary array.
    pub(super) fn finish_binary(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let offsets = finish_offsets(&mut self.offsets);
        let data = Buffer::from_vec(take_keeping_room(&mut self.data));
        Arc::new(BinaryArray::new(offsets, data, nulls))
    }

    /// Takes the values as a string array.
    pub(super) fn finish_utf8(&mut self, nulls: Option<NullBuffer>) -> ArrayRef {
        let offsets = finish_offsets(&mut self.offsets);
        let data = Buffer::from_vec(take_keeping_room(&mut self.data));
        if cfg!(debug_assertions) {
            return Arc::new(StringArray::new(offsets, data, nulls));
        }
        // SAFETY: every value was checked to be UTF-8 before it was closed, one by one, so each
        // range of two offsets is UTF-8 too; offsets begin at 0, never fall and end at the data's
        // length. Checking them all again here would cost as much as copying them. Builds with
        // debug assertions, all tests among them, take the checked way above.
        Arc::new(unsafe { StringArray::new_unchecked(offsets, data, nulls) })
    }
}
