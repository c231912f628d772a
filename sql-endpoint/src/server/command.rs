//! What a statement wants, told by its words: everything but questions to the tables is answered here,
//! by the session.
//!
//! Reading words rather than a parsed tree keeps this list closed: what is not named is refused,
//! whatever a parser may one day make of it.

mod refused;
mod words;
#[cfg(test)]
mod tests;

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_postgres::pgwire::error::PgWireResult;

use super::fault::{self, error, hinted};
use refused::refused;
use words::Words;

pub(super) use refused::no_temporary;

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    /// A question to the tables: its text.
    Query(String),
    /// A value for a parameter; `None` is its default. `local` ends with the transaction.
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    /// Defaults for all parameters, and with `discard` no cursors or prepared statements either.
    ResetAll { discard: bool },
    /// The value of a parameter, or of all.
    Show(String),
    /// A transaction that begins.
    Begin,
    /// A transaction that ends well.
    Commit,
    /// A transaction that is given up.
    Rollback,
    /// A point to go back to.
    Savepoint(String),
    /// Back to a point.
    RollbackTo(String),
    /// A point that is not needed any more.
    Release(String),
    /// `SET TRANSACTION …`: nothing but reads happen, so every mode is as good.
    SetTransaction,
    /// A cursor over a query.
    Declare {
        name: String,
        hold: bool,
        query: String,
    },
    /// The next rows of a cursor; all of them without a number. `skip` is `MOVE`: none is sent.
    Fetch {
        name: String,
        rows: Option<usize>,
        skip: bool,
    },
    /// A cursor that is not needed any more, or all of them.
    Close(Option<String>),
    /// A prepared statement that is not needed any more, or all of them.
    Deallocate(Option<String>),
}

impl Command {
    /// What the server says when it is done, rows aside.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Query(_) => "SELECT",
            Self::Set { .. } | Self::SetTransaction => "SET",
            Self::ResetAll { discard: true } => "DISCARD ALL",
            Self::ResetAll { discard: false } => "RESET",
            Self::Show(_) => "SHOW",
            Self::Begin => "BEGIN",
            Self::Commit => "COMMIT",
            Self::Rollback | Self::RollbackTo(_) => "ROLLBACK",
            Self::Savepoint(_) => "SAVEPOINT",
            Self::Release(_) => "RELEASE",
            Self::Declare { .. } => "DECLARE CURSOR",
            Self::Fetch { skip: true, .. } => "MOVE",
            Self::Fetch { .. } => "FETCH",
            Self::Close(None) => "CLOSE CURSOR ALL",
            Self::Close(Some(_)) => "CLOSE CURSOR",
            Self::Deallocate(None) => "DEALLOCATE ALL",
            Self::Deallocate(Some(_)) => "DEALLOCATE",
        }
    }

    /// Whether it may be said in a transaction that has failed.
    pub(super) fn ends_transaction(&self) -> bool {
        matches!(self, Self::Commit | Self::Rollback | Self::RollbackTo(_))
    }
}

/// The statements of a text, empty ones left out.
pub(super) fn commands(text: &str) -> PgWireResult<Vec<Command>> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text)
        // Quotes inside strings stay doubled, so that a token's text is what was written.
        .with_unescape(false)
        .tokenize()
        .map_err(|cause| fault::of_parser(&cause.into()))?;
    tokens
        .split(|token| matches!(token, Token::SemiColon))
        .filter(|tokens| {
            !tokens
                .iter()
                .all(|token| matches!(token, Token::Whitespace(_)))
        })
        .map(command)
        .collect()
}

fn command(tokens: &[Token]) -> PgWireResult<Command> {
    let text = || {
        tokens
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
            .trim()
            .to_owned()
    };
    let mut words = Words {
        tokens: tokens
            .iter()
            .filter(|token| !matches!(token, Token::Whitespace(_)))
            .collect(),
        at: 0,
    };
    if matches!(words.peek(), Some(Token::LParen)) {
        return Ok(Command::Query(text()));
    }
    let Some(first) = words.word() else {
        return Err(words.unexpected());
    };
    words.at += 1;
    let command = match first.as_str() {
        "select" | "with" | "values" | "table" | "explain" => return Ok(Command::Query(text())),
        "set" => set(&mut words)?,
        "reset" if words.take(&["all"]) => Command::ResetAll { discard: false },
        "reset" if words.take(&["time", "zone"]) => reset("timezone".into()),
        "reset" => reset(words.name()?),
        "show" => Command::Show(shown(&mut words)?),
        "discard" => discard(&mut words)?,
        "begin" => begin(&mut words),
        "start" if words.take(&["transaction"]) => begin(&mut words),
        "commit" | "end" => ended(&mut words, Command::Commit),
        "abort" => ended(&mut words, Command::Rollback),
        "rollback" => rollback(&mut words)?,
        "savepoint" => Command::Savepoint(words.name()?),
        "release" => {
            words.take(&["savepoint"]);
            Command::Release(words.name()?)
        }
        "declare" => return declare(&mut words),
        "fetch" => fetch(&mut words, false)?,
        "move" => fetch(&mut words, true)?,
        "close" if words.take(&["all"]) => Command::Close(None),
        "close" => Command::Close(Some(words.name()?)),
        "deallocate" => {
            words.take(&["prepare"]);
            match words.take(&["all"]) {
                true => Command::Deallocate(None),
                false => Command::Deallocate(Some(words.name()?)),
            }
        }
        other => return Err(refused(other, &mut words)),
    };
    words.end()?;
    Ok(command)
}

fn reset(name: String) -> Command {
    Command::Set {
        name,
        value: None,
        local: false,
    }
}

