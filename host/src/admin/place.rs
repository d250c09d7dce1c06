//! The directories and names of this user's sockets and tokens, for hosts and commands alike.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use gtm_store::own_files::refuse_makers;

/// The name of the directory for these files.
const NAME: &str = "gtm-host";
/// The extension of the name of a socket.
const SOCKET_EXTENSION: &str = "sock";
/// The maximum number of hosts with one name on one machine. Each has its own socket.
pub(super) const MAX_HOSTS: usize = 64;
/// The maximum number of bytes of a pipeline's name in the name of its socket. The path of a socket has at most 107 bytes.
const MAX_NAME_BYTES: usize = 40;

/// Returns the number of this user.
pub(super) fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns the directories in which the files may be, in the order of preference.
pub(super) fn directories() -> Vec<PathBuf> {
    let user = own_user();
    let set = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty()).map(PathBuf::from);
    let of_user = [set, Some(format!("/run/user/{user}").into()), Some("/run".into())];
    let mut all: Vec<_> = of_user.into_iter().flatten().map(|base| base.join(NAME)).collect();
    // Other users have their files there, too.
    all.push(std::env::temp_dir().join(format!("{NAME}-{user}")));
    all
}

/// Makes such a directory for this user alone, unless it exists. Its parent must exist.
///
/// # Errors
/// Fails if it cannot be made, or others may change it.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    check(directory)
}

/// Checks that nobody else may put files into such a directory.
///
/// # Errors
/// Fails if it does not exist, or others may change it.
pub(super) fn check(directory: &Path) -> io::Result<()> {
    // Does not follow a link: whoever made the link can change where it leads.
    let metadata = std::fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other(format!("{} is not a directory", directory.display())));
    }
    refuse_makers(directory, &metadata)
}

/// Returns the possible names of the socket of a host of this pipeline. A host takes the first free one.
pub(super) fn sockets(pipeline: &str) -> impl Iterator<Item = String> {
    let stem = stem(pipeline);
    (1..=MAX_HOSTS).map(move |number| match number {
        1 => format!("{stem}.{SOCKET_EXTENSION}"),
        _ => format!("{stem}.{number}.{SOCKET_EXTENSION}"),
    })
}

/// Returns whether a file has the name of a socket.
pub(super) fn is_socket(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == SOCKET_EXTENSION)
}

/// Returns the name of a pipeline as a part of a file name. Different pipelines have different ones.
fn stem(pipeline: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    if pipeline.len() <= MAX_NAME_BYTES && pipeline.chars().all(is_plain) && !pipeline.starts_with('.') {
        return pipeline.to_owned();
    }
    let plain: String = pipeline.chars().filter(|c| c.is_ascii_alphanumeric()).take(16).collect();
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(pipeline));
    format!("{plain}-{}", digest.get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn each_pipeline_has_names_of_its_own() {
        let first = |pipeline: &str| sockets(pipeline).next().unwrap();
        assert_eq!(sockets("shop").take(3).collect::<Vec<_>>(), ["shop.sock", "shop.2.sock", "shop.3.sock"]);
        let odd = ["a/b", "a.b/", "../x", ".x", "ä", "ab ", &"a".repeat(100), &"a".repeat(101)];
        for (index, name) in odd.iter().enumerate() {
            let file = first(name);
            assert!(file.len() <= 40 && !file.contains('/') && !file.starts_with('.'), "{file}");
            assert!(odd.iter().skip(index + 1).all(|other| first(other) != file), "{name}");
        }
    }

    #[test]
    fn a_directory_that_others_may_change_is_not_used() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("gtm-host");
        make(&directory).unwrap();
        assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
        for mode in [0o777, 0o1777] {
            std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(make(&directory).is_err(), "{mode:o}");
        }
        let link = above.path().join("link");
        std::os::unix::fs::symlink(above.path(), &link).unwrap();
        assert!(make(&link).is_err() && make(&above.path().join("no/such")).is_err());
    }
}
