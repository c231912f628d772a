//! Real files replayed: the same sales from CSV, NDJSON and Parquet.

// The functions beside the tests are tests too; the lint does not see that.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Decimal128Array, DictionaryArray, FixedSizeBinaryArray, Float64Array, Int64Array,
    RecordBatch, StringArray, TimestampMillisecondArray,
};
use chrono_tz::Tz;
use parquet::arrow::ArrowWriter;
use sales_producer::replay::{BadLines, Replay, ReplayError, ReplaySettings};
use sales_producer::sale::Sale;
use tempfile::TempDir;

const HEADER: &str = "sale_id,sold_at,region,store_id,product_id,product_name,category,quantity,\
                      unit_price,amount,currency,customer_id,channel";
const ROW: &str = "4b4b4b4b-4b4b-4b4b-4b4b-4b4b4b4b4b4b,2026-01-31T14:03:22.123456Z,\
                   Île-de-France,S0042,P00017,\"Crème, \"\"fraîche\"\"\",Crémerie,2,12.30,24.6,\
                   EUR,,store";

fn the_sale() -> Sale<'static> {
    Sale {
        sale_id: [0x4b; 16],
        sold_at_us: 1_769_868_202_123_456,
        region: "Île-de-France",
        store_id: "S0042",
        product_id: "P00017",
        product_name: "Crème, \"fraîche\"",
        category: "Crémerie",
        quantity: 2,
        unit_price_cents: 1230,
        amount_cents: 2460,
        currency: "EUR",
        customer_id: None,
        channel: "store",
    }
}

fn file(dir: &TempDir, name: &str, content: &str) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn settings(path: &Path) -> ReplaySettings {
    ReplaySettings::new(path.to_owned(), Tz::UTC)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

fn open_error(settings: ReplaySettings) -> String {
    Replay::open(settings)
        .expect_err("the file is refused")
        .to_string()
}

fn first_error(settings: ReplaySettings) -> String {
    let mut replay = Replay::open(settings).unwrap();
    loop {
        match replay.next_sale() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("every line was taken"),
            Err(error) => return sales_producer::summary::chain(&error),
        }
    }
}

#[test]
fn a_csv_file_with_the_names_of_the_fields() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "sales.csv", &format!("\u{feff}{HEADER}\n{ROW}\n"));
    let mut replay = Replay::open(settings(&path)).unwrap();
    assert_eq!(replay.next_sale().unwrap(), Some(the_sale()));
    assert_eq!(replay.next_sale().unwrap(), None);
}

#[test]
fn a_french_csv_file_with_columns_of_its_own() {
    // GIVEN semicolons, decimal commas, local times, other names, no identity and no amount.
    let dir = TempDir::new().unwrap();
    let path = file(
        &dir,
        "ventes.csv",
        "Date;Région;Magasin;Réf;Libellé;Rayon;Qté;Prix\n\
         31/01/2026 15:03:22;Île-de-France;S0042;P00017;Crème;Crémerie;2;12,30\n\
         31/01/2026 15:03:22;Île-de-France;S0042;P00017;Crème;Crémerie;1;12,30\n",
    );
    let mut settings = settings(&path);
    settings.delimiter = b';';
    settings.decimal_comma = true;
    settings.times.format = Some("%d/%m/%Y %H:%M:%S".to_owned());
    settings.times.zone = Tz::Europe__Paris;
    settings.map = pairs(&[
        ("Date", "sold_at"),
        ("Région", "region"),
        ("Magasin", "store_id"),
        ("Réf", "product_id"),
        ("Libellé", "product_name"),
        ("Rayon", "category"),
        ("Qté", "quantity"),
        ("Prix", "unit_price"),
    ]);
    settings.set = pairs(&[("currency", "EUR"), ("channel", "store")]);
    // WHEN it is read twice. THEN amounts and identities are made, each time the same ones.
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut replay = Replay::open(settings.clone()).unwrap();
        assert!(!replay.may_repeat());
        let first = replay.next_sale().unwrap().unwrap();
        assert_eq!(
            (first.amount_cents, first.sold_at_us),
            (2460, 1_769_868_202_000_000)
        );
        assert_eq!((first.region, first.customer_id), ("Île-de-France", None));
        ids.push(first.sale_id);
        ids.push(replay.next_sale().unwrap().unwrap().sale_id);
    }
    assert!(ids[0] == ids[2] && ids[1] == ids[3] && ids[0] != ids[1]);
}

