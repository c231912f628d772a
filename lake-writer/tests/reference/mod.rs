//! What the decoders are held against: values as a plain tree, and slow ways to make and read them.
//!
//! ```text
//! seed ─► schema (avsc) ─► Val ─┬─► JSON text in many spellings ─► decoder ─► arrays ─► Val
//!                               └─► Avro datum by apache-avro   ─► decoder ─► arrays ─► Val
//! ```

#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod schemas;
pub(crate) mod from_json;
pub(crate) mod mutate;
pub(crate) mod spell;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time32MillisecondType, Time64MicrosecondType, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef};
use lake_writer::table::{Column, Kind, Schema};

/// `DECODE_SEED` to play a failure again, else another seed each time.
#[allow(
    clippy::disallowed_methods,
    reason = "the seed is printed, and given back to replay"
)]
pub(crate) fn seed() -> u64 {
    let given = std::env::var("DECODE_SEED")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    println!("DECODE_SEED={seed}");
    seed
}

/// Rounds of a test: fewer without optimization, more by `DECODE_ROUNDS`.
pub(crate) fn rounds(quick: usize) -> usize {
    let given = std::env::var("DECODE_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok());
    given.unwrap_or(if cfg!(debug_assertions) {
        quick
    } else {
        10 * quick
    })
}

/// A value of any kind.
#[derive(Clone, Debug)]
pub(crate) enum Val {
    Null,
    Bool(bool),
    /// Integers, dates, times and timestamps in their unit, decimals unscaled.
    Int(i128),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    Record(Vec<Val>),
    List(Vec<Val>),
    /// In no order.
    Map(Vec<(String, Val)>),
}

impl PartialEq for Val {
    /// Floats by their bits but for NaN; maps without regard to order.
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other, 0)
    }
}

impl Val {
    /// The same, but for floats that are a few steps apart: serde_json reads a double that takes more
    /// than one rounding to the neighbour of the nearest one.
    pub(crate) fn nearly(&self, other: &Self) -> bool {
        self.is_same(other, 4)
    }

    fn is_same(&self, other: &Self, steps: u64) -> bool {
        let all = |a: &[Self], b: &[Self]| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b, steps))
        };
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => {
                a.to_bits().abs_diff(b.to_bits()) <= steps || (a.is_nan() && b.is_nan())
            }
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Record(a), Self::Record(b)) | (Self::List(a), Self::List(b)) => all(a, b),
            (Self::Map(a), Self::Map(b)) => {
                let sorted = |entries: &[(String, Self)]| {
                    let mut entries = entries.to_vec();
                    entries.sort_by(|x, y| x.0.cmp(&y.0));
                    entries
                };
                let same = |((name, a), (other, b)): (&(String, Self), &(String, Self))| {
                    name == other && a.is_same(b, steps)
                };
                a.len() == b.len() && sorted(a).iter().zip(&sorted(b)).all(same)
            }
            _ => false,
        }
    }
}

/// The rows of a decoder's arrays.
pub(crate) fn rows(schema: &Schema, arrays: &[ArrayRef]) -> Vec<Val> {
    assert_eq!(arrays.len(), schema.columns.len());
    for (column, array) in schema.columns.iter().zip(arrays) {
        assert_eq!(*array.data_type(), column.kind.data_type());
        array.to_data().validate_full().expect("arrays are sound");
    }
    let count = arrays.first().map_or(0, Array::len);
    let row = |row| {
        let values = schema.columns.iter().zip(arrays);
        Val::Record(
            values
                .map(|(column, array)| value(column, array, row))
                .collect(),
        )
    };
    (0..count).map(row).collect()
}

fn value(column: &Column, array: &ArrayRef, row: usize) -> Val {
    if array.is_null(row) {
        assert!(column.nullable, "null in `{}`, which has none", column.name);
        return Val::Null;
    }
    macro_rules! int {
        ($type:ty) => {
            Val::Int(array.as_primitive::<$type>().value(row).into())
        };
    }
    match &column.kind {
        Kind::Boolean => Val::Bool(array.as_boolean().value(row)),
        Kind::Int => int!(Int32Type),
        Kind::Date => int!(Date32Type),
        Kind::TimeMillis => int!(Time32MillisecondType),
        Kind::Long => int!(Int64Type),
        Kind::TimeMicros => int!(Time64MicrosecondType),
        Kind::TimestampMillis | Kind::LocalTimestampMillis => int!(TimestampMillisecondType),
        Kind::TimestampMicros | Kind::LocalTimestampMicros => int!(TimestampMicrosecondType),
        Kind::Decimal { .. } => int!(Decimal128Type),
        Kind::Float => Val::Float(array.as_primitive::<Float32Type>().value(row).into()),
        Kind::Double => Val::Float(array.as_primitive::<Float64Type>().value(row)),
        Kind::Bytes => Val::Bytes(array.as_binary::<i32>().value(row).to_vec()),
        Kind::Fixed(_) => Val::Bytes(array.as_fixed_size_binary().value(row).to_vec()),
        Kind::String | Kind::Enum(_) | Kind::Uuid { .. } => {
            Val::Text(array.as_string::<i32>().value(row).to_owned())
        }
        Kind::Record(columns) => {
            let children = columns.iter().zip(array.as_struct().columns());
            Val::Record(
                children
                    .map(|(column, array)| value(column, array, row))
                    .collect(),
            )
        }
        Kind::Array(item) => {
            let items = array.as_list::<i32>().value(row);
            Val::List((0..items.len()).map(|i| value(item, &items, i)).collect())
        }
        Kind::Map(of) => {
            let entries = array.as_map().value(row);
            let keys = entries.column(0).as_string::<i32>();
            let entry = |i| (keys.value(i).to_owned(), value(of, entries.column(1), i));
            Val::Map((0..entries.len()).map(entry).collect())
        }
    }
}
