//! Values without others inside: what each kind accepts, and why the rest is refused.
//!
//! ```text
//! Cursor ─► i32, i64, text … to the end of a column
//! ```
//!
//! Owns: the table in `json`'s header, but for records, arrays and maps.
//! Does not own: nesting (`append`), grammars (`scan`, `number`, `civil`).

use super::super::columns::{Decimal, FixedBytes, Timestamp};
use super::super::text::Text;
use super::super::{Reject, RejectReason, civil, reject, uuid_text};
use super::append::Done;
use super::names::Names;
use super::number::{self, Unfit, unfit};
use super::scan::Cursor;

/// A string must be under the cursor.
#[inline]
pub(super) fn string(cursor: &Cursor<'_>) -> Done {
    if cursor.peek() == Some(b'"') {
        Ok(())
    } else {
        Err(wrong_type(cursor, "a string"))
    }
}

#[inline]
fn is_number(cursor: &Cursor<'_>) -> bool {
    matches!(cursor.peek(), Some(b'-' | b'0'..=b'9'))
}

/// A whole number of 64 bits.
#[inline]
pub(super) fn whole(cursor: &mut Cursor<'_>, column: &str) -> Done<i64> {
    if !is_number(cursor) {
        return Err(wrong_type(cursor, "a number"));
    }
    cursor.number()?.whole().map_err(|why| unfit(why, column))
}

/// A whole number of 32 bits.
#[inline]
pub(super) fn int(cursor: &mut Cursor<'_>, column: &str) -> Done<i32> {
    let value = whole(cursor, column)?;
    i32::try_from(value).map_err(|_| unfit(Unfit::Range, column))
}

/// `true` or `false`.
pub(super) fn boolean(cursor: &mut Cursor<'_>) -> Done<bool> {
    match cursor.peek() {
        Some(b't') => cursor.literal("true").map(|()| true),
        Some(b'f') => cursor.literal("false").map(|()| false),
        _ => Err(wrong_type(cursor, "true or false")),
    }
}

/// A number, rounded to the nearest float.
pub(super) fn float(cursor: &mut Cursor<'_>) -> Done<f32> {
    if is_number(cursor) {
        return cursor
            .number()?
            .float()
            .map_err(|why| unfit(why, "a float"));
    }
    Ok(not_a_number(cursor)? as f32)
}

/// A number, rounded to the nearest double.
pub(super) fn double(cursor: &mut Cursor<'_>) -> Done<f64> {
    if is_number(cursor) {
        return cursor
            .number()?
            .double()
            .map_err(|why| unfit(why, "a double"));
    }
    not_a_number(cursor)
}

/// The three values that JSON has no number for, spelled as Avro's own JSON does.
fn not_a_number(cursor: &mut Cursor<'_>) -> Done<f64> {
    if cursor.peek() != Some(b'"') {
        return Err(wrong_type(cursor, "a number"));
    }
    match cursor.text()? {
        b"NaN" => Ok(f64::NAN),
        b"Infinity" => Ok(f64::INFINITY),
        b"-Infinity" => Ok(f64::NEG_INFINITY),
        _ => Err(reject(
            RejectReason::WrongType,
            "expected a number, or \"NaN\", \"Infinity\" or \"-Infinity\"; found another string",
        )),
    }
}

/// A decimal of up to 18 digits, unscaled.
#[inline]
pub(super) fn decimal64(cursor: &mut Cursor<'_>, form: Decimal) -> Done<i64> {
    if is_number(cursor) {
        let number = cursor.number()?;
        if let Some(value) = number.scaled_easy(form.scale)
            && value.unsigned_abs() < 10_u64.pow(u32::from(form.precision))
        {
            return Ok(value);
        }
        return decimal_of(&number, form).map(|value| value as i64);
    }
    decimal_text(cursor, form).map(|value| value as i64)
}

