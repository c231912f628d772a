//! Keys: each setting is declared once, and everything else that knows of it follows from there.
//!
//! ```text
//! settings_table! { … } ─┬─► a struct with defaults
//!                        └─► Key ─► loading, errors, `config print`, the reference
//! ```
//!
//! Owns: the declaration of keys and how their kinds follow from Rust types.
//! Does not own: which keys there are (`settings`).

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path; a relative one counts from the folder of the file that names it.
    Path,
    /// A whole number, and whether it may be negative.
    Integer {
        /// Whether a minus sign is allowed.
        signed: bool,
    },
    /// `true` or `false`.
    Boolean,
    /// A list of texts.
    List,
    /// Properties of another program, by its own names.
    Properties,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A table of keys of its own.
    Table,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Path => f.write_str("path"),
            Self::Integer { .. } => f.write_str("integer"),
            Self::Boolean => f.write_str("true or false"),
            Self::List => f.write_str("list of texts"),
            Self::Properties => f.write_str("table of properties"),
            Self::Choice(words) => {
                for (n, word) in words.iter().enumerate() {
                    let between = if n == 0 { "" } else { ", " };
                    write!(f, "{between}`{word}`")?;
                }
                Ok(())
            }
            Self::Table => f.write_str("table"),
        }
    }
}

/// A setting, as everything but the struct that holds it sees it.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name, such as `rotation.max_rows`.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it means, in Markdown.
    pub meaning: &'static str,
    /// Whether a value of the right kind is also one that the struct can hold.
    pub(super) accepts: fn(toml::Value) -> Result<(), toml::de::Error>,
}

impl Key {
    /// The environment variable that sets it, such as `LAKE_WRITER__ROTATION__MAX_ROWS`.
    pub fn env_name(&self) -> String {
        env_name(self.path)
    }
}

/// How every environment variable that sets a key begins.
pub const ENV_PREFIX: &str = "LAKE_WRITER__";

pub(super) fn env_name(path: &str) -> String {
    format!(
        "{ENV_PREFIX}{}",
        path.to_ascii_uppercase().replace('.', "__")
    )
}

/// A Rust type that a key can have.
pub(super) trait Setting: DeserializeOwned {
    const KIND: Kind;
}

impl Setting for String {
    const KIND: Kind = Kind::Text;
}
impl Setting for PathBuf {
    const KIND: Kind = Kind::Path;
}
impl Setting for u64 {
    const KIND: Kind = Kind::Integer { signed: false };
}
impl Setting for i32 {
    const KIND: Kind = Kind::Integer { signed: true };
}
impl Setting for bool {
    const KIND: Kind = Kind::Boolean;
}
impl Setting for Vec<String> {
    const KIND: Kind = Kind::List;
}
impl Setting for Properties {
    const KIND: Kind = Kind::Properties;
}
impl<T: Setting> Setting for Option<T> {
    const KIND: Kind = T::KIND;
}

pub(super) fn accepts<T: Setting>(value: toml::Value) -> Result<(), toml::de::Error> {
    T::deserialize(value).map(|_| ())
}

