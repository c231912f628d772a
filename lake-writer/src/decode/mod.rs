//! Bytes to Arrow columns, by schema; what cannot be decoded becomes a dead letter.
//!
//! ```text
//! source ─► Decoder::append ─► columns of a record batch ─► partition
//!                        └──► Reject ─► dead letter
//! ```
//!
//! Owns: the `Decoder` port and its two forms, `json` and `avro`.
//! Does not own: offsets (`batch` adds them), files of dead letters (`stage`).

mod json;
mod avro;
mod civil;
mod derived;
mod uuid_text;
mod columns;
mod nested;
mod text;

use arrow_array::ArrayRef;

use crate::settings::Format;
use crate::table::Schema;

/// The decoder of a topic's format into a table's columns.
pub fn decoder(format: Format, schema: &Schema) -> Box<dyn Decoder> {
    let decoder: Box<dyn Decoder> = match format {
        Format::Json => Box::new(json::Json::new(schema.decoded())),
        Format::Avro => Box::new(avro::Avro::new(schema.decoded())),
    };
    match schema.derivation.origins.is_empty() {
        true => decoder,
        false => Box::new(derived::Derived::around(decoder, schema)),
    }
}

/// Decodes messages of one format into the columns of one schema.
pub trait Decoder: Send {
    /// Decodes one value and appends it as a row, or leaves the columns as they were.
    ///
    /// # Errors
    /// A [`Reject`] that names the field; never a panic, whatever the bytes.
    fn append(&mut self, value: &[u8]) -> Result<(), Reject>;

    /// Rows appended since the last [`Decoder::finish`].
    fn rows(&self) -> usize;

    /// Bytes that the appended rows hold, about. Call [`Decoder::finish`] before a gigabyte: a
    /// column of text in one batch ends at 2 GiB, where a row would be rejected for no fault of its
    /// own.
    fn bytes(&self) -> usize;

    /// The value of a top-level column in the row appended last: lets a row be routed, or refused,
    /// while the message's bytes are still at hand. Called for every row, so it must be cheap.
    ///
    /// Asked only for the kinds that [`Scalar`] can hold, and only after a successful append;
    /// otherwise the answer is [`Scalar::Null`].
    fn last(&self, column: usize) -> Scalar<'_>;

    /// Takes the appended rows as arrays, one for each column of the schema in its order, and
    /// begins anew.
    fn finish(&mut self) -> Vec<ArrayRef>;

    /// Fields seen in messages that the schema does not have, since the start.
    fn unknown_fields(&self) -> u64;
}

/// One value of a column by which a table can be partitioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// Null.
    Null,
    /// `boolean` (0 or 1), `int`, `long`, `date` (days since the epoch), and timestamps in their
    /// own unit.
    Int(i64),
    /// `string`, `enum` and `uuid`, UTF-8 as it stands in the Arrow column.
    Text(&'a [u8]),
}

/// Why a message cannot be a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}{}{detail}", match field { Some(field) => format!(" in `{field}`: "), None => ": ".into() })]
pub struct Reject {
    /// The class, for counting.
    pub reason: RejectReason,
    /// Dotted path of the field, when one is to blame.
    pub field: Option<String>,
    /// What was expected and what was found; never the value itself.
    pub detail: String,
}

/// Classes of rejection. The names are stored with dead letters and label a metric: only ever add.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    /// Not a document of the format at all, or bytes follow it.
    Malformed,
    /// Ends before it is complete.
    Truncated,
    /// Text is not UTF-8.
    InvalidUtf8,
    /// Nested deeper than the limit.
    TooDeep,
    /// One key twice in an object.
    DuplicateKey,
    /// A required field is missing.
    MissingField,
    /// Null where the schema has no null.
    UnexpectedNull,
    /// A value of another type.
    WrongType,
    /// A number outside its type, or with more digits than its scale allows.
    OutOfRange,
    /// Text that is not a date, time, timestamp, decimal, UUID or symbol.
    InvalidText,
}

impl RejectReason {
    /// The stored name, such as `missing_field`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Truncated => "truncated",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooDeep => "too_deep",
            Self::DuplicateKey => "duplicate_key",
            Self::MissingField => "missing_field",
            Self::UnexpectedNull => "unexpected_null",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::InvalidText => "invalid_text",
        }
    }
}

impl std::fmt::Display for RejectReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Bytes that a row may take beside sixteen times its message.
const MAX_UNFOLDED: usize = 64 << 20;

/// Refuses a message that is small and unfolds into a huge row, such as a million nulls in an array
/// of wide records.
#[inline]
fn check_unfolded(row_bytes: usize, message_bytes: usize) -> Result<(), Box<Reject>> {
    if row_bytes
        > message_bytes
            .saturating_mul(16)
            .saturating_add(MAX_UNFOLDED)
    {
        return Err(reject(
            RejectReason::OutOfRange,
            "the message unfolds into more than 64 MiB and 16 times its size",
        ));
    }
    Ok(())
}

#[cold]
#[inline(never)]
fn reject(reason: RejectReason, detail: impl Into<String>) -> Box<Reject> {
    Box::new(Reject {
        reason,
        field: None,
        detail: detail.into(),
    })
}

impl Reject {
    /// The same, one level further out: `name` goes before the field's path.
    #[cold]
    #[inline(never)]
    fn within(mut self: Box<Self>, name: &str) -> Box<Self> {
        self.field = Some(match self.field.take() {
            Some(inner) => format!("{name}.{inner}"),
            None => name.to_owned(),
        });
        self
    }
}
