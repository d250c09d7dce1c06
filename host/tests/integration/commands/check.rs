//! `gtm-host check`: what a plugin is, before it is run.

use serde_json::Value;

use crate::support::{plugin, run};

#[test]
fn a_plugin_is_described() {
    let path = plugin("send_welcome_email");
    let (code, out, said) = run(&["check", &path]);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.starts_with(&format!("{path}: a plugin\n  version        ")), "{out}");
    assert!(out.contains("\n  contract       0.1.0\n"), "{out}");
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
}

#[test]
fn what_is_no_plugin_is_said_and_the_rest_is_described() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("text.wasm");
    std::fs::write(&text, "no WebAssembly").unwrap();
    let text = text.to_str().unwrap();
    let (code, out, _) = run(&["check", text, &plugin("print_ops")]);
    assert_eq!(code, Some(1));
    assert!(out.starts_with(&format!("{text}: not a plugin\n  the plugin {text} is not WebAssembly")), "{out}");
    assert!(out.contains("print_ops.wasm: a plugin\n"), "{out}");
    let (code, out, _) = run(&["check", text, "--output", "json"]);
    assert_eq!(code, Some(1));
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["plugin"], false);
    assert!(said["error"].as_str().unwrap().contains("is not WebAssembly"), "{said}");
}
