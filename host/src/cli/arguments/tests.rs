//! The command line, the environment and the settings file together.

use std::path::Path;

use gtm_host::config::{ConfigValue, SecretText, Setting};
use gtm_runtime::Grant;
use gtm_source::StartAt;

use super::*;

fn settings(arguments: &[&str]) -> Result<Settings, String> {
    let all = std::iter::once("gtm-host").chain(arguments.iter().copied());
    let command = Arguments::read(all.map(OsString::from)).map_err(|error| error.to_string())?;
    command.settings().map_err(|error| format!("{error:#}"))
}

#[test]
fn a_start_may_be_a_span_before_now() {
    for start in ["--start=-10m", "--start=yesterday", "--start=2026-01-31T14:00:00+02:00"] {
        let settings = settings(&["-p", "x.wasm", start]).unwrap();
        assert!(matches!(settings.source.start, Some(StartAt::Time(_))), "{start}");
    }
    let apart = settings(&["-p", "x.wasm", "--start", "-10m"]).unwrap();
    assert!(matches!(apart.source.start, Some(StartAt::Time(_))));
    let seek = |arguments: &[&str]| match Arguments::try_parse_from(arguments).unwrap().command {
        Some(Command::Seek(SeekArguments { to, steer })) => (to, steer.plugin),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        seek(&["gtm-host", "seek", "-10m", "--plugin", "x"]),
        ("-10m".to_owned(), Some("x".to_owned()))
    );
    assert_eq!(
        seek(&["gtm-host", "seek", "--plugin", "x", "-1h 30m"]),
        ("-1h 30m".to_owned(), Some("x".to_owned()))
    );
    let set = Arguments::try_parse_from(["gtm-host", "checkpoints", "set", "-10m", "--plugin", "x"]);
    let Some(Command::Checkpoints(checkpoints)) = set.unwrap().command else { panic!() };
    let CheckpointsCommand::Set(SetArguments { to, change, .. }) = checkpoints.command else { panic!() };
    assert!(matches!(to, StartAt::Time(_)));
    assert_eq!(change.whose.plugin.as_deref(), Some("x"));
}

#[test]
fn plugins_have_names_and_values() {
    let settings = settings(&["-p", "a/mail.wasm", "-p", "x=b.wasm", "-s", "k=1", "-s", "x:k=a=b"]).unwrap();
    assert_eq!(settings.plugins["mail"].path.as_deref(), Some(Path::new("a/mail.wasm")));
    assert_eq!(settings.plugins["mail"].config["k"], ConfigValue::from("1".to_owned()));
    assert_eq!(settings.plugins["x"].config["k"], ConfigValue::from("a=b".to_owned()));
}

#[test]
fn a_path_with_an_equals_sign_is_a_path() {
    let directory = tempfile::tempdir().unwrap();
    let there = directory.path().join("a=b.wasm");
    std::fs::write(&there, "").unwrap();
    let there = there.to_str().unwrap();
    let settings = settings(&["-p", "/srv/env=prod/x.wasm", "-p", there, "-p", "y=c=d.wasm"]).unwrap();
    for (name, path) in [("x", "/srv/env=prod/x.wasm"), ("a=b", there), ("y", "c=d.wasm")] {
        assert_eq!(settings.plugins[name].path.as_deref(), Some(Path::new(path)));
    }
}

