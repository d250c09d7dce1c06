//! Memory of the process that is free.

use std::time::Duration;

/// How often free memory is returned to the system: what an attack or a large document took is gone within a minute.
pub const TRIM_INTERVAL: Duration = Duration::from_secs(30);

/// Returns free memory to the system. glibc keeps what was freed between blocks that are in use, some dozen MiB after large buffers;
/// other allocators return it by themselves. It takes some milliseconds.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(
        unsafe_code,
        reason = "a function of glibc that has no safe form; it may be called at any time, by any thread"
    )]
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
