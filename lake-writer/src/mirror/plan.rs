//! What the settings make of a schema: which field is what, with everything that cannot be refused
//! at start, by name.
//!
//! ```text
//! [mirror.mongodb], Schema ─► Plan
//! ```
//!
//! Owns: what can be an `_id`, a bucket, a `by` field and an exact sum.
//! Does not own: how any of it is written.

use std::sync::Arc;

use crate::settings::{Format, MongoDb};
use crate::table::{Column, Kind, Schema};

use super::decimal;

/// Names of a rollup's own fields, which no field of the schema may have there.
const OWN: [&str; 3] = ["_id", "bucket", "count"];

/// Most digits of a decimal that is summed: ten billion of the largest still fit 34.
const SUM_DIGITS: u8 = 24;

/// Settings that describe no mirror of this schema.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}; {remedy}")]
pub struct PlanError {
    /// The key of the settings.
    key: &'static str,
    problem: String,
    remedy: String,
}

fn refuse<T>(
    key: &'static str,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, PlanError> {
    Err(PlanError {
        key,
        problem: problem.into(),
        remedy: remedy.into(),
    })
}

/// Where a document's `_id` comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    /// Partition and offset of its message.
    Offset,
    /// This column: later messages replace, tombstones delete.
    Field(usize),
}

/// A field that is summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) column: usize,
    /// Digits after the point of a Decimal128; `None` for 64-bit integers.
    pub(super) scale: Option<i8>,
}

/// Which sums are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rollup {
    pub(super) time: usize,
    pub(super) by: Vec<usize>,
    pub(super) sum: Vec<Sum>,
}

/// What is mirrored, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) schema: Arc<Schema>,
    pub(super) format: Format,
    pub(super) id: Id,
    pub(super) rollup: Option<Rollup>,
    pub(super) ttl_seconds: Option<u64>,
    /// Fields whose values follow a reference table, and not the message alone.
    pub(super) looked_up: Vec<String>,
}

impl Plan {
    /// Checks the settings against the schema.
    ///
    /// # Errors
    /// Names the key, the field and the remedy.
    pub fn new(settings: &MongoDb, schema: Arc<Schema>, format: Format) -> Result<Self, PlanError> {
        refuse_columns(&schema.columns, "")?;
        let id = id(&settings.id, &schema)?;
        let rollup = rollup(settings, &schema)?;
        if settings.ttl_seconds.is_some() {
            const KEY: &str = "mirror.mongodb.ttl_seconds";
            if rollup.is_none() {
                return refuse(
                    KEY,
                    "no time field is set",
                    "set mirror.mongodb.rollup.time",
                );
            }
            if id != Id::Offset {
                let problem = "a document that has expired cannot correct its rollups when its \
                               key comes again";
                return refuse(KEY, problem, "use it with mirror.mongodb.id = \"offset\"");
            }
        }
        let looked_up = schema.looked_up_names();
        Ok(Self {
            looked_up: looked_up.into_iter().map(str::to_owned).collect(),
            schema,
            format,
            id,
            rollup,
            ttl_seconds: settings.ttl_seconds,
        })
    }

    /// Name of a column.
    pub(super) fn name(&self, column: usize) -> &str {
        &self.schema.columns[column].name
    }
}

fn refuse_columns(columns: &[Column], path: &str) -> Result<(), PlanError> {
    const KEY: &str = "table.schema";
    for column in columns {
        let name = format!("{path}{}", column.name);
        if path.is_empty() && column.name == "_id" {
            return refuse(
                KEY,
                "a field is called `_id`, as MongoDB's key is",
                "rename it",
            );
        }
        refuse_kind(&column.kind, &name)?;
    }
    Ok(())
}

fn refuse_kind(kind: &Kind, name: &str) -> Result<(), PlanError> {
    match kind {
        Kind::Decimal { precision, .. } if *precision > decimal::DIGITS => refuse(
            "table.schema",
            format!("field `{name}` has {precision} digits, and Decimal128 holds 34"),
            "lower its precision",
        ),
        Kind::Record(columns) => refuse_columns(columns, &format!("{name}.")),
        Kind::Array(item) => refuse_kind(&item.kind, name),
        Kind::Map(value) => refuse_kind(&value.kind, name),
        _ => Ok(()),
    }
}

fn id(setting: &str, schema: &Schema) -> Result<Id, PlanError> {
    const KEY: &str = "mirror.mongodb.id";
    if setting == "offset" {
        return Ok(Id::Offset);
    }
    let Some(name) = setting.strip_prefix("field:") else {
        let problem = format!("`{setting}` is neither `offset` nor `field:<name>`");
        return refuse(KEY, problem, "write one of them");
    };
    let column = find(KEY, name, schema)?;
    let Column { kind, nullable, .. } = &schema.columns[column];
    let is_fit = matches!(
        kind,
        Kind::String | Kind::Enum(_) | Kind::Uuid { .. } | Kind::Int | Kind::Long
    );
    if !is_fit || *nullable {
        return refuse(
            KEY,
            format!("field `{name}` cannot be a key"),
            "name a string, enum, uuid, int or long that is never null",
        );
    }
    Ok(Id::Field(column))
}

