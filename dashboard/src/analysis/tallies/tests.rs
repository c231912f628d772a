use std::collections::HashSet;

use super::*;
use crate::analysis::chance::Chance;
use crate::cube::GroupId;

const UTC: Calendar = Calendar(chrono_tz::UTC);
const DAY: Minute = 1_440;
/// Midnight of the first day of the window, and some minute of that day.
const WINDOW: Minute = 100 * DAY;
const NOW: Minute = WINDOW + 700;
const LIMITS: Limits = Limits {
    days: 20,
    sample: 1_000_000,
};

#[derive(Clone, Copy, Debug)]
struct Sale {
    minute: Minute,
    group: GroupId,
    amount: i128,
    customer: Option<u64>,
}

/// Sales, as a database has them.
#[derive(Default)]
struct Sales(Vec<Sale>);

impl Sales {
    /// What a reader makes of them.
    fn read(&self, work: &Work, tallies: &Tallies) -> BTreeMap<Minute, Bucket> {
        let mut buckets = BTreeMap::new();
        for sale in &self.0 {
            if (work.from..work.to).contains(&sale.minute) {
                let start = match work.by {
                    By::Minute => sale.minute,
                    By::Day => sale.minute.div_euclid(DAY) * DAY,
                    By::Stretch => work.from,
                };
                buckets
                    .entry(start)
                    .or_insert_with(|| tallies.empty_bucket())
                    .add(sale.group, Some(sale.amount), sale.customer);
            }
        }
        buckets
    }

    /// Adds a sale, and says what has changed.
    fn sell(&mut self, sale: Sale, window: Minute) -> Parts {
        self.0.push(sale);
        let mut parts = Parts::default();
        if sale.minute < window {
            parts.days.insert(UTC.day_of(sale.minute));
        } else {
            parts.minutes.insert(sale.minute);
        }
        parts
    }
}

fn tallies() -> Tallies {
    let mut tallies = Tallies::new(UTC, LIMITS, NOW);
    let everything = Parts {
        everything: true,
        ..Parts::default()
    };
    tallies.hear(everything, WINDOW, NOW);
    tallies
}

fn cube(window: Minute) -> Cube {
    Cube::new(UTC, window)
}

fn sale(minute: Minute, amount: i128) -> Sale {
    Sale {
        minute,
        group: 0,
        amount,
        customer: Some(super::super::customers::hash(&format!("C{amount}"))),
    }
}

/// Sum of amounts, sales and different customers from a minute to before another, and whether all is known.
fn seen(tallies: &Tallies, from: Minute, to: Minute) -> (i128, i64, usize, bool) {
    let (mut amount, mut sales, mut customers) = (0, 0, HashSet::new());
    let (coverage, _) = tallies.over(from, to, |bucket| {
        amount += bucket
            .tallies
            .values()
            .map(|tally| tally.moments.sum())
            .sum::<i128>();
        sales += bucket
            .tallies
            .values()
            .map(|tally| tally.sales)
            .sum::<i64>();
        customers.extend(bucket.sample.iter().map(|(_, hash)| *hash));
    });
    (amount, sales, customers.len(), coverage.complete)
}

#[test]
fn nothing_is_known_before_anything_was_heard() {
    let tallies = Tallies::new(UTC, LIMITS, NOW);
    assert!(!seen(&tallies, WINDOW, NOW).3);
}

#[test]
fn what_was_not_heard_of_yet_is_not_taken_for_read() {
    let (mut sales, mut tallies) = (Sales::default(), tallies());
    for minute in [NOW, WINDOW - 2 * DAY] {
        let touched = sales.sell(sale(minute, 1), WINDOW);
        assert!(!tallies.is_read(&touched, WINDOW - 3 * DAY, NOW + 1));
        assert!(tallies.is_read(&touched, NOW + 1, NOW + 9));
        tallies.hear(touched.clone(), WINDOW, NOW);
        let work = tallies.next(&cube(WINDOW), true).unwrap();
        let read = sales.read(&work, &tallies);
        tallies.put(&work, read);
        assert!(tallies.is_read(&touched, WINDOW - 3 * DAY, NOW + 1));
    }
}

