//! Growing columns that become Arrow arrays without a copy.
//!
//! ```text
//! json, avro ─► Builder (values, validity) ─► finish ─► ArrayRef
//! ```
//!
//! Owns: the vectors of each kind, nested ones included; validity, which costs nothing until the
//! first null; rolling a rejected row back; what capacity the next batch begins with.
//! Does not own: how a format spells a value.
//!
//! There is one variant of [`Vector`] for each way of decoding and not for each layout, so that a
//! decoder dispatches once for each value.

use std::sync::Arc;

use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time32MillisecondType, Time64MicrosecondType, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, FixedSizeBinaryArray, PrimitiveArray,
};
use arrow_buffer::{
    ArrowNativeType, BooleanBufferBuilder, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer,
    ScalarBuffer,
};
use arrow_schema::DataType;

use super::nested::{Entries, Group, List};
use super::text::Text;
use super::{Reject, RejectReason, Scalar, reject};
use crate::table::{Column, Kind};

/// One column that grows: its values and which of them are null.
#[derive(Debug)]
pub(super) struct Builder {
    /// The values; a null has a placeholder here.
    pub(super) vector: Vector,
    /// Which values are null; `None` when the schema has no null for the column.
    nulls: Option<NullBufferBuilder>,
    /// The branch of null in Avro's binary form.
    pub(super) null_branch: u8,
    data_type: DataType,
}

/// The values of a column, by the way in which they are decoded.
#[derive(Debug)]
pub(super) enum Vector {
    Boolean(BooleanBufferBuilder),
    Int(Vec<i32>),
    Long(Vec<i64>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Text),
    Fixed(FixedBytes),
    String(Text),
    Enum {
        symbols: Vec<String>,
        text: Text,
    },
    Uuid {
        fixed: bool,
        text: Text,
    },
    /// Up to 18 digits.
    Decimal64 {
        form: Decimal,
        values: Vec<i64>,
    },
    /// 19 to 38 digits.
    Decimal128 {
        form: Decimal,
        values: Vec<i128>,
    },
    Date(Vec<i32>),
    TimeMillis(Vec<i32>),
    TimeMicros(Vec<i64>),
    Timestamp {
        form: Timestamp,
        values: Vec<i64>,
    },
    Record(Group),
    Array(Box<List>),
    Map(Box<Entries>),
}

/// Values of a fixed number of bytes, one after the other.
#[derive(Debug)]
pub(super) struct FixedBytes {
    /// Bytes of one value.
    pub(super) size: usize,
    /// All values.
    pub(super) data: Vec<u8>,
}

/// What a decimal column holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal {
    /// Digits in all.
    pub(super) precision: u8,
    /// Digits after the point.
    pub(super) scale: u8,
    /// Bytes in Avro's binary form, when it is a fixed.
    pub(super) fixed: Option<usize>,
}

/// What a timestamp column holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timestamp {
    /// Digits of a second's fraction: 3 or 6.
    pub(super) digits: u8,
    /// A wall clock without a zone.
    pub(super) local: bool,
}

impl Builder {
    pub(super) fn new(column: &Column) -> Self {
        Self {
            vector: Vector::new(&column.kind),
            nulls: column.nullable.then(|| NullBufferBuilder::new(0)),
            null_branch: column.null_branch,
            data_type: column.kind.data_type(),
        }
    }

    /// Whether null is a value of this column.
    pub(super) fn is_nullable(&self) -> bool {
        self.nulls.is_some()
    }

    /// Says that the value just pushed is one; to be called once after each.
    #[inline]
    pub(super) fn mark_valid(&mut self) {
        if let Some(nulls) = &mut self.nulls {
            nulls.append_non_null();
        }
    }

    /// Appends a null.
    pub(super) fn push_null(&mut self) -> Result<(), Box<Reject>> {
        let Some(nulls) = &mut self.nulls else {
            return Err(reject(
                RejectReason::UnexpectedNull,
                "the schema has no null here; make it a union with null to allow one",
            ));
        };
        nulls.append_null();
        self.vector.push_placeholder();
        Ok(())
    }

    /// Appends what stands below a null record: null, or a value that nobody can see.
    pub(super) fn push_placeholder(&mut self) {
        if let Some(nulls) = &mut self.nulls {
            nulls.append_null();
        }
        self.vector.push_placeholder();
    }

    /// Drops what was appended after the first `len` values, a half-appended one included.
    pub(super) fn truncate(&mut self, len: usize) {
        if let Some(nulls) = &mut self.nulls {
            nulls.truncate(len);
        }
        self.vector.truncate(len);
    }

