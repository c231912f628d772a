//! Sales themselves, newest first, page by page.
//!
//! A page begins after a cursor, which names the last sale of the page before by time and `_id`: new
//! sales move no page, and no sale comes twice or is left out.

use futures::{StreamExt as _, TryStreamExt as _};
use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::{Map, Value};

use super::rows::{minute_of, moment, text};
use super::{Mirror, MirrorError};
use crate::calendar::Minute;
use crate::decimal;

/// Which sales.
#[derive(Clone, Debug, Default)]
pub struct SalesQuery {
    /// First minute, or from the beginning.
    pub from: Option<Minute>,
    /// The minute after the last, or to the end.
    pub to: Option<Minute>,
    /// Regions; all if empty.
    pub regions: Vec<String>,
    /// Products; all if empty.
    pub products: Vec<String>,
    /// Categories; all if empty.
    pub categories: Vec<String>,
}

/// Sales handed over at once, so that nobody waits long for a lock.
const CHUNK: usize = 2_000;

/// What statistics need of one sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleRow {
    /// When.
    pub minute: Minute,
    /// Where; empty for null.
    pub region: String,
    /// What; empty for null.
    pub product: String,
    /// Of which category; empty for null.
    pub category: String,
    /// What was paid, if it is known.
    pub amount: Option<i128>,
    /// Who has paid, if it is known.
    pub customer: Option<String>,
}

/// The last sale of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    time: Bson,
    id: Bson,
}

impl Cursor {
    /// As text for a URL.
    pub fn text(&self) -> String {
        let document = doc! { "t": self.time.clone(), "i": self.id.clone() };
        let bytes = mongodb::bson::serialize_to_vec(&document).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// From [`Self::text`]; `None` of anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.is_ascii() || text.len() % 2 == 1 || text.len() > 2_048 {
            return None;
        }
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        let mut document: Document = mongodb::bson::deserialize_from_slice(&bytes?).ok()?;
        // A value that could be an operator of a query is none of ours.
        let plain =
            |value: Bson| (value.as_document().is_none() || is_plain(&value)).then_some(value);
        Some(Self {
            time: document
                .remove("t")
                .filter(|time| matches!(time, Bson::DateTime(_)))?,
            id: plain(document.remove("i")?)?,
        })
    }
}

fn is_plain(value: &Bson) -> bool {
    match value {
        Bson::Document(fields) => fields
            .iter()
            .all(|(name, value)| !name.starts_with('$') && is_plain(value)),
        _ => true,
    }
}

/// One page of sales.
#[derive(Clone, Debug)]
pub struct SalesPage {
    /// The sales, newest first: names of fields to exact values.
    pub sales: Vec<Map<String, Value>>,
    /// Where the next page begins, if this one was full.
    pub next: Option<Cursor>,
}

impl Mirror {
    /// Every sale from a minute to before another, in no order, in chunks.
    ///
    /// # Errors
    /// When the server is away or an amount is not what the settings say.
    pub async fn sale_rows(
        &self,
        from: Minute,
        to: Minute,
        mut take: impl FnMut(Vec<SaleRow>),
    ) -> Result<(), MirrorError> {
        let fields = &self.fields;
        let names = [
            &fields.time,
            &fields.region,
            &fields.product,
            &fields.category,
            &fields.amount,
            &fields.customer,
        ];
        let mut only = doc! { "_id": 0 };
        only.extend(names.map(|name| (name.clone(), Bson::Int32(1))));
        let range = doc! { "$gte": moment(from), "$lt": moment(to) };
        let cursor = self
            .sales
            .find(doc! { &fields.time: range })
            .projection(only)
            .batch_size(10_000)
            .await?;
        let mut chunks = cursor.chunks(CHUNK);
        while let Some(chunk) = chunks.next().await {
            let rows: Result<Vec<SaleRow>, MirrorError> = chunk
                .into_iter()
                .map(|sale| self.sale_row(&sale?))
                .collect();
            take(rows?);
        }
        Ok(())
    }

    fn sale_row(&self, sale: &Document) -> Result<SaleRow, MirrorError> {
        let fields = &self.fields;
        let shape = || MirrorError::Shape("time", self.sales.name().to_owned());
        let time = sale.get_datetime(&fields.time).map_err(|_| shape())?;
        let customer = sale
            .get(&fields.customer)
            .filter(|customer| **customer != Bson::Null);
        Ok(SaleRow {
            minute: minute_of(*time),
            region: text(sale.get(&fields.region)),
            product: text(sale.get(&fields.product)),
            category: text(sale.get(&fields.category)),
            amount: self.amount(sale)?,
            customer: customer.map(|customer| text(Some(customer))),
        })
    }

