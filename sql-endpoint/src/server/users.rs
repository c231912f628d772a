//! Who may connect: a file of names with what SCRAM-SHA-256 needs to check their passwords.
//!
//! ```text
//! !lookalike:<random text>
//! <name>:scram-sha-256:<iterations>:<salt>:<salted password, hexadecimal>
//! ```
//!
//! A password itself is stored nowhere. Its salted form is as good as the password for this server
//! alone, so whoever may read the file may connect: files that others can read are refused. Other
//! places where the same password is used stay behind as many hash rounds as `iterations` says.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{gen_salted_password, random_nonce};
use datafusion_postgres::pgwire::api::auth::{AuthSource, LoginInfo, Password};
use datafusion_postgres::pgwire::error::PgWireResult;

/// Rounds of hashing between a password and its salted form; one number for all users, because the
/// server says it before it knows whether the user exists.
pub(super) const ITERATIONS: usize = 16_384;

const METHOD: &str = "scram-sha-256";
const LOOKALIKE: &str = "!lookalike:";
const SALT_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A file of users that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UsersError {
    /// It cannot be read or written.
    #[error("{path}: {source}", path = .0.display(), source = .1)]
    Io(PathBuf, std::io::Error),
    /// Others than its owner may read it.
    #[error("{path} can be read by others than its owner (mode {mode:03o}): run `chmod 600 {path}`", path = .0.display(), mode = .1)]
    Readable(PathBuf, u32),
    /// A line is not what `add-user` writes.
    #[error("{path}:{line}: is not a line that `lake-sql add-user` writes; remove it and add the user again", path = .0.display(), line = .1)]
    Line(PathBuf, usize),
    /// It names nobody.
    #[error("{path} names no user: add one with `lake-sql add-user --users {path} NAME`", path = .0.display())]
    Nobody(PathBuf),
    /// A name that cannot stand in the file.
    #[error(
        "`{0}` cannot be a user's name: 1 to 63 characters, without `:`, spaces at the ends or control characters, not beginning with `!` or `#`"
    )]
    Name(String),
    /// A password of no use.
    #[error("the password is empty")]
    Empty,
}

#[derive(Clone)]
struct Verifier {
    salt: String,
    salted: Vec<u8>,
}

/// The users of a file.
#[derive(Clone)]
pub struct Users {
    path: PathBuf,
    lookalike: String,
    verifiers: BTreeMap<String, Verifier>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("path", &self.path)
            .field("names", &self.verifiers.keys())
            .finish()
    }
}

impl Users {
    /// Reads a file that names at least one user.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it is not what [`Users::add`] writes.
    pub fn open(path: &Path) -> Result<Self, UsersError> {
        let users = Self::read(path)?;
        if users.verifiers.is_empty() {
            return Err(UsersError::Nobody(path.to_owned()));
        }
        Ok(users)
    }

    /// Adds a user, or gives one that is there another password; makes the file if there is none.
    /// The new file takes the place of the old one at once.
    ///
    /// # Errors
    /// When the name or the password cannot be used, or the file not be read or written.
    pub fn add(path: &Path, name: &str, password: &str) -> Result<(), UsersError> {
        let apt = (1..=63).contains(&name.chars().count())
            && name.trim() == name
            && !name.starts_with(['!', '#'])
            && !name.chars().any(|c| c == ':' || c.is_control());
        if !apt {
            return Err(UsersError::Name(name.to_owned()));
        }
        if password.is_empty() {
            return Err(UsersError::Empty);
        }
        let mut users = match Self::read(path) {
            Ok(users) => users,
            Err(UsersError::Io(_, error)) if error.kind() == std::io::ErrorKind::NotFound => Self {
                path: path.to_owned(),
                lookalike: random_nonce(),
                verifiers: BTreeMap::new(),
            },
            Err(error) => return Err(error),
        };
        let salt = random_nonce();
        let salted = gen_salted_password(password, salt.as_bytes(), ITERATIONS);
        users
            .verifiers
            .insert(name.to_owned(), Verifier { salt, salted });
        users
            .write()
            .map_err(|error| UsersError::Io(path.to_owned(), error))
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.verifiers.keys().map(String::as_str)
    }