/// Declares one table of settings: its struct, its defaults and its keys.
macro_rules! settings_table {
    (
        $(#[doc = $about:literal])*
        $name:ident $(: $marker:ident)? at $path:literal {
            $($(#[doc = $doc:literal])* $field:ident: $kind:ty = $default:expr,)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, $($marker,)? Debug, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $kind,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::settings::key::Setting for $name {
            const KIND: $crate::settings::key::Kind = $crate::settings::key::Kind::Table;
        }

        impl $name {
            /// The keys of this table, without those of tables inside.
            pub(super) const KEYS: &'static [$crate::settings::key::Key] = &[
                $($crate::settings::key::Key {
                    path: concat!($path, ".", stringify!($field)),
                    kind: <$kind as $crate::settings::key::Setting>::KIND,
                    meaning: concat!($($doc),*),
                    accepts: $crate::settings::key::accepts::<$kind>,
                },)*
            ];
        }
    };
}

/// Declares a setting that is one of some words, and which of them is the default.
macro_rules! settings_choice {
    (
        $(#[doc = $about:literal])*
        $name:ident, first $first:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
        pub enum $name {
            $($(#[doc = $doc])* #[serde(rename = $word)] $variant,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$first
            }
        }

        impl $crate::settings::key::Setting for $name {
            const KIND: $crate::settings::key::Kind =
                $crate::settings::key::Kind::Choice(&[$($word,)*]);
        }
    };
}

pub(super) use {settings_choice, settings_table};

/// Properties of another program by its own names. Printing them, in whatever form, never shows a
/// value that is secret by its name.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Properties(BTreeMap<String, String>);

/// What is printed instead of a secret.
pub const REDACTED: &str = "[redacted]";

/// Whether the value of a property must not be shown, by the property's name: passwords, secrets,
/// keys, tokens, and texts that may embed them. Names of files that hold one may be shown.
pub fn is_secret(property: &str) -> bool {
    let property = property.to_ascii_lowercase();
    let names_a_place = [".location", ".file", "_file", ".keytab", ".url", ".path"]
        .iter()
        .any(|end| property.ends_with(end));
    let holds_a_secret = [
        "password",
        "passphrase",
        "secret",
        "key",
        "token",
        "credential",
        "jaas",
        "oauthbearer.config",
    ]
    .iter()
    .any(|word| property.contains(word));
    holds_a_secret && !names_a_place
}

impl Properties {
    /// The properties with secrets replaced, for people.
    pub fn redacted(&self) -> BTreeMap<&str, &str> {
        self.0
            .iter()
            .map(|(name, value)| {
                let shown = if is_secret(name) { REDACTED } else { value };
                (name.as_str(), shown)
            })
            .collect()
    }

    /// Sets one.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }
}

impl Deref for Properties {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = (&'a String, &'a String);
    type IntoIter = std::collections::btree_map::Iter<'a, String, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl FromIterator<(String, String)> for Properties {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl<const N: usize> From<[(String, String); N]> for Properties {
    fn from(properties: [(String, String); N]) -> Self {
        Self(properties.into())
    }
}

impl From<BTreeMap<String, String>> for Properties {
    fn from(properties: BTreeMap<String, String>) -> Self {
        Self(properties)
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.redacted()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.redacted().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_the_name_of_their_property() {
        for secret in [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.assertion.private.key.passphrase",
            "SASL.PASSWORD",
        ] {
            assert!(is_secret(secret), "{secret}");
        }
        for open in [
            "sasl.username",
            "security.protocol",
            "ssl.ca.location",
            "ssl.key.location",
            "sasl.kerberos.keytab",
            "sasl.oauthbearer.token.endpoint.url",
            "sasl.password_file",
        ] {
            assert!(!is_secret(open), "{open}");
        }
    }

    #[test]
    fn no_form_of_printing_shows_a_secret() {
        // GIVEN properties with a password
        let mut properties = Properties::default();
        properties.insert("sasl.username", "caisse-été");
        properties.insert("sasl.password", "tr0ub4dor");

        // WHEN they are printed for programmers, for people and as JSON
        let json = serde_json::to_string(&properties).unwrap();
        let toml = toml::to_string(&properties).unwrap();
        for printed in [
            format!("{properties:?}"),
            format!("{properties:#?}"),
            json,
            toml,
        ] {
            // THEN the password is not there, and what is not secret is
            assert!(!printed.contains("tr0ub4dor"), "{printed}");
            assert!(printed.contains(REDACTED), "{printed}");
            assert!(printed.contains("caisse-été"), "{printed}");
        }
        // AND the client that needs it gets it
        assert_eq!(properties["sasl.password"], "tr0ub4dor");
    }
}
