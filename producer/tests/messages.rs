//! The sequence of messages: what a seed stands for, and what faults do to it.

// The functions beside the tests are tests too; the lint does not see that.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use chrono_tz::Tz;
use sales_producer::chance::Ratio;
use sales_producer::company::till::{Till, TillSettings};
use sales_producer::company::timeline::EventTimes;
use sales_producer::encode::{AvroEncoder, Decimals, Encoder, JsonEncoder, JsonStyle, Layout};
use sales_producer::stream::{KeyBy, Origin, Stream, StreamSettings};
use sales_producer::totals::{Fact, Totals};

const START_US: i64 = 1_769_731_200_000_000; // 2026-01-30T00:00:00Z
const DAY_US: i64 = 86_400_000_000;

#[derive(Clone, Copy)]
struct Recipe {
    seed: u64,
    count: u64,
    style: Option<JsonStyle>,
    late: f64,
    malformed: f64,
    duplicates: f64,
}

const CLEAN: Recipe = Recipe {
    seed: 42,
    count: 2_000,
    style: Some(JsonStyle::Plain),
    late: 0.0,
    malformed: 0.0,
    duplicates: 0.0,
};
const DIRTY: Recipe = Recipe {
    late: 0.05,
    malformed: 0.02,
    duplicates: 0.1,
    ..CLEAN
};

fn stream(recipe: Recipe) -> Stream {
    let Recipe { seed, count, .. } = recipe;
    let times = EventTimes::Spread {
        start_us: START_US,
        end_us: START_US + 2 * DAY_US,
        sales: count,
    };
    let late_ratio = Ratio::new(recipe.late).unwrap();
    let till = Till::new(TillSettings {
        seed,
        times,
        late_ratio,
    });
    let layout = Layout::shipped().unwrap();
    let encoder = match recipe.style {
        Some(style) => Encoder::Json(JsonEncoder::new(&layout, style, Decimals::Number, seed)),
        None => Encoder::Avro(AvroEncoder::new(layout)),
    };
    let settings = StreamSettings {
        seed,
        key: KeyBy::Store,
        count: Some(count),
        malformed_ratio: Ratio::new(recipe.malformed).unwrap(),
        duplicate_ratio: Ratio::new(recipe.duplicates).unwrap(),
    };
    Stream::new(Origin::Company(Box::new(till)), encoder, settings)
}

/// Keys and values of all messages, taken `at_a_time`.
fn bytes(recipe: Recipe, at_a_time: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut stream = stream(recipe);
    let mut all = Vec::new();
    loop {
        let before = all.len();
        for _ in 0..at_a_time {
            let Some(message) = stream.next_message().unwrap() else {
                break;
            };
            all.push((message.key.to_vec(), message.value.to_vec()));
        }
        if all.len() == before {
            return all;
        }
    }
}

fn totals(recipe: Recipe) -> Totals {
    let mut stream = stream(recipe);
    let mut totals = Totals::new(Tz::UTC);
    while let Some(message) = stream.next_message().unwrap() {
        totals.count(&message.fact, message.value.len());
    }
    totals
}

#[test]
fn the_same_seed_makes_the_same_bytes_however_they_are_taken() {
    // GIVEN every style and Avro, with and without faults. WHEN messages are taken one by one, by
    // sevens or by thousands. THEN the bytes are the same, and another seed makes others.
    let styles = [
        Some(JsonStyle::Plain),
        Some(JsonStyle::Shuffled),
        Some(JsonStyle::Escaped),
        Some(JsonStyle::Mixed),
        None,
    ];
    for style in styles {
        for recipe in [Recipe { style, ..CLEAN }, Recipe { style, ..DIRTY }] {
            let whole = bytes(recipe, 1_000);
            assert_eq!(whole.len(), 2_000);
            assert!(whole == bytes(recipe, 1) && whole == bytes(recipe, 7));
            assert!(whole != bytes(Recipe { seed: 43, ..recipe }, 1_000));
        }
    }
}

