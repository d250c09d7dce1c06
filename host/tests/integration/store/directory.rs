//! The store in a directory: locked, damaged, cut off.

use std::fs;

use gtm_store::{Store, StoreError, StoreKind};
use gtm_test_support::Server;
use nix::sys::signal::Signal;

use super::{checkpoint, in_directory, key};
use crate::log;
use crate::support::{Database, Host, error_of, plugin};

const FILE: &str = "gtm-host.redb";

#[tokio::test]
async fn two_hosts_cannot_share_a_directory() {
    let server = Server::ready().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = format!("file:{}", directory.path().display());
    let trivial = plugin("trivial");
    let arguments = ["--plugin", &trivial, "--uri", server.uri(), "--store", &store];
    let host = Host::tailing(&arguments);
    let error = error_of(&arguments);
    assert!(error.contains("another gtm-host has the store"), "{error}");
    assert!(error.contains("give each host its own directory"), "{error}");
    // One that is killed leaves no lock.
    host.signal(Signal::SIGKILL);
    drop(host);
    let again = Host::tailing(&arguments);
    assert_eq!(again.stop().0, Some(0));
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_named() {
    let error = opened(std::path::Path::new("/proc/gtm-host")).await;
    assert!(matches!(error, StoreError::Directory { .. }), "{error}");
    assert!(error.to_string().starts_with("/proc/gtm-host cannot be used as a store: "), "{error}");
}

async fn opened(directory: &std::path::Path) -> StoreError {
    let client = mongodb::Client::with_uri_str("mongodb://localhost").await.unwrap();
    match Store::open(&StoreKind::File(directory.to_owned()), &client).await {
        Ok(_) => panic!("it can be opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_store_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let above = tempfile::tempdir().unwrap();
    let directory = above.path().join("made/store");
    let kind = StoreKind::File(directory.clone());
    drop(Store::open(&kind, &own.client).await.unwrap());
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = directory.join(FILE);
    assert_eq!([mode(&above.path().join("made")), mode(&directory), mode(&file)], [0o700, 0o700, 0o600]);
    for path in [&directory, &file] {
        let before = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
        let error = opened(&directory).await;
        assert!(matches!(error, StoreError::Exposed(_)), "{error}");
        let said = error.to_string();
        assert!(said.contains(&format!("help: run chmod go-w {}", path.display())), "{said}");
        fs::set_permissions(path, before).unwrap();
    }
    drop(Store::open(&kind, &own.client).await.unwrap());
    // What others may only read works, with a warning.
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let store = format!("file:{}", directory.display());
    let (code, _, said) = crate::support::run(&["checkpoints", "list", "--store", &store]);
    let help = format!("run chmod go-rwx {}", file.display());
    let exposed = [("who", "every user of this machine"), ("help", &help)];
    assert!(code == Some(0) && log::has(&said, "path.expose", &exposed), "{said}");
}

#[tokio::test]
async fn a_damaged_file_is_told_from_a_good_one() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(FILE);
    in_directory(&directory, &own).await.save_checkpoint(&key(), &checkpoint(1, 1)).await.unwrap();
    let good = fs::read(&file).unwrap();
    let odd: [Vec<u8>; 3] = [b"not a store".to_vec(), vec![0; 8192], good[..good.len() / 2].to_vec()];
    for bytes in odd {
        fs::write(&file, &bytes).unwrap();
        let error = opened(directory.path()).await;
        assert!(matches!(error, StoreError::DamagedFile { .. }), "{error:?}");
        assert!(error.to_string().contains(FILE), "{error}");
        assert_eq!(fs::read(&file).unwrap().len(), bytes.len(), "it is left as it was");
    }
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    {
        let database = redb::Database::create(directory.path().join(FILE)).unwrap();
        let write = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        write.open_table(meta).unwrap().insert("format", 2).unwrap();
        write.commit().unwrap();
    }
    let error = opened(directory.path()).await;
    assert!(matches!(error, StoreError::OtherFormat { version: 2, .. }), "{error}");
}

/// A host that is killed while it writes: its file opens, with what was written before or what was being written.
#[tokio::test]
async fn a_crash_leaves_the_old_or_the_new() {
    let server = Server::ready().unwrap();
    let own = Database::new(server.uri()).await;
    own.collection("things").insert_many((0..2000).map(|n| bson::doc! { "_id": n })).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = format!("file:{}", directory.path().display());
    let (print_ops, wanted) = (plugin("print_ops"), format!("namespaces={}.things", own.name));
    let arguments = ["--plugin", &print_ops, "--set", &wanted, "--uri", server.uri(), "--store", &store];
    let arguments = [&arguments[..], &["--name", "crash", "--snapshot"]].concat();
    for ops in [1, 300, 700] {
        let mut host = Host::start(&arguments);
        host.printed(&own.name, ops);
        host.signal(Signal::SIGKILL);
        host.ended();
        let key = gtm_store::CheckpointKey {
            pipeline: "crash".to_owned(),
            plugin: "print_ops".to_owned(),
            worker: None,
        };
        let kept = in_directory(&directory, &own).await.snapshot_progress(&key).await.unwrap().unwrap();
        serde_json::from_slice::<serde_json::Value>(&kept).unwrap();
    }
}
