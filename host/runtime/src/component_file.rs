//! Reads the file of a component, and checks what it imports before it is linked.

use std::fs::File;
use std::io::Read;

use rustix::fs::{Mode, OFlags};
use wasmtime::component::Component;

use super::capabilities::{ALWAYS, GRANTED, without_version};
use super::component_path::ComponentPath;
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

pub(super) fn open(component: &ComponentPath) -> Result<File, LoadError> {
    // Opening a pipe must not wait for a writer; and the file that is checked must be the one that is read.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&component.path, flags, Mode::empty()).map_err(std::io::Error::from);
    opened.map(File::from).map_err(|reason| match reason.kind() {
        std::io::ErrorKind::NotFound => LoadError::Missing { component: component.clone() },
        _ => LoadError::Unreadable { component: component.clone(), reason },
    })
}

/// Reads the file, and checks that it is a component.
pub(super) fn read(file: File, component: &ComponentPath) -> Result<Vec<u8>, LoadError> {
    let component = || component.clone();
    let failed = |reason: std::io::Error| LoadError::Unreadable { component: component(), reason };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(LoadError::NoFile { component: component() });
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(LoadError::TooLarge { component: component() });
    }
    let mut bytes = Vec::new();
    // The file may grow.
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE_BYTES) {
        return Err(LoadError::TooLarge { component: component() });
    }
    // The magic number, then a version: 1 is a core module, 13 with layer 1 a component.
    match bytes.as_slice() {
        [] => Err(LoadError::Empty { component: component() }),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(match unsupported(&bytes) {
            // Converting it into a component would not help.
            Some(what) => LoadError::Unsupported { component: component(), what },
            None if is_wasi_0_1(&bytes) => LoadError::Wasi01 { component: component() },
            None => LoadError::CoreModule { component: component() },
        }),
        [0, b'a', b's', b'm', ..] => Ok(bytes),
        _ => Err(LoadError::NotWasm { component: component() }),
    }
}

/// Checks the imports of a component and returns them.
pub(super) fn check_imports(
    engine: &Engine,
    component: &Component,
    stamp: &Stamp,
    named: &ComponentPath,
) -> Result<Vec<String>, LoadError> {
    let component_type = component.component_type();
    let imports: Vec<_> =
        component_type.imports(engine.wasmtime()).map(|(name, _)| name.to_owned()).collect();
    // The contract first: a newer one explains an unknown import.
    let versions = imports.iter().filter_map(|import| contract::version(import));
    for version in stamp.contract.clone().into_iter().chain(versions) {
        match contract::fit(version) {
            ContractFit::Same => {}
            ContractFit::Newer(built) => {
                return Err(LoadError::NewerContract { component: named.clone(), built });
            }
            ContractFit::Older(built) => {
                return Err(LoadError::OlderContract { component: named.clone(), built });
            }
        }
    }
    if imports.iter().any(|import| is_newer_wasi(import)) {
        return Err(LoadError::Unsupported { component: named.clone(), what: WASI_0_3 });
    }
    let capabilities = ALWAYS.iter().map(|capability| capability.imports);
    let capabilities = capabilities.chain(GRANTED.iter().map(|capability| capability.imports));
    let contract: Vec<_> = capabilities.flatten().copied().chain(TYPES).collect();
    let known = |import: &str| {
        WASI.iter().any(|known| import.starts_with(known)) || contract.contains(&without_version(import))
    };
    match imports.iter().find(|import| !known(import)) {
        Some(import) => Err(LoadError::UnknownImport { component: named.clone(), import: import.clone() }),
        None => Ok(imports),
    }
}
