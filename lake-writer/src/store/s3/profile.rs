//! Keys from the files that the AWS tools share.
//!
//! ```text
//! AWS_PROFILE ─► ~/.aws/credentials, ~/.aws/config ─► key id, secret, session token, region
//! ```
//!
//! Owns: where the files lie and how they are read.
//! Does not own: profiles that need a login, a role or a helper program; those are refused with
//! the command that turns them into environment variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::open::OpenError;

/// Keys of one profile. Never shown: it has no `Debug`.
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

/// The chosen profile's keys; `None` when no profile was asked for and none is there.
pub(super) fn keys() -> Result<Option<Keys>, OpenError> {
    let (profile, asked_for) = chosen();
    let sections = [
        section_of_file(&credentials_file(), &[&profile]),
        section_of_file(&config_file(), &[&format!("profile {profile}"), &profile]),
    ];
    keys_of(&profile, asked_for, sections.into_iter().flatten())
}

/// The chosen profile's region, when it has one.
pub(super) fn region() -> Option<String> {
    let (profile, _) = chosen();
    let names = [&*format!("profile {profile}"), &*profile];
    section_of_file(&config_file(), &names)?.remove("region")
}

type Section = BTreeMap<String, String>;

fn chosen() -> (String, bool) {
    match std::env::var("AWS_PROFILE") {
        Ok(profile) if !profile.is_empty() => (profile, true),
        _ => ("default".into(), false),
    }
}

fn keys_of(
    profile: &str,
    asked_for: bool,
    sections: impl Iterator<Item = Section>,
) -> Result<Option<Keys>, OpenError> {
    let mut found = asked_for;
    for mut section in sections {
        found |= section.contains_key("aws_access_key_id");
        let id = section.remove("aws_access_key_id");
        let secret = section.remove("aws_secret_access_key");
        if let (Some(id), Some(secret)) = (id, secret) {
            let token = section.remove("aws_session_token");
            return Ok(Some(Keys { id, secret, token }));
        }
    }
    if found {
        return Err(OpenError::Profile(profile.to_owned()));
    }
    Ok(None)
}

fn credentials_file() -> PathBuf {
    file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")
}

fn config_file() -> PathBuf {
    file("AWS_CONFIG_FILE", ".aws/config")
}

fn file(variable: &str, at_home: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(at_home),
    }
}

fn section_of_file(file: &Path, names: &[&str]) -> Option<Section> {
    // A file that is missing or cannot be read holds no keys for us; the error comes when none of
    // the sources has any.
    section(&std::fs::read_to_string(file).ok()?, names)
}

fn section(text: &str, names: &[&str]) -> Option<Section> {
    let mut found: Option<Section> = None;
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            inside = names.contains(&name.trim());
            if inside {
                found.get_or_insert_default();
            }
        } else if let (true, Some((key, value))) = (inside, line.split_once('='))
            && !line.starts_with(['#', ';'])
        {
            let section = found.get_or_insert_default();
            section.insert(key.trim().to_owned(), value.trim().to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\n[default]\naws_access_key_id = one\n\
        aws_secret_access_key=a=b/c+d\n\n[ other ]\n; aws_access_key_id = no\n\
        role_arn = arn:aws:iam::1:role/x\n[profile third]\nregion = eu-west-3\n";

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let default = section(FILE, &["default"]).expect("there");
        assert_eq!(default["aws_secret_access_key"], "a=b/c+d");
        assert_eq!(default.len(), 2);
        assert!(
            !section(FILE, &["other"])
                .expect("there")
                .contains_key("aws_access_key_id")
        );
        assert_eq!(
            section(FILE, &["profile third"]).expect("there")["region"],
            "eu-west-3"
        );
        assert!(section(FILE, &["third"]).is_none());
    }

    #[test]
    fn a_profile_without_keys_is_an_error_only_when_it_was_asked_for() {
        let sections = |name| section(FILE, &[name]).into_iter();
        let keys = keys_of("default", false, sections("default")).expect("read");
        assert_eq!(keys.expect("there").id, "one");
        assert!(keys_of("other", true, sections("other")).is_err());
        assert!(
            keys_of("default", false, sections("none"))
                .expect("read")
                .is_none()
        );
    }
}