#[test]
fn a_seed_is_good_for_ever() {
    // GIVEN seed 42. THEN the checksum of its first 2,000 messages is that of the first release:
    // a change here makes other sales of every recorded seed, which needs a word in the changelog.
    let mut fnv: u64 = 0xCBF2_9CE4_8422_2325;
    for (key, value) in bytes(DIRTY, 1_000) {
        for byte in key.into_iter().chain(value) {
            fnv = (fnv ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }
    assert_eq!(format!("{fnv:016x}"), "fb2216db6e8d370e");
}

#[test]
fn how_sales_are_written_does_not_change_them() {
    // GIVEN one seed in all formats. THEN counts and sums are the same in all.
    let plain = totals(CLEAN);
    for style in [Some(JsonStyle::Shuffled), Some(JsonStyle::Mixed), None] {
        let other = totals(Recipe { style, ..CLEAN });
        assert_eq!(plain.by_date_and_region(), other.by_date_and_region());
    }
}

#[test]
fn faults_are_as_many_as_asked_and_counted_right() {
    let recipe = Recipe {
        count: 50_000,
        ..DIRTY
    };
    let mut stream = stream(recipe);
    let (mut malformed, mut duplicates, mut ids) = (0, 0, HashSet::new());
    let mut earlier = HashSet::new();
    while let Some(message) = stream.next_message().unwrap() {
        match message.fact {
            Fact::Malformed(_) => malformed += 1,
            Fact::Row(row) => {
                let sale: serde_json::Value = serde_json::from_slice(message.value).unwrap();
                let is_new = ids.insert(sale["sale_id"].as_str().unwrap().to_owned());
                assert_eq!(is_new, !row.duplicate);
                // A duplicate is the same message again, byte for byte.
                assert_eq!(is_new, earlier.insert(message.value.to_vec()));
                duplicates += u64::from(row.duplicate);
                assert_eq!(sale["region"].as_str(), Some(row.region));
                assert_eq!(message.key, sale["store_id"].as_str().unwrap().as_bytes());
            }
        }
    }
    assert!((700..1_200).contains(&malformed), "{malformed}");
    assert!((4_500..5_500).contains(&duplicates), "{duplicates}");
    assert_eq!(ids.len() as u64 + malformed + duplicates, 50_000);
}

#[test]
fn totals_are_the_sums_of_what_is_written() {
    // GIVEN messages read back as JSON. THEN rows and amounts per day and region are the totals.
    let totals = totals(DIRTY);
    let mut read = std::collections::BTreeMap::<(String, String), (u64, i128)>::new();
    let mut stream = stream(DIRTY);
    while let Some(message) = stream.next_message().unwrap() {
        if matches!(message.fact, Fact::Malformed(_)) {
            continue;
        }
        let sale: serde_json::Value = serde_json::from_slice(message.value).unwrap();
        let day = sale["sold_at"].as_str().unwrap()[..10].to_owned();
        let text = std::str::from_utf8(message.value).unwrap();
        let amount = text
            .split("\"amount\":")
            .nth(1)
            .unwrap()
            .split(',')
            .next()
            .unwrap();
        let cents: i128 = amount.replace('.', "").parse().unwrap();
        let cell = read
            .entry((day, sale["region"].as_str().unwrap().to_owned()))
            .or_default();
        cell.0 += 1;
        cell.1 += cents;
    }
    let counted: std::collections::BTreeMap<_, _> = totals
        .by_date_and_region()
        .into_iter()
        .map(|((date, region), tally)| {
            (
                (date.to_string(), region.to_owned()),
                (tally.rows, tally.amount_cents),
            )
        })
        .collect();
    assert_eq!(read, counted);
    assert_eq!(
        read.keys()
            .map(|(day, _)| day)
            .collect::<HashSet<_>>()
            .len(),
        2
    );
}