#[test]
fn json_lines_keep_their_digits() {
    // GIVEN numbers that a float would change, escapes, unknown and nested members, an empty line.
    let dir = TempDir::new().unwrap();
    let path = file(
        &dir,
        "sales.ndjson",
        "{\"extra\":{\"quantity\":[9]},\"sale_id\":\"4b4b4b4b-4b4b-4b4b-4b4b-4b4b4b4b4b4b\",\
         \"sold_at\":1769868202123456,\"region\":\"\\u00cele-de-France\",\"store_id\":\"S0042\",\
         \"product_id\":\"P00017\",\"product_name\":\"Crème, \\\"fraîche\\\"\",\
         \"category\":\"Crémerie\",\"quantity\":2,\"unit_price\":\"12.30\",\
         \"amount\":9007199254740993.01,\"currency\":\"EUR\",\"customer_id\":null,\
         \"channel\":\"store\"}\n\n",
    );
    let mut replay = Replay::open(settings(&path)).unwrap();
    let expected = Sale {
        amount_cents: 900_719_925_474_099_301,
        ..the_sale()
    };
    assert_eq!(replay.next_sale().unwrap(), Some(expected));
    assert_eq!(replay.next_sale().unwrap(), None);
}

fn parquet(dir: &TempDir, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let path = dir.path().join("sales.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn parquet_columns() -> Vec<(&'static str, ArrayRef)> {
    let ids = FixedSizeBinaryArray::try_from_iter([[0x4b_u8; 16], [0x4c; 16]].into_iter()).unwrap();
    let times = TimestampMillisecondArray::from(vec![1_769_868_202_123, 1_769_868_202_124]);
    let prices = Decimal128Array::from(vec![12300, 12300])
        .with_precision_and_scale(10, 3)
        .unwrap();
    let regions: DictionaryArray<Int32Type> = ["Île-de-France", "Corse"].into_iter().collect();
    let customers: ArrayRef = Arc::new(StringArray::from(vec![None, Some("C0000001")]));
    vec![
        ("sale_id", Arc::new(ids) as ArrayRef),
        ("sold_at", Arc::new(times.with_timezone("Europe/Paris"))),
        ("region", Arc::new(regions)),
        ("store_id", texts(&["S0042", "S0001"])),
        ("product_id", texts(&["P00017", "P00017"])),
        ("product_name", texts(&["Crème, \"fraîche\"", "Crème"])),
        ("category", texts(&["Crémerie", "Crémerie"])),
        ("quantity", Arc::new(Int64Array::from(vec![2, 3]))),
        ("unit_price", Arc::new(prices)),
        ("amount", Arc::new(Float64Array::from(vec![24.6, 36.9]))),
        ("currency", texts(&["EUR", "EUR"])),
        ("customer_id", customers),
        ("channel", texts(&["store", "app"])),
    ]
}

#[test]
fn a_parquet_file_with_the_types_that_others_write() {
    // GIVEN identities as 16 bytes, times in milliseconds of a zone, dictionaries, a decimal of
    // another scale, a double. THEN the sales are the same.
    let dir = TempDir::new().unwrap();
    let path = parquet(&dir, parquet_columns());
    let mut replay = Replay::open(settings(&path)).unwrap();
    let expected = Sale {
        sold_at_us: 1_769_868_202_123_000,
        ..the_sale()
    };
    assert_eq!(replay.next_sale().unwrap(), Some(expected));
    let second = replay.next_sale().unwrap().unwrap();
    assert_eq!(
        (second.amount_cents, second.customer_id),
        (3690, Some("C0000001"))
    );
    assert_eq!(replay.next_sale().unwrap(), None);
}

#[test]
fn a_column_that_is_missing_is_named_with_the_nearest_one() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "sales.csv", "Region,sold_at\nCorse,2026-01-31\n");
    let error = open_error(settings(&path));
    for word in [
        "region",
        "store_id",
        "--map COLUMN=FIELD",
        "columns: Region, sold_at",
    ] {
        assert!(error.contains(word), "{error}");
    }
    let mapped = |map: &[(&str, &str)]| ReplaySettings {
        map: pairs(map),
        ..settings(&path)
    };
    assert!(open_error(mapped(&[("Regoin", "region")])).contains("did you mean `Region`?"));
    assert!(open_error(mapped(&[("Region", "regio")])).contains("did you mean `region`?"));
    let twice = mapped(&[("Region", "region"), ("sold_at", "region")]);
    assert!(open_error(twice).contains("given twice"));
    let elsewhere = dir.path().join("sales.csv.gz");
    assert!(open_error(settings(&elsewhere)).contains("--file-format"));
    assert!(open_error(settings(&dir.path().join("none.csv"))).contains("none.csv"));
}

