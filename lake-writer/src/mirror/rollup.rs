//! Sums by minute and by day.
//!
//! ```text
//! rows that come, documents that go ─► Sums ─► totals, into <collection>_rollup_minute and _rollup_day
//! ```
//!
//! Owns: buckets, exact sums, the shape of a rollup document.
//! Does not own: the transaction in which they are written, and how (`totals`).
//!
//! A rollup document holds a *part* of a bucket's sums, told apart inside `_id` by the lowest source
//! partition of the lane that writes it: so transactions of two lanes never update one document.

use std::ops::Range;

use hashbrown::HashMap;
use mongodb::bson::{RawBsonRef, RawDocument};

use super::bytes::Writer;
use super::decimal;
use super::document::Reader;
use super::plan::{Plan, Rollup};

/// The two kinds of buckets: what follows the collection's name, and milliseconds of one.
pub(super) const GRAINS: [(&str, i64); 2] =
    [("_rollup_minute", 60_000), ("_rollup_day", 86_400_000)];

/// What is added to one rollup document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) count: i64,
    /// Unscaled, in the order of the settings.
    pub(super) sums: Vec<i128>,
}

impl Delta {
    fn is_nothing(&self) -> bool {
        self.count == 0 && self.sums.iter().all(|sum| *sum == 0)
    }
}

/// Bytes of a bucket's start, before the `by` fields in a key.
const BUCKET: usize = 8;

/// Sums of a batch, by kind of bucket. A key is the bucket's start (milliseconds, little-endian) and
/// the `by` fields as a document.
#[derive(Debug, Default)]
pub(super) struct Sums {
    grains: [HashMap<Vec<u8>, Delta>; 2],
    scratch: Writer,
    numbers: Vec<i128>,
}

impl Sums {
    /// Adds a row.
    pub(super) fn add_row(&mut self, rollup: &Rollup, readers: &[Reader<'_>], row: usize) {
        let by = self.begin_key();
        for column in &rollup.by {
            // Only maps can fail, and none is a `by` field.
            let _ = readers[*column].write(row, &mut self.scratch);
        }
        self.scratch.end(by);
        self.numbers.clear();
        let numbers = rollup.sum.iter();
        self.numbers
            .extend(numbers.map(|sum| readers[sum.column].number(row)));
        self.add(readers[rollup.time].millis(row), 1);
    }

    /// Takes a stored document out again. `None` when it is not one that this mirror writes.
    pub(super) fn remove_document(
        &mut self,
        plan: &Plan,
        rollup: &Rollup,
        document: &RawDocument,
    ) -> Option<()> {
        let by = self.begin_key();
        for column in &rollup.by {
            let name = plan.name(*column);
            match document.get(name).ok()?? {
                RawBsonRef::Null => self.scratch.null(name),
                RawBsonRef::Boolean(value) => self.scratch.boolean(name, value),
                RawBsonRef::Int32(value) => self.scratch.int32(name, value),
                RawBsonRef::Int64(value) => self.scratch.int64(name, value),
                RawBsonRef::String(value) => self.scratch.string(name, value),
                _ => return None,
            }
        }
        self.scratch.end(by);
        self.numbers.clear();
        for sum in &rollup.sum {
            let number = match document.get(plan.name(sum.column)).ok()?? {
                RawBsonRef::Null => 0,
                RawBsonRef::Int32(value) => value.into(),
                RawBsonRef::Int64(value) => value.into(),
                RawBsonRef::Decimal128(value) => decimal::decode(value, sum.scale?)?,
                _ => return None,
            };
            self.numbers.push(-number);
        }
        let millis = document.get_datetime(plan.name(rollup.time)).ok()?;
        self.add(millis.timestamp_millis(), -1);
        Some(())
    }

    fn begin_key(&mut self) -> super::bytes::Open {
        self.scratch.bytes.clear();
        self.scratch.bytes.extend([0; BUCKET]);
        self.scratch.begin()
    }

    fn add(&mut self, millis: i64, count: i64) {
        for (map, (_, length)) in self.grains.iter_mut().zip(GRAINS) {
            let bucket = millis - millis.rem_euclid(length);
            self.scratch.bytes[..BUCKET].copy_from_slice(&bucket.to_le_bytes());
            let delta = map.entry_ref(&self.scratch.bytes[..]).or_default();
            delta.count += count;
            delta.sums.resize(self.numbers.len(), 0);
            for (sum, number) in delta.sums.iter_mut().zip(&self.numbers) {
                *sum += number;
            }
        }
    }

    /// The sums of one kind of bucket that are not nothing.
    pub(super) fn of_grain(&self, grain: usize) -> impl Iterator<Item = Addend<'_>> {
        let there = |(_, delta): &(&Vec<u8>, &Delta)| !delta.is_nothing();
        self.grains[grain].iter().filter(there).map(|(key, delta)| {
            let (bucket, by) = key.split_at(BUCKET);
            let bucket = bucket.try_into().map_or(0, i64::from_le_bytes);
            (bucket, by, delta)
        })
    }
}

