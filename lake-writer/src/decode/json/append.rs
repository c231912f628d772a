//! Typed append: the value under the cursor to the end of a column.
//!
//! ```text
//! Cursor ─► (kind of the column) ─► Builder
//! ```
//!
//! Owns: the walk over records, arrays and maps beside the tree of columns.
//! Does not own: single values (`scalar`); rolling back: after an error a column may hold half a
//! value.

use super::super::columns::{Builder, Vector};
use super::super::nested::{Entries, Group, List};
use super::super::{Reject, RejectReason, reject};
use super::plan::{Missing, Plan, RecordPlan};
use super::scalar::{self, wrong_type};
use super::scan::Cursor;

pub(super) type Done<T = ()> = Result<T, Box<Reject>>;

/// Appends the value under the cursor.
#[inline]
pub(super) fn value(cursor: &mut Cursor<'_>, builder: &mut Builder, plan: &mut Plan) -> Done {
    if cursor.peek() == Some(b'n') {
        cursor.literal("null")?;
        return builder.push_null();
    }
    match &mut builder.vector {
        Vector::String(text) => {
            scalar::string(cursor)?;
            cursor.string_into(text.data())?;
            text.close()?;
        }
        Vector::Int(values) => values.push(scalar::int(cursor, "an int")?),
        Vector::Long(values) => values.push(scalar::whole(cursor, "a long")?),
        Vector::Decimal64 { form, values } => values.push(scalar::decimal64(cursor, *form)?),
        Vector::Decimal128 { form, values } => values.push(scalar::decimal128(cursor, *form)?),
        Vector::Timestamp { form, values } => values.push(scalar::timestamp(cursor, *form)?),
        Vector::Uuid { text, .. } => scalar::uuid(cursor, text)?,
        Vector::Boolean(bits) => bits.append(scalar::boolean(cursor)?),
        Vector::Float(values) => values.push(scalar::float(cursor)?),
        Vector::Double(values) => values.push(scalar::double(cursor)?),
        Vector::Enum { text, .. } => scalar::symbol(cursor, text, plan.symbols())?,
        Vector::Date(values) => values.push(scalar::date(cursor)?),
        Vector::TimeMillis(values) => values.push(scalar::time(cursor, 3)? as i32),
        Vector::TimeMicros(values) => values.push(scalar::time(cursor, 6)?),
        Vector::Bytes(text) => {
            scalar::bytes(cursor, text.data())?;
            text.close()?;
        }
        Vector::Fixed(fixed) => scalar::fixed_bytes(cursor, fixed)?,
        Vector::Record(group) => record(cursor, group, plan.record())?,
        Vector::Array(list) => array(cursor, list, plan.items())?,
        Vector::Map(entries) => map(cursor, entries, plan.items())?,
    }
    builder.mark_valid();
    Ok(())
}

/// Appends the object under the cursor as one value of each field.
pub(super) fn record(cursor: &mut Cursor<'_>, group: &mut Group, plan: &mut RecordPlan) -> Done {
    if cursor.peek() != Some(b'{') {
        return Err(wrong_type(cursor, "an object"));
    }
    cursor.enter()?;
    plan.begin();
    let mut seen = 0;
    if !cursor.empty(b'}') {
        let mut previous = plan.keys.begin();
        loop {
            if let Some(place) = plan.keys.take(cursor, previous)? {
                previous = place;
                cursor.skip_space();
                let (Some(column), Some(field)) =
                    (group.columns.get_mut(place), plan.fields.get_mut(place))
                else {
                    unreachable!("plan and columns come from one schema");
                };
                if !field.first_in(plan.round) {
                    return Err(duplicate().within(&field.name));
                }
                seen += 1;
                if let Err(reject) = value(cursor, column, field) {
                    return Err(reject.within(&field.name));
                }
            } else {
                cursor.unknown += 1;
                cursor.skip_space();
                cursor.skip_value()?;
            }
            if !cursor.more(b'}')? {
                break;
            }
        }
    }
    if seen < plan.keys.len() {
        fill_missing(cursor, group, plan)?;
    }
    Ok(())
}

/// Appends what the schema says of the fields that the object did not have.
#[inline(never)]
fn fill_missing(cursor: &mut Cursor<'_>, group: &mut Group, plan: &mut RecordPlan) -> Done {
    for (column, field) in group.columns.iter_mut().zip(&mut plan.fields) {
        if !field.first_in(plan.round) {
            continue;
        }
        match &field.missing {
            Missing::Null => column.push_null()?,
            Missing::Reject => {
                return Err(reject(
                    RejectReason::MissingField,
                    "required: neither null nor a default is in the schema",
                )
                .within(&field.name));
            }
            Missing::Default(text) => {
                let text = text.clone();
                let mut scratch = Vec::new();
                let mut default = Cursor::new(&text, &mut scratch);
                value(&mut default, column, field).map_err(|e| e.within(&field.name))?;
                let grown = default.grown;
                cursor.grow(grown)?;
            }
        }
    }
    Ok(())
}

fn array(cursor: &mut Cursor<'_>, list: &mut List, plan: &mut Plan) -> Done {
    if cursor.peek() != Some(b'[') {
        return Err(wrong_type(cursor, "an array"));
    }
    cursor.enter()?;
    let mut items = list.closed();
    if !cursor.empty(b']') {
        loop {
            value(cursor, &mut list.item, plan).map_err(|e| e.within(&plan.name))?;
            items += 1;
            cursor.grow(list.width)?;
            if !cursor.more(b']')? {
                break;
            }
        }
    }
    list.close(items)
}

fn map(cursor: &mut Cursor<'_>, map: &mut Entries, plan: &mut Plan) -> Done {
    if cursor.peek() != Some(b'{') {
        return Err(wrong_type(cursor, "an object"));
    }
    cursor.enter()?;
    let before = map.closed();
    if !cursor.empty(b'}') {
        loop {
            if cursor.peek() != Some(b'"') {
                return Err(cursor.malformed("a key in quotes"));
            }
            cursor.string_into(map.keys.data())?;
            map.keys.close()?;
            cursor.expect(b':')?;
            cursor.skip_space();
            value(cursor, &mut map.value, plan).map_err(|e| e.within(&plan.name))?;
            cursor.grow(map.width)?;
            if !cursor.more(b'}')? {
                break;
            }
        }
    }
    if map.has_duplicates_from(before) {
        return Err(duplicate());
    }
    map.close(map.keys.len())
}

#[cold]
fn duplicate() -> Box<Reject> {
    reject(
        RejectReason::DuplicateKey,
        "the key stands twice in one object",
    )
}
