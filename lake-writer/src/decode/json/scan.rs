//! A cursor over one JSON document: white space, literals, strings, and what is between them.
//!
//! ```text
//! bytes ─► Cursor ─► text straight into a column, or a span of the document
//! ```
//!
//! Owns: what RFC 8259 says of everything but numbers, checked as strictly as serde_json does;
//! reading strings 16 bytes at a time; UTF-8.
//! Does not own: numbers (`number`), what a value means to a column (`append`).

use std::ops::Range;

use super::super::{Reject, RejectReason, check_unfolded, reject};
use super::block;

/// Levels of arrays and objects inside each other that are followed, as in serde_json.
const MAX_DEPTH: u32 = 127;

/// A place in a document.
pub(super) struct Cursor<'a> {
    pub(super) doc: &'a [u8],
    pub(super) pos: usize,
    depth: u32,
    /// Bytes that the row's text and items take.
    pub(super) grown: usize,
    /// Fields that the schema does not have.
    pub(super) unknown: u64,
    /// Room for text with escapes.
    scratch: &'a mut Vec<u8>,
}

/// A string in the document, checked.
pub(super) struct Span {
    /// Between the quotes.
    pub(super) range: Range<usize>,
    /// Whether it has escapes, so that its bytes are not yet its text.
    pub(super) escaped: bool,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(doc: &'a [u8], scratch: &'a mut Vec<u8>) -> Self {
        Self {
            doc,
            pos: 0,
            depth: 0,
            grown: 0,
            unknown: 0,
            scratch,
        }
    }