    fn read(path: &Path) -> Result<Self, UsersError> {
        let failed = |error| UsersError::Io(path.to_owned(), error);
        let mode = std::fs::metadata(path)
            .map_err(failed)?
            .permissions()
            .mode()
            & 0o777;
        if mode & 0o077 != 0 {
            return Err(UsersError::Readable(path.to_owned(), mode));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let mut users = Self {
            path: path.to_owned(),
            lookalike: String::new(),
            verifiers: BTreeMap::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let wrong = || UsersError::Line(path.to_owned(), index + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.strip_prefix(LOOKALIKE) {
                Some(random) => random.clone_into(&mut users.lookalike),
                None => {
                    let (name, verifier) = verifier(line).ok_or_else(wrong)?;
                    users.verifiers.insert(name.to_owned(), verifier);
                }
            }
        }
        if users.lookalike.len() < 16 && !users.verifiers.is_empty() {
            return Err(UsersError::Line(path.to_owned(), 1));
        }
        Ok(users)
    }

    fn write(&self) -> std::io::Result<()> {
        let mut text = format!("{LOOKALIKE}{}\n", self.lookalike);
        for (name, Verifier { salt, salted }) in &self.verifiers {
            let digits: String = salted.iter().map(|byte| format!("{byte:02x}")).collect();
            text.push_str(&format!("{name}:{METHOD}:{ITERATIONS}:{salt}:{digits}\n"));
        }
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let _ = std::fs::remove_file(&beside);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)
    }

    /// What somebody who is not there would be asked: as steady from try to try, and as long, as what
    /// users are asked.
    fn lookalike(&self, name: &str) -> Password {
        let mixed = gen_salted_password(name, self.lookalike.as_bytes(), 2);
        let salt = mixed
            .iter()
            .take(24)
            .map(|byte| SALT_DIGITS[usize::from(byte & 63)])
            .collect();
        // No password comes to this: it is not the hash of anything that a client could send.
        let salted = gen_salted_password(&random_nonce(), self.lookalike.as_bytes(), 2);
        Password::new(Some(salt), salted)
    }
}

fn verifier(line: &str) -> Option<(&str, Verifier)> {
    let parts: Vec<&str> = line.split(':').collect();
    let [name, METHOD, iterations, salt, digits] = parts[..] else {
        return None;
    };
    let whole = digits.len() == 64 && digits.is_ascii() && iterations == ITERATIONS.to_string();
    if !whole || name.is_empty() {
        return None;
    }
    let salted = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect::<Option<Vec<u8>>>()?;
    Some((
        name,
        Verifier {
            salt: salt.to_owned(),
            salted,
        },
    ))
}

#[async_trait]
impl AuthSource for Users {
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let name = login.user().unwrap_or_default();
        Ok(match self.verifiers.get(name) {
            Some(Verifier { salt, salted }) => {
                Password::new(Some(salt.clone().into_bytes()), salted.clone())
            }
            None => self.lookalike(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!(
            "lake-sql-users-{}",
            random_nonce().replace('/', "-")
        ));
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    async fn password(users: &Users, name: &str) -> Password {
        let login = LoginInfo::new(Some(name), None, "127.0.0.1".into());
        users.get_password(&login).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_holds_what_a_password_is_checked_with_but_not_the_password() {
        let path = folder().join("users");
        // GIVEN two users, one of whom changed the password
        Users::add(&path, "anna", "first secret").unwrap();
        Users::add(&path, "José", "geheim").unwrap();
        Users::add(&path, "anna", "second secret").unwrap();
        // WHEN the file is read
        let users = Users::open(&path).unwrap();
        // THEN both are there, and what is kept of anna comes from the second password
        assert_eq!(users.names().collect::<Vec<_>>(), ["José", "anna"]);
        let kept = password(&users, "anna").await;
        let expected = gen_salted_password("second secret", kept.salt().unwrap(), ITERATIONS);
        assert_eq!(kept.password(), expected);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("secret") && !text.contains("geheim"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn somebody_who_is_not_there_is_asked_the_same_each_time() {
        let path = folder().join("users");
        Users::add(&path, "anna", "secret").unwrap();
        let users = Users::open(&path).unwrap();
        let (once, again) = (password(&users, "eve").await, password(&users, "eve").await);
        assert_eq!(once.salt(), again.salt());
        assert_ne!(once.salt(), password(&users, "mallory").await.salt());
        assert_eq!(
            once.salt().unwrap().len(),
            password(&users, "anna").await.salt().unwrap().len()
        );
        assert_ne!(once.password(), again.password());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let path = folder().join("users");
        Users::add(&path, "anna", "secret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = Users::open(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn lines_of_another_hand_and_names_of_no_use_are_refused() {
        let path = folder().join("users");
        for name in ["", "a:b", " a", "!a", "#a", "a\nb"] {
            assert!(
                matches!(Users::add(&path, name, "x"), Err(UsersError::Name(_))),
                "{name:?}"
            );
        }
        Users::add(&path, "anna", "secret").unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + "bert:geheim\n").unwrap();
        assert!(matches!(Users::open(&path), Err(UsersError::Line(_, 3))));
    }
}
