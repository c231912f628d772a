//! An aggregation pipeline that gives flat documents, named after the columns of a batch.
//!
//! Owns: the order of stages, and the last `$project`.
//! Does not own: what is asked for (`predicate`, `aggregate`).

use std::sync::Arc;

use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::ScalarValue;
use mongodb::bson::{Bson, Document, doc};

/// What is asked of a collection.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    /// Name of the collection.
    pub(super) collection: String,
    /// Stages before the last `$project`.
    pub(super) stages: Vec<Document>,
    /// The columns that come out.
    pub(super) schema: SchemaRef,
    /// What each of them is, as an expression of `$project`.
    pub(super) values: Vec<Bson>,
    /// The row that stands for no document at all: what `count` and `sum` say of nothing.
    pub(super) of_nothing: Option<Vec<ScalarValue>>,
}

impl Pipeline {
    /// The same with these columns only.
    pub(super) fn project(mut self, columns: Option<&Vec<usize>>) -> Self {
        let Some(columns) = columns else { return self };
        let fields = columns.iter().map(|at| self.schema.field(*at).clone());
        self.schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        self.values = columns.iter().map(|at| self.values[*at].clone()).collect();
        self.of_nothing = self
            .of_nothing
            .map(|row| columns.iter().map(|at| row[*at].clone()).collect());
        self
    }

    /// The same with so many rows at most.
    pub(super) fn limit(mut self, rows: Option<usize>) -> Self {
        let Some(rows) = rows else { return self };
        let row_of_nothing = self.of_nothing.take();
        match i64::try_from(rows) {
            // The server takes no limit of zero.
            Ok(0) => self.stages.push(doc! {"$match": {"$expr": false}}),
            Ok(rows) => {
                self.stages.push(doc! {"$limit": rows});
                self.of_nothing = row_of_nothing;
            }
            Err(_) => self.of_nothing = row_of_nothing,
        }
        self
    }

    /// All stages.
    pub(super) fn stages(&self) -> Vec<Document> {
        let mut stages = self.stages.clone();
        let mut project = Document::new();
        let fields = self.schema.fields().iter().zip(&self.values);
        for (field, value) in fields {
            project.insert(field.name(), value.clone());
        }
        // With nothing but `_id: 0` it would keep everything else.
        project.insert("_id", i32::from(project.is_empty()));
        stages.push(doc! {"$project": project});
        stages
    }
}

impl std::fmt::Display for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "collection={}, pipeline=[", self.collection)?;
        for (n, stage) in self.stages().iter().enumerate() {
            write!(f, "{}{stage}", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field};

    use super::*;

    fn pipeline() -> Pipeline {
        Pipeline {
            collection: "sales".into(),
            stages: Vec::new(),
            schema: Arc::new(Schema::new(vec![
                Field::new("region", DataType::Utf8, true),
                Field::new("kafka_offset", DataType::Int64, false),
            ])),
            values: vec!["$region".into(), "$_id.offset".into()],
            of_nothing: None,
        }
    }

    #[test]
    fn documents_are_flat_and_hold_what_is_asked_for() {
        let stages = pipeline().project(Some(&vec![1])).limit(Some(5)).stages();
        let expected = [
            doc! {"$limit": 5_i64},
            doc! {"$project": {"kafka_offset": "$_id.offset", "_id": 0}},
        ];
        assert_eq!(stages, expected);
        let stages = pipeline().project(Some(&Vec::new())).stages();
        assert_eq!(stages, [doc! {"$project": {"_id": 1}}]);
    }
}
