//! Moving a file that nobody committed out of the sight of readers, without losing it.

use crate::stage::discard;
use crate::store::{FOREIGN, Published, Store, StoreError, StoreErrorKind, TablePath};

/// Bytes copied at once.
const PIECE: u64 = 8 << 20;

/// Moves a file to `foreign/<session>/<its path>`, and returns where it lies now. The copy is durable
/// before the file is removed; a move that was interrupted can be repeated.
///
/// # Errors
/// As the store. [`StoreErrorKind::Corrupt`] when the file changes while it is copied.
pub async fn move_out(
    store: &dyn Store,
    session: &str,
    path: &TablePath,
) -> Result<TablePath, StoreError> {
    let illegal = |error| StoreError::new(StoreErrorKind::Unfit, "move", path.as_str(), error);
    let target = TablePath::new(format!("{FOREIGN}/{session}/{path}"))
        .map_err(|error| illegal(error.to_string()))?;
    let staging = TablePath::new(format!("stage/{session}/{FOREIGN}"))
        .map_err(|error| illegal(error.to_string()))?;
    let size = store.size(path).await?.ok_or_else(|| gone(path))?;
    let mut writer = store.stage(&target, &staging).await?;
    let mut at = 0;
    while at < size {
        let next = (at + PIECE).min(size);
        let piece = match store.read_range(path, at..next).await {
            Ok(piece) => writer.write(piece).await,
            Err(error) => Err(error),
        };
        if let Err(error) = piece {
            let _ = writer.abandon().await;
            return Err(error);
        }
        at = next;
    }
    let staged = writer.finish().await?;
    if store.size(path).await? != Some(size) {
        discard(store, &staged, &target).await;
        return Err(gone(path));
    }
    match store.publish(&staged, &target, size).await? {
        Published::Now | Published::Before => {}
        Published::Missing => return Err(gone(&target)),
    }
    store.delete(path).await?;
    Ok(target)
}

fn gone(path: &TablePath) -> StoreError {
    let what = "it was changed or removed meanwhile: somebody else is at work on it";
    StoreError::new(StoreErrorKind::Corrupt, "move", path.as_str(), what)
}
