//! Replacing a file by another with the same rows, as `Log::replace` and its caller do.
//!
//! ```text
//! claim ─► stage the new file ─► fold, publish the old one ─► append ─► old out, new in
//! ```
//!
//! Owns: the order of these steps.
//! Does not own: whether a replacement may be appended (the real `State` decides).

use lake_writer::commit::record::Body;
use lake_writer::commit::state::State;

use super::appending::Purpose;
use super::machine::{self, Fold};
use super::names::{FileId, REPAIR, claim_of, replace_of, source};
use super::scenario::Guard;
use super::world::{Halt, Step};
use super::writer::{After, Carry};

/// A file that is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Repair {
    epoch: u64,
    old: FileId,
    new: FileId,
}

impl Step<'_> {
    /// Claims, to replace a file.
    pub(crate) fn repair(&mut self, old: FileId) {
        let claim = Body::Claim(claim_of(&[REPAIR]));
        self.append(claim, Purpose::Repair(old));
    }

    pub(crate) fn repair_claimed(&mut self, epoch: u64, old: FileId) {
        let left = self.unpublished(|change| change.concerns(&[source(REPAIR)]));
        self.carry_out_all(left, After::Repair { epoch, old });
    }

    pub(crate) fn stage_replacement(&mut self, epoch: u64, old: FileId) {
        let writer = self.writer();
        let new = FileId {
            session: writer.session,
            cut: writer.cuts,
            ..old
        };
        writer.cuts += 1;
        writer.repair = Some(Repair { epoch, old, new });
        self.world.table.stage(new);
    }

    /// Learns which files are live, and publishes the one that is to be replaced.
    pub(crate) fn begin_replacement(&mut self) {
        let (Some(repair), Ok(mut state)) = (
            self.writer().repair,
            machine::fold(self.scenario, &self.world.table),
        ) else {
            self.world.halted = Some(Halt::Broken);
            return;
        };
        for number in &self.writer().published {
            state.unpublished.remove(number);
        }
        self.writer().fold = Fold::new(state);
        let target = repair.old.target();
        let left = if self.scenario.lacks(Guard::ReplacesPublishedOnly) {
            Vec::new()
        } else {
            self.unpublished(|change| {
                let mut added = change.added();
                added.any(|file| file.path == target)
            })
        };
        self.carry_out_all(left, After::OfferReplace);
    }

    pub(crate) fn offer_replacement(&mut self) {
        let staging = self.scenario.staging;
        if let Some(Repair { epoch, old, new }) = self.writer().repair {
            let replace = replace_of(epoch, old, new, staging);
            self.append(Body::Replace(replace), Purpose::Replace);
        }
    }

    pub(crate) fn replacement_stands(&mut self, number: u64) {
        let Some(Repair { old, new, .. }) = self.writer().repair else {
            return;
        };
        let mut work = vec![(number, Carry::TakeOut(old)), (number, Carry::PutIn(new))];
        if self.scenario.lacks(Guard::OldOutBeforeNewIn) {
            work.reverse();
        }
        self.carry_out_all(work, After::Replaced);
    }

    /// Whether a file that is neither staged nor visible should be: a later record may have taken it
    /// out while this writer slept.
    pub(crate) fn is_lost(&mut self, file: FileId) -> bool {
        if self.scenario.lacks(Guard::FoldBeforeLoss) {
            return true;
        }
        let state = machine::fold(self.scenario, &self.world.table);
        let live = |state: State| state.live.is_none_or(|live| live.contains(&file.target()));
        let lost = state.map_or(true, live);
        if !lost {
            self.witness.found_replaced();
        }
        lost
    }
}
