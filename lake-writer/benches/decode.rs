//! What it costs to decode: CPU time for each row, against arrow-json and serde_json.
//!
//! ```text
//! cargo bench -p lake-writer --bench decode [-- word…]
//! ```
//!
//! Each line is one kind of message; the best of the rounds is reported, because neighbours on a
//! machine only ever add. Time is the thread's own CPU time. `arrow-json` makes the same columns;
//! `serde_json` only fills a struct of one sale and makes no columns.
//!
//! With words, only the lines that contain one of them are measured.

mod cpu;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

use arrow_schema::{DataType, Field, TimeUnit};
use lake_writer::decode::{Decoder, decoder};
use lake_writer::settings::Format;
use lake_writer::table::Schema;
use serde::Deserialize;

/// Rows of a batch, as the writer makes them.
const BATCH: usize = 65_536;
const ROUNDS: usize = 9;

const NESTED: &str = r#"{"type": "record", "name": "Order", "fields": [
    {"name": "id", "type": "long"},
    {"name": "to", "type": ["null", {"type": "record", "name": "Place", "fields": [
        {"name": "ville", "type": "string"},
        {"name": "code", "type": ["null", "string"]},
        {"name": "lat", "type": "double"}]}]},
    {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
        {"name": "product", "type": "string"},
        {"name": "quantity", "type": "int"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}}]}}},
    {"name": "tags", "type": {"type": "map", "values": "string"}}]}"#;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|w| name.contains(w.as_str()));
    let sale =
        Schema::from_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/sale.avsc"))
            .expect("the project's own schema is right");
    let nested = Schema::from_avsc(NESTED).expect("the schema above is right");
    println!(
        "{:<34}{:>10}{:>12}{:>14}",
        "", "bytes/row", "CPU ns/row", "CPU-s/M rows"
    );

    let plain = sales(|_| {});
    let shuffled = sales(|shape| shape.shuffled = true);
    let lines = [
        ("json: sales", &sale, Format::Json, &plain),
        (
            "json: keys shuffled in each row",
            &sale,
            Format::Json,
            &shuffled,
        ),
        (
            "json: a space after , and :",
            &sale,
            Format::Json,
            &sales(|shape| shape.spaced = true),
        ),
        (
            "json: escapes in three fields",
            &sale,
            Format::Json,
            &sales(|shape| shape.escaped = true),
        ),
        (
            "json: half the customers null",
            &sale,
            Format::Json,
            &sales(|shape| shape.nulls = true),
        ),
        (
            "json: half the customers missing",
            &sale,
            Format::Json,
            &sales(|shape| shape.lacking = true),
        ),
        (
            "json: four unknown fields",
            &sale,
            Format::Json,
            &sales(|shape| shape.extra = true),
        ),
        (
            "json: nested, 3 lines an order",
            &nested,
            Format::Json,
            &messages_nested(),
        ),
        ("avro: sales", &sale, Format::Avro, &messages(sale_avro)),
    ];
    for (name, schema, format, messages) in lines.into_iter().filter(|line| wanted(line.0)) {
        let mut decoder = decoder(format, schema);
        report(name, messages, || decode(decoder.as_mut(), messages));
    }
    for (name, messages) in [("sales", &plain), ("keys shuffled in each row", &shuffled)] {
        let name = format!("arrow-json: {name}");
        if wanted(&name) {
            report(&name, messages, || arrow_json(&sale, messages));
        }
    }
    if wanted("serde_json: sales, no columns") {
        report("serde_json: sales, no columns", &plain, || {
            serde_json(&plain);
        });
    }
}

/// Sales as JSON, written in a way of their own.
fn sales(set: impl Fn(&mut Shape)) -> Messages {
    let mut shape = Shape::default();
    set(&mut shape);
    messages(|row| sale_json(row, &shape))
}

/// Messages one after the other, as they lie in a fetched batch.
struct Messages {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Messages {
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(&self.ends)
            .map(|(start, end)| &self.bytes[start..*end])
    }
}

fn messages(make: impl Fn(usize) -> Vec<u8>) -> Messages {
    let mut messages = Messages {
        bytes: Vec::new(),
        ends: Vec::new(),
    };
    for row in 0..BATCH {
        messages.bytes.extend(make(row));
        messages.ends.push(messages.bytes.len());
    }
    messages
}

