//! A rollup document, or a sum made by the server, as a row.

use mongodb::bson::{Bson, DateTime, Document, doc};
use xxhash_rust::xxh3::xxh3_128;

use super::{Mirror, MirrorError};
use crate::calendar::Minute;
use crate::cube::{DocumentKey, Groups, Rollup, Sums};
use crate::decimal;

/// Sums of a minute, or of what begins with it, and what they are told apart by.
#[derive(Clone, Debug)]
pub struct Row {
    /// The document, where it is one.
    pub key: DocumentKey,
    /// Its minute.
    pub minute: Minute,
    /// Its region; empty for null.
    pub region: String,
    /// Its product; empty for null.
    pub product: String,
    /// Its category, where rollups are kept by it.
    pub category: Option<String>,
    /// Its sums.
    pub sums: Sums,
}

impl Row {
    /// With its group as a number.
    pub fn numbered(&self, groups: &mut Groups) -> Rollup {
        Rollup {
            key: self.key,
            minute: self.minute,
            group: groups.id(&self.region, &self.product, self.category.as_deref()),
            sums: self.sums,
        }
    }
}

/// The hash that stands for an `_id`: equal for equal values and, at 128 bits, for no others.
pub(super) fn key_of(id: &Bson) -> DocumentKey {
    let bytes = mongodb::bson::serialize_to_vec(&doc! { "_id": id.clone() }).unwrap_or_default();
    xxh3_128(&bytes)
}

/// The minute of a moment.
pub(super) fn minute_of(moment: DateTime) -> Minute {
    moment.timestamp_millis().div_euclid(60_000)
}

/// The moment at which a minute begins.
pub(super) fn moment(minute: Minute) -> DateTime {
    DateTime::from_millis(minute.saturating_mul(60_000))
}

/// A dimension's value as text; null and missing are the empty text.
pub(super) fn text(value: Option<&Bson>) -> String {
    match value {
        None | Some(Bson::Null) => String::new(),
        Some(Bson::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

impl Mirror {
    /// A rollup document as a row.
    pub(super) fn row(&self, document: &Document) -> Result<Row, MirrorError> {
        let shape = |what| MirrorError::Shape(what, self.minutes.name().to_owned());
        let id = document.get("_id").ok_or_else(|| shape("_id"))?;
        let bucket = document
            .get_datetime("bucket")
            .map_err(|_| shape("bucket"))?;
        Ok(Row {
            key: key_of(id),
            minute: minute_of(*bucket),
            ..self.dimensions(document, document)?
        })
    }

    /// Dimensions of one document with the sums of another.
    pub(super) fn dimensions(
        &self,
        dimensions: &Document,
        sums: &Document,
    ) -> Result<Row, MirrorError> {
        let fields = &self.fields;
        Ok(Row {
            key: 0,
            minute: 0,
            region: text(dimensions.get(&fields.region)),
            product: text(dimensions.get(&fields.product)),
            category: dimensions
                .get(&fields.category)
                .map(|value| text(Some(value))),
            sums: Sums {
                count: self.count(sums)?.unwrap_or(0),
                amount: self.amount(sums)?.unwrap_or(0),
                quantity: self.quantity(sums)?.unwrap_or(0),
            },
        })
    }

    pub(super) fn count(&self, document: &Document) -> Result<Option<i64>, MirrorError> {
        let count = self.number(document, "count", 0)?;
        Ok(count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)))
    }

    pub(super) fn amount(&self, document: &Document) -> Result<Option<i128>, MirrorError> {
        self.number(document, &self.fields.amount, self.fields.amount_scale)
    }

    pub(super) fn quantity(&self, document: &Document) -> Result<Option<i128>, MirrorError> {
        self.number(document, &self.fields.quantity, self.fields.quantity_scale)
    }

    fn number(
        &self,
        document: &Document,
        field: &str,
        scale: u32,
    ) -> Result<Option<i128>, MirrorError> {
        match document.get(field) {
            None | Some(Bson::Null) => Ok(None),
            Some(value) => {
                decimal::scaled(value, scale)
                    .map(Some)
                    .map_err(|source| MirrorError::Number {
                        field: field.to_owned(),
                        source,
                    })
            }
        }
    }
}
