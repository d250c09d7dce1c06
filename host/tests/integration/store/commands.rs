//! `gtm-host dead-letters`, as it is used.

use bson::doc;
use gtm_store::{CheckpointKey, DeadLetter};
use serde_json::Value;

use super::{both, checkpoint, in_directory, key, letter, op};
use crate::log;
use crate::support::{Database, plugin, run};

struct Scene {
    own: Database,
    directory: tempfile::TempDir,
    store: String,
    letters: Vec<DeadLetter>,
    _server: gtm_test_support::Server,
}

impl Scene {
    /// A store in a directory with five letters, of the plugin `mail`.
    async fn new() -> Self {
        let server = gtm_test_support::Server::ready().unwrap();
        let own = Database::new(server.uri()).await;
        let directory = tempfile::tempdir().unwrap();
        let store = in_directory(&directory, &own).await;
        let mut letters = Vec::new();
        for n in 1..=5 {
            let letter = letter("shop", op(n, bson::serialize_to_vec(&doc! { "n": n }).unwrap()));
            store.add_dead_letter(&letter).await.unwrap();
            letters.push(letter);
        }
        let store = format!("file:{}", directory.path().display());
        Self { own, directory, store, letters, _server: server }
    }

    /// What is printed, and with which exit code the program ends.
    fn run(&self, arguments: &[&str]) -> (Vec<String>, Option<i32>, String) {
        let all = [&["dead-letters"], arguments, &["--store", &self.store, "--name", "shop"]].concat();
        let (code, printed, said) = run(&all);
        (printed.lines().map(str::to_owned).collect(), code, said)
    }

    async fn left(&self) -> Vec<DeadLetter> {
        let store = in_directory(&self.directory, &self.own).await;
        store.dead_letters(&Default::default(), None, 100).await.unwrap().letters
    }
}

#[tokio::test]
async fn letters_are_listed_and_shown() {
    let scene = Scene::new().await;
    let (lines, code, _) = scene.run(&["list"]);
    assert_eq!((lines.len(), code), (7, Some(0)), "{lines:?}");
    assert!(lines[1].starts_with(&scene.letters[0].id), "{lines:?}");
    assert_eq!(lines[6], "5 dead letters: 5 failed, 0 rejected");
    let (lines, _, _) = scene.run(&["list", "--kind", "rejected"]);
    assert_eq!(lines, ["0 dead letters: 0 failed, 0 rejected"]);
    let (lines, _, _) = scene.run(&["list", "--output", "json", "--namespace", "shop.*"]);
    let listed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 5);
    assert_eq!(listed[2]["op"]["fullDocument"]["n"], 3);
    assert_eq!(listed[2]["error"], "connection refused");
    let (lines, code, _) = scene.run(&["show", &scene.letters[2].id]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&lines.concat()).unwrap(), listed[2]);
    let (_, code, said) = scene.run(&["show", "none"]);
    assert!(code == Some(1) && said.contains("there is no dead letter none"), "{said}");
}

#[tokio::test]
async fn letters_are_dropped_only_when_said_which() {
    let scene = Scene::new().await;
    let (_, code, said) = scene.run(&["drop"]);
    assert!(code == Some(2) && said.contains("which dead letters?"), "{said}");
    assert_eq!(scene.left().await.len(), 5);
    let (lines, _, said) = scene.run(&["drop", &scene.letters[1].id]);
    let detail = scene.letters[1].id.as_str();
    let recorded = [("plugin", "mail"), ("outcome", "done"), ("via", "command"), ("detail", detail)];
    assert!(log::has(&said, "audit.drop_dead_letter", &recorded), "{said}");
    assert_eq!(lines, ["1 dead letter dropped"]);
    assert_eq!(scene.left().await.len(), 4);
    let (lines, code, _) = scene.run(&["drop", "--all", "--output", "json"]);
    assert_eq!((lines, code), (vec![r#"{"dropped":4}"#.to_owned()], Some(0)));
    assert!(scene.left().await.is_empty());
}

/// Of two commands at a time, each records what it removed itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_removed_is_not_recorded() {
    const COUNT: u32 = 64;
    let (server, _, _directory, [store, _]) = both().await;
    let key = key();
    for n in 1..=COUNT {
        let letter = letter(&key.pipeline, op(n, bson::serialize_to_vec(&doc! { "n": n }).unwrap()));
        store.add_dead_letter(&letter).await.unwrap();
        let key = CheckpointKey { plugin: format!("p{n}"), ..key.clone() };
        store.save_checkpoint(&key, &checkpoint(n, 1)).await.unwrap();
    }
    for (command, event) in [
        (["dead-letters", "drop"], "audit.drop_dead_letter"),
        (["checkpoints", "reset"], "audit.reset_checkpoint"),
    ] {
        let arguments = [&command[..], &["--all", "--uri", server.uri(), "--name", &key.pipeline]].concat();
        let recorded = std::thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| run(&arguments).2));
            both.map(|one| log::count(&log::parse(&one.join().unwrap()), event, &[("outcome", "done")]))
        });
        assert_eq!(recorded.iter().sum::<usize>(), COUNT as usize, "{event}: {recorded:?}");
    }
}

