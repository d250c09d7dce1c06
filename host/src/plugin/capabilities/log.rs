//! `gtm:plugin/log`: lines in the host's log, under the plugin's name and beside the id of the op in hand.

use wasmtime::component::{HasSelf, Linker};

use crate::plugin::bindings::log::{self, Host, Level};
use crate::plugin::state::State;

/// The longest message that is kept whole.
const LONGEST: usize = 16 * 1024;

/// Always granted.
pub(in crate::plugin) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl Host for State {
    fn log(&mut self, level: Level, message: String) {
        self.write_log(level, &message);
    }
}

impl State {
    /// Writes what the plugin printed in the call that is over.
    pub(in crate::plugin) fn log_output(&self) {
        for line in self.output.take().lines().filter(|line| !line.trim().is_empty()) {
            self.write_log(Level::Info, line);
        }
    }

    fn write_log(&self, level: Level, message: &str) {
        let message = cut(message);
        let plugin = &*self.plugin;
        let op = self.op.map(tracing::field::display);
        match level {
            Level::Trace => tracing::trace!(target: "plugin", plugin, op, "{message}"),
            Level::Debug => tracing::debug!(target: "plugin", plugin, op, "{message}"),
            Level::Info => tracing::info!(target: "plugin", plugin, op, "{message}"),
            Level::Warn => tracing::warn!(target: "plugin", plugin, op, "{message}"),
            Level::Error => tracing::error!(target: "plugin", plugin, op, "{message}"),
        }
    }
}

fn cut(message: &str) -> std::borrow::Cow<'_, str> {
    if message.len() <= LONGEST {
        return message.into();
    }
    let end = message.floor_char_boundary(LONGEST);
    format!("{} … ({} bytes more)", message.get(..end).unwrap_or_default(), message.len() - end).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_between_letters() {
        let message = "ä".repeat(LONGEST);
        let cut = cut(&message);
        assert!(cut.len() < LONGEST + 40);
        assert!(cut.ends_with("ä … (16384 bytes more)"));
        assert_eq!(super::cut("short"), "short");
    }
}
