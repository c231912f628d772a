//! Sales as JSON objects, in the styles that companies' systems produce.
//!
//! Sale ──► fields in order of the layout (or shuffled) ──► `{"sale_id":"…","sold_at":"…",…}`
//!
//! Owns JSON: escapes, numbers, white space. Equal sales, style and seed give equal bytes. A sale in
//! the plain style takes about 300 bytes.

use super::digits;
use super::layout::Layout;
use super::spoil::Flaw;
use crate::chance::{Chance, Purpose};
use crate::sale::{Field, Sale};

/// How a document looks. The values are the same in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum JsonStyle {
    /// Fields in the schema's order, no white space, UTF-8 as it is.
    #[default]
    Plain,
    /// Like plain, but every document has its keys in another order.
    Shuffled,
    /// Everything that is not ASCII as `\uXXXX`, slashes escaped, a space after colon and comma.
    Escaped,
    /// Each document in one of the other styles, and a null customer sometimes left out.
    Mixed,
}

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decimals {
    /// `12.30`
    #[default]
    Number,
    /// `"12.30"`
    Text,
}

/// Writes sales as JSON.
#[derive(Debug)]
pub struct JsonEncoder {
    order: [Field; Field::COUNT],
    plain: Box<Openings>,
    escaped: Box<Openings>,
    style: JsonStyle,
    chance: Chance,
    moments: digits::Moments,
}

/// What the document being written looks like.
#[derive(Debug, Clone, Copy)]
struct Look {
    shuffled: bool,
    escaped: bool,
    without_null: bool,
}

impl JsonEncoder {
    /// An encoder whose shuffles are those of `seed`.
    pub fn new(layout: &Layout, style: JsonStyle, decimals: Decimals, seed: u64) -> Self {
        Self {
            order: *layout.fields(),
            plain: Box::new(Openings::new(",\"", "\":", decimals)),
            escaped: Box::new(Openings::new(", \"", "\": ", decimals)),
            style,
            chance: Chance::new(seed, Purpose::Style),
            moments: digits::Moments::default(),
        }
    }

    /// Appends the sale as one document.
    #[inline]
    pub fn encode(&mut self, sale: &Sale<'_>, out: &mut Vec<u8>) {
        let look = self.look();
        self.document(sale, look, None, out);
    }

    /// Appends the sale with a flaw.
    pub(super) fn encode_with(
        &mut self,
        sale: &Sale<'_>,
        flaw: Flaw,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        match flaw {
            Flaw::Empty => {}
            Flaw::NotJson => {
                out.extend_from_slice(sale.store_id.as_bytes());
                out.push(b';');
                out.extend_from_slice(sale.product_name.as_bytes());
                out.push(b';');
                digits::cents(sale.amount_cents, out);
            }
            _ => {
                let look = self.look();
                self.document(sale, look, Some(flaw), out);
            }
        }
        if flaw == Flaw::Truncated {
            let length = (out.len() - start) as u32;
            out.truncate(start + 1 + chance.below(length - 1) as usize);
        }
    }

    fn look(&mut self) -> Look {
        let (shuffled, escaped, without_null) = match self.style {
            JsonStyle::Plain => (false, false, false),
            JsonStyle::Shuffled => (true, false, false),
            JsonStyle::Escaped => (false, true, false),
            JsonStyle::Mixed => {
                let bits = self.chance.bits();
                (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0)
            }
        };
        Look {
            shuffled,
            escaped,
            without_null,
        }
    }

    #[inline]
    fn document(&mut self, sale: &Sale<'_>, look: Look, flaw: Option<Flaw>, out: &mut Vec<u8>) {
        if look.shuffled {
            for i in (1..Field::COUNT).rev() {
                let other = self.chance.below(i as u32 + 1) as usize;
                self.order.swap(i, other);
            }
        }
        let start = out.len();
        for i in 0..Field::COUNT {
            let field = self.order[i];
            let openings = if look.escaped {
                &self.escaped
            } else {
                &self.plain
            };
            let opening = &openings.by_field[field as usize];
            if let Some(value) = flaw.and_then(|flaw| flawed_value(field, flaw)) {
                out.extend_from_slice(opening.bare());
                out.extend_from_slice(value);
                continue;
            }
            if field == Field::CustomerId && sale.customer_id.is_none() {
                if !look.without_null {
                    out.extend_from_slice(opening.bare());
                    out.extend_from_slice(b"null");
                }
                continue;
            }
            if field == Field::SaleId && flaw == Some(Flaw::MissingField) {
                continue;
            }
            out.extend_from_slice(&opening.text);
            let quoted = opening.quoted;
            self.value(field, sale, look.escaped, out);
            if quoted {
                out.push(b'"');
            }
        }
        out.push(b'}');
        // Every member begins with a comma; that of the first one makes place for the brace.
        out[start] = b'{';
    }

