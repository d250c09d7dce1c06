//! The plugin's own metrics. They appear in `gtm-host status --output json` and at `/metrics` of the host.
//!
//! A name has 1 to 100 bytes, and a plugin has at most 100 metrics of each kind. In a filter, the calls have no effect.

#[cfg(target_family = "wasm")]
use crate::bindings::gtm::plugin::metrics as host;
#[cfg(not(target_family = "wasm"))]
use crate::testing::host::metrics as host;

/// Adds to a counter.
pub fn count(name: &str, by: u64) {
    host::count(name, by);
}

/// Sets a gauge.
pub fn gauge(name: &str, value: f64) {
    host::gauge(name, value);
}

/// Adds a value to a histogram, whose buckets double from 0.001 to about 1000: seconds, for example.
pub fn record(name: &str, value: f64) {
    host::record_value(name, value);
}
