//! The parameters of a session: what drivers set and ask for when they connect.
//!
//! Few of them change anything here. Those that would change answers are either honoured or refused;
//! those that tune a database that writes and locks are accepted, kept and shown.

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::fault::{error, hinted};

/// The version that clients are told: of the dialect and catalogues, whose first number decides what
/// drivers ask for.
pub(crate) const SERVER_VERSION: &str = concat!("15.0 (lake-sql ", env!("CARGO_PKG_VERSION"), ")");

#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Kept and shown, without effect.
    Kept,
    /// A whole number within bounds.
    Number(i64, i64),
    /// One of these, in lower case.
    OneOf(&'static [&'static str]),
    /// A time, in milliseconds unless it names a unit.
    Time,
    /// The encoding of texts: UTF-8 alone.
    Encoding,
    /// How dates are written.
    DateStyle,
    /// A time zone.
    Zone,
    /// Said by the server, never set.
    Fixed,
}

struct Known {
    name: &'static str,
    default: &'static str,
    rule: Rule,
    about: &'static str,
}

const fn known(name: &'static str, default: &'static str, rule: Rule, about: &'static str) -> Known {
    Known { name, default, rule, about }
}

const ON_OFF: Rule = Rule::OneOf(&["on", "off", "true", "false", "yes", "no", "1", "0"]);
const ON: Rule = Rule::OneOf(&["on", "true", "yes", "1"]);

/// In the order of their names.
const KNOWN: &[Known] = &[
    known("application_name", "", Rule::Kept, "What the client calls itself."),
    known("block_size", "8192", Rule::Fixed, "Size of a page of a database file."),
    known("bytea_output", "hex", Rule::OneOf(&["hex", "escape"]), "How bytes are written as text."),
    known("client_encoding", "UTF8", Rule::Encoding, "The encoding of texts."),
    known("client_min_messages", "notice", Rule::Kept, "Without effect: no notices are sent."),
    known("datestyle", "ISO, MDY", Rule::DateStyle, "How dates are written as text."),
    known("default_transaction_deferrable", "off", ON_OFF, "Without effect."),
    known("default_transaction_isolation", "read committed", Rule::Kept, "Without effect: every statement sees one moment."),
    known("default_transaction_read_only", "on", ON_OFF, "Without effect: everything is read only."),
    known("enable_nestloop", "on", ON_OFF, "Without effect."),
    known("enable_seqscan", "on", ON_OFF, "Without effect."),
    known("escape_string_warning", "on", ON_OFF, "Without effect."),
    known("extra_float_digits", "1", Rule::Number(-15, 3), "How many digits of floating-point numbers are written."),
    known("geqo", "on", ON_OFF, "Without effect."),
    known("idle_in_transaction_session_timeout", "0", Rule::Time, "Without effect: a transaction holds nothing."),
    known("in_hot_standby", "off", Rule::Fixed, "Whether this is a standby of another server."),
    known("integer_datetimes", "on", Rule::Fixed, "Whether times are whole microseconds."),
    known("intervalstyle", "postgres", Rule::OneOf(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]), "How intervals are written as text."),
    known("is_superuser", "off", Rule::Fixed, "Whether the user may do everything: nobody may."),
    known("jit", "off", ON_OFF, "Without effect."),
    known("lc_collate", "C", Rule::Fixed, "The order of texts: by code points."),
    known("lc_ctype", "C.UTF-8", Rule::Fixed, "The classes of characters."),
    known("lc_messages", "C", Rule::Kept, "Without effect."),
    known("lc_monetary", "C", Rule::Kept, "Without effect."),
    known("lc_numeric", "C", Rule::Kept, "Without effect."),
    known("lc_time", "C", Rule::Kept, "Without effect."),
    known("lock_timeout", "0", Rule::Time, "Without effect: nothing is locked."),
    known("max_identifier_length", "63", Rule::Fixed, "Longest name in bytes."),
    known("max_index_keys", "32", Rule::Fixed, "Most columns of an index."),
    known("password_encryption", "scram-sha-256", Rule::Fixed, "How passwords are checked."),
    known("row_security", "on", ON_OFF, "Without effect."),
    known("search_path", "\"$user\", public", Rule::Kept, "Where tables are looked for: `public`, whatever it says."),
    known("server_encoding", "UTF8", Rule::Fixed, "The encoding of stored texts."),
    known("server_version", SERVER_VERSION, Rule::Fixed, "The version of the dialect and the catalogues, and of this server."),
    known("server_version_num", "150000", Rule::Fixed, "The same as a number."),
    known("session_authorization", "", Rule::Fixed, "The user."),
    known("ssl", "off", Rule::Fixed, "Whether the server offers TLS."),
    known("standard_conforming_strings", "on", ON, "Whether backslashes in strings are letters like others."),
    known("statement_timeout", "0", Rule::Time, "Longest time of a statement; 0 is the server's bound, which cannot be raised."),
    known("synchronous_commit", "on", Rule::Kept, "Without effect."),
    known("timezone", "UTC", Rule::Zone, "The time zone in which times are told."),
    known("transaction_deferrable", "off", ON_OFF, "Without effect."),
    known("transaction_isolation", "read committed", Rule::Kept, "Without effect: every statement sees one moment."),
    known("transaction_read_only", "on", ON_OFF, "Everything is read only."),
    known("work_mem", "4MB", Rule::Kept, "Without effect: memory is bounded by the server."),
    known("xmloption", "content", Rule::Kept, "Without effect."),
];

