//! The encoders against reference readers: `serde_json` and `apache-avro`.

// The functions beside the tests are tests too; the lint does not see that.
#![allow(clippy::unwrap_used)]

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum};
use proptest::prelude::*;
use sales_producer::chance::{Chance, Purpose};
use sales_producer::encode::{
    AvroEncoder, Decimals, Encoder, Flaw, JsonEncoder, JsonStyle, Layout, SALE_SCHEMA,
};
use sales_producer::sale::Sale;

const STYLES: [JsonStyle; 4] = [
    JsonStyle::Plain,
    JsonStyle::Shuffled,
    JsonStyle::Escaped,
    JsonStyle::Mixed,
];

fn json_encoder(style: JsonStyle, decimals: Decimals) -> Encoder {
    Encoder::Json(JsonEncoder::new(
        &Layout::shipped().unwrap(),
        style,
        decimals,
        9,
    ))
}

fn avro_encoder() -> Encoder {
    Encoder::Avro(AvroEncoder::new(Layout::shipped().unwrap()))
}

/// Texts of a sale that own their memory, for proptest.
#[derive(Debug, Clone)]
struct Texts {
    region: String,
    product_name: String,
    customer_id: Option<String>,
}

fn texts() -> impl Strategy<Value = Texts> {
    (".{0,40}", ".{0,40}", proptest::option::of(".{0,12}")).prop_map(
        |(region, product_name, customer_id)| Texts {
            region,
            product_name,
            customer_id,
        },
    )
}

fn sale(texts: &Texts, id: [u8; 16], us: i64, cents: i64, quantity: i32) -> Sale<'_> {
    Sale {
        sale_id: id,
        sold_at_us: us,
        region: &texts.region,
        store_id: "S0042",
        product_id: "P00017",
        product_name: &texts.product_name,
        category: "Crémerie",
        quantity,
        unit_price_cents: cents,
        amount_cents: cents / 2,
        currency: "EUR",
        customer_id: texts.customer_id.as_deref(),
        channel: "store",
    }
}

fn an_ordinary_sale(texts: &Texts) -> Sale<'_> {
    sale(texts, [0x4b; 16], 1_769_868_202_123_456, 1230, 2)
}

fn ordinary_texts() -> Texts {
    Texts {
        region: "Provence-Alpes-Côte d'Azur".into(),
        product_name: "Écran 24\" bureautique".into(),
        customer_id: None,
    }
}

fn encode(encoder: &mut Encoder, sale: &Sale<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    encoder.encode(sale, &mut out);
    out
}

fn cents_text(cents: i64) -> String {
    let sign = if cents < 0 { "-" } else { "" };
    format!(
        "{sign}{}.{:02}",
        cents.unsigned_abs() / 100,
        cents.unsigned_abs() % 100
    )
}

/// The raw text of a number or string that follows a key, as it stands in the document.
fn raw<'a>(document: &'a str, key: &str) -> &'a str {
    let (_, after) = document.split_once(&format!("\"{key}\":")).unwrap();
    after.trim_start().split([',', '}']).next().unwrap()
}

