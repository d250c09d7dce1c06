//! The names of settings: each has one in the settings file, the environment and the command line, and names of earlier versions work.

use std::process::Command;

use gtm_host::config::{Kind, SETTINGS, Setting};
use serde_json::Value;

/// A value that the setting can have.
fn sample(setting: &Setting) -> &'static str {
    match (setting.key, setting.default, setting.kind) {
        ("admin.listen", ..) => "none",
        ("workers.from", ..) => "gtm.workers/shop",
        ("source.oplog", ..) => "local.other",
        ("mail.url", ..) => "smtp://localhost:25",
        (_, Some(default), _) => default,
        (_, None, Kind::Path | Kind::Paths) => "/a/path",
        (_, None, _) => "text",
    }
}

/// What `config show` prints, and the names that it warned of, each with its new name.
struct Shown {
    settings: Vec<Value>,
    warned: Vec<(String, String)>,
}

impl Shown {
    fn of(arguments: &[String], variables: &[(String, String)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
        command.env_clear().envs(variables.iter().cloned()).args(["config", "show", "--output", "json"]);
        let output = command.args(["--log-format", "json"]).args(arguments).output().unwrap();
        let objects = |bytes: &[u8]| -> Vec<Value> {
            let text = std::str::from_utf8(bytes).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
        };
        let log = objects(&output.stderr);
        assert!(output.status.success(), "{log:?}");
        let renamed = log.iter().filter(|event| event["event"] == "settings.rename");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let warned = renamed.map(|event| (text(&event["old"]), text(&event["new"]))).collect();
        Self { settings: objects(&output.stdout), warned }
    }

    fn origin(&self, setting: &Setting) -> &str {
        let found = self.settings.iter().find(|shown| shown["key"] == setting.key);
        found.and_then(|shown| shown["origin"].as_str()).unwrap_or_else(|| panic!("{}", setting.key))
    }
}

fn with_option() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.has_option)
}

/// Settings that can be set together, without the other form of each. The test sets log.format itself, and workers are not checked if
/// there is no plugin.
fn settings(is_other_form: bool) -> impl Iterator<Item = &'static Setting> {
    with_option().filter(move |setting| {
        let is_other = setting.instead_of.iter().any(|other| *other < setting.key);
        !["log.format", "plugin_dir"].contains(&setting.key)
            && (if is_other_form { !setting.instead_of.is_empty() && is_other } else { !is_other })
    })
}

#[test]
fn each_setting_is_read_by_its_name_without_a_warning() {
    for is_other_form in [false, true] {
        let settings = || settings(is_other_form);
        assert!(settings().count() > 3);
        let options = settings().map(|setting| format!("--{}={}", setting.option(), sample(setting)));
        let shown = Shown::of(&options.collect::<Vec<_>>(), &[]);
        assert_eq!(shown.warned, []);
        for setting in settings() {
            assert_eq!(shown.origin(setting), format!("--{}", setting.usual_option()));
        }
        let variables = settings().map(|setting| (setting.variable(), sample(setting).to_owned()));
        let shown = Shown::of(&[], &variables.collect::<Vec<_>>());
        assert_eq!(shown.warned, []);
        for setting in settings() {
            assert_eq!(shown.origin(setting), format!("the variable {}", setting.variable()));
        }
    }
    let short = with_option().filter_map(|setting| Some((setting, setting.short_name?)));
    let options = short.map(|(setting, name)| format!("--{name}={}", sample(setting)));
    assert_eq!(Shown::of(&options.collect::<Vec<_>>(), &[]).warned, []);
}