/// Parameters whose changes clients are told, as they are spelled to them.
const REPORTED: &[(&str, &str)] = &[
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    ("default_transaction_read_only", "default_transaction_read_only"),
    ("in_hot_standby", "in_hot_standby"),
    ("integer_datetimes", "integer_datetimes"),
    ("intervalstyle", "IntervalStyle"),
    ("is_superuser", "is_superuser"),
    ("server_encoding", "server_encoding"),
    ("server_version", "server_version"),
    ("session_authorization", "session_authorization"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
];

/// What a session has set, over the defaults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    set: BTreeMap<&'static str, String>,
    /// What `RESET` goes back to: set by the server or when the client connected.
    first: BTreeMap<&'static str, String>,
}

impl Variables {
    /// The value of a parameter.
    ///
    /// # Errors
    /// 42704 for one that is not known.
    pub(crate) fn get(&self, name: &str) -> PgWireResult<&str> {
        let known = find(name)?;
        Ok(self.value(known))
    }

    fn value(&self, known: &Known) -> &str {
        let given = self.set.get(known.name).or_else(|| self.first.get(known.name));
        given.map_or(known.default, String::as_str)
    }

    /// Every parameter: name, value, value after `RESET`, description.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str, &str, &'static str)> {
        KNOWN.iter().map(|known| {
            let reset = self.first.get(known.name).map_or(known.default, String::as_str);
            (known.name, self.value(known), reset, known.about)
        })
    }

    /// Sets a parameter, or its default.
    ///
    /// # Errors
    /// 42704 for one that is not known, 55P02 for one that is fixed, 22023 for a value that it cannot have.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> PgWireResult<()> {
        let known = find(name)?;
        match value {
            None => {
                self.set.remove(known.name);
            }
            Some(value) => {
                let value = checked(known, value)?;
                self.set.insert(known.name, value);
            }
        }
        Ok(())
    }

    /// Sets what holds from the beginning of a session, and after every `RESET`.
    ///
    /// # Errors
    /// As [`Variables::set`].
    pub(super) fn begin_with(&mut self, name: &str, value: &str) -> PgWireResult<()> {
        let known = find(name)?;
        let value = checked(known, value)?;
        self.first.insert(known.name, value);
        Ok(())
    }

    /// Sets what only the server says.
    pub(super) fn say(&mut self, name: &'static str, value: &str) {
        self.first.insert(name, value.to_owned());
    }

    /// Gives a parameter the value that it has in `others`.
    pub(super) fn take_from(&mut self, others: &Self, name: &str) {
        let Ok(known) = find(name) else { return };
        match others.set.get(known.name) {
            Some(value) => self.set.insert(known.name, value.clone()),
            None => self.set.remove(known.name),
        };
    }

    /// Goes back to how the session began.
    pub(super) fn reset(&mut self) {
        self.set.clear();
    }

    /// What clients are told at the beginning, with the spelling that they know.
    pub(super) fn reported(&self) -> impl Iterator<Item = (&'static str, &str)> {
        REPORTED.iter().filter_map(|(name, spelling)| Some((*spelling, self.get(name).ok()?)))
    }

    /// What clients are told of a parameter after it was set, if they are.
    pub(super) fn report(&self, name: &str) -> Option<(&'static str, &str)> {
        let (name, spelling) = REPORTED.iter().find(|(known, _)| *known == name)?;
        Some((spelling, self.get(name).ok()?))
    }

    /// The longest that a statement may take, as far as the session says.
    pub(super) fn statement_timeout(&self) -> Option<Duration> {
        let told = self.get("statement_timeout").ok()?;
        milliseconds(told).filter(|time| !time.is_zero())
    }

    /// The time zone in which times are told.
    pub(crate) fn time_zone(&self) -> &str {
        self.get("timezone").unwrap_or("UTC")
    }

    /// How values are written as text.
    pub(super) fn format(&self) -> FormatOptions {
        let mut format = FormatOptions::default();
        let told = |name| self.get(name).unwrap_or_default().to_owned();
        format.date_style = told("datestyle");
        format.interval_style = told("intervalstyle");
        format.bytea_output = told("bytea_output");
        format.extra_float_digits = told("extra_float_digits").parse().unwrap_or(1);
        format
    }
}

/// The spelling of a column or heading that shows a parameter.
pub(super) fn spelling(name: &str) -> &str {
    REPORTED.iter().find(|(known, _)| *known == name).map_or(name, |(_, spelling)| spelling)
}

