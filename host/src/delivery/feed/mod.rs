//! Where a plugin gets its ops: from the reader that all plugins share which keep up, or from its own.

mod hub;
mod intake;

pub(super) use hub::{SharedReader, SharedReaderHandle};
pub(super) use intake::{PluginReader, PluginReaderEnd};
