//! A plugin declares its settings, and the host checks them before a plugin starts.

use std::path::Path;

use bson::doc;

use crate::capabilities::Errands;
use crate::support::run;

/// The settings of the plugin errand in each of these languages, as `gtm-host check` shows them.
const SETTINGS: &str = "  settings       database (a text): The database of the errands.
                 key (a text): 
                 pause (a duration, such as 500ms, 10s or 5m; default 10s): A time.
                 size (a size, such as 512 KiB or 1 MiB; default '1 MiB'): A size.
                 level (one of low, high; formerly grade): A choice.
                 token (a text; secret): A secret.
";

async fn settings_are_declared_with_all_their_properties(errand: &Path) {
    let (code, out, error) = run(&["check", errand.to_str().unwrap(), "--set", "grade=high"]);
    assert!(code == Some(0) && out.contains(SETTINGS), "{out}{error}");
    assert!(out.contains("subscribes to  *.errands (insert)"), "{out}");
}

async fn a_misspelt_or_wrong_setting_is_refused(errand: &Path) {
    for (set, said) in [
        ("levl=low", "unknown setting levl (did you mean level?)"),
        ("level=mid", "the setting level is \"mid\", and it must be one of low, high"),
        ("pause=soon", "it must be a duration, such as 500ms, 10s or 5m"),
        // The plugin refuses this one itself, in `init`.
        ("key=refused", "key must not be refused, ü"),
    ] {
        let (code, out, error) = run(&["check", errand.to_str().unwrap(), "--set", set]);
        assert!(code != Some(0) && format!("{out}{error}").contains(said), "{set}: {out}{error}");
    }
    let welcome = errand.with_file_name("welcome.wasm");
    let (code, out, error) = run(&["check", welcome.to_str().unwrap(), "--set", "subjekt=Hi"]);
    let said = "unknown setting subjekt (did you mean subject?)";
    assert!(code != Some(0) && format!("{out}{error}").contains(said), "{out}{error}");
}

async fn a_plugin_gets_values_in_the_units_of_the_contract(errand: &Path) {
    let more = ["--set", "size=2 KiB", "--set", "grade=high"];
    let mut errands = Errands::of(errand.to_str().unwrap(), &[], &more, &[]).await;
    for (key, said) in
        [("pause", "ok 10000"), ("size", "ok 2048"), ("level", "ok high"), ("token", "ok nothing")]
    {
        assert_eq!(errands.run(doc! { "do": "config", "key": key }).await, said, "{key}");
    }
}

super::capabilities::with_errands!(
    settings_are_declared_with_all_their_properties: js, python, c, cpp, go, zig;
    a_misspelt_or_wrong_setting_is_refused: js, python, c, cpp, go, zig;
    a_plugin_gets_values_in_the_units_of_the_contract: js, python, c, cpp, go, zig;
);
