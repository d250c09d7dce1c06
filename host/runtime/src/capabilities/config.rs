//! `wasi:config/store`: the plugin's own settings.

use wasmtime::component::Linker;
use wasmtime_wasi_config::WasiConfig;

use crate::state::InstanceState;

/// Always granted.
pub(crate) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    wasmtime_wasi_config::add_to_linker(linker, |state| WasiConfig::from(&state.config))
}
