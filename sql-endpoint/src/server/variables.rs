//! The parameters of a session: what drivers set and ask for when they connect.
//!
//! Few of them change anything here. Those that would change answers are either honoured or refused;
//! those that tune a database that writes and locks are accepted, kept and shown.

mod known;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::types::format::FormatOptions;

use super::fault::error;
use crate::zone::Zone;
use known::{KNOWN, Known, REPORTED};
use values::{checked, milliseconds};

/// The version that clients are told: of the dialect and catalogues, whose first number decides what
/// drivers ask for.
pub(crate) const SERVER_VERSION: &str = concat!("15.0 (lake-sql ", env!("CARGO_PKG_VERSION"), ")");

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
        let given = self
            .set
            .get(known.name)
            .or_else(|| self.first.get(known.name));
        given.map_or(known.default, String::as_str)
    }

    /// Every parameter: name, value, value after `RESET`, description.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str, &str, &'static str)> {
        KNOWN.iter().map(|known| {
            let reset = self
                .first
                .get(known.name)
                .map_or(known.default, String::as_str);
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
        REPORTED
            .iter()
            .filter_map(|(name, spelling)| Some((*spelling, self.get(name).ok()?)))
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

    /// The time zone in which times are cut and told.
    pub(crate) fn zone(&self) -> Zone {
        let name = self.get("timezone").ok().and_then(Zone::named);
        name.map_or(Zone::UTC, |(zone, _)| zone)
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
    REPORTED
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(name, |(_, spelling)| spelling)
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
