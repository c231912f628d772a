//! The order and the types in which a sale is written: read from `sale.avsc`.
//!
//! sale.avsc ──► Layout (fields in order, each checked for its type)
//!
//! Owns the agreement between the schema and the encoders. The encoders are written by hand for
//! speed; this is what keeps them honest: a schema they do not fit is refused at start.

use apache_avro::Schema;

use crate::sale::Field;

/// The definition of a sale that this program was built with.
pub const SALE_SCHEMA: &str = include_str!("../../../schemas/sale.avsc");

/// The fields of a sale in the order of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    fields: [Field; Field::COUNT],
    /// Which branch of the union holds the text of a customer; the other one is null.
    customer_branch: usize,
}

/// The schema is not one that the encoders can write.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Not an Avro schema.
    #[error("the schema of a sale is not valid Avro: correct it")]
    Unreadable(#[source] Box<apache_avro::Error>),
    /// Not a record.
    #[error("the schema of a sale must be a record")]
    NotARecord,
    /// A field that no sale has.
    #[error("the schema has a field `{0}` that sales do not have: take it out")]
    Unknown(String),
    /// A field that every sale has, but not the schema.
    #[error("the schema lacks the field `{0}`: add it")]
    Missing(&'static str),
    /// A field of another type.
    #[error("the schema's field `{field}` must be {expected}")]
    Type {
        /// Name of the field.
        field: &'static str,
        /// The type it must have.
        expected: &'static str,
    },
}

impl Layout {
    /// The layout of [`SALE_SCHEMA`].
    ///
    /// # Errors
    /// None with the schema that is shipped, as the tests show; see [`Layout::parse`].
    pub fn shipped() -> Result<Self, LayoutError> {
        Self::parse(SALE_SCHEMA)
    }

    /// Reads a schema in Avro's JSON form.
    ///
    /// # Errors
    /// When it is no Avro record, or its fields are not exactly those of a sale with their types.
    /// Their order is free.
    pub fn parse(avsc: &str) -> Result<Self, LayoutError> {
        let schema = Schema::parse_str(avsc).map_err(|e| LayoutError::Unreadable(Box::new(e)))?;
        let Schema::Record(record) = schema else {
            return Err(LayoutError::NotARecord);
        };
        let mut fields = Vec::with_capacity(Field::COUNT);
        let mut customer_branch = 1;
        for column in &record.fields {
            let field = Field::named(&column.name)
                .ok_or_else(|| LayoutError::Unknown(column.name.clone()))?;
            check_type(field, &column.schema)?;
            if let Schema::Union(union) = &column.schema {
                customer_branch = usize::from(matches!(union.variants()[0], Schema::Null));
            }
            fields.push(field);
        }
        for field in Field::ALL {
            if !fields.contains(&field) {
                return Err(LayoutError::Missing(field.name()));
            }
        }
        let fields = fields.try_into().map_err(|_| LayoutError::NotARecord)?;
        Ok(Self {
            fields,
            customer_branch,
        })
    }

    /// The fields in order.
    pub fn fields(&self) -> &[Field; Field::COUNT] {
        &self.fields
    }

    /// Index of the union's branch that holds a customer's text.
    pub(super) fn customer_branch(&self) -> usize {
        self.customer_branch
    }
}

fn check_type(field: Field, schema: &Schema) -> Result<(), LayoutError> {
    let (fits, expected) = match field {
        Field::SaleId => (
            matches!(schema, Schema::Uuid),
            "a string with logical type uuid",
        ),
        Field::SoldAt => (
            matches!(schema, Schema::TimestampMicros),
            "a long with logical type timestamp-micros",
        ),
        Field::Quantity => (matches!(schema, Schema::Int), "an int"),
        Field::UnitPrice | Field::Amount => (
            matches!(schema, Schema::Decimal(d)
                if d.scale == 2 && matches!(*d.inner, Schema::Bytes)),
            "bytes with logical type decimal and scale 2",
        ),
        Field::CustomerId => (
            matches!(schema, Schema::Union(u)
                if matches!(u.variants(), [Schema::Null, Schema::String]
                    | [Schema::String, Schema::Null])),
            "a union of null and string",
        ),
        _ => (matches!(schema, Schema::String), "a string"),
    };
    if fits {
        Ok(())
    } else {
        Err(LayoutError::Type {
            field: field.name(),
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_schema_fits() {
        let layout = Layout::shipped().unwrap();
        assert_eq!(layout.fields(), &Field::ALL);
        assert_eq!(layout.customer_branch(), 1);
    }

    #[test]
    fn a_schema_that_does_not_fit_is_refused_by_the_name_of_the_field() {
        let wrong = SALE_SCHEMA.replace("timestamp-micros", "timestamp-millis");
        let error = Layout::parse(&wrong).unwrap_err().to_string();
        assert!(error.contains("`sold_at`"), "{error}");
        let extra = SALE_SCHEMA.replace("\"category\"", "\"aisle\"");
        assert!(
            Layout::parse(&extra)
                .unwrap_err()
                .to_string()
                .contains("`aisle`")
        );
        assert!(matches!(
            Layout::parse("\"string\""),
            Err(LayoutError::NotARecord)
        ));
        assert!(matches!(
            Layout::parse("{"),
            Err(LayoutError::Unreadable(_))
        ));
    }
}
