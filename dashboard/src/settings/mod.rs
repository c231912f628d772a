//! One TOML file, plain data, checked in one place.
//!
//! ```text
//! text ─► every key known? ─► Settings ─► sound?
//! ```
//!
//! Owns: names, defaults, checks, reading the files that hold secrets.
//! Does not own: opening the database or a port.

mod nearest;
mod secret;

use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use serde::Deserialize;

use nearest::{nearest, nearest_key};
pub use secret::Secret;

/// Everything that can be set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Where the mirror writes.
    pub mongodb: MongoDb,
    /// What the fields of a sale are called.
    pub fields: Fields,
    /// What people see.
    pub page: Page,
    /// What is held in memory.
    pub cube: CubeSettings,
    /// What is computed from sales one by one.
    pub analysis: Analysis,
    /// Who may look.
    pub auth: Auth,
}

/// `[mongodb]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct MongoDb {
    /// Connection string of a replica set; may hold a password, so it is never shown.
    pub uri: Secret,
    /// A file whose first line is the connection string, in place of `uri`.
    pub uri_file: Option<PathBuf>,
    /// The mirror's database.
    pub database: String,
    /// The mirror's collection; its rollups are found by this name too.
    pub collection: String,
}

/// `[fields]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// When a sale was made, a Date.
    pub time: String,
    /// The region, a text.
    pub region: String,
    /// The product, a text.
    pub product: String,
    /// The product's category, a text.
    pub category: String,
    /// What was paid, an exact number.
    pub amount: String,
    /// Pieces, an exact number.
    pub quantity: String,
    /// The customer, a text; sales may lack it.
    pub customer: String,
    /// Digits after the point of `amount`.
    pub amount_scale: u32,
    /// Digits after the point of `quantity`.
    pub quantity_scale: u32,
    /// More fields of a sale to list and download, as texts.
    pub also: Vec<String>,
}

/// `[page]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Page {
    /// IANA time zone in which days are counted.
    pub time_zone: String,
    /// ISO 4217 code of the amounts.
    pub currency: String,
    /// Title of the page; empty for one in the reader's language.
    pub title: String,
}

/// `[cube]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct CubeSettings {
    /// Local days held by the minute, today included; older ones are held by the day.
    pub window_days: u64,
}

/// `[analysis]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Analysis {
    /// Local days of which sales are read for statistics and customers, today included; 0 reads none.
    pub days: u64,
    /// Customers in the sample, each counted once for every minute or day and group.
    pub sample: usize,
}

/// `[auth]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// A file of `user:password` lines.
    pub basic_file: Option<PathBuf>,
    /// A file whose first line is a token.
    pub token_file: Option<PathBuf>,
}

impl Default for MongoDb {
    fn default() -> Self {
        Self {
            uri: Secret::new("mongodb://localhost:27017/?replicaSet=rs0"),
            uri_file: None,
            database: "lake".into(),
            collection: "sales".into(),
        }
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            time: "sold_at".into(),
            region: "region".into(),
            product: "product_name".into(),
            category: "category".into(),
            amount: "amount".into(),
            quantity: "quantity".into(),
            customer: "customer_id".into(),
            amount_scale: 2,
            quantity_scale: 0,
            also: vec!["sale_id".into(), "store_id".into(), "channel".into()],
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self {
            time_zone: "Europe/Paris".into(),
            currency: "EUR".into(),
            title: String::new(),
        }
    }
}

impl Default for CubeSettings {
    fn default() -> Self {
        Self { window_days: 2 }
    }
}

impl Default for Analysis {
    fn default() -> Self {
        Self {
            days: 31,
            sample: 1_000_000,
        }
    }
}

/// Every key there is.
const KEYS: &[&str] = &[
    "mongodb.uri",
    "mongodb.uri_file",
    "mongodb.database",
    "mongodb.collection",
    "fields.time",
    "fields.region",
    "fields.product",
    "fields.category",
    "fields.amount",
    "fields.quantity",
    "fields.customer",
    "fields.amount_scale",
    "fields.quantity_scale",
    "fields.also",
    "page.time_zone",
    "page.currency",
    "page.title",
    "cube.window_days",
    "analysis.days",
    "analysis.sample",
    "auth.basic_file",
    "auth.token_file",
];

/// What is wrong with the settings; shows no value of a key that may hold a secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct SettingsError {
    /// At least one, each with its remedy.
    pub problems: Vec<String>,
}

