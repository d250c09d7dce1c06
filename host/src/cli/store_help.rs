//! Commands for what the store keeps, as errors and log events show them.

use std::sync::Arc;

use gtm_delivery::DeadLetterHelp;
use gtm_store::Store;
use gtm_text::sanitize::quoted;

/// Returns the arguments with which a command finds this pipeline in this store, except the server, quoted for a shell.
pub(super) fn store_arguments(store: &Store, pipeline: &str) -> String {
    let name = format!("--name {}", quoted(pipeline));
    match store.directory() {
        Some(directory) => format!("{name} --store {}", quoted(&format!("file:{}", directory.display()))),
        None => name,
    }
}

/// Returns the help for the dead letters of a plugin.
pub(super) fn dead_letter_help(store: &Store, pipeline: &str, plugin: &str) -> DeadLetterHelp {
    let (arguments, plugin) = (store_arguments(store, pipeline), quoted(plugin));
    // A running host keeps its store directory open.
    let stop = store.directory().map_or("", |_| "stop the host, then ");
    DeadLetterHelp {
        make_room: format!(
            "{stop}look at them with gtm-host dead-letters list --plugin {plugin} {arguments}, and retry or drop some; or raise \
             dead_letters or dead_letter_bytes under [retry]"
        ),
        show: Arc::new(move |letter| format!("gtm-host dead-letters show {letter} {arguments}")),
    }
}
