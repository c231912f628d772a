//! Who may look: anybody, or who knows a password or the token.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::App;
use super::answers::Refusal;
use crate::settings::{Auth, Secret};

/// The passwords and the token; open to all where there are none.
#[derive(Clone, Debug, Default)]
pub struct Door {
    users: HashMap<String, Secret>,
    token: Option<Secret>,
}

impl Door {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// A sentence that shows no secret, when a file cannot be used.
    pub fn open(auth: &Auth) -> Result<Self, String> {
        let mut door = Self::default();
        if let Some(path) = &auth.token_file {
            door.token = Some(Secret::first_line(path)?);
        }
        if let Some(path) = &auth.basic_file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: cannot be read: {error}", path.display()))?;
            let lines = text
                .lines()
                .enumerate()
                .map(|(n, line)| (n + 1, line.trim()));
            for (number, line) in
                lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            {
                match line.split_once(':') {
                    Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                        door.users.insert(user.to_owned(), Secret::new(password));
                    }
                    _ => return Err(format!("{}:{number}: write user:password", path.display())),
                }
            }
            if door.users.is_empty() {
                return Err(format!("{}: names no user", path.display()));
            }
        }
        Ok(door)
    }

    /// Whether everybody may look.
    pub fn is_open(&self) -> bool {
        self.users.is_empty() && self.token.is_none()
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        match given.and_then(|given| given.split_once(' ')) {
            _ if self.is_open() => true,
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                self.is_token(token.trim())
            }
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
                let pair = base64(pair.trim()).and_then(|bytes| String::from_utf8(bytes).ok());
                pair.as_deref()
                    .and_then(|pair| pair.split_once(':'))
                    .is_some_and(|(user, password)| {
                        // A browser asks for a user and a password; the token serves as any user's.
                        let known = self
                            .users
                            .get(user)
                            .is_some_and(|known| same(known.reveal(), password));
                        known || self.is_token(password)
                    })
            }
            _ => false,
        }
    }

    fn is_token(&self, given: &str) -> bool {
        self.token
            .as_ref()
            .is_some_and(|token| same(token.reveal(), given))
    }
}

/// Equal, in a time that tells nothing but the length.
fn same(a: &str, b: &str) -> bool {
    let differing = a
        .bytes()
        .zip(b.bytes())
        .fold(0, |differing, (a, b)| differing | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differing) == 0
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bits, mut held, mut bytes) = (0_u32, 0_u32, Vec::new());
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, held) = (bits << 6 | u32::from(value), held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

pub(super) async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.door.admits(request.headers()) {
        return next.run(request).await;
    }
    let ask = [(
        header::WWW_AUTHENTICATE,
        "Basic realm=\"lake-dashboard\", charset=\"UTF-8\"",
    )];
    (
        ask,
        Refusal(
            StatusCode::UNAUTHORIZED,
            "a password or a token is needed".into(),
        ),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        headers
    }

    #[test]
    fn only_who_knows_a_secret_is_admitted() {
        let door = Door {
            users: HashMap::from([("anna".to_owned(), Secret::new("pass:word"))]),
            token: Some(Secret::new("t0ken")),
        };
        // anna:pass:word, x:t0ken, anna:wrong
        for (given, admitted) in [
            ("Bearer t0ken", true),
            ("Basic YW5uYTpwYXNzOndvcmQ=", true),
            ("Basic eDp0MGtlbg==", true),
            ("Basic YW5uYTp3cm9uZw==", false),
            ("Bearer t0ke", false),
            ("Bearer ", false),
            ("t0ken", false),
        ] {
            assert_eq!(door.admits(&headers(given)), admitted, "{given}");
        }
        assert!(!door.admits(&HeaderMap::new()));
        assert!(Door::default().admits(&HeaderMap::new()));
    }
}
