//! Columns that messages do not have: looked up in reference tables, or computed from other columns.
//!
//! ```text
//! derived.toml + columns of the schema ─► Derivation: the further columns, and where each comes from
//! ```
//!
//! Owns: the file, and what is refused of it at start, by column and with the remedy.
//! Does not own: the values (`decode::derived`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono_tz::Tz;
use serde::Deserialize;

use super::{Column, KAFKA_OFFSET, KAFKA_PARTITION, Kind, Schema};
use crate::source::file::reference::ReferenceTable;

/// Digits that a computed decimal may have, which every part of the way can hold.
const MAX_DIGITS: u8 = 34;

/// A file of derived columns that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("use {} for derived columns: {problem}", path.display())]
pub struct DerivationError {
    /// The file.
    pub path: PathBuf,
    /// The column or reference, what is wrong, and what to write instead.
    pub problem: String,
}

/// Where derived columns come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Derivation {
    /// Reference tables.
    pub references: Vec<Reference>,
    /// By derived column, in their order behind those of messages.
    pub origins: Vec<Origin>,
}

/// A reference table: a CSV file with a header.
#[derive(Clone, Debug)]
pub struct Reference {
    /// What columns call it.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// The column of the file by which rows are found.
    pub key: String,
    /// Its rows, shared by all who decode.
    pub table: Arc<ReferenceTable>,
}

impl PartialEq for Reference {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.file, &self.key) == (&other.name, &other.file, &other.key)
    }
}

/// Where the values of a derived column come from. Indexes are those of the schema's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A column of a reference table.
    Lookup {
        /// Index of the reference.
        reference: usize,
        /// The file's column.
        column: String,
        /// The key.
        by: usize,
        /// What there is when the key is not in the table, or null.
        default: Option<String>,
    },
    /// A part of a date or timestamp, as an int.
    Part {
        /// Which.
        part: TimePart,
        /// The date or timestamp.
        of: usize,
        /// Where its hours and days are those of the clock.
        zone: Tz,
    },
    /// Text in another form.
    Text {
        /// Which.
        form: TextForm,
        /// The text.
        of: usize,
    },
    /// Two numbers, exactly.
    Arithmetic {
        /// What is done with them.
        operator: Operator,
        /// The first.
        left: Operand,
        /// The second.
        right: Operand,
    },
}

/// A part of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimePart {
    /// The year.
    Year,
    /// 1 to 12.
    Month,
    /// 1 to 31.
    Day,
    /// 1 (Monday) to 7.
    Weekday,
    /// 0 to 23.
    Hour,
}

/// A form of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextForm {
    /// In lower case, by Unicode.
    Lower,
    /// In upper case, by Unicode.
    Upper,
    /// Without white space at both ends.
    Trim,
}