#[test]
fn a_value_of_another_type_is_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    for (text, expected) in [
        ("[delivery]\nlanes = 0\n", "line 2, delivery.lanes: 0 is too few: write 1 or more"),
        ("[delivery]\nlanes = -1\n", "line 2, delivery.lanes: -1 is not a count: write a whole number"),
        ("[plugins.x]\nlanes = 0\n", "line 2, plugins.x.lanes: 0 is too few: write 1 or more"),
        ("[retry]\nmax_attempts = 0\n", "line 2, retry.max_attempts: 0 is too few: write 1 or more"),
        ("[limits]\nmemory = 256\n", "line 2, limits.memory: 256 has no unit: write \"256 MiB\""),
        ("[limits]\nmemory = \"256\"\n", "line 2, limits.memory: 256 has no unit: write \"256 MiB\""),
        ("[limits]\nstate_bytes = 256\n", "line 2, limits.state_bytes: 256 has no unit: write \"256 MiB\""),
        (
            "[retry]\ndead_letter_bytes = 1\n",
            "line 2, retry.dead_letter_bytes: 1 has no unit: write \"1 MiB\"",
        ),
        (
            "[limits]\nhandle_timeout = 30\n",
            "line 2, limits.handle_timeout: 30 is not a time: write it in quotes with its unit",
        ),
        (
            "[source]\nstart = 2026-01-31T12:00:00Z\n",
            "line 2, source.start: 2026-01-31T12:00:00Z must be in quotes: \"2026-01-31T12:00:00Z\"",
        ),
        ("[source]\nstart = 1795761409.5\n", "line 2, source.start: 1795761409.5 must be in quotes"),
    ] {
        std::fs::write(&file, text).unwrap();
        let refused = settings(&["-p", "x.wasm", "--config", file.to_str().unwrap()]).unwrap_err();
        assert!(refused.contains(expected), "{text}: {refused}");
    }
    std::fs::write(&file, "[limits]\nstate_bytes = 0\n[retry]\ndead_letter_bytes = 0\n").unwrap();
    assert!(settings(&["-p", "x.wasm", "--config", file.to_str().unwrap()]).is_ok());
    assert!(settings(&["-p", "x.wasm", "--limits-memory", "256"]).unwrap_err().contains("256 has no unit"));
    let apart = settings(&["-p", "x.wasm", "--start", "2026-01-31", "12:00:00"]).unwrap_err();
    assert!(apart.contains("put it in quotes, as in --start '2026-01-31 12:00:00'"), "{apart}");
}

#[test]
fn a_grant_is_for_one_plugin_or_for_all() {
    let typed = ["-p", "x.wasm", "-p", "y.wasm", "-g", "state", "-g", "y:http=http://localhost:1"];
    let settings = settings(&typed).unwrap();
    let (x, y) = (&settings.plugins["x"].grants, &settings.plugins["y"].grants);
    assert!(x.state && y.state && x.http.is_empty());
    let mut expected = x.clone();
    expected.add(Grant::parse("http", Some("http://localhost:1")).unwrap());
    assert_eq!(*y, expected);
    let of_dir = super::tests::settings(&["--plugin-dir", "d", "-g", "mail", "-g", "later:state"]).unwrap();
    assert!(of_dir.every_plugin.grants.mail.is_some() && of_dir.plugins["later"].grants.mail.is_some());
    assert!(of_dir.plugins["later"].grants.state && !of_dir.every_plugin.grants.state);
    let unknown = super::tests::settings(&["-p", "x.wasm", "-g", "z:mail"]).unwrap_err();
    assert!(unknown.contains("--grant z:…: there is no plugin z; there are: x"), "{unknown}");
    let odd = super::tests::settings(&["-p", "x.wasm", "-g", "root"]).unwrap_err();
    assert!(odd.contains("use one of mail, state"), "{odd}");
}

#[test]
fn an_option_overrides_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let text =
        "[source]\nuri = \"mongodb://file\"\noplog = \"a.b\"\n[plugins.x]\npath = \"x.wasm\"\nconfig.n = 3\n";
    std::fs::write(&file, text).unwrap();
    let settings = settings(&["--config", file.to_str().unwrap(), "--uri", "mongodb://typed"]).unwrap();
    assert_eq!(settings.source.uri.as_ref().map(SecretText::expose), Some("mongodb://typed"));
    assert_eq!(settings.source.oplog.as_deref(), Some("a.b"));
    assert_eq!(settings.plugins["x"].path, Some(directory.path().join("x.wasm")));
    assert_eq!(settings.plugins["x"].config["n"].to_string(), "3");
}

