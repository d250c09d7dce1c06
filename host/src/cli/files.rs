//! Options for reading files, from the command line.

use std::path::PathBuf;

use anyhow::Context;
use gtm_oplog::Namespace;
use gtm_source::FileOptions;
use gtm_source::file::is_compressed;

use super::arguments::FileArguments;
use super::usage::{OrUsage, bail_usage};

pub(super) fn options(arguments: &FileArguments) -> anyhow::Result<FileOptions> {
    let (from, to) = (arguments.from(), arguments.to());
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        bail_usage!("--from is after --to, so no entry is between them. help: exchange them");
    }
    let namespace = arguments.collection.as_deref().map(namespace).transpose()?;
    Ok(FileOptions { from, to, namespace })
}

/// Returns the size of all files in bytes. 0: it is unknown, because one is a pipe or compressed.
pub(super) fn sizes(paths: &[PathBuf]) -> u64 {
    let size = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        (!is_compressed(path)).then_some(file.len())
    };
    paths.iter().map(size).sum::<Option<u64>>().unwrap_or_default()
}

fn namespace(text: &str) -> anyhow::Result<Namespace> {
    let parts =
        text.split_once('.').filter(|(database, collection)| !database.is_empty() && !collection.is_empty());
    let (database, collection) = parts
        .context(format!("\"{text}\" is not a valid namespace. help: pass --collection DATABASE.COLLECTION"))
        .or_usage()?;
    Ok(Namespace { database: database.into(), collection: collection.into() })
}
