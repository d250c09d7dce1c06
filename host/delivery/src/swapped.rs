//! A plugin that was swapped by a command, and whether that may be a mistake.

use gtm_runtime::Plugin;
use serde::{Deserialize, Serialize};

/// The version to which a plugin was swapped.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swapped {
    /// The version.
    pub version: String,
    /// Why it may be another plugin, if it seems to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Swapped {
    /// Compares a `successor` with the version before it.
    pub(super) fn new(before: &Plugin, successor: &Plugin) -> Self {
        let file = successor.stem();
        let is_named = [before.name(), before.stem()].into_iter().any(|name| is_named(file, name));
        let has_same_subscriptions = successor.selection() == before.selection();
        let warning = warning(before.name(), (!is_named).then_some(file), !has_same_subscriptions);
        Self { version: successor.version().to_owned(), warning }
    }
}

/// Returns whether a file has the name of a plugin, or the name and a version, as in `webhook-2.1` and `webhook_new`.
fn is_named(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Returns a warning that names each difference: the file may be the plugin with other settings, or another plugin.
fn warning(plugin: &str, other_file: Option<&str>, has_other_subscriptions: bool) -> Option<String> {
    let what = match (other_file, has_other_subscriptions) {
        (None, false) => return None,
        (Some(file), false) => format!("the file is called {file}, and the plugin {plugin}"),
        (None, true) => "it subscribes to other ops than the version before it".to_owned(),
        (Some(file), true) => {
            format!("the file is called {file}, and it subscribes to other ops than the plugin {plugin} did")
        }
    };
    Some(format!("{what}. help: if it is another plugin, swap back, and run it under a name of its own"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_another_name_and_other_subscriptions() {
        assert_eq!(warning("p", None, false), None);
        for (file, has_other_subscriptions, start) in [
            (Some("q"), false, "the file is called q, and the plugin p. help: "),
            (None, true, "it subscribes to other ops than the version before it. help: "),
            (
                Some("q"),
                true,
                "the file is called q, and it subscribes to other ops than the plugin p did. help: ",
            ),
        ] {
            let warning = warning("p", file, has_other_subscriptions).unwrap();
            assert!(warning.starts_with(start), "{warning}");
        }
    }

    #[test]
    fn a_file_may_have_the_name_of_its_plugin_and_a_version() {
        for own in ["webhook", "webhook-2.1", "webhook_new", "webhook.old"] {
            assert!(is_named(own, "webhook"), "{own}");
        }
        for other in ["webhooks", "webhook2", "audit_log", "new_webhook", ""] {
            assert!(!is_named(other, "webhook"), "{other}");
        }
    }
}
