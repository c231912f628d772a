//! What a statement wants, told by its words: everything but questions to the tables is answered here,
//! by the session.
//!
//! Reading words rather than a parsed tree keeps this list closed: what is not named is refused,
//! whatever a parser may one day make of it.

use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};

use super::fault::{self, error, hinted};

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Command {
    /// A question to the tables: its text.
    Query(String),
    /// A value for a parameter; `None` is its default. `local` ends with the transaction.
    Set { name: String, value: Option<String>, local: bool },
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
    Declare { name: String, hold: bool, query: String },
    /// The next rows of a cursor; all of them without a number. `skip` is `MOVE`: none is sent.
    Fetch { name: String, rows: Option<usize>, skip: bool },
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
        .filter(|tokens| !tokens.iter().all(|token| matches!(token, Token::Whitespace(_))))
        .map(command)
        .collect()
}

/// The tokens of a statement, read from its beginning.
struct Words<'a> {
    tokens: Vec<&'a Token>,
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).copied()
    }

    /// The next token if it is a word, in lower case unless quoted.
    fn word(&self) -> Option<String> {
        match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.to_ascii_lowercase()),
            _ => None,
        }
    }

    /// Passes over the given words if they come next.
    fn take(&mut self, words: &[&str]) -> bool {
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
    fn name(&mut self) -> PgWireResult<String> {
        let name = match self.peek() {
            Some(Token::Word(word)) if word.quote_style.is_some() => word.value.clone(),
            Some(Token::Word(word)) => word.value.to_ascii_lowercase(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(name)
    }

    /// The text of all that is left.
    fn rest(&mut self) -> String {
        let rest: String = self.tokens[self.at.min(self.tokens.len())..].iter().map(|token| format!("{token} ")).collect();
        self.at = self.tokens.len();
        rest.trim_end().to_owned()
    }

    fn end(&self) -> PgWireResult<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> PgWireError {
        match self.peek() {
            Some(token) => error("42601", format!("syntax error at or near \"{token}\"")),
            None => error("42601", "syntax error at end of input"),
        }
    }
}

fn command(tokens: &[Token]) -> PgWireResult<Command> {
    let text = || tokens.iter().map(ToString::to_string).collect::<String>().trim().to_owned();
    let mut words = Words {
        tokens: tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect(),
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
    Command::Set { name, value: None, local: false }
}

/// `SET` in its forms; the name `transaction` stands for all that is said of transactions.
fn set(words: &mut Words) -> PgWireResult<Command> {
    let local = words.take(&["local"]);
    if words.take(&["session", "characteristics", "as", "transaction"]) || words.take(&["transaction"]) {
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
        let given = matches!(words.peek(), Some(Token::Eq)) || words.word().as_deref() == Some("to");
        if !given {
            return Err(words.unexpected());
        }
        words.at += 1;
        name
    };
    let value = value(words)?;
    let value = Some(value).filter(|value| !value.eq_ignore_ascii_case("default") && !(name == "timezone" && value.eq_ignore_ascii_case("local")));
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
            Token::Word(word) if word.keyword == Keyword::INTERVAL && word.quote_style.is_none() => {}
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
        if words.take(&["no", "scroll"]) || words.take(&["binary"]) || words.take(&["insensitive"]) || words.take(&["asensitive"]) {
            continue;
        }
        if words.take(&["scroll"]) {
            return Err(hinted("0A000", "scrollable cursors are not supported", "Declare it with NO SCROLL."));
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
        (Some(Token::Minus), _) | (_, Some("prior" | "first" | "last" | "absolute" | "relative" | "backward")) => {
            return Err(backward());
        }
        _ => {}
    }
    let _ = words.take(&["from"]) || words.take(&["in"]);
    Ok(Command::Fetch { name: words.name()?, rows, skip })
}

/// What is not done here, and why not.
fn refused(word: &str, words: &mut Words) -> PgWireError {
    let read_only = |what: &str| {
        hinted(
            "25006",
            format!("cannot execute {what} in a read-only transaction"),
            "The tables are written by lake-writer alone; this server only reads.",
        )
    };
    match word {
        "create" => {
            let _ = words.take(&["local"]) || words.take(&["global"]);
            match words.take(&["temporary"]) || words.take(&["temp"]) {
                true => no_temporary(),
                false => read_only("CREATE"),
            }
        }
        "insert" | "update" | "delete" | "merge" | "truncate" | "drop" | "alter" | "copy" | "grant" | "revoke" | "comment"
        | "analyze" | "vacuum" | "reindex" | "cluster" | "lock" | "refresh" | "import" | "security" | "reassign" | "call"
        | "do" | "checkpoint" | "load" => read_only(&word.to_ascii_uppercase()),
        "prepare" | "execute" | "listen" | "unlisten" | "notify" => {
            error("0A000", format!("{} is not supported", word.to_ascii_uppercase()))
        }
        other => error("42601", format!("syntax error at or near \"{other}\"")),
    }
}

/// Tableau asks for temporary tables first and takes subqueries where it may not have them.
pub(super) fn no_temporary() -> PgWireError {
    error("42501", "permission denied to create temporary tables: this server only reads")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_postgres::pgwire::error::ErrorInfo;

    fn one(text: &str) -> Command {
        commands(text).unwrap_or_else(|error| panic!("{text}: {error}")).remove(0)
    }

    fn code(text: &str) -> String {
        ErrorInfo::from(commands(text).unwrap_err()).code
    }

    fn assigned(name: &str, value: Option<&str>, local: bool) -> Command {
        Command::Set { name: name.into(), value: value.map(Into::into), local }
    }

    #[test]
    fn statements_are_told_apart_and_semicolons_in_strings_do_not_part_them() {
        let told = commands("SELECT 'O''Brien;' ;; /* ; */ COMMIT;").unwrap();
        assert_eq!(told, [Command::Query("SELECT 'O''Brien;'".into()), Command::Commit]);
        assert!(commands(" ; \n;").unwrap().is_empty());
    }

    #[test]
    fn parameters_are_set_in_every_spelling_that_drivers_use() {
        for (text, expected) in [
            ("SET extra_float_digits = 3", assigned("extra_float_digits", Some("3"), false)),
            ("set application_name to 'PostgreSQL JDBC Driver'", assigned("application_name", Some("PostgreSQL JDBC Driver"), false)),
            ("SET SESSION DateStyle TO ISO, DMY", assigned("datestyle", Some("ISO, DMY"), false)),
            ("SET LOCAL statement_timeout = 10", assigned("statement_timeout", Some("10"), true)),
            ("SET TIME ZONE 'Europe/Paris'", assigned("timezone", Some("Europe/Paris"), false)),
            ("SET TIME ZONE LOCAL", assigned("timezone", None, false)),
            ("SET NAMES 'UTF8'", assigned("client_encoding", Some("UTF8"), false)),
            ("RESET statement_timeout", assigned("statement_timeout", None, false)),
            ("SET datafusion.execution.batch_size = 1", assigned("datafusion.execution.batch_size", Some("1"), false)),
            ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Command::SetTransaction),
            ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", Command::SetTransaction),
            ("DISCARD ALL", Command::ResetAll { discard: true }),
            ("SHOW TRANSACTION ISOLATION LEVEL", Command::Show("transaction_isolation".into())),
        ] {
            assert_eq!(one(text), expected, "{text}");
        }
    }

    #[test]
    fn cursors_are_read_forwards() {
        let query = "SELECT 1";
        for (text, expected) in [
            ("declare \"SQL_CUR1\" cursor with hold for SELECT 1", Command::Declare { name: "SQL_CUR1".into(), hold: true, query: query.into() }),
            ("DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR SELECT 1", Command::Declare { name: "c".into(), hold: false, query: query.into() }),
            ("fetch 100 in \"SQL_CUR1\"", Command::Fetch { name: "SQL_CUR1".into(), rows: Some(100), skip: false }),
            ("FETCH FORWARD ALL FROM c", Command::Fetch { name: "c".into(), rows: None, skip: false }),
            ("FETCH c", Command::Fetch { name: "c".into(), rows: Some(1), skip: false }),
            ("MOVE 5 IN c", Command::Fetch { name: "c".into(), rows: Some(5), skip: true }),
            ("close \"SQL_CUR1\"", Command::Close(Some("SQL_CUR1".into()))),
        ] {
            assert_eq!(one(text), expected, "{text}");
        }
        assert_eq!(code("FETCH BACKWARD 1 FROM c"), "55000");
        assert_eq!(code("DECLARE c SCROLL CURSOR FOR SELECT 1"), "0A000");
        assert_eq!(code("DECLARE c CURSOR FOR DELETE FROM sales"), "42601");
    }

    #[test]
    fn whatever_is_not_a_question_is_refused() {
        for text in [
            "INSERT INTO sales VALUES (1)",
            "update sales set amount = 0",
            "DELETE FROM sales",
            "CREATE TABLE x (a int)",
            "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
            "COPY sales TO '/tmp/x'",
            "COPY (SELECT 1) TO STDOUT",
            "DROP TABLE sales",
        ] {
            assert_eq!(code(text), "25006", "{text}");
        }
        for text in ["CREATE TEMPORARY TABLE x AS SELECT 1", "create local temp table x (a int)", "CREATE GLOBAL TEMPORARY TABLE x (a int)"] {
            assert_eq!(code(text), "42501", "{text}");
        }
        assert_eq!(code("GRAB 1"), "42601");
        assert_eq!(code("SELECT 'open"), "42601");
        assert_eq!(code("SET ROLE admin"), "42501");
    }
}
