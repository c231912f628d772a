//! One computation for all who look at the same view.
//!
//! ```text
//! news of changes ─► figures of a view, at most five times a second ─► every viewer of it
//! ```
//!
//! A view is computed while somebody looks at it, and the database is asked no more for a thousand
//! viewers than for one. A slow viewer misses states in between, never the last one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error_chain::ErrorChain;
use crate::feed::Shared;
use crate::figures::{Figurer, View};

/// Shortest time between two states of one view.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// How long an unchanged view waits before it looks whether the minute has, or older days have arrived.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Figures as JSON; `None` until the first are there.
pub type Latest = Option<Arc<str>>;

/// Views that somebody looks at.
#[derive(Debug)]
pub struct Live {
    shared: Arc<Shared>,
    figurer: Figurer,
    views: Mutex<HashMap<View, Weak<watch::Sender<Latest>>>>,
}

impl Live {
    /// Nobody looks yet.
    pub fn new(shared: Arc<Shared>, figurer: Figurer) -> Arc<Self> {
        Arc::new(Self {
            shared,
            figurer,
            views: Mutex::default(),
        })
    }

    /// The states of a view from now on.
    pub fn watch(self: &Arc<Self>, view: View) -> watch::Receiver<Latest> {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = views.get(&view).and_then(Weak::upgrade) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(None);
        let sender = Arc::new(sender);
        views.insert(view.clone(), Arc::downgrade(&sender));
        tokio::spawn(self.clone().keep(view, sender));
        receiver
    }

    /// Views, and viewers.
    pub fn counts(&self) -> (usize, usize) {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let viewers = views
            .values()
            .filter_map(Weak::upgrade)
            .map(|sender| sender.receiver_count());
        (views.len(), viewers.sum())
    }

    async fn keep(self: Arc<Self>, view: View, sender: Arc<watch::Sender<Latest>>) {
        let mut changed = self.shared.changed.subscribe();
        let mut shown = None;
        while !self.is_abandoned(&view, &sender) {
            let began = Instant::now();
            let state = (*changed.borrow_and_update(), self.shared.now(), true);
            if self.shared.status.has_loaded() && shown != Some(state) {
                shown = self
                    .compute(&view, &sender)
                    .await
                    .map(|complete| (state.0, state.1, complete));
            }
            // The sender is held here, so this ends with the process only.
            let _ = tokio::time::timeout(LOOK_AGAIN_AFTER, changed.changed()).await;
            tokio::time::sleep_until(began + AT_MOST_EVERY).await;
        }
    }

    /// Sends the view's state; whether it is complete, or `None` when it could not be computed.
    async fn compute(&self, view: &View, sender: &watch::Sender<Latest>) -> Option<bool> {
        match self.figurer.figures(view).await {
            Ok(figures) => {
                let text = serde_json::to_string(&figures).unwrap_or_default();
                sender.send_replace(Some(text.into()));
                Some(figures.complete)
            }
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "a view is not computed; trying again");
                None
            }
        }
    }

    /// Whether nobody looks any more; then the view is forgotten.
    fn is_abandoned(&self, view: &View, sender: &Arc<watch::Sender<Latest>>) -> bool {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let abandoned = sender.receiver_count() == 0;
        if abandoned {
            views.remove(view);
        }
        abandoned
    }
}
