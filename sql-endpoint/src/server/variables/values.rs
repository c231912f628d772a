//! Values, as they are kept.

use std::time::Duration;

use datafusion_postgres::pgwire::error::PgWireResult;

use super::known::{Known, Rule};
use crate::server::fault::{error, hinted};
use crate::zone::Zone;

/// A value in the form in which it is kept.
///
/// # Errors
/// 22023 for one that the parameter cannot have, 55P02 for a parameter that is fixed.
pub(super) fn checked(known: &Known, value: &str) -> PgWireResult<String> {
    let name = known.name;
    let invalid = || {
        error(
            "22023",
            format!("invalid value for parameter \"{name}\": \"{value}\""),
        )
    };
    let lower = value.trim().to_ascii_lowercase();
    match known.rule {
        Rule::Kept => Ok(value.to_owned()),
        Rule::Fixed => Err(error(
            "55P02",
            format!("parameter \"{name}\" cannot be changed"),
        )),
        Rule::Number(low, high) => match lower.parse::<i64>() {
            Ok(number) if (low..=high).contains(&number) => Ok(number.to_string()),
            _ => Err(invalid()),
        },
        Rule::OneOf(values) if values.contains(&lower.as_str()) => Ok(on_off(&lower).to_owned()),
        Rule::OneOf(_) => Err(invalid()),
        Rule::Time => milliseconds(value)
            .map(|time| time.as_millis().to_string())
            .ok_or_else(invalid),
        Rule::Encoding => match lower.replace(['-', '_'], "").as_str() {
            "utf8" | "unicode" => Ok("UTF8".into()),
            _ => Err(hinted(
                "22023",
                format!("invalid value for parameter \"client_encoding\": \"{value}\""),
                "Texts are sent in UTF-8.",
            )),
        },
        Rule::DateStyle => date_style(&lower).ok_or_else(invalid),
        Rule::Zone => match Zone::named(value.trim()) {
            Some((_, name)) => Ok(name),
            None => Err(invalid()),
        },
    }
}

fn on_off(value: &str) -> &str {
    match value {
        "true" | "yes" | "1" => "on",
        "false" | "no" | "0" => "off",
        other => other,
    }
}

/// A style and an order, in the spelling that formats understand.
fn date_style(value: &str) -> Option<String> {
    let (mut style, mut order) = ("ISO", "MDY");
    for part in value.split(',').map(str::trim) {
        match part {
            "iso" => style = "ISO",
            "sql" => style = "SQL",
            "postgres" => style = "Postgres",
            "german" => style = "German",
            "mdy" | "us" | "noneuro" | "noneuropean" => order = "MDY",
            "dmy" | "euro" | "european" => order = "DMY",
            "ymd" => order = "YMD",
            _ => return None,
        }
    }
    Some(format!("{style}, {order}"))
}

/// A number with a unit, milliseconds without one.
pub(super) fn milliseconds(value: &str) -> Option<Duration> {
    let value = value.trim();
    let digits = value
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(value.len());
    let number: u64 = value[..digits].parse().ok()?;
    let factor = match value[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(factor)?))
}
