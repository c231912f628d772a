//! One computation for all who look at the same view.
//!
//! ```text
//! news of changes ─► figures of a view, at most five times a second ─► every viewer of it
//!                 └► their analysis, at most once a second ────────────┘
//! ```
//!
//! A view is computed while somebody looks at it, and the database is asked no more for a thousand
//! viewers than for one. A slow viewer misses states in between, never the last one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::analysis::Analysed;
use crate::error_chain::ErrorChain;
use crate::feed::Shared;
use crate::figures::{Figurer, Figures, View};

/// Shortest time between two states of one view.
const AT_MOST_EVERY: Duration = Duration::from_millis(200);

/// Shortest time between two analyses of one view: they cost more, and nobody reads a deviation faster.
const ANALYSIS_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// How long an unchanged view waits before it looks whether the minute has, or older days have arrived.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// An answer as JSON; `None` until the first is there.
pub type Latest = Option<Arc<str>>;

/// The states of a view from now on.
#[derive(Debug)]
pub struct Watched {
    /// [`Figures`].
    pub figures: watch::Receiver<Latest>,
    /// [`crate::figures::Analysis`].
    pub analysis: watch::Receiver<Latest>,
}

/// Where the states of a view are told. Both are received by every viewer of it.
#[derive(Debug)]
struct Told {
    figures: watch::Sender<Latest>,
    analysis: watch::Sender<Latest>,
}

impl Told {
    fn watch(&self) -> Watched {
        Watched {
            figures: self.figures.subscribe(),
            analysis: self.analysis.subscribe(),
        }
    }
}

/// Views that somebody looks at.
#[derive(Debug)]
pub struct Live {
    shared: Arc<Shared>,
    figurer: Figurer,
    analysed: Arc<Analysed>,
    views: Mutex<HashMap<View, Weak<Told>>>,
}

impl Live {
    /// Nobody looks yet.
    pub fn new(shared: Arc<Shared>, figurer: Figurer, analysed: Arc<Analysed>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            figurer,
            analysed,
            views: Mutex::default(),
        })
    }

    /// The states of a view from now on.
    pub fn watch(self: &Arc<Self>, view: View) -> Watched {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(told) = views.get(&view).and_then(Weak::upgrade) {
            return told.watch();
        }
        let told = Arc::new(Told {
            figures: watch::Sender::new(None),
            analysis: watch::Sender::new(None),
        });
        let watched = told.watch();
        views.insert(view.clone(), Arc::downgrade(&told));
        tokio::spawn(self.clone().keep(view, told));
        watched
    }

    /// Views, and viewers.
    pub fn counts(&self) -> (usize, usize) {
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let viewers = views
            .values()
            .filter_map(Weak::upgrade)
            .map(|told| told.figures.receiver_count());
        (views.len(), viewers.sum())
    }

    async fn keep(self: Arc<Self>, view: View, told: Arc<Told>) {
        let mut changed = self.shared.changed.subscribe();
        let mut shown = None;
        let mut figures = None;
        let mut analysed = (Instant::now(), None);
        while !self.is_abandoned(&view, &told) {
            let began = Instant::now();
            let state = (*changed.borrow_and_update(), self.shared.now(), true);
            if self.shared.status.has_loaded() && shown != Some(state) {
                let computed = self.compute(&view).await;
                shown = computed
                    .as_ref()
                    .map(|figures| (state.0, state.1, figures.complete));
                if let Some(computed) = computed {
                    tell(&told.figures, &computed);
                    figures = Some(computed);
                }
            }
            if let Some(figures) = figures.as_ref().filter(|_| began >= analysed.0) {
                let state = (
                    figures.version,
                    self.shared.now(),
                    self.analysed.tallies().version(),
                );
                if analysed.1 != Some(state) {
                    tell(&told.analysis, &self.figurer.analysis(&view, figures));
                    analysed = (began + ANALYSIS_AT_MOST_EVERY, Some(state));
                }
            }
            // The sender is held here, so this ends with the process only.
            let _ = tokio::time::timeout(LOOK_AGAIN_AFTER, changed.changed()).await;
            tokio::time::sleep_until(began + AT_MOST_EVERY).await;
        }
    }

    /// The view's state, or `None` when it could not be computed.
    async fn compute(&self, view: &View) -> Option<Figures> {
        match self.figurer.figures(view).await {
            Ok(figures) => Some(figures),
            Err(error) => {
                tracing::warn!(error = %ErrorChain(&error), "a view is not computed; trying again");
                None
            }
        }
    }

    /// Whether nobody looks any more; then the view is forgotten.
    fn is_abandoned(&self, view: &View, told: &Told) -> bool {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let abandoned = told.figures.receiver_count() == 0;
        if abandoned {
            views.remove(view);
        }
        abandoned
    }
}

fn tell(sender: &watch::Sender<Latest>, answer: &impl Serialize) {
    let text = serde_json::to_string(answer).unwrap_or_default();
    sender.send_replace(Some(text.into()));
}
