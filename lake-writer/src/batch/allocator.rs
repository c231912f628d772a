//! The allocator's settings.

/// Tells glibc to keep memory instead of giving it back to the kernel: batches come and go, and a
/// page fault for every page of every batch costs more than all of the encoding's bookkeeping.
/// Call it first thing in `main`. Does nothing with another C library.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // Above 32 MiB, its largest threshold, glibc maps and unmaps each block by itself.
        const MMAP_THRESHOLD: libc::c_int = 32 << 20;
        const TRIM_THRESHOLD: libc::c_int = 512 << 20;
        const TOP_PAD: libc::c_int = 16 << 20;
        // SAFETY: mallopt takes two integers and touches nothing but the allocator's settings; an
        // option it does not know is refused with 0, and the defaults stay.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
            libc::mallopt(libc::M_TOP_PAD, TOP_PAD);
        }
    }
}
