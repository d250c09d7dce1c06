//! Reads the file of a component, and checks what it imports before it is linked.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use wasmtime::component::Component;

use super::capabilities::{ALWAYS, GRANTED, without_version};
use super::contract::{self, ContractFit};
use super::engine::Engine;
use super::features::{WASI_0_3, is_newer_wasi, is_wasi_0_1, unsupported};
use super::limits::MAX_FILE_BYTES;
use super::load_error::LoadError;
use super::stamp::Stamp;

/// The interfaces that every plugin can import in addition to the contract: WASI, which reaches nothing outside of the sandbox without
/// a grant.
const WASI: &[&str] = &[
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:config/",
    "wasi:filesystem/",
    #[cfg(feature = "http")]
    "wasi:http/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];
/// The interfaces of the contract that have only types.
const TYPES: [&str; 2] = ["gtm:plugin/subscriptions", "gtm:plugin/types"];

pub(super) fn open(path: &Path) -> Result<File, LoadError> {
    // Opening a pipe must not wait for a writer; and the file that is checked must be the one that is read.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from);
    opened.map(File::from).map_err(|reason| match reason.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing { path: path.to_owned() },
        _ => LoadError::Unreadable { path: path.to_owned(), reason },
    })
}

/// Reads the file, and checks that it is a component.
pub(super) fn read(file: File, path: &Path) -> Result<Vec<u8>, LoadError> {
    let path = || path.to_owned();
    let failed = |reason: std::io::Error| LoadError::Unreadable { path: path(), reason };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(LoadError::NoFile { path: path() });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { path: path() });
    }
    let mut bytes = Vec::new();
    // The file may grow.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(LoadError::TooLarge { path: path() });
    }
    // The magic number, then a version: 1 is a core module, 13 with layer 1 a component.
    match bytes.as_slice() {
        [] => Err(LoadError::Empty { path: path() }),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(match unsupported(&bytes) {
            // Converting it into a component would not help.
            Some(what) => LoadError::Unsupported { path: path(), what },
            None if is_wasi_0_1(&bytes) => LoadError::Wasi01 { path: path() },
            None => LoadError::CoreModule { path: path() },
        }),
        [0, b'a', b's', b'm', ..] => Ok(bytes),
        _ => Err(LoadError::NotWasm { path: path() }),
    }
}

/// Checks the imports of a component and returns them.
pub(super) fn check_imports(
    engine: &Engine,
    component: &Component,
    stamp: &Stamp,
    path: &Path,
) -> Result<Vec<String>, LoadError> {
    let path = path.to_owned();
    let component_type = component.component_type();
    let imports: Vec<_> =
        component_type.imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
    // The contract first: a newer one explains an unknown import.
    let versions = imports.iter().filter_map(|import| contract::version(import));
    for version in stamp.contract.clone().into_iter().chain(versions) {
        match contract::fit(version) {
            ContractFit::Same => {}
            ContractFit::Newer(built) => return Err(LoadError::NewerContract { path, built }),
            ContractFit::Older(built) => return Err(LoadError::OlderContract { path, built }),
        }
    }
    if imports.iter().any(|import| is_newer_wasi(import)) {
        return Err(LoadError::Unsupported { path, what: WASI_0_3 });
    }
    let capabilities = ALWAYS.iter().map(|capability| capability.imports);
    let capabilities = capabilities.chain(GRANTED.iter().map(|capability| capability.imports));
    let contract: Vec<_> = capabilities.flatten().copied().chain(TYPES).collect();
    let known = |import: &str| {
        WASI.iter().any(|known| import.starts_with(known)) || contract.contains(&without_version(import))
    };
    match imports.iter().find(|import| !known(import)) {
        Some(import) => Err(LoadError::UnknownImport { path, import: import.clone() }),
        None => Ok(imports),
    }
}
