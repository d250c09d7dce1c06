use std::path::PathBuf;

use gtm_store::ExposedFile;
use gtm_store::own_files::OtherUsers;

use super::*;

/// An error with a cause, as `anyhow::Context` makes one.
#[derive(Debug, thiserror::Error)]
#[error("the store is not opened")]
struct Outer(#[source] StoreError);

#[test]
fn help_follows_the_causes() {
    let absent = StoreError::Absent { directory: PathBuf::from("/nowhere") };
    let shown = WithRemedy(&Outer(absent)).to_string();
    assert!(shown.starts_with("the store is not opened: "), "{shown}");
    assert!(shown.contains(". help: ") && shown.ends_with("--store file:DIR"), "{shown}");
}

#[test]
fn a_cause_that_the_error_names_itself_is_shown_once() {
    let exposed = ExposedFile { path: PathBuf::from("/store"), who: OtherUsers::Everybody };
    let shown = WithRemedy(&StoreError::from(exposed)).to_string();
    assert_eq!(shown.matches("/store may be changed by every user").count(), 1, "{shown}");
}

#[test]
fn an_error_shown_by_another_keeps_its_remedy() {
    let error = DeliveryError::from(StoreError::InUse { file: PathBuf::from("store.redb") });
    assert!(WithRemedy(&error).to_string().contains("help: "));
    let error = DeliveryError::from(SourceError::from(SnapshotError::OtherSelection));
    assert!(remedy(&error).is_some_and(|remedy| remedy.contains("--name")));
    let error = LoadError::Uncached(Uncached { directory: PathBuf::new(), reason: String::new() });
    assert!(remedy(&error).is_some_and(|remedy| remedy.contains("--cache-dir")));
}

#[test]
fn a_user_without_the_right_to_keep_leases_is_told_the_command() {
    let error = LeaseError::Unauthorized { reason: "not authorized".to_owned() };
    let said = remedy(&error).unwrap_or_default();
    assert!(
        said.contains(r#"{role: "readWrite", db: "gtm"}"#) && said.contains("--store file:DIR"),
        "{said}"
    );
}

#[test]
fn a_file_that_does_not_say_of_which_collection_it_is_can_be_told() {
    let error = FileError::NoNamespace { file: "export.json".into() };
    assert!(remedy(&error).is_some_and(|remedy| remedy.contains("--collection DATABASE.COLLECTION")));
    let source = SourceError::from(error);
    assert!(remedy(&source).is_some_and(|remedy| remedy.contains("--collection DATABASE.COLLECTION")));
}

#[test]
fn an_error_of_the_store_keeps_its_remedy_in_a_snapshot() {
    let error = StoreError::Unauthorized { reason: "not authorized".to_owned() };
    let error = SourceError::from(SnapshotError::Write(error.into()));
    assert!(remedy(&error).is_some_and(|remedy| remedy.contains("readWrite")), "{error}");
}

#[test]
fn an_error_without_a_remedy_is_shown_alone() {
    let error = StoreError::Defect("x".to_owned());
    assert_eq!(WithRemedy(&error).to_string(), error.to_string());
}

#[test]
fn a_question_gets_no_second_stop() {
    #[derive(Debug, thiserror::Error)]
    #[error("is it there?")]
    struct Question(#[source] Uncached);
    let error = Question(Uncached { directory: PathBuf::new(), reason: "gone?".to_owned() });
    let shown = WithRemedy(&error).to_string();
    assert!(!shown.contains("?."), "{shown}");
}
