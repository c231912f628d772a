//! Which columns are worth a dictionary, learned from the rows.
//!
//! ```text
//! first row groups ─► distinct values of a sample ─► Dictionaries ─► properties
//! ```
//!
//! A dictionary of values that rarely repeat costs a quarter more CPU and saves nothing; which
//! column is which is not to be read from names. So a sample of the rows that go into one file
//! together is counted, until enough rows were seen; then the answer stands.

use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType};
use arrow_select::concat::concat_batches;
use xxhash_rust::xxh3::xxh3_64;

/// Rows of one row group that are looked at: enough to tell, little beside encoding them.
const SAMPLE_ROWS: usize = 4_096;

/// Rows after which the answer stands.
const ENOUGH_ROWS: u64 = 16_384;

/// A dictionary is kept when at most one value in so many is a new one.
const VALUES_PER_DISTINCT: u64 = 3;

/// What is known about the leaf columns of one schema.
#[derive(Clone, Debug, Default)]
pub struct Dictionaries {
    sampled_rows: u64,
    columns: Vec<Seen>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    values: u64,
    distinct: u64,
}

impl Dictionaries {
    /// Whether more rows would change nothing.
    pub fn is_settled(&self) -> bool {
        self.sampled_rows >= ENOUGH_ROWS
    }

    /// Looks at batches of rows that go into one file.
    ///
    /// # Errors
    /// When the batches are not of one schema.
    pub fn sample(&mut self, batches: &[RecordBatch]) -> Result<(), ArrowError> {
        let Some(first) = batches.first().filter(|_| !self.is_settled()) else {
            return Ok(());
        };
        let mut missing = SAMPLE_ROWS;
        let mut sample = Vec::new();
        for batch in batches {
            let rows = batch.num_rows().min(missing);
            sample.push(batch.slice(0, rows));
            missing -= rows;
            if missing == 0 {
                break;
            }
        }
        let rows = concat_batches(first.schema_ref(), &sample)?;
        let mut leaves = Vec::new();
        for column in rows.columns() {
            collect_leaves(column, &mut leaves);
        }
        self.columns.resize(leaves.len(), Seen::default());
        for (seen, leaf) in self.columns.iter_mut().zip(&leaves) {
            let (values, distinct) = count(leaf);
            seen.values += values;
            seen.distinct += distinct;
        }
        self.sampled_rows += rows.num_rows() as u64;
        Ok(())
    }

    /// Leaf columns seen.
    #[cfg(test)]
    pub(super) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Whether a leaf column, by its place in depth-first order, gets a dictionary.
    pub fn wanted(&self, leaf: usize) -> bool {
        self.columns
            .get(leaf)
            .is_none_or(|seen| seen.distinct * VALUES_PER_DISTINCT <= seen.values)
    }
}

/// The arrays that hold values, in the order of Parquet's columns.
fn collect_leaves(array: &ArrayRef, leaves: &mut Vec<ArrayRef>) {
    match array.data_type() {
        DataType::Struct(_) => {
            for child in array.as_struct().columns() {
                collect_leaves(child, leaves);
            }
        }
        DataType::List(_) => collect_leaves(&within(array.as_list::<i32>()), leaves),
        DataType::Map(_, _) => {
            let map = array.as_map();
            let (from, to) = ends(map.value_offsets());
            for child in map.entries().slice(from, to - from).columns() {
                collect_leaves(child, leaves);
            }
        }
        _ => leaves.push(array.clone()),
    }
}

fn within(list: &arrow_array::ListArray) -> ArrayRef {
    let (from, to) = ends(list.value_offsets());
    list.values().slice(from, to - from)
}

fn ends(offsets: &[i32]) -> (usize, usize) {
    let at = |offset: Option<&i32>| {
        offset
            .and_then(|&offset| usize::try_from(offset).ok())
            .unwrap_or(0)
    };
    (at(offsets.first()), at(offsets.last()))
}

