//! A plugin is built against the newest contract, and asks only for what it uses.

use std::path::Path;

use gtm_runtime::{PluginSetup, Services, SettingType};

use super::{in_each_language, load};
use crate::support::{patient, run};

in_each_language!(a_plugin_asks_for_what_it_uses, a_misspelt_setting_is_refused);

async fn a_plugin_asks_for_what_it_uses(path: &Path) {
    let plugin = load(path, &PluginSetup::new("welcome", patient()));
    let [setting] = plugin.settings().unwrap() else { panic!("{:?}", plugin.settings()) };
    assert_eq!((setting.name.as_str(), &setting.setting_type), ("subject", &SettingType::Text));
    assert_eq!(plugin.contract().unwrap().to_string(), "0.2.0");
    let asks: Vec<_> = plugin.asks().into_iter().collect();
    // Every plugin in Python imports sockets.
    let has_sockets = plugin.imports().iter().any(|import| import.starts_with("wasi:sockets/tcp@"));
    let (with_sockets, without): (&[_], &[_]) = (&["mail", "tcp"], &["mail"]);
    assert_eq!(asks, if has_sockets { with_sockets } else { without });
    let missing: Vec<_> = plugin.gaps(&Services::default()).iter().map(|gap| gap.capability()).collect();
    assert_eq!(missing, ["mail"], "sockets are not missed");
    for import in plugin.imports().iter().filter(|import| import.starts_with("gtm:plugin/")) {
        let unused = ["http", "metrics", "mongodb", "state"].map(|name| format!("gtm:plugin/{name}@0.2.0"));
        assert!(import.ends_with("@0.2.0") && !unused.contains(import), "{import}");
    }
}

async fn a_misspelt_setting_is_refused(path: &Path) {
    let path = path.to_str().unwrap();
    let (code, out, error) = run(&["check", path, "--set", "subjct=Hi"]);
    assert_eq!(code, Some(1), "{out}{error}");
    assert!(out.contains("unknown setting subjct (did you mean subject?)"), "{out}{error}");
    assert_eq!(run(&["check", path, "--set", "subject=Hi"]).0, Some(0));
}