/// A decimal of up to 38 digits, unscaled.
pub(super) fn decimal128(cursor: &mut Cursor<'_>, form: Decimal) -> Done<i128> {
    if is_number(cursor) {
        decimal_of(&cursor.number()?, form)
    } else {
        decimal_text(cursor, form)
    }
}

#[inline(never)]
fn decimal_text(cursor: &mut Cursor<'_>, form: Decimal) -> Done<i128> {
    if cursor.peek() != Some(b'"') {
        return Err(wrong_type(cursor, "a number, or a string with one"));
    }
    match number::parse(cursor.text()?) {
        Some(number) => decimal_of(&number, form),
        None => Err(reject(
            RejectReason::InvalidText,
            "expected a number in the string",
        )),
    }
}

fn decimal_of(number: &number::Number<'_>, form: Decimal) -> Done<i128> {
    let value = number.scaled(form.scale).and_then(|value| {
        let fits = value.unsigned_abs() < 10_u128.pow(u32::from(form.precision));
        if fits { Ok(value) } else { Err(Unfit::Range) }
    });
    value.map_err(|why| {
        unfit(
            why,
            &format!(
                "a decimal of {} digits, {} of them after the point",
                form.precision, form.scale
            ),
        )
    })
}

/// Units since the epoch.
#[inline]
pub(super) fn timestamp(cursor: &mut Cursor<'_>, form: Timestamp) -> Done<i64> {
    let unit = if form.digits == 3 {
        "a timestamp in milliseconds"
    } else {
        "a timestamp in microseconds"
    };
    if cursor.peek() != Some(b'"') {
        if is_number(cursor) {
            return whole(cursor, unit);
        }
        return Err(wrong_type(cursor, "a timestamp as text or as a number"));
    }
    let inner = cursor.doc.get(cursor.pos + 1..).unwrap_or(&[]);
    if let Ok((value, used)) = civil::timestamp(inner, form.digits, form.local)
        && inner.get(used) == Some(&b'"')
    {
        cursor.pos += used + 2;
        return Ok(value);
    }
    timestamp_text(cursor, form)
}

/// The same for text that has escapes, or is no timestamp.
#[inline(never)]
fn timestamp_text(cursor: &mut Cursor<'_>, form: Timestamp) -> Done<i64> {
    let text = cursor.text()?;
    let value = match civil::timestamp(text, form.digits, form.local) {
        Ok((value, used)) if used == text.len() => Ok(value),
        Ok(_) => Err(civil::NotCivil::Form),
        Err(why) => Err(why),
    };
    let example = if form.local {
        "2026-03-14T10:15:30.5"
    } else {
        "2026-03-14T10:15:30.5+01:00"
    };
    value.map_err(|why| not_civil(why, example))
}

/// Days since the epoch.
pub(super) fn date(cursor: &mut Cursor<'_>) -> Done<i32> {
    if cursor.peek() != Some(b'"') {
        if is_number(cursor) {
            return int(cursor, "a date in days");
        }
        return Err(wrong_type(cursor, "a date as text or as a number"));
    }
    civil::date(cursor.text()?).map_err(|why| not_civil(why, "2026-03-14"))
}

/// Units since midnight.
pub(super) fn time(cursor: &mut Cursor<'_>, digits: u8) -> Done<i64> {
    if cursor.peek() == Some(b'"') {
        return civil::time(cursor.text()?, digits).map_err(|why| not_civil(why, "10:15:30.5"));
    }
    if !is_number(cursor) {
        return Err(wrong_type(cursor, "a time of day as text or as a number"));
    }
    let value = whole(cursor, "a time of day")?;
    if (0..86_400 * 10_i64.pow(u32::from(digits))).contains(&value) {
        Ok(value)
    } else {
        Err(reject(RejectReason::OutOfRange, "not a time of one day"))
    }
}

