//! `send_digest`: a line for each change, in a mail at set times.

use bson::doc;
use gtm_test_support::SmtpSink;

use super::Shipped;
use crate::support::LIMIT;

#[tokio::test]
async fn each_change_is_in_one_mail() {
    let sink = SmtpSink::start().unwrap();
    let values = ["to=ada@example.com,bob@example.com", "schedule=1s", "namespaces=OWN.things"];
    let more = ["--mail-url", &sink.url(), "--mail-from", "host@example.com"];
    let shipped = Shipped::start("send_digest", &["mail", "state"], &values, &more).await;
    for id in 1..=3 {
        shipped.things().insert_one(doc! { "_id": id }).await.unwrap();
    }
    // The changes may be in several mails, as a mail may be due in between.
    let mut lines = Vec::new();
    while lines.len() < 3 {
        let mail = sink.take(1, LIMIT).remove(0);
        assert_eq!(mail.to, ["ada@example.com", "bob@example.com"]);
        assert!(mail.id.contains(".tick-digest."), "{}", mail.id);
        let before = lines.len();
        lines.extend(mail.text.lines().filter(|line| !line.is_empty()).map(str::to_owned));
        assert_eq!(mail.subject, format!("Changes: {}", lines.len() - before));
    }
    let name = &shipped.own.name;
    let ends: Vec<_> = (1..=3).map(|id| format!(" insert {name}.things {{\"_id\":{id}}}")).collect();
    assert!(lines.iter().zip(&ends).all(|(line, end)| line.ends_with(end)), "{lines:?}");
    assert_eq!(shipped.host.stop().0, Some(0));
}
