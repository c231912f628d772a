//! What is looked up once for a query, however many of its tables ask.
//!
//! Owns: telling one query from another: by session, and by the time at which the engine began it.

use std::collections::VecDeque;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::catalog::Session;
use tokio::sync::{Mutex, OnceCell};

/// Queries that are remembered: those being planned at once. Of more, a table that is named twice
/// in one query could be seen at two moments.
const QUERIES: usize = 32;

/// Session and beginning of a query.
type Key = (String, DateTime<Utc>);

/// Values of the last queries.
#[derive(Debug)]
pub(crate) struct OncePerQuery<T> {
    recent: Mutex<VecDeque<(Key, Arc<OnceCell<T>>)>>,
}

impl<T> Default for OncePerQuery<T> {
    fn default() -> Self {
        Self {
            recent: Mutex::default(),
        }
    }
}

impl<T: Clone> OncePerQuery<T> {
    /// The query's value, looked up if nobody has.
    ///
    /// # Errors
    /// As `look`; the next to ask looks again.
    pub(crate) async fn get<E>(
        &self,
        state: &dyn Session,
        look: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let Some(begun) = state.execution_props().query_execution_start_time else {
            return look.await;
        };
        let key = (state.session_id().to_owned(), begun);
        let cell = {
            let mut recent = self.recent.lock().await;
            match recent.iter().find(|(known, _)| *known == key) {
                Some((_, cell)) => cell.clone(),
                None => {
                    let cell = Arc::new(OnceCell::new());
                    recent.push_back((key, cell.clone()));
                    if recent.len() > QUERIES {
                        recent.pop_front();
                    }
                    cell
                }
            }
        };
        cell.get_or_try_init(async || look.await).await.cloned()
    }
}
