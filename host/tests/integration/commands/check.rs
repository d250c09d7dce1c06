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
fn a_new_file_is_checked_as_a_version_of_a_plugin() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("gtm.toml");
    let text = "[plugins.notify]\npath = \"notify.wasm\"\nconfig.subject = \"Hi\"\ngrants.mail.to = [\"*@a.example\"]\n";
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let check = |file: &str| run(&["check", file, "--config", config]);
    let (code, out, said) = check(&format!("notify={}", plugin("send_welcome_email")));
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(
        out.contains(", set up as notify: a plugin\n")
            && out.contains("mail: granted, from any address, to *@a.example"),
        "{out}"
    );
    // One that does not take its settings is refused.
    let (code, out, _) = check(&format!("notify={}", plugin("webhook")));
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("unknown setting subject") && out.contains("the setting url is missing"), "{out}");
    let (code, _, said) = check(&format!("notfy={}", plugin("send_welcome_email")));
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the settings have no plugin notfy; they have: notify"), "{said}");
    // It is tried with them, too.
    let (code, out, said) = run(&[
        "try",
        &format!("notify={}", plugin("send_welcome_email")),
        "--config",
        config,
        "--insert",
        "users.users",
        r#"{"_id":1,"name":"Ada","email":"ada@a.example"}"#,
    ]);
    assert!(code == Some(0) && out.contains("Subject: Hi"), "{out}{said}");
}

#[test]
fn a_value_for_all_plugins_is_for_those_that_declare_it() {
    let (mail, webhook) = (plugin("send_welcome_email"), plugin("webhook"));
    let url = "url=https://a.example";
    let (code, out, said) = run(&["check", &mail, &webhook, "--set", "subject=Hi", "--set", url]);
    assert_eq!(code, Some(0), "{out}{said}");
    let both = ["config", "check", "--plugin", &mail, "--plugin", &webhook, "--set", url];
    let (code, out, said) = run(&[&both[..], &["--set", "subject=Hi"]].concat());
    assert_eq!(code, Some(0), "{out}{said}");
    let unknown = "none of the plugins send_welcome_email, webhook has the setting subjct (did you mean subject?). help: their settings are ";
    let (code, out, _) = run(&[&both[..], &["--set", "subjct=Hi"]].concat());
    assert_eq!(code, Some(2), "{out}");
    assert!(out.contains(unknown), "{out}");
    let (code, _, said) = run(&["check", &mail, &webhook, "--set", url, "--set", "subjct=Hi"]);
    assert_eq!((code, said.contains(unknown)), (Some(2), true), "{said}");
    let of_none = [&["--plugin", &*mail, "--plugin", &*webhook, "--set", url, "--set", "subjct=Hi"][..]];
    let (code, _, said) = run(&of_none.concat());
    assert_eq!((code, said.contains(unknown)), (Some(2), true), "{said}");
    // A value for one plugin must be one of its settings.
    let (code, out, _) = run(&[&both[..], &["--set", "webhook:subject=Hi"]].concat());
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("unknown setting subject"), "{out}");
}

#[test]
fn a_value_for_all_plugins_is_checked_if_one_of_them_cannot_be_loaded() {
    let (mail, webhook) = (plugin("send_welcome_email"), plugin("webhook"));
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("broken.wasm");
    std::fs::write(&broken, "text").unwrap();
    let broken = broken.to_str().unwrap();
    let set = ["--set", "subjct=Hi"];
    // The webhook has no URL, and says which settings it has.
    let both = ["--plugin", &*mail, "--plugin", &webhook];
    let unknown = "none of the plugins send_welcome_email, webhook has the setting subjct (did you mean subject?). help: their settings are ";
    let (code, out, _) = run(&[&["config", "check"], &both[..], &set].concat());
    assert!(code == Some(2) && out.contains(unknown) && out.contains("the setting url is missing"), "{out}");
    let (code, out, said) = run(&[&["check", &mail, &webhook][..], &set].concat());
    assert!(code == Some(2) && said.contains(unknown), "{out}{said}");
    let (code, _, said) = run(&[&both[..], &set].concat());
    assert!(code == Some(2) && said.contains(unknown), "{said}");
    // The settings of a file that is not a plugin are not known.
    let both = ["--plugin", &*mail, "--plugin", broken];
    let perhaps = "the settings of broken are not known, and none of the plugins send_welcome_email has the setting subjct (did you mean subject?)";
    let (code, out, _) = run(&[&["config", "check"], &both[..], &set].concat());
    assert!(code == Some(1) && out.contains(perhaps) && out.contains("is not WebAssembly"), "{out}");
    let (code, _, said) =
        run(&[&both[..], &set, &["--uri", "mongodb://localhost:1/?serverSelectionTimeoutMS=1"]].concat());
    assert!(code == Some(1) && said.contains(perhaps), "{said}");
}

#[test]
fn former_names_and_several_texts_are_known() {
    let path = plugin("print_ops");
    let (code, out, said) = run(&["check", &path]);
    assert!(code == Some(0) && out.contains("formerly namespace"), "{out}{said}");
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("gtm.toml");
    let show = |value: &str| {
        let text = format!("[plugins.p]\npath = {path:?}\nconfig.namespaces = {value}\n");
        std::fs::write(&config, text).unwrap();
        let (code, out, said) = run(&["check", &path, "--config", config.to_str().unwrap()]);
        (code, out + &said)
    };
    let (code, said) = show("[\"a.b\", \"c.*\"]");
    assert!(
        code == Some(0) && said.contains("a.b (everything)\n                 c.* (everything)"),
        "{said}"
    );
    let (code, said) = show("[\"a.b,c\"]");
    assert!(code == Some(2) && said.contains("a list of texts without commas"), "{said}");
    let (code, out, _) = run(&["check", &path, "--set", "namespaces=a.b,c.*"]);
    assert!(code == Some(0) && out.contains("a.b (everything)\n                 c.* (everything)"), "{out}");
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
