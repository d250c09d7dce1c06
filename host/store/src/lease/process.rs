//! The process that holds a lease, and how another process on the same machine finds out whether it has ended.
//!
//! A restarted host finds the lease held by its previous process. It may take the lease immediately if it *knows* that this process has
//! ended. It knows that only if it can ask the kernel about the very same process:
//!
//! - **The same place.** The place is a digest of the machine id, the boot id, and the PID and time namespaces. Each boot has a new boot
//!   id, so a restarted machine is another place. Containers share the boot id of their machine, but not the PID namespace: in another
//!   container a process id means another process, so it is another place. A namespace number is reused only after the namespace and its
//!   processes have ended.
//! - **The process id is not in use**, by `kill(pid, 0)`, which sees processes that `/proc` may hide (`hidepid`); or a process that
//!   started at another time has it; or the process is a zombie.
//!
//! In every other case it knows nothing, and the lease keeps its whole time to live: another machine, another container (as after the
//! restart of a pod), a system without `/proc`, a `/proc` of another PID namespace, a stopped process.
//!
//! One case is not distinguished: two copies of a virtual machine that were resumed from one snapshot share all of this. There, the
//! fencing token protects the store, as it does after a machine was suspended.

use std::fs;
use std::path::Path;

use bson::{Document, RawDocument, doc};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sha2::{Digest, Sha256};

/// Identifies a process for others at the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HolderProcess {
    /// A digest of the machine, its boot, and the namespaces of process ids and times.
    place: String,
    pid: i32,
    /// When it started, in ticks since the machine started.
    started: i64,
}

impl HolderProcess {
    /// Returns this process. None: others could not find out whether it has ended.
    pub(super) fn this() -> Option<Self> {
        let pid = i32::try_from(std::process::id()).ok()?;
        let ProcessStat { started, .. } = ProcessStat::of(pid)?;
        Some(Self { place: place()?, pid, started })
    }

    /// Returns whether the process has certainly ended.
    pub(super) fn has_ended(&self) -> bool {
        // 0 and negative numbers are groups of processes.
        let Some(pid) = Pid::from_raw(self.pid.max(0)) else { return false };
        if place().is_none_or(|place| place != self.place) {
            return false;
        }
        match test_kill_process(pid) {
            Err(Errno::SRCH) => true,
            Ok(()) | Err(Errno::PERM) => {
                ProcessStat::of(self.pid).is_some_and(|now| now.started != self.started || now.is_dead)
            }
            Err(_) => false,
        }
    }

    /// Returns it as a document. `holder` shows whose process it is: older hosts leave the document of an earlier holder unchanged.
    pub(super) fn stored(&self, holder: &str) -> Document {
        let Self { place, pid, started } = self;
        doc! { "holder": holder, "place": place, "pid": pid, "started": started }
    }

    /// Reads the process of this holder. None: it is of another holder, or malformed.
    pub(super) fn read(stored: &RawDocument, holder: &str) -> Option<Self> {
        (stored.get_str("holder").ok()? == holder).then_some(())?;
        let (place, pid) = (stored.get_str("place").ok()?.to_owned(), stored.get_i32("pid").ok()?);
        Some(Self { place, pid, started: stored.get_i64("started").ok()? })
    }
}

/// Identifies where process ids mean the same processes as here, until the machine restarts.
fn place() -> Option<String> {
    // It may be mounted from elsewhere, and show other processes.
    let own = fs::read_link("/proc/self").ok()?;
    (own == Path::new(&std::process::id().to_string())).then_some(())?;
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    // Containers often have no machine id, and older kernels no time namespaces.
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let times = fs::read_link("/proc/self/ns/time").unwrap_or_default();
    // A machine id must not be shown to others.
    let place = format!("gtm-host lease\n{machine}\n{boot}\n{}\n{}", namespace.display(), times.display());
    Some(hex::encode(Sha256::digest(place).get(..16)?))
}

/// The kernel's status of a process.
struct ProcessStat {
    is_dead: bool,
    started: i64,
}

impl ProcessStat {
    fn of(pid: i32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses proc_pid_stat(5): the second field is a name in parentheses, which may contain any character; the third is the state, and the
    /// 22nd is the start.
    fn read(stat: &str) -> Option<Self> {
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?;
        let started = fields.nth(18)?.parse().ok()?;
        Some(Self { is_dead: matches!(state, "Z" | "X"), started })
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::process::Command;

    use bson::RawDocumentBuf;

    use super::*;

    fn of(pid: u32) -> HolderProcess {
        let pid = i32::try_from(pid).unwrap();
        HolderProcess {
            pid,
            started: ProcessStat::of(pid).unwrap().started,
            ..HolderProcess::this().unwrap()
        }
    }

    #[test]
    fn a_process_that_runs_or_is_stopped_has_not_ended() {
        assert!(!HolderProcess::this().unwrap().has_ended());
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = of(child.id());
        let pid = Pid::from_raw(process.pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        assert!(!process.has_ended());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(process.has_ended());
    }

    #[test]
    fn a_zombie_has_ended() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let process = of(child.id());
        child.kill().unwrap();
        // Nobody has waited for it yet.
        while !process.has_ended() {
            assert!(ProcessStat::of(process.pid).is_some());
            std::thread::yield_now();
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_process_id_that_is_in_use_again_is_of_another_process() {
        let process = HolderProcess::this().unwrap();
        assert!(HolderProcess { started: process.started - 1, ..process }.has_ended());
    }

    #[test]
    fn a_process_at_another_place_is_unknown() {
        let mut child = Command::new("true").spawn().unwrap();
        let ended =
            HolderProcess { pid: i32::try_from(child.id()).unwrap(), ..HolderProcess::this().unwrap() };
        child.wait().unwrap();
        assert!(ended.has_ended());
        assert!(!HolderProcess { place: "another".to_owned(), ..ended.clone() }.has_ended());
        for pid in [0, -1] {
            assert!(!HolderProcess { pid, ..ended.clone() }.has_ended());
        }
    }

    #[test]
    fn the_process_of_the_holder_is_read_as_stored() {
        let process = HolderProcess::this().unwrap();
        let stored = RawDocumentBuf::try_from(process.stored("me")).unwrap();
        assert_eq!(HolderProcess::read(&stored, "me"), Some(process));
        assert_eq!(HolderProcess::read(&stored, "another"), None);
        assert_eq!(HolderProcess::read(&RawDocumentBuf::new(), "me"), None);
    }

    #[test]
    fn a_process_name_may_contain_any_character() {
        let fields: Vec<_> = (4..=52).map(|field| field.to_string()).collect();
        let stat = ProcessStat::read(&format!("1 (a) Z (b)) S {}", fields.join(" "))).unwrap();
        assert_eq!((stat.is_dead, stat.started), (false, 22));
    }
}
