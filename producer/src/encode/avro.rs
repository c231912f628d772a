//! Sales as plain Avro datums: no header, no schema identifier.
//!
//! Sale ──► fields in order of the layout ──► Avro binary encoding
//!
//! Owns the binary encoding of the few types a sale has. That it is Avro is shown by reading every
//! datum back with the `apache-avro` crate in the tests.

use super::digits;
use super::layout::Layout;
use super::spoil::Flaw;
use crate::chance::Chance;
use crate::sale::{Field, Sale};

/// Writes sales as Avro.
#[derive(Debug)]
pub struct AvroEncoder {
    layout: Layout,
}

impl AvroEncoder {
    /// An encoder of this layout.
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// Appends the sale as one datum.
    #[inline]
    pub fn encode(&mut self, sale: &Sale<'_>, out: &mut Vec<u8>) {
        for &field in self.layout.fields() {
            self.value(field, sale, out);
        }
    }

    /// Appends the sale with a flaw.
    pub(super) fn encode_with(
        &mut self,
        sale: &Sale<'_>,
        flaw: Flaw,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) {
        if flaw == Flaw::Empty {
            return;
        }
        let start = out.len();
        for &field in self.layout.fields() {
            match (flaw, field) {
                (Flaw::InvalidUtf8, Field::Region) => bytes(b"\xCEle-de-France", out), // Latin-1
                (Flaw::OutOfRange, Field::Quantity) => long(1 << 32, out),
                (Flaw::UnknownBranch, Field::CustomerId) => long(7, out),
                (Flaw::NegativeLength, Field::StoreId) => long(-1, out),
                _ => self.value(field, sale, out),
            }
        }
        if flaw == Flaw::Truncated {
            let length = (out.len() - start) as u32;
            out.truncate(start + 1 + chance.below(length - 1) as usize);
        }
    }

    #[inline]
    fn value(&self, field: Field, sale: &Sale<'_>, out: &mut Vec<u8>) {
        match field {
            Field::SaleId => bytes(&digits::uuid(&sale.sale_id), out),
            Field::SoldAt => long(sale.sold_at_us, out),
            Field::Region => bytes(sale.region.as_bytes(), out),
            Field::StoreId => bytes(sale.store_id.as_bytes(), out),
            Field::ProductId => bytes(sale.product_id.as_bytes(), out),
            Field::ProductName => bytes(sale.product_name.as_bytes(), out),
            Field::Category => bytes(sale.category.as_bytes(), out),
            Field::Quantity => long(sale.quantity.into(), out),
            Field::UnitPrice => decimal(sale.unit_price_cents, out),
            Field::Amount => decimal(sale.amount_cents, out),
            Field::Currency => bytes(sale.currency.as_bytes(), out),
            Field::CustomerId => {
                let branch = self.layout.customer_branch() as i64;
                match sale.customer_id {
                    Some(customer) => {
                        long(branch, out);
                        bytes(customer.as_bytes(), out);
                    }
                    None => long(1 - branch, out),
                }
            }
            Field::Channel => bytes(sale.channel.as_bytes(), out),
        }
    }
}

/// int and long: zigzag, then seven bits a byte from the low end.
#[inline]
fn long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// string and bytes: length, then content.
#[inline]
fn bytes(content: &[u8], out: &mut Vec<u8>) {
    long(content.len() as i64, out);
    out.extend_from_slice(content);
}

/// decimal in bytes: the unscaled number in two's complement, big-endian, as short as it goes.
#[inline]
fn decimal(cents: i64, out: &mut Vec<u8>) {
    let wide = cents.to_be_bytes();
    let sign_bits = if cents < 0 {
        cents.leading_ones()
    } else {
        cents.leading_zeros()
    };
    // One bit of sign must stay.
    let skip = ((sign_bits - 1) / 8) as usize;
    bytes(&wide[skip..], out);
}