    /// The value appended last, for the kinds that a table can be partitioned by.
    #[inline]
    pub(super) fn last(&self) -> Scalar<'_> {
        if let Some(nulls) = &self.nulls
            && !nulls
                .len()
                .checked_sub(1)
                .is_some_and(|last| nulls.is_valid(last))
        {
            return Scalar::Null;
        }
        let value = match &self.vector {
            Vector::Boolean(bits) => bits
                .len()
                .checked_sub(1)
                .map(|last| Scalar::Int(bits.get_bit(last).into())),
            Vector::Int(v) | Vector::Date(v) => v.last().map(|v| Scalar::Int((*v).into())),
            Vector::Long(v) | Vector::Timestamp { values: v, .. } => {
                v.last().map(|v| Scalar::Int(*v))
            }
            Vector::String(t) | Vector::Enum { text: t, .. } | Vector::Uuid { text: t, .. } => {
                t.last().map(Scalar::Text)
            }
            _ => None,
        };
        value.unwrap_or(Scalar::Null)
    }

    /// Bytes that a value takes, without text and without the items of arrays and maps.
    pub(super) fn width(&self) -> usize {
        self.vector.width()
    }

    /// Takes the values as an array and begins anew, with room for as many as there were.
    pub(super) fn finish(&mut self) -> ArrayRef {
        let nulls = self.nulls.as_mut().and_then(NullBufferBuilder::finish);
        self.vector.finish(nulls, &self.data_type)
    }
}

impl Vector {
    fn new(kind: &Kind) -> Self {
        let timestamp = |digits, local| Self::Timestamp {
            form: Timestamp { digits, local },
            values: Vec::new(),
        };
        match kind {
            Kind::Boolean => Self::Boolean(BooleanBufferBuilder::new(0)),
            Kind::Int => Self::Int(Vec::new()),
            Kind::Long => Self::Long(Vec::new()),
            Kind::Float => Self::Float(Vec::new()),
            Kind::Double => Self::Double(Vec::new()),
            Kind::Bytes => Self::Bytes(Text::default()),
            Kind::Fixed(size) => Self::Fixed(FixedBytes {
                size: *size,
                data: Vec::new(),
            }),
            Kind::String => Self::String(Text::default()),
            Kind::Enum(symbols) => Self::Enum {
                symbols: symbols.clone(),
                text: Text::default(),
            },
            Kind::Uuid { fixed } => Self::Uuid {
                fixed: *fixed,
                text: Text::default(),
            },
            Kind::Decimal {
                precision,
                scale,
                fixed,
            } => {
                let form = Decimal {
                    precision: *precision,
                    scale: scale.unsigned_abs(),
                    fixed: *fixed,
                };
                if *precision <= 18 {
                    let values = Vec::new();
                    Self::Decimal64 { form, values }
                } else {
                    let values = Vec::new();
                    Self::Decimal128 { form, values }
                }
            }
            Kind::Date => Self::Date(Vec::new()),
            Kind::TimeMillis => Self::TimeMillis(Vec::new()),
            Kind::TimeMicros => Self::TimeMicros(Vec::new()),
            Kind::TimestampMillis => timestamp(3, false),
            Kind::TimestampMicros => timestamp(6, false),
            Kind::LocalTimestampMillis => timestamp(3, true),
            Kind::LocalTimestampMicros => timestamp(6, true),
            Kind::Record(columns) => Self::Record(Group {
                columns: columns.iter().map(Builder::new).collect(),
            }),
            Kind::Array(item) => Self::Array(Box::new(List::new(Builder::new(item)))),
            Kind::Map(value) => Self::Map(Box::new(Entries::new(Builder::new(value)))),
        }
    }

    fn push_placeholder(&mut self) {
        match self {
            Self::Boolean(bits) => bits.append(false),
            Self::Int(v) | Self::Date(v) | Self::TimeMillis(v) => v.push(0),
            Self::Long(v)
            | Self::TimeMicros(v)
            | Self::Decimal64 { values: v, .. }
            | Self::Timestamp { values: v, .. } => v.push(0),
            Self::Float(v) => v.push(0.0),
            Self::Double(v) => v.push(0.0),
            Self::Decimal128 { values, .. } => values.push(0),
            Self::Bytes(t)
            | Self::String(t)
            | Self::Enum { text: t, .. }
            | Self::Uuid { text: t, .. } => {
                t.close_empty();
            }
            Self::Fixed(fixed) => fixed.data.resize(fixed.data.len() + fixed.size, 0),
            Self::Record(group) => group.columns.iter_mut().for_each(Builder::push_placeholder),
            Self::Array(list) => list.close_empty(),
            Self::Map(entries) => entries.close_empty(),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Self::Boolean(bits) => bits.truncate(len),
            Self::Int(v) | Self::Date(v) | Self::TimeMillis(v) => v.truncate(len),
            Self::Long(v)
            | Self::TimeMicros(v)
            | Self::Decimal64 { values: v, .. }
            | Self::Timestamp { values: v, .. } => v.truncate(len),
            Self::Float(v) => v.truncate(len),
            Self::Double(v) => v.truncate(len),
            Self::Decimal128 { values, .. } => values.truncate(len),
            Self::Bytes(t)
            | Self::String(t)
            | Self::Enum { text: t, .. }
            | Self::Uuid { text: t, .. } => {
                t.truncate(len);
            }
            Self::Fixed(fixed) => fixed.data.truncate(len * fixed.size),
            Self::Record(group) => group.columns.iter_mut().for_each(|c| c.truncate(len)),
            Self::Array(list) => list.truncate(len),
            Self::Map(entries) => entries.truncate(len),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Boolean(_) => 1,
            Self::Int(_) | Self::Float(_) | Self::Date(_) | Self::TimeMillis(_) => 4,
            Self::Long(_) | Self::Double(_) | Self::TimeMicros(_) | Self::Timestamp { .. } => 8,
            // Arrow has both as 16 bytes in the end.
            Self::Decimal64 { .. } | Self::Decimal128 { .. } => 16,
            Self::Bytes(_) | Self::String(_) | Self::Enum { .. } | Self::Uuid { .. } => 4,
            Self::Fixed(fixed) => fixed.size,
            Self::Record(group) => group.columns.iter().map(Builder::width).sum(),
            Self::Array(_) | Self::Map(_) => 4,
        }
    }

