//! The partition spec: by which values of a row its folder is chosen.
//!
//! ```text
//! ["date(sold_at)", "region"] + Schema ─► Spec ─► partition
//! ```
//!
//! Owns: the spec's syntax, and which function fits which type.
//! Does not own: the values of a row (`partition`), their spelling in paths (`hive`).

use chrono_tz::Tz;

use super::{Column, KAFKA_OFFSET, KAFKA_PARTITION, Kind, Schema};

/// By which values rows are put into folders. Empty: all rows lie in `data/` itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Path components, outermost first.
    pub fields: Vec<PartitionField>,
    /// Zone of the clock that `date`, `hour`, … are read from.
    pub time_zone: Tz,
}

/// One component of a partition's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionField {
    /// Left side of the component, such as `date` or `region`.
    pub name: String,
    /// Index of the column in the schema.
    pub column: usize,
    /// What the column's value goes through.
    pub transform: Transform,
}

/// From a column's value to a partition value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transform {
    /// The value itself; the column stays in the file too.
    Identity,
    /// `2026`.
    Year,
    /// `2026-01`.
    Month,
    /// `2026-01-31`.
    Date,
    /// `2026-01-31-14`. An hour that the clock shows under two offsets from UTC, as when daylight
    /// saving ends, carries the offset: `2026-10-25-02+0200` comes before `2026-10-25-02+0100`.
    Hour,
}

/// What is wrong with a partition spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not of the form `column` or `function(column)`.
    #[error(
        "`{entry}` in partition_by is not a column or function(column); write for example `region`, `date(sold_at)` or `date(sold_at) as day`"
    )]
    Syntax {
        /// The entry as given.
        entry: String,
    },
    /// No such function.
    #[error(
        "`{function}` in partition_by entry `{entry}` is not a function; use year, month, date or hour"
    )]
    UnknownFunction {
        /// The entry as given.
        entry: String,
        /// The function as given.
        function: String,
    },
    /// No such column.
    #[error("partition_by entry `{entry}` names no column of the schema; {remedy}")]
    UnknownColumn {
        /// The entry as given.
        entry: String,
        /// What to write instead.
        remedy: String,
    },
    /// The function cannot take the column's type.
    #[error("partition_by entry `{entry}`: the column is of type {kind}; {remedy}")]
    UnfitType {
        /// The entry as given.
        entry: String,
        /// The column's type.
        kind: &'static str,
        /// What to write instead.
        remedy: &'static str,
    },
    /// Two things of one name.
    #[error(
        "partition_by entry `{entry}`: `{name}` is the name of {holder} already, and readers could not tell them apart; give it another, such as `{entry} as {name}_part`"
    )]
    NameTaken {
        /// The entry as given.
        entry: String,
        /// The name that is taken.
        name: String,
        /// By what.
        holder: &'static str,
    },
    /// No such time zone.
    #[error(
        "time_zone `{zone}` is not in the IANA time zone database; write for example `UTC` or `Europe/Paris`"
    )]
    UnknownTimeZone {
        /// The zone as given.
        zone: String,
    },
}

impl Spec {
    /// Reads `partition_by` and `time_zone`. An entry is `column`, `function(column)`, or either
    /// followed by `as name`; a function's component is named after the function unless said
    /// otherwise.
    ///
    /// # Errors
    /// When an entry has no meaning for the schema; the error names it and says what to write.
    pub fn parse(entries: &[String], schema: &Schema, time_zone: &str) -> Result<Self, SpecError> {
        let time_zone = time_zone.parse().map_err(|_| SpecError::UnknownTimeZone {
            zone: time_zone.to_owned(),
        })?;
        let mut fields: Vec<PartitionField> = Vec::with_capacity(entries.len());
        for entry in entries {
            let field = parse_field(entry, schema)?;
            check_name(entry, &field, &fields, schema)?;
            fields.push(field);
        }
        Ok(Self { fields, time_zone })
    }

    /// No partitioning: every row in `data/` itself.
    pub fn unpartitioned() -> Self {
        Self {
            fields: Vec::new(),
            time_zone: Tz::UTC,
        }
    }
}

