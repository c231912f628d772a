//! A connection string that may hold a password.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize, Serializer};

use super::key::{Kind, REDACTED, Setting};

/// A URI whose password no form of printing shows.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUri(String);

impl SecretUri {
    /// The URI without its password, and without options that may hold secrets.
    pub fn redacted(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return REDACTED.to_owned();
        };
        // A password with a bare `/` or `?` is not allowed, so neither ends the credentials early; the
        // last `@` before the options does.
        let (place, options) = match rest.split_once('?') {
            Some((place, options)) => (place, Some(options)),
            None => (rest, None),
        };
        let place = match place.rsplit_once('@') {
            Some((credentials, hosts)) => {
                let user = credentials.split(':').next().unwrap_or_default();
                match credentials.contains(':') {
                    true => format!("{user}:{REDACTED}@{hosts}"),
                    false => format!("{user}@{hosts}"),
                }
            }
            None => place.to_owned(),
        };
        match options {
            Some(options) => format!("{scheme}://{place}?{}", shown(options)),
            None => format!("{scheme}://{place}"),
        }
    }
}

/// Options, with the values of those that are secret by their name replaced.
fn shown(options: &str) -> String {
    let each = options
        .split('&')
        .map(|option| match option.split_once('=') {
            Some((name, _)) if is_secret_option(name) => format!("{name}={REDACTED}"),
            _ => option.to_owned(),
        });
    each.collect::<Vec<_>>().join("&")
}

fn is_secret_option(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("password") || name == "authmechanismproperties"
}

impl Deref for SecretUri {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SecretUri {
    fn from(uri: &str) -> Self {
        Self(uri.to_owned())
    }
}

impl fmt::Debug for SecretUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted(), f)
    }
}

impl Serialize for SecretUri {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.redacted().serialize(serializer)
    }
}

impl Setting for SecretUri {
    const KIND: Kind = Kind::Text;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_printing_shows_a_password() {
        for (uri, shown) in [
            (
                "mongodb://till:tr0ub4dor@a:1,b:2/lake?replicaSet=rs0",
                "mongodb://till:[redacted]@a:1,b:2/lake?replicaSet=rs0",
            ),
            (
                "mongodb://till:tr0:ub4dor@p@a:1",
                "mongodb://till:[redacted]@a:1",
            ),
            ("mongodb://till@a:1/", "mongodb://till@a:1/"),
            ("mongodb://a:1/?w=majority", "mongodb://a:1/?w=majority"),
            (
                "mongodb://a/?tls=true&tlsCertificateKeyFilePassword=tr0ub4dor",
                "mongodb://a/?tls=true&tlsCertificateKeyFilePassword=[redacted]",
            ),
            ("tr0ub4dor", "[redacted]"),
        ] {
            let secret = SecretUri::from(uri);
            assert_eq!(secret.redacted(), shown);
            assert!(!format!("{secret:?}").contains("tr0ub4dor"));
            assert!(
                !serde_json::to_string(&secret)
                    .expect("text")
                    .contains("tr0ub4dor")
            );
            assert_eq!(&*secret, uri);
        }
    }
}
