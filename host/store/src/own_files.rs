//! Checks which other users may change or read the files that the host relies on: its store, its cache and its secrets.
//!
//! A user who may change such a file can make the host follow another server, lose changes or run other code, so the host refuses it. A
//! user who may read it learns documents or passwords, so the host warns.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// The bits of a mode that allow a group, or all others, to write or read.
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_READS: u32 = 0o040;
const OTHERS_READ: u32 = 0o004;

/// Bytes of a file with a secret: many more than a token or a URL has.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Other users may change a path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} may be changed by {who}, so gtm-host does not use it. help: {}", path.display(), who.remedy(path))]
pub struct ExposedFile {
    /// The path.
    pub path: PathBuf,
    /// Who may change it.
    pub who: OtherUsers,
}

/// Users other than this one and root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherUsers {
    /// The owner, by number.
    Owner(u32),
    /// A group, by number.
    Group(u32),
    /// Every user of this machine.
    Everybody,
}

impl fmt::Display for OtherUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(user) => write!(f, "its owner, the user with the number {user}"),
            Self::Group(group) => write!(f, "the group with the number {group}"),
            Self::Everybody => f.write_str("every user of this machine"),
        }
    }
}

impl OtherUsers {
    fn remedy(self, path: &Path) -> String {
        match self {
            Self::Owner(user) => {
                format!(
                    "run gtm-host as the user {user}, or chown {} to the user who runs it",
                    path.display()
                )
            }
            Self::Group(_) | Self::Everybody => format!("run chmod go-w {}", path.display()),
        }
    }
}

/// Checks who may change and read the file with this metadata. Only regular files and directories count: whoever opened a pipe or a
/// terminal is responsible for it. If others may read it, it warns once per path.
///
/// # Errors
/// Others may change it.
pub fn check(path: &Path, metadata: &Metadata) -> Result<(), ExposedFile> {
    if !metadata.is_file() && !metadata.is_dir() {
        return Ok(());
    }
    let own = own_user();
    refuse_writers(path, metadata)?;
    if let Some(who) = others(metadata, own, GROUP_READS, OTHERS_READ)
        && is_first(path)
    {
        let path = path.display();
        tracing::warn!(
            event = "path.expose", %path, %who, help = format!("run chmod go-rwx {path}"),
            "other users may read it"
        );
    }
    Ok(())
}

/// Checks who may change the file with this metadata.
///
/// # Errors
/// Others may change it.
pub fn refuse_writers(path: &Path, metadata: &Metadata) -> Result<(), ExposedFile> {
    match writers(metadata, own_user()) {
        Some(who) => Err(ExposedFile { path: path.to_owned(), who }),
        None => Ok(()),
    }
}

/// Checks that the file with this metadata belongs to this user or root.
///
/// # Errors
/// It belongs to another user.
pub fn refuse_owner(path: &Path, metadata: &Metadata) -> Result<(), ExposedFile> {
    match stranger(metadata, own_user()) {
        Some(who) => Err(ExposedFile { path: path.to_owned(), who }),
        None => Ok(()),
    }
}

/// Checks that nobody else may make files in this directory, not even as in `/tmp`, where every user owns their own files.
///
/// # Errors
/// Others may. The source is an [`ExposedFile`] if they may change the files of this user, too.
pub fn refuse_makers(path: &Path, metadata: &Metadata) -> io::Result<()> {
    refuse_writers(path, metadata).map_err(io::Error::other)?;
    match others(metadata, own_user(), GROUP_WRITES, OTHERS_WRITE) {
        Some(who) => Err(io::Error::other(format!("{who} may make files in {}", path.display()))),
        None => Ok(()),
    }
}

/// Reads a file with a secret, after checking who else may change and read it.
///
/// # Errors
/// It cannot be read, has more than 64 KiB, or others may change it: then the source is an [`ExposedFile`].
pub fn read_secret(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    check(path, &file.metadata()?).map_err(io::Error::other)?;
    let mut secret = String::new();
    file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut secret)?;
    if u64::try_from(secret.len()).is_ok_and(|bytes| bytes > MAX_SECRET_BYTES) {
        return Err(io::Error::other(format!("it has more than {} KiB", MAX_SECRET_BYTES >> 10)));
    }
    Ok(secret)
}

/// Makes a directory that nobody else may read, with its parents; or checks who may change an existing one.
///
/// # Errors
/// It cannot be made, or others may change it: then the source is an [`ExposedFile`].
pub fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    check(path, &std::fs::metadata(path)?).map_err(io::Error::other)
}

