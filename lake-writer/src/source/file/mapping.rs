//! Which column of a file is which field of the schema.

use std::path::Path;

use crate::table::Schema;

use super::FileError;

/// Columns with another name than their field: pairs of column and field.
#[derive(Clone, Debug, Default)]
pub struct ColumnMap(pub Vec<(String, String)>);

/// The decision for a file: of each column, the index of its field in the schema.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) fields: Vec<Option<usize>>,
    pub(super) unknown: Vec<String>,
}

impl ColumnMap {
    /// Whether it renames nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decides for a file with these columns.
    pub(super) fn decide(
        &self,
        path: &Path,
        columns: &[String],
        schema: &Schema,
    ) -> Result<Mapping, FileError> {
        let names = || schema.decoded().iter().map(|column| column.name.as_str());
        for (column, field) in &self.0 {
            let refused = |problem: String| FileError::Map {
                column: column.clone(),
                field: field.clone(),
                problem,
            };
            if !columns.contains(column) {
                let there = there_are(columns.iter().map(String::as_str));
                let file = path.display();
                return Err(refused(format!(
                    "`{file}` has no such column; there are {there}"
                )));
            }
            if !names().any(|name| name == field) {
                let there = there_are(names());
                return Err(refused(format!(
                    "the schema has no such field; there are {there}"
                )));
            }
        }
        let field_of = |column: &String| {
            let renamed = self.0.iter().find(|(from, _)| from == column);
            // A column that has the name of a field which another column was mapped to is not it.
            let taken = |name: &str| self.0.iter().any(|(_, to)| to == name);
            let name = match renamed {
                Some((_, field)) => field,
                None if taken(column) => return None,
                None => column,
            };
            names().position(|field| field == name)
        };
        let fields: Vec<Option<usize>> = columns.iter().map(field_of).collect();
        self.refuse_twice(columns, &fields, schema)?;
        refuse_missing(path, columns, &fields, schema)?;
        let unknown = columns.iter().zip(&fields);
        let unknown = unknown.filter(|(_, field)| field.is_none());
        Ok(Mapping {
            unknown: unknown.map(|(column, _)| column.clone()).collect(),
            fields,
        })
    }

    fn refuse_twice(
        &self,
        columns: &[String],
        fields: &[Option<usize>],
        schema: &Schema,
    ) -> Result<(), FileError> {
        for (at, field) in fields.iter().enumerate() {
            let Some(field) = field else { continue };
            if let Some(first) = fields[..at].iter().position(|other| *other == Some(*field)) {
                return Err(FileError::Map {
                    column: columns[at].clone(),
                    field: schema.columns[*field].name.clone(),
                    problem: format!("column `{}` is that field already", columns[first]),
                });
            }
        }
        Ok(())
    }
}

fn refuse_missing(
    path: &Path,
    columns: &[String],
    fields: &[Option<usize>],
    schema: &Schema,
) -> Result<(), FileError> {
    let required = schema.decoded().iter().enumerate();
    let required = required.filter(|(_, column)| !column.nullable && column.default.is_none());
    let missing = required.filter(|(index, _)| !fields.contains(&Some(*index)));
    let missing: Vec<&str> = missing.map(|(_, column)| column.name.as_str()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(FileError::NoColumn {
        path: path.to_owned(),
        fields: missing.join(", "),
        columns: columns.join(", "),
    })
}

fn there_are<'a>(known: impl Iterator<Item = &'a str>) -> String {
    known.collect::<Vec<_>>().join(", ")
}
