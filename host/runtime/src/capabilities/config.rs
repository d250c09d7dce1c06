//! `gtm:plugin/config`, and `wasi:config/store` for plugins that import it: the plugin's own settings.

use wasmtime::component::HasSelf;
use wasmtime_wasi_config::WasiConfig;

use super::{Capability, Linking};
use crate::abi::v0_2::config::{self, Host};
use crate::state::InstanceState;

/// The capability, which every plugin has.
pub(crate) struct Config;

impl Capability for Config {
    const NAME: &'static str = "config";
    const IMPORTS: &'static [&'static str] = &["gtm:plugin/config", "wasi:config/store"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        let linker = &mut linking.linker;
        wasmtime_wasi_config::add_to_linker(linker, |state| WasiConfig::from(&state.wasi_config))?;
        config::add_to_linker::<InstanceState, HasSelf<InstanceState>>(linker, |state| state)
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        Self::link(linking)
    }
}

impl Host for InstanceState {
    fn get(&mut self, name: String) -> Option<String> {
        self.config.get(&name).cloned()
    }

    fn get_all(&mut self) -> Vec<(String, String)> {
        self.config.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}
