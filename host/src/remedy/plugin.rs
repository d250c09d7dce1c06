//! Remedies for what a plugin lacks while it runs: a grant, a higher limit, a server.
//!
//! The runtime builds these sentences, which plugins get as errors and the host logs per op. So this crate installs the words there.

use gtm_runtime::{ComponentKind, PluginRemedy};
use gtm_text::sanitize::quoted;

use crate::config::Setting;

/// Makes the sentences of the runtime end with the remedies of this crate.
pub fn install() {
    PluginRemedy::install_words(words);
}

fn words(remedy: &PluginRemedy<'_>) -> String {
    match *remedy {
        PluginRemedy::Grant { plugin, form, toml } => {
            format!("pass {}, or set {toml} under [plugins.{plugin}.grants] in gtm.toml", grant(plugin, form))
        }
        PluginRemedy::Grants { plugin, forms } => {
            let grants: Vec<_> = forms.iter().map(|form| grant(plugin, form)).collect();
            format!("pass {}, or set it under [plugins.{plugin}.grants] in gtm.toml", grants.join(" "))
        }
        PluginRemedy::Limits { component, limits } => raise(component, limits),
        PluginRemedy::MailRate { plugin } => format!(
            "wait, or pass {}, or set mail.per_minute under [plugins.{plugin}.grants] in gtm.toml",
            grant(plugin, "mail-per-minute=COUNT")
        ),
        PluginRemedy::MailServer => "start it with --mail-url URL, or set mail.url in gtm.toml".to_owned(),
        PluginRemedy::MailServerUrl => {
            "correct the URL of the mail server (--mail-url, or mail.url in gtm.toml)".to_owned()
        }
        PluginRemedy::Store => "give it a store, as in --store mongodb or --store file:DIR".to_owned(),
        PluginRemedy::Cluster => {
            "run the plugin on a host that follows one, or with gtm-host try --uri URI, which only reads"
                .to_owned()
        }
        PluginRemedy::PrivateAddress { grant } => {
            format!(
                "grant the server with {grant}-private in place of {grant}, or set private = true in its grant in gtm.toml"
            )
        }
        PluginRemedy::AllPaths { plugin, server } => format!(
            "send the path in its plain form, or grant all paths with {}",
            grant(plugin, &format!("http={server}"))
        ),
        PluginRemedy::OwnAddress => "name another server, or move the admin API with --admin".to_owned(),
        PluginRemedy::Setting { kind, component, name } => format!(
            "pass --set {component}:{name}=VALUE, or set {name} under [{}.{component}.config] in gtm.toml",
            table(kind)
        ),
        PluginRemedy::NewSetting { kind, component, name } => format!(
            "set {name} under [{}.{component}.config] in gtm.toml, and replace the file of the {kind}. Then send SIGHUP to the host, which \
             reads both",
            table(kind)
        ),
        PluginRemedy::KnownSettings { kind, known: [] } => format!("remove it: the {kind} has no settings"),
        PluginRemedy::KnownSettings { kind, known } => format!(
            "the settings of the {kind} are {}; to set one of another {kind} alone, pass --set {}:NAME=VALUE",
            known.join(", "),
            kind.to_string().to_uppercase()
        ),
    }
}

fn grant(plugin: &str, form: &str) -> String {
    format!("--grant {}", quoted(&format!("{plugin}:{form}")))
}

/// Returns the table of the settings file that has the components of this kind.
pub(super) fn table(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Plugin => "plugins",
        ComponentKind::Filter => "filters",
    }
}

/// Names the limits as the settings file does, and the option if there is one limit that has one.
fn raise(component: Option<(ComponentKind, &str)>, limits: &[&str]) -> String {
    let first = match limits {
        ["host_memory"] => "ask for less per call, or ",
        ["state_keys", ..] => "delete keys, or ",
        _ => "",
    };
    let keys: Vec<_> = limits.iter().map(|limit| format!("limits.{limit}")).collect();
    let option = match keys.as_slice() {
        [key] => Setting::find(key).filter(|setting| setting.has_option).map(Setting::option),
        _ => None,
    };
    let option = option.map(|option| format!("--{option}, or ")).unwrap_or_default();
    let table = component.map(|(kind, name)| format!(" under [{}.{name}]", table(kind))).unwrap_or_default();
    format!("{first}raise {option}{}{table} in gtm.toml", keys.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_by_its_option_and_its_key() {
        let raise = |component, limits| words(&PluginRemedy::Limits { component, limits });
        let (plugin, filter) = ((ComponentKind::Plugin, "p"), (ComponentKind::Filter, "f"));
        assert_eq!(
            raise(Some(plugin), &["call_timeout"]),
            "raise --limits-call-timeout, or limits.call_timeout under [plugins.p] in gtm.toml"
        );
        assert_eq!(
            raise(Some(filter), &["memory"]),
            "raise --limits-memory, or limits.memory under [filters.f] in gtm.toml"
        );
        assert_eq!(raise(None, &["memory"]), "raise --limits-memory, or limits.memory in gtm.toml");
        assert_eq!(
            raise(Some(plugin), &["state_keys", "state_bytes"]),
            "delete keys, or raise limits.state_keys or limits.state_bytes under [plugins.p] in gtm.toml"
        );
    }

    #[test]
    fn a_setting_of_a_filter_is_in_the_table_of_filters() {
        let kind = ComponentKind::Filter;
        let said = words(&PluginRemedy::Setting { kind, component: "f", name: "percent" });
        assert_eq!(said, "pass --set f:percent=VALUE, or set percent under [filters.f.config] in gtm.toml");
        let said = words(&PluginRemedy::NewSetting { kind, component: "f", name: "percent" });
        assert!(said.contains("[filters.f.config]") && said.contains("the file of the filter"), "{said}");
        let said = words(&PluginRemedy::KnownSettings { kind, known: &["percent".to_owned()] });
        assert!(
            said.contains("of the filter are percent") && said.contains("--set FILTER:NAME=VALUE"),
            "{said}"
        );
    }

    #[test]
    fn a_grant_is_one_word_for_a_shell() {
        let grant =
            PluginRemedy::Grant { plugin: "p", form: "http=GET https://a.example/x", toml: "http = […]" };
        assert!(
            words(&grant)
                .starts_with("pass --grant 'p:http=GET https://a.example/x', or set http = […] under ")
        );
    }
}