proptest! {
    #[test]
    fn json_in_every_style_reads_back_as_the_sale(
        texts in texts(), id: [u8; 16], us in -62_000_000_000_000_000..253_000_000_000_000_000_i64,
        cents in -999_999_999_999_999_999..=999_999_999_999_999_999_i64, quantity: i32,
        as_text: bool,
    ) {
        let sale = sale(&texts, id, us, cents, quantity);
        let decimals = if as_text { Decimals::Text } else { Decimals::Number };
        for style in STYLES {
            let mut encoder = json_encoder(style, decimals);
            // Several times, as the mixed style looks different from document to document.
            for _ in 0..4 {
                let bytes = encode(&mut encoder, &sale);
                let document = std::str::from_utf8(&bytes).unwrap();
                let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
                prop_assert_eq!(read["sale_id"].as_str().unwrap(),
                    uuid::Uuid::from_bytes(id).to_string());
                let moment = chrono::DateTime::parse_from_rfc3339(
                    read["sold_at"].as_str().unwrap()).unwrap();
                prop_assert_eq!(moment.timestamp_micros(), us);
                prop_assert_eq!(read["region"].as_str(), Some(texts.region.as_str()));
                prop_assert_eq!(read["product_name"].as_str(), Some(texts.product_name.as_str()));
                prop_assert_eq!(read["category"].as_str(), Some("Crémerie"));
                prop_assert_eq!(read["quantity"].as_i64(), Some(quantity.into()));
                prop_assert_eq!(read["customer_id"].as_str(), texts.customer_id.as_deref());
                let quote = if as_text { "\"" } else { "" };
                if !texts.product_name.contains("unit_price") && !texts.region.contains("unit_price") {
                    prop_assert_eq!(raw(document, "unit_price"),
                        format!("{quote}{}{quote}", cents_text(cents)));
                }
            }
        }
    }

    #[test]
    fn avro_reads_back_as_the_sale(
        texts in texts(), id: [u8; 16], us: i64, shift in 0..60_u32,
        cents in -999_999_999_999_999_999..=999_999_999_999_999_999_i64, quantity: i32,
    ) {
        let cents = cents >> shift;
        let sale = sale(&texts, id, us, cents, quantity);
        let bytes = encode(&mut avro_encoder(), &sale);
        let schema = Schema::parse_str(SALE_SCHEMA).unwrap();
        let mut rest = bytes.as_slice();
        let Value::Record(fields) = from_avro_datum(&schema, &mut rest, None).unwrap() else {
            panic!("not a record");
        };
        prop_assert!(rest.is_empty(), "{} bytes left", rest.len());
        let value = |name: &str| &fields.iter().find(|(field, _)| field == name).unwrap().1;
        prop_assert_eq!(value("sale_id"), &Value::Uuid(uuid::Uuid::from_bytes(id)));
        prop_assert_eq!(value("sold_at"), &Value::TimestampMicros(us));
        prop_assert_eq!(value("region"), &Value::String(texts.region.clone()));
        prop_assert_eq!(value("quantity"), &Value::Int(quantity));
        prop_assert_eq!(decimal(value("unit_price")), cents);
        prop_assert_eq!(decimal(value("amount")), cents / 2);
        let customer = match &texts.customer_id {
            Some(customer) => Value::Union(1, Box::new(Value::String(customer.clone()))),
            None => Value::Union(0, Box::new(Value::Null)),
        };
        prop_assert_eq!(value("customer_id"), &customer);
        prop_assert_eq!(value("channel"), &Value::String("store".into()));
    }
}

fn decimal(value: &Value) -> i64 {
    let Value::Decimal(decimal) = value else {
        panic!("{value:?} is no decimal")
    };
    let bytes = <Vec<u8>>::try_from(decimal).unwrap();
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { 0xff };
    let mut wide = [sign; 8];
    wide[8 - bytes.len()..].copy_from_slice(&bytes);
    i64::from_be_bytes(wide)
}

#[test]
fn avro_bytes_are_those_of_the_reference_encoder() {
    // GIVEN a sale written by hand as an Avro value. THEN the datum is the same, byte for byte.
    let texts = ordinary_texts();
    let sale = an_ordinary_sale(&texts);
    let schema = Schema::parse_str(SALE_SCHEMA).unwrap();
    let text = |text: &str| Value::String(text.into());
    let cents = |cents: i16| Value::Decimal(cents.to_be_bytes().to_vec().into());
    let value = Value::Record(vec![
        (
            "sale_id".into(),
            Value::Uuid(uuid::Uuid::from_bytes(sale.sale_id)),
        ),
        ("sold_at".into(), Value::TimestampMicros(sale.sold_at_us)),
        ("region".into(), text(sale.region)),
        ("store_id".into(), text(sale.store_id)),
        ("product_id".into(), text(sale.product_id)),
        ("product_name".into(), text(sale.product_name)),
        ("category".into(), text(sale.category)),
        ("quantity".into(), Value::Int(sale.quantity)),
        ("unit_price".into(), cents(1230)),
        ("amount".into(), cents(615)),
        ("currency".into(), text("EUR")),
        ("customer_id".into(), Value::Union(0, Box::new(Value::Null))),
        ("channel".into(), text("store")),
    ]);
    let reference = apache_avro::to_avro_datum(&schema, value).unwrap();
    assert_eq!(encode(&mut avro_encoder(), &sale), reference);
}

