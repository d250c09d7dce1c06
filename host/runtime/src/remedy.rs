//! What a user can change so that a plugin gets what it lacks. This library knows what to change; the program that uses it knows by
//! which option or setting, and installs the words for it.

use std::fmt;
use std::sync::OnceLock;

use super::setup::ComponentKind;

/// The words of the program, if it has any.
static WORDS: OnceLock<fn(&PluginRemedy<'_>) -> String> = OnceLock::new();

/// A change by the user after which what failed may succeed. Displayed, it is the end of the sentence of an error: `. help: …` if the
/// program has [installed](PluginRemedy::install_words) its words, and nothing otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginRemedy<'a> {
    /// Grant the plugin what it tried.
    Grant {
        /// Its name.
        plugin: &'a str,
        /// The grant, as [`Grant::parse`](crate::Grant::parse) reads it: `mail-to=ada@example.com`.
        form: &'a str,
        /// The same as a line of TOML, as [`Grants`](crate::Grants) is read from: `mail.to = ["ada@example.com"]`.
        toml: &'a str,
    },
    /// Grant the plugin the capabilities that it imports.
    Grants {
        /// Its name.
        plugin: &'a str,
        /// The grants that are proposed, in the form of `Grant::form`.
        forms: &'a [&'a str],
    },
    /// Raise one of these limits.
    Limits {
        /// Of the component of this kind and name. None: of the plugin that the error is about.
        component: Option<(ComponentKind, &'a str)>,
        /// Fields of [`Limits`](crate::Limits).
        limits: &'a [&'static str],
    },
    /// Grant the plugin more mail per minute.
    MailRate {
        /// Its name.
        plugin: &'a str,
    },
    /// Name a mail server.
    MailServer,
    /// Correct the URL of the mail server.
    MailServerUrl,
    /// Name a store that keeps something.
    Store,
    /// Run the plugin on a host that follows a cluster.
    Cluster,
    /// Grant private addresses, too.
    PrivateAddress {
        /// The name of the grant without them: `http`.
        grant: &'a str,
    },
    /// Grant all paths of a server.
    AllPaths {
        /// The name of the plugin.
        plugin: &'a str,
        /// The server.
        server: &'a str,
    },
    /// Have the host itself listen elsewhere.
    OwnAddress,
    /// Set a setting of a component.
    Setting {
        /// What the component is for.
        kind: ComponentKind,
        /// The name of the component.
        component: &'a str,
        /// The name of the setting.
        name: &'a str,
    },
    /// Set a setting that another version of a running component needs.
    NewSetting {
        /// What the component is for.
        kind: ComponentKind,
        /// The name of the component.
        component: &'a str,
        /// The name of the setting.
        name: &'a str,
    },
    /// Use one of the settings that the component has.
    KnownSettings {
        /// What the component is for.
        kind: ComponentKind,
        /// The names of its settings.
        known: &'a [String],
    },
}

impl PluginRemedy<'_> {
    /// Installs the words of the program: what a user is to do, as an imperative sentence without a full stop. The first call counts.
    pub fn install_words(words: fn(&PluginRemedy<'_>) -> String) {
        WORDS.get_or_init(|| words);
    }
}

impl fmt::Display for PluginRemedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WORDS.get() {
            Some(words) => write!(f, ". help: {}", words(self)),
            None => Ok(()),
        }
    }
}