fn report(name: &str, messages: &Messages, run: impl FnMut()) {
    let best = cpu::best_of(ROUNDS, run);
    let rows = messages.ends.len() as f64;
    let bytes = messages.bytes.len() as f64 / rows;
    println!(
        "{name:<34}{bytes:>10.0}{:>12.0}{:>14.3}",
        best / rows * 1e9,
        best / rows * 1e6
    );
}

fn decode(decoder: &mut dyn Decoder, messages: &Messages) {
    for message in messages.iter() {
        decoder.append(message).expect("good messages");
    }
    std::hint::black_box(decoder.finish());
}

fn arrow_json(schema: &Schema, messages: &Messages) {
    let fields: Vec<Field> = schema
        .columns
        .iter()
        .map(|column| match column.field() {
            // The name "UTC" would need a data base of time zones.
            field if matches!(field.data_type(), DataType::Timestamp(_, Some(_))) => field
                .with_data_type(DataType::Timestamp(
                    TimeUnit::Microsecond,
                    Some("+00:00".into()),
                )),
            field => field,
        })
        .collect();
    let mut decoder = arrow_json::ReaderBuilder::new(arrow_schema::Schema::new(fields).into())
        .with_batch_size(BATCH)
        .build_decoder()
        .expect("arrow-json has all types of a sale");
    for message in messages.iter() {
        let read = decoder.decode(message).expect("good messages");
        assert_eq!(read, message.len());
    }
    std::hint::black_box(decoder.flush().expect("good messages"));
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "filled to be measured")]
struct Sale<'a> {
    sale_id: Cow<'a, str>,
    sold_at: Cow<'a, str>,
    #[serde(borrow)]
    region: Cow<'a, str>,
    store_id: Cow<'a, str>,
    product_id: Cow<'a, str>,
    product_name: Cow<'a, str>,
    category: Cow<'a, str>,
    quantity: i32,
    unit_price: f64,
    amount: f64,
    currency: Cow<'a, str>,
    customer_id: Option<Cow<'a, str>>,
    channel: Cow<'a, str>,
}

fn serde_json(messages: &Messages) {
    for message in messages.iter() {
        let sale: Sale<'_> = serde_json::from_slice(message).expect("good messages");
        std::hint::black_box(&sale);
    }
}

/// How a sale's document is written.
#[derive(Default)]
struct Shape {
    shuffled: bool,
    spaced: bool,
    escaped: bool,
    nulls: bool,
    lacking: bool,
    extra: bool,
}

const REGIONS: [&str; 6] = [
    "Île-de-France",
    "Provence-Alpes-Côte d'Azur",
    "Auvergne-Rhône-Alpes",
    "Bretagne",
    "Occitanie",
    "Grand Est",
];
const PRODUCTS: [(&str, &str); 5] = [
    ("Café moulu 250 g", "Épicerie"),
    ("Crème fraîche 20 cl", "Crémerie"),
    ("Pâtes complètes 500 g", "Épicerie"),
    ("Pommes Gala 1 kg", "Fruits et légumes"),
    ("Œufs bio x6", "Crémerie"),
];

/// The same numbers for the same row, spread well (the finalizer of splitmix64).
fn mix(seed: usize) -> usize {
    let mut x = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ x >> 31) as usize
}

