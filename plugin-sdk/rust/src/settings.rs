//! Which settings a plugin knows, so that a mistyped one is refused instead of ignored.
//!
//! ```
//! use gtm_plugin::settings::{self, Settings};
//! use gtm_plugin::{Op, Outcome, Plugin, config, plugin};
//!
//! #[plugin]
//! struct Forward;
//!
//! impl Plugin for Forward {
//!     const SETTINGS: Settings = Settings::known(&["url", "namespaces"]).renamed(&[("address", "url")]);
//!
//!     fn check_settings() -> Result<(), String> {
//!         settings::required("url")?;
//!         settings::check_selection()
//!     }
//!
//!     fn filter(op: &Op) -> bool {
//!         settings::selects(op)
//!     }
//!
//!     fn handle(op: &Op) -> Outcome {
//!         let url = config::get("url").or_else(|| config::get("address"));
//!         Ok(())
//!     }
//! }
//! ```

mod nearest;
mod selection;

use crate::{Failure, Op, Outcome, Plugin, config, log};

pub(crate) use nearest::nearest;
pub use selection::{check_selection, selects, selects_namespace};

/// The settings that a plugin knows: [`Plugin::SETTINGS`].
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    known: Option<&'static [&'static str]>,
    renamed: &'static [(&'static str, &'static str)],
}

impl Settings {
    /// Accepts any setting.
    pub const ANY: Self = Self { known: None, renamed: &[] };

    /// Refuses a setting that has none of these names.
    pub const fn known(names: &'static [&'static str]) -> Self {
        Self { known: Some(names), renamed: &[] }
    }

    /// Accepts former names, too, each with the name that replaced it. The log warns of one that is set.
    #[must_use]
    pub const fn renamed(self, names: &'static [(&'static str, &'static str)]) -> Self {
        Self { renamed: names, ..self }
    }

    /// Checks the names of what is set.
    fn check(&self, set: &[String]) -> Result<(), String> {
        let Some(known) = self.known else { return Ok(()) };
        let is_set = |name: &str| set.iter().any(|set| set == name);
        for name in set {
            if known.contains(&name.as_str()) {
                continue;
            }
            let Some((former, name)) = self.renamed.iter().find(|(former, _)| former == name) else {
                return Err(unknown(name, known));
            };
            if is_set(name) {
                return Err(format!(
                    "the settings {former} and {name} are both set, and are the same. help: remove {former}, the former name"
                ));
            }
        }
        Ok(())
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let end = nearest(name, known).map_or(".".to_owned(), |nearest| format!(", did you mean {nearest}?"));
    let known = match known {
        [] => "this plugin has no settings".to_owned(),
        known => format!("this plugin's settings are {}", known.join(", ")),
    };
    format!(
        "unknown setting {name}{end} help: {known}; to set it for another plugin alone, write --set NAME:{name}=…"
    )
}

/// The value of a setting without which the plugin cannot work.
///
/// # Errors
/// It is not set, or empty.
pub fn required(name: &str) -> Result<String, String> {
    config::get(name)
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("the setting {name} is missing. help: set it with --set NAME:{name}=…"))
}

/// The value of a setting that is the URL of an HTTP server, and without which the plugin cannot work.
///
/// # Errors
/// It is not set, or does not begin with `https://` or `http://`.
pub fn required_url(name: &str) -> Result<String, String> {
    let url = required(name)?;
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(url);
    }
    Err(format!("the setting {name} is {url}, which is not a URL. help: begin it with https:// or http://"))
}

/// The value of a setting that is one of these texts. None: it is not set.
///
/// # Errors
/// It is another text.
pub fn one_of(name: &str, texts: &[&str]) -> Result<Option<String>, String> {
    let Some(value) = config::get(name) else { return Ok(None) };
    if texts.contains(&value.as_str()) {
        return Ok(Some(value));
    }
    Err(format!("the setting {name} is {value}. help: set it to one of {}", texts.join(", ")))
}