impl SettingsError {
    fn one(problem: String) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl Settings {
    /// Reads and checks a settings file, and the secret files that it names.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let named = |what: String| SettingsError::one(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|error| named(format!("cannot be read: {error}")))?;
        let mut settings = Self::parse(&text).map_err(|error| {
            let told = |problem| format!("{}: {problem}", path.display());
            SettingsError {
                problems: error.problems.into_iter().map(told).collect(),
            }
        })?;
        if let Some(file) = &settings.mongodb.uri_file {
            settings.mongodb.uri = Secret::first_line(file).map_err(SettingsError::one)?;
        }
        Ok(settings)
    }

    /// Takes the settings from TOML text.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        // Only the message: the error's own print shows the line, which may hold a secret.
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| {
            SettingsError::one(format!("no TOML: {}", e.message()))
        })?;
        let mut problems = Vec::new();
        unknown_keys("", &table, &mut problems);
        if problems.is_empty() {
            let settings: Self = table
                .try_into()
                .map_err(|error: toml::de::Error| SettingsError::one(error.message().to_owned()))?;
            problems.extend(settings.unsound());
            if problems.is_empty() {
                return Ok(settings);
            }
        }
        Err(SettingsError { problems })
    }

    /// The time zone of the page.
    pub fn time_zone(&self) -> Tz {
        // Checked when the settings were taken.
        self.page.time_zone.parse().unwrap_or(Tz::UTC)
    }

    fn unsound(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.page.time_zone.parse::<Tz>().is_err() {
            let zone = &self.page.time_zone;
            let near = nearest(zone, chrono_tz::TZ_VARIANTS.iter().map(|tz| tz.name()));
            problems.push(format!(
                "`page.time_zone` is `{zone}`, which is no IANA time zone; the nearest is `{near}`"
            ));
        }
        let currency = &self.page.currency;
        if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            problems.push(format!(
                "`page.currency` is `{currency}`; write an ISO 4217 code such as EUR"
            ));
        }
        if self.fields.amount_scale > 12 || self.fields.quantity_scale > 12 {
            problems.push("a scale in `fields` is above 12; write 0 to 12".into());
        }
        if !(1..=62).contains(&self.cube.window_days) {
            problems.push("`cube.window_days` is out of range; write 1 to 62".into());
        }
        if !(1_000..=100_000_000).contains(&self.analysis.sample) {
            problems.push("`analysis.sample` is out of range; write 1000 to 100000000".into());
        }
        let days = self.analysis.days;
        if days != 0 && !(self.cube.window_days..=3_660).contains(&days) {
            problems.push(
                "`analysis.days` is out of range; write 0, or `cube.window_days` to 3660".into(),
            );
        }
        problems
    }
}

fn unknown_keys(prefix: &str, table: &toml::Table, problems: &mut Vec<String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        let inside = format!("{path}.");
        match value {
            toml::Value::Table(inner) if KEYS.iter().any(|key| key.starts_with(&inside)) => {
                unknown_keys(&path, inner, problems);
            }
            _ if KEYS.contains(&path.as_str()) => {}
            _ => problems.push(format!(
                "`{path}` is not a known key; the nearest known one is `{}`",
                nearest_key(&path, KEYS)
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        Settings::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_has_the_defaults() {
        let settings = Settings::parse("").unwrap();
        assert_eq!(settings.fields.product, "product_name");
        assert_eq!(settings.time_zone(), chrono_tz::Europe::Paris);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        assert_eq!(
            problem("[mongodb]\ndatabse = 'x'"),
            "`mongodb.databse` is not a known key; the nearest known one is `mongodb.database`"
        );
        assert!(problem("[page]\nuri = 'x'").contains("`mongodb.uri`"));
    }

    #[test]
    fn what_is_unsound_comes_with_a_remedy() {
        assert!(problem("[page]\ntime_zone = 'Europe/Pari'").contains("`Europe/Paris`"));
        assert!(problem("[cube]\nwindow_days = 0").contains("write 1 to 62"));
        assert!(problem("[analysis]\ndays = 1").contains("write 0, or `cube.window_days`"));
        assert_eq!(
            Settings::parse("[analysis]\ndays = 0")
                .unwrap()
                .analysis
                .days,
            0
        );
    }

    #[test]
    fn a_connection_string_is_never_shown() {
        let settings = Settings::parse("[mongodb]\nuri = 'mongodb://u:hunter2@h'").unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        assert!(!problem("[mongodb]\nuri = 'mongodb://u:hunter2@h").contains("hunter2"));
        assert!(!problem("[mongodb]\nuri = ['hunter2']").contains("hunter2"));
    }
}
