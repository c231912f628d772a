//! A statement as its words, read from the beginning.

use datafusion::sql::sqlparser::tokenizer::Token;
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};

use crate::server::fault::error;

/// The tokens of a statement, read from its beginning.
pub(super) struct Words<'a> {
    pub(super) tokens: Vec<&'a Token>,
    pub(super) at: usize,
}

impl<'a> Words<'a> {
    pub(super) fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).copied()
    }

    /// The next token if it is a word, in lower case unless quoted.
    pub(super) fn word(&self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_none() => {
                Some(word.value.to_ascii_lowercase())
            }
            _ => None,
        }
    }

    /// Passes over the given words if they come next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let began = self.at;
        for word in words {
            if self.word().as_deref() != Some(*word) {
                self.at = began;
                return false;
            }
            self.at += 1;
        }
        true
    }

    /// A name, quoted or not.
    pub(super) fn name(&mut self) -> PgWireResult<String> {
        let name = match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_some() => word.value.clone(),
            Some(Token::Word(word)) => word.value.to_ascii_lowercase(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    /// The text of all that is left.
    pub(super) fn rest(&mut self) -> String {
        let rest: String = self.tokens[self.at.min(self.tokens.len())..]
            .iter()
            .map(|token| format!("{token} "))
            .collect();
        self.at = self.tokens.len();
        rest.trim_end().to_owned()
    }

    pub(super) fn end(&self) -> PgWireResult<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected()),
        }
    }

    pub(super) fn unexpected(&self) -> PgWireError {
        match self.peek() {
            Some(token) => error("42601", format!("syntax error at or near \"{token}\"")),
            None => error("42601", "syntax error at end of input"),
        }
    }
}
