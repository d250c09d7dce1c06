//! A plugin in one language is swapped for one in another while the host runs.

use std::fs;

use bson::doc;
use gtm_test_support::languages::LANGUAGES;
use gtm_test_support::{Server, SmtpSink};

use super::built;
use crate::support::{Database, Host, LIMIT};

#[tokio::test]
async fn from_one_language_to_another() {
    let plugins: Vec<_> = LANGUAGES.iter().filter_map(|language| built(language.name)).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("welcome.wasm");
    let put = |plugin: &std::path::Path| {
        // As a whole: what is half written does not count, but takes longer to be seen.
        let beside = directory.path().join("new");
        fs::copy(plugin, &beside).unwrap();
        fs::rename(beside, &path).unwrap();
    };
    put(&plugins[0]);
    // A server of its own: other tests insert users too, and what has no address fails.
    let (server, sink) = (Server::start(Default::default()).unwrap(), SmtpSink::start().unwrap());
    let (plugin, smtp) = (path.to_str().unwrap(), sink.url());
    let mut host =
        Host::tailing(&["--plugin", plugin, "--uri", server.uri(), "--mail-url", &smtp, "--grant", "mail"]);
    let own = Database::new(server.uri()).await;
    let mut inserted = Vec::new();
    let mut insert = async |count: usize| {
        for _ in 0..count {
            let name = format!("user {}", inserted.len());
            own.collection("users")
                .insert_one(doc! { "name": &name, "email": "ada@example.com" })
                .await
                .unwrap();
            inserted.push(format!("Hello {name}"));
        }
    };
    insert(3).await;
    let languages = plugins.iter().chain(plugins.first());
    for plugin in languages.skip(1) {
        put(plugin);
        insert(3).await;
        host.wait_for("plugin.swap", &[]);
        insert(3).await;
    }
    let mails = sink.take(inserted.len(), LIMIT);
    let mut mails: Vec<_> = mails.iter().map(|mail| mail.text.trim_end().to_owned()).collect();
    // Each once. Documents are handled in lanes, so one may overtake another.
    mails.sort_unstable();
    inserted.sort_unstable();
    assert_eq!(mails, inserted);
    assert_eq!(host.stop().0, Some(0));
}
