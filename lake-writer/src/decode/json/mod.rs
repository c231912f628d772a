//! One JSON object a message, by schema, straight into columns.
//!
//! ```text
//! bytes ─► Cursor (scan, number) ─► names (which field) ─► append, scalar (typed) ─► columns
//!                                                  └─► skip (fields that the schema lacks)
//! ```
//!
//! Owns: what is JSON (as strictly as serde_json: grammar, escapes, surrogates, UTF-8, control
//! characters, depth, nothing behind the document), and what each kind accepts:
//!
//! | kind | accepts |
//! |---|---|
//! | boolean | `true`, `false` |
//! | int, long | a number whose value is whole: `5`, `5.0`, `5e0` |
//! | float, double | a number, rounded to the nearest; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | decimal | a number, or a string with one, exactly; never through a float, never rounded |
//! | string | a string |
//! | bytes, fixed | a string whose code points 0 to 255 are the bytes |
//! | enum | a string that is one of its symbols |
//! | uuid | a string of 36 characters, in either case; stored in lower case |
//! | date | `"2026-03-14"`, or days since the epoch |
//! | time | `"10:15:30.5"`, or units since midnight |
//! | timestamp | RFC 3339 with any offset, or units since the epoch |
//! | local timestamp | the same without an offset, or units |
//! | record, map | an object |
//! | array | an array |
//! | a union with null | `null` or the plain value (not Avro's `{"string": "…"}`) |
//!
//! A missing field takes the schema's default, else null where the schema has null. Fields that the
//! schema lacks are checked to be JSON, passed over and counted. A field that stands twice makes
//! its value ambiguous and rejects the message, as does a key that stands twice in a map; inside of
//! what is passed over it does no harm.
//!
//! Does not own: the columns (`columns`), dates and times (`civil`).
//!
//! One pass: a value is appended as soon as it is read, and the row is rolled back when the message
//! turns out not to be one. Rejected messages are read again to tell those that are not JSON.

mod block;
mod scan;
mod number;
mod skip;
mod names;
mod plan;
mod scalar;
mod append;
#[cfg(test)]
mod tests;

use arrow_array::ArrayRef;

use self::plan::RecordPlan;
use self::scan::Cursor;
use super::columns::Builder;
use super::nested::Group;
use super::{Decoder, Reject, RejectReason, Scalar};
use crate::table::Column;

/// Decodes JSON messages.
#[derive(Debug)]
pub(super) struct Json {
    group: Group,
    plan: RecordPlan,
    /// Bytes that a row takes at least.
    width: usize,
    rows: usize,
    bytes: usize,
    unknown: u64,
    scratch: Vec<u8>,
}

impl Json {
    pub(super) fn new(columns: &[Column]) -> Self {
        let group = Group {
            columns: columns.iter().map(Builder::new).collect(),
        };
        Self {
            width: group.columns.iter().map(Builder::width).sum(),
            group,
            plan: RecordPlan::new(columns),
            rows: 0,
            bytes: 0,
            unknown: 0,
            scratch: Vec::new(),
        }
    }

    #[cold]
    #[inline(never)]
    fn roll_back(&mut self, value: &[u8], mut reject: Reject) -> Reject {
        for column in &mut self.group.columns {
            column.truncate(self.rows);
        }
        if !is_about_form(reject.reason) {
            // The first thing wrong was the content. If the document is not JSON either, say that.
            let mut whole = Cursor::new(value, &mut self.scratch);
            if let Err(malformed) = whole.skip_document() {
                reject = *malformed;
            }
        }
        match value {
            // Common enough to name: what some serializers put before the document.
            [0xef, 0xbb, 0xbf, ..] => reject.detail.push_str("; remove the byte order mark"),
            [0, ..] => reject.detail.push_str(
                "; a zero byte comes first: is this a schema registry's framing, or Avro?",
            ),
            _ => {}
        }
        reject
    }
}

fn is_about_form(reason: RejectReason) -> bool {
    matches!(
        reason,
        RejectReason::Malformed
            | RejectReason::Truncated
            | RejectReason::InvalidUtf8
            | RejectReason::TooDeep
    )
}

impl Decoder for Json {
    fn append(&mut self, value: &[u8]) -> Result<(), Reject> {
        let mut cursor = Cursor::new(value, &mut self.scratch);
        cursor.skip_space();
        let done = append::record(&mut cursor, &mut self.group, &mut self.plan)
            .and_then(|()| cursor.end());
        match done {
            Ok(()) => {
                self.bytes += self.width + cursor.grown;
                self.unknown += cursor.unknown;
                self.rows += 1;
                Ok(())
            }
            Err(reject) => Err(self.roll_back(value, *reject)),
        }
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    fn last(&self, column: usize) -> Scalar<'_> {
        self.group
            .columns
            .get(column)
            .map_or(Scalar::Null, Builder::last)
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.bytes = 0;
        self.group.columns.iter_mut().map(Builder::finish).collect()
    }

    fn unknown_fields(&self) -> u64 {
        self.unknown
    }
}
