//! `wasi:config/store`: the plugin's own settings.

use wasmtime_wasi_config::WasiConfig;

use super::{Capability, Linking};

/// The capability, which every plugin has.
pub(crate) struct Config;

impl Capability for Config {
    const NAME: &'static str = "config";
    const IMPORTS: &'static [&'static str] = &["wasi:config/store"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        wasmtime_wasi_config::add_to_linker(&mut linking.linker, |state| WasiConfig::from(&state.config))
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        Self::link(linking)
    }
}
