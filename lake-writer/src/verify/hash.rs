//! A 128-bit hash of each row, column by column.
//!
//! ```text
//! columns of a batch ─► hash_rows ─► one RowHash a row
//! ```
//!
//! Two rows have the same hash when their values are the same in the order of the columns; names
//! and Parquet's encodings do not matter, and a value under a null does not either. Floats compare
//! by their bits. It finds differences that happen, not ones that somebody constructs: it is no
//! cryptographic hash.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time32MillisecondType, Time64MicrosecondType, TimestampMicrosecondType,
    TimestampMillisecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{ArrowError, DataType, TimeUnit};
use xxhash_rust::xxh3::xxh3_128;

/// Odd constants with their bits well spread: digits of pi and of e.
const KEYS: [u64; 2] = [0x2436_3f6a_8885_a309, 0xb7e1_5162_8aed_2a6b];

/// What a null adds: two words, where a value of the same bits would add one.
const NULL: [u64; 2] = [0x1319_8a2e_0370_7345, 0xbf71_5880_9cf4_f3c7];

/// The hash of one row, or what there is of it so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowHash {
    lanes: [u64; 2],
}

impl RowHash {
    /// Adds a word.
    #[inline]
    pub(super) fn add(&mut self, word: u64) {
        for (lane, key) in self.lanes.iter_mut().zip(KEYS) {
            // Adding the key keeps runs of zeros from leaving a lane at zero.
            let product = u128::from((*lane ^ word).wrapping_add(key)) * u128::from(key);
            *lane = fold(product).rotate_left(29);
        }
    }

    /// Adds bytes of any length.
    #[inline]
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) {
        self.add_wide(xxh3_128(bytes));
    }

    #[inline]
    pub(super) fn add_wide(&mut self, wide: u128) {
        self.add(low(wide));
        self.add(low(wide >> 64));
    }

    fn add_hash(&mut self, other: Self) {
        other.lanes.into_iter().for_each(|lane| self.add(lane));
    }

    /// Adds that there is no value.
    pub(super) fn add_null(&mut self) {
        NULL.into_iter().for_each(|word| self.add(word));
    }

    /// All of it as a number.
    pub(super) fn finish(self) -> u128 {
        (u128::from(self.lanes[0]) << 64) | u128::from(self.lanes[1])
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
fn low(wide: u128) -> u64 {
    wide as u64
}

fn fold(product: u128) -> u64 {
    low(product) ^ low(product >> 64)
}

/// The hash of each of `rows` rows.
///
/// # Errors
/// When a column has a type that no schema of a table leads to.
pub(super) fn hash_rows(columns: &[ArrayRef], rows: usize) -> Result<Vec<RowHash>, ArrowError> {
    let mut hashes = vec![RowHash::default(); rows];
    for column in columns {
        add_column(column, &mut hashes)?;
    }
    Ok(hashes)
}

fn add_column(column: &ArrayRef, hashes: &mut [RowHash]) -> Result<(), ArrowError> {
    let array = column.as_ref();
    match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean();
            add_each(array.nulls(), hashes, |row, hash| {
                hash.add(values.value(row).into());
            });
        }
        DataType::Int32 => add_words::<Int32Type>(array, hashes, |v| v.cast_unsigned().into()),
        DataType::Date32 => add_words::<Date32Type>(array, hashes, |v| v.cast_unsigned().into()),
        DataType::Time32(TimeUnit::Millisecond) => {
            add_words::<Time32MillisecondType>(array, hashes, |v| v.cast_unsigned().into());
        }
        DataType::Int64 => add_words::<Int64Type>(array, hashes, i64::cast_unsigned),
        DataType::Time64(TimeUnit::Microsecond) => {
            add_words::<Time64MicrosecondType>(array, hashes, i64::cast_unsigned);
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            add_words::<TimestampMillisecondType>(array, hashes, i64::cast_unsigned);
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            add_words::<TimestampMicrosecondType>(array, hashes, i64::cast_unsigned);
        }
        DataType::Float32 => add_words::<Float32Type>(array, hashes, |v| v.to_bits().into()),
        DataType::Float64 => add_words::<Float64Type>(array, hashes, f64::to_bits),
        DataType::Decimal128(..) => {
            let values = array.as_primitive::<Decimal128Type>().values();
            add_each(array.nulls(), hashes, |row, hash| {
                hash.add_wide(values[row].cast_unsigned());
            });
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            add_each(array.nulls(), hashes, |row, hash| {
                hash.add_bytes(values.value(row).as_bytes());
            });
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            add_each(array.nulls(), hashes, |row, hash| {
                hash.add_bytes(values.value(row));
            });
        }
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            add_each(array.nulls(), hashes, |row, hash| {
                hash.add_bytes(values.value(row));
            });
        }
        _ => return add_nested(array, hashes),
    }
    Ok(())
}

