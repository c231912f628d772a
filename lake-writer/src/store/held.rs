//! Bytes of a file that wait until there are enough of them to be sent.
//!
//! ```text
//! write ─► Held ─► pieces of a fixed size (S3 parts), or everything at once
//! ```
//!
//! Owns: the order and number of bytes. Copies nothing.
//! Does not own: how many are enough.

use std::collections::VecDeque;

use bytes::Bytes;

/// A queue of bytes.
#[derive(Debug, Default)]
pub(super) struct Held {
    chunks: VecDeque<Bytes>,
    length: usize,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.length += bytes.len();
            self.chunks.push_back(bytes);
        }
    }

    /// The first `length` bytes, in pieces; fewer when there are not so many.
    pub(super) fn take(&mut self, length: usize) -> Vec<Bytes> {
        let mut taken = Vec::new();
        let mut missing = length.min(self.length);
        self.length -= missing;
        while missing > 0 {
            let Some(mut chunk) = self.chunks.pop_front() else {
                break;
            };
            if chunk.len() > missing {
                let rest = chunk.split_off(missing);
                self.chunks.push_front(rest);
            }
            missing -= chunk.len();
            taken.push(chunk);
        }
        taken
    }

    /// Everything, without taking it out, so that sending can be tried again.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        self.chunks.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_in_order_whatever_the_pieces(
            pieces in proptest::collection::vec(0_usize..40, 0..12),
            size in 1_usize..50,
        ) {
            let mut held = Held::default();
            let mut expected = Vec::new();
            for length in pieces {
                let bytes: Vec<u8> = (0..length).map(|n| (expected.len() + n) as u8).collect();
                expected.extend_from_slice(&bytes);
                held.push(bytes.into());
            }
            prop_assert_eq!(held.len(), expected.len());
            let whole: Vec<u8> = held.chunks().flatten().copied().collect();
            prop_assert_eq!(&whole, &expected);
            let mut out = Vec::new();
            while held.len() > 0 {
                let before = held.len();
                let taken = held.take(size).concat();
                prop_assert_eq!(taken.len(), size.min(before));
                out.extend(taken);
            }
            prop_assert_eq!(out, expected);
        }
    }
}