fn find(key: &'static str, name: &str, schema: &Schema) -> Result<usize, PlanError> {
    match schema.columns.iter().position(|column| column.name == name) {
        Some(column) => Ok(column),
        None => {
            let names: Vec<&str> = schema.columns.iter().map(|c| c.name.as_str()).collect();
            refuse(
                key,
                format!("the schema has no field `{name}`"),
                format!("it has {}", names.join(", ")),
            )
        }
    }
}

fn rollup(settings: &MongoDb, schema: &Schema) -> Result<Option<Rollup>, PlanError> {
    let wanted = &settings.rollup;
    let Some(time) = &wanted.time else {
        if wanted.by.is_empty() && wanted.sum.is_empty() {
            return Ok(None);
        }
        return refuse(
            "mirror.mongodb.rollup.time",
            "is not set, while `by` or `sum` is",
            "name the field that says when",
        );
    };
    let by = |name: &String| by(name, schema);
    let sum = |name: &String| sum(name, schema);
    Ok(Some(Rollup {
        time: self::time(time, schema)?,
        by: wanted.by.iter().map(by).collect::<Result<_, _>>()?,
        sum: wanted.sum.iter().map(sum).collect::<Result<_, _>>()?,
    }))
}

fn time(name: &str, schema: &Schema) -> Result<usize, PlanError> {
    const KEY: &str = "mirror.mongodb.rollup.time";
    let column = find(KEY, name, schema)?;
    let Column { kind, nullable, .. } = &schema.columns[column];
    let is_fit = matches!(
        kind,
        Kind::TimestampMillis | Kind::TimestampMicros | Kind::Date
    );
    if !is_fit || *nullable {
        let problem = format!("field `{name}` does not say when");
        return refuse(KEY, problem, "name a timestamp or date that is never null");
    }
    Ok(column)
}

fn by(name: &str, schema: &Schema) -> Result<usize, PlanError> {
    const KEY: &str = "mirror.mongodb.rollup.by";
    let column = find(KEY, name, schema)?;
    let is_fit = matches!(
        schema.columns[column].kind,
        Kind::String | Kind::Enum(_) | Kind::Uuid { .. } | Kind::Int | Kind::Long | Kind::Boolean
    );
    if !is_fit || OWN.contains(&name) {
        return refuse(
            KEY,
            format!("rollups cannot be kept by field `{name}`"),
            "name strings, enums, uuids, ints, longs or booleans, not called `bucket` or `count`",
        );
    }
    Ok(column)
}

fn sum(name: &str, schema: &Schema) -> Result<Sum, PlanError> {
    const KEY: &str = "mirror.mongodb.rollup.sum";
    let column = find(KEY, name, schema)?;
    let scale = match schema.columns[column].kind {
        Kind::Int => Some(None),
        // A sum of longs may leave 64 bits; 34 digits it does not.
        Kind::Long => Some(Some(0)),
        Kind::Decimal {
            precision, scale, ..
        } if precision <= SUM_DIGITS => Some(Some(scale)),
        _ => None,
    };
    match scale {
        Some(scale) if !OWN.contains(&name) => Ok(Sum { column, scale }),
        _ => refuse(
            KEY,
            format!("field `{name}` has no exact sum"),
            "name ints, longs or decimals of up to 24 digits, not called `bucket` or `count`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(set: impl FnOnce(&mut MongoDb)) -> Result<Plan, PlanError> {
        let schema =
            Schema::from_avsc(include_str!("../../../schemas/sale.avsc")).expect("a schema");
        let mut settings = MongoDb::default();
        set(&mut settings);
        Plan::new(&settings, Arc::new(schema), Format::Json)
    }

    #[test]
    fn a_field_that_cannot_be_what_it_should_is_named() {
        type Set = fn(&mut MongoDb);
        let wrong: [(&str, Set); 9] = [
            ("`regoin`", |s| {
                s.rollup.time = Some("sold_at".into());
                s.rollup.by = vec!["regoin".into()];
            }),
            ("`region`", |s| {
                s.rollup.time = Some("sold_at".into());
                s.rollup.sum = vec!["region".into()];
            }),
            ("`quantity`", |s| s.rollup.time = Some("quantity".into())),
            ("`amount`", |s| {
                s.rollup.time = Some("sold_at".into());
                s.rollup.by = vec!["amount".into()];
            }),
            ("rollup.time", |s| s.rollup.by = vec!["region".into()]),
            ("`customer_id`", |s| s.id = "field:customer_id".into()),
            ("`sale`", |s| s.id = "field:sale".into()),
            ("`key`", |s| s.id = "key".into()),
            ("ttl_seconds", |s| s.ttl_seconds = Some(1)),
        ];
        for (named, set) in wrong {
            let error = plan(set).expect_err(named).to_string();
            assert!(error.contains(named), "{error}");
        }
        assert!(
            plan(|_| ())
                .expect("the defaults are sound")
                .rollup
                .is_none()
        );
    }

    #[test]
    fn longs_are_summed_as_decimals_and_ints_as_longs() {
        let plan = plan(|s| {
            s.rollup.time = Some("sold_at".into());
            s.rollup.sum = vec!["quantity".into(), "amount".into()];
        });
        let sums = plan.expect("a plan").rollup.expect("rollups").sum;
        let scales: Vec<_> = sums.iter().map(|sum| sum.scale).collect();
        assert_eq!(scales, [None, Some(2)]);
    }
}
