//! Brings a plugin its ops: from the shared reader while the plugin keeps up with the others, else from a reader of its own until it
//! has caught up.
//!
//! A reader sends batches straight to the plugin's dispatcher, through a channel of its own: one [`FeedSegment`]. When another reader
//! continues, [`PluginFeed`] passes on the next segment; the [`FeedReceiver`] drains one segment before it begins the next, which keeps
//! the order.

mod beginning;
mod catch_up;
mod plugin_feed;
mod receiver;
mod routes;
mod shared_reader;
mod subscription;

pub(super) use beginning::Beginning;
pub(super) use plugin_feed::{FeedEnd, PluginFeed};
pub(super) use receiver::{FeedReceiver, FeedSegment, MAX_READ_AHEAD_BATCHES};
pub(super) use shared_reader::{SharedReader, SharedReaderHandle};
