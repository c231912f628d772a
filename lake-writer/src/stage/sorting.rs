//! The order of rows inside a row group.
//!
//! ```text
//! sort_by + Schema ─► Sorting ─► rows in order, and Parquet's note of it
//! ```

use arrow_array::RecordBatch;
use arrow_ord::sort::{SortColumn, lexsort_to_indices};
use arrow_schema::ArrowError;
use arrow_select::take::take_record_batch;

use crate::table::{Kind, Schema};

/// The columns by which rows are sorted, ascending, nulls first; none leaves them in the order in
/// which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorting {
    columns: Vec<usize>,
}

/// What is wrong with `sort_by`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SortByError {
    /// No such column.
    #[error("`{column}` in sort_by is no column of the schema; its columns are {columns}")]
    UnknownColumn {
        /// As given.
        column: String,
        /// Those there are.
        columns: String,
    },
    /// A column of many values.
    #[error(
        "`{column}` in sort_by is a record, array or map; sort by a column that holds one value"
    )]
    Nested {
        /// As given.
        column: String,
    },
}

impl Sorting {
    /// Reads `sort_by`.
    ///
    /// # Errors
    /// When an entry is no column, or one that has no order.
    pub fn parse(sort_by: &[String], schema: &Schema) -> Result<Self, SortByError> {
        let find = |name: &String| {
            let index = schema
                .columns
                .iter()
                .position(|column| column.name == *name);
            let index = index.ok_or_else(|| {
                let names: Vec<_> = schema.columns.iter().map(|c| c.name.as_str()).collect();
                SortByError::UnknownColumn {
                    column: name.clone(),
                    columns: names.join(", "),
                }
            })?;
            match schema.columns[index].kind {
                Kind::Record(_) | Kind::Array(_) | Kind::Map(_) => Err(SortByError::Nested {
                    column: name.clone(),
                }),
                _ => Ok(index),
            }
        };
        let columns = sort_by.iter().map(find).collect::<Result<_, _>>()?;
        Ok(Self { columns })
    }

    /// Whether rows stay in the order in which they were read.
    pub fn is_none(&self) -> bool {
        self.columns.is_empty()
    }

    /// Indices of the columns, the most significant first.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The rows in order.
    ///
    /// # Errors
    /// When the rows do not fit an Arrow array, which no row group of ours reaches.
    pub fn sort(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<SortColumn> = self
            .columns
            .iter()
            .map(|&index| SortColumn {
                values: rows.column(index).clone(),
                options: None,
            })
            .collect();
        take_record_batch(rows, &lexsort_to_indices(&columns, None)?)
    }
}
