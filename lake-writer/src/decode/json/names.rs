//! Which field a key names: first by what came last time, then by a table.
//!
//! ```text
//! bytes at a key ─► the expected `"key":`? ─yes─► field
//!                              └─no─► read the key ─► table ─► field, and what to expect next time
//! ```
//!
//! Owns: the guess and how it learns; the table of names.
//! Does not own: what follows a key.
//!
//! Producers write the fields of a record in one order, so the key after `sold_at` is nearly always
//! the one that followed it in the last message. The guess costs one comparison of 16 bytes; a
//! wrong one costs a look-up and corrects the guess.

use super::super::Reject;
use super::scan::Cursor;

const EMPTY: u16 = u16::MAX;
const HEAD: usize = 16;

/// A set of names, each with its place.
#[derive(Debug)]
pub(super) struct Names {
    names: Vec<Box<[u8]>>,
    /// Open addressing, less than half full.
    buckets: Vec<u16>,
}

/// The field names of one record, with what was learned of their order.
#[derive(Debug)]
pub(super) struct Keys {
    names: Names,
    patterns: Vec<Pattern>,
    /// The field that followed each field last; the last place is what came first.
    next: Vec<u16>,
}

/// `"key":` as it stands in a document without white space.
#[derive(Debug)]
struct Pattern {
    /// The first 16 bytes, zero where there are less.
    head: u128,
    mask: u128,
    rest: Box<[u8]>,
    len: usize,
}

impl Names {
    /// At most 32,768 names, as a schema's limits on fields and symbols ensure; names far beyond
    /// would not be found.
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        let names: Vec<Box<[u8]>> = names.map(|name| name.as_bytes().into()).collect();
        let mut buckets = vec![EMPTY; (names.len() * 2 + 1).next_power_of_two()];
        for (place, name) in names.iter().enumerate().take(usize::from(EMPTY)) {
            let mut bucket = hash(name) & (buckets.len() - 1);
            while buckets[bucket] != EMPTY {
                bucket = (bucket + 1) & (buckets.len() - 1);
            }
            buckets[bucket] = place as u16;
        }
        Self { names, buckets }
    }

    /// The place of a name.
    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let mut bucket = hash(name) & (self.buckets.len() - 1);
        loop {
            match self.buckets[bucket] {
                EMPTY => return None,
                place if *self.names[usize::from(place)] == *name => {
                    return Some(usize::from(place));
                }
                _ => bucket = (bucket + 1) & (self.buckets.len() - 1),
            }
        }
    }
}

/// Length, first and last eight bytes: enough to tell names apart, and a few instructions.
#[inline]
fn hash(name: &[u8]) -> usize {
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let (first, last) = match (name.first_chunk(), name.last_chunk()) {
        (Some(first), Some(last)) => (word(first), word(last)),
        _ => (name.iter().fold(0, |n, b| n << 8 | u64::from(*b)), 0),
    };
    let mixed =
        (first ^ last.rotate_left(23) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize
}

impl Keys {
    pub(super) fn new<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Self {
        let patterns: Vec<Pattern> = names.clone().map(Pattern::new).collect();
        // Before the first message: the order of the schema.
        let mut next: Vec<u16> = (1..=patterns.len()).map(|i| i as u16).collect();
        next.push(0);
        Self {
            names: Names::new(names),
            patterns,
            next,
        }
    }

    /// Fields of the record.
    pub(super) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// The place that stands for the beginning of the record, in the role of the previous field.
    pub(super) fn begin(&self) -> usize {
        self.patterns.len()
    }

    /// Takes a key and its colon; gives the field's place, or none for a field that the schema does
    /// not have.
    #[inline]
    pub(super) fn take(
        &mut self,
        cursor: &mut Cursor<'_>,
        previous: usize,
    ) -> Result<Option<usize>, Box<Reject>> {
        let guess = usize::from(self.next[previous]);
        if let Some(pattern) = self.patterns.get(guess)
            && pattern.matches(cursor.doc, cursor.pos)
        {
            cursor.pos += pattern.len;
            return Ok(Some(guess));
        }
        self.take_unexpected(cursor, previous)
    }

    #[inline(never)]
    fn take_unexpected(
        &mut self,
        cursor: &mut Cursor<'_>,
        previous: usize,
    ) -> Result<Option<usize>, Box<Reject>> {
        if cursor.peek() != Some(b'"') {
            return Err(cursor.malformed("a key in quotes"));
        }
        let found = self.names.find(cursor.text()?);
        cursor.expect(b':')?;
        if let Some(place) = found {
            self.next[previous] = place as u16;
        }
        Ok(found)
    }
}

impl Pattern {
    fn new(name: &str) -> Self {
        let text = format!("\"{name}\":").into_bytes();
        let (head, rest) = text.split_at(text.len().min(HEAD));
        let mut block = [0; HEAD];
        let mut mask = [0; HEAD];
        block[..head.len()].copy_from_slice(head);
        mask[..head.len()].fill(0xff);
        Self {
            head: u128::from_le_bytes(block),
            mask: u128::from_le_bytes(mask),
            rest: rest.into(),
            len: text.len(),
        }
    }

    #[inline]
    fn matches(&self, doc: &[u8], pos: usize) -> bool {
        let Some(bytes) = doc.get(pos..).and_then(|rest| rest.first_chunk::<HEAD>()) else {
            return false;
        };
        u128::from_le_bytes(*bytes) & self.mask == self.head
            && (self.rest.is_empty()
                || doc
                    .get(pos + HEAD..)
                    .is_some_and(|rest| rest.starts_with(&self.rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_nothing_else() {
        // GIVEN names of all lengths, with common beginnings and ends
        let names: Vec<String> = (0..500)
            .map(|i| format!("{}{i}{}", "p".repeat(i % 12), "s".repeat(i % 9)))
            .collect();
        let table = Names::new(names.iter().map(String::as_str));
        // WHEN they are looked up THEN each is found at its place, and a near miss is not
        for (i, name) in names.iter().enumerate() {
            assert_eq!(table.find(name.as_bytes()), Some(i));
            assert_eq!(table.find(format!("{name}x").as_bytes()), None);
        }
        assert_eq!(table.find(b""), None);
        assert_eq!(Names::new(std::iter::empty()).find(b"a"), None);
    }

    #[test]
    fn a_wrong_guess_is_corrected() {
        // GIVEN fields in the schema's order
        let mut keys = Keys::new(["a", "long_name_of_more_than_sixteen", "b"].into_iter());
        let mut scratch = Vec::new();
        let doc = br#""b":"long_name_of_more_than_sixteen":"a":    "#;
        // WHEN a document has another order
        for guessed in [[false, false, false], [true, true, true]] {
            let mut cursor = Cursor::new(doc, &mut scratch);
            let mut previous = keys.begin();
            for (place, guess) in [2, 1, 0].into_iter().zip(guessed) {
                // THEN the first time is looked up, the second guessed right
                assert_eq!(usize::from(keys.next[previous]) == place, guess);
                let taken = keys.take(&mut cursor, previous).unwrap();
                assert_eq!(taken, Some(place));
                previous = place;
            }
        }
    }
}
