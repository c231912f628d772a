//! One plain Avro datum a message, without framing, written with the table's own schema.
//!
//! ```text
//! bytes ─► Cursor (varints, lengths, blocks) ─► columns
//! ```
//!
//! Owns: Avro's binary encoding, strictly: every length is held against the bytes that are left
//! before anything is read or allocated by it, text is UTF-8, numbers fit, nothing follows.
//! Does not own: the columns (`columns`), schema evolution (a datum of another schema is mostly a
//! dead letter, but plain data carry nothing to tell by).

use arrow_array::ArrayRef;

use super::columns::{Builder, Decimal, Vector};
use super::nested::{Entries, Group, List};
use super::text::Text;
use super::{Decoder, Reject, RejectReason, Scalar, check_unfolded, reject, uuid_text};
use crate::table::Column;

type Done<T = ()> = Result<T, Box<Reject>>;

/// Decodes Avro messages.
#[derive(Debug)]
pub(super) struct Avro {
    group: Group,
    /// Of the columns, for the path in a reject.
    names: NameTree,
    /// Bytes that a row takes at least.
    width: usize,
    rows: usize,
    bytes: usize,
}

/// Names of fields, level by level.
#[derive(Debug)]
struct NameTree(Vec<(Box<str>, NameTree)>);

/// A place in a datum.
struct Cursor<'a> {
    datum: &'a [u8],
    pos: usize,
    /// Bytes that the row's text and items take.
    grown: usize,
}

impl Avro {
    pub(super) fn new(columns: &[Column]) -> Self {
        let group = Group {
            columns: columns.iter().map(Builder::new).collect(),
        };
        Self {
            width: group.columns.iter().map(Builder::width).sum(),
            group,
            names: NameTree::new(columns),
            rows: 0,
            bytes: 0,
        }
    }

    #[cold]
    #[inline(never)]
    fn roll_back(&mut self, value: &[u8], mut reject: Reject) -> Reject {
        for column in &mut self.group.columns {
            column.truncate(self.rows);
        }
        match value {
            // A plain datum may begin like this too: the hint is added to a reject only.
            [0, _, _, _, _, ..] => reject
                .detail
                .push_str("; a zero byte comes first: is this a schema registry's framing?"),
            [b'{', ..] => reject
                .detail
                .push_str("; a brace comes first: is this JSON?"),
            _ => {}
        }
        reject
    }
}

impl Decoder for Avro {
    fn append(&mut self, value: &[u8]) -> Result<(), Reject> {
        let mut cursor = Cursor {
            datum: value,
            pos: 0,
            grown: 0,
        };
        let done = cursor
            .record(&mut self.group, &self.names)
            .and_then(|()| cursor.end());
        match done {
            Ok(()) => {
                self.bytes += self.width + cursor.grown;
                self.rows += 1;
                Ok(())
            }
            Err(reject) => Err(self.roll_back(value, *reject)),
        }
    }

    fn rows(&self) -> usize {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    fn last(&self, column: usize) -> Scalar<'_> {
        self.group
            .columns
            .get(column)
            .map_or(Scalar::Null, Builder::last)
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.rows = 0;
        self.bytes = 0;
        self.group.columns.iter_mut().map(Builder::finish).collect()
    }

    /// A datum has exactly the fields of its schema.
    fn unknown_fields(&self) -> u64 {
        0
    }
}

impl NameTree {
    fn new(columns: &[crate::table::Column]) -> Self {
        use crate::table::Kind;
        let below = |kind: &Kind| match kind {
            Kind::Record(columns) => Self::new(columns),
            Kind::Array(of) | Kind::Map(of) => Self::new(std::slice::from_ref(of)),
            _ => Self(Vec::new()),
        };
        Self(
            columns
                .iter()
                .map(|c| (c.name.as_str().into(), below(&c.kind)))
                .collect(),
        )
    }

    /// The single one below an array or map.
    fn only(&self) -> (&str, &Self) {
        self.0
            .first()
            .map_or(("", self), |(name, below)| (name, below))
    }
}

impl<'a> Cursor<'a> {
    fn record(&mut self, group: &mut Group, names: &NameTree) -> Done {
        for (column, (name, below)) in group.columns.iter_mut().zip(&names.0) {
            self.value(column, below)
                .map_err(|reject| reject.within(name))?;
        }
        Ok(())
    }