#[test]
fn every_malformed_document_is_refused_for_its_flaw() {
    // GIVEN 2,000 malformed messages of each style. THEN none can be taken for a sale, and every
    // flaw occurs.
    let texts = ordinary_texts();
    let mut chance = Chance::new(1, Purpose::Faults);
    for style in STYLES {
        let mut encoder = json_encoder(style, Decimals::Number);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            let mut bytes = Vec::new();
            let sale = an_ordinary_sale(&texts);
            let flaw = encoder.encode_malformed(&sale, &mut chance, &mut bytes);
            seen.insert(flaw);
            assert!(
                json_shows(flaw, &bytes),
                "{flaw:?}: {}",
                String::from_utf8_lossy(&bytes)
            );
        }
        assert_eq!(seen.len(), Flaw::OF_JSON.len());
    }
}

fn json_shows(flaw: Flaw, bytes: &[u8]) -> bool {
    let read = serde_json::from_slice::<serde_json::Value>(bytes);
    match (flaw, read) {
        (Flaw::Empty, Err(_)) => bytes.is_empty(),
        (Flaw::Truncated | Flaw::NotJson, Err(_)) => !bytes.is_empty(),
        (Flaw::InvalidUtf8, Err(_)) => std::str::from_utf8(bytes).is_err(),
        (Flaw::WrongType, Ok(read)) => read["quantity"].as_str() == Some("beaucoup"),
        (Flaw::MissingField, Ok(read)) => read.get("sale_id").is_none(),
        (Flaw::NullField, Ok(read)) => read["store_id"].is_null() && read.get("store_id").is_some(),
        (Flaw::BadDecimal, Ok(read)) => read["amount"].as_str() == Some("12.3O"),
        (Flaw::BadTimestamp, Ok(read)) => {
            chrono::DateTime::parse_from_rfc3339(read["sold_at"].as_str().unwrap()).is_err()
        }
        (Flaw::OutOfRange, Ok(read)) => read["quantity"].as_i64().unwrap() > i64::from(i32::MAX),
        _ => false,
    }
}

#[test]
fn every_malformed_datum_is_refused_by_the_reference_reader() {
    let texts = ordinary_texts();
    let schema = Schema::parse_str(SALE_SCHEMA).unwrap();
    let mut chance = Chance::new(1, Purpose::Faults);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..2_000 {
        let mut bytes = Vec::new();
        let sale = an_ordinary_sale(&texts);
        let flaw = avro_encoder().encode_malformed(&sale, &mut chance, &mut bytes);
        seen.insert(flaw);
        // The crate reads a string that is not there as null, which the schema does not allow.
        let read = from_avro_datum(&schema, &mut bytes.as_slice(), None);
        let is_sale = read.as_ref().is_ok_and(|value| value.validate(&schema));
        assert!(!is_sale, "{flaw:?} was read: {read:?}");
    }
    assert_eq!(seen.len(), Flaw::OF_AVRO.len());
}

#[test]
fn a_style_changes_how_a_sale_looks() {
    let texts = ordinary_texts();
    let sale = an_ordinary_sale(&texts);
    let plain = encode(&mut json_encoder(JsonStyle::Plain, Decimals::Number), &sale);
    assert_eq!(
        std::str::from_utf8(&plain).unwrap(),
        "{\"sale_id\":\"4b4b4b4b-4b4b-4b4b-4b4b-4b4b4b4b4b4b\",\
         \"sold_at\":\"2026-01-31T14:03:22.123456Z\",\"region\":\"Provence-Alpes-Côte d'Azur\",\
         \"store_id\":\"S0042\",\"product_id\":\"P00017\",\
         \"product_name\":\"Écran 24\\\" bureautique\",\"category\":\"Crémerie\",\"quantity\":2,\
         \"unit_price\":12.30,\"amount\":6.15,\"currency\":\"EUR\",\"customer_id\":null,\
         \"channel\":\"store\"}"
    );
    let escaped = encode(
        &mut json_encoder(JsonStyle::Escaped, Decimals::Number),
        &sale,
    );
    assert!(escaped.is_ascii());
    let mut shuffled = json_encoder(JsonStyle::Shuffled, Decimals::Number);
    let (first, second) = (encode(&mut shuffled, &sale), encode(&mut shuffled, &sale));
    assert!(first != second && first.len() == second.len() && first.len() == plain.len());
}
