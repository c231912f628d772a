//! Every parameter that there is.

use super::SERVER_VERSION;

#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// Kept and shown, without effect.
    Kept,
    /// A whole number within bounds.
    Number(i64, i64),
    /// One of these, in lower case.
    OneOf(&'static [&'static str]),
    /// A time, in milliseconds unless it names a unit.
    Time,
    /// The encoding of texts: UTF-8 alone.
    Encoding,
    /// How dates are written.
    DateStyle,
    /// A time zone.
    Zone,
    /// Said by the server, never set.
    Fixed,
}

pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) rule: Rule,
    pub(super) about: &'static str,
}

const fn known(
    name: &'static str,
    default: &'static str,
    rule: Rule,
    about: &'static str,
) -> Known {
    Known {
        name,
        default,
        rule,
        about,
    }
}

const ON_OFF: Rule = Rule::OneOf(&["on", "off", "true", "false", "yes", "no", "1", "0"]);
const ON: Rule = Rule::OneOf(&["on", "true", "yes", "1"]);

/// In the order of their names.
pub(super) const KNOWN: &[Known] = &[
    known(
        "application_name",
        "",
        Rule::Kept,
        "What the client calls itself.",
    ),
    known(
        "block_size",
        "8192",
        Rule::Fixed,
        "Size of a page of a database file.",
    ),
    known(
        "bytea_output",
        "hex",
        Rule::OneOf(&["hex", "escape"]),
        "How bytes are written as text.",
    ),
    known(
        "client_encoding",
        "UTF8",
        Rule::Encoding,
        "The encoding of texts.",
    ),
    known(
        "client_min_messages",
        "notice",
        Rule::Kept,
        "Without effect: no notices are sent.",
    ),
    known(
        "datestyle",
        "ISO, MDY",
        Rule::DateStyle,
        "How dates are written as text.",
    ),
    known(
        "default_transaction_deferrable",
        "off",
        ON_OFF,
        "Without effect.",
    ),
    known(
        "default_transaction_isolation",
        "read committed",
        Rule::Kept,
        "Without effect: every statement sees one moment.",
    ),
    known(
        "default_transaction_read_only",
        "on",
        ON_OFF,
        "Without effect: everything is read only.",
    ),
    known("enable_nestloop", "on", ON_OFF, "Without effect."),
    known("enable_seqscan", "on", ON_OFF, "Without effect."),
    known("escape_string_warning", "on", ON_OFF, "Without effect."),
    known(
        "extra_float_digits",
        "1",
        Rule::Number(-15, 3),
        "How many digits of floating-point numbers are written.",
    ),
    known("geqo", "on", ON_OFF, "Without effect."),
    known(
        "idle_in_transaction_session_timeout",
        "0",
        Rule::Time,
        "Without effect: a transaction holds nothing.",
    ),
    known(
        "in_hot_standby",
        "off",
        Rule::Fixed,
        "Whether this is a standby of another server.",
    ),
    known(
        "integer_datetimes",
        "on",
        Rule::Fixed,
        "Whether times are whole microseconds.",
    ),
    known(
        "intervalstyle",
        "postgres",
        Rule::OneOf(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "How intervals are written as text.",
    ),
    known(
        "is_superuser",
        "off",
        Rule::Fixed,
        "Whether the user may do everything: nobody may.",
    ),
    known("jit", "off", ON_OFF, "Without effect."),
    known(
        "lc_collate",
        "C",
        Rule::Fixed,
        "The order of texts: by code points.",
    ),
    known(
        "lc_ctype",
        "C.UTF-8",
        Rule::Fixed,
        "The classes of characters.",
    ),
    known("lc_messages", "C", Rule::Kept, "Without effect."),
    known("lc_monetary", "C", Rule::Kept, "Without effect."),
    known("lc_numeric", "C", Rule::Kept, "Without effect."),
    known("lc_time", "C", Rule::Kept, "Without effect."),
    known(
        "lock_timeout",
        "0",
        Rule::Time,
        "Without effect: nothing is locked.",
    ),
    known(
        "max_identifier_length",
        "63",
        Rule::Fixed,
        "Longest name in bytes.",
    ),
    known(
        "max_index_keys",
        "32",
        Rule::Fixed,
        "Most columns of an index.",
    ),
    known(
        "password_encryption",
        "scram-sha-256",
        Rule::Fixed,
        "How passwords are checked.",
    ),
    known("row_security", "on", ON_OFF, "Without effect."),
    known(
        "search_path",
        "\"$user\", public",
        Rule::Kept,
        "Where tables are looked for: `public`, whatever it says.",
    ),
    known(
        "server_encoding",
        "UTF8",
        Rule::Fixed,
        "The encoding of stored texts.",
    ),
    known(
        "server_version",
        SERVER_VERSION,
        Rule::Fixed,
        "The version of the dialect and the catalogues, and of this server.",
    ),
    known(
        "server_version_num",
        "150000",
        Rule::Fixed,
        "The same as a number.",
    ),
    known("session_authorization", "", Rule::Fixed, "The user."),
    known("ssl", "off", Rule::Fixed, "Whether the server offers TLS."),
    known(
        "standard_conforming_strings",
        "on",
        ON,
        "Whether backslashes in strings are letters like others.",
    ),
    known(
        "statement_timeout",
        "0",
        Rule::Time,
        "Longest time of a statement; 0 is the server's bound, which cannot be raised.",
    ),
    known("synchronous_commit", "on", Rule::Kept, "Without effect."),
    known(
        "timezone",
        "UTC",
        Rule::Zone,
        "The time zone in which times are told.",
    ),
    known("transaction_deferrable", "off", ON_OFF, "Without effect."),
    known(
        "transaction_isolation",
        "read committed",
        Rule::Kept,
        "Without effect: every statement sees one moment.",
    ),
    known(
        "transaction_read_only",
        "on",
        ON_OFF,
        "Everything is read only.",
    ),
    known(
        "work_mem",
        "4MB",
        Rule::Kept,
        "Without effect: memory is bounded by the server.",
    ),
    known("xmloption", "content", Rule::Kept, "Without effect."),
];

/// Parameters whose changes clients are told, as they are spelled to them.
pub(super) const REPORTED: &[(&str, &str)] = &[
    ("application_name", "application_name"),
    ("client_encoding", "client_encoding"),
    ("datestyle", "DateStyle"),
    (
        "default_transaction_read_only",
        "default_transaction_read_only",
    ),
    ("in_hot_standby", "in_hot_standby"),
    ("integer_datetimes", "integer_datetimes"),
    ("intervalstyle", "IntervalStyle"),
    ("is_superuser", "is_superuser"),
    ("server_encoding", "server_encoding"),
    ("server_version", "server_version"),
    ("session_authorization", "session_authorization"),
    ("standard_conforming_strings", "standard_conforming_strings"),
    ("timezone", "TimeZone"),
];
