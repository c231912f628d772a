//! What somebody looks at: a period and filters, as a URL has them.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone as _};

use crate::calendar::{Calendar, Minute};

/// Minutes of the first and after the last year that can be asked for, 1970 to 2200.
const YEARS: std::ops::Range<Minute> = 0..121_000_000;

/// Names in one filter.
const MOST_NAMES: usize = 1_000;

/// A period, by name or from one minute to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// The local day.
    Today,
    /// The sixty minutes up to and with the current one.
    Hour,
    /// The same of 24 hours.
    Day,
    /// Today and the six local days before.
    Week,
    /// Today and the 29 local days before.
    Month,
    /// Everything there is.
    All,
    /// From a minute to before another.
    Between(Minute, Minute),
}

impl Period {
    /// The named ones.
    pub const NAMED: [(&'static str, Self); 6] = [
        ("today", Self::Today),
        ("hour", Self::Hour),
        ("24h", Self::Day),
        ("7d", Self::Week),
        ("30d", Self::Month),
        ("all", Self::All),
    ];

    /// The name; `between` for one without.
    pub fn name(self) -> &'static str {
        Self::NAMED
            .iter()
            .find(|(_, period)| *period == self)
            .map_or("between", |(name, _)| name)
    }

    /// First minute and the one after the last; `None` for everything.
    pub fn range(self, calendar: Calendar, now: Minute) -> Option<(Minute, Minute)> {
        let tomorrow = calendar.next(crate::calendar::Step::Day, calendar.days_before(now, 0));
        match self {
            Self::Today => Some((calendar.days_before(now, 0), tomorrow)),
            Self::Hour => Some((now - 59, now + 1)),
            Self::Day => Some((now - 24 * 60 + 1, now + 1)),
            Self::Week => Some((calendar.days_before(now, 6), tomorrow)),
            Self::Month => Some((calendar.days_before(now, 29), tomorrow)),
            Self::All => None,
            Self::Between(from, to) => Some((from, to)),
        }
    }
}

/// A period and filters. An empty filter lets everything pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// The period.
    pub period: Period,
    /// Regions.
    pub regions: BTreeSet<String>,
    /// Products.
    pub products: BTreeSet<String>,
    /// Categories.
    pub categories: BTreeSet<String>,
}

/// A query that asks for nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// A parameter nobody knows.
    #[error(
        "`{0}` is not a known parameter; known are period, from, to, region, product, category"
    )]
    Unknown(String),
    /// A period nobody knows.
    #[error(
        "`period` is `{0}`; write today, hour, 24h, 7d, 30d, all or between with `from` and `to`"
    )]
    Period(String),
    /// A moment that is none.
    #[error(
        "`{0}` is no moment; write 2026-01-31T12:00 in the page's time zone, or 2026-01-31T12:00:00Z"
    )]
    Moment(&'static str),
    /// A period that ends before it begins.
    #[error("`from` is not before `to`")]
    Order,
    /// More names than anybody clicks.
    #[error("more than 1000 names in one filter")]
    TooMany,
}

impl View {
    /// Takes a view from a URL's query. `own` are parameters of the endpoint that are none of the view's.
    ///
    /// # Errors
    /// When a parameter is unknown or means nothing.
    pub fn parse(query: &str, calendar: Calendar, own: &[&str]) -> Result<Self, ViewError> {
        let mut view = Self::of(Period::Today);
        let (mut name, mut from, mut to) = (None, None, None);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match &*key {
                "period" => name = Some(value),
                "from" => from = Some(moment(&value, calendar).ok_or(ViewError::Moment("from"))?),
                "to" => to = Some(moment(&value, calendar).ok_or(ViewError::Moment("to"))?),
                "region" => _ = view.regions.insert(value),
                "product" => _ = view.products.insert(value),
                "category" => _ = view.categories.insert(value),
                other if own.contains(&other) => {}
                other => return Err(ViewError::Unknown(other.to_owned())),
            }
        }
        if [&view.regions, &view.products, &view.categories]
            .iter()
            .any(|set| set.len() > MOST_NAMES)
        {
            return Err(ViewError::TooMany);
        }
        view.period = match (name.as_deref(), from, to) {
            (None | Some("between"), Some(from), Some(to)) if from < to => {
                Period::Between(from, to)
            }
            (None | Some("between"), Some(_), Some(_)) => return Err(ViewError::Order),
            (Some("between"), ..) => return Err(ViewError::Period("between".into())),
            (None, None, None) => Period::Today,
            (None, ..) => {
                return Err(ViewError::Moment(if from.is_none() {
                    "from"
                } else {
                    "to"
                }));
            }
            (Some(name), ..) => {
                let known = Period::NAMED.iter().find(|(known, _)| *known == name);
                known.ok_or_else(|| ViewError::Period(name.to_owned()))?.1
            }
        };
        Ok(view)
    }

    /// Everything in a period.
    pub fn of(period: Period) -> Self {
        Self {
            period,
            regions: BTreeSet::new(),
            products: BTreeSet::new(),
            categories: BTreeSet::new(),
        }
    }
}

fn moment(text: &str, calendar: Calendar) -> Option<Minute> {
    let seconds = if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        moment.timestamp()
    } else {
        let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"))
            .ok()
            .or_else(|| text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0))?;
        // An hour that comes twice means its first; one that is skipped means the next that exists.
        (0..4)
            .find_map(|hours| {
                let local = local + chrono::Duration::hours(hours);
                calendar.0.from_local_datetime(&local).earliest()
            })?
            .timestamp()
    };
    let minute = seconds.div_euclid(60);
    YEARS.contains(&minute).then_some(minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARIS: Calendar = Calendar(chrono_tz::Europe::Paris);

    fn parse(query: &str) -> Result<View, ViewError> {
        View::parse(query, PARIS, &[])
    }

    #[test]
    fn a_query_is_taken_whole_or_refused() {
        let view =
            parse("period=7d&region=Corse&region=%C3%8Ele-de-France&product=Baguette").unwrap();
        assert_eq!(view.period, Period::Week);
        assert_eq!(view.regions.len(), 2);
        assert_eq!(parse("").unwrap(), View::of(Period::Today));
        for bad in [
            "period=week",
            "foo=1",
            "from=x&to=y",
            "from=2026-01-02&to=2026-01-01",
            "from=2026-01-01",
            "period=between",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn local_moments_are_of_the_pages_zone() {
        let local = parse("from=2026-07-01T02:00&to=2026-07-02").unwrap();
        let utc = parse("from=2026-07-01T00:00:00Z&to=2026-07-01T22:00:00Z").unwrap();
        assert_eq!(local, utc);
    }

    #[test]
    fn named_periods_move_with_the_clock() {
        let now = 29_700_000;
        for (name, period) in Period::NAMED {
            assert_eq!(period.name(), name);
            if let Some((from, to)) = period.range(PARIS, now) {
                assert!(from <= now && now < to, "{name}");
            }
        }
        assert_eq!(Period::Hour.range(PARIS, now), Some((now - 59, now + 1)));
    }
}