#[test]
fn a_restart_is_for_one_plugin_or_for_all() {
    let typed = ["-p", "x.wasm", "-p", "y.wasm"];
    let of = |more: &[&str]| settings(&[&typed, more].concat());
    let words = |settings: &Settings, name: &str| {
        settings.plugins[name].restart_from.as_ref().map(|restart| restart.words().to_owned())
    };
    let all = of(&["--restart-from", "y=oldest", "--restart-from", "2026-01-31T12:00:00Z"]).unwrap();
    assert_eq!(words(&all, "x").as_deref(), Some("2026-01-31T12:00:00Z"));
    assert_eq!(words(&all, "y").as_deref(), Some("oldest"));
    let token = r#"{"_data":"82AB","_typeBits":{"$binary":{"base64":"Aw==","subType":"00"}}}"#;
    assert_eq!(words(&of(&["--restart-from", token]).unwrap(), "x").as_deref(), Some(token));
    assert!(of(&["--restart-from", "z=now"]).unwrap_err().contains("there is no plugin z; there are: x, y"));
    assert!(of(&["--restart-from", "x=soon"]).unwrap_err().contains("expected now, oldest"));
    assert!(of(&["--restart-from", "soon"]).unwrap_err().contains("expected now, oldest"));
}

#[test]
fn a_worker_needs_a_list_and_a_list_needs_a_worker() {
    let run = |arguments: &[&str]| settings(&[&["-p", "x.wasm"], arguments].concat());
    let shared =
        run(&["--workers-name", "Tom", "--workers-from", "gtm.lists/1", "--lease-ttl", "2s"]).unwrap();
    assert_eq!(shared.workers.name.as_deref(), Some("Tom"));
    assert_eq!(shared.workers.from.unwrap().to_string(), "gtm.lists/1");
    assert_eq!(shared.lease.ttl, std::time::Duration::from_secs(2));
    assert!(run(&["--workers-name", "Tom"]).unwrap_err().contains("worker Tom has no list"));
    assert!(run(&["--workers-file", "w.json"]).unwrap_err().contains("help: pass --workers-name NAME"));
    assert!(run(&["--workers-from", "gtm.lists/1"]).unwrap_err().contains("help: pass --workers-name NAME"));
    let both = ["--workers-name", "Tom", "--workers-file", "w.json", "--workers-from", "gtm.lists/1"];
    assert!(
        run(&both)
            .unwrap_err()
            .contains("--workers-file and --workers-from are both set. help: keep one of them")
    );
    assert!(run(&["--workers-from", "gtm.lists"]).unwrap_err().contains("expected DB.COLL/ID"));
    assert!(run(&["--lease-ttl", "999ms"]).unwrap_err().contains("at least 1s"));
}

#[test]
fn an_option_for_the_list_of_workers_overrides_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gtm.toml");
    let text = "[workers]\nname = \"Tom\"\nfile = \"w.json\"\n[lease]\nttl = \"3s\"\n[plugins.x]\npath = \"x.wasm\"\n";
    std::fs::write(&file, text).unwrap();
    let read = settings(&["--config", file.to_str().unwrap()]).unwrap();
    assert_eq!(read.workers.file, Some(directory.path().join("w.json")));
    assert_eq!(read.lease.ttl, std::time::Duration::from_secs(3));
    let typed = settings(&["--config", file.to_str().unwrap(), "--workers-from", "gtm.lists/1"]).unwrap();
    assert_eq!(typed.workers.file, None);
    assert_eq!(typed.workers.name.as_deref(), Some("Tom"));
    std::fs::write(&file, text.replace("3s", "0s")).unwrap();
    let refused = settings(&["--config", file.to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("line 5, lease.ttl: the time to live of a lease is at least 1s"), "{refused}");
}

#[test]
fn mistakes_are_named() {
    assert!(settings(&[]).unwrap_err().contains("no plugin to run"));
    assert!(
        settings(&["-p", "a/x.wasm", "-p", "b/x.wasm"]).unwrap_err().contains("two plugins are called x")
    );
    assert!(settings(&["-p", "x.wasm", "-s", "y:k=1"]).unwrap_err().contains("there are: x"));
    assert!(settings(&["-p", "x.wasm", "-s", "k"]).unwrap_err().contains("expected KEY=VALUE"));
    assert!(settings(&["-p", "x.wasm", "--limits-memory", "much"]).unwrap_err().contains("--limits-memory"));
    assert!(
        settings(&["-p", "x.wasm", "--retry-max-attempts", "0"])
            .unwrap_err()
            .contains("--retry-max-attempts")
    );
}