fn parse_field(entry: &str, schema: &Schema) -> Result<PartitionField, SpecError> {
    let syntax = || SpecError::Syntax {
        entry: entry.to_owned(),
    };
    let (expression, alias) = match entry.split_once(" as ") {
        Some((expression, alias)) => (expression.trim(), Some(alias.trim())),
        None => (entry.trim(), None),
    };
    if alias.is_some_and(|alias| !is_name(alias)) {
        return Err(syntax());
    }
    let (function, column_name) = match expression.split_once('(') {
        Some((function, rest)) => {
            let column = rest.strip_suffix(')').ok_or_else(syntax)?;
            (Some(function.trim()), column.trim())
        }
        None => (None, expression),
    };
    let transform = match function {
        None => Transform::Identity,
        Some("year") => Transform::Year,
        Some("month") => Transform::Month,
        Some("date") => Transform::Date,
        Some("hour") => Transform::Hour,
        Some(function) => {
            return Err(SpecError::UnknownFunction {
                entry: entry.to_owned(),
                function: function.to_owned(),
            });
        }
    };
    if !is_name(column_name) {
        return Err(syntax());
    }
    let column = find_column(entry, column_name, schema)?;
    check_type(entry, transform, &schema.columns[column])?;
    Ok(PartitionField {
        name: alias.or(function).unwrap_or(column_name).to_owned(),
        column,
        transform,
    })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text
            .chars()
            .all(|other| other.is_ascii_alphanumeric() || other == '_')
}

fn find_column(entry: &str, name: &str, schema: &Schema) -> Result<usize, SpecError> {
    let decoded = schema.decoded();
    if let Some(column) = decoded.iter().position(|column| column.name == name) {
        return Ok(column);
    }
    if schema.columns.iter().any(|column| column.name == name) {
        let remedy = "it is a derived column; partition by a field of messages".into();
        let entry = entry.to_owned();
        return Err(SpecError::UnknownColumn { entry, remedy });
    }
    let nearest = decoded
        .iter()
        .map(|column| (strsim::jaro_winkler(&column.name, name), &column.name))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let remedy = match nearest {
        Some((score, nearest)) if score > 0.8 => format!("did you mean `{nearest}`?"),
        _ => {
            let names: Vec<_> = schema.columns.iter().map(|c| c.name.as_str()).collect();
            format!("its columns are {}", names.join(", "))
        }
    };
    Err(SpecError::UnknownColumn {
        entry: entry.to_owned(),
        remedy,
    })
}

fn check_type(entry: &str, transform: Transform, column: &Column) -> Result<(), SpecError> {
    let kind = &column.kind;
    let is_instant = matches!(
        kind,
        Kind::TimestampMillis
            | Kind::TimestampMicros
            | Kind::LocalTimestampMillis
            | Kind::LocalTimestampMicros
    );
    let (fits, remedy) = match transform {
        Transform::Identity => (
            matches!(
                kind,
                Kind::Boolean
                    | Kind::Int
                    | Kind::Long
                    | Kind::String
                    | Kind::Enum(_)
                    | Kind::Uuid { .. }
                    | Kind::Date
            ),
            if is_instant {
                "partition a timestamp by year, month, date or hour of it"
            } else {
                "a column is partitioned by its value only if it is a boolean, int, long, string, enum, uuid or date"
            },
        ),
        Transform::Year | Transform::Month | Transform::Date => (
            is_instant || *kind == Kind::Date,
            "year, month and date take a timestamp or a date",
        ),
        Transform::Hour => (is_instant, "hour takes a timestamp"),
    };
    if fits {
        return Ok(());
    }
    Err(SpecError::UnfitType {
        entry: entry.to_owned(),
        kind: kind_name(kind),
        remedy,
    })
}