fn writers(metadata: &Metadata, own: Option<u32>) -> Option<OtherUsers> {
    if let Some(owner) = stranger(metadata, own) {
        return Some(owner);
    }
    // In such a directory, only owners may change their files.
    let is_sticky = metadata.is_dir() && metadata.mode() & 0o1000 != 0;
    others(metadata, own, GROUP_WRITES, OTHERS_WRITE).filter(|_| !is_sticky)
}

/// Returns the owner, if it is another user.
fn stranger(metadata: &Metadata, own: Option<u32>) -> Option<OtherUsers> {
    let owner = metadata.uid();
    // Root may always do everything.
    let is_other = own.is_some_and(|own| owner != own) && owner != 0;
    is_other.then_some(OtherUsers::Owner(owner))
}

fn others(metadata: &Metadata, own: Option<u32>, of_group: u32, of_others: u32) -> Option<OtherUsers> {
    let (mode, group) = (metadata.mode(), metadata.gid());
    if mode & of_others != 0 {
        return Some(OtherUsers::Everybody);
    }
    // Root's group, and the personal group that many systems give each user, with the user's number: that of the owner, or that of this
    // user, for example of a volume that root made for it.
    let is_own = group == 0 || group == metadata.uid() || Some(group) == own;
    (mode & of_group != 0 && !is_own).then_some(OtherUsers::Group(group))
}

/// Returns the number of the user that this process runs as. None: the system does not report it.
fn own_user() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    users.split_whitespace().nth(1)?.parse().ok()
}

/// Returns whether this path was never logged before, and remembers it.
fn is_first(path: &Path) -> bool {
    static REPORTED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
    REPORTED.lock().insert(path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn with_mode(path: &Path, mode: u32) -> Metadata {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        std::fs::metadata(path).unwrap()
    }

    #[test]
    fn a_file_that_others_may_change_is_refused_with_the_remedy() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("uri");
        std::fs::write(&file, "mongodb://u:p@h\n").unwrap();
        for mode in [0o600, 0o400, 0o644, 0o640, 0o444] {
            check(&file, &with_mode(&file, mode)).unwrap();
        }
        for mode in [0o602, 0o666, 0o646] {
            let exposed = check(&file, &with_mode(&file, mode)).unwrap_err();
            assert_eq!(exposed.who, OtherUsers::Everybody, "{mode:o}");
            let said = exposed.to_string();
            assert!(said.contains(&format!("help: run chmod go-w {}", file.display())), "{said}");
        }
        assert!(read_secret(&file).unwrap_err().to_string().contains("may be changed by every user"));
        with_mode(&file, 0o600);
        assert_eq!(read_secret(&file).unwrap(), "mongodb://u:p@h\n");
    }

    #[test]
    fn a_file_of_another_user_is_recognized() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = with_mode(file.path(), 0o600);
        assert_eq!(writers(&metadata, Some(metadata.uid())), None);
        let other = Some(metadata.uid() + 1);
        let expected = (metadata.uid() != 0).then_some(OtherUsers::Owner(metadata.uid()));
        assert_eq!(writers(&metadata, other), expected, "root's are trusted");
        assert_eq!(own_user(), Some(metadata.uid()));
    }

    #[test]
    fn a_directory_is_made_for_this_user_alone() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("a/b");
        directory(&path).unwrap();
        for made in [&path, &above.path().join("a")] {
            assert_eq!(std::fs::metadata(made).unwrap().mode() & 0o777, 0o700, "{}", made.display());
        }
        with_mode(&path, 0o777);
        assert!(directory(&path).unwrap_err().to_string().contains("may be changed by every user"));
        with_mode(&path, 0o755);
        directory(&path).unwrap();
    }

    #[test]
    fn a_shared_directory_is_distinguished_from_a_private_one() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o700, 0o755, 0o1755] {
            refuse_makers(directory.path(), &with_mode(directory.path(), mode)).unwrap();
        }
        let metadata = with_mode(directory.path(), 0o1777);
        refuse_writers(directory.path(), &metadata).unwrap();
        let said = refuse_makers(directory.path(), &metadata).unwrap_err().to_string();
        assert_eq!(
            said,
            format!("every user of this machine may make files in {}", directory.path().display())
        );
        with_mode(directory.path(), 0o700);
    }

    #[test]
    fn a_pipe_is_not_a_regular_file() {
        check(Path::new("/dev/null"), &std::fs::metadata("/dev/null").unwrap()).unwrap();
    }
}
