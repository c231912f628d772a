//! A file's rows in portions: as many as one record of the log is to hold.
//!
//! ```text
//! FileRows ─► Portions::fill ─► Portion { offsets, staged files }
//! ```
//!
//! Owns: numbering rows from 0, which is their offset, and where a portion ends.
//! Does not own: the log (`loader`).

use std::time::Duration;

use crate::batch::Rotation;
use crate::source::file::FileRows;
use crate::source::{Message, OffsetRange};
use crate::writer::cut::Sealed;

use super::RewriteError;
use super::filling::Filling;

/// Rows between two looks at memory and at the bytes of the portion.
const ROWS_BETWEEN_LOOKS: i64 = 256;

/// Some rows of a file, in durable files that nobody sees yet.
#[derive(Debug)]
pub struct Portion {
    /// Numbers of the rows.
    pub range: OffsetRange,
    /// The files.
    pub sealed: Sealed,
}

/// The portions of one file.
pub struct Portions<'a> {
    filling: &'a mut Filling,
    rows: &'a mut dyn FileRows,
    rotation: &'a Rotation,
    /// Number of the file as a source partition.
    number: i32,
    next: i64,
    document: Vec<u8>,
    is_over: bool,
}

impl std::fmt::Debug for Portions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Portions")
            .field("number", &self.number)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<'a> Portions<'a> {
    /// The rows from number `start` on.
    ///
    /// # Errors
    /// When the rows before cannot be read.
    pub fn from(
        filling: &'a mut Filling,
        rows: &'a mut dyn FileRows,
        rotation: &'a Rotation,
        number: i32,
        start: i64,
    ) -> Result<Self, RewriteError> {
        let mut document = Vec::new();
        let mut next = 0;
        let mut is_over = false;
        while next < start && !is_over {
            is_over = !rows.next(&mut document)?;
            next += 1;
        }
        filling.cut.begin(number, start);
        Ok(Self {
            filling,
            rows,
            rotation,
            number,
            next: start,
            document,
            is_over,
        })
    }

    /// The next portion; `None` behind the last row.
    ///
    /// # Errors
    /// When the file cannot be read on or has changed, or the store fails. Nothing of the portion is left.
    pub fn fill(&mut self) -> Result<Option<Portion>, RewriteError> {
        let start = self.next;
        let filled = self.collect();
        if filled.is_err() {
            self.filling.cut.abandon();
        }
        let sealed = filled?;
        Ok((self.next > start).then(|| Portion {
            range: OffsetRange::new(start, self.next),
            sealed,
        }))
    }

    fn collect(&mut self) -> Result<Sealed, RewriteError> {
        let mut sealed = Sealed::default();
        let outcome = self.read(&mut sealed);
        if outcome.is_err() {
            self.filling.remove(std::mem::take(&mut sealed));
        }
        outcome.map(|()| sealed)
    }

    fn read(&mut self, sealed: &mut Sealed) -> Result<(), RewriteError> {
        let start = self.next;
        while !self.is_over && self.rows.next(&mut self.document)? {
            self.filling.cut.accept(Message {
                partition: self.number,
                offset: self.next,
                timestamp_ms: None,
                key: None,
                value: Some(&self.document),
            });
            self.next += 1;
            let rows = self.next - start;
            let mut is_due = rows.unsigned_abs() >= self.rotation.max_rows;
            if rows % ROWS_BETWEEN_LOOKS == 0 {
                self.filling.make_room(sealed)?;
                let contents = self.filling.cut.contents();
                is_due |= self.rotation.due(&contents, Duration::ZERO).is_some();
            }
            if is_due {
                return self.seal(sealed);
            }
        }
        self.is_over = true;
        self.seal(sealed)
    }

    fn seal(&mut self, sealed: &mut Sealed) -> Result<(), RewriteError> {
        self.rows.check()?;
        Ok(self.filling.seal(sealed)?)
    }
}

impl Drop for Portions<'_> {
    fn drop(&mut self) {
        if self.filling.cut.is_empty() {
            self.filling.cut.forget(&[self.number]);
        }
    }
}
