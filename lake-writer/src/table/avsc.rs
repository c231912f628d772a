//! The Avro schema file as a table's columns.
//!
//! ```text
//! schemas/sale.avsc ─► JSON ─► named types resolved, logical types checked ─► Schema
//! ```
//!
//! Owns: what of Avro a table can hold. The rest is refused here, at start, by field name and with
//! the remedy, so that a decoder never meets a type it cannot write.
//! Does not own: how values are spelled in messages (`decode`).
//!
//! The file is read as plain JSON and not through an Avro library: a library resolves a schema for
//! its own decoder and drops what does not matter there, such as a logical type it cannot use.
//! Here a `timestamp-micros` on a string is a mistake in a table's definition, not a string.

mod logical;
mod default;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Column, KAFKA_OFFSET, KAFKA_PARTITION, Kind, Schema};

/// Fields of a schema in all, nested ones included. A named type that is used twice counts twice,
/// so that a small file cannot unfold into millions of columns.
const MAX_FIELDS: usize = 16_384;
/// Levels of records, arrays and maps inside each other.
const MAX_DEPTH: usize = 64;
/// Bytes of a `fixed`.
const MAX_FIXED: u64 = 1 << 16;
/// Symbols of an enum.
const MAX_SYMBOLS: usize = 32_768;

/// A schema file that cannot be a table, with the path of the file.
#[derive(Debug, thiserror::Error)]
#[error("use {} as the table's schema", path.display())]
pub struct SchemaFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub source: SchemaError,
}

/// Why an Avro schema cannot be a table.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The file cannot be read.
    #[error("read the file")]
    Read(#[source] std::io::Error),
    /// The file is not JSON.
    #[error("the file is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// A field, or the schema as a whole, is not what a table can hold.
    #[error("{}{problem}; {remedy}", field.as_ref().map(|name| format!("field `{name}`: ")).unwrap_or_default())]
    Refused {
        /// Dotted path of the field; `None` when the schema as a whole is meant.
        field: Option<String>,
        /// What was found.
        problem: String,
        /// What to write instead.
        remedy: String,
    },
}

impl Schema {
    /// Reads a table's columns from an Avro schema file.
    ///
    /// # Errors
    /// The file is missing, not JSON, or holds what a table cannot: the error names file, field and
    /// remedy.
    pub fn from_file(path: &Path) -> Result<Self, SchemaFileError> {
        std::fs::read_to_string(path)
            .map_err(SchemaError::Read)
            .and_then(|text| Self::from_avsc(&text))
            .map_err(|source| SchemaFileError {
                path: path.to_owned(),
                source,
            })
    }

    /// Reads a table's columns from the text of an Avro schema.
    ///
    /// # Errors
    /// The text is not JSON, or holds what a table cannot: the error names field and remedy.
    pub fn from_avsc(text: &str) -> Result<Self, SchemaError> {
        let json: Value = serde_json::from_str(text).map_err(SchemaError::NotJson)?;
        let mut reader = Reader::default();
        let Some(record) = json.as_object().filter(|o| type_name(o) == Some("record")) else {
            return Err(reader.refuse("not a record", "describe the table as one Avro record"));
        };
        let name = reader.full_name(record, "")?;
        let Kind::Record(columns) = reader.record(record, "")? else {
            return Err(reader.refuse("not a record", "describe the table as one Avro record"));
        };
        for column in &columns {
            for own in [KAFKA_PARTITION, KAFKA_OFFSET] {
                if column.name.eq_ignore_ascii_case(own) {
                    reader.path.push(column.name.clone());
                    return Err(reader.refuse(
                        "lake-writer adds a column of this name itself, from the message's place in Kafka",
                        "rename the field",
                    ));
                }
            }
        }
        Ok(Self::new(name, columns))
    }
}

/// A named type: being read (met again now, it is recursive), or known.
#[derive(Clone)]
enum Named {
    Open,
    Known { kind: Kind, fields: usize },
}

/// What is known while a schema is read.
#[derive(Default)]
struct Reader {
    named: HashMap<String, Named>,
    fields: usize,
    /// Where in the schema we are, for errors.
    path: Vec<String>,
}

/// The type of a field, before it has a name.
struct Typed {
    kind: Kind,
    nullable: bool,
    null_branch: u8,
}

impl From<Kind> for Typed {
    fn from(kind: Kind) -> Self {
        Self {
            kind,
            nullable: false,
            null_branch: 0,
        }
    }
}

