//! Links lead somewhere, and the book has all of its pages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::pages::{self, Page};

/// Why a link leads nowhere.
fn fault(page: &Page, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    if file.contains(':') {
        return None;
    }
    let target = if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
    if !target.exists() {
        return Some(format!("{}: {link}: there is no such file", page.path.display()));
    }
    let anchor = anchor?;
    let known = target.extension().is_some_and(|extension| extension == "md")
        && Page::read(&target).anchors().iter().any(|known| known == anchor);
    (!known).then(|| format!("{}: {link}: there is no such heading", page.path.display()))
}

#[test]
fn each_link_leads_somewhere() {
    let pages = pages::all(&super::root());
    let links = pages.iter().map(|page| page.links().len()).sum::<usize>();
    assert!(links >= 100, "only {links} links were found");
    let faults: Vec<_> = pages
        .iter()
        .flat_map(|page| page.links().into_iter().filter_map(|link| fault(page, &link)))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn the_summary_lists_each_page_of_the_book_once() {
    let book = super::root().join("docs");
    let summary = book.join("SUMMARY.md");
    let listed: Vec<PathBuf> =
        Page::read(&summary).links().into_iter().map(|link| Path::new(&book).join(link)).collect();
    let mut pages = Vec::new();
    pages::markdown(&book, &mut pages);
    let pages: BTreeSet<_> = pages.into_iter().filter(|page| *page != summary).collect();
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), pages);
    assert_eq!(listed.len(), pages.len(), "a page is listed twice");
}

#[test]
fn the_readme_stays_short_and_names_the_test_command() {
    let text = std::fs::read_to_string(super::root().join("README.md")).unwrap();
    assert!(text.lines().count() <= 130, "{} lines: move what is too much to docs/", text.lines().count());
    assert!(text.contains("cargo xtask test"));
}

/// Comments may differ: a page says in its text what they say.
#[test]
fn pages_show_the_code_of_the_examples() {
    for (page, language, example) in [
        ("javascript.md", "js", "javascript/src/plugin.js"),
        ("javascript.md", "ts", "typescript/src/plugin.ts"),
        ("go.md", "go", "go/welcome.go"),
        ("c-and-cpp.md", "c", "c/welcome.c"),
        ("c-and-cpp.md", "cpp", "cpp/welcome.cpp"),
        ("zig.md", "zig", "zig/src/welcome.zig"),
    ] {
        let page = Page::read(&super::root().join("docs/start").join(page));
        let example = std::fs::read_to_string(super::root().join("examples").join(example)).unwrap();
        let is_code = |line: &&str| !line.is_empty() && !line.trim_start().starts_with("//");
        let written: Vec<_> = example.lines().filter(is_code).collect();
        // A page may show more after the example.
        let shown: Vec<_> = page.code(language).filter(is_code).take(written.len()).collect();
        assert_eq!(shown, written, "{}", page.path.display());
    }
}