    #[inline]
    fn value(&mut self, field: Field, sale: &Sale<'_>, escaped: bool, out: &mut Vec<u8>) {
        let text = match field {
            Field::SaleId => return out.extend_from_slice(&digits::uuid(&sale.sale_id)),
            Field::SoldAt => return self.moments.write(sale.sold_at_us, out),
            Field::Quantity => return digits::integer(sale.quantity.into(), out),
            Field::UnitPrice => return digits::cents(sale.unit_price_cents, out),
            Field::Amount => return digits::cents(sale.amount_cents, out),
            Field::CustomerId => sale.customer_id.unwrap_or_default(),
            Field::Region => sale.region,
            Field::StoreId => sale.store_id,
            Field::ProductId => sale.product_id,
            Field::ProductName => sale.product_name,
            Field::Category => sale.category,
            Field::Currency => sale.currency,
            Field::Channel => sale.channel,
        };
        if escaped {
            ascii_text(text, out);
        } else {
            utf8_text(text, out);
        }
    }
}

/// What stands before the value of each field: comma, name, colon, and the quote of a string.
#[derive(Debug)]
struct Openings {
    by_field: [Opening; Field::COUNT],
}

#[derive(Debug)]
struct Opening {
    text: Vec<u8>,
    quoted: bool,
}

impl Openings {
    fn new(before: &str, after: &str, decimals: Decimals) -> Self {
        let by_field = Field::ALL.map(|field| {
            let quoted = match field {
                Field::Quantity => false,
                Field::UnitPrice | Field::Amount => decimals == Decimals::Text,
                _ => true,
            };
            let quote = if quoted { "\"" } else { "" };
            let text = format!("{before}{}{after}{quote}", field.name()).into_bytes();
            Opening { text, quoted }
        });
        Self { by_field }
    }
}

impl Opening {
    /// Without the quote.
    fn bare(&self) -> &[u8] {
        &self.text[..self.text.len() - usize::from(self.quoted)]
    }
}

/// What stands in place of a field's value in a malformed document.
fn flawed_value(field: Field, flaw: Flaw) -> Option<&'static [u8]> {
    match (flaw, field) {
        (Flaw::InvalidUtf8, Field::Region) => Some(b"\"\xCEle-de-France\""), // Latin-1
        (Flaw::WrongType, Field::Quantity) => Some(b"\"beaucoup\""),
        (Flaw::NullField, Field::StoreId) => Some(b"null"),
        (Flaw::BadDecimal, Field::Amount) => Some(b"\"12.3O\""),
        (Flaw::BadTimestamp, Field::SoldAt) => Some(b"\"2026-02-30T12:00:00.000000Z\""),
        (Flaw::OutOfRange, Field::Quantity) => Some(b"4294967296"),
        _ => None,
    }
}

/// The inside of a JSON string in UTF-8: only what must be escaped is.
#[inline]
fn utf8_text(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    // Without an early exit the compiler looks at many bytes at a time.
    let clean = bytes.iter().fold(true, |clean, &b| {
        clean & (b >= 0x20) & (b != b'"') & (b != b'\\')
    });
    if clean {
        out.extend_from_slice(bytes);
        return;
    }
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => unicode_escape(byte.into(), out),
            _ => out.push(byte),
        }
    }
}

/// The inside of a JSON string in ASCII alone, with every escape that JSON knows.
fn ascii_text(text: &str, out: &mut Vec<u8>) {
    for letter in text.chars() {
        match letter {
            '"' | '\\' | '/' => out.extend_from_slice(&[b'\\', letter as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\t' => out.extend_from_slice(b"\\t"),
            ' '..='~' => out.push(letter as u8),
            _ => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    unicode_escape(*unit, out);
                }
            }
        }
    }
}

fn unicode_escape(unit: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        let digit = (unit >> shift & 15) as u8;
        out.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
    }
}
