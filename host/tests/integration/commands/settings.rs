//! Mistakes in settings: in the settings file, in variables, and on the command line.

use std::process::Command;

use serde_json::Value;

use crate::log;
use crate::support::plugin;

/// What a command printed, with these variables.
struct Ended {
    code: Option<i32>,
    out: String,
    said: String,
}

fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gtm-host"));
    command.env_clear().envs(variables.iter().copied()).args(arguments);
    command.env("GTM_CACHE_DIR", gtm_test_support::target_dir().join("testbed/cache"));
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), said: text(output.stderr) }
}

#[test]
fn all_mistakes_in_a_file_are_shown_in_one_run() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    std::fs::write(&file, "nam = \"x\"\n[delivery]\nlanes = \"4\"\n[plugins.x]\nlane = 1\n").unwrap();
    let Ended { code, said, .. } = run(&[], &["config", "check", file.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{said}");
    for part in [
        "gtm.toml, line 1, nam: unknown key `nam`",
        "Did you mean `name`?",
        "gtm.toml, line 3, delivery.lanes: expected a whole number without quotes; found a text",
        "gtm.toml, line 5, plugins.x.lane: unknown key `lane`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_check_reports_a_setting_that_no_plugin_knows() {
    let check = ["config", "check", "--plugin", &plugin("send_welcome_email"), "--set", "plugin.key=1"];
    let Ended { code, out, said } = run(&[], &check);
    assert_eq!(code, Some(1), "{out}{said}");
    assert!(out.contains("are not valid: unknown setting plugin.key. help: "), "{out}");
}

#[test]
fn an_error_in_a_variable_names_the_variable() {
    for (variable, value) in [
        ("GTM_DELIVERY_LANES", "x"),
        ("GTM_LANES", "x"),
        ("GTM_SOURCE_KIND", "x"),
        ("GTM_NO_WATCH", "x"),
        ("GTM_RESTART_FROM", "x"),
        ("GTM_SET", "x"),
        ("GTM_SET", "nosuch:key=1"),
        ("GTM_GRANT", "nosuch:mail"),
        ("GTM_RESTART_FROM", "nosuch=now"),
    ] {
        for command in [&["run"][..], &["config", "check"]] {
            let arguments = [command, &["--plugin", "x.wasm"]].concat();
            let Ended { code, said, .. } = run(&[(variable, value)], &arguments);
            assert_eq!(code, Some(2), "{variable}: {said}");
            assert!(said.contains(variable) && !said.contains("for '--"), "{variable}: {said}");
        }
    }
    // What was typed is wrong, and not the variable that it overrides.
    let typed = ["--plugin", "x.wasm", "--delivery-lanes", "y"];
    let Ended { said, .. } = run(&[("GTM_DELIVERY_LANES", "x")], &typed);
    assert!(said.contains("--delivery-lanes") && !said.contains("GTM_DELIVERY_LANES"), "{said}");
}

#[test]
fn a_variable_that_nothing_reads_is_warned_of() {
    let variables = [
        ("GTM_DELIVERY_LANE", "4"),
        ("GTM_QQQQQQ", "4"),
        // These are read: by the log, by a plugin, and by tests and examples.
        ("GTM_LOG", "info"),
        ("GTM_OF_PLUGIN", "x"),
        ("GTM_FUZZ_SEED", "1"),
        ("GTM_HOST", "gtm-host"),
    ];
    let plugin = plugin("print_ops");
    let grant = "env=GTM_OF_PLUGIN";
    let Ended { code, said, .. } =
        run(&variables, &["config", "check", "--plugin", &plugin, "--grant", grant]);
    assert_eq!(code, Some(0), "{said}");
    let lines = log::parse(&said);
    let ignored: Vec<_> = lines.iter().filter(|line| line["event"] == "settings.ignore_variable").collect();
    assert_eq!(ignored.len(), 2, "{said}");
    let help = |variable: &str| {
        let line = ignored.iter().find(|line| line["variable"] == variable);
        line.and_then(|line| line["help"].as_str()).unwrap_or_else(|| panic!("{variable}: {said}"))
    };
    assert!(help("GTM_DELIVERY_LANE").starts_with("did you mean GTM_DELIVERY_LANES?"), "{said}");
    assert!(!help("GTM_QQQQQQ").contains("did you mean"), "{said}");
}

#[test]
fn an_old_name_beside_the_new_one_is_warned_of() {
    let variables = [("GTM_SMTP", "smtp://old"), ("GTM_MAIL_URL", "smtp://new")];
    let Ended { out, said, .. } = run(&variables, &["config", "show"]);
    assert!(out.contains("mail.url = \"smtp://new\"\n"), "{out}");
    let names = [("old", "GTM_SMTP"), ("new", "GTM_MAIL_URL")];
    assert!(log::has(&said, "settings.rename", &names), "{said}");
}

#[test]
fn an_option_overrides_the_variable_that_means_the_contrary() {
    let show = ["config", "show", "--origin"];
    let variables = [("GTM_NO_WATCH", "1")];
    let Ended { out, .. } = run(&variables, &show);
    assert!(out.contains("watch = false  # the variable GTM_NO_WATCH\n"), "{out}");
    let Ended { out, .. } = run(&[], &[&show[..], &["--no-watch"]].concat());
    assert!(out.contains("watch = false  # --no-watch\n"), "{out}");
    let Ended { out, .. } = run(&variables, &[&show[..], &["--watch=true"]].concat());
    assert!(out.contains("watch = true  # --watch\n"), "{out}");
}

#[test]
fn settings_that_are_shown_are_a_settings_file() {
    let directory = tempfile::tempdir().unwrap();
    let (file, shown) = (directory.path().join("gtm.toml"), directory.path().join("shown.toml"));
    let text = format!(
        "name = \"a\\nb\\u202e\\\"c\\\\d\"\n[plugins.\"a.b\"]\npath = {:?}\n[plugins.\"a.b\".grants]\nhttp = [\"https://a.example\"]\nmail = true\n[plugins.\"a.b\".config]\n\
         namespaces = {{ env = \"NAMESPACES\" }}\n",
        plugin("print_ops")
    );
    std::fs::write(&file, text).unwrap();
    let named = format!("c={}", plugin("print_ops"));
    let variables = [
        ("GTM_GRANT", "mail-from=a@a.example\nc:dir=/tmp:/t"),
        ("NAMESPACES", "shop.*"),
        ("GTM_PLUGIN", &named),
    ];
    let arguments = ["config", "show", "--origin", file.to_str().unwrap()];
    let Ended { code, out, said } =
        run(&variables, &[&arguments[..], &["-g", "http=http://localhost:1"]].concat());
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("plugins.c.path = ") && out.contains("  # the variable GTM_PLUGIN\n"), "{out}");
    assert!(out.contains("plugins.c.grants.http = [\"http://localhost:1\"]  # --grant\n"), "{out}");
    let Ended { code, out, said } = run(&variables, &arguments);
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("plugins.c.grants.dirs = [{ guest = \"/t\", host = \"/tmp\", write = false }]  # the variable GTM_GRANT\n"), "{out}");
    assert!(
        out.contains("plugins.\"a.b\".grants.mail.from = [\"a@a.example\"]  # the variable GTM_GRANT\n"),
        "{out}"
    );
    std::fs::write(&shown, &out).unwrap();
    let again = ["config", "check", shown.to_str().unwrap()];
    let Ended { code, out, said } = run(&[("NAMESPACES", "shop.*")], &again);
    assert_eq!(code, Some(0), "{out}{said}");
    let Ended { out: first, .. } = run(&variables, &["config", "show", file.to_str().unwrap()]);
    let Ended { out: second, .. } =
        run(&[("NAMESPACES", "shop.*")], &["config", "show", shown.to_str().unwrap()]);
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("plugins.") || line.starts_with("name ="))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&first), sorted(&second));
    assert_eq!(sorted(&first)[0], r#"name = "a\nb\u202e\"c\\d""#);
}

