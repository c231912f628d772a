//! The table provider of a collection of the mirror.
//!
//! Owns: which part of a scan the server does.
//! Does not own: aggregates (`push_down`).

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use mongodb::bson::{Bson, Document, doc};

use super::database::{Mirror, MirrorError, Seen};
use super::exec::MirrorExec;
use super::pipeline::Pipeline;
use super::predicate::matching;
use super::shape::Shape;
use crate::query::OncePerQuery;

/// `<collection>_live`, or a rollup.
#[derive(Clone, Debug)]
pub(crate) struct MirrorTable {
    mirror: Mirror,
    collection: String,
    shape: Arc<Shape>,
    seen: Arc<OncePerQuery<Seen>>,
}

impl MirrorTable {
    /// The collection of documents.
    pub(crate) fn of_documents(
        mirror: Mirror,
        shape: Shape,
        seen: Arc<OncePerQuery<Seen>>,
    ) -> Self {
        let collection = mirror.documents().to_owned();
        Self::new(mirror, collection, shape, seen)
    }

    /// A collection beside it, such as `_rollup_day`.
    pub(crate) fn beside(
        mirror: Mirror,
        suffix: &str,
        shape: Shape,
        seen: Arc<OncePerQuery<Seen>>,
    ) -> Self {
        let collection = mirror.beside(suffix);
        Self::new(mirror, collection, shape, seen)
    }

    fn new(
        mirror: Mirror,
        collection: String,
        shape: Shape,
        seen: Arc<OncePerQuery<Seen>>,
    ) -> Self {
        Self {
            mirror,
            collection,
            shape: Arc::new(shape),
            seen,
        }
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    pub(super) fn collection(&self) -> &str {
        &self.collection
    }

    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// What the query sees of the mirror: the same for all of its tables.
    pub(crate) async fn seen(&self, state: &dyn Session) -> Result<Seen, MirrorError> {
        self.seen.get(state, self.mirror.now()).await
    }

    /// `$match` of predicates that all have an exact translation; `None` if one has none.
    pub(super) fn matching(&self, filters: &[Expr]) -> Option<Vec<Document>> {
        filters
            .iter()
            .map(|filter| matching(filter, &self.shape))
            .collect()
    }

    /// The documents of these ranges that match the filters which can be translated, whichever those are.
    pub(crate) fn scan_some(
        &self,
        seen: Seen,
        ranges: Document,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Arc<dyn ExecutionPlan> {
        let translated = filters
            .iter()
            .filter_map(|filter| matching(filter, &self.shape));
        let all = std::iter::once(ranges).chain(translated).collect();
        self.exec(seen, all, projection, limit)
    }

    fn exec(
        &self,
        seen: Seen,
        filters: Vec<Document>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Arc<dyn ExecutionPlan> {
        let columns = 0..self.shape.schema.fields().len();
        let pipeline = Pipeline {
            collection: self.collection.clone(),
            stages: match_stage(filters).into_iter().collect(),
            schema: self.shape.schema.clone(),
            values: columns
                .map(|at| Bson::from(format!("${}", self.shape.path(at))))
                .collect(),
            of_nothing: None,
        };
        let pipeline = pipeline.project(projection).limit(limit);
        Arc::new(MirrorExec::new(self.mirror.clone(), pipeline, seen))
    }
}

/// `$match` of all of them; none where everything matches.
pub(super) fn match_stage(mut filters: Vec<Document>) -> Option<Document> {
    filters.retain(|filter| !filter.is_empty());
    match filters.len() {
        0 => None,
        1 => filters.pop().map(|filter| doc! {"$match": filter}),
        _ => Some(doc! {"$match": {"$and": filters}}),
    }
}

#[async_trait]
impl TableProvider for MirrorTable {
    fn schema(&self) -> SchemaRef {
        self.shape.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters = self.matching(filters).ok_or_else(|| {
            DataFusionError::Internal(
                "a predicate was pushed down that MongoDB cannot answer".into(),
            )
        })?;
        let seen = self.seen(state).await?;
        Ok(self.exec(seen, filters, projection, limit))
    }

    /// Exact where the server's answer is that of SQL; the rest is left to a filter above.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match matching(filter, &self.shape) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }
}
