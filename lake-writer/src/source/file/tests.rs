//! Files read as rows: what each format's values become, and what is refused before anything is written.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use arrow_array::{
    ArrayRef, BinaryArray, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int32Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::*;
use crate::decode::decoder;
use crate::settings::Format;

const SCHEMA: &str = r#"{"type": "record", "name": "Sale", "fields": [
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "sold_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "region", "type": "string"},
    {"name": "quantity", "type": "int", "default": 1},
    {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}},
    {"name": "weight", "type": ["null", "double"], "default": null},
    {"name": "picture", "type": ["null", "bytes"], "default": null},
    {"name": "tags", "type": ["null", {"type": "array", "items": "string"}], "default": null},
    {"name": "paid", "type": ["null", "boolean"], "default": null}
]}"#;
const ID: &str = "0198c0de-0000-7000-8000-00000000000a";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        let mut file = fs::File::create(&path).expect("is made");
        file.write_all(content).expect("is written");
        path
    }

    fn parquet(&self, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
        let batch = RecordBatch::try_from_iter(columns).expect("a batch");
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).expect("a writer");
        writer.write(&batch).expect("is encoded");
        self.write("rows.parquet", &writer.into_inner().expect("is closed"))
    }
}

fn schema() -> Schema {
    Schema::from_avsc(SCHEMA).expect("a schema")
}

fn options(path: &Path, map: &[(&str, &str)]) -> FileOptions {
    let pair = |(column, field): &(&str, &str)| (column.to_string(), field.to_string());
    FileOptions {
        format: FileFormat::of(path).expect("a known end"),
        map: ColumnMap(map.iter().map(pair).collect()),
        delimiter: b',',
    }
}

fn read(path: &Path, map: &[(&str, &str)]) -> Result<Vec<Vec<u8>>, FileError> {
    let mut rows = open(&Stamp::of(path)?, &options(path, map), &schema())?;
    let (mut documents, mut document) = (Vec::new(), Vec::new());
    while rows.next(&mut document)? {
        documents.push(document.clone());
    }
    Ok(documents)
}

fn values(documents: &[Vec<u8>]) -> Vec<Value> {
    let parsed = |document: &Vec<u8>| serde_json::from_slice(document).expect("JSON");
    documents.iter().map(parsed).collect()
}

/// Whether the table takes a row.
fn is_taken(document: &[u8]) -> Result<(), crate::decode::Reject> {
    decoder(Format::Json, &schema()).append(document)
}

#[test]
fn csv_becomes_json_by_its_header_and_the_schema() {
    let folder = Folder::new();
    let text = format!(
        "\u{feff}Identifiant,sold_at,region,amount,weight,paid,tags,remark\r\n\
         {ID},2026-11-27T09:00:00+01:00,\"Provence-Alpes-\"\"Côte\"\" d'Azur\",12.30,1e3,true,\"[\"\"a\"\"]\",x\r\n\
         {ID},1764230400000000,Île-de-France,5,,,,\n\
         {ID},2026-01-31 12:00:00.5+01,Corse,5,,,,\n\
         {ID},2026-01-31 12:00:00-03:30,Corse,5,,,,\n"
    );
    let path = folder.write("sales.csv", text.as_bytes());
    let documents = read(&path, &[("Identifiant", "id")]).expect("is read");
    assert_eq!(
        values(&documents),
        [
            json!({
                "id": ID, "sold_at": "2026-11-27T09:00:00+01:00",
                "region": "Provence-Alpes-\"Côte\" d'Azur", "amount": "12.30", "weight": 1e3,
                "paid": true, "tags": ["a"],
            }),
            json!({
                "id": ID, "sold_at": 1_764_230_400_000_000_i64, "region": "Île-de-France",
                "amount": "5", "weight": null, "paid": null, "tags": null,
            }),
            json!({
                "id": ID, "sold_at": "2026-01-31T12:00:00.5+01:00", "region": "Corse",
                "amount": "5", "weight": null, "paid": null, "tags": null,
            }),
            json!({
                "id": ID, "sold_at": "2026-01-31T12:00:00-03:30", "region": "Corse",
                "amount": "5", "weight": null, "paid": null, "tags": null,
            }),
        ]
    );
    for document in &documents {
        is_taken(document).expect("fits");
    }
    let stamp = Stamp::of(&path).expect("is hashed");
    let rows = open(&stamp, &options(&path, &[("Identifiant", "id")]), &schema()).expect("opens");
    assert_eq!(rows.unknown_columns(), ["remark"]);
}

