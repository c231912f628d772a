//! CPU time of one thread, for all stage benchmarks: what neighbours on a machine do counts little.

/// Best CPU seconds of `rounds` runs, after one that is not counted: neighbours only ever add.
pub(crate) fn best_of(rounds: usize, mut run: impl FnMut()) -> f64 {
    run();
    (0..rounds)
        .map(|_| {
            let before = seconds();
            run();
            seconds() - before
        })
        .fold(f64::INFINITY, f64::min)
}

/// CPU time of this thread.
fn seconds() -> f64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes the struct that the pointer points to.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "Linux has this clock");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
