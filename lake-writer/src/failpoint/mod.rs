//! Kills or freezes this process at a step between two calls: for tests of real writers on real
//! servers. Compiled only into programs that are built for tests (feature `simulation`).
//!
//! ```text
//! LAKE_WRITER_FAILPOINT=put_if_absent.log.after@2=kill ─► the second time: SIGKILL
//! LAKE_WRITER_FAILPOINT=publish.data.before=freeze     ─► the first time: SIGSTOP, until SIGCONT
//! LAKE_WRITER_FAILPOINT_TRACE=/file                    ─► a line for each step, as it is passed
//! ```
//!
//! A step is a call of the store's or the source's port, with what it is about and whether it is
//! about to be made or was made: `<call>.<about>.<before|after>`. The steps are not placed by hand:
//! every call of a port passes one before and one after, so a new call cannot be without.
//!
//! Owns: names of steps, counting them, and the signal.
//! Does not own: which of them a test visits.

mod source;

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::source::Source;
use crate::store::fault::{FaultStore, Faults, Step};
use crate::store::{Store, StoreError, TablePath};

pub use self::source::FailpointSource;

/// Where this process is to stop, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failpoint {
    /// The step's name.
    pub step: String,
    /// At which time that it is passed, counted from 1.
    pub time: u32,
    /// What happens there.
    pub action: Action,
}

/// What happens at a failpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL: nothing is cleaned up.
    Kill,
    /// SIGSTOP: the process wakes in the same place when it is sent SIGCONT.
    Freeze,
}

/// A failpoint that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a failpoint: write STEP=kill, STEP=freeze or STEP@TIME=kill")]
pub struct NotAFailpoint(String);

impl FromStr for Failpoint {
    type Err = NotAFailpoint;

    fn from_str(text: &str) -> Result<Self, NotAFailpoint> {
        let wrong = || NotAFailpoint(text.to_owned());
        let (place, action) = text.rsplit_once('=').ok_or_else(wrong)?;
        let action = match action {
            "kill" => Action::Kill,
            "freeze" => Action::Freeze,
            _ => return Err(wrong()),
        };
        let (step, time) = match place.split_once('@') {
            Some((step, time)) => (step, time.parse().map_err(|_| wrong())?),
            None => (place, 1),
        };
        if step.split('.').count() != 3 || time == 0 {
            return Err(wrong());
        }
        Ok(Self {
            step: step.to_owned(),
            time,
            action,
        })
    }
}

/// The steps that this process passes.
#[derive(Debug, Default)]
pub struct Failpoints {
    stop_at: Option<Failpoint>,
    passed: Mutex<Passed>,
}

#[derive(Debug, Default)]
struct Passed {
    times: HashMap<String, u32>,
    trace: Option<File>,
}

