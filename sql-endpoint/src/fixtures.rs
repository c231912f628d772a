//! What unit tests of several rooms are made of.

use lake_writer::table::{Column, Kind, Schema};

/// Money as sales have it.
pub(crate) const DECIMAL: Kind = Kind::Decimal {
    precision: 18,
    scale: 2,
    fixed: None,
};

/// A schema of columns: name, kind, whether null is let in.
pub(crate) fn schema<const N: usize>(columns: [(&str, Kind, bool); N]) -> Schema {
    let column = |(name, kind, nullable): (&str, Kind, bool)| Column {
        name: name.into(),
        kind,
        nullable,
        null_branch: 0,
        default: None,
    };
    Schema::new("Sale", columns.map(column).into())
}
