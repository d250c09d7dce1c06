//! Documents use the names that settings have, not those of earlier versions.

use gtm_host::config::SETTINGS;

use super::pages;

/// Returns whether a text has a name, as a whole word.
fn has(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

/// Options of other programs and commands that are called as settings were.
fn is_other(line: &str, option: &str) -> bool {
    match option {
        "--oplog" => line.contains("mongodump"),
        "--worker" => line.contains("checkpoints"),
        _ => false,
    }
}

#[test]
fn documents_use_no_name_of_an_earlier_version() {
    let old: Vec<_> = SETTINGS
        .iter()
        .flat_map(|setting| [setting.old_option.map(|option| format!("--{option}")), setting.old_variable()])
        .flatten()
        .collect();
    let root = super::root();
    let mut texts: Vec<_> = pages::all(&root).into_iter().map(|page| page.path).collect();
    texts.push(root.join("examples/gtm.toml"));
    let mut found = Vec::new();
    for path in texts.iter().filter(|path| !path.ends_with("CHANGELOG.md")) {
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let names = old.iter().filter(|name| has(line, name) && !is_other(line, name));
            found.extend(names.map(|name| format!("{}: {name}: {line}", path.display())));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