    #[inline]
    fn value(&mut self, builder: &mut Builder, names: &NameTree) -> Done {
        if builder.is_nullable() {
            let branch = self.long()?;
            if branch == i64::from(builder.null_branch) {
                return builder.push_null();
            }
            if branch != i64::from(1 - builder.null_branch) {
                return Err(malformed(
                    "a union of two types has branches 0 and 1; found another",
                ));
            }
        }
        match &mut builder.vector {
            Vector::String(text) => {
                let value = self.string()?;
                text.push(value)?;
            }
            Vector::Int(values) | Vector::Date(values) => values.push(self.int()?),
            Vector::Long(values) | Vector::Timestamp { values, .. } => values.push(self.long()?),
            Vector::Decimal64 { form, values } => values.push(self.decimal(*form)? as i64),
            Vector::Decimal128 { form, values } => values.push(self.decimal(*form)?),
            Vector::Boolean(bits) => bits.append(self.boolean()?),
            Vector::Float(values) => values.push(f32::from_le_bytes(*self.take_array()?)),
            Vector::Double(values) => values.push(f64::from_le_bytes(*self.take_array()?)),
            Vector::Bytes(text) => {
                let value = self.bytes()?;
                text.push(value)?;
            }
            Vector::Fixed(fixed) => fixed.data.extend_from_slice(self.take(fixed.size)?),
            Vector::Enum { symbols, text } => self.symbol(symbols, text)?,
            Vector::Uuid { fixed, text } => self.uuid(*fixed, text)?,
            Vector::TimeMillis(values) => values.push(self.time(3)? as i32),
            Vector::TimeMicros(values) => values.push(self.time(6)?),
            Vector::Record(group) => self.record(group, names)?,
            Vector::Array(list) => self.array(list, names)?,
            Vector::Map(entries) => self.map(entries, names)?,
        }
        builder.mark_valid();
        Ok(())
    }

    fn array(&mut self, list: &mut List, names: &NameTree) -> Done {
        let (name, below) = names.only();
        let mut items = list.closed();
        while let Some(block) = self.block()? {
            for _ in 0..block.count {
                self.value(&mut list.item, below)
                    .map_err(|reject| reject.within(name))?;
                self.grow(list.width)?;
            }
            items += block.count;
            self.check_end(&block)?;
        }
        list.close(items)
    }

    fn map(&mut self, map: &mut Entries, names: &NameTree) -> Done {
        let (name, below) = names.only();
        let before = map.closed();
        while let Some(block) = self.block()? {
            for _ in 0..block.count {
                let key = self.string()?;
                map.keys.push(key)?;
                self.value(&mut map.value, below)
                    .map_err(|reject| reject.within(name))?;
                self.grow(map.width)?;
            }
            self.check_end(&block)?;
        }
        if map.has_duplicates_from(before) {
            return Err(reject(
                RejectReason::DuplicateKey,
                "the key stands twice in one map",
            ));
        }
        map.close(map.keys.len())
    }

    /// The head of a block of items; none at the end of the array or map.
    fn block(&mut self) -> Done<Option<Block>> {
        let count = self.long()?;
        if count == 0 {
            return Ok(None);
        }
        let end = if count < 0 {
            let size = self.length()?;
            Some(self.pos + size)
        } else {
            None
        };
        // No type of a table takes less than one byte, so that more items than bytes are a lie.
        match usize::try_from(count.unsigned_abs()) {
            Ok(count) if count <= self.left() => Ok(Some(Block { count, end })),
            _ => Err(truncated("a block of items", self.datum.len())),
        }
    }

    fn check_end(&self, block: &Block) -> Done {
        if block.end.is_some_and(|end| end != self.pos) {
            return Err(malformed("a block of items has another size than it says"));
        }
        Ok(())
    }

    #[inline]
    fn grow(&mut self, bytes: usize) -> Done {
        self.grown += bytes;
        check_unfolded(self.grown, self.datum.len())
    }

    fn left(&self) -> usize {
        self.datum.len() - self.pos
    }

