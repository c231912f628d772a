//! The parameters of a query: which types they have, and the values that a client binds to them.
//!
//! Values have the types that clients say, or are told: what they are compared with may make others of
//! them, without a digit lost.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field};
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ParamValues, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion_postgres::arrow_pg::datatypes::df::deserialize_parameters_with_server_types;
use datafusion_postgres::arrow_pg::datatypes::into_pg_type;
use datafusion_postgres::pgwire::api::Type;
use datafusion_postgres::pgwire::api::portal::{Format, Portal};
use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::types::FromSqlText;
use postgres_types::{FromSqlOwned, Kind};
use rust_decimal::Decimal;

use super::arrays;
use super::fault::{error, of_engine};
use crate::zone::{UTC, Zone, text};

/// The parameters of one query, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Parameters {
    types: Vec<Option<DataType>>,
    /// Those that are arrays, by number from 1; their types are those of the elements.
    arrays: BTreeSet<usize>,
}

/// What a client has bound.
enum Bound {
    One(ScalarValue),
    /// Elements of an array, and their type.
    Many(Vec<ScalarValue>, DataType),
}

impl Parameters {
    /// The parameters of a plan; `arrays` are the numbers of those that are arrays.
    ///
    /// # Errors
    /// 42P02 for a parameter that is not numbered.
    pub(super) fn of(plan: &LogicalPlan, arrays: BTreeSet<usize>) -> PgWireResult<Self> {
        let known = known(plan).map_err(|cause| of_engine(&cause))?;
        let types = ordered(&known)?;
        Ok(Self { types, arrays })
    }

    /// So many parameters of which nothing is known.
    pub(super) fn unknown(number: usize) -> Self {
        Self {
            types: vec![None; number],
            arrays: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.types.len()
    }

    /// Their types as clients are told them; a text where nothing tells.
    ///
    /// # Errors
    /// For types that the protocol cannot carry.
    pub(super) fn types(&self) -> PgWireResult<Vec<Type>> {
        let told = |(at, given): (usize, &Option<DataType>)| match given {
            Some(kind) if self.arrays.contains(&(at + 1)) => into_pg_type(&list(kind)),
            Some(kind) => into_pg_type(kind),
            None if self.arrays.contains(&(at + 1)) => Ok(Type::TEXT_ARRAY),
            None => Ok(Type::TEXT),
        };
        self.types.iter().enumerate().map(told).collect()
    }

    /// The plan with what a portal has bound, read in a session's zone.
    ///
    /// # Errors
    /// 08P01 if there are too few or too many, 22P02 and 22023 if one cannot be read.
    pub(super) fn bound<S: Clone>(
        &self,
        plan: LogicalPlan,
        portal: &Portal<S>,
        zone: Zone,
    ) -> PgWireResult<LogicalPlan> {
        let (given, wanted) = (portal.parameter_len(), self.len());
        if given != wanted {
            let text = format!(
                "bind message supplies {given} parameters, but the statement requires {wanted}"
            );
            return Err(error("08P01", text));
        }
        if given == 0 {
            return Ok(plan);
        }
        if let Format::Individual(codes) = &portal.parameter_format
            && codes.len() != given
        {
            let text = format!(
                "bind message has {} parameter formats but {given} parameters",
                codes.len()
            );
            return Err(error("08P01", text));
        }
        let told = self.types()?;
        let values = (0..given)
            .map(|at| self.value(portal, at, &told, zone))
            .collect::<PgWireResult<Vec<Bound>>>()?;
        put(plan, &values, &self.arrays).map_err(|cause| of_engine(&cause))
    }

    /// One value. A client that says what it sends is read by that, whatever it is compared with.
    fn value<S: Clone>(
        &self,
        portal: &Portal<S>,
        at: usize,
        told: &[Type],
        zone: Zone,
    ) -> PgWireResult<Bound> {
        let hinted = portal.statement.parameter_types.get(at);
        let hinted = hinted
            .and_then(Option::as_ref)
            .filter(|hint| **hint != Type::UNKNOWN);
        let kind = hinted.unwrap_or(&told[at]);
        let element = match kind.kind() {
            Kind::Array(element) => Some(element),
            _ => None,
        };
        if element.is_none() && self.arrays.contains(&(at + 1)) {
            let text = format!("parameter ${} is an array, not a {}", at + 1, kind.name());
            return Err(error("42804", text));
        }
        let reading = Reading {
            portal,
            at,
            kind,
            is_array: element.is_some(),
        };
        if let Some(value) = reading.common(element.unwrap_or(kind), zone)? {
            return Ok(value);
        }
        if let Some(element) = element {
            let (number, element) = (at + 1, element.name());
            let text = format!("parameter ${number}: arrays of {element} are not taken");
            return Err(error("0A000", text));
        }
        // What is rare is read all at once.
        let types: Vec<Option<&DataType>> = self.types.iter().map(Option::as_ref).collect();
        let told: Vec<Option<&Type>> = told.iter().map(Some).collect();
        match deserialize_parameters_with_server_types(portal, &types, &told)? {
            ParamValues::List(mut all) if at < all.len() => {
                Ok(Bound::One(all.swap_remove(at).into_inner().0))
            }
            _ => Err(error(
                "22023",
                format!("parameter ${} cannot be read", at + 1),
            )),
        }
    }
}

fn list(element: &DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element.clone(), true)))
}