fn find(name: &str) -> PgWireResult<&'static Known> {
    let name = name.to_ascii_lowercase();
    KNOWN.iter().find(|known| known.name == name).ok_or_else(|| {
        if name.starts_with("datafusion.") {
            return error("42501", format!("permission denied to set parameter \"{name}\": the engine is set up by the server alone"));
        }
        error("42704", format!("unrecognized configuration parameter \"{name}\""))
    })
}

fn checked(known: &Known, value: &str) -> PgWireResult<String> {
    let name = known.name;
    let invalid = || error("22023", format!("invalid value for parameter \"{name}\": \"{value}\""));
    let lower = value.trim().to_ascii_lowercase();
    match known.rule {
        Rule::Kept => Ok(value.to_owned()),
        Rule::Fixed => Err(error("55P02", format!("parameter \"{name}\" cannot be changed"))),
        Rule::Number(low, high) => match lower.parse::<i64>() {
            Ok(number) if (low..=high).contains(&number) => Ok(number.to_string()),
            _ => Err(invalid()),
        },
        Rule::OneOf(values) if values.contains(&lower.as_str()) => Ok(on_off(&lower).to_owned()),
        Rule::OneOf(_) => Err(invalid()),
        Rule::Time => milliseconds(value).map(|time| time.as_millis().to_string()).ok_or_else(invalid),
        Rule::Encoding => match lower.replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".into()),
            _ => Err(hinted("22023", format!("invalid value for parameter \"client_encoding\": \"{value}\""), "Texts are sent in UTF-8.")),
        },
        Rule::DateStyle => date_style(&lower).ok_or_else(invalid),
        Rule::Zone => zone(value.trim()).ok_or_else(invalid),
    }
}

fn on_off(value: &str) -> &str {
    match value {
        "true" | "yes" | "1" => "on",
        "false" | "no" | "0" => "off",
        other => other,
    }
}

/// A style and an order, in the spelling that formats understand.
fn date_style(value: &str) -> Option<String> {
    let (mut style, mut order) = ("ISO", "MDY");
    for part in value.split(',').map(str::trim) {
        match part {
            "iso" => style = "ISO",
            "sql" => style = "SQL",
            "postgres" => style = "Postgres",
            "german" => style = "German",
            "mdy" | "us" | "noneuro" | "noneuropean" => order = "MDY",
            "dmy" | "euro" | "european" => order = "DMY",
            "ymd" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("{style}, {order}"))
}

/// A zone by the name or the offset that the engine takes.
fn zone(value: &str) -> Option<String> {
    if value.eq_ignore_ascii_case("utc") || value.eq_ignore_ascii_case("gmt") || value.eq_ignore_ascii_case("z") {
        return Some("UTC".into());
    }
    if let Ok(hours) = value.parse::<i32>() {
        return (-14..=14).contains(&hours).then(|| format!("{hours:+03}:00"));
    }
    let known: Result<datafusion::arrow::array::timezone::Tz, _> = value.parse();
    known.ok().map(|_| value.to_owned())
}

/// A number with a unit, milliseconds without one.
fn milliseconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let factor = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(factor)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_postgres::pgwire::error::ErrorInfo;

    #[test]
    fn parameters_are_in_the_order_of_their_names() {
        assert!(KNOWN.is_sorted_by_key(|known| known.name));
    }

    #[test]
    fn what_drivers_set_is_kept_and_what_cannot_be_is_refused() {
        let mut variables = Variables::default();
        for (name, value, kept) in [
            ("extra_float_digits", "3", "3"),
            ("DateStyle", "iso", "ISO, MDY"),
            ("client_encoding", "utf-8", "UTF8"),
            ("TimeZone", "Europe/Paris", "Europe/Paris"),
            ("timezone", "+2", "+02:00"),
            ("statement_timeout", "2s", "2000"),
            ("application_name", "Tableau", "Tableau"),
        ] {
            variables.set(name, Some(value)).unwrap();
            assert_eq!(variables.get(name).unwrap(), kept, "{name}");
        }
        for (name, value, code) in [
            ("extra_float_digits", "4", "22023"),
            ("client_encoding", "LATIN1", "22023"),
            ("timezone", "Mars/Olympus", "22023"),
            ("server_version", "9.6", "55P02"),
            ("standard_conforming_strings", "off", "22023"),
            ("datafusion.execution.batch_size", "1", "42501"),
            ("no_such_thing", "1", "42704"),
        ] {
            let refused = variables.set(name, Some(value)).unwrap_err();
            assert_eq!(ErrorInfo::from(refused).code, code, "{name}");
        }
    }

    #[test]
    fn a_reset_goes_back_to_how_the_session_began() {
        let mut variables = Variables::default();
        variables.begin_with("timezone", "Europe/Paris").unwrap();
        variables.set("timezone", Some("UTC")).unwrap();
        assert_eq!(variables.time_zone(), "UTC");
        variables.reset();
        assert_eq!(variables.time_zone(), "Europe/Paris");
    }
}