    #[inline]
    fn take(&mut self, len: usize) -> Done<&'a [u8]> {
        let rest = self.datum.get(self.pos..).unwrap_or(&[]);
        let Some(taken) = rest.get(..len) else {
            return Err(truncated("a value", self.datum.len()));
        };
        self.pos += len;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Done<&'a [u8; N]> {
        let rest = self.datum.get(self.pos..).unwrap_or(&[]);
        let Some(taken) = rest.first_chunk() else {
            return Err(truncated("a number", self.datum.len()));
        };
        self.pos += N;
        Ok(taken)
    }

    /// A zigzag varint of at most ten bytes.
    #[inline]
    fn long(&mut self) -> Done<i64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let Some(byte) = self.datum.get(self.pos) else {
                return Err(truncated("a number", self.datum.len()));
            };
            self.pos += 1;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && *byte > 1 {
                return Err(malformed("a number of more than 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(malformed("a number of more than 64 bits"))
    }

    #[inline]
    fn int(&mut self) -> Done<i32> {
        let value = self.long()?;
        i32::try_from(value)
            .map_err(|_| reject(RejectReason::OutOfRange, "a number of more than 32 bits"))
    }

    /// A length that the datum has bytes for.
    #[inline]
    fn length(&mut self) -> Done<usize> {
        let length = self.long()?;
        match usize::try_from(length) {
            Ok(length) if length <= self.left() => Ok(length),
            Ok(_) => Err(truncated("a value by its length", self.datum.len())),
            Err(_) => Err(malformed("a negative length")),
        }
    }

    #[inline]
    fn bytes(&mut self) -> Done<&'a [u8]> {
        let length = self.length()?;
        self.grown += length;
        self.take(length)
    }

    #[inline]
    fn string(&mut self) -> Done<&'a [u8]> {
        let text = self.bytes()?;
        if text.is_ascii() || simdutf8::basic::from_utf8(text).is_ok() {
            Ok(text)
        } else {
            Err(reject(RejectReason::InvalidUtf8, "text is not UTF-8"))
        }
    }

    fn boolean(&mut self) -> Done<bool> {
        match self.take_array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(malformed("a boolean is 0 or 1; found another byte")),
        }
    }

    fn symbol(&mut self, symbols: &[String], text: &mut Text) -> Done {
        let place = self.int()?;
        let symbol = usize::try_from(place)
            .ok()
            .and_then(|place| symbols.get(place));
        let Some(symbol) = symbol else {
            return Err(reject(
                RejectReason::OutOfRange,
                "the enum has no symbol of this number",
            ));
        };
        self.grown += symbol.len();
        text.push(symbol.as_bytes())
    }

    fn uuid(&mut self, fixed: bool, text: &mut Text) -> Done {
        let canonical = if fixed {
            Some(uuid_text::of_bytes(*self.take_array()?))
        } else {
            self.bytes()?.try_into().ok().and_then(uuid_text::canonical)
        };
        let Some(canonical) = canonical else {
            return Err(reject(
                RejectReason::InvalidText,
                "expected a UUID of 36 characters with hyphens",
            ));
        };
        self.grown += canonical.len();
        text.push(&canonical)
    }

    fn time(&mut self, digits: u32) -> Done<i64> {
        let value = if digits == 3 {
            i64::from(self.int()?)
        } else {
            self.long()?
        };
        if (0..86_400 * 10_i64.pow(digits)).contains(&value) {
            Ok(value)
        } else {
            Err(reject(RejectReason::OutOfRange, "not a time of one day"))
        }
    }

    /// A two's complement number, most significant byte first.
    #[inline]
    fn decimal(&mut self, form: Decimal) -> Done<i128> {
        let bytes = match form.fixed {
            Some(size) => self.take(size)?,
            None => {
                let length = self.length()?;
                self.take(length)?
            }
        };
        let Some(first) = bytes.first() else {
            return Err(malformed("a decimal without bytes"));
        };
        let sign = if *first >= 0x80 { 0xff } else { 0 };
        // Bytes in front that only repeat the sign say nothing.
        let spare = bytes.iter().take_while(|byte| **byte == sign).count();
        let digits = bytes.get(spare..).unwrap_or(&[]);
        let start = i128::from(sign as i8);
        let limit = 10_u128.pow(u32::from(form.precision));
        // Sixteen bytes and the sign in front of them may be past an i128; 38 digits are not.
        let fits = digits.len() < 16
            || (digits.len() == 16 && digits.first().is_some_and(|b| (b ^ sign) < 0x80));
        let value = digits
            .iter()
            .fold(start, |n, byte| n << 8 | i128::from(*byte));
        if fits && value.unsigned_abs() < limit {
            Ok(value)
        } else {
            Err(reject(
                RejectReason::OutOfRange,
                format!("too large for a decimal of {} digits", form.precision),
            ))
        }
    }

    fn end(&self) -> Done {
        if self.pos == self.datum.len() {
            return Ok(());
        }
        Err(malformed(
            "bytes follow the datum: was it written with another schema?",
        ))
    }
}

/// Items that stand together.
struct Block {
    count: usize,
    /// Where it says it ends, if it does.
    end: Option<usize>,
}

#[cold]
#[inline(never)]
fn malformed(detail: &str) -> Box<Reject> {
    reject(RejectReason::Malformed, detail)
}

#[cold]
#[inline(never)]
fn truncated(wanted: &str, len: usize) -> Box<Reject> {
    reject(
        RejectReason::Truncated,
        format!("ends after {len} bytes, within {wanted}"),
    )
}
