//! Values that no column wants: checked to be JSON, and passed over.
//!
//! Owns: a whole document's check, by which a reject is told apart from bytes that are not JSON.

use super::super::{Reject, RejectReason, reject};
use super::scan::Cursor;

impl Cursor<'_> {
    /// Takes a value of any type.
    pub(super) fn skip_value(&mut self) -> Result<(), Box<Reject>> {
        match self.peek() {
            Some(b'"') => self.string_span().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(b'{') => self.skip_object(),
            Some(b'[') => self.skip_array(),
            _ => Err(self.malformed("a value")),
        }
    }

    // The two call each other as deep as `enter` allows.
    fn skip_object(&mut self) -> Result<(), Box<Reject>> {
        self.enter()?;
        if self.empty(b'}') {
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.malformed("a key in quotes"));
            }
            self.string_span()?;
            self.expect(b':')?;
            self.skip_space();
            self.skip_value()?;
            if !self.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn skip_array(&mut self) -> Result<(), Box<Reject>> {
        self.enter()?;
        if self.empty(b']') {
            return Ok(());
        }
        loop {
            self.skip_value()?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    /// After the document: nothing but white space.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Box<Reject>> {
        self.skip_space();
        if self.pos == self.doc.len() {
            return Ok(());
        }
        Err(reject(
            RejectReason::Malformed,
            format!("bytes follow the document, from byte {} on", self.pos),
        ))
    }

    /// Takes a whole document.
    pub(super) fn skip_document(&mut self) -> Result<(), Box<Reject>> {
        self.skip_space();
        self.skip_value()?;
        self.end()
    }
}
