//! The directories from which a swap may take files, if a client names a file to a running host.
//!
//! A file is opened without being read, its path is checked with all links resolved, and then the same file is read. The path is that
//! of this process: a process in a container has other files at the same paths.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::component_path::ComponentPath;
use super::load_error::LoadError;
use super::setup::ComponentKind;

/// The directories from which a swap may take files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwapFrom {
    /// Directories whose files may be taken.
    pub directories: Vec<PathBuf>,
    /// Directories whose files may be taken, with those in their subdirectories.
    pub trees: Vec<PathBuf>,
    /// For each plugin, the directory of its own file, which may be taken from, too.
    pub own: BTreeMap<String, PathBuf>,
}

impl SwapFrom {
    /// Opens a file for a plugin.
    ///
    /// # Errors
    /// It cannot be opened, is not a regular file, or is in another directory.
    pub(super) fn open(&self, plugin: &str, path: &Path) -> Result<File, LoadError> {
        let component = || ComponentPath::new(ComponentKind::Plugin, path);
        let unreadable = |reason| LoadError::Unreadable { component: component(), reason };
        let (file, at) = handle::open(path).map_err(unreadable)?;
        if !self.covers(plugin, &at) {
            return Err(LoadError::Elsewhere { component: component(), at, from: self.in_words(plugin) });
        }
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(LoadError::NoFile { component: component() });
        }
        handle::readable(file).map_err(unreadable)
    }

    /// Lists the directories from which a plugin may take files.
    fn in_words(&self, plugin: &str) -> String {
        let direct = self.own.get(plugin).into_iter().chain(&self.directories);
        let direct = direct.map(|directory| directory.display().to_string());
        let trees = self.trees.iter().map(|tree| format!("{} (with its subdirectories)", tree.display()));
        let all: Vec<_> = direct.chain(trees).collect();
        match all.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} and {last}", others.join(", ")),
            None => "nowhere".to_owned(),
        }
    }

    /// Returns whether a plugin may take the file at this path, which has no links in it.
    fn covers(&self, plugin: &str, at: &Path) -> bool {
        let Some(parent) = at.parent() else { return false };
        let resolved = |directory: &PathBuf| directory.canonicalize().ok();
        let mut direct = self.directories.iter().chain(self.own.get(plugin)).filter_map(resolved);
        let mut trees = self.trees.iter().filter_map(resolved);
        direct.any(|directory| directory == parent) || trees.any(|tree| parent.starts_with(tree))
    }
}

/// Checks that this is the file at this path, which has no links in it.
fn same(file: &File, at: &Path) -> io::Result<()> {
    let (opened, there) = (file.metadata()?, std::fs::symlink_metadata(at)?);
    let is_same = (opened.dev(), opened.ino()) == (there.dev(), there.ino());
    if is_same { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Opens a file without reading it, so that a device or a pipe does nothing, returns its path, and makes it readable.
#[cfg(target_os = "linux")]
mod handle {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd;
    use std::path::{Path, PathBuf};

    use rustix::fs::{Mode, OFlags, open as open_with};

    pub(super) fn open(path: &Path) -> io::Result<(File, PathBuf)> {
        let file = File::from(open_with(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?);
        let at = std::fs::read_link(of(&file))?;
        // The path may belong to another mount namespace, and a removed file has none.
        super::same(&file, &at).map(|()| (file, at))
    }

    pub(super) fn readable(file: File) -> io::Result<File> {
        File::open(of(&file))
    }

    fn of(file: &File) -> String {
        format!("/proc/self/fd/{}", file.as_raw_fd())
    }
}

#[cfg(not(target_os = "linux"))]
mod handle {
    use std::fs::File;
    use std::io;
    use std::path::{Path, PathBuf};

    use rustix::fs::{Mode, OFlags, open as open_with};

    pub(super) fn open(path: &Path) -> io::Result<(File, PathBuf)> {
        let at = path.canonicalize()?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(open_with(&at, flags, Mode::empty())?);
        // A directory of the path may have become a link meanwhile: then another file is there, or the path leads elsewhere.
        super::same(&file, &at)?;
        if at.canonicalize()? == at { Ok((file, at)) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(super) fn readable(file: File) -> io::Result<File> {
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_judged_by_its_own_path_and_not_by_a_link() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        for directory in ["own/below", "named/below", "elsewhere"] {
            std::fs::create_dir_all(at(directory)).unwrap();
        }
        let files = ["own/a", "own/below/a", "named/a", "named/below/a", "elsewhere/a"];
        files.iter().for_each(|file| std::fs::write(at(file), *file).unwrap());
        symlink(at("elsewhere/a"), at("own/out")).unwrap();
        symlink(at("own/a"), at("elsewhere/in")).unwrap();
        symlink(at("named"), at("link")).unwrap();
        let from = SwapFrom {
            directories: Vec::new(),
            trees: vec![at("link")],
            own: [("p".to_owned(), at("own"))].into(),
        };
        let taken = |plugin: &str, file: &str| {
            let mut read = String::new();
            from.open(plugin, &at(file)).map(|mut file| file.read_to_string(&mut read).map(|_| read))
        };
        for (file, is) in [
            ("own/a", "own/a"),
            ("elsewhere/in", "own/a"),
            ("elsewhere/../own/a", "own/a"),
            ("named/a", "named/a"),
            ("named/below/a", "named/below/a"),
            ("link/below/a", "named/below/a"),
        ] {
            assert_eq!(taken("p", file).unwrap().unwrap(), is, "{file}");
        }
        for file in
            ["own/out", "own/below/a", "elsewhere/a", "own/../elsewhere/a", "/dev/null", "/etc/passwd"]
        {
            assert!(matches!(taken("p", file), Err(LoadError::Elsewhere { .. })), "{file}");
        }
        assert!(matches!(taken("q", "own/a"), Err(LoadError::Elsewhere { .. })), "another plugin's");
        let refused = taken("p", "elsewhere/a").unwrap_err().to_string();
        let (own, link) = (at("own"), at("link"));
        let said = format!(
            "swaps take files only from {} and {} (with its subdirectories)",
            own.display(),
            link.display()
        );
        assert!(refused.contains(&said), "{refused}");
        assert!(matches!(taken("p", "own/none"), Err(LoadError::Unreadable { .. })));
        assert!(matches!(taken("p", "named/below"), Err(LoadError::NoFile { .. })));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_is_not_at_its_path_is_refused() {
        use std::os::fd::AsRawFd;

        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a");
        std::fs::write(&path, "removed").unwrap();
        let open = File::open(&path).unwrap();
        // The link of a process leads to the file itself. Here its path is that of another file, as with another mount namespace.
        let link = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        let from = SwapFrom { directories: vec![place.path().to_owned()], ..SwapFrom::default() };
        from.open("p", &link).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(from.open("p", &link), Err(LoadError::Unreadable { .. })), "there is none");
        std::fs::write(std::fs::read_link(&link).unwrap(), "another").unwrap();
        assert!(matches!(from.open("p", &link), Err(LoadError::Unreadable { .. })), "there is another");
    }

    #[test]
    fn the_checked_file_is_the_one_that_is_read() {
        let place = tempfile::tempdir().unwrap();
        let (own, other) = (place.path().join("own"), place.path().join("other"));
        std::fs::write(&own, "own").unwrap();
        std::fs::write(&other, "other").unwrap();
        let (file, _) = handle::open(&own).unwrap();
        // Another file replaces it in between.
        std::fs::rename(&other, &own).unwrap();
        let mut read = String::new();
        handle::readable(file).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "own");
    }
}
