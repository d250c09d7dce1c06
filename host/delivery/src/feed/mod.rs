//! Where a plugin gets its ops: from the reader that all plugins share which keep up, or from its own.

mod plugin_reader;
mod shared_reader;

pub(super) use plugin_reader::{PluginReader, PluginReaderEnd};
pub(super) use shared_reader::{SharedReader, SharedReaderHandle};
