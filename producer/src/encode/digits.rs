//! Numbers, moments and UUIDs as text, without the formatting machinery and its allocations.
//!
//! Owns digits. Does not own what stands around them.

const HEX: &[u8; 16] = b"0123456789abcdef";
const PAIRS: &[u8; 200] = &pairs();

const fn pairs() -> [u8; 200] {
    let mut table = [0; 200];
    let mut i = 0;
    while i < 100 {
        table[i * 2] = b'0' + (i / 10) as u8;
        table[i * 2 + 1] = b'0' + (i % 10) as u8;
        i += 1;
    }
    table
}

/// Two digits of a number below 100.
#[inline]
fn pair(number: u32) -> [u8; 2] {
    let at = (number % 100) as usize * 2;
    [PAIRS[at], PAIRS[at + 1]]
}

/// A whole number.
#[inline]
pub(super) fn integer(number: i64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut at = text.len();
    let mut rest = number.unsigned_abs();
    while rest >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&pair((rest % 100) as u32));
        rest /= 100;
    }
    if rest > 0 || at == text.len() {
        at -= 1;
        text[at] = b'0' + rest as u8;
    } else if text[at] == b'0' {
        at += 1;
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&text[at..]);
}

/// Hundredths as a number with two decimals: 1230 is 12.30.
#[inline]
pub(super) fn cents(cents: i64, out: &mut Vec<u8>) {
    if cents < 0 {
        out.push(b'-');
    }
    let positive = cents.unsigned_abs();
    integer((positive / 100) as i64, out);
    let [tens, ones] = pair((positive % 100) as u32);
    out.extend_from_slice(&[b'.', tens, ones]);
}

/// A UUID in its canonical form of 36 characters.
#[inline]
pub(crate) fn uuid(id: &[u8; 16]) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in id.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

/// Moments as RFC 3339 in UTC with microseconds: 2026-01-31T14:03:22.123456Z.
#[derive(Debug, Default)]
pub(super) struct Moments {
    /// The day written last and its text: most sales are of the same day as the one before.
    day: i64,
    date: [u8; 10],
}

impl Moments {
    /// The moment of these microseconds since the epoch, in the years 0000 to 9999; outside them
    /// the nearest day inside.
    #[inline]
    pub(super) fn write(&mut self, us: i64, out: &mut Vec<u8>) {
        let day = us.div_euclid(86_400_000_000);
        if day != self.day || self.date[0] == 0 {
            self.day = day;
            self.date = date(day);
        }
        let in_day = us.rem_euclid(86_400_000_000);
        let seconds = (in_day / 1_000_000) as u32;
        let micros = (in_day % 1_000_000) as u32;
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        text[..10].copy_from_slice(&self.date);
        text[11..13].copy_from_slice(&pair(seconds / 3600));
        text[14..16].copy_from_slice(&pair(seconds / 60 % 60));
        text[17..19].copy_from_slice(&pair(seconds % 60));
        text[20..22].copy_from_slice(&pair(micros / 10_000));
        text[22..24].copy_from_slice(&pair(micros / 100));
        text[24..26].copy_from_slice(&pair(micros));
        out.extend_from_slice(&text);
    }
}

/// A day, counted since the epoch, as 2026-01-31.
pub(crate) fn date(day: i64) -> [u8; 10] {
    use chrono::Datelike;
    let day = i32::try_from(day.clamp(-719_528, 2_932_896)).unwrap_or(0);
    let date = chrono::NaiveDate::from_epoch_days(day).unwrap_or_default();
    let year = date.year() as u32;
    let mut text = *b"0000-00-00";
    text[..2].copy_from_slice(&pair(year / 100));
    text[2..4].copy_from_slice(&pair(year));
    text[5..7].copy_from_slice(&pair(date.month()));
    text[8..].copy_from_slice(&pair(date.day()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn integers_are_as_the_standard_library_writes_them(number: i64, shift in 0..64_u32) {
            let number = number >> shift;
            prop_assert_eq!(text(|out| integer(number, out)), number.to_string());
        }

        #[test]
        fn cents_are_two_decimals(number in -999_999_999_999_999_999..=999_999_999_999_999_999_i64,
                                  shift in 0..60_u32) {
            let number = number >> shift;
            let sign = if number < 0 { "-" } else { "" };
            let positive = number.unsigned_abs();
            let expected = format!("{sign}{}.{:02}", positive / 100, positive % 100);
            prop_assert_eq!(text(|out| cents(number, out)), expected);
        }

        #[test]
        fn moments_are_as_chrono_writes_them(us in -62_167_219_200_000_000..253_402_300_800_000_000_i64) {
            let moment = chrono::DateTime::from_timestamp_micros(us).unwrap();
            let expected = moment.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            prop_assert_eq!(text(|out| Moments::default().write(us, out)), expected);
        }

        #[test]
        fn uuids_are_canonical(id: [u8; 16]) {
            let written = String::from_utf8(uuid(&id).to_vec()).unwrap();
            prop_assert_eq!(written, uuid::Uuid::from_bytes(id).hyphenated().to_string());
        }
    }

    #[test]
    fn small_and_extreme_integers() {
        for number in [0, 1, 9, 10, 11, 99, 100, 101, 999, 1000, i64::MAX, i64::MIN] {
            assert_eq!(text(|out| integer(number, out)), number.to_string());
        }
    }
}
