//! Values of options: numbers, ratios, dates, pairs.
//!
//! Owns their grammar. Errors say what would be right.

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::chance::Ratio;
use crate::pace::Rate;

/// A whole number; `2_000_000` is two million.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let digits = text.replace('_', "");
    digits
        .parse()
        .map_err(|_| "expected a whole number such as 2_000_000".to_owned())
}

/// At least one.
pub(super) fn positive(text: &str) -> Result<u64, String> {
    match count(text)? {
        0 => Err("expected at least 1".to_owned()),
        number => Ok(number),
    }
}

/// `max` or messages a second.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    match text.replace('_', "").parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(Rate::PerSecond(rate)),
        _ => Err("expected messages a second such as 5000 or 0.5, or max".to_owned()),
    }
}

/// From 0 to 1.
pub(super) fn ratio(text: &str) -> Result<Ratio, String> {
    text.parse()
        .ok()
        .and_then(Ratio::new)
        .ok_or_else(|| "expected a number from 0 to 1 such as 0.02".to_owned())
}

/// A day.
pub(super) fn date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| "expected a date such as 2026-01-31".to_owned())
}

/// A zone of the IANA database.
pub(super) fn zone(text: &str) -> Result<Tz, String> {
    text.parse()
        .map_err(|_| "expected a time zone such as UTC or Europe/Paris".to_owned())
}

/// Two texts with an equals sign between them; the second may hold further ones.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        // The text may hold a secret, so it is not repeated.
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// One character of ASCII, or `\t`.
pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [byte] if byte.is_ascii() => Ok(*byte),
        b"\\t" => Ok(b'\t'),
        _ => Err("expected one character such as ; or \\t".to_owned()),
    }
}

/// Lines of `key=value`; empty lines and lines that begin with # are passed over. Errors name the
/// line and not its content.
pub(super) fn properties(text: &str) -> Result<Vec<(String, String)>, usize> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let (key, value) = pair(line).map_err(|_| number)?;
            Ok((key, value.trim().to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!(count("2_000_000"), Ok(2_000_000));
        assert!(count("-1").is_err() && positive("0").is_err());
        assert_eq!(rate("max"), Ok(Rate::Max));
        assert_eq!(rate("0.5"), Ok(Rate::PerSecond(0.5)));
        assert!(
            ["0", "-1", "inf", "NaN", "fast"]
                .into_iter()
                .all(|text| rate(text).is_err())
        );
        assert!(ratio("1.5").is_err() && ratio("0.02").is_ok());
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(pair("=b").is_err() && pair("ab").is_err());
        assert_eq!(delimiter("\\t"), Ok(b'\t'));
        assert!(delimiter("é").is_err());
        assert!(zone("Europe/Paris").is_ok() && zone("Paris").is_err());
        assert!(date("2026-02-30").is_err());
    }

    #[test]
    fn a_file_of_properties() {
        let text = "# TLS\n\nsecurity.protocol = SASL_SSL\nsasl.password=a=b#c\n";
        let expected = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.password", "a=b#c"),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(properties(text), Ok(expected.to_vec()));
        assert_eq!(properties("a=b\nhunter2"), Err(2));
    }
}