#[test]
fn a_text_that_stands_for_a_secret_is_refused_as_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let path = file.to_str().unwrap();
    for (text, key) in [
        ("[admin]\ntoken = \"(hidden)\"\n", "admin.token (PATH, line 2)"),
        ("[mail]\nurl = \"(hidden)\"\n", "mail.url (PATH, line 2)"),
        ("[plugins.x.config]\nkey = \"(hidden)\"\n", "plugins.x.config.key (PATH, line 2)"),
        (
            "plugins.x.grants.http = [{ url = \"https://h\", headers = { a = \"(hidden)\" } }]\n",
            "plugins.x.grants.http (PATH, line 1)",
        ),
    ] {
        std::fs::write(&file, text).unwrap();
        let Ended { code, said, .. } = run(&[], &["config", "check", path]);
        assert_eq!(code, Some(2), "{text}: {said}");
        assert!(
            said.contains("(hidden) is not a secret") && said.contains(&key.replace("PATH", path)),
            "{text}: {said}"
        );
    }
    let Ended { said, .. } = run(&[("GTM_ADMIN_TOKEN", "(hidden)")], &["config", "show"]);
    assert!(said.contains("(the variable GTM_ADMIN_TOKEN)"), "{said}");
}

#[test]
fn two_forms_of_one_setting_are_refused_in_one_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let path = file.to_str().unwrap();
    std::fs::write(&file, "[mail]\nurl = \"smtp://a\"\nurl_file = \"b\"\n").unwrap();
    let of_file =
        format!("mail.url ({path}, line 2) and mail.url_file ({path}, line 3) are both set. help: keep one");
    let of_variables = "the variable MONGODB_URI and the variable MONGODB_URI_FILE are both set";
    for (variables, arguments, expected) in [
        (&[][..], &["config", "show", path][..], &*of_file),
        (
            &[],
            &["config", "show", "--admin-token", "a", "--admin-token-file", "b"],
            "--admin-token and --admin-token-file are both set",
        ),
        (&[("MONGODB_URI", "mongodb://a"), ("MONGODB_URI_FILE", "b")], &["config", "show"], of_variables),
    ] {
        let Ended { code, said, .. } = run(variables, arguments);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
    // A higher place replaces both.
    let Ended { code, out, .. } = run(&[], &["config", "show", path, "--mail-url", "smtp://c"]);
    assert!(code == Some(0) && out.contains("mail.url = \"smtp://c\"\n"), "{out}");
}

