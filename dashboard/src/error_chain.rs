//! An error with what caused it, in one line: for logs, for people, and for telling by its text what
//! a client meant.

use std::error::Error;
use std::fmt;

/// Displays an error followed by its causes, each said once: transparent errors repeat themselves.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.contains(&text) {
                said.push_str(": ");
                said.push_str(&text);
            }
            cause = error.source();
        }
        f.write_str(&said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Caused {
        text: &'static str,
        #[source]
        cause: Option<Box<dyn Error + Send + Sync>>,
    }

    #[test]
    fn each_cause_is_said_once() {
        // GIVEN an error of three, whose middle repeats its own cause
        let cause = |text, cause: Option<Caused>| Caused {
            text,
            cause: cause.map(|cause| Box::new(cause) as _),
        };
        let chain = cause(
            "failed to send",
            Some(cause("no answer: refused", Some(cause("refused", None)))),
        );
        // WHEN it is displayed THEN nothing stands there twice
        assert_eq!(
            ErrorChain(&chain).to_string(),
            "failed to send: no answer: refused"
        );
    }
}
