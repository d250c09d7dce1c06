//! The metrics of the process itself, under the names that all Prometheus clients use.

use std::time::SystemTime;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike;

/// The resources that the process uses. None: the system does not report it.
#[derive(Debug)]
pub(super) struct ProcessUsage {
    pub(super) cpu_seconds: Option<f64>,
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) max_files: Option<u64>,
}

impl ProcessUsage {
    /// Returns the resources now. Without `/proc`, memory, threads and open files are unknown.
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name| field(&status, name);
        let files = std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        Self {
            cpu_seconds: cpu_seconds(),
            resident_bytes: field("VmRSS:").map(|kib| kib * 1024),
            virtual_bytes: field("VmSize:").map(|kib| kib * 1024),
            threads: field("Threads:"),
            // One of them is the directory that is read here.
            open_files: files.and_then(|files| u64::try_from(files.saturating_sub(1)).ok()),
            max_files: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        }
    }
}

/// Returns the number in a line of `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn cpu_seconds() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Some(std::time::Duration::from_micros(micros.try_into().ok()?).as_secs_f64())
}

/// Returns a time as seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_of_a_process_on_linux_is_known() {
        let ProcessUsage { cpu_seconds, resident_bytes, virtual_bytes, threads, open_files, max_files } =
            ProcessUsage::now();
        assert!(cpu_seconds.unwrap() > 0.0);
        if cfg!(target_os = "linux") {
            assert!(resident_bytes.unwrap() > 1 << 20 && virtual_bytes.unwrap() >= resident_bytes.unwrap());
            assert!(
                threads.unwrap() >= 1
                    && open_files.unwrap() >= 1
                    && max_files.unwrap() >= open_files.unwrap()
            );
        }
    }
}
