//! Logical types: which go with which type, and which a table cannot hold.

use serde_json::{Map, Value};

use super::{Reader, SchemaError};
use crate::table::Kind;

impl Reader {
    /// The kind of a type that has a logical type.
    pub(super) fn logical(
        &self,
        logical: &str,
        plain: Kind,
        object: &Map<String, Value>,
    ) -> Result<Kind, SchemaError> {
        let on = |wanted: Kind, kind: Kind, name: &str| {
            if plain == wanted {
                Ok(kind)
            } else {
                Err(self.refuse(
                    format!("{logical} does not go with its type"),
                    format!("write {{\"type\": \"{name}\", \"logicalType\": \"{logical}\"}}"),
                ))
            }
        };
        match logical {
            "decimal" => self.decimal(&plain, object),
            "uuid" => match plain {
                Kind::Fixed(16) => Ok(Kind::Uuid { fixed: true }),
                _ => on(Kind::String, Kind::Uuid { fixed: false }, "string"),
            },
            "date" => on(Kind::Int, Kind::Date, "int"),
            "time-millis" => on(Kind::Int, Kind::TimeMillis, "int"),
            "time-micros" => on(Kind::Long, Kind::TimeMicros, "long"),
            "timestamp-millis" => on(Kind::Long, Kind::TimestampMillis, "long"),
            "timestamp-micros" => on(Kind::Long, Kind::TimestampMicros, "long"),
            "local-timestamp-millis" => on(Kind::Long, Kind::LocalTimestampMillis, "long"),
            "local-timestamp-micros" => on(Kind::Long, Kind::LocalTimestampMicros, "long"),
            "timestamp-nanos" | "local-timestamp-nanos" => Err(self.refuse(
                format!("{logical} is not supported: few readers of Parquet keep nanoseconds"),
                format!(
                    "use {}, or a plain long",
                    logical.replace("nanos", "micros")
                ),
            )),
            "duration" | "big-decimal" => Err(self.refuse(
                format!("{logical} is not supported: no Parquet type that readers agree on"),
                "remove `logicalType` to keep the bytes as they are",
            )),
            // The specification asks to ignore logical types that one does not know.
            _ => Ok(plain),
        }
    }

    fn decimal(&self, plain: &Kind, object: &Map<String, Value>) -> Result<Kind, SchemaError> {
        let (fixed, digits) = match plain {
            Kind::Bytes => (None, 38),
            Kind::Fixed(size) => (Some(*size), digits_of_fixed(*size).min(38)),
            _ => {
                return Err(self.refuse(
                    "decimal does not go with its type",
                    "put it on bytes, or on a fixed",
                ));
            }
        };
        let precision = object.get("precision").and_then(Value::as_u64);
        let Some(precision) = precision.filter(|p| (1..=digits).contains(p)) else {
            return Err(self.refuse(
                precision.map_or("a decimal without a precision".to_owned(), |p| {
                    format!("a decimal of {p} digits")
                }),
                format!(
                    "give a precision of 1 to {digits}, the most that its type and Parquet hold"
                ),
            ));
        };
        let scale = object.get("scale").map_or(Some(0), Value::as_u64);
        let Some(scale) = scale.filter(|s| *s <= precision) else {
            return Err(self.refuse(
                "a decimal whose scale is not 0 to its precision",
                "correct the scale: digits after the point, of all the digits in precision",
            ));
        };
        Ok(Kind::Decimal {
            precision: precision as u8,
            scale: scale as i8,
            fixed,
        })
    }
}

/// Decimal digits that always fit in a two's complement number of so many bytes.
fn digits_of_fixed(size: usize) -> u64 {
    // The largest value is 2^(8 size - 1) - 1; log10(2) = 0.30103, and the result is never exact.
    let bits = 8 * size.min(32) as u64 - 1;
    bits * 30_103 / 100_000
}
