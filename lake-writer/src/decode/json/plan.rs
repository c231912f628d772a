//! What the JSON decoder knows of each column beside its values: names, defaults, learned order.
//!
//! Owns: the tree that runs beside the tree of builders, made from the same schema.

use super::names::{Keys, Names};
use crate::table::{Column, Kind};

/// What is known of one column.
#[derive(Debug)]
pub(super) struct Plan {
    /// For the dotted path in a reject.
    pub(super) name: Box<str>,
    /// What to append when an object lacks the field.
    pub(super) missing: Missing,
    shape: Shape,
    /// The round of the enclosing record in which the field was met last.
    met: u64,
}

/// What a missing field becomes.
#[derive(Debug)]
pub(super) enum Missing {
    Reject,
    Null,
    /// The default as JSON, read like a message's value.
    Default(Box<[u8]>),
}

/// What is below a column.
#[derive(Debug)]
enum Shape {
    Leaf,
    Symbols(Names),
    Record(RecordPlan),
    /// Items of an array, or values of a map.
    Items(Box<Plan>),
}

/// What is known of a record.
#[derive(Debug)]
pub(super) struct RecordPlan {
    /// The fields' names.
    pub(super) keys: Keys,
    /// In the order of the schema.
    pub(super) fields: Vec<Plan>,
    /// Counts the objects read, so that a field met twice in one is noticed without clearing.
    pub(super) round: u64,
}

impl Plan {
    fn new(column: &Column) -> Self {
        let shape = match &column.kind {
            Kind::Enum(symbols) => Shape::Symbols(Names::new(symbols.iter().map(String::as_str))),
            Kind::Record(columns) => Shape::Record(RecordPlan::new(columns)),
            Kind::Array(of) | Kind::Map(of) => Shape::Items(Box::new(Self::new(of))),
            _ => Shape::Leaf,
        };
        let missing = match &column.default {
            Some(serde_json::Value::Null) => Missing::Null,
            Some(value) => Missing::Default(value.to_string().into_bytes().into()),
            None if column.nullable => Missing::Null,
            None => Missing::Reject,
        };
        Self {
            name: column.name.as_str().into(),
            missing,
            shape,
            met: 0,
        }
    }

    /// The symbols of an enum.
    pub(super) fn symbols(&self) -> &Names {
        match &self.shape {
            Shape::Symbols(symbols) => symbols,
            _ => unreachable!("plan and columns come from one schema"),
        }
    }

    /// What is known of a record.
    #[inline]
    pub(super) fn record(&mut self) -> &mut RecordPlan {
        match &mut self.shape {
            Shape::Record(record) => record,
            _ => unreachable!("plan and columns come from one schema"),
        }
    }

    /// What is known of the items of an array, or the values of a map.
    #[inline]
    pub(super) fn items(&mut self) -> &mut Self {
        match &mut self.shape {
            Shape::Items(items) => items,
            _ => unreachable!("plan and columns come from one schema"),
        }
    }

    /// Whether the field is met for the first time in this round.
    #[inline]
    pub(super) fn first_in(&mut self, round: u64) -> bool {
        let first = self.met != round;
        self.met = round;
        first
    }
}

impl RecordPlan {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self {
            keys: Keys::new(columns.iter().map(|column| column.name.as_str())),
            fields: columns.iter().map(Plan::new).collect(),
            round: 0,
        }
    }

    /// Begins another object.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }
}
