//! `gtm:plugin/log`: lines in the host's log, under the plugin's name and beside the id of the op in hand.

use std::time::Instant;

use wasmtime::component::HasSelf;

use super::{Capability, Linking};
use crate::bindings::log::{self, Host, Level};
use crate::call::cut;
use crate::state::InstanceState;

/// Every plugin has it.
pub(crate) struct Log;

impl Capability for Log {
    const NAME: &'static str = "log";
    const IMPORTS: &'static [&'static str] = &["gtm:plugin/log"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        log::add_to_linker::<InstanceState, HasSelf<InstanceState>>(&mut linking.linker, |state| state)
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        Self::link(linking)
    }
}

impl Host for InstanceState {
    fn log(&mut self, level: Level, message: String) {
        if !message.is_empty() {
            self.write_log(level, &indented(&cut(&message)));
        }
    }
}

/// A message of several lines, such as a stack trace, is one event. Its lines after the first are indented, so that a plugin's
/// cannot look like one of the host's.
fn indented(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join("\n    ")
}

impl InstanceState {
    /// Writes what the plugin printed in the call that is over.
    pub(crate) fn log_output(&self) {
        for line in self.output.take().lines().filter(|line| !line.trim().is_empty()) {
            self.write_log(Level::Info, line);
        }
    }

    fn write_log(&self, level: Level, message: &str) {
        if !self.call.shared.may_log(Instant::now(), &self.call.setup.limits, message.len()) {
            return;
        }
        let plugin = &*self.call.setup.name;
        let op = (!self.call.op.is_empty()).then_some(self.call.op.as_str());
        match level {
            Level::Trace => tracing::trace!(target: "plugin", event = "plugin.log", plugin, op, "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", event = "plugin.log", plugin, op, "{message}"),
            Level::Info => tracing::info!(target: "plugin", event = "plugin.log", plugin, op, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", event = "plugin.log", plugin, op, "{message}"),
            Level::Error => tracing::error!(target: "plugin", event = "plugin.log", plugin, op, "{message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_line_of_a_message_is_at_the_margin() {
        assert_eq!(indented("one line"), "one line");
        assert_eq!(
            indented("KeyError: 'email'\r\n  File \"a.py\"\n2026-01-01T00:00:00Z ERROR fake\n"),
            "KeyError: 'email'\n      File \"a.py\"\n    2026-01-01T00:00:00Z ERROR fake"
        );
    }
}