    /// A page of up to `limit` sales after a cursor.
    ///
    /// # Errors
    /// When the server is away.
    pub async fn sales(
        &self,
        query: &SalesQuery,
        after: Option<&Cursor>,
        limit: u32,
    ) -> Result<SalesPage, MirrorError> {
        let time = &self.fields.time;
        let mut filter = self.filter(query);
        if let Some(after) = after {
            filter.insert(
                "$or",
                [
                    doc! { time: { "$lt": after.time.clone() } },
                    doc! { time: after.time.clone(), "_id": { "$lt": after.id.clone() } },
                ],
            );
        }
        let cursor = self
            .sales
            .find(filter)
            .sort(doc! { time: -1, "_id": -1 })
            .limit(i64::from(limit))
            .batch_size(limit)
            .await?;
        let documents: Vec<Document> = cursor.try_collect().await?;
        let full = documents.len() == limit as usize;
        let last = documents.last().filter(|_| full).and_then(|sale| {
            Some(Cursor {
                time: sale.get(time)?.clone(),
                id: sale.get("_id")?.clone(),
            })
        });
        let sales = documents.iter().map(|sale| self.listed(sale)).collect();
        Ok(SalesPage { sales, next: last })
    }

    /// Names of the fields that a listed sale has.
    pub fn columns(&self) -> Vec<String> {
        let fields = &self.fields;
        let named = [
            &fields.time,
            &fields.region,
            &fields.product,
            &fields.category,
            &fields.quantity,
            &fields.amount,
        ];
        fields.also.iter().chain(named).cloned().collect()
    }

    fn filter(&self, query: &SalesQuery) -> Document {
        let fields = &self.fields;
        let mut filter = Document::new();
        let mut range = Document::new();
        range.extend(
            query
                .from
                .map(|from| ("$gte".to_owned(), moment(from).into())),
        );
        range.extend(query.to.map(|to| ("$lt".to_owned(), moment(to).into())));
        if !range.is_empty() {
            filter.insert(&fields.time, range);
        }
        let wanted = [
            (&fields.region, &query.regions),
            (&fields.product, &query.products),
            (&fields.category, &query.categories),
        ];
        for (field, values) in wanted.into_iter().filter(|(_, values)| !values.is_empty()) {
            let mut values: Vec<Bson> = values.iter().map(Bson::from).collect();
            if values.contains(&Bson::String(String::new())) {
                values.push(Bson::Null);
            }
            filter.insert(field, doc! { "$in": values });
        }
        filter
    }

    fn listed(&self, sale: &Document) -> Map<String, Value> {
        let column = |name: String| {
            let scale = if name == self.fields.amount {
                self.fields.amount_scale
            } else {
                self.fields.quantity_scale
            };
            let value = match sale.get(&name) {
                None | Some(Bson::Null) => Value::Null,
                Some(Bson::DateTime(moment)) => Value::String(rfc3339_ms(*moment)),
                Some(Bson::String(text)) => Value::String(text.clone()),
                Some(value) if name == self.fields.amount || name == self.fields.quantity => {
                    match decimal::scaled(value, scale) {
                        Ok(number) => Value::String(decimal::text(number, scale)),
                        // More digits than the scale: shown as they are.
                        Err(_) => Value::String(value.to_string()),
                    }
                }
                Some(other) => Value::String(other.to_string()),
            };
            (name, value)
        };
        self.columns().into_iter().map(column).collect()
    }
}

fn rfc3339_ms(moment: DateTime) -> String {
    chrono::DateTime::from_timestamp_millis(moment.timestamp_millis())
        .unwrap_or_default()
        .to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_being_text_and_carries_no_operator() {
        let cursor = |id: Bson| Cursor {
            time: DateTime::from_millis(5).into(),
            id,
        };
        let good = cursor(doc! { "partition": 1, "offset": 7_i64 }.into());
        assert_eq!(Cursor::parse(&good.text()), Some(good));
        let bad = cursor(doc! { "$gt": "" }.into());
        assert_eq!(Cursor::parse(&bad.text()), None);
        for text in ["", "é", "0", "zz", "00"] {
            assert_eq!(Cursor::parse(text), None);
        }
    }
}
