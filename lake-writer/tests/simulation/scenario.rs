//! What a seed stands for: the size of the world, and which misfortunes happen how often.
//!
//! Not every run has every misfortune: where all of them happen all the time, little else does.

use std::time::Duration;

use lake_writer::batch::Rotation;
use lake_writer::store::memory::Staging;
use lake_writer::writer::UpkeepPlan;

use super::dice::Dice;

/// How often things happen, per mille.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    // Of calls to the store.
    pub(crate) fail_before: u32,
    pub(crate) lose_reply: u32,
    pub(crate) send_again: u32,
    pub(crate) give_up: u32,
    pub(crate) delay: u32,
    pub(crate) full: u32,
    // Of steps.
    pub(crate) crash: u32,
    pub(crate) freeze: u32,
    pub(crate) stop: u32,
    pub(crate) rebalance: u32,
    pub(crate) seize: u32,
    pub(crate) brokers_away: u32,
    pub(crate) store_outage: u32,
    pub(crate) retention: u32,
    pub(crate) grow: u32,
    pub(crate) jump: u32,
    pub(crate) command: u32,
    pub(crate) send: u32,
    // Of questions to the brokers.
    pub(crate) broker_error: u32,
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) writers: usize,
    pub(crate) partitions: usize,
    pub(crate) regions: usize,
    /// Messages sent at first, and at most by each later sending.
    pub(crate) messages: usize,
    pub(crate) steps: usize,
    pub(crate) staging: Staging,
    pub(crate) rotation: Rotation,
    pub(crate) budget_bytes: usize,
    pub(crate) upkeep: UpkeepPlan,
    pub(crate) drain_timeout: Duration,
    pub(crate) accept_lost: bool,
    /// Most messages of one poll.
    pub(crate) batch: usize,
    /// Kinds of messages, per mille: malformed, tombstones, gaps.
    pub(crate) malformed: u32,
    pub(crate) tombstones: u32,
    pub(crate) gaps: u32,
    pub(crate) rates: Rates,
}

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let dice = &mut dice;
        let rates = rates(dice);
        Self {
            seed,
            writers: dice.pick(&[1, 2, 2, 2, 3, 4]),
            partitions: dice.pick(&[1, 2, 2, 3, 4]),
            regions: dice.pick(&[1, 2, 3]),
            messages: dice.pick(&[8, 20, 40, 80]),
            steps: dice.pick(&[200, 600, 1_200, 2_000]),
            staging: dice.pick(&[Staging::File, Staging::Upload]),
            rotation: rotation(dice),
            budget_bytes: dice.pick(&[100 << 10, 1 << 20, 64 << 20]),
            upkeep: upkeep(dice),
            drain_timeout: Duration::from_millis(dice.pick(&[50, 1_000, 20_000])),
            accept_lost: rates.retention > 0,
            batch: dice.pick(&[1, 3, 10, 100]),
            malformed: dice.pick(&[0, 50, 300]),
            tombstones: dice.pick(&[0, 50, 300]),
            gaps: dice.pick(&[0, 50, 200]),
            rates,
        }
    }
}

/// Checkpoints from after every record to never, and sweeps as often.
fn upkeep(dice: &mut Dice) -> UpkeepPlan {
    UpkeepPlan {
        checkpoint_after_records: dice.pick(&[1, 2, 4, 10, 1 << 40]),
        keep_records: dice.pick(&[0, 0, 2, 10]),
        sweep_interval: Duration::from_millis(dice.pick(&[20, 500, 10_000])),
    }
}

/// One of the limits is small.
fn rotation(dice: &mut Dice) -> Rotation {
    let mut rotation = Rotation {
        max_rows: 1 << 40,
        max_bytes: 1 << 40,
        max_age: Duration::from_secs(dice.pick(&[1, 60])),
        max_event_span_ms: None,
    };
    match dice.below(4) {
        0 => rotation.max_rows = dice.pick(&[1, 3, 10, 30]),
        1 => rotation.max_bytes = dice.pick(&[1, 500, 2_000]),
        2 => rotation.max_event_span_ms = Some(dice.pick(&[1, 5, 20])),
        _ => rotation.max_age = Duration::from_millis(dice.pick(&[1, 20, 300])),
    }
    rotation
}

fn rates(dice: &mut Dice) -> Rates {
    let mut some = |rates: &[u32]| dice.pick(rates);
    Rates {
        fail_before: some(&[0, 0, 5, 20, 60]),
        lose_reply: some(&[0, 0, 5, 20, 60]),
        send_again: some(&[0, 0, 20, 100]),
        give_up: some(&[0, 0, 5, 20]),
        delay: some(&[0, 30, 150]),
        full: some(&[0, 0, 0, 10]),
        crash: some(&[0, 1, 3, 6]),
        freeze: some(&[0, 1, 3, 6]),
        stop: some(&[0, 0, 1]),
        rebalance: some(&[0, 2, 8]),
        seize: some(&[0, 0, 2, 6]),
        brokers_away: some(&[0, 0, 1]),
        store_outage: some(&[0, 0, 0, 1]),
        retention: some(&[0, 0, 0, 3]),
        grow: some(&[0, 0, 0, 1]),
        jump: some(&[0, 0, 2]),
        command: some(&[0, 1, 4]),
        send: some(&[0, 5, 15]),
        broker_error: some(&[0, 0, 10, 50]),
    }
}
