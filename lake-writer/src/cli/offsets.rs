//! Offsets and times of the topic as they are typed, for every command that looks at a part of it.

use clap::Args;

use super::exit::{Exit, Failure};
use crate::verify::Request;

#[derive(Debug, Args)]
pub(super) struct OffsetArguments {
    /// This source partition alone; can be repeated
    #[arg(long, value_name = "NUMBER")]
    partition: Vec<i32>,

    /// Begin at this offset of each partition
    #[arg(long, visible_alias = "from-offset", value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,

    /// End before this offset of each partition
    #[arg(long, visible_alias = "to-offset", value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to: Option<i64>,

    /// Begin with messages made at this time, such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    since: Option<i64>,

    /// End before messages made at this time
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    until: Option<i64>,
}

impl OffsetArguments {
    /// What is asked for, without a sample.
    pub(super) fn request(&self) -> Result<Request, Failure> {
        if let (Some(from), Some(to)) = (self.from, self.to)
            && to < from
        {
            let message = format!("--to {to} lies before --from {from}");
            return Err(Failure::new(Exit::Usage, message));
        }
        Ok(Request {
            partitions: self.partition.clone(),
            from: self.from,
            to: self.to,
            since_ms: self.since,
            until_ms: self.until,
            ..Request::default()
        })
    }
}

/// A date or an RFC 3339 time, as milliseconds since the epoch; a date begins in UTC.
pub(super) fn milliseconds(text: &str) -> Result<i64, String> {
    let midnight = || text.parse::<chrono::NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    match chrono::DateTime::parse_from_rfc3339(text) {
        Ok(time) => Ok(time.timestamp_millis()),
        Err(_) => midnight()
            .map(|time| time.and_utc().timestamp_millis())
            .ok_or_else(|| "write a date or a time, such as 2026-01-31T12:00:00Z".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_rfc_3339() {
        assert_eq!(milliseconds("1970-01-02"), Ok(86_400_000));
        assert_eq!(milliseconds("1970-01-01T01:00:00+01:00"), Ok(0));
        assert!(milliseconds("yesterday").is_err());
    }
}