#[tokio::test]
async fn columns_stand_under_their_names() {
    let scene = Scene::new().await;
    let letter = DeadLetter { plugin: "a_plugin_with_a_long_name".to_owned(), ..scene.letters[0].clone() };
    let store = in_directory(&scene.directory, &scene.own).await;
    store.add_dead_letter(&DeadLetter { id: "z".to_owned(), ..letter }).await.unwrap();
    drop(store);
    let (lines, _, _) = scene.run(&["list"]);
    for (name, value) in
        [("PLUGIN", "mail"), ("OPERATION", "update"), ("NAMESPACE", "shop.orders"), ("ERROR", "conn")]
    {
        let column = lines[0].find(name).unwrap();
        assert!(lines[1..6].iter().all(|line| line[column..].starts_with(value)), "{name}: {lines:#?}");
    }
    assert!(lines[6].contains("a_plugin_with_a_long_name  update"), "{lines:#?}");
}

#[tokio::test]
async fn a_plugin_or_a_pipeline_that_the_store_does_not_know_is_refused() {
    let scene = Scene::new().await;
    let show = ["show", &scene.letters[0].id];
    for command in [&["list"][..], &["drop"], &show] {
        let (lines, code, said) = scene.run(&[command, &["--plugin", "nosuch"]].concat());
        assert!(code == Some(1) && lines.is_empty(), "{lines:?}");
        assert!(said.contains("the store has no plugin nosuch in the pipeline shop; it has: mail"), "{said}");
    }
    let store = format!("file:{}", scene.directory.path().display());
    let (code, _, said) = run(&["dead-letters", "list", "--store", &store, "--name", "nosuch"]);
    assert!(
        code == Some(1) && said.contains("has no pipeline nosuch; it has: shop. help: pass --name"),
        "{said}"
    );
    // One that is known may have none that are meant.
    let (lines, code, said) = scene.run(&["drop", "--plugin", "mail", "--kind", "rejected"]);
    assert_eq!((lines, code), (vec!["0 dead letters dropped".to_owned()], Some(0)), "{said}");
    assert_eq!(scene.left().await.len(), 5);
}

#[tokio::test]
async fn letters_of_one_op_and_one_plugin_are_told_by_their_ids() {
    let scene = Scene::new().await;
    let op = scene.letters[2].op.id().to_string();
    let store = in_directory(&scene.directory, &scene.own).await;
    store.add_dead_letter(&DeadLetter { id: "z".to_owned(), ..scene.letters[2].clone() }).await.unwrap();
    drop(store);
    let (_, code, said) = scene.run(&["show", &op]);
    assert_eq!(code, Some(1));
    let ids = format!("of the plugin mail. help: pass the id of one: {}, z", scene.letters[2].id);
    assert!(said.contains(&ids), "{said}");
}

