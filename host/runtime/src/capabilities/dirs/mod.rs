//! Directories of this machine, in `wasi:filesystem`.

mod listing;

use std::path::PathBuf;

use serde::Deserialize;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::filesystem::FsPerms;

use super::{Capability, GrantedCapability, Linking};
use crate::Limits;
use crate::load_error::SetupError;
use crate::setup::Setup;
use crate::state::CallContext;

/// The capability. Every program imports the interface, so an import does not show whether the plugin needs it.
pub(crate) struct Dirs;

/// A directory that a plugin may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirGrant {
    /// The path on this machine.
    pub host: PathBuf,
    /// The path in the plugin: `/templates`.
    pub guest: String,
    /// Whether the plugin may write there.
    #[serde(default)]
    pub write: bool,
}

impl Capability for Dirs {
    const NAME: &'static str = "dirs";
    const IMPORTS: &'static [&'static str] = &[];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        match linking.setup.grants.dirs.is_empty() {
            true => Ok(()),
            false => listing::link(&mut linking.linker),
        }
    }
}

impl GrantedCapability for Dirs {
    type Grant = Vec<DirGrant>;
    type Prepared = ();
    type Shared = ();
    type Instance = ();

    const FORMS: &'static [&'static str] = &["dir=HOST:GUEST", "dir-write=HOST:GUEST"];

    fn parse(name: &str, value: Option<&str>) -> Option<Result<Vec<DirGrant>, String>> {
        let write = match name {
            "dir" => false,
            "dir-write" => true,
            _ => return None,
        };
        // The last colon: a path on this machine may contain one.
        Some(match value?.rsplit_once(':') {
            Some((host, guest)) if !host.is_empty() && !guest.is_empty() => {
                Ok(vec![DirGrant { host: host.into(), guest: guest.to_owned(), write }])
            }
            _ => Err(format!("expected HOST:GUEST, as in {name}=./templates:/templates")),
        })
    }

    fn merge(granted: &mut Vec<DirGrant>, more: Vec<DirGrant>) {
        granted.extend(more);
    }

    fn describe(granted: &Vec<DirGrant>) -> String {
        let described = |dir: &DirGrant| {
            let write = if dir.write { ", to write" } else { "" };
            format!("{} as {}{write}", dir.host.display(), dir.guest)
        };
        granted.iter().map(described).collect::<Vec<_>>().join(", ")
    }

    fn prepare(plugin: &str, granted: &Vec<DirGrant>, _: &Limits) -> Result<(), SetupError> {
        match granted.iter().find(|dir| !dir.host.is_dir()) {
            Some(dir) => Err(SetupError::NoDirectory { plugin: plugin.to_owned(), path: dir.host.clone() }),
            None => Ok(()),
        }
    }

    fn instance(_: &CallContext) {}

    fn open(setup: &Setup, wasi: &mut WasiCtxBuilder) -> wasmtime::Result<()> {
        for dir in &setup.grants.dirs {
            let access = if dir.write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&dir.host, &dir.guest, access)?;
        }
        Ok(())
    }
}
