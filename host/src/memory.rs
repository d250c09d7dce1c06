//! Returns free memory of the process to the system.

use std::time::Duration;

/// The interval at which free memory is returned to the system, so that the memory of an attack or a large document is free within a minute.
pub const TRIM_INTERVAL: Duration = Duration::from_secs(30);

/// Returns free memory to the system, which takes some milliseconds. glibc keeps freed memory between blocks in use, some dozen MiB after
/// large buffers. Other allocators return it by themselves.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(
        unsafe_code,
        reason = "a function of glibc without a safe form; any thread may call it at any time"
    )]
    unsafe {
        nix::libc::malloc_trim(0);
    }
}