impl Failpoints {
    /// What the environment of this process asks for; `None` when that is nothing.
    ///
    /// # Panics
    /// When it asks for something that cannot be done: a test that would test nothing has to end.
    pub fn from_environment() -> Option<Arc<Self>> {
        let stop_at = std::env::var("LAKE_WRITER_FAILPOINT").ok();
        let stop_at = stop_at.map(|text| text.parse().unwrap_or_else(|error| panic!("{error}")));
        let trace = std::env::var_os("LAKE_WRITER_FAILPOINT_TRACE").map(|path| {
            let opened = File::options().append(true).create(true).open(&path);
            opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        if stop_at.is_none() && trace.is_none() {
            return None;
        }
        Some(Arc::new(Self {
            stop_at,
            passed: Mutex::new(Passed {
                trace,
                ..Passed::default()
            }),
        }))
    }

    /// `store` with a step before and after each of its calls.
    pub fn around_store(self: &Arc<Self>, store: Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::new(FaultStore::new(store, self.clone()))
    }

    /// `source` with a step before and after each of its calls.
    pub fn around_source(self: &Arc<Self>, source: Box<dyn Source>) -> Box<dyn Source> {
        Box::new(FailpointSource::new(source, self.clone()))
    }

    /// Passes a step, if this process is not to stop there.
    fn pass(&self, call: &str, about: &str, moment: &str) {
        let step = format!("{call}.{about}.{moment}");
        let time = {
            let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(trace) = &mut passed.trace {
                // One write a line: lines of several threads do not mix.
                let written = trace.write_all(format!("{step}\n").as_bytes());
                written.expect("the trace of a test can be written");
            }
            let time = passed.times.entry(step.clone()).or_insert(0);
            *time += 1;
            *time
        };
        let Some(stop_at) = &self.stop_at else {
            return;
        };
        if stop_at.step == step && stop_at.time == time {
            stop_at.action.take();
        }
    }
}

impl Action {
    fn take(self) {
        let signal = match self {
            Self::Kill => libc::SIGKILL,
            Self::Freeze => libc::SIGSTOP,
        };
        // SAFETY: sends a signal to this very process; neither signal runs any code of it.
        unsafe { libc::kill(libc::getpid(), signal) };
    }
}

#[async_trait]
impl Faults for Failpoints {
    async fn before(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.pass(step.op.name(), &about(step.path), "before");
        Ok(())
    }

    async fn after(&self, step: &Step<'_>) -> Result<(), StoreError> {
        self.pass(step.op.name(), &about(step.path), "after");
        Ok(())
    }
}

/// What a path is about: the sibling that it lies in, and inside the log and the staging area also
/// the kind of file.
fn about(path: &TablePath) -> String {
    let parts: Vec<&str> = path.as_str().split('/').collect();
    match parts.as_slice() {
        ["log", folder, ..] if !folder.ends_with(".json") => format!("log/{folder}"),
        ["stage", _, probe, ..] if probe.starts_with("probe-") => "probe".to_owned(),
        ["stage", _, file] if file.starts_with("log-") => "stage/log".to_owned(),
        [sibling, ..] => (*sibling).to_owned(),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_is_a_step_a_time_and_an_action() {
        let read = |text: &str| text.parse::<Failpoint>().expect("a failpoint");
        let point = read("put_if_absent.log.after@2=kill");
        assert_eq!(point.step, "put_if_absent.log.after");
        assert_eq!((point.time, point.action), (2, Action::Kill));
        assert_eq!(read("poll.messages.after=freeze").time, 1);
        for wrong in [
            "",
            "kill",
            "a.b.c=stop",
            "a.b=kill",
            "a.b.c@0=kill",
            "a.b.c@x=kill",
        ] {
            assert!(wrong.parse::<Failpoint>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn steps_are_told_apart_by_what_they_are_about() {
        let about = |path: &str| about(&TablePath::new(path).expect("legal"));
        assert_eq!(about("log"), "log");
        assert_eq!(about("log/00000000000000000042.json"), "log");
        assert_eq!(about("log/checkpoints"), "log/checkpoints");
        assert_eq!(about("log/checkpoints/42.json"), "log/checkpoints");
        assert_eq!(about("stage/0123456789abcdef/probe-1/record-1"), "probe");
        assert_eq!(about("stage/0123456789abcdef/log-1"), "stage/log");
        assert_eq!(about("stage/0123456789abcdef/1-2.staged"), "stage");
        assert_eq!(about("data/date=2026-01-31/region=Corse/x.parquet"), "data");
    }

    #[tokio::test]
    async fn every_call_of_a_store_passes_two_steps() {
        // GIVEN failpoints that write a trace
        let folder = tempfile::tempdir().expect("a folder");
        let trace = folder.path().join("trace");
        let points = Arc::new(Failpoints {
            stop_at: None,
            passed: Mutex::new(Passed {
                trace: Some(File::create(&trace).expect("created")),
                ..Passed::default()
            }),
        });
        let memory = crate::store::memory::MemoryStore::new(crate::store::memory::Staging::File);
        let store = points.around_store(Arc::new(memory));
        // WHEN a file of the log is read
        let path = TablePath::new("log/1.json").expect("legal");
        store.read(&path).await.expect("read");
        // THEN the trace shows it
        let seen = std::fs::read_to_string(&trace).expect("read");
        assert_eq!(seen, "read.log.before\nread.log.after\n");
    }
}
