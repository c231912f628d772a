//! What becomes of the log itself: checkpoints that are put, records that are dropped.

use std::collections::BTreeMap;

use lake_writer::commit::State;
use lake_writer::commit::checkpoint::{Checkpoint, checkpoint_generation};
use lake_writer::commit::record::record_number;
use lake_writer::store::TablePath;

use super::{Held, Inner};

impl Inner {
    /// A checkpoint that was put says what the records up to its head add up to.
    pub(super) fn read_checkpoint(&mut self, path: &TablePath) -> Result<(), String> {
        let is_checkpoint = path.as_str().starts_with("log/checkpoints/");
        let generation = checkpoint_generation(path.file_name()).filter(|_| is_checkpoint);
        let (Some(generation), Some(bytes)) = (generation, self.memory.file(path)) else {
            return Ok(());
        };
        let checkpoint = Checkpoint::decode(generation, &bytes)
            .map_err(|error| format!("checkpoint {generation} cannot be read: {error}"))?;
        self.checkpoints += 1;
        self.boundary = self.boundary.max(Some(checkpoint.head));
        if checkpoint.head + 1 != self.next_record {
            // Others have appended since; what it says is seen when the table is read at the end.
            return Ok(());
        }
        self.compare_sources(&checkpoint.state())
            .map_err(|wrong| format!("checkpoint {generation} is wrong: {wrong}"))
    }

    pub(super) fn compare_sources(&self, state: &State) -> Result<(), String> {
        let folded = state.sources.iter().map(|(source, held)| {
            let held = Held {
                next: held.next,
                epoch: held.epoch,
                session: held.session.clone(),
            };
            (source.clone(), held)
        });
        let folded: BTreeMap<_, _> = folded.collect();
        if folded == self.sources {
            return Ok(());
        }
        Err(format!("it has {folded:?}, the log {:?}", self.sources))
    }

    /// A record is dropped only when a checkpoint holds it.
    pub(super) fn judge_drop(&self, path: &TablePath) -> Result<(), String> {
        let number = record_number(path.file_name()).filter(|_| path.parent() == Some("log"));
        match number {
            Some(number) if Some(number) > self.boundary => Err(format!(
                "record {number} is dropped, checkpoints reach to {:?}",
                self.boundary
            )),
            _ => Ok(()),
        }
    }
}