    fn finish(&mut self, nulls: Option<NullBuffer>, data_type: &DataType) -> ArrayRef {
        match self {
            Self::Boolean(bits) => Arc::new(BooleanArray::new(bits.finish(), nulls)),
            Self::Int(v) => primitive::<Int32Type>(v, nulls, data_type),
            Self::Date(v) => primitive::<Date32Type>(v, nulls, data_type),
            Self::TimeMillis(v) => primitive::<Time32MillisecondType>(v, nulls, data_type),
            Self::Long(v) => primitive::<Int64Type>(v, nulls, data_type),
            Self::TimeMicros(v) => primitive::<Time64MicrosecondType>(v, nulls, data_type),
            Self::Float(v) => primitive::<Float32Type>(v, nulls, data_type),
            Self::Double(v) => primitive::<Float64Type>(v, nulls, data_type),
            Self::Timestamp { form, values } if form.digits == 3 => {
                primitive::<TimestampMillisecondType>(values, nulls, data_type)
            }
            Self::Timestamp { values, .. } => {
                primitive::<TimestampMicrosecondType>(values, nulls, data_type)
            }
            Self::Decimal64 { values, .. } => {
                let mut wide: Vec<i128> = values.iter().map(|v| i128::from(*v)).collect();
                values.clear();
                primitive::<Decimal128Type>(&mut wide, nulls, data_type)
            }
            Self::Decimal128 { values, .. } => {
                primitive::<Decimal128Type>(values, nulls, data_type)
            }
            Self::Bytes(text) => text.finish_binary(nulls),
            Self::String(text) | Self::Enum { text, .. } | Self::Uuid { text, .. } => {
                text.finish_utf8(nulls)
            }
            Self::Fixed(fixed) => Arc::new(FixedSizeBinaryArray::new(
                i32::try_from(fixed.size).expect("the schema bounds the size of a fixed"),
                Buffer::from_vec(take_keeping_room(&mut fixed.data)),
                nulls,
            )),
            Self::Record(group) => Arc::new(group.finish(nulls, data_type)),
            Self::Array(list) => Arc::new(list.finish(nulls, data_type)),
            Self::Map(map) => Arc::new(map.finish(nulls, data_type)),
        }
    }
}

fn primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    data_type: &DataType,
) -> ArrayRef {
    let values = ScalarBuffer::from(take_keeping_room(values));
    Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(data_type.clone()))
}

/// Takes a vector and leaves one with room for as much and an eighth more, so that batches after
/// the first do not grow step by step.
pub(super) fn take_keeping_room<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = values.len() + values.len() / 8;
    std::mem::replace(values, Vec::with_capacity(room))
}

/// Takes offsets as a buffer and leaves the single 0 that they begin with.
pub(super) fn finish_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let taken = take_keeping_room(offsets);
    offsets.push(0);
    OffsetBuffer::new(ScalarBuffer::from(taken))
}

/// Keeps `len` values and returns where the last of them ends.
pub(super) fn truncate_offsets(offsets: &mut Vec<i32>, len: usize) -> usize {
    offsets.truncate(len + 1);
    last(offsets)
}

/// Ends a value at `end`.
#[inline]
pub(super) fn close(offsets: &mut Vec<i32>, end: usize) -> Result<(), Box<Reject>> {
    match i32::try_from(end) {
        Ok(end) => {
            offsets.push(end);
            Ok(())
        }
        Err(_) => Err(reject(
            RejectReason::OutOfRange,
            "more than 2 GiB in one column of one batch",
        )),
    }
}

/// Ends an empty value.
pub(super) fn repeat_last(offsets: &mut Vec<i32>) {
    offsets.push(offsets.last().copied().unwrap_or(0));
}

/// Where the last value ends.
pub(super) fn last(offsets: &[i32]) -> usize {
    offsets.last().copied().unwrap_or(0).as_usize()
}