impl Reader {
    fn refuse(&self, problem: impl Into<String>, remedy: impl Into<String>) -> SchemaError {
        SchemaError::Refused {
            field: (!self.path.is_empty()).then(|| self.path.join(".")),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    fn count(&mut self, fields: usize) -> Result<(), SchemaError> {
        self.fields = self.fields.saturating_add(fields);
        if self.fields > MAX_FIELDS {
            return Err(self.refuse(
                format!("more than {MAX_FIELDS} fields, nested ones included"),
                "split the topic into several tables",
            ));
        }
        Ok(())
    }

    fn column(&mut self, name: &str, json: &Value, space: &str) -> Result<Column, SchemaError> {
        self.path.push(name.to_owned());
        self.count(1)?;
        if self.path.len() > MAX_DEPTH {
            return Err(self.refuse(
                format!("nested deeper than {MAX_DEPTH} levels"),
                "flatten the schema",
            ));
        }
        let typed = self.typed(json, space)?;
        self.path.pop();
        Ok(Column {
            name: name.to_owned(),
            kind: typed.kind,
            nullable: typed.nullable,
            null_branch: typed.null_branch,
            default: None,
        })
    }

    fn typed(&mut self, json: &Value, space: &str) -> Result<Typed, SchemaError> {
        match json {
            Value::String(name) => self.by_name(name, space).map(Typed::from),
            Value::Array(branches) => self.union(branches, space),
            Value::Object(object) => match object.get("type") {
                // `{"type": {"type": …}}` says nothing that the inner type does not.
                Some(inner @ (Value::Object(_) | Value::Array(_))) => self.typed(inner, space),
                _ => self.complex(object, space).map(Typed::from),
            },
            _ => Err(self.refuse(
                "neither a type's name, nor a type, nor a union",
                "see the Avro specification, \"Schema Declaration\"",
            )),
        }
    }

    fn union(&mut self, branches: &[Value], space: &str) -> Result<Typed, SchemaError> {
        let is_null = |branch: &Value| {
            let name = branch.as_object().map_or(branch.as_str(), type_name);
            name == Some("null")
        };
        match branches {
            [null, other] | [other, null] if is_null(null) && !is_null(other) => {
                let inner = self.typed(other, space)?;
                if inner.nullable {
                    return Err(self.refuse("a union in a union", "write one union"));
                }
                Ok(Typed {
                    kind: inner.kind,
                    nullable: true,
                    null_branch: u8::from(is_null(&branches[1])),
                })
            }
            [_] => Err(self.refuse("a union of one type", "write the type itself, or add null")),
            _ => Err(self.refuse(
                format!("a union of {} types", branches.len()),
                "a column holds one type: keep one beside null, or make a nullable field of each",
            )),
        }
    }

    fn by_name(&mut self, name: &str, space: &str) -> Result<Kind, SchemaError> {
        Ok(match name {
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            "null" => {
                return Err(self.refuse(
                    "a column of type null holds nothing",
                    "remove the field, or make it a union of null and a type",
                ));
            }
            _ => {
                let qualified = qualify(name, space);
                // A name without a dot may also mean a type outside of any namespace.
                let known = self.named.get(&qualified).or_else(|| self.named.get(name));
                match known.cloned() {
                    Some(Named::Known { kind, fields }) => {
                        self.count(fields)?;
                        kind
                    }
                    Some(Named::Open) => {
                        return Err(self.refuse(
                            format!("`{qualified}` holds itself"),
                            "a table has a fixed set of columns: unfold the recursion to the depth you need",
                        ));
                    }
                    None => {
                        return Err(self.refuse(
                            format!("type `{name}` is not defined before it is used"),
                            "define it at its first use, or correct its name or namespace",
                        ));
                    }
                }
            }
        })
    }

    /// A type written as an object.
    fn complex(&mut self, object: &Map<String, Value>, space: &str) -> Result<Kind, SchemaError> {
        let Some(name) = type_name(object) else {
            return Err(self.refuse("a type without `type`", "add the `type` attribute"));
        };
        let plain = match name {
            "record" | "error" => self.record(object, space)?,
            "enum" => self.enumeration(object, space)?,
            "fixed" => self.fixed(object, space)?,
            "array" => Kind::Array(Box::new(self.part(object, "items", "item", space)?)),
            "map" => Kind::Map(Box::new(self.part(object, "values", "value", space)?)),
            _ => self.by_name(name, space)?,
        };
        let kind = match object.get("logicalType") {
            Some(Value::String(logical)) => self.logical(logical, plain, object)?,
            _ => plain,
        };
        if name == "fixed" {
            // References by name get the logical type too: it belongs to the definition.
            let full = self.full_name(object, space)?;
            let known = Named::Known {
                kind: kind.clone(),
                fields: 0,
            };
            self.named.insert(full, known);
        }
        Ok(kind)
    }

    fn part(
        &mut self,
        object: &Map<String, Value>,
        attribute: &str,
        name: &str,
        space: &str,
    ) -> Result<Column, SchemaError> {
        match object.get(attribute) {
            Some(json) => self.column(name, json, space),
            None => Err(self.refuse(
                format!("no `{attribute}`"),
                format!("add the `{attribute}` attribute"),
            )),
        }
    }

    fn record(&mut self, object: &Map<String, Value>, space: &str) -> Result<Kind, SchemaError> {
        let full = self.full_name(object, space)?;
        let inner_space = full
            .rsplit_once('.')
            .map_or("", |(space, _)| space)
            .to_owned();
        self.define(&full)?;
        let before = self.fields;
        let fields = match object.get("fields") {
            Some(Value::Array(fields)) if !fields.is_empty() => fields,
            _ => {
                return Err(self.refuse(
                    "a record without fields",
                    "add a field: Parquet has no empty groups",
                ));
            }
        };
        let mut columns = Vec::with_capacity(fields.len());
        let mut seen = HashSet::new();
        for field in fields {
            let column = self.field(field, &inner_space)?;
            if !seen.insert(column.name.to_ascii_lowercase()) {
                self.path.push(column.name);
                return Err(self.refuse(
                    "another field has this name",
                    "rename one; upper and lower case are one to DuckDB, Spark and Hive",
                ));
            }
            columns.push(column);
        }
        let kind = Kind::Record(columns);
        let known = Named::Known {
            kind: kind.clone(),
            fields: self.fields - before,
        };
        self.named.insert(full, known);
        Ok(kind)
    }

    fn field(&mut self, field: &Value, space: &str) -> Result<Column, SchemaError> {
        let Some(name) = field.get("name").and_then(Value::as_str) else {
            return Err(self.refuse("a field without a name", "add the `name` attribute"));
        };
        if !is_name(name) {
            self.path.push(name.to_owned());
            return Err(self.refuse(
                "not a name that Avro allows",
                "use letters, digits and _, not beginning with a digit",
            ));
        }
        let Some(json) = field.get("type") else {
            self.path.push(name.to_owned());
            return Err(self.refuse("no type", "add the `type` attribute"));
        };
        // `{"name": …, "type": "long", "logicalType": …}` is a common slip: Avro ignores the
        // logical type there, and a column of plain numbers would be found much later.
        if json.is_string() && field.get("logicalType").is_some() {
            self.path.push(name.to_owned());
            return Err(self.refuse(
                "`logicalType` stands beside the type, where Avro ignores it",
                format!("write \"type\": {{\"type\": {json}, \"logicalType\": …}}"),
            ));
        }
        let mut column = self.column(name, json, space)?;
        if let Some(value) = field.get("default") {
            let normal = default::in_message_form(&column, value).map_err(|problem| {
                self.path.push(name.to_owned());
                self.refuse(
                    format!("its default does not fit its type: {problem}"),
                    "correct the default, or remove it to make the field required",
                )
            })?;
            column.default = Some(normal);
        }
        Ok(column)
    }

    fn enumeration(
        &mut self,
        object: &Map<String, Value>,
        space: &str,
    ) -> Result<Kind, SchemaError> {
        let full = self.full_name(object, space)?;
        self.define(&full)?;
        let symbols: Option<Vec<String>> = object
            .get("symbols")
            .and_then(Value::as_array)
            .filter(|symbols| (1..=MAX_SYMBOLS).contains(&symbols.len()))
            .and_then(|symbols| {
                let texts = symbols.iter().map(Value::as_str);
                texts
                    .map(|text| text.filter(|t| is_name(t)).map(str::to_owned))
                    .collect()
            });
        let Some(symbols) = symbols else {
            return Err(self.refuse(
                "an enum without usable `symbols`",
                format!(
                    "list 1 to {MAX_SYMBOLS}: letters, digits and _, not beginning with a digit"
                ),
            ));
        };
        if symbols.iter().collect::<HashSet<_>>().len() != symbols.len() {
            return Err(self.refuse("an enum with one symbol twice", "remove one of them"));
        }
        let kind = Kind::Enum(symbols);
        let known = Named::Known {
            kind: kind.clone(),
            fields: 0,
        };
        self.named.insert(full, known);
        Ok(kind)
    }

    fn fixed(&mut self, object: &Map<String, Value>, space: &str) -> Result<Kind, SchemaError> {
        let full = self.full_name(object, space)?;
        self.define(&full)?;
        match object.get("size").and_then(Value::as_u64) {
            Some(size) if (1..=MAX_FIXED).contains(&size) => Ok(Kind::Fixed(size as usize)),
            _ => Err(self.refuse(
                "a fixed without a usable `size`",
                format!("give its size in bytes, 1 to {MAX_FIXED}"),
            )),
        }
    }

    fn define(&mut self, full: &str) -> Result<(), SchemaError> {
        if self.named.insert(full.to_owned(), Named::Open).is_some() {
            return Err(self.refuse(
                format!("type `{full}` is defined twice"),
                "define it once and use its name from then on",
            ));
        }
        Ok(())
    }

    /// The name with its namespace: its own, the one in `namespace`, or the enclosing one.
    fn full_name(&self, object: &Map<String, Value>, space: &str) -> Result<String, SchemaError> {
        let name = object.get("name").and_then(Value::as_str).unwrap_or("");
        let space = object.get("namespace").map_or(Some(space), Value::as_str);
        let full = qualify(name, space.unwrap_or("-"));
        if full.split('.').all(is_name) {
            Ok(full)
        } else {
            Err(self.refuse(
                format!("type `{full}` has no name that Avro allows"),
                "use letters, digits and _, with dots between the parts of a namespace",
            ))
        }
    }
}

fn type_name(object: &Map<String, Value>) -> Option<&str> {
    object.get("type").and_then(Value::as_str)
}

fn qualify(name: &str, space: &str) -> String {
    if space.is_empty() || name.contains('.') {
        name.to_owned()
    } else {
        format!("{space}.{name}")
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
