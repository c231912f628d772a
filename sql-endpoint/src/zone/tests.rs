use datafusion::arrow::array::AsArray as _;
use datafusion::arrow::datatypes::{DataType, Field, TimestampMicrosecondType};
use datafusion::common::DFSchema;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::scalar::ScalarValue;

use super::functions::{Kind, call, instants};
use super::{Zone, text};

fn paris() -> Zone {
    Zone::named("Europe/Paris").expect("a zone").0
}

fn utc(text: &str) -> i64 {
    text::read(text, Zone::UTC).expect(text)
}

fn shown(instant: i64, zone: Zone) -> String {
    text::written(instant, Some(zone)).expect("a time")
}

/// What an expression of constants comes to.
fn value(of: Expr) -> ScalarValue {
    let context = SimplifyContext::default();
    match ExprSimplifier::new(context).simplify(of).expect("a value") {
        Expr::Literal(value, _) => value,
        other => panic!("{other} is no constant"),
    }
}

fn at(text: &str) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(
        Some(utc(text)),
        Some("UTC".into()),
    ))
}

#[test]
fn zones_have_the_names_that_postgresql_takes_and_shows() {
    for (name, shown, label) in [
        ("europe/paris", "Europe/Paris", "Europe/Paris"),
        ("utc", "UTC", "UTC"),
        ("5.5", "<+05:30>-05:30", "+05:30"),
        ("-8", "<-08>+08", "-08:00"),
        ("<+05>-05", "<+05>-05", "+05:00"),
        // Offsets behind letters count westwards.
        ("gmt-02:00", "GMT-02:00", "+02:00"),
        ("+02:00", "+02:00", "-02:00"),
        ("EST5EDT", "EST5EDT", "EST5EDT"),
    ] {
        let (zone, told) = Zone::named(name).expect(name);
        assert_eq!((told.as_str(), zone.label().as_str()), (shown, label));
        assert_eq!(
            Zone::named(&told),
            Some((zone, told)),
            "shown and set again"
        );
        assert_eq!(Zone::labelled(label), Some(zone));
    }
    for name in [
        "Mars/Olympus",
        "",
        "Europe",
        "x",
        "nan",
        "1.001",
        "+1:99",
        "30",
        "CET-1CEST",
    ] {
        assert_eq!(Zone::named(name), None, "{name}");
    }
}

#[test]
fn clocks_that_are_set_show_some_times_twice_and_some_never() {
    let paris = paris();
    for (clock, instant, alone) in [
        (
            "2026-03-29 01:59:59.999999",
            "2026-03-29 00:59:59.999999",
            true,
        ),
        // Skipped: an hour later by the clock that was set.
        ("2026-03-29 02:00:00", "2026-03-29 01:00:00", false),
        ("2026-03-29 02:30:00", "2026-03-29 01:30:00", false),
        ("2026-03-29 03:00:00", "2026-03-29 01:00:00", true),
        ("2026-10-25 01:59:59", "2026-10-24 23:59:59", true),
        // Shown twice: the second time.
        ("2026-10-25 02:00:00", "2026-10-25 01:00:00", false),
        ("2026-10-25 02:30:00", "2026-10-25 01:30:00", false),
        ("2026-10-25 03:00:00", "2026-10-25 02:00:00", true),
    ] {
        assert_eq!(
            paris.instant(utc(clock)).ok(),
            Some(utc(instant)),
            "{clock}"
        );
        let only = alone.then(|| utc(instant));
        assert_eq!(paris.only_instant(utc(clock)), only, "{clock}");
    }
    // A day that a whole island went without.
    let apia = Zone::named("Pacific/Apia").expect("a zone").0;
    assert_eq!(apia.only_instant(utc("2011-12-30 12:00:00")), None);
    let after = apia.instant(utc("2011-12-31 00:00:00")).ok();
    assert_eq!(after, Some(utc("2011-12-30 10:00:00")));
}

#[test]
fn times_are_written_as_postgresql_writes_them_and_read_back() {
    let zones = [
        "Europe/Paris",
        "America/New_York",
        "Asia/Kolkata",
        "UTC",
        "-3.5",
    ];
    let zones = zones.map(|name| Zone::named(name).expect(name).0);
    let instant = utc("2026-03-29 01:30:00.5");
    let texts = zones.map(|zone| shown(instant, zone));
    let expected = [
        "2026-03-29 03:30:00.5+02",
        "2026-03-28 21:30:00.5-04",
        "2026-03-29 07:00:00.5+05:30",
        "2026-03-29 01:30:00.5+00",
        "2026-03-28 22:00:00.5-03:30",
    ];
    assert_eq!(texts, expected);
    for text in expected {
        assert_eq!(text::read(text, paris()).ok(), Some(instant), "{text}");
    }
    let clock = text::read("2026-03-29 03:30:00.5", paris()).ok();
    assert_eq!(clock, Some(instant), "by the session's clocks");
    assert_eq!(
        text::written(-62_135_596_800_000_001, None).ok().as_deref(),
        Some("0001-12-31 23:59:59.999999 BC")
    );
    assert!(text::read("tomorrow", paris()).is_err());
}

