//! How far the newest checkpoint reaches.
//!
//! Owns: finding the newest checkpoint, and looking again whether there is a newer one.
//! Does not own: what follows when there is (`append`, `fold`).

use crate::store::Store;

use super::CommitError;
use super::checkpoint::{Checkpoint, checkpoint_generation, checkpoint_path, checkpoints_folder};
use super::state::State;

/// How often a checkpoint that was listed may be gone before the store counts as lying. Each time
/// somebody has to have written a newer one in between.
const MOST_LOOKS: usize = 16;

/// The newest checkpoint of a log, and its generation.
///
/// # Errors
/// Store errors; [`CommitError::Newer`] and [`CommitError::BrokenDocument`] for one that this code
/// cannot read.
pub async fn newest_checkpoint(
    store: &dyn Store,
) -> Result<Option<(u64, Checkpoint)>, CommitError> {
    let mut boundary = Boundary::default();
    boundary.look(store).await?;
    Ok(boundary.newest)
}

/// The newest checkpoint that was seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Boundary {
    newest: Option<(u64, Checkpoint)>,
}

impl Boundary {
    /// Looks for a newer checkpoint: one listing, and one read when there is one.
    ///
    /// # Errors
    /// Store errors; [`CommitError::Newer`] and [`CommitError::BrokenDocument`] for a checkpoint
    /// that this code cannot read.
    pub(super) async fn look(&mut self, store: &dyn Store) -> Result<(), CommitError> {
        let folder = checkpoints_folder();
        let known = self.generation().map(checkpoint_path);
        let known = known.as_ref().map_or("", |path| path.file_name());
        for _ in 0..MOST_LOOKS {
            let listed = store.list_after(&folder, known).await?;
            let names = listed.iter().map(|entry| entry.path.file_name());
            let Some(generation) = names.filter_map(checkpoint_generation).max() else {
                return Ok(());
            };
            if let Some(bytes) = store.read(&checkpoint_path(generation)).await? {
                let checkpoint = Checkpoint::decode(generation, &bytes)?;
                self.newest = Some((generation, checkpoint));
                return Ok(());
            }
        }
        Err(CommitError::BrokenDocument {
            path: folder,
            problem: "checkpoints are listed that cannot be read".into(),
        })
    }

    /// Generation of the newest checkpoint seen.
    pub(super) fn generation(&self) -> Option<u64> {
        self.newest.as_ref().map(|(generation, _)| *generation)
    }

    /// The newest checkpoint seen.
    pub(super) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.newest.as_ref().map(|(_, checkpoint)| checkpoint)
    }

    /// Number of the last record that the newest checkpoint holds.
    pub(super) fn head(&self) -> Option<u64> {
        self.checkpoint().map(|checkpoint| checkpoint.head)
    }

    /// The state to fold on from: the newest checkpoint's, or that of an empty log.
    pub(super) fn state(&self) -> State {
        self.checkpoint()
            .map_or_else(State::default, Checkpoint::state)
    }
}
