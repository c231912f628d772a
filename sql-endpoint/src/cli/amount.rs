//! Times and sizes as people write them.

use std::time::Duration;

/// A number with a unit of time: `500ms`, `90s`, `5m`, `1h`; seconds without one.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = parted(text).ok_or("write a time such as 90s or 5m")?;
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("`{unit}` is no unit of time: write ms, s, m or h")),
    };
    let milliseconds = number.checked_mul(factor).ok_or("is too long")?;
    Ok(Duration::from_millis(milliseconds))
}

/// A number with a unit of size: `512MiB`, `2GiB`, `1000000`.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let (number, unit) = parted(text).ok_or("write a size such as 512MiB or 2GiB")?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => {
            return Err(format!(
                "`{unit}` is no unit of size: write KiB, MiB or GiB"
            ));
        }
    };
    let bytes = number
        .checked_mul(factor)
        .and_then(|bytes| usize::try_from(bytes).ok());
    match bytes {
        Some(bytes) if bytes >= 1 << 20 => Ok(bytes),
        Some(_) => Err("is less than 1MiB, with which nothing can run".into()),
        None => Err("is too much".into()),
    }
}

fn parted(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("soon").is_err() && duration("5 weeks").is_err());
        assert_eq!(bytes("512MiB"), Ok(512 << 20));
        assert_eq!(bytes("2000000"), Ok(2_000_000));
        assert!(bytes("12").is_err() && bytes("1 PB").is_err());
    }
}
