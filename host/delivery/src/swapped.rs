//! A plugin that was swapped by hand, and whether that may be a mistake.

use gtm_runtime::Plugin;
use serde::{Deserialize, Serialize};

/// What a plugin goes on with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Swapped {
    /// The version.
    pub version: String,
    /// Why it may be another plugin, if that seems so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

impl Swapped {
    /// What is to be said of a `successor`.
    pub(super) fn new(before: &Plugin, successor: &Plugin) -> Self {
        let file = successor.stem();
        let is_named = [before.name(), before.stem()].into_iter().any(|name| is_named(file, name));
        let subscribes = successor.selection() == before.selection();
        let warning = warning(before.name(), (!is_named).then_some(file), !subscribes);
        Self { version: successor.version().to_owned(), warning }
    }
}

/// Whether a file is called like a plugin: by its name, or by that and a version, as in `webhook-2.1` and `webhook_new`.
fn is_named(file: &str, name: &str) -> bool {
    file.strip_prefix(name).is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

/// Either may be meant, and either may be a mistake: a plugin with other settings, or another plugin. So each is said.
fn warning(plugin: &str, other_file: Option<&str>, subscribes_otherwise: bool) -> Option<String> {
    let what = match (other_file, subscribes_otherwise) {
        (None, false) => return None,
        (Some(file), false) => format!("the file is called {file}, and the plugin {plugin}"),
        (None, true) => "it subscribes to something else than the version before it did".to_owned(),
        (Some(file), true) => {
            format!(
                "the file is called {file}, and it subscribes to something else than the plugin {plugin} did"
            )
        }
    };
    Some(format!(
        "{what}. help: if it is another plugin, swap back, and run it under its own name (--plugin)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_name_and_another_subscription_are_each_warned_of() {
        assert_eq!(warning("p", None, false), None);
        for (file, subscribes_otherwise, said) in [
            (Some("q"), false, "the file is called q, and the plugin p. help: "),
            (None, true, "it subscribes to something else than the version before it did. help: "),
            (
                Some("q"),
                true,
                "the file is called q, and it subscribes to something else than the plugin p did. help: ",
            ),
        ] {
            let warning = warning("p", file, subscribes_otherwise).unwrap();
            assert!(warning.starts_with(said), "{warning}");
        }
    }

    #[test]
    fn a_file_has_the_name_of_its_plugin_also_with_a_version() {
        for own in ["webhook", "webhook-2.1", "webhook_new", "webhook.old"] {
            assert!(is_named(own, "webhook"), "{own}");
        }
        for other in ["webhooks", "webhook2", "audit_log", "new_webhook", ""] {
            assert!(!is_named(other, "webhook"), "{other}");
        }
    }
}