/// What is known of each parameter: what it is cast to, or compared with, where that is said first.
fn known(plan: &LogicalPlan) -> Result<HashMap<String, Option<DataType>>, DataFusionError> {
    let mut known: HashMap<String, Option<DataType>> = HashMap::new();
    let mut told = |id: &str, kind: Option<&DataType>| {
        let known = known.entry(id.to_owned()).or_default();
        if known.is_none() {
            *known = kind.cloned();
        }
    };
    plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                match expr {
                    Expr::Cast(cast) => {
                        if let Expr::Placeholder(placeholder) = cast.expr.as_ref() {
                            told(&placeholder.id, Some(cast.field.data_type()));
                        }
                    }
                    Expr::Placeholder(placeholder) => {
                        let kind = placeholder.field.as_ref().map(|field| field.data_type());
                        told(&placeholder.id, kind);
                    }
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(known)
}

/// The types of `$1`, `$2` and so on, in order.
fn ordered(types: &HashMap<String, Option<DataType>>) -> PgWireResult<Vec<Option<DataType>>> {
    let mut ordered = Vec::new();
    for (name, given) in types {
        let number: usize = name
            .trim_start_matches('$')
            .parse()
            .ok()
            .filter(|number| (1..=65_535).contains(number))
            .ok_or_else(|| error("42P02", format!("there is no parameter {name}")))?;
        if ordered.len() < number {
            ordered.resize(number, None);
        }
        ordered[number - 1].clone_from(given);
    }
    Ok(ordered)
}

/// A parameter that is being read.
struct Reading<'a, S: Clone> {
    portal: &'a Portal<S>,
    at: usize,
    kind: &'a Type,
    is_array: bool,
}

impl<'a, S: Clone> Reading<'a, S> {
    /// A value, or an array of elements, of a type that is common; `None` for others.
    fn common(&self, element: &Type, zone: Zone) -> PgWireResult<Option<Bound>> {
        let is_text = self.portal.parameter_format.is_text(self.at);
        let read = match *element {
            Type::BOOL => self.each(ScalarValue::Boolean),
            Type::INT2 => self.each(ScalarValue::Int16),
            Type::INT4 => self.each(ScalarValue::Int32),
            Type::INT8 => self.each(ScalarValue::Int64),
            Type::FLOAT4 => self.each(ScalarValue::Float32),
            Type::FLOAT8 => self.each(ScalarValue::Float64),
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => self.each(ScalarValue::Utf8),
            Type::NUMERIC => self.decimals(),
            Type::DATE => self.each(date),
            Type::TIMESTAMP => self.each(clock),
            Type::TIMESTAMPTZ if is_text => self.instants(zone),
            Type::TIMESTAMPTZ => self.each(instant),
            _ => return Ok(None),
        };
        read.map(Some)
    }

