//! Columns that hold columns: records, arrays and maps.
//!
//! ```text
//! Builder of a record, array or map ─► builders of what is inside ─► Struct, List, Map
//! ```
//!
//! Owns: offsets of arrays and maps, keys of maps.
//! Does not own: validity, which every builder has for itself (`columns`).

use std::sync::Arc;

use arrow_array::{ListArray, MapArray, StructArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Fields};

use super::Reject;
use super::columns::{Builder, close, finish_offsets, last, repeat_last, truncate_offsets};
use super::text::Text;

/// The columns of a record.
#[derive(Debug)]
pub(super) struct Group {
    /// In the order of the schema.
    pub(super) columns: Vec<Builder>,
}

/// The items of arrays.
#[derive(Debug)]
pub(super) struct List {
    offsets: Vec<i32>,
    /// All items, one array after the other.
    pub(super) item: Builder,
    /// Bytes of an item without its text and its own items.
    pub(super) width: usize,
}

/// The entries of maps.
#[derive(Debug)]
pub(super) struct Entries {
    offsets: Vec<i32>,
    /// All keys.
    pub(super) keys: Text,
    /// The values of the keys.
    pub(super) value: Builder,
    /// Bytes of an entry without its text and items.
    pub(super) width: usize,
}

impl Group {
    pub(super) fn finish(
        &mut self,
        nulls: Option<NullBuffer>,
        data_type: &DataType,
    ) -> StructArray {
        let arrays = self.columns.iter_mut().map(Builder::finish).collect();
        StructArray::new(struct_fields(data_type), arrays, nulls)
    }
}

impl List {
    pub(super) fn new(item: Builder) -> Self {
        let width = item.width();
        let offsets = vec![0];
        Self {
            offsets,
            item,
            width,
        }
    }

    /// Ends the array whose items were appended to `item` last.
    pub(super) fn close(&mut self, items: usize) -> Result<(), Box<Reject>> {
        close(&mut self.offsets, items)
    }

    /// Appends an array without items.
    pub(super) fn close_empty(&mut self) {
        repeat_last(&mut self.offsets);
    }

    /// Drops what was appended after the first `len` arrays.
    pub(super) fn truncate(&mut self, len: usize) {
        let items = truncate_offsets(&mut self.offsets, len);
        self.item.truncate(items);
    }

    /// Items up to the last array that was closed.
    pub(super) fn closed(&self) -> usize {
        last(&self.offsets)
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>, data_type: &DataType) -> ListArray {
        let DataType::List(field) = data_type else {
            unreachable!("an array's Arrow type is List");
        };
        let offsets = finish_offsets(&mut self.offsets);
        ListArray::new(field.clone(), offsets, self.item.finish(), nulls)
    }
}

impl Entries {
    pub(super) fn new(value: Builder) -> Self {
        let keys = Text::default();
        // An offset for the key.
        let width = 4 + value.width();
        let offsets = vec![0];
        Self {
            offsets,
            keys,
            value,
            width,
        }
    }

    /// Whether a key stands twice among the entries after the first `start`.
    ///
    /// Sorted instead of compared each with each: a message decides how many there are.
    pub(super) fn has_duplicates_from(&self, start: usize) -> bool {
        let mut keys: Vec<&[u8]> = self.keys.values_from(start).collect();
        keys.sort_unstable();
        keys.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Ends the map whose entries were appended last.
    pub(super) fn close(&mut self, entries: usize) -> Result<(), Box<Reject>> {
        close(&mut self.offsets, entries)
    }

    /// Appends a map without entries.
    pub(super) fn close_empty(&mut self) {
        repeat_last(&mut self.offsets);
    }

    /// Drops what was appended after the first `len` maps.
    pub(super) fn truncate(&mut self, len: usize) {
        let entries = truncate_offsets(&mut self.offsets, len);
        self.keys.truncate(entries);
        self.value.truncate(entries);
    }

    /// Entries up to the last map that was closed.
    pub(super) fn closed(&self) -> usize {
        last(&self.offsets)
    }

    pub(super) fn finish(&mut self, nulls: Option<NullBuffer>, data_type: &DataType) -> MapArray {
        let DataType::Map(field, ordered) = data_type else {
            unreachable!("a map's Arrow type is Map");
        };
        let columns = vec![self.keys.finish_utf8(None), self.value.finish()];
        let entries = StructArray::new(struct_fields(field.data_type()), columns, None);
        let offsets = finish_offsets(&mut self.offsets);
        MapArray::new(Arc::clone(field), offsets, entries, nulls, *ordered)
    }
}

fn struct_fields(data_type: &DataType) -> Fields {
    let DataType::Struct(fields) = data_type else {
        unreachable!("a record's Arrow type is Struct");
    };
    fields.clone()
}
