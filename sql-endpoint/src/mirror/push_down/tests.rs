//! Whole queries are planned over a mirror that is never asked, as no plan asks it.

use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::prelude::SessionContext;
use lake_writer::settings::MongoDb;
use lake_writer::table::Schema as TableSchema;
use mongodb::bson::{Bson, Document, doc};

use super::*;
use crate::mirror::{Mirror, Shape};
use crate::query::OncePerQuery;

/// The stages that the server is asked for instead of documents, or `None` where nothing is pushed down.
async fn stages(query: &str) -> Option<Vec<Document>> {
    let plan = planned(query).await;
    let mut found = None;
    plan.apply(|plan| {
        if let LogicalPlan::TableScan(scan) = plan {
            let provider = source_as_provider(&scan.source)?;
            let provider: &dyn Any = provider.as_ref();
            if let Some(groups) = provider.downcast_ref::<Groups>() {
                found = Some(groups.pipeline.stages.clone());
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .expect("a plan");
    found
}

async fn planned(query: &str) -> LogicalPlan {
    let avsc = include_str!("../../../../schemas/sale.avsc");
    let schema = TableSchema::from_avsc(avsc).expect("a schema");
    let settings = MongoDb {
        uri: Some("mongodb://127.0.0.1:1/?directConnection=true".into()),
        ..MongoDb::default()
    };
    let mirror = Mirror::unasked(&settings).await;
    let shape = Shape::of_documents(&schema, &settings);
    let table = MirrorTable::of_documents(mirror, shape, Arc::new(OncePerQuery::default()));
    let context = SessionContext::new();
    context.add_optimizer_rule(Arc::new(PushDownAggregate));
    context
        .register_table("sales_live", Arc::new(table))
        .expect("a table");
    let frame = context.sql(query).await.expect(query);
    frame.into_optimized_plan().expect(query)
}

fn group(of: Document) -> Document {
    doc! {"$group": of}
}

#[tokio::test]
async fn the_server_computes_an_aggregate_whose_parts_it_has() {
    let region = doc! {"_id": {"k0": "$region"}, "a1": {"$sum": 1}, "a2": {"$sum": "$amount"}};
    let filtered = doc! {"$match": {"region": {"$eq": "Corse"}}};
    for (query, expected) in [
        (
            "SELECT region, count(*), sum(amount) FROM sales_live GROUP BY region",
            vec![group(region.clone())],
        ),
        (
            "SELECT count(*) FROM sales_live",
            vec![group(doc! {"_id": Bson::Null, "a0": {"$sum": 1}})],
        ),
        (
            "SELECT min(quantity) FROM sales_live WHERE region = 'Corse'",
            vec![filtered.clone(), group(doc! {"_id": Bson::Null, "a0": {"$min": "$quantity"}})],
        ),
        (
            // What stands above it is done here.
            "SELECT r, s FROM (SELECT region AS r, count(*) AS n, sum(amount) AS s FROM sales_live AS l GROUP BY 1)
                WHERE n > 5 ORDER BY s DESC LIMIT 3",
            vec![group(region)],
        ),
        (
            "SELECT DISTINCT region FROM sales_live",
            vec![group(doc! {"_id": {"k0": "$region"}})],
        ),
    ] {
        assert_eq!(stages(query).await, Some(expected), "{query}");
    }
}

#[tokio::test]
async fn what_the_server_would_answer_otherwise_is_computed_here() {
    for (query, why) in [
        (
            "SELECT region, avg(amount) FROM sales_live GROUP BY 1",
            "one aggregate that it lacks",
        ),
        (
            "SELECT upper(region), count(*) FROM sales_live GROUP BY 1",
            "one key that it lacks",
        ),
        (
            "SELECT count(*) FROM sales_live WHERE upper(region) = 'CORSE'",
            "a predicate that stays here",
        ),
        (
            "SELECT count(*) FROM (SELECT * FROM sales_live LIMIT 10)",
            "a limit below it",
        ),
        (
            "SELECT region, count(*) FROM sales_live GROUP BY ROLLUP (region)",
            "sets of groups",
        ),
        (
            "SELECT count(*) FROM sales_live a JOIN sales_live b ON a.sale_id = b.sale_id",
            "a join below it",
        ),
        (
            "SELECT count(DISTINCT customer_id), count(*) FROM sales_live",
            "distinct values",
        ),
        ("SELECT region FROM sales_live", "no aggregate"),
    ] {
        assert_eq!(stages(query).await, None, "{why}: {query}");
    }
}

#[tokio::test]
async fn columns_keep_their_names_and_types() {
    let query = "SELECT s.region AS place, count(*) AS n, sum(s.quantity) FROM sales_live AS s GROUP BY s.region";
    let plan = planned(query).await;
    let columns = plan.schema().fields().iter();
    let columns: Vec<String> = columns
        .map(|field| format!("{} {}", field.name(), field.data_type()))
        .collect();
    assert_eq!(columns, ["place Utf8", "n Int64", "sum(s.quantity) Int64"]);
    assert!(stages(query).await.is_some());
}