#[test]
fn the_newest_is_read_first_and_what_was_read_once_is_read_again_last() {
    let (mut sales, mut tallies) = (Sales::default(), tallies());
    for (minute, amount) in [(NOW, 1), (WINDOW - 5 * DAY, 2), (NOW - 1, 3)] {
        let touched = sales.sell(sale(minute, amount), WINDOW);
        tallies.hear(touched, WINDOW, NOW);
    }
    let work = tallies.next(&cube(WINDOW), true).unwrap();
    assert_eq!((work.from, work.to, work.again), (NOW - 1, NOW + 1, false));
    assert_eq!(seen(&tallies, WINDOW, NOW + 1), (0, 0, 0, false));
    let read = sales.read(&work, &tallies);
    tallies.put(&work, read);
    assert_eq!(seen(&tallies, WINDOW, NOW + 1), (4, 2, 2, true));
    // WHEN one of them changes again
    let touched = sales.sell(sale(NOW, 10), WINDOW);
    tallies.hear(touched, WINDOW, NOW);
    // THEN the day that was never read is read before, and the minute only when it may
    let day = tallies.next(&cube(WINDOW), true).unwrap();
    assert_eq!(
        (day.from, day.to, day.by),
        (WINDOW - 5 * DAY, WINDOW - 4 * DAY, By::Day)
    );
    let read = sales.read(&day, &tallies);
    tallies.put(&day, read);
    assert!(tallies.next(&cube(WINDOW), false).is_none());
    let minute = tallies.next(&cube(WINDOW), true).unwrap();
    assert_eq!((minute.from, minute.to, minute.again), (NOW, NOW + 1, true));
}

#[test]
fn parts_of_older_days_are_read_when_somebody_looks() {
    let (mut sales, mut tallies) = (Sales::default(), tallies());
    let noon = WINDOW - 3 * DAY + 720;
    tallies.hear(sales.sell(sale(noon - 1, 1), WINDOW), WINDOW, NOW);
    tallies.hear(sales.sell(sale(noon, 2), WINDOW), WINDOW, NOW);
    let (coverage, missing) = tallies.over(noon, noon + DAY, |_| ());
    assert!(!coverage.complete);
    assert_eq!(missing, [(noon, noon + 720), (noon + 720, noon + DAY)]);
    tallies.want(&missing);
    while let Some(work) = tallies.next(&cube(WINDOW), true) {
        let read = sales.read(&work, &tallies);
        tallies.put(&work, read);
    }
    assert_eq!(seen(&tallies, noon, noon + DAY), (2, 1, 1, true));
    // AND again after a sale came late there
    tallies.hear(sales.sell(sale(noon + 1, 5), WINDOW), WINDOW, NOW);
    assert!(!seen(&tallies, noon, noon + DAY).3);
}

#[test]
fn what_was_under_way_when_all_was_forgotten_is_not_taken() {
    let (mut sales, mut tallies) = (Sales::default(), tallies());
    tallies.hear(sales.sell(sale(NOW, 1), WINDOW), WINDOW, NOW);
    let work = tallies.next(&cube(WINDOW), true).unwrap();
    let old = sales.read(&work, &tallies);
    let everything = Parts {
        everything: true,
        ..Parts::default()
    };
    tallies.hear(everything, WINDOW, NOW);
    tallies.put(&work, old);
    assert_eq!(seen(&tallies, WINDOW, NOW + 1), (0, 0, 0, true));
}

#[test]
fn what_is_older_than_the_days_that_are_kept_is_left_out_and_said() {
    let (mut sales, mut tallies) = (Sales::default(), tallies());
    for days in [30, 10] {
        tallies.hear(
            sales.sell(sale(WINDOW - days * DAY, 1), WINDOW),
            WINDOW,
            NOW,
        );
    }
    while let Some(work) = tallies.next(&cube(WINDOW), true) {
        let read = sales.read(&work, &tallies);
        tallies.put(&work, read);
    }
    let (coverage, _) = tallies.over(WINDOW - 40 * DAY, NOW + 1, |_| ());
    assert_eq!(
        (coverage.from, coverage.complete),
        (WINDOW - 19 * DAY, true)
    );
    assert_eq!(seen(&tallies, WINDOW - 40 * DAY, NOW + 1).1, 1);
}

