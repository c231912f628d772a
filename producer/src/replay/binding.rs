//! Which column of a file holds which field of a sale.
//!
//! columns, --map, --set ──► Binding
//!
//! Owns the decision for every field, made once before the first record.

use super::{ReplayError, ReplaySettings};
use crate::sale::Field;

/// Where the value of a field comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A column.
    Column,
    /// The same for all, given with --set.
    Constant,
    /// Made from other fields, or from the number of the line, or null.
    Derived,
}

/// What is known of the columns of a file before its records are read.
#[derive(Debug)]
pub(super) struct Columns {
    /// Their names, or those of the first record's members.
    pub(super) names: Vec<String>,
    /// Whether there can be no others.
    pub(super) complete: bool,
}

impl Columns {
    /// Whether records may have the field although it was not seen. What can be made from other
    /// fields is made for all records or for none: a single sale without its identity is a bad
    /// line and no new sale.
    fn may_have(&self, field: Field) -> bool {
        !self.complete && (field == Field::CustomerId || !may_be_derived(field))
    }
}

/// The decision for every field.
#[derive(Debug)]
pub(super) struct Binding {
    /// By field: the origin, and the name of the column or the constant.
    fields: Vec<(Origin, String)>,
}

impl Binding {
    /// Decides.
    pub(super) fn new(settings: &ReplaySettings, columns: &Columns) -> Result<Self, ReplayError> {
        let mut decided: Vec<Option<(Origin, String)>> = vec![None; Field::COUNT];
        let mapped = settings
            .map
            .iter()
            .map(|(c, f)| ("map", f, (Origin::Column, c.clone())));
        let set = settings
            .set
            .iter()
            .map(|(f, v)| ("set", f, (Origin::Constant, v.clone())));
        for (option, name, origin) in mapped.chain(set) {
            let field = field_named(option, name)?;
            if origin.0 == Origin::Column {
                check_column(&origin.1, columns, settings)?;
            }
            if decided[field as usize].replace(origin).is_some() {
                return Err(ReplayError::Twice {
                    field: field.name(),
                });
            }
        }
        let mut unbound = Vec::new();
        let fields = Field::ALL
            .into_iter()
            .zip(decided)
            .map(|(field, decided)| {
                decided.unwrap_or_else(|| {
                    let name = field.name().to_owned();
                    if columns.names.contains(&name) || columns.may_have(field) {
                        return (Origin::Column, name);
                    }
                    if !may_be_derived(field) {
                        unbound.push(field.name());
                    }
                    (Origin::Derived, name)
                })
            })
            .collect();
        if unbound.is_empty() {
            return Ok(Self { fields });
        }
        Err(ReplayError::Unbound {
            path: settings.path.clone(),
            fields: unbound.join(", "),
            columns: columns.names.join(", "),
        })
    }

    pub(super) fn origin(&self, field: Field) -> Origin {
        self.fields[field as usize].0
    }

    /// Name of the column for errors.
    pub(super) fn column(&self, field: Field) -> &str {
        match &self.fields[field as usize] {
            (Origin::Constant, _) => "--set",
            (_, name) => name,
        }
    }

    /// Columns to be read and the cells they go to.
    pub(super) fn wanted(&self) -> Vec<(String, usize)> {
        let columns = self.fields.iter().enumerate();
        columns
            .filter(|(_, (origin, _))| *origin == Origin::Column)
            .map(|(cell, (_, name))| (name.clone(), cell))
            .collect()
    }

    /// Values that are the same for all records.
    pub(super) fn constants(&self) -> impl Iterator<Item = (Field, &str)> {
        Field::ALL
            .into_iter()
            .zip(&self.fields)
            .filter(|(_, (origin, _))| *origin == Origin::Constant)
            .map(|(field, (_, value))| (field, value.as_str()))
    }
}

/// Whether a sale is whole without the field in the file.
fn may_be_derived(field: Field) -> bool {
    matches!(field, Field::SaleId | Field::Amount | Field::CustomerId)
}

fn field_named(option: &'static str, name: &str) -> Result<Field, ReplayError> {
    Field::named(name).ok_or_else(|| {
        let names = Field::ALL.map(Field::name);
        let hint = hint(name, names.iter().copied());
        ReplayError::NoSuchField {
            option,
            field: name.to_owned(),
            hint,
        }
    })
}

fn check_column(
    column: &str,
    columns: &Columns,
    settings: &ReplaySettings,
) -> Result<(), ReplayError> {
    if !columns.complete || columns.names.iter().any(|name| name == column) {
        return Ok(());
    }
    let hint = hint(column, columns.names.iter().map(String::as_str));
    Err(ReplayError::NoSuchColumn {
        column: column.to_owned(),
        path: settings.path.clone(),
        hint,
    })
}

/// The nearest name if one is near, else all of them.
fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let nearest = known
        .clone()
        .map(|known| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase()),
                known,
            )
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, nearest)) if likeness > 0.8 => format!("did you mean `{nearest}`?"),
        _ => format!("there are {}", known.collect::<Vec<_>>().join(", ")),
    }
}