/// What is done with two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// left + right.
    Add,
    /// left - right.
    Subtract,
    /// left × right.
    Multiply,
}

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// An int or decimal column.
    Column {
        /// Which.
        index: usize,
        /// Digits after its point.
        scale: i8,
    },
    /// The same for all rows.
    Constant {
        /// Without its point.
        unscaled: i128,
        /// Digits after the point.
        scale: i8,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    reference: BTreeMap<String, ReferenceFile>,
    #[serde(default)]
    column: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceFile {
    file: PathBuf,
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    lookup: Option<String>,
    by: Option<String>,
    default: Option<String>,
    part: Option<TimePart>,
    of: Option<String>,
    time_zone: Option<String>,
    lower: Option<String>,
    upper: Option<String>,
    trim: Option<String>,
    add: Option<[String; 2]>,
    subtract: Option<[String; 2]>,
    multiply: Option<[String; 2]>,
}

impl Schema {
    /// The same with the derived columns of a file behind those of messages.
    ///
    /// # Errors
    /// Naming the file, the column and the remedy.
    pub fn with_derived(self, path: &Path) -> Result<Self, DerivationError> {
        let refused = |problem: String| DerivationError {
            path: path.to_owned(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        self.derive(&text, folder).map_err(refused)
    }

    fn derive(mut self, text: &str, folder: &Path) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        for (name, ReferenceFile { file, key }) in file.reference {
            let file = folder.join(file);
            let table = ReferenceTable::open(&file, &key)
                .map_err(|problem| format!("[reference.{name}]: {problem}"))?;
            self.derivation.references.push(Reference {
                name,
                file,
                key,
                table: Arc::new(table),
            });
        }
        for entry in &file.column {
            let (kind, nullable, origin) = self
                .origin(entry)
                .map_err(|problem| format!("column `{}`: {problem}", entry.name))?;
            self.columns.push(Column {
                name: entry.name.clone(),
                kind,
                nullable,
                null_branch: 0,
                default: None,
            });
            self.derivation.origins.push(origin);
        }
        Ok(self)
    }

    fn origin(&self, entry: &Entry) -> Result<(Kind, bool, Origin), String> {
        self.check_name(&entry.name)?;
        let texts = [
            (TextForm::Lower, &entry.lower),
            (TextForm::Upper, &entry.upper),
            (TextForm::Trim, &entry.trim),
        ];
        let sums = [
            (Operator::Add, &entry.add),
            (Operator::Subtract, &entry.subtract),
            (Operator::Multiply, &entry.multiply),
        ];
        let mut origins = Vec::new();
        origins.extend(entry.lookup.as_ref().map(|place| self.lookup(entry, place)));
        origins.extend(entry.part.map(|part| self.part(entry, part)));
        let texts = texts
            .into_iter()
            .filter_map(|(form, of)| Some((form, of.as_ref()?)));
        origins.extend(texts.map(|(form, of)| self.text(form, of)));
        let sums = sums
            .into_iter()
            .filter_map(|(operator, of)| Some((operator, of.as_ref()?)));
        origins.extend(sums.map(|(operator, of)| self.arithmetic(operator, of)));
        match origins.len() {
            1 => origins.remove(0),
            _ => Err(
                "give exactly one of lookup, part, lower, upper, trim, add, subtract, multiply"
                    .into(),
            ),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), String> {
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let mut taken = self.columns.iter().map(|column| column.name.as_str());
        if !is_name {
            Err("a name has ASCII letters, digits and `_`, and begins with no digit".into())
        } else if taken.any(|other| other.eq_ignore_ascii_case(name))
            || [KAFKA_PARTITION, KAFKA_OFFSET].contains(&name)
        {
            Err("there is a column of this name already; choose another".into())
        } else {
            Ok(())
        }
    }

    fn column(&self, name: &str) -> Result<(usize, &Column), String> {
        let known = &self.columns[..self.columns.len() - self.derivation.origins.len()];
        let found = known
            .iter()
            .enumerate()
            .find(|(_, column)| column.name == name);
        found.ok_or_else(|| {
            let names: Vec<_> = known.iter().map(|column| column.name.as_str()).collect();
            format!(
                "messages have no field `{name}`; there are {}",
                names.join(", ")
            )
        })
    }

    fn lookup(&self, entry: &Entry, place: &str) -> Result<(Kind, bool, Origin), String> {
        let (reference, column) = place
            .split_once('.')
            .ok_or("write lookup = \"reference.column\"")?;
        let by = entry
            .by
            .as_ref()
            .ok_or("name the field that is the key: by = \"…\"")?;
        let references = &self.derivation.references;
        let found = references.iter().position(|known| known.name == reference);
        let reference =
            found.ok_or_else(|| format!("there is no [reference.{reference}] in this file"))?;
        references[reference].table.rows().column(column)?;
        let (by, key) = self.column(by)?;
        let is_key = matches!(
            key.kind,
            Kind::String | Kind::Enum(_) | Kind::Uuid { .. } | Kind::Int | Kind::Long
        );
        if !is_key {
            return Err(format!(
                "field `{}` cannot be a key; name a text, an int or a long",
                key.name
            ));
        }
        let origin = Origin::Lookup {
            reference,
            column: column.to_owned(),
            by,
            default: entry.default.clone(),
        };
        Ok((Kind::String, entry.default.is_none(), origin))
    }

    fn part(&self, entry: &Entry, part: TimePart) -> Result<(Kind, bool, Origin), String> {
        let of = entry
            .of
            .as_ref()
            .ok_or("name the date or timestamp: of = \"…\"")?;
        let (of, column) = self.column(of)?;
        let is_moment = matches!(
            column.kind,
            Kind::TimestampMillis
                | Kind::TimestampMicros
                | Kind::LocalTimestampMillis
                | Kind::LocalTimestampMicros
        );
        let is_day = matches!(column.kind, Kind::Date) && part != TimePart::Hour;
        if !(is_moment || is_day) {
            return Err(format!(
                "field `{}` has no such part; name a timestamp, or a date",
                column.name
            ));
        }
        let zone = entry.time_zone.as_deref().unwrap_or("UTC");
        let zone = zone.parse().map_err(|_| {
            format!(
                "time zone `{zone}` is not in the IANA database; write for example Europe/Paris"
            )
        })?;
        Ok((Kind::Int, column.nullable, Origin::Part { part, of, zone }))
    }

    fn text(&self, form: TextForm, of: &str) -> Result<(Kind, bool, Origin), String> {
        let (of, column) = self.column(of)?;
        if !matches!(column.kind, Kind::String | Kind::Enum(_)) {
            return Err(format!("field `{}` is no text", column.name));
        }
        Ok((Kind::String, column.nullable, Origin::Text { form, of }))
    }

    fn arithmetic(
        &self,
        operator: Operator,
        of: &[String; 2],
    ) -> Result<(Kind, bool, Origin), String> {
        let [left, right] = of;
        let (left, left_digits, left_null) = self.operand(left)?;
        let (right, right_digits, right_null) = self.operand(right)?;
        let scale = match operator {
            Operator::Multiply => left.scale() + right.scale(),
            Operator::Add | Operator::Subtract => left.scale().max(right.scale()),
        };
        let whole = |digits: u8, operand: Operand| i16::from(digits) - i16::from(operand.scale());
        let whole = match operator {
            Operator::Multiply => whole(left_digits, left) + whole(right_digits, right),
            Operator::Add | Operator::Subtract => {
                whole(left_digits, left).max(whole(right_digits, right)) + 1
            }
        };
        let digits = u8::try_from(whole + i16::from(scale)).ok();
        let Some(precision) = digits.filter(|digits| (1..=MAX_DIGITS).contains(digits)) else {
            return Err(format!("the result may have more than {MAX_DIGITS} digits"));
        };
        let kind = Kind::Decimal {
            precision,
            scale,
            fixed: None,
        };
        let origin = Origin::Arithmetic {
            operator,
            left,
            right,
        };
        Ok((kind, left_null || right_null, origin))
    }

    /// A column or a constant, its digits, and whether it may be null.
    fn operand(&self, text: &str) -> Result<(Operand, u8, bool), String> {
        if let Some((unscaled, scale)) = constant(text) {
            let digits = unscaled
                .unsigned_abs()
                .checked_ilog10()
                .map_or(1, |log| log + 1);
            let digits = u8::try_from(digits)
                .unwrap_or(u8::MAX)
                .max(scale.unsigned_abs());
            return Ok((Operand::Constant { unscaled, scale }, digits, false));
        }
        let (index, column) = self.column(text)?;
        let (precision, scale) = match column.kind {
            Kind::Int => (10, 0),
            Kind::Long => (19, 0),
            Kind::Decimal {
                precision, scale, ..
            } => (precision, scale),
            _ => return Err(format!("field `{text}` is no int, long or decimal")),
        };
        Ok((Operand::Column { index, scale }, precision, column.nullable))
    }

    /// Columns that messages have.
    pub fn decoded(&self) -> &[Column] {
        &self.columns[..self.columns.len() - self.derivation.origins.len()]
    }

    /// Names of the columns that are looked up.
    pub fn looked_up_names(&self) -> Vec<&str> {
        let columns = self.columns.iter().zip(self.looked_up());
        let looked_up = columns.filter(|(_, is_looked_up)| *is_looked_up);
        looked_up.map(|(column, _)| column.name.as_str()).collect()
    }

    /// Of each column, whether its values are another matter than the message's: those that are
    /// looked up follow a reference table, which may have changed since.
    pub fn looked_up(&self) -> Vec<bool> {
        let decoded = self.decoded().iter().map(|_| false);
        let origins = self.derivation.origins.iter();
        let derived = origins.map(|origin| matches!(origin, Origin::Lookup { .. }));
        decoded.chain(derived).collect()
    }
}

impl Operand {
    fn scale(self) -> i8 {
        match self {
            Self::Column { scale, .. } | Self::Constant { scale, .. } => scale,
        }
    }
}

/// A decimal such as `0.80`, as 80 and 2.
fn constant(text: &str) -> Option<(i128, i8)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = !digits.is_empty()
        && digits
            .bytes()
            .chain(fraction.bytes())
            .all(|b| b.is_ascii_digit());
    if !is_number || digits.len() + fraction.len() > 18 {
        return None;
    }
    let unscaled = format!("{whole}{fraction}").parse().ok()?;
    Some((unscaled, i8::try_from(fraction.len()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(text: &str) -> Result<Schema, String> {
        let schema =
            Schema::from_avsc(include_str!("../../../schemas/sale.avsc")).expect("a schema");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(
            folder.path().join("stores.csv"),
            "store_id,city\nS0001,Lyon\n",
        )
        .expect("is written");
        schema.derive(text, folder.path())
    }

    const STORES: &str = "[reference.stores]\nfile = \"stores.csv\"\nkey = \"store_id\"\n";

    #[test]
    fn derived_columns_stand_behind_those_of_messages() {
        let schema = derive(&format!(
            "{STORES}\
             [[column]]\nname = \"city\"\nlookup = \"stores.city\"\nby = \"store_id\"\n\
             [[column]]\nname = \"hour\"\npart = \"hour\"\nof = \"sold_at\"\ntime_zone = \"Europe/Paris\"\n\
             [[column]]\nname = \"net\"\nmultiply = [\"amount\", \"0.80\"]\n\
             [[column]]\nname = \"shop\"\nlower = \"channel\"\n"
        ))
        .expect("is sound");
        let derived = &schema.columns[schema.decoded().len()..];
        let kinds: Vec<_> = derived
            .iter()
            .map(|c| (c.name.as_str(), &c.kind, c.nullable))
            .collect();
        let net = Kind::Decimal {
            precision: 20,
            scale: 4,
            fixed: None,
        };
        assert_eq!(
            kinds,
            [
                ("city", &Kind::String, true),
                ("hour", &Kind::Int, false),
                ("net", &net, false),
                ("shop", &Kind::String, false)
            ]
        );
        let looked_up: Vec<bool> = schema.looked_up().split_off(schema.decoded().len());
        assert_eq!(looked_up, [true, false, false, false]);
    }

    #[test]
    fn what_cannot_be_derived_is_named() {
        for (column, words) in [
            ("name = \"x\"", "exactly one"),
            (
                "name = \"x\"\nlower = \"region\"\nupper = \"region\"",
                "exactly one",
            ),
            ("name = \"region\"\nlower = \"region\"", "already"),
            ("name = \"é\"\nlower = \"region\"", "ASCII"),
            ("name = \"x\"\nlower = \"regoin\"", "no field `regoin`"),
            ("name = \"x\"\nlower = \"quantity\"", "no text"),
            (
                "name = \"x\"\npart = \"hour\"\nof = \"region\"",
                "`region` has no such part",
            ),
            ("name = \"x\"\npart = \"hour\"", "of = "),
            (
                "name = \"x\"\npart = \"hour\"\nof = \"sold_at\"\ntime_zone = \"Paris\"",
                "Europe/Paris",
            ),
            (
                "name = \"x\"\nlookup = \"stores\"\nby = \"store_id\"",
                "reference.column",
            ),
            (
                "name = \"x\"\nlookup = \"shops.city\"\nby = \"store_id\"",
                "[reference.shops]",
            ),
            ("name = \"x\"\nlookup = \"stores.city\"", "by = "),
            (
                "name = \"x\"\nlookup = \"stores.city\"\nby = \"amount\"",
                "cannot be a key",
            ),
            (
                "name = \"x\"\nadd = [\"region\", \"1\"]",
                "`region` is no int",
            ),
            (
                "name = \"x\"\nmultiply = [\"amount\", \"amount\"]",
                "34 digits",
            ),
            (
                "name = \"x\"\nmultiply = [\"amount\", \"1,5\"]",
                "no field `1,5`",
            ),
            ("name = \"x\"\ndivide = [\"amount\", \"2\"]", "divide"),
        ] {
            let refused = derive(&format!("{STORES}[[column]]\n{column}\n")).expect_err(column);
            assert!(refused.contains(words), "{column}: {refused}");
        }
    }
}
