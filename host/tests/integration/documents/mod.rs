//! What documents say about the code is true: promises name tests, links lead somewhere, commands exist.

mod commands;
mod links;
mod logs;
mod old_names;
mod pages;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    gtm_test_support::root()
}

fn rust_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The tests of a directory, each by the modules it is in: `hostile::floods::name`, `text::name`.
fn tests_in(directory: &Path) -> HashSet<String> {
    let mut files = Vec::new();
    rust_files(directory, &mut files);
    let mut tests = HashSet::new();
    for file in files {
        let modules = file.strip_prefix(directory).unwrap().with_extension("");
        let modules = modules.to_str().unwrap().replace('/', "::");
        let modules = modules.strip_suffix("::mod").unwrap_or(&modules);
        for line in fs::read_to_string(&file).unwrap().lines() {
            let line = line.trim_start();
            let name = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn "));
            if let Some((name, _)) = name.and_then(|name| name.split_once('(')) {
                tests.insert(format!("{modules}::{name}"));
            }
        }
    }
    tests
}

#[test]
fn each_promise_names_a_test_that_exists() {
    let host = gtm_test_support::root().join("host");
    let mut tests = tests_in(&host.join("tests/integration"));
    for name in ["text", "oplog", "mongo", "source", "store", "runtime", "delivery"] {
        let of_crate = tests_in(&host.join(name).join("src"));
        tests.extend(of_crate.into_iter().map(|test| format!("gtm_{name}::{test}")));
    }
    tests.extend(tests_in(&host.join("src")));
    let document = fs::read_to_string(gtm_test_support::root().join("docs/threat-model.md")).unwrap();
    let named: Vec<_> = document.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
    assert!(named.len() >= 40, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that do not exist: {missing:#?}");
}
