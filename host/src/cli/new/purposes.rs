//! What the plugins do that `gtm-host new` makes: a template per purpose, with sources for some languages.

use clap::ValueEnum;

use super::templates::{Files, file};
use crate::cli::arguments::{Language, Purpose};

/// Stands for the path of the built plugin.
const WASM: &str = "WASM";

/// The template of a plugin with one purpose.
pub(super) struct PurposeTemplate {
    purpose: Purpose,
    /// What the plugin does, as the end of a sentence.
    about: &'static str,
    /// The command that tries the plugin without a server.
    tried: &'static str,
    /// The command that runs the plugin.
    run: &'static str,
    /// What the README says about its settings and grants.
    readme: &'static str,
    /// Returns the sources in a language, which replace those of a plugin that sends mail. None: the language does not have this template.
    pub(super) sources: fn(Language) -> Option<Files>,
}

impl PurposeTemplate {
    pub(super) fn of(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Mail => MAIL,
            Purpose::Webhook => WEBHOOK,
            Purpose::Enrich => ENRICH,
            Purpose::Aggregate => AGGREGATE,
            Purpose::Filter => FILTER,
        }
    }

    /// Returns its name, as on the command line.
    pub(super) fn name(&self) -> String {
        name(&self.purpose)
    }

    /// Returns the names of the languages that have it.
    pub(super) fn languages(&self) -> Vec<String> {
        Language::value_variants()
            .iter()
            .filter(|language| (self.sources)(**language).is_some())
            .map(name)
            .collect()
    }

    /// Returns the command that tries the plugin in this file.
    pub(super) fn try_command(&self, wasm: &str) -> String {
        self.tried.replace(WASM, wasm)
    }

    /// Returns the command that runs the plugin in this file.
    pub(super) fn run_command(&self, wasm: &str) -> String {
        self.run.replace(WASM, wasm)
    }

    /// Returns the README of a project, from that of a plugin that sends mail.
    pub(super) fn readme(&self, of_mail: &str, wasm: &str) -> String {
        let own = |line: &str| match line {
            line if line.starts_with("gtm-host try ") => self.try_command(wasm),
            line if line.starts_with("gtm-host --plugin ") => self.run_command(wasm),
            line => line.replace(MAIL.about, self.about),
        };
        let lines = of_mail.lines().map(own).collect::<Vec<_>>().join("\n");
        format!("{lines}\n{}", self.readme.replace(WASM, wasm))
    }
}

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Returns the sources of a template in the languages that have a package manager and the same files for each purpose.
macro_rules! sources {
    ($folder:literal, $language:ident $(, $more:pat => $files:expr)?) => {
        match $language {
            Language::Rust => {
                Some(&[file!("src/lib.rs", concat!("examples/templates/", $folder, "/lib.rs"))])
            }
            Language::Js => Some(&[
                file!("src/plugin.js", concat!("examples/templates/", $folder, "/plugin.js")),
                file!("test/plugin.test.js", concat!("examples/templates/", $folder, "/plugin.test.js")),
            ]),
            Language::Ts => Some(&[
                file!("src/plugin.ts", concat!("examples/templates/", $folder, "/plugin.ts")),
                file!("test/plugin.test.ts", concat!("examples/templates/", $folder, "/plugin.test.ts")),
            ]),
            Language::Python => Some(&[
                file!("welcome.py", concat!("examples/templates/", $folder, "/plugin.py")),
                file!("tests.py", concat!("examples/templates/", $folder, "/tests.py")),
            ]),
            $($more => Some($files),)?
            _ => None,
        }
    };
}

/// Returns the sources of a template in Go.
macro_rules! go {
    ($folder:literal) => {
        &[
            file!("welcome.go", concat!("examples/templates/", $folder, "/plugin.go")),
            file!("welcome_test.go", concat!("examples/templates/", $folder, "/plugin_test.go")),
        ]
    };
}

