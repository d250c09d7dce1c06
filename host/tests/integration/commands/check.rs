//! `gtm-host check`: what a plugin is, before it is run.

use serde_json::Value;

use crate::support::{plugin, run};

#[test]
fn a_plugin_is_described() {
    let path = plugin("send_welcome_email");
    let (code, out, said) = run(&["check", &path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.starts_with(&format!("{path}: a plugin\n  version        ")), "{out}");
    assert!(out.contains("\n  contract       0.2.0\n"), "{out}");
    assert!(
        out.contains("\n                 subject (a text; default Welcome): The subject of the mail.\n"),
        "{out}"
    );
    assert!(
        out.contains("\n  subscribes to  users.users (insert)\n  asks for       mail: not granted\n"),
        "{out}"
    );

    let (code, out, _) = run(&["check", "--output", "json", &path, &plugin("print_ops")]);
    assert_eq!(code, Some(0));
    let described: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(described[0]["asks"], serde_json::json!(["mail"]));
    assert_eq!(described[0]["subscriptions"][0]["namespace"], "users.users");
    assert_eq!(described[0]["bytes"], std::fs::metadata(&path).unwrap().len());
    assert_eq!(described[1]["asks"], serde_json::json!([]));
    assert_eq!(described[1]["subscriptions"], serde_json::json!([]));
    assert_ne!(described[0]["version"], described[1]["version"]);
    let subject = &described[0]["settings"][1];
    assert_eq!(
        (&subject["name"], &subject["type"], &subject["default"]),
        (&"subject".into(), &"text".into(), &"Welcome".into())
    );
}

#[test]
fn wrong_settings_are_refused_together_and_the_right_ones_are_listed() {
    let (code, out, _) = run(&["check", &plugin("webhook"), "--set", "ulr=x", "--set", "timeout=soon"]);
    assert_eq!(code, Some(1), "{out}");
    for part in [
        "a plugin that does not start with these settings",
        "the setting url is missing. help: pass --set webhook:url=VALUE",
        "unknown setting ulr (did you mean url?). help: the settings of the plugin are url, secret, timeout",
        "the setting timeout is \"soon\", and it must be a duration, such as 500ms, 10s or 5m",
        "\n  settings       url (a text; required): The URL that gets each change by POST.\n",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn what_is_no_plugin_is_said_and_the_rest_is_described() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.wasm");
    std::fs::write(&text, "no WebAssembly").unwrap();
    let text = text.to_str().unwrap();
    let (code, out, _) = run(&["check", text, &plugin("print_ops")]);
    assert_eq!(code, Some(1));
    assert!(
        out.starts_with(&format!("{text}: not a plugin\n  the plugin {text} is not WebAssembly")),
        "{out}"
    );
    assert!(out.contains("print_ops.wasm: a plugin\n"), "{out}");
    let (code, out, _) = run(&["check", text, "--output", "json"]);
    assert_eq!(code, Some(1));
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["plugin"], false);
    assert!(said["error"].as_str().unwrap().contains("is not WebAssembly"), "{said}");
}
