//! `gtm:plugin/metrics`: the plugin's own numbers.

use wasmtime::component::{HasSelf, Linker};

use crate::bindings::metrics::{self, Host};
use crate::metrics::NotKept;
use crate::state::{InstanceRole, InstanceState};

/// Always granted.
pub(crate) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    metrics::add_to_linker::<InstanceState, HasSelf<InstanceState>>(linker, |state| state)
}

impl InstanceState {
    /// In a filter, which may see an op more than once, nothing is counted.
    fn counts(&self) -> bool {
        self.role == InstanceRole::Handler
    }

    fn say(&self, kept: Result<(), NotKept>) {
        let plugin = &*self.setup.name;
        match kept {
            Ok(()) => {}
            Err(NotKept::Name) => tracing::warn!(
                plugin,
                "it counts under more than 100 names, or one that is empty or longer than 100 bytes: what is too much is \
                 not kept"
            ),
            Err(NotKept::NotFinite) => tracing::warn!(
                plugin,
                op = self.op,
                "the plugin set or recorded a number that is not finite (NaN or infinity): the host does not keep such numbers"
            ),
        }
    }
}

impl Host for InstanceState {
    fn count(&mut self, name: String, by: u64) {
        if self.counts() {
            self.say(self.shared.metrics.count(&name, by));
        }
    }

    fn gauge(&mut self, name: String, value: f64) {
        if self.counts() {
            self.say(self.shared.metrics.gauge(&name, value));
        }
    }

    fn record_value(&mut self, name: String, value: f64) {
        if self.counts() {
            self.say(self.shared.metrics.record(&name, value));
        }
    }
}