/// Values that are not null, and how many different ones are among them. Types that have no
/// dictionary in any case count as none.
fn count(array: &ArrayRef) -> (u64, u64) {
    let hashes: HashSet<u64> = match array.data_type() {
        DataType::Utf8 => distinct(array.as_string::<i32>().iter().flatten().map(str::as_bytes)),
        DataType::Binary => distinct(array.as_binary::<i32>().iter().flatten()),
        DataType::FixedSizeBinary(_) => distinct(array.as_fixed_size_binary().iter().flatten()),
        other => match other.primitive_width() {
            Some(width) => {
                let data = array.to_data();
                let bytes = data.buffers()[0].as_slice();
                let at = |row: usize| {
                    let start = (data.offset() + row) * width;
                    &bytes[start..start + width]
                };
                distinct((0..array.len()).filter(|&row| array.is_valid(row)).map(at))
            }
            None => return (0, 0),
        },
    };
    (
        (array.len() - array.null_count()) as u64,
        hashes.len() as u64,
    )
}

fn distinct<'a>(values: impl Iterator<Item = &'a [u8]>) -> HashSet<u64> {
    values.map(xxh3_64).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};

    use super::*;

    fn rows(count: i64, regions: i64) -> RecordBatch {
        let ids = StringArray::from_iter_values((0..count).map(|row| format!("sale {row}")));
        let regions = StringArray::from_iter(
            (0..count).map(|row| (row % 5 != 0).then(|| format!("region {}", row % regions))),
        );
        let nulls = Int64Array::from_iter((0..count).map(|_| None::<i64>));
        RecordBatch::try_from_iter([
            ("sale_id", Arc::new(ids) as ArrayRef),
            ("region", Arc::new(regions)),
            ("empty", Arc::new(nulls)),
        ])
        .expect("three columns")
    }

    #[test]
    fn values_that_repeat_get_a_dictionary() {
        // GIVEN ids, a dozen regions, and a column of nulls WHEN sampled THEN only ids go without.
        let mut dictionaries = Dictionaries::default();
        dictionaries.sample(&[rows(1_000, 12)]).expect("one schema");
        assert!(!dictionaries.wanted(0));
        assert!(dictionaries.wanted(1));
        assert!(dictionaries.wanted(2));
    }

    #[test]
    fn a_few_rows_decide_nothing_for_good() {
        // GIVEN a first file of ten rows, in which regions do not repeat.
        let mut dictionaries = Dictionaries::default();
        dictionaries.sample(&[rows(10, 10)]).expect("one schema");
        assert!(!dictionaries.wanted(1));
        // WHEN many rows follow THEN the answer changes, and then stands.
        while !dictionaries.is_settled() {
            dictionaries.sample(&[rows(5_000, 12)]).expect("one schema");
        }
        assert!(dictionaries.wanted(1));
        dictionaries
            .sample(&[rows(4_096, 4_096)])
            .expect("one schema");
        assert!(dictionaries.wanted(1));
    }

    #[test]
    fn nested_values_are_counted_in_the_order_of_parquet_columns() {
        // GIVEN a list of repeating words before a column of distinct ones.
        let words = StringArray::from_iter_values((0..300).map(|n| ["a", "b", "c"][n % 3]));
        let offsets = arrow_buffer::OffsetBuffer::from_lengths(vec![3; 100]);
        let field = Arc::new(arrow_schema::Field::new("item", DataType::Utf8, false));
        let list = arrow_array::ListArray::new(field, offsets, Arc::new(words), None);
        let ids = Int64Array::from_iter_values(0..100);
        let batch = RecordBatch::try_from_iter([
            ("tags", Arc::new(list) as ArrayRef),
            ("id", Arc::new(ids)),
        ])
        .expect("two columns");
        // WHEN a later part of it is sampled THEN each leaf is judged by its own values.
        let mut dictionaries = Dictionaries::default();
        dictionaries
            .sample(&[batch.slice(50, 50)])
            .expect("one schema");
        assert!(dictionaries.wanted(0));
        assert!(!dictionaries.wanted(1));
    }
}