#[test]
fn more_customers_than_fit_are_estimated_within_the_bounds() {
    let mut tallies = tallies();
    let customers = 1_700_000_u64;
    let mut parts = Parts::default();
    parts.minutes.extend([NOW, NOW - 1]);
    tallies.hear(parts, WINDOW, NOW);
    let work = tallies.next(&cube(WINDOW), true).unwrap();
    let mut buckets = BTreeMap::new();
    for (minute, sold_to) in [(NOW, 0..1_000_000), (NOW - 1, 500_000..customers)] {
        let mut bucket = tallies.empty_bucket();
        for customer in sold_to {
            let hash = super::super::customers::hash(&customer.to_string());
            bucket.add((customer % 2) as u32, Some(1), Some(hash));
        }
        buckets.insert(minute, bucket);
    }
    tallies.put(&work, buckets);
    let (amount, sales, kept, complete) = seen(&tallies, WINDOW, NOW + 1);
    assert_eq!((amount, sales, complete), (2_200_000, 2_200_000, true));
    assert!(tallies.size().0 <= LIMITS.sample && tallies.level() > Level(0));
    let estimate = tallies.level().estimate(kept as u64);
    assert!(
        (estimate.low..=estimate.high).contains(&customers),
        "{estimate:?}"
    );
    assert!(estimate.high - estimate.low < customers / 100);
}

/// Sales come, late ones too, while parts are read; midnights pass; readings fail. In the end all is known.
#[test]
fn whatever_comes_when_the_tallies_end_equal_to_the_sales() {
    for seed in 0..300 {
        let mut chance = Chance(seed);
        let (mut sales, mut tallies) = (Sales::default(), tallies());
        let (mut window, mut now) = (WINDOW, NOW);
        let mut under_way: Option<(Work, BTreeMap<Minute, Bucket>)> = None;
        for _ in 0..120 {
            match chance.below(10) {
                0..5 => {
                    let back = [3, 2_000, 6 * DAY as u64][chance.below(3) as usize];
                    let minute = now - chance.below(back) as Minute;
                    let sale = Sale {
                        minute,
                        group: chance.below(3) as u32,
                        amount: i128::from(chance.below(900)),
                        customer: (chance.below(3) > 0).then(|| chance.next()),
                    };
                    let touched = sales.sell(sale, window);
                    tallies.hear(touched, window, now);
                }
                5 => now += chance.below(300) as Minute,
                6 => {
                    window = now.div_euclid(DAY) * DAY;
                    tallies.hear(Parts::default(), window, now);
                }
                7 => {
                    let from = now - chance.below(5_000) as Minute;
                    let (_, missing) = tallies.over(from, now + 1, |_| ());
                    tallies.want(&missing);
                }
                _ => match under_way.take() {
                    None => {
                        under_way = tallies
                            .next(&cube(window), chance.below(2) == 0)
                            .map(|work| {
                                let read = sales.read(&work, &tallies);
                                (work, read)
                            });
                    }
                    Some(_) if chance.below(4) == 0 => tallies.failed(),
                    Some((work, read)) => tallies.put(&work, read),
                },
            }
        }
        if let Some((work, read)) = under_way.take() {
            tallies.put(&work, read);
        }
        for _ in 0..8 {
            let from = now - chance.below(7 * DAY as u64) as Minute;
            let to = from + 1 + chance.below((now + 1 - from) as u64) as Minute;
            let (_, missing) = tallies.over(from, to, |_| ());
            tallies.want(&missing);
            while let Some(work) = tallies.next(&cube(window), true) {
                let read = sales.read(&work, &tallies);
                tallies.put(&work, read);
            }
            let of = || {
                sales
                    .0
                    .iter()
                    .filter(|sale| (from..to).contains(&sale.minute))
            };
            let customers: HashSet<u64> = of().filter_map(|sale| sale.customer).collect();
            let amount = of().map(|sale| sale.amount).sum();
            let expected = (amount, of().count() as i64, customers.len(), true);
            assert_eq!(
                seen(&tallies, from, to),
                expected,
                "seed {seed}, {from}..{to}"
            );
        }
    }
}