/// What is wrong with the settings. They are the same as long as an instance lives.
fn problem<P: Plugin>() -> Option<String> {
    #[cfg(target_family = "wasm")]
    {
        static PROBLEM: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        PROBLEM.get_or_init(find_problem::<P>).clone()
    }
    // One process has many tests.
    #[cfg(not(target_family = "wasm"))]
    find_problem::<P>()
}

fn find_problem<P: Plugin>() -> Option<String> {
    let set: Vec<_> = config::all().into_iter().map(|(name, _)| name).collect();
    P::SETTINGS.check(&set).and_then(|()| P::check_settings()).err()
}

/// Logs what is wrong with the settings, when the plugin is loaded.
pub(crate) fn report<P: Plugin>() {
    if let Some(problem) = problem::<P>() {
        log::error!("{problem}. Every op waits until the settings are corrected");
        return;
    }
    for (former, name) in P::SETTINGS.renamed {
        if config::get(former).is_some() {
            log::warn!("the setting {former} is called {name} now. help: rename it; {former} still works");
        }
    }
}

/// As long as the settings are wrong it wants every op: none is passed over that was meant to be handled.
pub(crate) fn filter<P: Plugin>(op: &Op) -> bool {
    problem::<P>().is_some() || P::filter(op)
}

/// As long as the settings are wrong every op is retried, so that the host pauses the plugin and loses nothing.
pub(crate) fn handle<P: Plugin>(op: &Op) -> Outcome {
    problem::<P>().map_or_else(|| P::handle(op), |problem| Err(Failure::Retry(problem)))
}

/// As [`handle`].
pub(crate) fn handle_batch<P: Plugin>(ops: &[Op]) -> Vec<Outcome> {
    match problem::<P>() {
        None => P::handle_batch(ops),
        Some(problem) => ops.iter().map(|_| Err(Failure::retry(&problem))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::log::Level;
    use crate::testing::{Harness, insert};

    struct Known;

    impl Plugin for Known {
        const SETTINGS: Settings =
            Settings::known(&["namespaces", "url"]).renamed(&[("namespace", "namespaces")]);

        fn check_settings() -> Result<(), String> {
            one_of("url", &["a", "b"]).map(drop)
        }

        fn filter(_: &Op) -> bool {
            false
        }

        fn handle(_: &Op) -> Outcome {
            Ok(())
        }
    }

    fn refused(harness: Harness) -> Option<String> {
        let run = { harness }.run::<Known>(&insert("a.b", doc! { "_id": 1 }));
        match run.outcome {
            Some(Err(Failure::Retry(reason))) => Some(reason),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_nearest_name() {
        assert_eq!(refused(Harness::new().config("url", "a").config("namespaces", "shop.*")), None);
        let reason = refused(Harness::new().config("nmespaces", "shop.*")).unwrap();
        assert!(reason.starts_with("unknown setting nmespaces, did you mean namespaces? help: "), "{reason}");
        let reason = refused(Harness::new().config("q", "1")).unwrap();
        assert!(
            reason.starts_with("unknown setting q. help: this plugin's settings are namespaces, url;"),
            "{reason}"
        );
        let reason = refused(Harness::new().config("url", "c")).unwrap();
        assert_eq!(reason, "the setting url is c. help: set it to one of a, b");
    }

    #[test]
    fn a_former_name_works_with_a_warning_unless_both_are_set() {
        let harness = Harness::new().config("namespace", "a.b");
        assert_eq!(refused(harness.clone()), None);
        let log = { harness.clone() }.load::<Known>();
        assert_eq!((log.len(), log[0].0), (1, Level::Warn), "{log:?}");
        assert!(refused(harness.config("namespaces", "a.b")).unwrap().contains("both set"));
    }

    #[test]
    fn what_is_wrong_is_logged_when_the_plugin_is_loaded() {
        let log = Harness::new().config("naespace", "a.b").load::<Known>();
        assert!(log[0].0 == Level::Error && log[0].1.contains("did you mean namespace"), "{log:?}");
        assert!(Harness::new().load::<Known>().is_empty());
    }

    #[test]
    fn a_plugin_that_names_no_settings_takes_any() {
        assert_eq!(Settings::ANY.check(&["x".to_owned()]), Ok(()));
    }
}
