//! `gtm:plugin/metrics`: metrics that the plugin records.

use wasmtime::component::HasSelf;

use super::{Capability, Linking};
use crate::abi::{v0_1, v0_2};
use crate::metrics::{MAX_NAME_BYTES, MAX_NAMES, MetricRefusal};
use crate::state::{InstanceRole, InstanceState};

/// The capability, which every plugin has.
pub(crate) struct Metrics;

impl Capability for Metrics {
    const NAME: &'static str = "metrics";
    const IMPORTS: &'static [&'static str] = &["gtm:plugin/metrics"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        v0_1::metrics::add_to_linker::<InstanceState, HasSelf<InstanceState>>(
            &mut linking.linker,
            |state| state,
        )?;
        v0_2::metrics::add_to_linker::<InstanceState, HasSelf<InstanceState>>(&mut linking.linker, |state| {
            state
        })
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        Self::link(linking)
    }
}

impl InstanceState {
    /// Returns whether metrics are recorded: not in a filter, which may see an op more than once.
    fn counts(&self) -> bool {
        self.call.role == InstanceRole::Handler
    }

    fn report(&self, kept: Result<(), MetricRefusal>) {
        let plugin = &*self.call.setup.name;
        match kept {
            Ok(()) => {}
            Err(MetricRefusal::Name) => tracing::warn!(
                event = "metric.drop_name",
                plugin,
                max_names = MAX_NAMES,
                max_name_bytes = MAX_NAME_BYTES,
                "the plugin uses too many metric names, or one that is empty or too long; the host does not keep those"
            ),
            Err(MetricRefusal::NotFinite) => tracing::warn!(
                event = "metric.drop_value",
                plugin,
                op = self.call.op,
                "the plugin set or recorded a number that is not finite (NaN or infinity); the host does not keep such numbers"
            ),
        }
    }
}

/// Implements the interface, which is the same in all contracts.
macro_rules! metrics_of {
    ($contract:ident) => {
        impl $contract::metrics::Host for InstanceState {
            fn count(&mut self, name: String, by: u64) {
                if self.counts() {
                    self.report(self.call.shared.metrics.count(&name, by));
                }
            }

            fn gauge(&mut self, name: String, value: f64) {
                if self.counts() {
                    self.report(self.call.shared.metrics.gauge(&name, value));
                }
            }

            fn record_value(&mut self, name: String, value: f64) {
                if self.counts() {
                    self.report(self.call.shared.metrics.record(&name, value));
                }
            }
        }
    };
}
metrics_of!(v0_1);
metrics_of!(v0_2);