#[test]
fn a_bad_line_is_named_by_its_number_its_column_and_its_value() {
    let dir = TempDir::new().unwrap();
    for (wrong, right) in [
        ("2026-01-31T14:03:22.123456Z", "hier"),
        (",2,12.30", ",deux,12.30"),
        (",12.30,", ",12.305,"),
        ("4b4b4b4b-4b4b-4b4b-4b4b-4b4b4b4b4b4b", "17"),
    ] {
        let bad = ROW.replace(wrong, right);
        let path = file(&dir, "sales.csv", &format!("{HEADER}\n{ROW}\n{bad}\n"));
        let error = first_error(settings(&path));
        let value = right.trim_matches(',').split(',').next().unwrap();
        assert!(error.contains("line 3") && error.contains(value), "{error}");
    }
    let short = file(&dir, "short.csv", &format!("{HEADER}\n{ROW}\na,b\n"));
    assert!(first_error(settings(&short)).contains("line 3: the line has 2 values"));
    let broken = file(&dir, "broken.ndjson", "{\"sold_at\":\n");
    assert!(first_error(settings(&broken)).contains("line 1"));
    let array = file(&dir, "array.ndjson", "[1]\n");
    assert!(first_error(settings(&array)).contains("line 1: the line is not a JSON object"));
    let empty = file(&dir, "empty.ndjson", "{}\n");
    assert!(first_error(settings(&empty)).contains("`sold_at` is missing"));
}

#[test]
fn bad_lines_are_skipped_and_counted_if_asked() {
    let dir = TempDir::new().unwrap();
    let bad = ROW.replace(",2,12.30", ",deux,12.30");
    let path = file(
        &dir,
        "sales.csv",
        &format!("{HEADER}\n{bad}\n{ROW}\n{bad}\n"),
    );
    let latin1 = dir.path().join("latin1.csv");
    let mut bytes = format!("{HEADER}\n{ROW}\n{ROW}\n").into_bytes();
    let at = bytes
        .windows(2)
        .rposition(|pair| pair == "Î".as_bytes())
        .unwrap();
    bytes[at + 1] = b'x';
    std::fs::write(&latin1, bytes).unwrap();
    let lines = file(&dir, "sales.ndjson", "no\n[1]\n{}\n");
    for (path, sales, skipped, first_line) in [
        (&path, 1, 2, "line 2"),
        (&latin1, 1, 1, "line 3"),
        (&lines, 0, 3, "line 1"),
    ] {
        let skipping = ReplaySettings {
            bad_lines: BadLines::Skip,
            ..settings(path)
        };
        let mut replay = Replay::open(skipping).unwrap();
        for _ in 0..sales {
            assert_eq!(replay.next_sale().unwrap(), Some(the_sale()));
        }
        assert_eq!(replay.next_sale().unwrap(), None);
        let (count, first) = replay.skipped();
        assert!(
            count == skipped && first.unwrap().contains(first_line),
            "{count} {first:?}"
        );
    }
}

#[test]
fn what_is_no_parquet_is_an_error() {
    let dir = TempDir::new().unwrap();
    let path = file(&dir, "sales.parquet", "PAR1 no, not really PAR1");
    assert!(matches!(
        Replay::open(settings(&path)),
        Err(ReplayError::Malformed { .. })
    ));
    // A number beyond 32 bits is an error of its row.
    let mut columns = parquet_columns();
    columns[7].1 = Arc::new(Int64Array::from(vec![2, 1 << 40]));
    let large = parquet(&dir, columns);
    let error = first_error(settings(&large));
    assert!(
        error.contains("line 2") && error.contains("`quantity`"),
        "{error}"
    );
}
