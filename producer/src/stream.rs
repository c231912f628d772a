//! The messages of a run: sales in order, some of them spoilt or sent again on purpose.
//!
//! Origin ──► sale ──► Encoder ──► Message (key, value, Fact)
//!
//! Owns the sequence of messages. It depends on the settings and the seed alone: not on when it is
//! asked for, nor on how many messages are taken at a time.

use std::collections::HashSet;

use crate::chance::{Chance, Purpose, Ratio};
use crate::company::till::Till;
use crate::encode::Encoder;
use crate::encode::digits;
use crate::replay::{Replay, ReplayError};
use crate::sale::{Drawn, Sale};
use crate::totals::{Fact, Row};

/// How many of the latest messages can be sent again.
const REMEMBERED: usize = 64;

/// Where sales come from.
#[derive(Debug)]
pub enum Origin {
    /// Made up.
    Company(Box<Till>),
    /// Read from a file.
    File(Box<Replay>),
}

impl Origin {
    fn draw(&mut self, position: u64) -> Result<Option<Drawn<'_>>, ReplayError> {
        match self {
            Origin::Company(till) => Ok(till.next_sale(position)),
            Origin::File(replay) => Ok(replay.next_sale()?.map(|sale| Drawn { sale, late: false })),
        }
    }
}

/// What the key of a message is. It decides the partition, so equal keys stay in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeyBy {
    /// The store: its sales stay in order, as tills need it.
    #[default]
    Store,
    /// The sale itself: partitions of equal size, and a topic that can be compacted.
    Sale,
    /// No key at all: the client chooses the partitions.
    Nothing,
}

/// What goes wrong on purpose, and when to stop.
#[derive(Debug, Clone, Copy, Default)]
pub struct StreamSettings {
    /// The choice of faults.
    pub seed: u64,
    /// What messages are keyed by.
    pub key: KeyBy,
    /// Messages in all, faults included; without a limit when `None`.
    pub count: Option<u64>,
    /// The share of messages that cannot be decoded.
    pub malformed_ratio: Ratio,
    /// The share of messages that repeat an earlier one, byte for byte.
    pub duplicate_ratio: Ratio,
}

/// One message, borrowed until the next one is made.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Key; empty stands for none.
    pub key: &'a [u8],
    /// Value.
    pub value: &'a [u8],
    /// What it counts for.
    pub fact: Fact<'a>,
}

/// Makes the messages of a run.
#[derive(Debug)]
pub struct Stream {
    origin: Origin,
    encoder: Encoder,
    settings: StreamSettings,
    faults: Chance,
    made: u64,
    key: Vec<u8>,
    value: Vec<u8>,
    remembered: Vec<Remembered>,
    /// Slot of `remembered` that the next row takes.
    next_slot: usize,
    /// The sales of a file may repeat themselves; those of the company never do.
    seen: Option<HashSet<[u8; 16]>>,
}

/// A message that may be sent again.
#[derive(Debug, Default)]
struct Remembered {
    key: Vec<u8>,
    value: Vec<u8>,
    sold_at_us: i64,
    region: String,
    amount_cents: i64,
}

impl Stream {
    /// A stream from its beginning.
    pub fn new(origin: Origin, encoder: Encoder, settings: StreamSettings) -> Self {
        let seen = match &origin {
            Origin::File(replay) if replay.may_repeat() => Some(HashSet::new()),
            _ => None,
        };
        Self {
            origin,
            encoder,
            settings,
            faults: Chance::new(settings.seed, Purpose::Faults),
            made: 0,
            key: Vec::with_capacity(64),
            value: Vec::with_capacity(1024),
            remembered: Vec::new(),
            next_slot: 0,
            seen,
        }
    }

    /// The next message; `None` when the count is reached, the days are over or the file ends.
    ///
    /// # Errors
    /// When the file that is replayed cannot be read or has a line that is not a sale.
    #[inline]
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, ReplayError> {
        if self.settings.count.is_some_and(|count| self.made >= count) {
            return Ok(None);
        }
        if self.settings.duplicate_ratio.is_possible()
            && self.faults.happens(self.settings.duplicate_ratio)
            && !self.remembered.is_empty()
        {
            return Ok(Some(self.repeat()));
        }
        let spoil = self.settings.malformed_ratio.is_possible()
            && self.faults.happens(self.settings.malformed_ratio);
        let Some(Drawn { sale, late }) = self.origin.draw(self.made)? else {
            return Ok(None);
        };
        self.made += 1;
        self.key.clear();
        self.value.clear();
        write_key(self.settings.key, &sale, &mut self.key);
        if spoil {
            let flaw = self
                .encoder
                .encode_malformed(&sale, &mut self.faults, &mut self.value);
            let fact = Fact::Malformed(flaw);
            return Ok(Some(Message {
                key: &self.key,
                value: &self.value,
                fact,
            }));
        }
        self.encoder.encode(&sale, &mut self.value);
        let duplicate = self
            .seen
            .as_mut()
            .is_some_and(|seen| !seen.insert(sale.sale_id));
        if self.settings.duplicate_ratio.is_possible() {
            let slot = remember(&mut self.remembered, &mut self.next_slot);
            slot.key.clone_from(&self.key);
            slot.value.clone_from(&self.value);
            slot.sold_at_us = sale.sold_at_us;
            slot.amount_cents = sale.amount_cents;
            slot.region.clear();
            slot.region.push_str(sale.region);
        }
        let (sold_at_us, amount_cents) = (sale.sold_at_us, sale.amount_cents);
        let row = Row {
            sold_at_us,
            region: sale.region,
            amount_cents,
            late,
            duplicate,
        };
        Ok(Some(Message {
            key: &self.key,
            value: &self.value,
            fact: Fact::Row(row),
        }))
    }

    /// Forgets what could be repeated. After an aborted transaction a repetition would be the only
    /// copy that readers see, not a duplicate.
    pub fn forget(&mut self) {
        self.remembered.clear();
        self.next_slot = 0;
    }

    /// Lines of a file that were left out, and what was wrong with the first of them.
    pub fn skipped(&self) -> (u64, Option<&str>) {
        match &self.origin {
            Origin::Company(_) => (0, None),
            Origin::File(replay) => replay.skipped(),
        }
    }

    /// Messages made so far.
    pub fn made(&self) -> u64 {
        self.made
    }

    fn repeat(&mut self) -> Message<'_> {
        self.made += 1;
        let one = &self.remembered[self.faults.below(self.remembered.len() as u32) as usize];
        let fact = Fact::Row(Row {
            sold_at_us: one.sold_at_us,
            region: &one.region,
            amount_cents: one.amount_cents,
            late: false,
            duplicate: true,
        });
        Message {
            key: &one.key,
            value: &one.value,
            fact,
        }
    }
}

fn remember<'a>(remembered: &'a mut Vec<Remembered>, next_slot: &mut usize) -> &'a mut Remembered {
    let slot = *next_slot;
    *next_slot = (slot + 1) % REMEMBERED;
    if slot == remembered.len() {
        remembered.push(Remembered::default());
    }
    &mut remembered[slot]
}

#[inline]
fn write_key(key: KeyBy, sale: &Sale<'_>, out: &mut Vec<u8>) {
    match key {
        KeyBy::Store => out.extend_from_slice(sale.store_id.as_bytes()),
        KeyBy::Sale => out.extend_from_slice(&digits::uuid(&sale.sale_id)),
        KeyBy::Nothing => {}
    }
}
