//! Sales as bytes: JSON documents or plain Avro datums, right or wrong on purpose.
//!
//! Sale ──► Layout (order and types of `sale.avsc`) ──► JSON | Avro ──► message value
//!
//! Owns the wire formats. Does not own which messages are spoilt or sent twice (`stream`).

pub mod layout;
pub mod spoil;
pub(crate) mod digits;
pub mod json;
pub mod avro;

pub use avro::AvroEncoder;
pub use json::{Decimals, JsonEncoder, JsonStyle};
pub use layout::{Layout, LayoutError, SALE_SCHEMA};
pub use spoil::Flaw;

use crate::chance::Chance;
use crate::sale::Sale;

/// Writes sales in one format.
#[derive(Debug)]
pub enum Encoder {
    /// One JSON object per message.
    Json(JsonEncoder),
    /// One Avro datum per message, without any header.
    Avro(AvroEncoder),
}

impl Encoder {
    /// Appends the sale.
    #[inline]
    pub fn encode(&mut self, sale: &Sale<'_>, out: &mut Vec<u8>) {
        match self {
            Encoder::Json(json) => json.encode(sale, out),
            Encoder::Avro(avro) => avro.encode(sale, out),
        }
    }

    /// Appends something that no strict reader of the format takes for a sale, and says what is
    /// wrong with it.
    pub fn encode_malformed(
        &mut self,
        sale: &Sale<'_>,
        chance: &mut Chance,
        out: &mut Vec<u8>,
    ) -> Flaw {
        let flaws: &[Flaw] = match self {
            Encoder::Json(_) => &Flaw::OF_JSON,
            Encoder::Avro(_) => &Flaw::OF_AVRO,
        };
        let flaw = flaws[chance.below(flaws.len() as u32) as usize];
        match self {
            Encoder::Json(json) => json.encode_with(sale, flaw, chance, out),
            Encoder::Avro(avro) => avro.encode_with(sale, flaw, chance, out),
        }
        flaw
    }
}