#[tokio::test]
async fn a_letter_of_another_pipeline_is_left_alone() {
    let scene = Scene::new().await;
    let all = ["dead-letters", "drop", &scene.letters[0].id, "--store", &scene.store, "--name", "other"];
    let (code, _, said) = run(&all);
    assert!(
        code == Some(1) && said.contains("is of the pipeline shop, not of other. help: pass --name shop"),
        "{said}"
    );
    assert_eq!(scene.left().await.len(), 5);
}

#[tokio::test]
async fn a_letter_is_found_by_the_id_of_its_op() {
    let scene = Scene::new().await;
    let op = scene.letters[2].op.id().to_string();
    let (lines, code, _) = scene.run(&["show", &op, "--output", "json"]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&lines[0]).unwrap()["id"], scene.letters[2].id.as_str());
    let store = in_directory(&scene.directory, &scene.own).await;
    let other = DeadLetter { id: "z".to_owned(), plugin: "other".to_owned(), ..scene.letters[2].clone() };
    store.add_dead_letter(&other).await.unwrap();
    drop(store);
    let (_, code, said) = scene.run(&["show", &op]);
    assert_eq!(code, Some(1));
    assert!(said.contains("several plugins: mail, other. help: pass --plugin NAME"), "{said}");
    let (lines, code, _) = scene.run(&["show", &op, "--plugin", "other", "--output", "json"]);
    assert_eq!(
        (serde_json::from_str::<Value>(&lines[0]).unwrap()["id"].as_str(), code),
        (Some("z"), Some(0))
    );
    let (_, code, said) = scene.run(&["show", &scene.letters[0].id, "--plugin", "other"]);
    assert!(code == Some(1) && said.contains("of the plugin other"), "{said}");
    let (lines, _, _) = scene.run(&["drop", &op, "--plugin", "mail"]);
    assert_eq!(lines, ["1 dead letter dropped"]);
    assert_eq!(scene.left().await.len(), 5);
}

/// Escape sequences, ends of lines and turns of direction in what a stranger said.
#[tokio::test]
async fn what_a_stranger_said_does_nothing_on_a_terminal() {
    const NASTY: &str = "\u{1b}[2J\u{1b}]0;x\u{7}a\rb\u{2028}c\u{202e}d\u{9b}31m\ngtm-host: error: forged";
    let scene = Scene::new().await;
    let store = in_directory(&scene.directory, &scene.own).await;
    let letter = DeadLetter {
        id: "z".to_owned(),
        plugin: NASTY.to_owned(),
        error: NASTY.to_owned(),
        ..scene.letters[0].clone()
    };
    store.add_dead_letter(&letter).await.unwrap();
    drop(store);
    let is_safe = |character: char| {
        !(character.is_control() || matches!(character, '\u{2028}' | '\u{202e}')) || character == '\n'
    };
    for command in [&["list"][..], &["show", "z"], &["retry", "z", "--file", &plugin("trivial")]] {
        let (lines, _, said) = scene.run(command);
        let all = format!("{}\n{said}", lines.join("\n"));
        assert!(all.contains("\\u001b[2J") && all.chars().all(is_safe), "{all:?}");
        assert!(!all.lines().any(|line| line.starts_with("gtm-host: error: forged")), "{all}");
    }
    // A program gets it as it is.
    let (lines, _, _) = scene.run(&["show", "z", "--output", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&lines[0]).unwrap()["error"], NASTY);
}