#[test]
fn the_final_error_is_a_line_of_the_log() {
    let json = ["--log-format", "json", "--log", "off"];
    for arguments in [&["--plugin", "no/such.wasm"][..], &["--config", "/no/such.toml"], &[]] {
        let Ended { said, .. } = run(&[], &[&json[..], arguments].concat());
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [line] = &lines[..] else { panic!("{said}") };
        assert_eq!((&line["event"], &line["level"]), (&"host.fail".into(), &"ERROR".into()), "{said}");
        let time = line["timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && line["target"] == "gtm_host::cli", "{said}");
        assert!(!line["error"].as_str().unwrap().contains("help:"), "{said}");
    }
    let Ended { said, .. } = run(&[], &[&json[..], &["--plugin", "no/such.wasm"]].concat());
    let line: Value = serde_json::from_str(said.trim()).unwrap();
    assert!(log::field(&line, "help").starts_with("check the path"), "{said}");
}

/// The error of a command line that is not valid is such a line, too, and help stays text.
#[test]
fn an_error_in_the_command_line_is_a_line_of_json() {
    for arguments in [
        &["--log-format", "json", "--no-such"][..],
        &["status", "--log-format=json", "--watch=maybe"],
        &["status", "--output", "json", "--no-such"],
        &["check", "--output=json"],
    ] {
        let Ended { code, out, said } = run(&[], arguments);
        assert_eq!((code, &*out), (Some(2), ""), "{said}");
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [line] = &lines[..] else { panic!("{said}") };
        assert_eq!(line["event"], "host.fail", "{said}");
        assert!(!log::field(line, "error").contains("Usage:"), "{said}");
    }
    let Ended { code, said, .. } = run(&[("GTM_LOG_FORMAT", "json")], &["--no-such"]);
    let line: Value = serde_json::from_str(said.trim()).unwrap();
    assert_eq!((code, &line["event"]), (Some(2), &"host.fail".into()), "{said}");
    // Errors that are found later have the same form.
    let Ended { said, .. } = run(&[], &["status", "--output", "json", "--name", "no such pipeline"]);
    assert!(said.lines().last().is_some_and(|line| line.contains("\"event\":\"host.fail\"")), "{said}");
    for text in [&["status", "--log-format", "text", "--output", "json", "--no-such"][..], &["--no-such"]] {
        let Ended { said, .. } = run(&[], text);
        assert!(said.starts_with("error: unexpected argument"), "{said}");
    }
    let Ended { code, out, .. } = run(&[], &["--help", "--log-format", "json"]);
    assert!(code == Some(0) && out.contains("Usage:"), "{out}");
}

#[test]
fn a_value_that_is_not_secret_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let text = format!(
        "[plugins.w]\npath = {:?}\n[plugins.w.config]\nurl = \"https://ada:s3cret@a.example/x\"\nsecret = \"s3cret\"\n\
         [plugins.gone]\npath = \"gone.wasm\"\nconfig.key = \"s3cret\"\n",
        plugin("webhook")
    );
    std::fs::write(&file, text).unwrap();
    let show = ["config", "show", file.to_str().unwrap(), "--set", "w:timeout=5s", "--set", "w:ulr=s3cret"];
    let Ended { code, out, said } = run(&[], &show);
    assert_eq!(code, Some(0), "{said}");
    for shown in [
        "plugins.w.config.url = \"https://a.example/x\"",
        "plugins.w.config.secret = \"(hidden)\"",
        "plugins.w.config.timeout = \"5s\"",
        // It is not declared, so it may be a secret.
        "plugins.w.config.ulr = \"(hidden)\"",
        "plugins.gone.config.key = \"(hidden)\"",
    ] {
        assert!(out.lines().any(|line| line == shown), "{shown}: {out}");
    }
    assert!(!out.contains("s3cret"), "{out}");
}

#[test]
fn a_tip_names_no_option_of_an_earlier_version() {
    for (typed, tip) in
        [("--smtpp", "'--mail-url'"), ("--uri-fil", "'--source-uri-file'"), ("--memor", "'--limits-memory'")]
    {
        let Ended { code, said, .. } = run(&[], &["--plugin", "x.wasm", typed, "x"]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(tip), "{typed}: {said}");
    }
}

#[test]
fn manual_pages_are_written_into_a_new_directory() {
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("share/man/man1");
    let Ended { code, said, .. } = run(&[], &["man", "--dir", pages.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(pages.join("gtm-host.1").is_file() && pages.join("gtm-host-tail.1").is_file());
}

#[test]
fn a_grant_of_mail_is_shown_once() {
    let check = ["check", "--grant", "mail", &plugin("send_welcome_email")];
    let Ended { out, said, .. } = run(&[], &check);
    assert!(out.contains("mail: granted, from any address"), "{out}{said}");
}
