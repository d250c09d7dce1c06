//! Directories and variables of the environment.

use bson::doc;

use super::Errands;

#[tokio::test]
async fn a_directory_is_there_when_it_is_granted_and_not_beyond() {
    let directory = tempfile::tempdir().unwrap();
    let (read, write) = (directory.path().join("read"), directory.path().join("write"));
    for path in [&read, &write] {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("a.txt"), "hello").unwrap();
    }
    std::fs::write(directory.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(directory.path().join("secret"), read.join("link")).unwrap();
    let grants = [format!("dir={}:/r", read.display()), format!("dir-write={}:/w", write.display())];
    let mut errands = Errands::granted(&[&grants[0], &grants[1]]).await;

    assert_eq!(errands.run(doc! { "do": "read-file", "path": "/r/a.txt" }).await, "ok hello");
    let written = doc! { "do": "write-file", "path": "/w/b.txt", "text": "new" };
    assert_eq!(errands.run(written).await, "ok written");
    assert_eq!(std::fs::read_to_string(write.join("b.txt")).unwrap(), "new");
    for path in ["/r/../secret", "/r/link", "/etc/passwd", "/r/../../../etc/passwd"] {
        let said = errands.run(doc! { "do": "read-file", "path": path }).await;
        assert!(said.starts_with("error "), "{path}: {said}");
    }
    let said = errands.run(doc! { "do": "write-file", "path": "/r/b.txt", "text": "new" }).await;
    assert!(said.starts_with("error "), "{said}");
    assert!(!read.join("b.txt").exists());
}

#[tokio::test]
async fn of_the_environment_only_what_is_granted_is_seen() {
    let environment = [("GTM_TEST_SEEN", "yes"), ("GTM_TEST_UNSEEN", "no")];
    let mut errands = Errands::with(&["env=GTM_TEST_SEEN", "env=GTM_TEST_UNSET"], &[], &environment).await;
    assert_eq!(errands.run(doc! { "do": "env", "name": "GTM_TEST_SEEN" }).await, "ok yes");
    for name in ["GTM_TEST_UNSEEN", "GTM_TEST_UNSET", "PATH", "HOME"] {
        assert!(errands.run(doc! { "do": "env", "name": name }).await.starts_with("error "), "{name}");
    }
}

#[tokio::test]
async fn a_socket_is_not_to_be_had() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let mut errands = Errands::granted(&["http=*"]).await;
    for to in [&to, "localhost:80"] {
        assert!(errands.run(doc! { "do": "connect", "to": to }).await.starts_with("error "));
    }
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody came");
}

#[test]
fn a_directory_that_is_none_is_said_at_the_start() {
    let said = crate::support::error_of(&[
        "--plugin",
        &crate::support::plugin("errand"),
        "--grant",
        "dir=/no/such:/t",
    ]);
    assert_eq!(said, "the plugin errand is granted /no/such, which is not a directory");
}
