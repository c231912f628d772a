//! Real files as sales.
//!
//! FILE.csv | .ndjson | .parquet ──► Records (cells of text) ──► Binding (column → field)
//!     ──► typed by the schema ──► Sale
//!
//! Owns reading files and what their columns mean. Does not own how a sale is written or counted.
//! A file is read as a stream: memory does not grow with its size, except for the set of
//! `sale_id`s that tells repeated ones apart.

mod convert;
mod binding;
mod error;
mod delimited;
mod ndjson;
mod columnar;

use std::path::{Path, PathBuf};

use chrono_tz::Tz;

use crate::chance::mix;
use crate::sale::{Field, Sale};
use binding::{Binding, Columns, Origin};
pub use convert::{EpochUnit, TimeReading};
pub use error::{CellError, ReplayError};

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Delimited text with a header line.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Parquet.
    Parquet,
}

impl FileFormat {
    /// The format that the ending of a name stands for.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// What to do about a line that is not a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadLines {
    /// End the run and say why.
    #[default]
    Stop,
    /// Leave it out and count it.
    Skip,
}

/// How a file is read.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// The file.
    pub path: PathBuf,
    /// Its format; by the ending of its name when `None`.
    pub format: Option<FileFormat>,
    /// Which column holds which field, as (column, field). Columns with the name of a field need
    /// not be listed.
    pub map: Vec<(String, String)>,
    /// Values for fields that the file does not have, as (field, value).
    pub set: Vec<(String, String)>,
    /// What stands between the values of a line.
    pub delimiter: u8,
    /// How moments are written in the file.
    pub times: TimeReading,
    /// Decimals have a comma.
    pub decimal_comma: bool,
    /// Amounts with more than two decimals are rounded instead of refused.
    pub round: bool,
    /// What becomes of lines that are not sales.
    pub bad_lines: BadLines,
    /// Seed of the identities of sales that have none in the file.
    pub seed: u64,
}

impl ReplaySettings {
    /// Reads `path` as it comes, times without a zone taken as those of `zone`.
    pub fn new(path: PathBuf, zone: Tz) -> Self {
        Self {
            path,
            format: None,
            map: Vec::new(),
            set: Vec::new(),
            delimiter: b',',
            times: TimeReading {
                format: None,
                epoch_unit: EpochUnit::Micros,
                zone,
            },
            decimal_comma: false,
            round: false,
            bad_lines: BadLines::Stop,
            seed: 0,
        }
    }
}

/// One value of a record, as text.
#[derive(Debug, Default, Clone)]
struct Cell {
    text: String,
    /// The record has the value and it is not null.
    present: bool,
}

impl Cell {
    fn set(&mut self, text: &str) {
        self.text.clear();
        self.text.push_str(text);
        self.present = true;
    }

    fn clear(&mut self) {
        self.text.clear();
        self.present = false;
    }
}

/// Records of a file, one after the other.
trait Records: std::fmt::Debug {
    /// The columns, as far as they are known before the first record is read.
    fn columns(&self) -> Columns;

    /// Chooses the columns to be read, and which cells they go to.
    fn bind(&mut self, wanted: Vec<(String, usize)>) -> Result<(), ReplayError>;

    /// Fills the wanted cells from the next record and gives the number of its line or row,
    /// counted from 1; `None` at the end.
    fn read(&mut self, cells: &mut [Cell]) -> Result<Option<u64>, ReplayError>;
}

/// Reads sales from a file.
#[derive(Debug)]
pub struct Replay {
    records: Box<dyn Records>,
    binding: Binding,
    settings: ReplaySettings,
    cells: Vec<Cell>,
    skipped: u64,
    first_skipped: Option<String>,
}

/// The fields of a row that are not text.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    sale_id: [u8; 16],
    sold_at_us: i64,
    quantity: i32,
    unit_price_cents: i64,
    amount_cents: i64,
}

impl Replay {
    /// Opens the file and binds its columns to the fields of a sale.
    ///
    /// # Errors
    /// When the file cannot be read, its format is not known, or a field has no column and no
    /// value.
    pub fn open(settings: ReplaySettings) -> Result<Self, ReplayError> {
        let path = settings.path.clone();
        let format = settings
            .format
            .or_else(|| FileFormat::of(&path))
            .ok_or_else(|| ReplayError::UnknownFormat { path: path.clone() })?;
        let mut records: Box<dyn Records> = match format {
            FileFormat::Csv => Box::new(delimited::Delimited::open(&path, settings.delimiter)?),
            FileFormat::Ndjson => Box::new(ndjson::Ndjson::open(&path)?),
            FileFormat::Parquet => Box::new(columnar::Columnar::open(&path)?),
        };
        let binding = Binding::new(&settings, &records.columns())?;
        records.bind(binding.wanted())?;
        let mut cells = vec![Cell::default(); Field::COUNT];
        for (field, value) in binding.constants() {
            cells[field as usize].set(value);
        }
        Ok(Self {
            records,
            binding,
            settings,
            cells,
            skipped: 0,
            first_skipped: None,
        })
    }