/// Sums of one rollup document, and which one that is: start, `by` fields, what to add.
pub(super) type Addend<'a> = (i64, &'a [u8], &'a Delta);

/// How rollup documents of one mirror and part are written.
pub(super) struct Shape<'a> {
    /// Names of sums, and the scale of those that are decimals.
    pub(super) sums: Vec<(&'a str, Option<i8>)>,
    pub(super) part: i32,
}

impl Shape<'_> {
    /// `{bucket, by, part}` under a name: what is unique of a rollup document.
    /// Returns where it lies.
    pub(super) fn write_id(
        &self,
        writer: &mut Writer,
        name: &str,
        bucket: i64,
        by: &[u8],
    ) -> Range<usize> {
        let id = writer.begin_document(name);
        writer.date("bucket", bucket);
        writer.document("by", by);
        writer.int32("part", self.part);
        writer.end(id)
    }

    /// A document that is not there yet, as an element of an `insert` command's list.
    pub(super) fn write_new(&self, writer: &mut Writer, name: &str, addend: Addend<'_>) {
        let (bucket, by, delta) = addend;
        let document = writer.begin_document(name);
        self.write_id(writer, "_id", bucket, by);
        writer.date("bucket", bucket);
        writer.elements(by);
        self.write_sums(writer, delta);
        writer.end(document);
    }

    /// An update of an `update` command's list: `{q, u, upsert: true}`.
    pub(super) fn write_update(&self, writer: &mut Writer, name: &str, addend: Addend<'_>) {
        let (bucket, by, delta) = addend;
        let update = writer.begin_document(name);
        let query = writer.begin_document("q");
        self.write_id(writer, "_id", bucket, by);
        writer.end(query);
        let change = writer.begin_document("u");
        let increments = writer.begin_document("$inc");
        self.write_sums(writer, delta);
        writer.end(increments);
        let fixed = writer.begin_document("$setOnInsert");
        writer.date("bucket", bucket);
        writer.elements(by);
        writer.end(fixed);
        writer.end(change);
        writer.boolean("upsert", true);
        writer.end(update);
    }

    fn write_sums(&self, writer: &mut Writer, delta: &Delta) {
        writer.int64("count", delta.count);
        for ((name, scale), sum) in self.sums.iter().zip(&delta.sums) {
            match scale {
                Some(scale) => writer.decimal(name, decimal::encode(*sum, *scale)),
                // Ints of one batch: far from 64 bits.
                None => writer.int64(name, i64::try_from(*sum).unwrap_or(i64::MAX)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use mongodb::bson::{Document, RawDocumentBuf};
    use proptest::prelude::*;

    use super::*;
    use crate::decode::decoder;
    use crate::settings::{Format, MongoDb};
    use crate::table::Schema;

    const SCHEMA: &str = r#"{"type": "record", "name": "Sale", "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "region", "type": ["null", "string"]},
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
        {"name": "quantity", "type": ["null", "int"]}
    ]}"#;

    fn plan() -> Plan {
        let mut settings = MongoDb::default();
        settings.rollup.time = Some("at".into());
        settings.rollup.by = vec!["region".into()];
        settings.rollup.sum = vec!["amount".into(), "quantity".into()];
        let schema = Schema::from_avsc(SCHEMA).expect("a schema");
        Plan::new(&settings, Arc::new(schema), Format::Json).expect("a plan")
    }

    /// A sale: microseconds, region, cents, pieces.
    type Sale = (i64, Option<String>, i64, Option<i32>);
    /// By kind of bucket, start and region: count, cents, pieces.
    type Naive = BTreeMap<(usize, i64, Option<String>), (i64, i128, i128)>;

    /// Sums of `sales`, and the documents that they become.
    fn summed(plan: &Plan, sales: &[Sale]) -> (Sums, Vec<RawDocumentBuf>) {
        let mut decoder = decoder(Format::Json, &plan.schema);
        for (at, region, cents, pieces) in sales {
            let amount = format!(
                "{}{}.{:02}",
                if *cents < 0 { "-" } else { "" },
                cents.abs() / 100,
                cents.abs() % 100
            );
            let json = serde_json::json!({"at": at, "region": region, "amount": amount, "quantity": pieces});
            decoder.append(json.to_string().as_bytes()).expect("a row");
        }
        let columns = decoder.finish();
        let readers: Vec<_> = plan
            .schema
            .columns
            .iter()
            .zip(&columns)
            .map(|(c, a)| Reader::new(c, a))
            .collect();
        let mut sums = Sums::default();
        let mut documents = Vec::new();
        for row in 0..sales.len() {
            sums.add_row(plan.rollup.as_ref().expect("rollups"), &readers, row);
            let mut writer = Writer::default();
            let open = writer.begin();
            for reader in &readers {
                reader.write(row, &mut writer).expect("no map");
            }
            writer.end(open);
            documents.push(RawDocumentBuf::from_bytes(writer.bytes).expect("a document"));
        }
        (sums, documents)
    }

    fn shown(sums: &Sums) -> Naive {
        let mut naive = Naive::new();
        for grain in 0..GRAINS.len() {
            for (bucket, by, delta) in sums.of_grain(grain) {
                let by = RawDocumentBuf::from_bytes(by.to_vec()).expect("a document");
                let by = Document::try_from(&*by).expect("sound BSON");
                let region = by.get_str("region").ok().map(str::to_owned);
                naive.insert(
                    (grain, bucket, region),
                    (delta.count, delta.sums[0], delta.sums[1]),
                );
            }
        }
        naive
    }

    fn naive(sales: &[Sale]) -> Naive {
        let mut naive = Naive::new();
        for (at, region, cents, pieces) in sales {
            for (grain, micros) in [60_000_000, 86_400_000_000].into_iter().enumerate() {
                let bucket = (at.div_euclid(micros) * micros).div_euclid(1_000);
                let sum = naive.entry((grain, bucket, region.clone())).or_default();
                sum.0 += 1;
                sum.1 += i128::from(*cents);
                sum.2 += i128::from(pieces.unwrap_or(0));
            }
        }
        naive
    }

    fn sale() -> impl Strategy<Value = Sale> {
        let at = -200_000_000_000_i64..200_000_000_000;
        let region =
            proptest::option::of(prop_oneof![Just("Corse".to_owned()), Just(String::new())]);
        (
            at,
            region,
            -1_000_000_i64..1_000_000,
            proptest::option::of(-5..5_i32),
        )
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_rows(sales in proptest::collection::vec(sale(), 0..60)) {
            let (sums, _) = summed(&plan(), &sales);
            prop_assert_eq!(shown(&sums), naive(&sales));
        }

        #[test]
        fn what_is_added_and_removed_leaves_nothing(sales in proptest::collection::vec(sale(), 0..40)) {
            let plan = plan();
            let (mut sums, documents) = summed(&plan, &sales);
            for document in &documents {
                let rollup = plan.rollup.as_ref().expect("rollups");
                prop_assert_eq!(sums.remove_document(&plan, rollup, document), Some(()));
            }
            prop_assert_eq!(shown(&sums), Naive::new());
        }
    }

    /// What is written of one sale, as element `0` of a list.
    fn written(is_there: bool) -> Document {
        let plan = plan();
        let (sums, _) = summed(&plan, &[(60_000_001, Some("Corse".into()), 1_205, Some(3))]);
        let shape = Shape {
            sums: vec![("amount", Some(2)), ("quantity", None)],
            part: 4,
        };
        let mut writer = Writer::default();
        let open = writer.begin();
        for addend in sums.of_grain(0) {
            match is_there {
                true => shape.write_update(&mut writer, "0", addend),
                false => shape.write_new(&mut writer, "0", addend),
            }
        }
        writer.end(open);
        let raw = RawDocumentBuf::from_bytes(writer.bytes).expect("a document");
        Document::try_from(&*raw).expect("sound BSON")
    }

    #[test]
    fn an_update_adds_and_names_what_is_new() {
        let bucket = mongodb::bson::DateTime::from_millis(60_000);
        let amount: mongodb::bson::Decimal128 = "12.05".parse().expect("a decimal");
        let expected = mongodb::bson::doc! {"0": {
            "q": {"_id": {"bucket": bucket, "by": {"region": "Corse"}, "part": 4}},
            "u": {
                "$inc": {"count": 1_i64, "amount": amount, "quantity": 3_i64},
                "$setOnInsert": {"bucket": bucket, "region": "Corse"},
            },
            "upsert": true,
        }};
        assert_eq!(written(true), expected);
    }

    #[test]
    fn a_new_document_is_what_the_update_would_have_made() {
        let bucket = mongodb::bson::DateTime::from_millis(60_000);
        let amount: mongodb::bson::Decimal128 = "12.05".parse().expect("a decimal");
        let expected = mongodb::bson::doc! {"0": {
            "_id": {"bucket": bucket, "by": {"region": "Corse"}, "part": 4},
            "bucket": bucket, "region": "Corse",
            "count": 1_i64, "amount": amount, "quantity": 3_i64,
        }};
        assert_eq!(written(false), expected);
    }
}
