//! `gtm:plugin/log`, and `wasi:logging` for plugins that import it: lines in the host's log, with the name of the plugin and the id of
//! the current op.

use std::time::Instant;

use wasmtime::component::HasSelf;

use super::{Capability, Linking};
use crate::abi::{generate, v0_1, v0_2};
use crate::call::cut;
use crate::state::InstanceState;

/// The capability, which every plugin has.
pub(crate) struct Log;

impl Capability for Log {
    const NAME: &'static str = "log";
    const IMPORTS: &'static [&'static str] = &["gtm:plugin/log", "wasi:logging/logging"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        type OfInstance = HasSelf<InstanceState>;
        let linker = &mut linking.linker;
        v0_1::log::add_to_linker::<InstanceState, OfInstance>(linker, |state| state)?;
        unversioned::logging::add_to_linker::<InstanceState, OfInstance>(linker, |state| state)?;
        draft::logging::add_to_linker::<InstanceState, OfInstance>(linker, |state| state)?;
        v0_2::log::add_to_linker::<InstanceState, OfInstance>(linker, |state| state)
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        Self::link(linking)
    }
}

/// Implements the interface, which is the same in all contracts.
macro_rules! log_of {
    ($contract:ident) => {
        impl $contract::log::Host for InstanceState {
            fn log(&mut self, level: $contract::log::Level, message: String) {
                use $contract::log::Level;
                let level = match level {
                    Level::Trace => tracing::Level::TRACE,
                    Level::Debug => tracing::Level::DEBUG,
                    Level::Info => tracing::Level::INFO,
                    Level::Warn => tracing::Level::WARN,
                    Level::Error => tracing::Level::ERROR,
                };
                self.log_message(level, &message);
            }
        }
    };
}
log_of!(v0_1);
log_of!(v0_2);

/// Implements the interface of WASI, which is the same in both versions. The host's log has no level above `error`.
macro_rules! logging_of {
    ($contract:ident) => {
        impl $contract::logging::Host for InstanceState {
            fn log(&mut self, level: $contract::logging::Level, context: String, message: String) {
                use $contract::logging::Level;
                let level = match level {
                    Level::Trace => tracing::Level::TRACE,
                    Level::Debug => tracing::Level::DEBUG,
                    Level::Info => tracing::Level::INFO,
                    Level::Warn => tracing::Level::WARN,
                    Level::Error | Level::Critical => tracing::Level::ERROR,
                };
                match context.is_empty() || message.is_empty() {
                    true => self.log_message(level, &message),
                    false => self.log_message(level, &format!("{}: {}", cut(&context), cut(&message))),
                }
            }
        }
    };
}
logging_of!(unversioned);
logging_of!(draft);

/// Indents all lines but the first. A message with several lines, such as a stack trace, is one event, and none of its lines may look
/// like one of the host's.
fn indented(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join("\n    ")
}

impl InstanceState {
    /// Logs what the plugin printed in the call that has ended.
    pub(crate) fn log_output(&self) {
        for line in self.output.take().lines().filter(|line| !line.trim().is_empty()) {
            self.write_log(tracing::Level::INFO, line);
        }
    }

    /// Logs a message, unless it is empty.
    fn log_message(&self, level: tracing::Level, message: &str) {
        if !message.is_empty() {
            self.write_log(level, &indented(&cut(message)));
        }
    }

    fn write_log(&self, level: tracing::Level, message: &str) {
        if !self.call.shared.may_log(Instant::now(), &self.call.setup.limits, message.len()) {
            return;
        }
        let plugin = &*self.call.setup.name;
        let op = (!self.call.op.is_empty()).then_some(self.call.op.as_str());
        match level {
            tracing::Level::TRACE => {
                tracing::trace!(target: "plugin", event = "plugin.log", plugin, op, "{message}")
            }
            tracing::Level::DEBUG => {
                tracing::debug!(target: "plugin", event = "plugin.log", plugin, op, "{message}")
            }
            tracing::Level::INFO => {
                tracing::info!(target: "plugin", event = "plugin.log", plugin, op, "{message}")
            }
            tracing::Level::WARN => {
                tracing::warn!(target: "plugin", event = "plugin.log", plugin, op, "{message}")
            }
            tracing::Level::ERROR => {
                tracing::error!(target: "plugin", event = "plugin.log", plugin, op, "{message}")
            }
        }
    }
}

use generated_draft::wasi::logging as draft;
use generated_unversioned::wasi::logging as unversioned;

generate!(generated_unversioned, {
    path: "wit/wasi-logging",
    inline: "
        package gtm:host;

        world logging {
            import wasi:logging/logging;
        }
    ",
});

generate!(generated_draft, {
    path: "wit/wasi-logging-0.1.0-draft",
    inline: "
        package gtm:host;

        world logging {
            import wasi:logging/logging@0.1.0-draft;
        }
    ",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_but_the_first_are_indented() {
        assert_eq!(indented("one line"), "one line");
        assert_eq!(
            indented("KeyError: 'email'\r\n  File \"a.py\"\n2026-01-01T00:00:00Z ERROR fake\n"),
            "KeyError: 'email'\n      File \"a.py\"\n    2026-01-01T00:00:00Z ERROR fake"
        );
    }
}
