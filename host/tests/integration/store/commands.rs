//! `gtm-host dead-letters`, as it is used.

use bson::doc;
use gtm_host::store::DeadLetter;
use serde_json::Value;

use super::{in_directory, letter, op};
use crate::support::{Database, plugin, run};

struct Scene {
    own: Database,
    directory: tempfile::TempDir,
    store: String,
    letters: Vec<DeadLetter>,
    _server: xtask::testbed::Server,
}

impl Scene {
    /// A store in a directory with five letters, of the plugin `mail`.
    async fn new() -> Self {
        let server = xtask::testbed::Server::ready().unwrap();
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
        store.dead_letters(&Default::default(), None, 100).await.unwrap()
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
    assert!(code == Some(1) && said.contains("which dead letters?"), "{said}");
    assert_eq!(scene.left().await.len(), 5);
    let (lines, _, _) = scene.run(&["drop", &scene.letters[1].id]);
    assert_eq!(lines, ["1 dead letters dropped"]);
    assert_eq!(scene.left().await.len(), 4);
    let (lines, code, _) = scene.run(&["drop", "--all", "--output", "json"]);
    assert_eq!((lines, code), (vec![r#"{"dropped":4}"#.to_owned()], Some(0)));
    assert!(scene.left().await.is_empty());
}

#[tokio::test]
async fn a_retry_removes_what_is_handled_and_keeps_what_is_not() {
    let scene = Scene::new().await;
    let mail = format!("mail={}", plugin("misbehave"));
    let (lines, code, _) = scene.run(&["retry", "--all", "--plugin", &mail, "--set", "handle=reject"]);
    assert_eq!((lines, code), (vec!["0 handled, 5 failed again, 0 left".to_owned()], Some(1)));
    let left = scene.left().await;
    assert_eq!((left.len(), left[0].attempts, left[0].kind.name()), (5, 9, "rejected"));
    assert!(left[0].error.contains("not this one") && left[0].version != scene.letters[0].version);
    assert_eq!(left[0].first_attempt, scene.letters[0].first_attempt);

    let (lines, code, said) = scene.run(&["retry", "--all", "--plugin", &plugin("trivial")]);
    assert_eq!((lines, code), (vec!["0 handled, 0 failed again, 5 left".to_owned()], Some(1)));
    assert!(said.contains("its plugin is not given"), "{said}");

    // The filter is not asked: it would trap.
    let fine = ["--plugin", &mail, "--set", "filter=panic"];
    let (lines, code, _) = scene.run(&[&["retry", &left[0].id][..], &fine].concat());
    assert_eq!((lines, code), (vec!["1 handled, 0 failed again, 0 left".to_owned()], Some(0)));
    let (lines, code, said) = scene.run(&[&["retry", "--error", "not this"][..], &fine].concat());
    assert_eq!((lines, code), (vec!["4 handled, 0 failed again, 0 left".to_owned()], Some(0)));
    assert!(said.contains("handled at attempt 10"), "{said}");
    assert!(scene.left().await.is_empty());
}