/// Appends a UUID as text.
#[inline]
pub(super) fn uuid(cursor: &mut Cursor<'_>, text: &mut Text) -> Done {
    string(cursor)?;
    let inner = cursor.doc.get(cursor.pos + 1..).unwrap_or(&[]);
    if let Some((id, [b'"', ..])) = inner.split_first_chunk()
        && let Some(canonical) = uuid_text::canonical(id)
    {
        cursor.pos += uuid_text::LEN + 2;
        cursor.grown += uuid_text::LEN;
        text.data().extend_from_slice(&canonical);
        return text.close();
    }
    uuid_slowly(cursor, text)
}

/// The same for text that has escapes, or is no UUID.
#[inline(never)]
fn uuid_slowly(cursor: &mut Cursor<'_>, text: &mut Text) -> Done {
    let canonical = <&[u8; uuid_text::LEN]>::try_from(cursor.text()?)
        .ok()
        .and_then(uuid_text::canonical);
    let Some(canonical) = canonical else {
        return Err(reject(
            RejectReason::InvalidText,
            "expected a UUID of 36 characters with hyphens",
        ));
    };
    cursor.grown += canonical.len();
    text.push(&canonical)
}

/// Appends an enum's symbol.
pub(super) fn symbol(cursor: &mut Cursor<'_>, text: &mut Text, symbols: &Names) -> Done {
    string(cursor)?;
    let symbol = cursor.text()?;
    if symbols.find(symbol).is_none() {
        return Err(reject(
            RejectReason::InvalidText,
            "not one of the enum's symbols",
        ));
    }
    text.push(symbol)?;
    let len = symbol.len();
    cursor.grown += len;
    Ok(())
}

/// Appends the bytes that a string's code points are.
pub(super) fn bytes(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Done {
    string(cursor)?;
    let before = out.len();
    let text = cursor.text()?;
    // Two bytes of UTF-8 from C2 or C3 on are the code points from 80 to FF.
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            0..=0x7f => out.push(*byte),
            0xc2 | 0xc3 => {
                let follow = rest.next().copied().unwrap_or(0);
                out.push(byte << 6 | follow & 0x3f);
            }
            _ => {
                return Err(reject(
                    RejectReason::InvalidText,
                    "bytes are a string of code points 0 to 255; found one above",
                ));
            }
        }
    }
    cursor.grown += out.len() - before;
    Ok(())
}

/// Appends as many bytes as the fixed has.
pub(super) fn fixed_bytes(cursor: &mut Cursor<'_>, fixed: &mut FixedBytes) -> Done {
    let before = fixed.data.len();
    let grown = cursor.grown;
    bytes(cursor, &mut fixed.data)?;
    cursor.grown = grown;
    let found = fixed.data.len() - before;
    if found == fixed.size {
        return Ok(());
    }
    Err(reject(
        RejectReason::OutOfRange,
        format!("expected {} bytes, found {found}", fixed.size),
    ))
}

#[cold]
fn not_civil(why: civil::NotCivil, example: &str) -> Box<Reject> {
    use civil::NotCivil::{Form, NoOffset, Offset, TooFine};
    let (reason, detail) = match why {
        Form => (
            RejectReason::InvalidText,
            "not of a form or a calendar that is known",
        ),
        NoOffset => (
            RejectReason::InvalidText,
            "no offset from UTC (use a local timestamp for a wall clock)",
        ),
        Offset => (
            RejectReason::InvalidText,
            "an offset from UTC, where the column is a wall clock",
        ),
        TooFine => (
            RejectReason::OutOfRange,
            "finer than the column's unit; it is not rounded",
        ),
    };
    reject(reason, format!("{detail}; expected text such as {example}"))
}

/// A value of another type, or none at all, is under the cursor.
#[cold]
#[inline(never)]
pub(super) fn wrong_type(cursor: &Cursor<'_>, expected: &str) -> Box<Reject> {
    let found = match cursor.peek() {
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f') => "true or false",
        Some(b'{') => "an object (a union's value stands plain, not as {\"type\": value})",
        Some(b'[') => "an array",
        Some(b'n') => "null",
        _ => return cursor.malformed("a value"),
    };
    reject(
        RejectReason::WrongType,
        format!("expected {expected}, found {found}"),
    )
}
