//! Settings files.

use super::*;

#[test]
fn the_example_is_valid_and_shows_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/gtm.toml");
    let settings = Settings::read(&path).unwrap();
    assert_eq!(settings.limits(), Limits::default());
    assert_eq!(settings.delivery, DeliverySettings::default());
    let welcome = &settings.plugins["send_welcome_email"];
    assert!(welcome.path.as_ref().unwrap().ends_with("send_welcome_email.wasm"));
    assert!(welcome.config.contains_key("subject"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gtm.toml");
    std::fs::write(&path, "[source]\nurl = \"mongodb://user:secret@localhost\"\n").unwrap();
    let message = Settings::read(&path).unwrap_err().to_string();
    assert!(message.contains("line 2"), "{message}");
    assert!(message.contains("unknown key `url`, expected one of `uri`"), "{message}");
    assert!(message.ends_with("Did you mean `uri`?"), "{message}");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn an_invalid_value_is_named_by_the_path_of_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gtm.toml");
    for (text, found) in [
        ("[limits]\nmemory = 1\n", "line 2, limits.memory: "),
        ("[plugins.x.limits]\nmemory = 1\n", "line 2, plugins.x.limits.memory: "),
        ("plugins = { x = { limits = { memory = 1 } } }\n", "line 1, plugins.x.limits.memory: "),
        (
            "[plugins.x.grants]\nhttp = [\n  \"https://h\",\n  { uri = \"https://h\" },\n]\n",
            ", plugins.x.grants.http[1].uri: unknown key",
        ),
        ("[plugins.x]\nlanes = 2\nlane = 1\n", "line 3, plugins.x.lane: unknown key"),
        ("nam = \"x\"\n", "line 1, nam: unknown key"),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = Settings::read(&path).unwrap_err().to_string();
        assert!(message.contains(found), "{text}: {message}");
    }
}

#[test]
fn no_debug_output_shows_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gtm.toml");
    let text = "[source]\nuri = \"mongodb://ada:s3cret@h\"\n[mail]\nurl = \"smtp://ada:s3cret@h\"\n[admin]\n\
                token = \"s3cret\"\n[plugins.x]\npath = \"x.wasm\"\nconfig.key = \"s3cret\"\n";
    std::fs::write(&path, text).unwrap();
    let setting = Setting::find("admin.token").unwrap();
    let value = setting.parse("s3cret").unwrap();
    let given = [GivenValue { setting, value, origin: Origin::Variable(setting.variable()) }];
    let settings = Settings::layered(Some(&path), &given).unwrap();
    let shown = format!("{settings:?}{given:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("GTM_ADMIN_TOKEN"), "{shown}");
}

#[test]
fn a_grant_for_this_run_survives_a_reload() {
    let mut settings = Settings::default();
    settings.grant_for_this_run("x", Grant::parse("mail", None).unwrap());
    for _ in 0..2 {
        settings.take_over_plugins(Settings::default());
        assert!(settings.plugins["x"].grants.mail.is_some());
    }
    assert_eq!(settings.for_this_run.grants.len(), 1);
}

#[test]
fn a_file_may_contain_a_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("uri");
    std::fs::write(&file, "mongodb://u:p@h\n").unwrap();
    assert_eq!(secret(None, Some(&file)).unwrap().as_deref(), Some("mongodb://u:p@h"));
    let given = SecretText::from("given".to_owned());
    assert_eq!(secret(Some(&given), Some(&file)).unwrap().as_deref(), Some("given"));
    assert!(secret(None, Some(&directory.path().join("none"))).is_err());
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let refused = secret(None, Some(&file)).unwrap_err().to_string();
    assert!(refused.contains("uri may be changed by every user of this machine"), "{refused}");
}

#[test]
fn limits_of_zero_are_refused_if_nothing_could_fit() {
    let short = "0s is too short: write a longer time, or leave it out for the default";
    let small = "0 B is too small: write a larger size, or leave it out for the default";
    let few = "0 is too few: write 1 or more, or leave the key out for the default";
    assert_eq!(parse_time_above_zero("0s").unwrap_err(), short);
    assert_eq!(parse_time_above_zero("1ms"), Ok(Duration::from_millis(1)));
    assert_eq!(parse_size("0 MiB").unwrap_err(), small);
    for (table, key, value, expected) in [
        ("limits", "filter_timeout", "\"0s\"", short),
        ("limits", "handle_timeout", "\"0ms\"", short),
        ("limits", "call_timeout", "\"0s\"", short),
        ("limits", "memory", "\"0 B\"", small),
        ("limits", "host_memory", "\"0 MiB\"", small),
        ("limits", "http_bytes", "\"0 B\"", small),
        ("limits", "log_bytes", "\"0 B\"", small),
        ("limits", "log_lines", "0", few),
        ("limits", "http_requests", "0", few),
        ("limits", "recycle_calls", "0", few),
        ("delivery", "max_bytes", "\"0 B\"", small),
        ("delivery", "max_ops", "0", few),
        ("delivery", "batch_ops", "0", few),
        ("delivery", "checkpoint_interval", "\"0s\"", short),
        ("retry", "max_age", "\"0s\"", short),
        ("retry", "max_delay", "\"0s\"", short),
        ("breaker", "initial_delay", "\"0s\"", short),
        ("breaker", "max_delay", "\"0s\"", short),
    ] {
        let refused = toml::from_str::<Settings>(&format!("[{table}]\n{key} = {value}\n"));
        assert_eq!(refused.unwrap_err().message(), expected, "{table}.{key}");
    }
    // Here 0 has a meaning: immediately, or no limit.
    let none = "shutdown_grace = \"0s\"\n[delivery]\nbatch_wait = \"0s\"\n[admin]\nready_grace = \"0s\"\n[retry]\n\
                initial_delay = \"0s\"\ndead_letter_bytes = \"0 B\"\n[limits]\nstate_bytes = 0\n";
    toml::from_str::<Settings>(none).unwrap();
}
