//! `gtm-host completions` and `gtm-host man`: what shells and manual readers get.

use std::io::Write;
use std::process::{Command, Stdio};

use gtm_host::config::SETTINGS;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_gtm-host")).env_clear().args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs bash over a script, and returns what it prints.
fn bash(script: &str, arguments: &[&str]) -> String {
    let mut bash = Command::new("bash");
    bash.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut bash = bash.spawn().unwrap();
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = bash.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let script = printed(&["completions", "bash"]);
    bash(&script, &["-n"]);
    let completed = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let ask = format!(
            "\nfunction=$(complete -p gtm-host | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\n\
             COMP_WORDS=({line}); [ -n '{last}' ] || COMP_WORDS+=(''); COMP_CWORD={}\n\
             $function gtm-host '{last}' '{before}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            words.len() - 1
        );
        let printed = bash(&format!("compopt() {{ :; }}\n{script}{ask}"), &[]);
        let mut completed: Vec<_> = printed.lines().map(str::to_owned).collect();
        completed.sort();
        completed
    };
    assert_eq!(completed("gtm-host --limits-mem"), ["--limits-memory"]);
    assert_eq!(completed("gtm-host dead-letters retry --mail-url-"), ["--mail-url-file"]);
    assert_eq!(completed("gtm-host --log-format j"), ["json"]);
    let commands = completed("gtm-host comp");
    assert_eq!(commands, ["compile", "completions", "componentize"], "the host's own command is not shown");
    // Names of earlier versions are not offered.
    assert_eq!(completed("gtm-host --smt"), [""]);
}

#[test]
fn each_shell_has_a_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("limits-memory") && script.contains("dead-letters"), "{shell}");
    }
}

#[test]
fn the_manual_page_has_all_sections() {
    let page = printed(&["man"]);
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "MONGODB",
        "PLUGINS",
        "DELIVERY",
        "SUBCOMMANDS",
        "EXAMPLES",
        "EXIT STATUS",
    ] {
        let heading = [format!("\n.SH {section}\n"), format!("\n.SH \"{section}\"\n")];
        assert!(heading.iter().any(|heading| page.contains(heading)), "{section}");
    }
    let text = page.replace("\\-", "-").replace("\\*(Aq", "'");
    for setting in SETTINGS.iter().filter(|setting| setting.has_option) {
        let what = setting.doc.split(". ").next().unwrap();
        let parts = [setting.usual_option(), setting.variable(), what.to_owned()];
        assert!(parts.iter().all(|part| text.contains(part.as_str())), "{parts:?}: {text}");
    }
    if let Ok(groff) =
        Command::new("groff").args(["-man", "-Tascii"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
    {
        let mut groff = groff;
        groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = groff.wait_with_output().unwrap();
        assert!(output.status.success());
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(shown.contains("gtm-host tail") && shown.contains("1 GiB"), "{shown}");
    }
}

#[test]
fn each_command_has_a_manual_page() {
    let directory = tempfile::tempdir().unwrap();
    printed(&["man", "--dir", directory.path().to_str().unwrap()]);
    let names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for command in ["", "-run", "-tail", "-dead-letters", "-dead-letters-retry", "-config-show", "-man"] {
        assert!(names.contains(&format!("gtm-host{command}.1")), "{command}: {names:?}");
    }
    assert!(
        !names.iter().any(|name| name.contains("compile-component") || name.contains("help")),
        "{names:?}"
    );
}
