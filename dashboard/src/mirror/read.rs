//! Reads of rollups: whole documents of some minutes, and sums that the server makes.

use chrono::NaiveDate;
use futures::{StreamExt as _, TryStreamExt as _};
use mongodb::bson::{Bson, Document, doc};

use super::rows::{Row, minute_of, moment};
use super::{Mirror, MirrorError};
use crate::calendar::{Calendar, Minute, Step};

/// Rows handed over at once, so that nobody waits long for a lock.
const CHUNK: usize = 5_000;

impl Mirror {
    /// Every rollup document from a minute on, up to `to` if given, in chunks.
    ///
    /// # Errors
    /// When the server is away or a rollup is not what the settings say.
    pub async fn rollups(
        &self,
        from: Minute,
        to: Option<Minute>,
        mut take: impl FnMut(Vec<Row>),
    ) -> Result<(), MirrorError> {
        let mut range = doc! { "$gte": moment(from) };
        if let Some(to) = to {
            range.insert("$lt", moment(to));
        }
        let cursor = self
            .minutes
            .find(doc! { "bucket": range })
            .batch_size(10_000)
            .await?;
        let mut chunks = cursor.chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let rows: Result<Vec<Row>, MirrorError> = chunk
                .into_iter()
                .map(|document| self.row(&document?))
                .collect();
            take(rows?);
        }
        Ok(())
    }

    /// The rollup documents of these ids; those that are gone are left out.
    ///
    /// # Errors
    /// When the server is away or a rollup is not what the settings say.
    pub async fn documents(&self, ids: Vec<Bson>) -> Result<Vec<Row>, MirrorError> {
        let cursor = self.minutes.find(doc! { "_id": { "$in": ids } }).await?;
        let documents: Vec<Document> = cursor.try_collect().await?;
        documents
            .iter()
            .map(|document| self.row(document))
            .collect()
    }

    /// Sums by step and group of the minutes before `to`, from `from` on if given, made by the server.
    /// A row's minute is the first of its step.
    ///
    /// # Errors
    /// When the server is away or a rollup is not what the settings say.
    pub async fn sums(
        &self,
        calendar: Calendar,
        step: Step,
        from: Option<Minute>,
        to: Minute,
    ) -> Result<Vec<Row>, MirrorError> {
        let mut range = doc! { "$lt": moment(to) };
        if let Some(from) = from {
            range.insert("$gte", moment(from));
        }
        let fields = &self.fields;
        let by = doc! {
            "step": step_expression(calendar, step),
            &fields.region: format!("${}", fields.region),
            &fields.product: format!("${}", fields.product),
            &fields.category: format!("${}", fields.category),
        };
        let group = doc! {
            "_id": by,
            "count": { "$sum": "$count" },
            &fields.amount: { "$sum": format!("${}", fields.amount) },
            &fields.quantity: { "$sum": format!("${}", fields.quantity) },
        };
        let pipeline = [
            doc! { "$match": { "bucket": range } },
            doc! { "$group": group },
        ];
        let mut cursor = self
            .minutes
            .aggregate(pipeline)
            .allow_disk_use(true)
            .await?;
        let mut rows = Vec::new();
        while let Some(document) = cursor.try_next().await? {
            let shape = || MirrorError::Shape("bucket", self.minutes.name().to_owned());
            let by = document.get_document("_id").map_err(|_| shape())?;
            let minute = match by.get("step") {
                Some(Bson::DateTime(moment)) => minute_of(*moment),
                Some(Bson::String(day)) => {
                    let day = day.parse::<NaiveDate>().map_err(|_| shape())?;
                    calendar.first_minute(day)
                }
                _ => return Err(shape()),
            };
            rows.push(Row {
                minute,
                ..self.dimensions(by, &document)?
            });
        }
        Ok(rows)
    }

    /// The category of a product, as one of its sales has it; empty if none has.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn category(&self, product: &str) -> Result<String, MirrorError> {
        let fields = &self.fields;
        let filter = doc! { &fields.product: product };
        let only = doc! { "_id": 0, &fields.category: 1 };
        let sale = self.sales.find_one(filter).projection(only).await?;
        let category = sale
            .as_ref()
            .and_then(|sale| sale.get_str(&fields.category).ok());
        Ok(category.unwrap_or_default().to_owned())
    }

    /// When the newest sale was made, in milliseconds since the epoch.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn newest_sale_ms(&self) -> Result<Option<i64>, MirrorError> {
        let time = &self.fields.time;
        let only = doc! { "_id": 0, time: 1 };
        let sale = self
            .sales
            .find_one(doc! {})
            .sort(doc! { time: -1 })
            .projection(only)
            .await?;
        Ok(sale.and_then(|sale| Some(sale.get_datetime(time).ok()?.timestamp_millis())))
    }
}

/// The step of a bucket, as a Date for steps below a day and as text for a local day or month.
fn step_expression(calendar: Calendar, step: Step) -> Bson {
    let bucket = "$bucket";
    match step.minutes() {
        Some(1) => bucket.into(),
        Some(width) => {
            let into_step = doc! { "$mod": [{ "$toLong": bucket }, width * 60_000] };
            doc! { "$subtract": [bucket, into_step] }.into()
        }
        None => {
            let format = if step == Step::Month {
                "%Y-%m-01"
            } else {
                "%Y-%m-%d"
            };
            doc! { "$dateToString": {
                "format": format, "date": bucket, "timezone": calendar.0.name(),
            } }
            .into()
        }
    }
}