/// Records, arrays and maps: the hashes of what is inside are hashed in turn.
fn add_nested(array: &dyn Array, hashes: &mut [RowHash]) -> Result<(), ArrowError> {
    match array.data_type() {
        DataType::Struct(_) => {
            let inner = hash_rows(array.as_struct().columns(), array.len())?;
            add_each(array.nulls(), hashes, |row, hash| hash.add_hash(inner[row]));
        }
        DataType::List(_) => {
            let list = array.as_list::<i32>();
            let inner = hash_rows(std::slice::from_ref(list.values()), list.values().len())?;
            add_each(array.nulls(), hashes, |row, hash| {
                add_items(&inner, list.value_offsets(), row, hash);
            });
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let inner = hash_rows(map.entries().columns(), map.entries().len())?;
            add_each(array.nulls(), hashes, |row, hash| {
                add_items(&inner, map.value_offsets(), row, hash);
            });
        }
        other => {
            let problem = format!("no table has a column of type {other}");
            return Err(ArrowError::SchemaError(problem));
        }
    }
    Ok(())
}

fn add_items(items: &[RowHash], offsets: &[i32], row: usize, hash: &mut RowHash) {
    let at = |index: usize| usize::try_from(offsets[index]).unwrap_or(0);
    let items = &items[at(row)..at(row + 1)];
    hash.add(items.len() as u64);
    items.iter().for_each(|item| hash.add_hash(*item));
}

fn add_words<T: ArrowPrimitiveType>(
    array: &dyn Array,
    hashes: &mut [RowHash],
    word: impl Fn(T::Native) -> u64,
) {
    let values = array.as_primitive::<T>().values();
    add_each(array.nulls(), hashes, |row, hash| {
        hash.add(word(values[row]));
    });
}

/// Adds each row's value, or that it has none.
fn add_each(
    nulls: Option<&NullBuffer>,
    hashes: &mut [RowHash],
    mut add: impl FnMut(usize, &mut RowHash),
) {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => {
            for (row, hash) in hashes.iter_mut().enumerate() {
                add(row, hash);
            }
        }
        Some(nulls) => {
            for (row, hash) in hashes.iter_mut().enumerate() {
                if nulls.is_valid(row) {
                    add(row, hash);
                } else {
                    hash.add_null();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int64Builder, ListBuilder};
    use arrow_array::{Decimal128Array, Int64Array, StringArray, StructArray};
    use arrow_buffer::NullBuffer;
    use arrow_schema::{Field, Fields};

    use super::*;

    fn hashes(columns: &[ArrayRef]) -> Vec<u128> {
        let rows = columns.first().map_or(0, Array::len);
        let hashes = hash_rows(columns, rows).expect("known types");
        hashes.into_iter().map(RowHash::finish).collect()
    }

    fn all_differ(hashes: &[u128]) -> bool {
        let mut sorted = hashes.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == hashes.len()
    }

    #[test]
    fn null_is_no_value_and_order_counts() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), None, Some(1), Some(-1)]));
        assert!(all_differ(&hashes(std::slice::from_ref(&numbers))));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some(""),
            Some("a"),
            None,
            Some("b"),
        ]));
        assert!(all_differ(&hashes(std::slice::from_ref(&texts))));
        let (one, other) = (
            hashes(&[numbers.clone(), texts.clone()]),
            hashes(&[texts, numbers]),
        );
        assert!(one.iter().zip(&other).all(|(one, other)| one != other));
        let wide: ArrayRef = Arc::new(Decimal128Array::from(vec![1, 1 << 64, 1 << 65, -1]));
        assert!(all_differ(&hashes(&[wide])));
    }

    #[test]
    fn lists_are_told_apart_by_where_they_end() {
        let mut lists = ListBuilder::new(Int64Builder::new());
        for list in [vec![], vec![1, 2], vec![2, 1], vec![1], vec![0], vec![0, 0]] {
            lists.append_value(list.into_iter().map(Some));
        }
        lists.append_null();
        assert!(all_differ(&hashes(&[Arc::new(lists.finish())])));
    }

    #[test]
    fn what_stands_below_a_null_record_does_not_count() {
        // GIVEN two records of which the first is null, with other values below it
        let record = |below: i64| -> ArrayRef {
            let fields = Fields::from(vec![Field::new("n", DataType::Int64, false)]);
            let inner: ArrayRef = Arc::new(Int64Array::from(vec![below, 7]));
            let nulls = NullBuffer::from(vec![false, true]);
            Arc::new(StructArray::new(fields, vec![inner], Some(nulls)))
        };
        // THEN their hashes are the same.
        assert_eq!(hashes(&[record(1)]), hashes(&[record(2)]));
    }

    #[test]
    fn a_slice_hashes_as_its_rows_do() {
        let whole: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]));
        assert_eq!(hashes(&[whole.slice(1, 2)]), hashes(&[whole])[1..]);
    }
}
