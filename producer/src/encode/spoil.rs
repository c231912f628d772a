//! What can be wrong with a message.
//!
//! Owns the list of flaws and their names. Each one makes the message undecodable under the schema
//! for any strict reader, so that the number of malformed messages is a number to count on.

/// A way in which a message is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// The message ends too early.
    Truncated,
    /// `region` is not UTF-8.
    InvalidUtf8,
    /// `quantity` is a word (JSON).
    WrongType,
    /// There is no `sale_id` (JSON).
    MissingField,
    /// `store_id` is null (JSON).
    NullField,
    /// `amount` has a letter among its digits (JSON).
    BadDecimal,
    /// `sold_at` is a day that no calendar has (JSON).
    BadTimestamp,
    /// `quantity` does not fit 32 bits.
    OutOfRange,
    /// A line of another format altogether (JSON).
    NotJson,
    /// `customer_id` has a branch that its union lacks (Avro).
    UnknownBranch,
    /// `store_id` has a negative length (Avro).
    NegativeLength,
    /// No bytes at all.
    Empty,
}

impl Flaw {
    /// Those of JSON messages.
    pub const OF_JSON: [Flaw; 10] = [
        Flaw::Truncated,
        Flaw::InvalidUtf8,
        Flaw::WrongType,
        Flaw::MissingField,
        Flaw::NullField,
        Flaw::BadDecimal,
        Flaw::BadTimestamp,
        Flaw::OutOfRange,
        Flaw::NotJson,
        Flaw::Empty,
    ];

    /// Those of Avro messages.
    pub const OF_AVRO: [Flaw; 6] = [
        Flaw::Truncated,
        Flaw::InvalidUtf8,
        Flaw::OutOfRange,
        Flaw::UnknownBranch,
        Flaw::NegativeLength,
        Flaw::Empty,
    ];

    /// Its name in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Flaw::Truncated => "truncated",
            Flaw::InvalidUtf8 => "invalid_utf8",
            Flaw::WrongType => "wrong_type",
            Flaw::MissingField => "missing_field",
            Flaw::NullField => "null_field",
            Flaw::BadDecimal => "bad_decimal",
            Flaw::BadTimestamp => "bad_timestamp",
            Flaw::OutOfRange => "out_of_range",
            Flaw::NotJson => "not_json",
            Flaw::UnknownBranch => "unknown_branch",
            Flaw::NegativeLength => "negative_length",
            Flaw::Empty => "empty",
        }
    }
}