/// Options that print something instead of running the command.
const NOT_SETTINGS: [&str; 2] = ["help", "version"];

#[test]
fn every_option_of_a_host_has_a_variable_in_the_help() {
    let mut command = Arguments::command();
    command.build();
    let run = command.find_subcommand_mut("run").unwrap();
    let help = run.render_long_help().to_string();
    let mut variables = Vec::new();
    for argument in run.get_arguments().filter(|argument| !NOT_SETTINGS.contains(&argument.get_id().as_str()))
    {
        let long = argument.get_long().unwrap();
        let variable =
            argument.get_env().unwrap_or_else(|| panic!("--{long} has no variable")).to_str().unwrap();
        let name = Setting::find(argument.get_id().as_str()).map_or_else(|| long.to_owned(), Setting::option);
        assert_eq!(variable, format!("GTM_{}", name.to_uppercase().replace('-', "_")), "{long}");
        // The help does not show values that may be secrets.
        let shown = [format!("[env: {variable}="), format!("[env: {variable}]")];
        assert!(shown.iter().any(|shown| help.contains(shown)), "{variable} is not in the help");
        variables.push(variable.to_owned());
    }
    let count = variables.len();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!(variables.len(), count, "two options have one variable");
}

#[test]
fn the_variable_of_a_repeated_option_has_one_value_per_line() {
    let value = |variable: &str| match variable {
        "GTM_PLUGIN" => Some("a/x.wasm\n  y=b.wasm\n\n".into()),
        "GTM_SET" => Some("x:text=a, b\nk=1".into()),
        "GTM_GRANT" => Some("http=GET,POST https://host/path\ny:state\n".into()),
        _ => None,
    };
    let read = |words: &[&str]| {
        let words = std::iter::once("gtm-host").chain(words.iter().copied()).map(OsString::from);
        Arguments::read_with(words, value).unwrap().settings().unwrap()
    };
    for words in [&[][..], &["run"], &["config", "check"]] {
        let settings = read(words);
        assert_eq!(settings.plugins["x"].path.as_deref(), Some(Path::new("a/x.wasm")), "{words:?}");
        assert_eq!(settings.plugins["y"].path.as_deref(), Some(Path::new("b.wasm")));
        assert_eq!(settings.plugins["x"].config["text"], ConfigValue::from("a, b".to_owned()));
        assert_eq!(settings.plugins["y"].config["k"], ConfigValue::from("1".to_owned()));
        assert!(settings.plugins["y"].grants.state && settings.plugins["x"].grants.http.len() == 1);
    }
    // An option overrides it, and is not split into lines.
    let settings = read(&["-p", "x=c.wasm", "-p", "y.wasm", "-s", "text=a\nk=2"]);
    assert_eq!(settings.plugins["x"].path.as_deref(), Some(Path::new("c.wasm")));
    assert_eq!(settings.plugins["x"].config["text"], ConfigValue::from("a\nk=2".to_owned()));
    assert!(!settings.plugins["x"].config.contains_key("k"));
    // A retry uses the files of the host, and its --plugin is the name of one of them.
    let settings = read(&["dead-letters", "retry", "--plugin", "z"]);
    assert_eq!(settings.plugins.keys().collect::<Vec<_>>(), ["x", "y"]);
    let one = |more: &[&str]| {
        let words =
            ["gtm-host", "dead-letters", "retry", "--plugin", "z"].iter().chain(more).map(OsString::from);
        let value = |variable: &str| (variable == "GTM_PLUGIN").then(|| "x.wasm".into());
        Arguments::read_with(words, value)
            .unwrap()
            .settings()
            .unwrap()
            .plugins
            .into_keys()
            .collect::<Vec<_>>()
    };
    assert_eq!((one(&[]), one(&["--file", "y.wasm"])), (vec!["x".to_owned()], vec!["z".to_owned()]));
}