/// `SET` in its forms; the name `transaction` stands for all that is said of transactions.
fn set(words: &mut Words) -> PgWireResult<Command> {
    let local = words.take(&["local"]);
    if words.take(&["session", "characteristics", "as", "transaction"])
        || words.take(&["transaction"])
    {
        words.rest();
        return Ok(Command::SetTransaction);
    }
    let names_user = words.take(&["session", "authorization"]) || words.take(&["role"]);
    if names_user {
        let value = words.rest().to_ascii_lowercase();
        return match value.as_str() {
            "default" | "none" => Ok(Command::SetTransaction),
            _ => Err(error("42501", "permission denied to become another user")),
        };
    }
    words.take(&["session"]);
    let name = if words.take(&["time", "zone"]) {
        "timezone".to_owned()
    } else if words.take(&["names"]) {
        "client_encoding".to_owned()
    } else {
        let name = dotted(words)?;
        let given =
            matches!(words.peek(), Some(Token::Eq)) || words.word().as_deref() == Some("to");
        if !given {
            return Err(words.unexpected());
        }
        words.at += 1;
        name
    };
    let value = value(words)?;
    let is_default = value.eq_ignore_ascii_case("default")
        || (name == "timezone" && value.eq_ignore_ascii_case("local"));
    let value = (!is_default).then_some(value);
    Ok(Command::Set { name, value, local })
}

fn dotted(words: &mut Words) -> PgWireResult<String> {
    let mut name = words.name()?;
    while matches!(words.peek(), Some(Token::Period)) {
        words.at += 1;
        name = format!("{name}.{}", words.name()?);
    }
    Ok(name.to_ascii_lowercase())
}

/// A value or several with commas, quotes taken off.
fn value(words: &mut Words) -> PgWireResult<String> {
    let mut value = String::new();
    if words.peek().is_none() {
        return Err(words.unexpected());
    }
    while let Some(token) = words.peek() {
        match token {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => {
                value.push_str(&text.replace("''", "'"));
            }
            Token::Word(word)
                if word.keyword == Keyword::INTERVAL && word.quote_style.is_none() => {}
            Token::Word(word) => value.push_str(&word.value),
            Token::Number(digits, _) => value.push_str(digits),
            Token::Minus => value.push('-'),
            Token::Plus => value.push('+'),
            Token::Comma => value.push_str(", "),
            _ => return Err(words.unexpected()),
        }
        words.at += 1;
    }
    Ok(value)
}

fn shown(words: &mut Words) -> PgWireResult<String> {
    if words.take(&["time", "zone"]) {
        return Ok("timezone".into());
    }
    if words.take(&["transaction", "isolation", "level"]) {
        return Ok("transaction_isolation".into());
    }
    if words.take(&["session", "authorization"]) {
        return Ok("session_authorization".into());
    }
    dotted(words)
}

fn discard(words: &mut Words) -> PgWireResult<Command> {
    match words.name()?.as_str() {
        "all" => Ok(Command::ResetAll { discard: true }),
        "plans" | "sequences" | "temp" | "temporary" => Ok(Command::SetTransaction),
        _ => Err(words.unexpected()),
    }
}

fn begin(words: &mut Words) -> Command {
    // Isolation levels and `READ WRITE` are accepted: every statement only reads, and each sees one
    // moment of its tables.
    words.rest();
    Command::Begin
}

fn ended(words: &mut Words, command: Command) -> Command {
    let _ = words.take(&["work"]) || words.take(&["transaction"]);
    let _ = words.take(&["and", "no", "chain"]);
    command
}

fn rollback(words: &mut Words) -> PgWireResult<Command> {
    let _ = words.take(&["work"]) || words.take(&["transaction"]);
    if words.take(&["to"]) {
        words.take(&["savepoint"]);
        return Ok(Command::RollbackTo(words.name()?));
    }
    let _ = words.take(&["and", "no", "chain"]);
    Ok(Command::Rollback)
}

fn declare(words: &mut Words) -> PgWireResult<Command> {
    let name = words.name()?;
    loop {
        if words.take(&["no", "scroll"])
            || words.take(&["binary"])
            || words.take(&["insensitive"])
            || words.take(&["asensitive"])
        {
            continue;
        }
        if words.take(&["scroll"]) {
            return Err(hinted(
                "0A000",
                "scrollable cursors are not supported",
                "Declare it with NO SCROLL.",
            ));
        }
        break;
    }
    if !words.take(&["cursor"]) {
        return Err(words.unexpected());
    }
    let hold = words.take(&["with", "hold"]);
    words.take(&["without", "hold"]);
    if !words.take(&["for"]) {
        return Err(words.unexpected());
    }
    let begins = matches!(words.peek(), Some(Token::LParen));
    match words.word().as_deref() {
        Some("select" | "with" | "values" | "table") => {}
        None if begins => {}
        _ => return Err(words.unexpected()),
    }
    let query = words.rest();
    Ok(Command::Declare { name, hold, query })
}

fn fetch(words: &mut Words, skip: bool) -> PgWireResult<Command> {
    let backward = || error("55000", "cursor can only scan forward");
    words.take(&["forward"]);
    let mut rows = Some(1);
    match (words.peek(), words.word().as_deref()) {
        (Some(Token::Number(digits, _)), _) => {
            rows = Some(digits.parse().map_err(|_| words.unexpected())?);
            words.at += 1;
        }
        (_, Some("all")) => {
            rows = None;
            words.at += 1;
        }
        (_, Some("next")) => words.at += 1,
        (Some(Token::Minus), _)
        | (_, Some("prior" | "first" | "last" | "absolute" | "relative" | "backward")) => {
            return Err(backward());
        }
        _ => {}
    }
    let _ = words.take(&["from"]) || words.take(&["in"]);
    Ok(Command::Fetch {
        name: words.name()?,
        rows,
        skip,
    })
}