/// Readers join the path's columns with the file's, and Spark and DuckDB do not tell upper from
/// lower case: a derived component must not have the name of another column.
fn check_name(
    entry: &str,
    field: &PartitionField,
    before: &[PartitionField],
    schema: &Schema,
) -> Result<(), SpecError> {
    let same = |other: &str| other.eq_ignore_ascii_case(&field.name);
    let is_own = |index: usize| field.transform == Transform::Identity && index == field.column;
    let is_column = schema
        .columns
        .iter()
        .enumerate()
        .any(|(index, column)| same(&column.name) && !is_own(index));
    let holder = if before.iter().any(|other| same(&other.name)) {
        "another partition"
    } else if is_column || same(KAFKA_PARTITION) || same(KAFKA_OFFSET) {
        "a column"
    } else {
        return Ok(());
    };
    Err(SpecError::NameTaken {
        entry: entry.to_owned(),
        name: field.name.clone(),
        holder,
    })
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Long => "long",
        Kind::Float => "float",
        Kind::Double => "double",
        Kind::Bytes => "bytes",
        Kind::Fixed(_) => "fixed",
        Kind::String => "string",
        Kind::Enum(_) => "enum",
        Kind::Uuid { .. } => "uuid",
        Kind::Decimal { .. } => "decimal",
        Kind::Date => "date",
        Kind::TimeMillis => "time-millis",
        Kind::TimeMicros => "time-micros",
        Kind::TimestampMillis => "timestamp-millis",
        Kind::TimestampMicros => "timestamp-micros",
        Kind::LocalTimestampMillis => "local-timestamp-millis",
        Kind::LocalTimestampMicros => "local-timestamp-micros",
        Kind::Record(_) => "record",
        Kind::Array(_) => "array",
        Kind::Map(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: Kind) -> Column {
        Column {
            name: name.into(),
            kind,
            nullable: false,
            null_branch: 0,
            default: None,
        }
    }

    fn schema() -> Schema {
        let columns = vec![
            column("sold_at", Kind::TimestampMicros),
            column("region", Kind::String),
            column("amount", Kind::Double),
            column("day", Kind::Date),
            column("Hour", Kind::Int),
        ];
        Schema::new("Sale", columns)
    }

    fn parse(entries: &[&str]) -> Result<Spec, SpecError> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).into()).collect();
        Spec::parse(&entries, &schema(), "Europe/Paris")
    }

    #[test]
    fn functions_columns_and_names_are_read() {
        // GIVEN a spec of each form WHEN it is read THEN fields have their name and function.
        let spec = parse(&["date(sold_at)", " region ", "hour( sold_at ) as at", "day"])
            .expect("a valid spec");
        let fields: Vec<_> = spec
            .fields
            .iter()
            .map(|field| (field.name.as_str(), field.column, field.transform))
            .collect();
        assert_eq!(
            fields,
            [
                ("date", 0, Transform::Date),
                ("region", 1, Transform::Identity),
                ("at", 0, Transform::Hour),
                ("day", 3, Transform::Identity),
            ]
        );
        assert_eq!(spec.time_zone, Tz::Europe__Paris);
    }

    #[test]
    fn what_is_wrong_is_named_with_a_remedy() {
        let cases: [(&[&str], &str); 12] = [
            (&["date(sold_at"], "is not a column or function(column)"),
            (&[""], "is not a column or function(column)"),
            (&["region as 2nd"], "is not a column or function(column)"),
            (&["week(sold_at)"], "use year, month, date or hour"),
            (&["date(sold_att)"], "did you mean `sold_at`?"),
            (&["xyz"], "its columns are sold_at, region"),
            (&["sold_at"], "by year, month, date or hour of it"),
            (&["amount"], "of type double"),
            (&["date(region)"], "take a timestamp or a date"),
            (&["hour(day)"], "hour takes a timestamp"),
            (&["region", "region"], "another partition"),
            (&["hour(sold_at)"], "the name of a column already"),
        ];
        for (entries, expected) in cases {
            // GIVEN a spec that has no meaning WHEN it is read THEN the error says what to write.
            let error = parse(entries).expect_err("not a valid spec").to_string();
            assert!(error.contains(expected), "{entries:?}: {error}");
        }
        let zone = Spec::parse(&[], &schema(), "Mars/Olympus").expect_err("no such zone");
        assert!(zone.to_string().contains("`Mars/Olympus`"), "{zone}");
    }
}