/// The fields of a sale: name and JSON text.
fn sale_fields(row: usize) -> Vec<(&'static str, String)> {
    let r = mix(row);
    let (product, category) = PRODUCTS[r % 5];
    let quantity = 1 + r / 5 % 6;
    let price = 95 + r / 64 % 4_000;
    let amount = price * quantity;
    let euros = |cents: usize| format!("{}.{:02}", cents / 100, cents % 100);
    let text = |text: &str| format!("\"{text}\"");
    vec![
        (
            "sale_id",
            format!(
                "\"0191d5b2-{:04x}-7a91-8f4e-{:012x}\"",
                row & 0xffff,
                r & 0xffff_ffff_ffff
            ),
        ),
        (
            "sold_at",
            format!(
                "\"2026-03-{:02}T{:02}:{:02}:{:02}.{:06}Z\"",
                1 + row / 40_000,
                row / 3_600 % 24,
                row / 60 % 60,
                row % 60,
                r % 1_000_000
            ),
        ),
        ("region", text(REGIONS[r / 7 % 6])),
        ("store_id", format!("\"S{:04}\"", r % 400)),
        ("product_id", format!("\"P{:05}\"", r % 5_000)),
        ("product_name", text(product)),
        ("category", text(category)),
        ("quantity", quantity.to_string()),
        ("unit_price", euros(price)),
        ("amount", euros(amount)),
        ("currency", text("EUR")),
        ("customer_id", format!("\"C{:07}\"", r % 400_000)),
        ("channel", text(["store", "web", "app"][r / 11 % 3])),
    ]
}

fn sale_json(row: usize, shape: &Shape) -> Vec<u8> {
    let mut fields = sale_fields(row);
    if shape.escaped {
        for (_, value) in fields
            .iter_mut()
            .filter(|(name, _)| matches!(*name, "region" | "product_name" | "category"))
        {
            *value = value
                .replace('é', "\\u00e9")
                .replace('Î', "\\u00ce")
                .replace(' ', "\\/");
        }
    }
    if shape.nulls && row.is_multiple_of(2) {
        fields[11].1 = "null".into();
    }
    if shape.lacking && row.is_multiple_of(2) {
        fields.remove(11);
    }
    if shape.extra {
        for (place, name) in [(1, "till"), (5, "cashier"), (9, "promotion"), (12, "note")] {
            fields.insert(
                place,
                (name, format!("{{\"id\":{row},\"tag\":[\"é\",null]}}")),
            );
        }
    }
    if shape.shuffled {
        for place in (1..fields.len()).rev() {
            fields.swap(place, mix(row * 16 + place) % (place + 1));
        }
    }
    let (comma, colon) = if shape.spaced {
        (", ", ": ")
    } else {
        (",", ":")
    };
    let mut text = String::from("{");
    for (place, (name, value)) in fields.iter().enumerate() {
        let comma = if place == 0 { "" } else { comma };
        write!(text, "{comma}\"{name}\"{colon}{value}").expect("a String takes all");
    }
    text.push('}');
    text.into_bytes()
}

fn messages_nested() -> Messages {
    messages(|row| {
        let r = mix(row);
        let lines: Vec<String> = (0..3)
            .map(|line| {
                let product = PRODUCTS[(r + line) % 5].0;
                format!(
                    "{{\"product\":\"{product}\",\"quantity\":{},\"price\":{}.{:02}}}",
                    line + 1,
                    r % 90,
                    r % 100
                )
            })
            .collect();
        let to = format!(
            "{{\"ville\":\"Sète\",\"code\":\"{}\",\"lat\":43.4075}}",
            34_200 + r % 5
        );
        format!(
            "{{\"id\":{row},\"to\":{},\"lines\":[{}],\"tags\":{{\"canal\":\"web\",\"é\":\"{}\"}}}}",
            if r.is_multiple_of(8) {
                "null".to_owned()
            } else {
                to
            },
            lines.join(","),
            r % 1_000
        )
        .into_bytes()
    })
}

/// The same sale as an Avro datum.
fn sale_avro(row: usize) -> Vec<u8> {
    let mut datum = Vec::new();
    for (name, json) in sale_fields(row) {
        let text = json.trim_matches('"');
        match name {
            "quantity" => long(&mut datum, text.parse().expect("a number")),
            "sold_at" => long(&mut datum, 1_773_483_330_123_456 + row as i64),
            "unit_price" | "amount" => {
                let cents: i32 = text.replace('.', "").parse().expect("a number");
                bytes(&mut datum, &cents.to_be_bytes());
            }
            _ => {
                if name == "customer_id" {
                    long(&mut datum, 1);
                }
                bytes(&mut datum, text.as_bytes());
            }
        }
    }
    datum
}

fn long(out: &mut Vec<u8>, value: i64) {
    let mut zigzag = (value << 1 ^ value >> 63) as u64;
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    long(out, value.len() as i64);
    out.extend_from_slice(value);
}