const MAIL: PurposeTemplate = PurposeTemplate {
    purpose: Purpose::Mail,
    // The READMEs of the examples say it.
    about: "sends a mail to each new user",
    tried: r#"gtm-host try WASM --insert app.users '{"_id":1,"name":"Ada","email":"ada@example.com"}'"#,
    run: "gtm-host --plugin WASM --grant mail --mail-url smtp://localhost:1025",
    readme: include_str!("../../../../examples/templates/mail/README.md"),
    sources: |_| Some(&[]),
};

const WEBHOOK: PurposeTemplate = PurposeTemplate {
    purpose: Purpose::Webhook,
    about: "sends each order to a web server, as JSON",
    tried: r#"gtm-host try WASM --set url=https://api.example.com/orders --insert shop.orders '{"_id":1,"total":120}' --answer 'POST https://api.example.com/orders' '{}'"#,
    run: "gtm-host --plugin WASM --set url=https://api.example.com/orders --grant http=https://api.example.com",
    readme: include_str!("../../../../examples/templates/webhook/README.md"),
    sources: |language| sources!("webhook", language, Language::Go => go!("webhook")),
};

const ENRICH: PurposeTemplate = PurposeTemplate {
    purpose: Purpose::Enrich,
    about: "adds the city to each new user",
    tried: r#"gtm-host try WASM --set url=https://api.example.com/places --insert app.users '{"_id":1,"zip":"10115"}' --answer 'GET https://api.example.com/places/10115' '{"city":"Berlin"}'"#,
    run: "gtm-host --plugin WASM --set url=https://api.example.com/places --grant http=https://api.example.com --grant mongodb-write=app.users",
    readme: include_str!("../../../../examples/templates/enrich/README.md"),
    sources: |language| sources!("enrich", language, Language::Go => go!("enrich")),
};

const AGGREGATE: PurposeTemplate = PurposeTemplate {
    purpose: Purpose::Aggregate,
    about: "adds up the orders of each day",
    tried: r#"gtm-host try WASM --insert shop.orders '{"_id":1,"total":120}'"#,
    run: "gtm-host --plugin WASM --grant mongodb-write=shop.daily_totals",
    readme: include_str!("../../../../examples/templates/aggregate/README.md"),
    sources: |language| sources!("aggregate", language, Language::Go => go!("aggregate")),
};

const FILTER: PurposeTemplate = PurposeTemplate {
    purpose: Purpose::Filter,
    about: "decides which documents reach other plugins",
    tried: r#"gtm-host try WASM --set values=eu,uk --insert shop.orders '{"_id":1,"region":"eu"}'"#,
    run: r#"gtm-host --config gtm.toml    # with filters = ["WASM"] under [plugins.NAME]"#,
    readme: include_str!("../../../../examples/templates/filter/README.md"),
    sources: |language| sources!("filter", language),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::new::templates;

    const PURPOSES: [PurposeTemplate; 5] = [MAIL, WEBHOOK, ENRICH, AGGREGATE, FILTER];

    #[test]
    fn each_readme_says_what_the_plugin_does_and_how_it_is_granted_and_run() {
        for purpose in PURPOSES {
            for language in Language::value_variants() {
                if (purpose.sources)(*language).is_none() {
                    continue;
                }
                let template = templates::of(*language);
                let of_mail = template.files.iter().find(|(path, _)| *path == "README.md").unwrap().1;
                let readme = purpose.readme(of_mail, template.wasm);
                let place = format!("{} in {}", purpose.name(), name(language));
                assert!(readme.contains(purpose.about), "{place}: {readme}");
                assert!(readme.contains(&purpose.run_command(template.wasm)), "{place}: {readme}");
                assert!(readme.contains(&purpose.try_command(template.wasm)), "{place}: {readme}");
                assert!(readme.contains("## Settings and grants") && !readme.contains(WASM), "{place}");
            }
        }
    }

    #[test]
    fn the_languages_of_a_template_are_known() {
        assert_eq!(MAIL.languages().len(), Language::value_variants().len());
        assert_eq!(WEBHOOK.languages(), ["rust", "js", "ts", "python", "go"]);
        assert_eq!(FILTER.languages(), ["rust", "js", "ts", "python"]);
    }
}