#[test]
fn units_begin_when_clocks_say_so() {
    let cut = |unit: &str, time: &str, zone: &str| {
        let zone = Zone::named(zone).expect(zone).0;
        let value = value(call(Kind::Truncated, at(time), Some(lit(unit)), zone));
        let ScalarValue::TimestampMicrosecond(Some(found), _) = value else {
            panic!("{value} is no instant");
        };
        shown(found, zone)
    };
    let paris = "Europe/Paris";
    assert_eq!(
        cut("day", "2026-03-29 12:00:00Z", paris),
        "2026-03-29 00:00:00+01"
    );
    assert_eq!(
        cut("month", "2026-03-31 22:30:00Z", paris),
        "2026-04-01 00:00:00+02"
    );
    assert_eq!(
        cut("quarter", "2026-06-30 22:30:00Z", paris),
        "2026-07-01 00:00:00+02"
    );
    assert_eq!(
        cut("week", "2026-03-29 22:30:00Z", paris),
        "2026-03-30 00:00:00+02"
    );
    assert_eq!(
        cut("year", "2026-12-31 23:30:00Z", paris),
        "2027-01-01 00:00:00+01"
    );
    // The hour that clocks show twice is two hours.
    assert_eq!(
        cut("hour", "2026-10-25 00:30:00Z", paris),
        "2026-10-25 02:00:00+02"
    );
    assert_eq!(
        cut("hour", "2026-10-25 01:30:00Z", paris),
        "2026-10-25 02:00:00+01"
    );
    assert_eq!(
        cut("hour", "2026-01-31 06:10:00Z", "Asia/Kolkata"),
        "2026-01-31 11:00:00+05:30"
    );
}

#[test]
fn comparisons_with_a_constant_become_ranges_of_instants() {
    let column = Field::new("sold_at", instants(), true);
    let schema = DFSchema::from_unqualified_fields(vec![column].into(), Default::default());
    let schema = std::sync::Arc::new(schema.expect("a schema"));
    let simplified = |expr: Expr| {
        let context = SimplifyContext::builder()
            .with_schema(schema.clone())
            .build();
        let simple = ExprSimplifier::new(context).simplify(expr).expect("simple");
        simple.to_string()
    };
    let day = |text: &str| lit(ScalarValue::Date32(Some((utc(text) / super::DAY) as i32)));
    let of = || call(Kind::Day, col("sold_at"), None, paris());
    let range = simplified(of().eq(day("2026-03-29")));
    let (first, end) = (utc("2026-03-28 23:00:00Z"), utc("2026-03-29 22:00:00Z"));
    for instant in [first, end] {
        assert!(range.contains(&instant.to_string()), "{range}");
    }
    assert!(!range.contains("day_in_zone"), "{range}");
    // Clocks in Beirut are set at midnight: the day is not one range that both agree on.
    let beirut = Zone::named("Asia/Beirut").expect("a zone").0;
    let of = call(Kind::Day, col("sold_at"), None, beirut);
    assert!(simplified(of.eq(day("2026-03-29"))).contains("day_in_zone"));
    let clock = lit(ScalarValue::TimestampMicrosecond(
        Some(utc("2026-10-25 02:30:00")),
        None,
    ));
    let of = call(Kind::Clock, col("sold_at"), None, paris());
    assert!(
        simplified(of.gt_eq(clock)).contains("clock_in_zone"),
        "shown twice"
    );
}

#[test]
fn months_and_days_are_added_by_the_clock_and_hours_by_the_instant() {
    let later = |time: &str, months, days, hours: i64| {
        let by = ScalarValue::new_interval_mdn(months, days, hours * 3_600_000_000_000);
        let found = value(call(Kind::Later, at(time), Some(lit(by)), paris()));
        let array = found.to_array().expect("an array");
        assert_eq!(*array.data_type(), instants());
        shown(
            array.as_primitive::<TimestampMicrosecondType>().value(0),
            paris(),
        )
    };
    assert_eq!(
        later("2026-03-28 12:00:00Z", 0, 1, 0),
        "2026-03-29 13:00:00+02"
    );
    assert_eq!(
        later("2026-03-28 12:00:00Z", 0, 0, 24),
        "2026-03-29 14:00:00+02"
    );
    assert_eq!(
        later("2026-01-31 12:00:00Z", 1, 0, 0),
        "2026-02-28 13:00:00+01"
    );
    assert_eq!(
        later("2026-03-30 00:30:00Z", 0, -1, 0),
        "2026-03-29 03:30:00+02"
    );
    assert_eq!(
        later("2026-03-28 01:30:00Z", 0, 1, 0),
        "2026-03-29 03:30:00+02"
    );
}

#[test]
fn nothing_is_made_of_null() {
    let null = lit(ScalarValue::TimestampMicrosecond(None, Some("UTC".into())));
    for kind in [Kind::Clock, Kind::Day, Kind::Written] {
        let found = value(call(kind, null.clone(), None, paris()));
        assert!(found.is_null(), "{kind:?}");
    }
    let text = lit(ScalarValue::try_from(DataType::Utf8).expect("a null"));
    assert!(value(call(Kind::Read, text, None, paris())).is_null());
}
