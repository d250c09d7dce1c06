//! Lists a granted directory: entries are read when the plugin asks for them, and never kept all together.
//!
//! wasmtime's own listing reads all entries when it is opened, and keeps them until it is dropped. With that, a plugin could use any
//! amount of the host's memory in a directory with a million files.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::Descriptor;
use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorType, DirectoryEntry, ErrorCode};

use crate::budget::Charge;
use crate::component::bound_arguments;
use crate::state::InstanceState;

/// Entries that are read together, on a thread for blocking work.
const READ_AHEAD_ENTRIES: usize = 128;
/// Bytes that are charged for a listing: its entries with the longest possible names (255 bytes), and the buffer of the system.
const LISTING_BYTES: usize = 64 * 1024;

/// The interface that a component imports.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// An open listing.
struct Listing {
    /// None: it has reached the end, or failed.
    rest: Option<Dir>,
    read: VecDeque<Result<DirectoryEntry, ErrorCode>>,
    directory: Arc<File>,
    _charge: Charge,
}

/// Replaces wasmtime's listings in a linker.
pub(super) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.resource("directory-entry-stream", ResourceType::host::<Listing>(), |mut store, listing| {
        store.data_mut().ctx().table.delete(Resource::<Listing>::new_own(listing))?;
        Ok(())
    })?;
    types.func_wrap_async("[method]descriptor.read-directory", |store, (directory,)| {
        Box::new(async move { Ok((open(store, &directory).await?,)) })
    })?;
    types.func_wrap_async("[method]directory-entry-stream.read-directory-entry", |store, (listing,)| {
        Box::new(async move { Ok((next(store, &listing).await?,)) })
    })?;
    linker.allow_shadowing(false);
    Ok(())
}

async fn open(
    mut store: StoreContextMut<'_, InstanceState>,
    directory: &Resource<Descriptor>,
) -> wasmtime::Result<Result<Resource<Listing>, ErrorCode>> {
    let state = store.data_mut();
    let directory = match state.ctx().table.get(directory)? {
        Descriptor::Dir(directory) => Arc::clone(&directory.dir),
        Descriptor::File(_) => return Ok(Err(ErrorCode::NotDirectory)),
    };
    let charge = state.call.budget.charge(LISTING_BYTES)?;
    let opened = Arc::clone(&directory);
    let rest = match blocking(move || listed(&opened)).await {
        Ok(rest) => rest,
        Err(error) => return Ok(Err(error.into())),
    };
    let listing = Listing { rest: Some(rest), read: VecDeque::new(), directory, _charge: charge };
    let listing = state.ctx().table.push(listing)?;
    bound_arguments(&mut store);
    Ok(Ok(listing))
}

async fn next(
    mut store: StoreContextMut<'_, InstanceState>,
    listing: &Resource<Listing>,
) -> wasmtime::Result<Result<Option<DirectoryEntry>, ErrorCode>> {
    let table = store.data_mut().ctx().table;
    let Listing { rest, read, directory, .. } = table.get_mut(listing)?;
    if read.is_empty()
        && let Some(mut from) = rest.take()
    {
        let directory = Arc::clone(directory);
        (*rest, *read) = blocking(move || {
            let read: VecDeque<_> =
                std::iter::from_fn(|| entry(&mut from, &directory)).take(READ_AHEAD_ENTRIES).collect();
            let is_over = read.len() < READ_AHEAD_ENTRIES;
            ((!is_over).then_some(from), read)
        })
        .await;
    }
    Ok(read.pop_front().transpose())
}

/// Opens a directory at its first entry, independently of other readers.
fn listed(directory: &File) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(Dir::new(openat(directory, ".", flags, Mode::empty())?)?)
}

/// Returns the next entry. None: there are no more.
fn entry(from: &mut Dir, directory: &File) -> Option<Result<DirectoryEntry, ErrorCode>> {
    let found = loop {
        match from.read()? {
            Ok(found) if matches!(found.file_name().to_bytes(), b"." | b"..") => {}
            Ok(found) => break found,
            Err(error) => return Some(Err(io::Error::from(error).into())),
        }
    };
    let kind = match found.file_type() {
        // Some file systems do not return the type with the entry.
        FileType::Unknown => match statat(directory, found.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode),
            Err(error) => return Some(Err(io::Error::from(error).into())),
        },
        kind => kind,
    };
    let name = std::ffi::OsStr::from_bytes(found.file_name().to_bytes()).to_str();
    Some(match name {
        Some(name) => Ok(DirectoryEntry { type_: descriptor_type(kind), name: name.to_owned() }),
        None => Err(ErrorCode::IllegalByteSequence),
    })
}

fn descriptor_type(kind: FileType) -> DescriptorType {
    match kind {
        FileType::RegularFile => DescriptorType::RegularFile,
        FileType::Directory => DescriptorType::Directory,
        FileType::Symlink => DescriptorType::SymbolicLink,
        FileType::Fifo => DescriptorType::Fifo,
        FileType::Socket => DescriptorType::Socket,
        FileType::CharacterDevice => DescriptorType::CharacterDevice,
        FileType::BlockDevice => DescriptorType::BlockDevice,
        FileType::Unknown => DescriptorType::Unknown,
    }
}

/// Runs work that waits for a disk on a thread for blocking work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime shuts down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