    /// Counts bytes that the row takes beyond those of the document's text.
    #[inline]
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Box<Reject>> {
        self.grown += bytes;
        check_unfolded(self.grown, self.doc.len())
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.doc.get(self.pos).copied()
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.pos += 1;
        }
    }

    /// Takes `byte` after white space.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Box<Reject>> {
        self.skip_space();
        if self.peek() == Some(byte) {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.missing(byte))
        }
    }

    #[cold]
    fn missing(&self, byte: u8) -> Box<Reject> {
        self.malformed(&format!("`{}`", char::from(byte)))
    }

    /// Takes the opening byte of an array or object.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Box<Reject>> {
        self.pos += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(reject(
                RejectReason::TooDeep,
                format!("more than {MAX_DEPTH} levels of arrays and objects"),
            ));
        }
        Ok(())
    }

    /// Takes `,` (and says true) or `close` (and says false) after white space.
    #[inline]
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Box<Reject>> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                self.skip_space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.pos += 1;
                self.depth -= 1;
                Ok(false)
            }
            _ => Err(self.malformed(if close == b'}' {
                "`,` or `}`"
            } else {
                "`,` or `]`"
            })),
        }
    }

    /// Takes `close` after white space, if an array or object ends right after it begins.
    #[inline]
    pub(super) fn empty(&mut self, close: u8) -> bool {
        self.skip_space();
        let empty = self.peek() == Some(close);
        if empty {
            self.pos += 1;
            self.depth -= 1;
        }
        empty
    }

    /// Takes a literal of which the first byte has been seen.
    #[inline]
    pub(super) fn literal(&mut self, literal: &'static str) -> Result<(), Box<Reject>> {
        let rest = self.doc.get(self.pos..).unwrap_or(&[]);
        if rest.starts_with(literal.as_bytes()) {
            self.pos += literal.len();
            return Ok(());
        }
        Err(self.broken_literal(literal))
    }

    #[cold]
    fn broken_literal(&mut self, literal: &str) -> Box<Reject> {
        let rest = self.doc.get(self.pos..).unwrap_or(&[]);
        let same = rest
            .iter()
            .zip(literal.bytes())
            .take_while(|(a, b)| **a == *b)
            .count();
        self.pos += same;
        self.malformed(&format!("`{literal}`"))
    }

    /// Takes a string, of which the opening quote has been seen, and appends its text to `out`.
    #[inline]
    pub(super) fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Box<Reject>> {
        let before = out.len();
        let start = self.pos + 1;
        let mut pos = start;
        let mut utf8 = block::Utf8::default();
        loop {
            let Some(bytes) = self.doc.get(pos..).and_then(|rest| rest.first_chunk()) else {
                self.pos = pos;
                self.short_string_into(out, &mut utf8)?;
                break;
            };
            let seen = block::classify(bytes);
            // Whole blocks are copied and the excess is dropped: cheaper than a copy of just as
            // many bytes as are wanted.
            let len = out.len();
            out.extend_from_slice(bytes);
            utf8.check(bytes, &seen);
            if seen.ends == 0 {
                pos += block::SIZE;
                continue;
            }
            let plain = seen.ends.trailing_zeros() as usize;
            out.truncate(len + plain);
            self.pos = pos + plain;
            if !self.end_or_escape(out)? {
                break;
            }
            pos = self.pos;
        }
        self.check_utf8(&utf8, start..self.pos - 1)?;
        self.grown += out.len() - before;
        Ok(())
    }

    /// The same where the document ends within a block.
    fn short_string_into(
        &mut self,
        out: &mut Vec<u8>,
        utf8: &mut block::Utf8,
    ) -> Result<(), Box<Reject>> {
        loop {
            let (bytes, seen) = self.last_block();
            utf8.check(&bytes, &seen);
            let plain = seen.ends.trailing_zeros() as usize;
            out.extend_from_slice(&bytes[..plain.min(block::SIZE)]);
            self.pos += plain;
            if !self.end_or_escape(out)? {
                return Ok(());
            }
        }
    }

    /// The rest of the document, of less than a block, filled up with what ends a string.
    fn last_block(&self) -> ([u8; block::SIZE], block::Seen) {
        let mut bytes = [b'"'; block::SIZE];
        for (to, from) in bytes
            .iter_mut()
            .zip(self.doc.get(self.pos..).unwrap_or(&[]))
        {
            *to = *from;
        }
        (bytes, block::classify(&bytes))
    }

    /// At a byte that ends plain text: takes a closing quote (and says false), or an escape, whose
    /// text it appends (and says true).
    #[inline]
    fn end_or_escape(&mut self, out: &mut Vec<u8>) -> Result<bool, Box<Reject>> {
        match self.peek() {
            Some(b'"') => {
                self.pos += 1;
                Ok(false)
            }
            Some(b'\\') => {
                let c = self.escape()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(true)
            }
            _ => Err(self.bad_string_byte()),
        }
    }

    /// Takes a string, of which the opening quote has been seen, without copying it.
    #[inline]
    pub(super) fn string_span(&mut self) -> Result<Span, Box<Reject>> {
        let start = self.pos + 1;
        self.pos = start;
        let mut escaped = false;
        let mut utf8 = block::Utf8::default();
        loop {
            let rest = self.doc.get(self.pos..).and_then(|rest| rest.first_chunk());
            let seen = if let Some(bytes) = rest {
                let seen = block::classify(bytes);
                utf8.check(bytes, &seen);
                seen
            } else {
                let (bytes, seen) = self.last_block();
                utf8.check(&bytes, &seen);
                seen
            };
            if seen.ends == 0 {
                self.pos += block::SIZE;
                continue;
            }
            self.pos += seen.ends.trailing_zeros() as usize;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.escape()?;
                    escaped = true;
                }
                _ => return Err(self.bad_string_byte()),
            }
        }
        let range = start..self.pos;
        self.pos += 1;
        self.check_utf8(&utf8, range.clone())?;
        Ok(Span { range, escaped })
    }

    /// Takes a string and gives its text, from the document or, with escapes, from the scratch.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&[u8], Box<Reject>> {
        let quote = self.pos;
        let span = self.string_span()?;
        if !span.escaped {
            return Ok(&self.doc[span.range]);
        }
        // Again from its beginning, now with a copy.
        self.pos = quote;
        let mut scratch = std::mem::take(self.scratch);
        scratch.clear();
        let grown = self.grown;
        let done = self.string_into(&mut scratch);
        self.grown = grown;
        *self.scratch = scratch;
        done?;
        Ok(self.scratch)
    }

    /// Takes an escape and gives its character.
    fn escape(&mut self) -> Result<char, Box<Reject>> {
        self.pos += 1;
        let kind = self.peek();
        self.pos += 1;
        Ok(match kind {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => {
                self.pos -= 1;
                return Err(self.malformed("an escape that JSON knows"));
            }
        })
    }

    fn unicode_escape(&mut self) -> Result<char, Box<Reject>> {
        let first = self.hex4()?;
        let code = match first {
            0xd800..=0xdbff => {
                let rest = self.doc.get(self.pos..).unwrap_or(&[]);
                match rest {
                    [b'\\', b'u', ..] => self.pos += 2,
                    [] | [b'\\'] => {
                        self.pos = self.doc.len();
                        return Err(self.malformed("the second half of a surrogate pair"));
                    }
                    _ => return Err(self.malformed("the second half of a surrogate pair")),
                }
                let second = self.hex4()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(self.malformed("the second half of a surrogate pair"));
                }
                0x1_0000 + ((first - 0xd800) << 10 | (second - 0xdc00))
            }
            code => code,
        };
        // Only the second half of a pair, standing alone, is left to fail here.
        char::from_u32(code).ok_or_else(|| self.malformed("the first half of a surrogate pair"))
    }

    fn hex4(&mut self) -> Result<u32, Box<Reject>> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                return Err(self.malformed("four hexadecimal digits"));
            };
            code = code << 4 | digit;
            self.pos += 1;
        }
        Ok(code)
    }

    #[inline]
    fn check_utf8(&self, seen: &block::Utf8, range: Range<usize>) -> Result<(), Box<Reject>> {
        match seen.verdict() {
            block::Verdict::Valid => Ok(()),
            block::Verdict::Unsure => self.check_utf8_fully(range),
        }
    }

    #[inline(never)]
    fn check_utf8_fully(&self, range: Range<usize>) -> Result<(), Box<Reject>> {
        let start = range.start;
        let bytes = self.doc.get(range).unwrap_or(&[]);
        if simdutf8::basic::from_utf8(bytes).is_ok() {
            return Ok(());
        }
        let valid = std::str::from_utf8(bytes).map_or_else(|e| e.valid_up_to(), str::len);
        Err(reject(
            RejectReason::InvalidUtf8,
            format!("text is not UTF-8 at byte {}", start + valid),
        ))
    }

    #[cold]
    fn bad_string_byte(&self) -> Box<Reject> {
        match self.peek() {
            Some(_) => reject(
                RejectReason::Malformed,
                format!(
                    "control character in a string at byte {}; escape it",
                    self.pos
                ),
            ),
            None => self.malformed("the end of a string"),
        }
    }

    /// The document is not JSON at this place, or ends here.
    #[cold]
    #[inline(never)]
    pub(super) fn malformed(&self, expected: &str) -> Box<Reject> {
        match self.peek() {
            Some(_) => reject(
                RejectReason::Malformed,
                format!("expected {expected} at byte {}", self.pos),
            ),
            None => reject(
                RejectReason::Truncated,
                format!(
                    "ends after {} bytes where {expected} is expected",
                    self.doc.len()
                ),
            ),
        }
    }
}
