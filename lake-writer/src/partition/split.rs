//! Rows of one batch, brought together by lake partition.
//!
//! ```text
//! RecordBatch + partition ids ─► counting sort ─► one take ─► RecordBatch + runs
//! ```

use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::ArrowError;
use arrow_select::take::take_record_batch;

use super::SKIP;

/// Consecutive rows of one lake partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Id of the lake partition.
    pub partition: u32,
    /// First row.
    pub start: u32,
    /// Number of rows, at least one.
    pub rows: u32,
}

/// A batch whose rows stand together by lake partition, in their old order inside each.
#[derive(Debug)]
pub struct Split {
    /// The rows, without those left out.
    pub rows: RecordBatch,
    /// Where each partition's rows are; they cover all rows, once.
    pub runs: Vec<Run>,
}

/// Splits batches; keeps its scratch space.
#[derive(Debug, Default)]
pub struct Splitter {
    /// By partition id: first its number of rows, then where its next row goes.
    places: Vec<u32>,
}

impl Splitter {
    /// Brings rows together by `ids`, one for each row; [`SKIP`] leaves a row out.
    ///
    /// # Errors
    /// When the rows of the batch do not fit an Arrow array, which no batch of ours reaches.
    ///
    /// # Panics
    /// When there are not as many ids as rows.
    pub fn split(&mut self, batch: RecordBatch, ids: &[u32]) -> Result<Split, ArrowError> {
        assert_eq!(batch.num_rows(), ids.len(), "each row has one partition id");
        if ids.is_sorted() && ids.last().is_none_or(|&last| last != SKIP) {
            // All of one partition, or in order by chance: the rows stay where they are.
            let runs = runs_of(ids);
            return Ok(Split { rows: batch, runs });
        }
        let (indices, runs) = self.sort(ids);
        let rows = take_record_batch(&batch, &UInt32Array::from(indices))?;
        Ok(Split { rows, runs })
    }

    /// A counting sort: stable, and linear in rows and ids.
    fn sort(&mut self, ids: &[u32]) -> (Vec<u32>, Vec<Run>) {
        let kept = || ids.iter().filter(|&&id| id != SKIP);
        let partitions = kept().max().map_or(0, |&max| max as usize + 1);
        self.places.clear();
        self.places.resize(partitions, 0);
        for &id in kept() {
            self.places[id as usize] += 1;
        }
        let mut runs = Vec::new();
        let mut start = 0;
        for (partition, place) in (0..).zip(&mut self.places) {
            let rows = *place;
            *place = start;
            if rows > 0 {
                runs.push(Run {
                    partition,
                    start,
                    rows,
                });
            }
            start += rows;
        }
        let mut indices = vec![0; start as usize];
        for (row, &id) in (0..).zip(ids) {
            if id != SKIP {
                let place = &mut self.places[id as usize];
                indices[*place as usize] = row;
                *place += 1;
            }
        }
        (indices, runs)
    }
}

/// The runs of sorted ids.
fn runs_of(ids: &[u32]) -> Vec<Run> {
    let mut start = 0;
    ids.chunk_by(|one, next| one == next)
        .map(|chunk| {
            let rows =
                u32::try_from(chunk.len()).expect("a batch has fewer rows than a u32 counts");
            let run = Run {
                partition: chunk[0],
                start,
                rows,
            };
            start += rows;
            run
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, cast::AsArray, types::Int64Type};
    use proptest::prelude::*;

    use super::*;

    fn batch(ids: &[u32]) -> RecordBatch {
        let rows = Int64Array::from_iter_values(0..ids.len() as i64);
        RecordBatch::try_from_iter([("row", Arc::new(rows) as _)]).expect("one column")
    }

    proptest! {
        #[test]
        fn every_row_is_in_the_run_of_its_partition(
            mut ids in prop::collection::vec(prop_oneof![4 => 0u32..6, 1 => Just(SKIP)], 0..200),
            sorted in any::<bool>(),
        ) {
            // GIVEN rows with any partition ids WHEN they are split.
            if sorted {
                ids.sort_unstable();
            }
            let mut splitter = Splitter::default();
            let split = splitter.split(batch(&ids), &ids).expect("rows fit");
            // THEN runs cover the kept rows, each row is in its partition's, in the old order.
            let rows = split.rows.column(0).as_primitive::<Int64Type>();
            let mut at = 0;
            for run in &split.runs {
                prop_assert_eq!(run.start, at);
                prop_assert!(run.rows > 0);
                let expected: Vec<i64> = (0..ids.len())
                    .filter(|&row| ids[row] == run.partition)
                    .map(|row| row as i64)
                    .collect();
                let found = &rows.values()[run.start as usize..(run.start + run.rows) as usize];
                prop_assert_eq!(found, &expected[..]);
                at += run.rows;
            }
            prop_assert_eq!(rows.len(), at as usize);
            prop_assert_eq!(rows.len(), ids.iter().filter(|&&id| id != SKIP).count());
        }
    }
}