/// Returns the old names of settings. Two forms of one setting cannot be set together, so the files of secrets are apart.
fn old_names(name: impl Fn(&Setting) -> Option<String>) -> [Vec<(&'static Setting, String)>; 2] {
    let old = with_option().filter_map(|setting| Some((setting, name(setting)?)));
    let (files, others): (Vec<_>, Vec<_>) = old.partition(|(setting, _)| setting.key.ends_with("_file"));
    assert!(!files.is_empty() && others.len() >= 18, "{files:?} {others:?}");
    [files, others]
}

#[test]
fn an_option_of_an_earlier_version_works_with_one_warning() {
    for old in old_names(|setting| setting.old_option.map(str::to_owned)) {
        let options = old.iter().map(|(setting, option)| format!("--{option}={}", sample(setting)));
        let shown = Shown::of(&options.collect::<Vec<_>>(), &[]);
        for (setting, option) in &old {
            assert_eq!(shown.origin(setting), format!("--{option}"));
            let expected = (format!("--{option}"), format!("--{}", setting.option()));
            assert_eq!(shown.warned.iter().filter(|warned| **warned == expected).count(), 1, "{option}");
        }
        assert_eq!(shown.warned.len(), old.len());
    }
}

#[test]
fn a_variable_of_an_earlier_version_works_with_one_warning() {
    for old in old_names(Setting::old_variable) {
        let variables = old.iter().map(|(setting, name)| (name.clone(), sample(setting).to_owned()));
        let shown = Shown::of(&[], &variables.collect::<Vec<_>>());
        for (setting, name) in &old {
            assert_eq!(shown.origin(setting), format!("the variable {name}"));
            let expected = (name.clone(), setting.variable());
            assert_eq!(shown.warned.iter().filter(|warned| **warned == expected).count(), 1, "{name}");
        }
        assert_eq!(shown.warned.len(), old.len());
    }
}

#[test]
fn the_shared_variables_of_mongodb_work_without_a_warning_and_are_overridden() {
    let uri = Setting::find("source.uri").unwrap();
    let shared = ("MONGODB_URI".to_owned(), "mongodb://shared".to_owned());
    let shown = Shown::of(&[], std::slice::from_ref(&shared));
    assert_eq!(shown.origin(uri), "the variable MONGODB_URI");
    assert_eq!(shown.warned, []);
    let own = ("GTM_SOURCE_URI".to_owned(), "mongodb://own".to_owned());
    let shown = Shown::of(&[], &[shared, own]);
    assert_eq!(shown.origin(uri), "the variable GTM_SOURCE_URI");
    // The URI in a file is another way to set the same.
    let shared = ("MONGODB_URI".to_owned(), "mongodb://shared".to_owned());
    let file = ("GTM_SOURCE_URI_FILE".to_owned(), "/run/secrets/uri".to_owned());
    let shown = Shown::of(&[], &[shared, file]);
    assert_eq!(shown.origin(uri), "default");
}

#[test]
fn no_secret_is_shown() {
    let variables = [
        ("GTM_SOURCE_URI", "mongodb://ada:it's%20s3cret@db/?tlsCertificateKeyFilePassword=s3cret"),
        ("GTM_MAIL_URL", "smtp://ada:s3cret@mail"),
        ("GTM_ADMIN_TOKEN", "s3cret://token"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let shown = Shown::of(&[], &variables).settings;
    let values: Vec<_> = shown.iter().map(|shown| shown["value"].to_string()).collect();
    assert!(!values.iter().any(|value| value.contains("s3cret")), "{values:?}");
    for value in ["\"mongodb://db\"", "\"smtp://mail\"", "\"(hidden)\""] {
        assert!(values.iter().any(|shown| shown == value), "{value}: {values:?}");
    }
}

#[test]
fn a_typed_option_of_an_earlier_version_overrides_a_variable() {
    let setting = Setting::find("mail.url").unwrap();
    let variable = ("GTM_MAIL_URL".to_owned(), "smtp://variable".to_owned());
    let typed = ["--smtp".to_owned(), "smtp://typed".to_owned()];
    assert_eq!(Shown::of(&typed, &[variable]).origin(setting), "--smtp");
}

#[test]
fn both_names_of_one_option_are_refused() {
    let both = ["config", "show", "--smtp", "smtp://a", "--mail-url", "smtp://b"];
    let output = Command::new(env!("CARGO_BIN_EXE_gtm-host")).env_clear().args(both).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("help: pass --mail-url alone"), "{error}");
}
