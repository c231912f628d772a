//! Sixteen bytes of a string at once: where plain text ends, and whether it is UTF-8.
//!
//! ```text
//! 16 bytes ─► classify ─► Seen (bit masks) ─► Utf8 ─► Valid, or Unsure: check the whole span
//! ```
//!
//! Owns: the one piece of code that uses vector instructions (SSE2, which every x86-64 has), and
//! its portable twin.
//!
//! Text in European languages is plain letters with two-byte characters among them. A sequence of
//! two bytes is a lead byte C2 to DF and a byte 80 to BF right after it: a relation between two
//! masks that costs a few instructions, where a general check costs some ten nanoseconds for each
//! string. Whatever else has a high bit is left to the general check.

/// Bytes in a block.
pub(super) const SIZE: usize = 16;

/// What is in a block: a bit for each byte, the lowest for the first.
pub(super) struct Seen {
    /// Quote, backslash or control character.
    pub(super) ends: u32,
    /// Bytes above 7F.
    high: u32,
}

/// How text has fared so far.
#[derive(Default)]
pub(super) struct Utf8 {
    /// 1 when the last block ended in a lead byte.
    open: u32,
    unsure: bool,
}

/// What is known of a string's bytes.
pub(super) enum Verdict {
    Valid,
    Unsure,
}

impl Utf8 {
    /// Looks at a block, of which the bytes before the first end belong to the string.
    #[inline(always)]
    pub(super) fn check(&mut self, bytes: &[u8; SIZE], seen: &Seen) {
        // The bits below the lowest end; all when there is none.
        let text = !seen.ends & seen.ends.wrapping_sub(1) & 0xffff;
        let high = seen.high & text;
        if high | self.open == 0 {
            return;
        }
        let (leads, follows) = two_byte_masks(bytes);
        let (leads, follows) = (leads & text, follows & text);
        let wanted = leads << 1 | self.open;
        self.open = wanted >> SIZE;
        // Bits of `wanted` at the end itself or beyond: the lead byte has no follower.
        let cut = if seen.ends == 0 { 0 } else { wanted & !text };
        self.unsure |= cut != 0 || (wanted & text) != follows || (leads | follows) != high;
    }

    #[inline(always)]
    pub(super) fn verdict(&self) -> Verdict {
        if self.unsure {
            Verdict::Unsure
        } else {
            Verdict::Valid
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_min_epu8, _mm_movemask_epi8,
        _mm_or_si128, _mm_set1_epi8, _mm_sub_epi8,
    };

    use super::{SIZE, Seen};

    #[inline(always)]
    fn load(bytes: &[u8; SIZE]) -> __m128i {
        // SAFETY: the reference covers the 16 bytes that are read, and the load needs no alignment.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn mask(lanes: __m128i) -> u32 {
        // SSE2 is part of every x86-64, so that these calls are always allowed.
        unsafe { _mm_movemask_epi8(lanes) as u32 }
    }

    #[inline(always)]
    pub(in super::super) fn classify(bytes: &[u8; SIZE]) -> Seen {
        let block = load(bytes);
        // SAFETY: SSE2 is part of every x86-64.
        let ends = unsafe {
            let quote = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"' as i8));
            let backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\' as i8));
            let control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
            _mm_or_si128(_mm_or_si128(quote, backslash), control)
        };
        Seen {
            ends: mask(ends),
            high: mask(block),
        }
    }

    #[inline(always)]
    pub(super) fn two_byte_masks(bytes: &[u8; SIZE]) -> (u32, u32) {
        let block = load(bytes);
        // SAFETY: SSE2 is part of every x86-64.
        let (leads, follows) = unsafe {
            let from_c2 = _mm_sub_epi8(block, _mm_set1_epi8(0xc2_u8 as i8));
            let leads = _mm_cmpeq_epi8(_mm_min_epu8(from_c2, _mm_set1_epi8(0x1d)), from_c2);
            let top = _mm_and_si128(block, _mm_set1_epi8(0xc0_u8 as i8));
            (leads, _mm_cmpeq_epi8(top, _mm_set1_epi8(0x80_u8 as i8)))
        };
        (mask(leads), mask(follows))
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use sse2::classify;
#[cfg(target_arch = "x86_64")]
use sse2::two_byte_masks;

#[cfg(any(test, not(target_arch = "x86_64")))]
mod portable {
    use super::{SIZE, Seen};

    /// A bit for each byte that passes.
    #[inline(always)]
    fn mask(bytes: &[u8; SIZE], passes: impl Fn(u8) -> bool) -> u32 {
        bytes
            .iter()
            .enumerate()
            .fold(0, |mask, (i, b)| mask | u32::from(passes(*b)) << i)
    }

    #[inline(always)]
    pub(in super::super) fn classify(bytes: &[u8; SIZE]) -> Seen {
        Seen {
            ends: mask(bytes, |b| (b == b'"') | (b == b'\\') | (b < 0x20)),
            high: mask(bytes, |b| b >= 0x80),
        }
    }

    #[inline(always)]
    pub(super) fn two_byte_masks(bytes: &[u8; SIZE]) -> (u32, u32) {
        (
            mask(bytes, |b| (0xc2..=0xdf).contains(&b)),
            mask(bytes, |b| (0x80..=0xbf).contains(&b)),
        )
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) use portable::classify;
#[cfg(not(target_arch = "x86_64"))]
use portable::two_byte_masks;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn vector_and_portable_code_agree() {
        // GIVEN every byte at every place of a block of letters
        for place in 0..SIZE {
            for byte in 0..=255 {
                let mut bytes = *b"abcdefghijklmnop";
                bytes[place] = byte;
                // WHEN both look at it THEN they see the same
                let (a, b) = (sse2::classify(&bytes), portable::classify(&bytes));
                assert_eq!((a.ends, a.high), (b.ends, b.high));
                assert_eq!(
                    sse2::two_byte_masks(&bytes),
                    portable::two_byte_masks(&bytes)
                );
            }
        }
    }

    #[test]
    fn what_is_called_valid_is_utf8() {
        // GIVEN every pair of bytes within a block, across two, and at the end of the text
        for place in [0, 5, 14, 15, 16, 30] {
            for pair in 0..=u16::MAX {
                let mut bytes = [b'x'; 2 * SIZE];
                bytes[place..place + 2].copy_from_slice(&pair.to_be_bytes());
                let (blocks, _) = bytes.as_chunks::<SIZE>();
                // WHEN the blocks are checked up to the end of the string
                let mut utf8 = Utf8::default();
                let mut text = 0;
                for block in blocks {
                    let seen = classify(block);
                    utf8.check(block, &seen);
                    text += (seen.ends.trailing_zeros() as usize).min(SIZE);
                    if seen.ends != 0 {
                        break;
                    }
                }
                // A string that does not end here is open: the check is not over.
                let valid = matches!(utf8.verdict(), Verdict::Valid) && utf8.open == 0;
                // THEN two-byte text needs no second look, and nothing else is waved through
                let truth = std::str::from_utf8(&bytes[..text]);
                assert_eq!(valid, truth.is_ok(), "{bytes:x?}");
            }
        }
    }
}