#[tokio::test]
async fn a_retry_removes_what_is_handled_and_keeps_what_is_not() {
    let scene = Scene::new().await;
    let misbehave = plugin("misbehave");
    let mail = ["--plugin", "mail", "--file", &misbehave];
    let became = |said: &str, words: &str| {
        let is_so = |line: &&Value| log::field(line, "detail").contains(words);
        log::count(log::parse(said).iter().filter(is_so), "audit.retry_dead_letter", &[])
    };
    let (lines, code, said) = scene.run(&[&["retry"], &mail[..], &["--set", "handle=reject"]].concat());
    assert_eq!((lines, code), (vec!["0 handled, 5 failed again, 0 left".to_owned()], Some(1)));
    assert_eq!((became(&said, ""), became(&said, ", which failed again")), (5, 5), "{said}");
    let left = scene.left().await;
    assert_eq!((left.len(), left[0].attempts, left[0].kind.name()), (5, 9, "rejected"));
    assert!(left[0].error.contains("not this one") && left[0].version != scene.letters[0].version);
    assert_eq!(left[0].first_attempt, scene.letters[0].first_attempt);

    let (lines, code, said) = scene.run(&["retry", "--all", "--file", &plugin("trivial")]);
    assert_eq!((lines, code), (vec!["0 handled, 0 failed again, 5 left".to_owned()], Some(1)));
    let skipped = log::parse(&said).into_iter().find(|line| line["event"] == "dead_letter.skip").unwrap();
    assert!(log::field(&skipped, "help").starts_with("pass --file mail=FILE"), "{said}");

    // A name that is no plugin's is not given to the file.
    let (lines, code, said) = scene.run(&["retry", "--plugin", "nope", "--file", &misbehave]);
    assert_eq!((lines, code), (vec![], Some(1)), "{said}");
    let none = "the plugin nope has no dead letters in the pipeline shop; these have some: mail. help: pass --plugin NAME";
    assert!(said.contains(none), "{said}");

    // The filter is asked again, and traps.
    let trap = ["--set", "filter=panic"];
    let (lines, code, _) = scene.run(&[&["retry", &left[0].id][..], &mail, &trap].concat());
    assert_eq!((lines, code), (vec!["0 handled, 1 failed again, 0 left".to_owned()], Some(1)));

    let fine = mail;
    let (lines, code, said) = scene.run(&[&["retry", &left[0].id][..], &fine].concat());
    assert_eq!((lines, code), (vec!["1 handled, 0 failed again, 0 left".to_owned()], Some(0)));
    assert_eq!(
        (became(&said, ""), became(&said, &format!("{}, which is handled", left[0].id))),
        (1, 1),
        "{said}"
    );
    let (lines, code, said) = scene.run(&[&["retry", "--error", "not this"][..], &fine].concat());
    assert_eq!((lines, code), (vec!["4 handled, 0 failed again, 0 left".to_owned()], Some(0)));
    assert!(said.contains("handled at attempt 10"), "{said}");
    assert!(scene.left().await.is_empty());
    let (_, code, said) = scene.run(&[&["retry"], &mail[..]].concat());
    assert!(
        code == Some(1) && said.contains("no dead letters in the pipeline shop; no plugin has any"),
        "{said}"
    );
}

#[tokio::test]
async fn a_retry_takes_the_file_of_the_settings() {
    let scene = Scene::new().await;
    let settings = scene.directory.path().join("gtm.toml");
    // The one that is not asked for is not looked at.
    let text =
        format!("[plugins.mail]\npath = {:?}\n[plugins.other]\npath = \"none.wasm\"\n", plugin("trivial"));
    std::fs::write(&settings, text).unwrap();
    let settings = settings.to_str().unwrap();
    let (lines, code, said) =
        scene.run(&["retry", "--config", settings, "--plugin", "mail", "--kind", "failed"]);
    assert_eq!((lines, code), (vec!["5 handled, 0 failed again, 0 left".to_owned()], Some(0)), "{said}");
    let (_, code, said) = scene.run(&["retry", "--config", settings, "--plugin", "third"]);
    assert!(code == Some(1) && said.contains("there are: mail, other"), "{said}");
    let (_, code, said) = scene.run(&["retry", "--plugin", "mail"]);
    assert!(
        code == Some(2) && said.contains("the file of the plugin is not known. help: pass --file"),
        "{said}"
    );
}

#[tokio::test]
async fn a_file_as_the_plugin_of_a_retry_is_warned_of() {
    let scene = Scene::new().await;
    let mail = format!("mail={}", plugin("trivial"));
    let (lines, code, said) = scene.run(&["retry", "--all", "--plugin", &mail]);
    assert_eq!((lines, code), (vec!["5 handled, 0 failed again, 0 left".to_owned()], Some(0)), "{said}");
    let help = format!("pass it as --file {mail}");
    assert!(log::has(&said, "command.rename_option", &[("help", &help)]), "{said}");
}
