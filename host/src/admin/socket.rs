//! The Unix socket of a host.
//!
//! Beside it is a file that the host keeps locked while it runs. The system unlocks it when the process ends, in whatever way. So another
//! host can distinguish a socket that was left behind from one in use, and replace it.

use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use gtm_store::own_files::{refuse_makers, refuse_owner};
use rustix::fs::OFlags;

use super::place;

/// A socket at which this host listens. It is removed when this value is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    path: PathBuf,
    _lock: File,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // If it is already gone, nothing is left to do.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens at this path.
    ///
    /// # Errors
    /// Fails if another host listens there, or the system refuses.
    pub(super) fn bind(path: &Path) -> io::Result<(Self, UnixListener)> {
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        // Whoever may make a file there could listen while this host does not run, and deceive the commands of its user.
        refuse_makers(directory, &std::fs::metadata(directory)?)?;
        Self::try_bind(path)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::AddrInUse, "another host listens there"))
    }

    /// Listens at the first free path for this pipeline.
    ///
    /// # Errors
    /// Fails if no path can be used.
    pub(super) fn of_pipeline(pipeline: &str) -> io::Result<(Self, UnixListener)> {
        let mut failed = None;
        for directory in place::directories() {
            match Self::within(&directory, pipeline) {
                Ok(bound) => return Ok(bound),
                Err(error) => {
                    tracing::debug!(
                        event = "admin.skip_directory", path = %directory.display(), %error,
                        "no socket can be made in a directory"
                    );
                    failed.get_or_insert(error);
                }
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn within(directory: &Path, pipeline: &str) -> io::Result<(Self, UnixListener)> {
        place::make(directory)?;
        for name in place::sockets(pipeline) {
            if let Some(bound) = Self::try_bind(&directory.join(name))? {
                return Ok(bound);
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            format!("{} hosts of this name run here", place::MAX_HOSTS),
        ))
    }

    /// Listens at this path. None: another host does.
    fn try_bind(path: &Path) -> io::Result<Option<(Self, UnixListener)>> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let beside = PathBuf::from(beside);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?);
        let lock = options.open(&beside)?;
        refuse_owner(&beside, &lock.metadata()?).map_err(io::Error::other)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match std::fs::symlink_metadata(path) {
            Ok(left) if left.file_type().is_socket() => {
                refuse_owner(path, &left).map_err(io::Error::other)?;
                std::fs::remove_file(path)?;
            }
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is a file, not a socket")),
            Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        let socket = Self { path: path.to_owned(), _lock: lock };
        // Until then, the directory keeps others out. Besides, the API checks the user of each connection.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Some((socket, listener)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_name_have_separate_sockets_and_a_left_one_is_replaced() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("run");
        let name = |bound: &(Socket, UnixListener)| bound.0.path().file_name().unwrap().to_owned();
        let one = Socket::within(&directory, "shop").unwrap();
        let two = Socket::within(&directory, "shop").unwrap();
        let other = Socket::within(&directory, "other").unwrap();
        assert_eq!((name(&one), name(&two)), ("shop.sock".into(), "shop.2.sock".into()));
        assert_eq!(name(&other), "other.sock");
        for bound in [&one, &two] {
            assert_eq!(std::fs::metadata(bound.0.path()).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(Socket::bind(one.0.path()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let path = one.0.path().to_owned();
        drop(one);
        assert!(!path.exists());
        // A killed host leaves its socket behind.
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(name(&Socket::within(&directory, "shop").unwrap()), "shop.sock");
    }

    #[test]
    fn a_lock_that_is_a_link_and_a_directory_for_all_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("host.sock");
        std::os::unix::fs::symlink(directory.path().join("made"), directory.path().join("host.sock.lock"))
            .unwrap();
        Socket::bind(&path).unwrap_err();
        assert!(!directory.path().join("made").exists());
        std::fs::remove_file(directory.path().join("host.sock.lock")).unwrap();
        let mode = |mode| std::fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        mode(0o1777);
        let said = Socket::bind(&path).unwrap_err().to_string();
        assert!(said.contains("every user of this machine may make files in"), "{said}");
        mode(0o700);
        Socket::bind(&path).unwrap();
    }

    #[test]
    fn a_file_that_is_not_a_socket_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert_eq!(Socket::bind(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "data");
    }
}
