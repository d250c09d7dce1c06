//! The plugin's settings: `--set KEY=VALUE`, or its `config` table in `gtm.toml`.

#[cfg(target_family = "wasm")]
use crate::bindings::wasi::config::store;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host::config as store;

/// The value set for `key`, or none where it is not set.
pub fn get(key: &str) -> Option<String> {
    // The host answers from memory: its store has no error to give.
    store::get(key).unwrap_or_default()
}

/// All that is set, in no particular order.
pub fn all() -> Vec<(String, String)> {
    store::get_all().unwrap_or_default()
}