    /// The value, or each element, as `make` makes it; an array that is NULL is a NULL.
    fn each<T>(&self, make: impl Fn(Option<T>) -> ScalarValue) -> PgWireResult<Bound>
    where
        T: FromSqlOwned + FromSqlText<'a> + Debug,
        Vec<Option<T>>: FromSqlText<'a>,
    {
        if !self.is_array {
            return Ok(Bound::One(make(self.portal.parameter(self.at, self.kind)?)));
        }
        let given: Option<Vec<Option<T>>> = self.portal.parameter(self.at, self.kind)?;
        let Some(given) = given else {
            return Ok(Bound::One(ScalarValue::Null));
        };
        let element = make(None).data_type();
        Ok(Bound::Many(given.into_iter().map(make).collect(), element))
    }

    /// Decimals. Those of an array have one scale, the largest of theirs.
    fn decimals(&self) -> PgWireResult<Bound> {
        if !self.is_array {
            return self.each(decimal);
        }
        let given: Option<Vec<Option<Decimal>>> = self.portal.parameter(self.at, self.kind)?;
        let scale = given.iter().flatten().flatten().map(Decimal::scale).max();
        let scale = scale.unwrap_or(0);
        self.each(|value: Option<Decimal>| {
            let mantissa = value.map(|mut value| {
                value.rescale(scale);
                value.mantissa()
            });
            ScalarValue::Decimal128(mantissa, 38, scale as i8)
        })
    }

    /// Instants that are written as text; without an offset they are of the zone.
    fn instants(&self, zone: Zone) -> PgWireResult<Bound> {
        let kind = match self.is_array {
            true => &Type::TEXT_ARRAY,
            false => &Type::TEXT,
        };
        let texts = Reading { kind, ..*self };
        match texts.each(ScalarValue::Utf8)? {
            Bound::One(ScalarValue::Utf8(text)) => {
                instant_of_text(text.as_deref(), zone).map(Bound::One)
            }
            Bound::One(null) => Ok(Bound::One(null)),
            Bound::Many(texts, _) => {
                let read = |text: ScalarValue| match text {
                    ScalarValue::Utf8(text) => instant_of_text(text.as_deref(), zone),
                    other => Ok(other),
                };
                let values: PgWireResult<_> = texts.into_iter().map(read).collect();
                Ok(Bound::Many(values?, instant(None).data_type()))
            }
        }
    }
}

/// Every digit is kept, whatever the value is compared with.
fn decimal(value: Option<Decimal>) -> ScalarValue {
    let Some(value) = value else {
        return ScalarValue::Decimal128(None, 38, 0);
    };
    let digits = value
        .mantissa()
        .unsigned_abs()
        .checked_ilog10()
        .unwrap_or(0)
        + 1;
    let digits = digits.max(value.scale());
    // Both are at most 29.
    ScalarValue::Decimal128(Some(value.mantissa()), digits as u8, value.scale() as i8)
}

fn date(value: Option<NaiveDate>) -> ScalarValue {
    ScalarValue::Date32(value.map(Date32Type::from_naive_date))
}

fn clock(value: Option<NaiveDateTime>) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(value.map(|time| time.and_utc().timestamp_micros()), None)
}

fn instant(value: Option<DateTime<FixedOffset>>) -> ScalarValue {
    let value = value.map(|time| time.timestamp_micros());
    ScalarValue::TimestampMicrosecond(value, Some(UTC.into()))
}

fn instant_of_text(text: Option<&str>, zone: Zone) -> PgWireResult<ScalarValue> {
    let read = text.map(|text| text::read(text, zone)).transpose();
    let read = read.map_err(|cause| error("22007", cause.to_string()))?;
    Ok(ScalarValue::TimestampMicrosecond(read, Some(UTC.into())))
}

/// Puts values into a plan.
fn put(
    plan: LogicalPlan,
    values: &[Bound],
    arrays: &BTreeSet<usize>,
) -> Result<LogicalPlan, DataFusionError> {
    let plan = arrays::with_elements(plan, arrays, &|number| match values.get(number - 1) {
        Some(Bound::Many(elements, _)) => Some(elements),
        _ => None,
    })?;
    let value = |bound: &Bound| -> ScalarAndMetadata {
        let value = match bound {
            Bound::One(value) => value.clone(),
            Bound::Many(values, kind) => {
                ScalarValue::List(ScalarValue::new_list_nullable(values, kind))
            }
        };
        value.into()
    };
    plan.replace_params_with_values(&ParamValues::List(values.iter().map(value).collect()))
}
