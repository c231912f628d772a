//! One sale, as every part of the producer sees it.
//!
//! company or file ──► Sale ──► JSON or Avro bytes
//!
//! Owns the fields of a sale and their names. Does not own how they are written (`encode`) nor
//! where they come from (`company`, `replay`).

/// One line of a till receipt. Texts are borrowed from whoever made the sale, so that making and
/// writing one needs no memory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sale<'a> {
    /// The 16 bytes of the UUID.
    pub sale_id: [u8; 16],
    /// Microseconds since the epoch, UTC.
    pub sold_at_us: i64,
    /// French region by its name.
    pub region: &'a str,
    /// Such as S0042.
    pub store_id: &'a str,
    /// Such as P00017.
    pub product_id: &'a str,
    /// Name as on the receipt.
    pub product_name: &'a str,
    /// Category of the product.
    pub category: &'a str,
    /// Pieces.
    pub quantity: i32,
    /// Price of one piece, in hundredths of the currency: 1230 is 12.30.
    pub unit_price_cents: i64,
    /// What was paid, in hundredths of the currency.
    pub amount_cents: i64,
    /// ISO 4217 code.
    pub currency: &'a str,
    /// Known for customers with a card only.
    pub customer_id: Option<&'a str>,
    /// store, web or app.
    pub channel: &'a str,
}

/// A sale drawn from a source, with what only the source knows about it.
#[derive(Debug, Clone, Copy)]
pub struct Drawn<'a> {
    /// The sale.
    pub sale: Sale<'a>,
    /// Whether it is sent later than its event time suggests.
    pub late: bool,
}

/// The fields of a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // Each is the field of `Sale` with the same name.
pub enum Field {
    SaleId,
    SoldAt,
    Region,
    StoreId,
    ProductId,
    ProductName,
    Category,
    Quantity,
    UnitPrice,
    Amount,
    Currency,
    CustomerId,
    Channel,
}

impl Field {
    /// How many there are.
    pub const COUNT: usize = 13;

    /// All of them, in the order of the schema that is shipped.
    pub const ALL: [Field; Field::COUNT] = [
        Field::SaleId,
        Field::SoldAt,
        Field::Region,
        Field::StoreId,
        Field::ProductId,
        Field::ProductName,
        Field::Category,
        Field::Quantity,
        Field::UnitPrice,
        Field::Amount,
        Field::Currency,
        Field::CustomerId,
        Field::Channel,
    ];

    /// Its name in the schema.
    pub fn name(self) -> &'static str {
        match self {
            Field::SaleId => "sale_id",
            Field::SoldAt => "sold_at",
            Field::Region => "region",
            Field::StoreId => "store_id",
            Field::ProductId => "product_id",
            Field::ProductName => "product_name",
            Field::Category => "category",
            Field::Quantity => "quantity",
            Field::UnitPrice => "unit_price",
            Field::Amount => "amount",
            Field::Currency => "currency",
            Field::CustomerId => "customer_id",
            Field::Channel => "channel",
        }
    }

    /// The field of that name.
    pub fn named(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }
}
