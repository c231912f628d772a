use super::*;

const UTC: Calendar = Calendar(chrono_tz::UTC);
const DAY: Minute = 1_440;

fn sums(count: i64, amount: i128) -> Sums {
    Sums {
        count,
        amount,
        quantity: i128::from(count),
    }
}

fn rollup(key: u128, minute: Minute, group: GroupId, count: i64, amount: i128) -> Rollup {
    Rollup {
        key,
        minute,
        group,
        sums: sums(count, amount),
    }
}

fn total(cube: &Cube) -> Sums {
    let mut total = Sums::default();
    let days = cube
        .days(NaiveDate::MIN, NaiveDate::MAX)
        .map(|(_, cells)| cells);
    for cells in cube
        .minutes(0, i64::MAX)
        .map(|(_, cells)| cells)
        .chain(days)
    {
        for sums in cells.values() {
            total += *sums;
        }
    }
    total
}

fn cube() -> Cube {
    let mut cube = Cube::new(UTC, 10 * DAY);
    cube.groups.id("Corse", "Baguette", None);
    cube.groups.id("Bretagne", "Cidre", None);
    cube
}

#[test]
fn partial_sums_of_one_minute_and_group_are_added() {
    let mut cube = cube();
    for (key, amount) in [(1, 100), (2, 250)] {
        cube.apply(Change::Put(rollup(key, 10 * DAY, 0, 1, amount)), 0);
    }
    assert_eq!(total(&cube), sums(2, 350));
}

#[test]
fn an_update_tells_new_sums_and_not_differences() {
    let mut cube = cube();
    cube.apply(Change::Put(rollup(1, 10 * DAY, 0, 1, 100)), 0);
    let update = Change::Update {
        key: 1,
        count: Some(3),
        amount: Some(240),
        quantity: Some(3),
    };
    // WHEN it comes twice, as after a resumed stream
    cube.apply(update.clone(), 0);
    cube.apply(update, 0);
    assert_eq!(total(&cube), sums(3, 240));
    cube.apply(Change::Delete(1), 0);
    assert_eq!(total(&cube), Sums::default());
}

#[test]
fn what_cannot_be_applied_is_named_and_changes_nothing() {
    let mut cube = cube();
    cube.apply(Change::Put(rollup(1, 10 * DAY, 0, 1, 100)), 0);
    let foreign = Change::Update {
        key: 9,
        count: Some(3),
        amount: None,
        quantity: None,
    };
    assert!(!cube.apply(foreign, 0));
    cube.apply(Change::Put(rollup(7, 9 * DAY + 5, 0, 1, 100)), 0);
    assert_eq!(cube.unsettled.days.len(), 1);
    assert!(!cube.unsettled.everything);
    cube.apply(Change::Delete(8), 0);
    assert!(cube.unsettled.everything);
    assert_eq!(total(&cube), sums(1, 100));
}

#[test]
fn a_minute_whose_documents_are_forgotten_is_read_again_before_it_changes() {
    let mut cube = cube();
    let minute = 10 * DAY + 3;
    cube.apply(Change::Put(rollup(1, minute, 0, 1, 100)), 0);
    cube.forget_documents(1);
    // WHEN a change of it comes
    cube.apply(Change::Put(rollup(2, minute, 0, 1, 50)), 5);
    // THEN it waits for the whole minute
    assert_eq!(total(&cube), sums(1, 100));
    assert!(cube.unsettled.minutes.contains(&minute));
    cube.replace_minute(
        minute,
        &[rollup(1, minute, 0, 1, 100), rollup(2, minute, 0, 1, 50)],
        5,
    );
    cube.apply(
        Change::Update {
            key: 2,
            count: Some(2),
            amount: Some(75),
            quantity: Some(2),
        },
        6,
    );
    assert_eq!(total(&cube), sums(3, 175));
}

#[test]
fn the_window_moves_without_losing_anything() {
    let mut cube = cube();
    for (key, minute) in [(1, 10 * DAY), (2, 11 * DAY - 1), (3, 11 * DAY)] {
        cube.apply(Change::Put(rollup(key, minute, 1, 1, 100)), 0);
    }
    let version = cube.archive_version();
    cube.roll(11 * DAY);
    assert_eq!(total(&cube), sums(3, 300));
    assert_eq!(cube.minutes(0, i64::MAX).count(), 1);
    assert!(cube.archive_version() > version);
    assert_eq!(cube.first_minute(), Some(10 * DAY));
}
