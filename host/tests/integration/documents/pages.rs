//! Markdown pages of the repository, read as far as the checks need it: headings, links, code.

use std::fs;
use std::path::{Path, PathBuf};

/// One page, in lines that are inside or outside of a fenced block.
pub(super) struct Page {
    pub(super) path: PathBuf,
    lines: Vec<Line>,
}

struct Line {
    text: String,
    /// The language of the fenced block that the line is in.
    fence: Option<String>,
}

impl Page {
    pub(super) fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = Vec::new();
        let mut fence: Option<String> = None;
        for text in text.lines() {
            match (text.trim_start().strip_prefix("```"), &fence) {
                (Some(_), Some(_)) => fence = None,
                (Some(language), None) => fence = Some(language.trim().to_owned()),
                (None, _) => lines.push(Line { text: text.to_owned(), fence: fence.clone() }),
            }
        }
        assert!(fence.is_none(), "{}: a fenced block does not end", path.display());
        Self { path: path.to_owned(), lines }
    }

    fn prose(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter(|line| line.fence.is_none()).map(|line| line.text.as_str())
    }

    /// The targets of links and pictures.
    pub(super) fn links(&self) -> Vec<String> {
        self.prose().flat_map(|line| targets(&without_code(line))).collect()
    }

    /// What a link may name after a `#`.
    pub(super) fn anchors(&self) -> Vec<String> {
        let mut anchors = Vec::new();
        for line in self.prose() {
            let heading = line.trim_start_matches('#');
            if heading.len() < line.len() && heading.starts_with(' ') {
                let anchor = slug(heading.trim());
                let same = anchors.iter().filter(|other| **other == anchor).count();
                anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
            }
        }
        anchors
    }

    /// The command lines of its `sh` blocks, and those in its prose that are code. A line that ends in a backslash continues.
    pub(super) fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        let mut continued = String::new();
        for line in self.lines.iter().filter(|line| line.fence.as_deref() == Some("sh")) {
            match line.text.strip_suffix('\\') {
                Some(start) => continued += start,
                None => commands.push(std::mem::take(&mut continued) + &line.text),
            }
        }
        for line in self.prose() {
            commands.extend(
                line.split('`').skip(1).step_by(2).filter(|code| code.contains(' ')).map(str::to_owned),
            );
        }
        commands
    }

    /// The lines of its fenced blocks in a language.
    pub(super) fn code(&self, language: &str) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter().filter(move |line| line.fence.as_deref() == Some(language));
        lines.map(|line| line.text.as_str())
    }
}

/// A heading as GitHub and mdBook name it.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("code")
}

fn targets(line: &str) -> Vec<String> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// All pages that people read: those at the top, the book, and each `README.md`.
pub(super) fn all(root: &Path) -> Vec<Page> {
    let mut paths = Vec::new();
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"] {
        paths.push(root.join(name));
    }
    for folder in ["docs", "examples", "plugins", "plugin-sdk"] {
        markdown(&root.join(folder), &mut paths);
    }
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The Markdown files in a folder and its folders, without those that a build made.
pub(super) fn markdown(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            if !["node_modules", "target", "build", ".venv", "gtm"].contains(&name.as_ref()) {
                markdown(&path, paths);
            }
        } else if name.ends_with(".md") {
            paths.push(path);
        }
    }
}

#[test]
fn a_page_is_read_as_readers_see_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("page.md");
    let text = "# Grants: `mail` & more\n[a](b.md#c) `[no](link)` ![p](q.svg)\n```sh\n# no heading\ngtm-host \\\n  tail\n```\n\
                ## Again\n## Again\nRun `gtm-host tail`.\n";
    fs::write(&path, text).unwrap();
    let page = Page::read(&path);
    assert_eq!(page.anchors(), ["grants-mail--more", "again", "again-1"]);
    assert_eq!(page.links(), ["b.md#c", "q.svg"]);
    assert_eq!(page.commands(), ["# no heading", "gtm-host   tail", "gtm-host tail"]);
}