    /// The next sale, or `None` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is not a sale and bad lines are to stop the run.
    pub fn next_sale(&mut self) -> Result<Option<Sale<'_>>, ReplayError> {
        let numbers = loop {
            match self.next_numbers() {
                Ok(Some(numbers)) => break numbers,
                Ok(None) => return Ok(None),
                Err(error @ ReplayError::Line { .. })
                    if self.settings.bad_lines == BadLines::Skip =>
                {
                    self.skipped += 1;
                    self.first_skipped
                        .get_or_insert_with(|| crate::summary::chain(&error));
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Some(self.sale(numbers)))
    }

    /// Lines left out as they were not sales, and what was wrong with the first of them.
    pub fn skipped(&self) -> (u64, Option<&str>) {
        (self.skipped, self.first_skipped.as_deref())
    }

    /// Whether the file's own identities are used: they may repeat themselves.
    pub fn may_repeat(&self) -> bool {
        !self.is_derived(Field::SaleId)
    }

    fn next_numbers(&mut self) -> Result<Option<Numbers>, ReplayError> {
        let Some(line) = self.records.read(&mut self.cells)? else {
            return Ok(None);
        };
        self.numbers(line).map(Some).map_err(|error| {
            let path = self.settings.path.clone();
            ReplayError::Line { path, line, error }
        })
    }

    fn numbers(&self, line: u64) -> Result<Numbers, CellError> {
        for field in Field::ALL {
            let optional = field == Field::CustomerId || self.is_derived(field);
            if !optional && !self.cells[field as usize].present {
                return Err(CellError::Missing {
                    field: field.name(),
                    column: self.binding.column(field).to_owned(),
                });
            }
        }
        let sale_id = if self.is_derived(Field::SaleId) {
            derived_id(self.settings.seed, line)
        } else {
            self.convert(Field::SaleId, convert::uuid)?
        };
        let sold_at_us = self.convert(Field::SoldAt, |text| {
            convert::time(text, &self.settings.times)
        })?;
        let quantity = self.convert(Field::Quantity, convert::integer)?;
        let decimal =
            |text: &str| convert::cents(text, self.settings.decimal_comma, self.settings.round);
        let unit_price_cents = self.convert(Field::UnitPrice, decimal)?;
        let amount_cents = if self.is_derived(Field::Amount) {
            product(unit_price_cents, quantity)?
        } else {
            self.convert(Field::Amount, decimal)?
        };
        Ok(Numbers {
            sale_id,
            sold_at_us,
            quantity,
            unit_price_cents,
            amount_cents,
        })
    }

    fn is_derived(&self, field: Field) -> bool {
        self.binding.origin(field) == Origin::Derived
    }

    fn convert<T>(
        &self,
        field: Field,
        convert: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, CellError> {
        convert(self.cells[field as usize].text.trim()).map_err(|reason| CellError::Value {
            field: field.name(),
            column: self.binding.column(field).to_owned(),
            reason,
        })
    }

    fn sale(&self, numbers: Numbers) -> Sale<'_> {
        let text = |field: Field| self.cells[field as usize].text.as_str();
        // In delimited text nothing between two delimiters stands for no customer.
        let customer = &self.cells[Field::CustomerId as usize];
        Sale {
            sale_id: numbers.sale_id,
            sold_at_us: numbers.sold_at_us,
            region: text(Field::Region),
            store_id: text(Field::StoreId),
            product_id: text(Field::ProductId),
            product_name: text(Field::ProductName),
            category: text(Field::Category),
            quantity: numbers.quantity,
            unit_price_cents: numbers.unit_price_cents,
            amount_cents: numbers.amount_cents,
            currency: text(Field::Currency),
            customer_id: (customer.present && !customer.text.is_empty())
                .then_some(customer.text.as_str()),
            channel: text(Field::Channel),
        }
    }
}

fn product(unit_price_cents: i64, quantity: i32) -> Result<i64, CellError> {
    unit_price_cents
        .checked_mul(i64::from(quantity))
        .filter(|cents| cents.unsigned_abs() <= convert::MAX_CENTS)
        .ok_or_else(|| CellError::Value {
            field: Field::Amount.name(),
            column: "quantity times unit_price".to_owned(),
            reason: "has more than 16 digits before the point".to_owned(),
        })
}

/// An identity for a line without one: the same for the same seed and line.
fn derived_id(seed: u64, line: u64) -> [u8; 16] {
    let high = mix(mix(seed ^ 0x5A1E_5A1E_5A1E_5A1E).wrapping_add(line));
    let low = mix(high ^ line.rotate_left(32));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high.to_be_bytes());
    id[8..].copy_from_slice(&low.to_be_bytes());
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}
