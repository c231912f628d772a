//! What there is of the mirror in a build without MongoDB: one message that says so.

use std::convert::Infallible;
use std::sync::Arc;

use clap::Args;
use tokio::sync::watch;

use super::Arguments;
use super::context::Context;
use super::exit::{Exit, Failure};
use crate::member::{RunMode, Stop};
use crate::settings::Settings;
use crate::telemetry::Metrics;

pub(super) type Mirrored = Result<Infallible, Failure>;

#[derive(Debug, Args)]
pub(super) struct MirrorArguments {
    /// Stop once everything up to the high watermarks seen at the start is mirrored
    #[arg(long)]
    until_end: bool,
}

/// There is none.
pub(super) struct Mirror(Infallible);

impl Mirror {
    pub(super) fn configured(_: &Context, settings: &Settings) -> Result<Option<Self>, Failure> {
        match settings.mirror.mongodb.uri {
            Some(_) => Err(missing()),
            None => Ok(None),
        }
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        match self.0 {}
    }

    pub(super) fn ready(self, _: &Context) -> Result<ReadyMirror, Failure> {
        match self.0 {}
    }
}

/// There is none either.
pub(super) struct ReadyMirror(Infallible);

impl ReadyMirror {
    pub(super) fn run(self, _: RunMode, _: watch::Receiver<Stop>) -> Mirrored {
        match self.0 {}
    }
}

pub(super) fn told(summary: &Infallible) -> (u64, String) {
    match *summary {}
}

pub(super) fn check(_: &Context, _: bool) -> Result<String, Failure> {
    Err(missing())
}

fn missing() -> Failure {
    let message = "this build of lake-writer has no mirror; build it with the feature `mongodb`";
    Failure::new(Exit::Usage, message)
}

pub(super) fn run(_: &Arguments, _: &MirrorArguments) -> Result<(), Failure> {
    Err(missing())
}

pub(super) fn verify(_: &Arguments, _: &Context, _: usize) -> Result<(), Failure> {
    Err(missing())
}
