//! Before its first op, a plugin declares its settings, and refuses wrong ones.

use std::path::Path;

use gtm_runtime::{PluginSetup, SettingType};

use super::load;
use crate::support::{patient, run};

/// A test for each language in which the plugin declares its settings.
macro_rules! in_declaring_languages {
    ($($test:ident),+) => {
        $(mod $test {
            in_declaring_languages!(@ $test: js, ts, python);
        })+
    };
    (@ $test:ident: $($language:ident),+) => {
        $(#[test]
        fn $language() {
            if let Some(path) = $crate::languages::built(stringify!($language)) {
                super::$test(&path);
            }
        })+
    };
}

in_declaring_languages!(
    a_plugin_declares_its_settings_and_asks_for_what_it_uses,
    a_misspelt_setting_is_refused
);

fn a_plugin_declares_its_settings_and_asks_for_what_it_uses(path: &Path) {
    let plugin = load(path, &PluginSetup::new("welcome", patient()));
    let [setting] = plugin.settings().unwrap() else { panic!("{:?}", plugin.settings()) };
    assert_eq!((setting.name.as_str(), &setting.setting_type), ("subject", &SettingType::Text));
    assert_eq!(setting.default.as_deref(), Some("Welcome"));
    assert_eq!(plugin.contract().unwrap().to_string(), "0.2.0");
    assert_eq!(plugin.asks().into_iter().collect::<Vec<_>>(), ["mail"]);
    for import in plugin.imports().iter().filter(|import| import.starts_with("gtm:plugin/")) {
        assert!(import.ends_with("@0.2.0"), "{import}");
        let unused = ["http", "metrics", "mongodb", "state"].map(|name| format!("gtm:plugin/{name}@0.2.0"));
        assert!(!unused.contains(import), "{import}");
    }
}

fn a_misspelt_setting_is_refused(path: &Path) {
    let path = path.to_str().unwrap();
    let (code, out, error) = run(&["check", path, "--set", "subjct=Hi"]);
    assert_eq!(code, Some(1), "{out}{error}");
    assert!(out.contains("unknown setting subjct (did you mean subject?)"), "{out}{error}");
    assert_eq!(run(&["check", path, "--set", "subject=Hi"]).0, Some(0));
}
