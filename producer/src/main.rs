//! `sales-producer`: see `sales-producer --help`.

use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use clap::Parser;
use sales_producer::cli::{Args, Surroundings, start};
use sales_producer::clock::SystemClock;
use sales_producer::exit;
use sales_producer::stop::Stop;

static STOP: OnceLock<Arc<Stop>> = OnceLock::new();

/// The first signal asks for the end, the second one is the end.
extern "C" fn on_signal(_: libc::c_int) {
    if STOP.get().is_none_or(|stop| stop.request()) {
        // SAFETY: `_exit` may be called from a signal handler.
        unsafe { libc::_exit(exit::INTERRUPTED.into()) }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let stop = Arc::clone(STOP.get_or_init(Arc::default));
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler = on_signal as extern "C" fn(libc::c_int);
        // SAFETY: the handler reads an initialized static and sets an atomic flag, nothing more.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    // The standard library's hasher is keyed by the system's randomness: a seed for runs that are
    // given none. A short one, as somebody may want to type it.
    let fallback_seed = RandomState::new().hash_one("seed") % 1_000_000_000;
    let clock = Arc::new(SystemClock::new());
    ExitCode::from(start(
        &args,
        &Surroundings {
            clock,
            stop,
            fallback_seed,
        },
    ))
}