#[test]
fn what_does_not_fit_is_left_to_the_decoder() {
    let folder = Folder::new();
    let head = "id,sold_at,region,quantity,amount\n";
    for (row, reason) in [
        (format!("{ID},27/11/2026,Corse,1,1.00"), "invalid_text"),
        (format!("{ID},0,Corse,eleven,1.00"), "wrong_type"),
        (format!("{ID},0,Corse,1.5,1.00"), "out_of_range"),
        (format!("{ID},0,Corse,1,\"1,00\""), "invalid_text"),
        (format!("{ID},0,Corse,1,1.005"), "out_of_range"),
        ("nobody,0,Corse,1,1.00".into(), "invalid_text"),
    ] {
        let path = folder.write("sales.csv", format!("{head}{row}\n").as_bytes());
        let documents = read(&path, &[]).expect("is read");
        let reject = is_taken(&documents[0]).expect_err(&row);
        assert_eq!(reject.reason.as_str(), reason, "{row}: {reject}");
    }
    let path = folder.write(
        "latin.csv",
        b"id,sold_at,region,amount\nx,0,\xceledefrance,1\n",
    );
    let documents = read(&path, &[]).expect("is read");
    assert_eq!(
        is_taken(&documents[0])
            .expect_err("no UTF-8")
            .reason
            .as_str(),
        "invalid_utf8"
    );
}

#[test]
fn ndjson_is_taken_line_by_line() {
    let folder = Folder::new();
    let path = folder.write(
        "sales.ndjson",
        b"\xEF\xBB\xBF{\"a\":1}\r\n\n  \n{\"b\": \"\xc3\xa9\"}",
    );
    let documents = read(&path, &[]).expect("is read");
    assert_eq!(values(&documents), [json!({"a": 1}), json!({"b": "é"})]);
    let refused = read(&path, &[("a", "id")]).expect_err("cannot be renamed");
    assert!(
        refused.to_string().contains("cannot be renamed"),
        "{refused}"
    );
}

#[test]
fn parquet_keeps_every_digit_and_byte() {
    let folder = Folder::new();
    let id = uuid::Uuid::parse_str(ID).expect("a UUID");
    let ids = FixedSizeBinaryArray::try_from_iter([id.into_bytes(), id.into_bytes()].into_iter());
    let moments = TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("Europe/Paris");
    let amounts = Decimal128Array::from(vec![1_230, 999_999_999_999_999_999]);
    let amounts = amounts.with_precision_and_scale(18, 2).expect("fits");
    let path = folder.parquet(vec![
        ("id", std::sync::Arc::new(ids.expect("16 bytes"))),
        ("sold_at", std::sync::Arc::new(moments)),
        (
            "Région",
            std::sync::Arc::new(StringArray::from(vec!["Corse", "Île-de-France"])),
        ),
        (
            "quantity",
            std::sync::Arc::new(Int32Array::from(vec![Some(2), None])),
        ),
        ("amount", std::sync::Arc::new(amounts)),
        (
            "weight",
            std::sync::Arc::new(Float64Array::from(vec![f64::NAN, 0.1])),
        ),
        (
            "picture",
            std::sync::Arc::new(BinaryArray::from(vec![&b"\x00\xff\"\\"[..], b""])),
        ),
        (
            "kafka_offset",
            std::sync::Arc::new(Int32Array::from(vec![1, 2])),
        ),
    ]);
    let documents = read(&path, &[("Région", "region")]).expect("is read");
    let rows = values(&documents);
    assert_eq!(rows[0]["id"], json!(ID));
    assert_eq!(rows[0]["weight"], json!("NaN"));
    assert_eq!(rows[1]["weight"], json!(0.1));
    assert_eq!(rows[0]["picture"], json!("\u{0}\u{ff}\"\\"));
    assert_eq!(rows[0]["sold_at"], json!("1970-01-01T00:00:00.000001Z"));
    is_taken(&documents[0]).expect("fits");
    let text = String::from_utf8_lossy(&documents[1]).into_owned();
    assert!(text.contains("9999999999999999.99"), "{text}");
    // Null where the schema has none is refused, and not taken for the default.
    assert_eq!(
        is_taken(&documents[1]).expect_err("null").reason.as_str(),
        "unexpected_null"
    );
}

