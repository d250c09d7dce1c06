//! Builds the book in `docs/` as HTML.

use std::fs;
use std::path::Path;
use std::process::Command;

use gtm_test_support::Venv;

use super::{step, succeed};

pub(crate) fn run() -> anyhow::Result<()> {
    let venv = step("mdBook", Venv::documents)?;
    let book = gtm_test_support::target_dir().join("book");
    step("build the book", || {
        let mut build = Command::new(venv.program("mdbook"));
        succeed(build.arg("build").arg(gtm_test_support::root().join("docs")).arg("--dest-dir").arg(&book))?;
        link_out(&book, 0, &way_out(&book))
    })?;
    println!("The book is in {}", book.join("index.html").display());
    Ok(())
}

/// Returns the path from the book to the repository.
fn way_out(book: &Path) -> String {
    let root = gtm_test_support::root();
    match book.strip_prefix(&root) {
        Ok(inside) => "../".repeat(inside.components().count()),
        Err(_) => format!("{}/", root.display()),
    }
}

/// Corrects links to files outside of `docs/`, such as READMEs: mdBook treats them as pages, and the book is not beside its source.
fn link_out(folder: &Path, depth: usize, way: &str) -> anyhow::Result<()> {
    let up = format!("href=\"{}", "../".repeat(depth + 1));
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            link_out(&path, depth + 1, way)?;
        } else if path.extension().is_some_and(|extension| extension == "html") {
            let page = fs::read_to_string(&path)?;
            let mut pieces = page.split(&up);
            let mut corrected = pieces.next().unwrap_or_default().to_owned();
            for piece in pieces {
                let (target, rest) = piece.split_once('"').unwrap_or((piece, ""));
                let inside = if way.starts_with('/') { "" } else { &"../".repeat(depth) };
                corrected += &format!("href=\"{inside}{way}{}\"{rest}", target.replace(".html", ".md"));
            }
            fs::write(&path, corrected)?;
        }
    }
    Ok(())
}