#[test]
fn a_wall_clock_is_not_taken_for_an_instant() {
    let folder = Folder::new();
    let text = || -> ArrayRef { std::sync::Arc::new(StringArray::from(vec!["x"])) };
    let moments = TimestampMicrosecondArray::from(vec![1]);
    let path = folder.parquet(vec![
        ("id", text()),
        ("sold_at", std::sync::Arc::new(moments)),
        ("region", text()),
        ("amount", text()),
    ]);
    let refused = read(&path, &[]).expect_err("ambiguous").to_string();
    assert!(
        refused.contains("sold_at") && refused.contains("AT TIME ZONE"),
        "{refused}"
    );
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    let folder = Folder::new();
    let csv = folder.write("sales.csv", b"id,quand,region\n1,2,3\n");
    for (map, parts) in [
        (
            &[][..],
            &["sold_at, amount", "id, quand, region", "--map"][..],
        ),
        (
            &[("Quand", "sold_at")],
            &["--map Quand=sold_at", "no such column"],
        ),
        (&[("quand", "sold")], &["no such field", "sold_at"]),
        (&[("quand", "id")], &["no column for"]),
    ] {
        let refused = read(&csv, map).expect_err("is refused").to_string();
        for part in parts {
            assert!(refused.contains(part), "{refused} lacks {part}");
        }
    }
    let torn = folder.write("torn.csv", b"id,sold_at,region,amount\na,0,Corse,1\nb,0\n");
    assert!(
        read(&torn, &[])
            .expect_err("torn")
            .to_string()
            .contains("line: 3")
    );
    let parquet = folder.write("rows.parquet", b"PAR1 not quite");
    assert!(matches!(
        read(&parquet, &[]),
        Err(FileError::Malformed {
            format: "Parquet",
            ..
        })
    ));
    let missing = folder.0.path().join("nowhere.csv");
    assert!(matches!(read(&missing, &[]), Err(FileError::Io { .. })));
    let stamp = |path: &Path| Stamp::of(path).expect("is hashed");
    assert_ne!(stamp(&csv).fingerprint(), stamp(&torn).fingerprint());
}

#[test]
fn a_file_that_is_changed_while_it_is_read_is_told_from_the_one_that_was_opened() {
    let folder = Folder::new();
    let path = folder.write("sales.ndjson", b"{}\n{}\n");
    let changes: [fn(&Path); 4] = [
        |path| fs::write(path, b"{}\n[]\n").expect("is written"),
        |path| fs::write(path, b"{}\n{}\n{}\n").expect("is written"),
        |path| {
            // Others' bytes, with the length and the time of the file that was there.
            let time = fs::metadata(path)
                .expect("is there")
                .modified()
                .expect("is told");
            let other = path.with_extension("other");
            fs::write(&other, b"{}\n[]\n").expect("is written");
            let file = fs::File::options().write(true).open(&other).expect("opens");
            file.set_modified(time).expect("is set");
            fs::rename(&other, path).expect("takes the name");
        },
        |path| fs::remove_file(path).expect("is removed"),
    ];
    for change in changes {
        fs::write(&path, b"{}\n{}\n").expect("is written");
        let stamp = Stamp::of(&path).expect("is hashed");
        let mut rows = open(&stamp, &options(&path, &[]), &schema()).expect("opens");
        assert!(rows.next(&mut Vec::new()).expect("is read"));
        rows.check().expect("is as it was");
        // Times of files move in ticks of the kernel.
        std::thread::sleep(std::time::Duration::from_millis(20));
        change(&path);
        assert!(matches!(rows.check(), Err(FileError::Changed(_))));
    }
}
