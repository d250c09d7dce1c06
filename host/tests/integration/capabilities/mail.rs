//! Addresses that not every mail server takes, what a grant and the host allow, and what is said of a server.

use bson::doc;
use gtm_test_support::{SmtpSink, free_port};

use super::Errands;
use crate::support::LIMIT;

#[tokio::test]
async fn a_domain_goes_to_any_server_and_a_local_part_only_to_one_that_takes_it() {
    for (options, takes) in [(&[][..], false), (&["utf8"][..], true)] {
        let sink = SmtpSink::start_with(free_port().unwrap(), options).unwrap();
        let mut errands = Errands::with(&["mail"], &["--mail-url", &sink.url()], &[]).await;
        let mut mail = async |to: &str| errands.run(doc! { "do": "mail", "to": to }).await;
        let said = mail("zoe@müller.example").await;
        assert!(said.starts_with("ok "), "{said}");
        assert_eq!(sink.next(LIMIT).unwrap().to, ["zoe@xn--mller-kva.example"]);
        let said = mail("zoë@example.com").await;
        match takes {
            true => assert_eq!(sink.next(LIMIT).unwrap().to, ["zoë@example.com"]),
            false => assert!(
                said.contains("\"zoë@example.com\" cannot be sent to: the mail server smtp://127.0.0.1:")
                    && said.contains("SMTPUTF8"),
                "{said}"
            ),
        }
        let said = mail("ada@example.com").await;
        assert!(said.starts_with("ok "), "{said}");
        assert_eq!(sink.next(LIMIT).unwrap().to, ["ada@example.com"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_mail_at_all_does_not_refuse_the_letter() {
    use tokio::io::AsyncWriteExt;

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", closed.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = closed.accept().await {
            let _ = connection.write_all(b"554 no mail service here\r\n").await;
        }
    });
    let mut errands = Errands::with(&["mail"], &["--mail-url", &url], &[]).await;
    let said = errands.run(doc! { "do": "mail", "to": "ada@example.com" }).await;
    assert!(said.contains("554") && said.ends_with("(--mail-url, or mail.url in gtm.toml)"), "{said}");
    errands.host.wait_for("op.work_around", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_named_without_its_password_and_a_limit_with_where_it_is_set() {
    let url = "smtp://ada:s3cret@127.0.0.1:1";
    let mut errands = Errands::with(&["mail"], &["--mail-url", url], &[]).await;
    let mail = doc! { "do": "mail", "to": "ada@example.com" };
    let said = errands.run(mail.clone()).await;
    assert!(said.contains("smtp://127.0.0.1:1:") && !said.contains("s3cret"), "{said}");
    assert!(!errands.host.logged().iter().any(|line| line.to_string().contains("s3cret")));

    // One that takes the connection and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp://{}", silent.local_addr().unwrap());
    let mut errands =
        Errands::with(&["mail"], &["--mail-url", &url, "--limits-call-timeout", "300ms"], &[]).await;
    let said = errands.run(mail).await;
    assert_eq!(
        said,
        format!(
            "error the mail server {url} did not accept the message within 300ms, the limit of one call. help: raise \
             --limits-call-timeout, or limits.call_timeout under [plugins.errand] in gtm.toml"
        )
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_outside_of_the_grant_is_not_sent() {
    let sink = SmtpSink::start_with(free_port().unwrap(), &[]).unwrap();
    let grants = ["mail-from=*@shop.example", "mail-to=*@example.com"];
    let mut errands = Errands::with(&grants, &["--mail-url", &sink.url()], &[]).await;
    let letter = || doc! { "do": "mail", "to": "ada@example.com" };
    for (name, value, said) in [
        (
            "from",
            "ceo@bank.example",
            "mail: to send from ceo@bank.example is not granted to the plugin errand. help: pass --grant errand:mail-from=ceo@bank.example",
        ),
        (
            "to",
            "eve@evil.example",
            "mail: to send to eve@evil.example is not granted to the plugin errand. help: pass --grant errand:mail-to=eve@evil.example",
        ),
        ("bcc", "eve@evil.example", "mail: to send to eve@evil.example is not granted to the plugin errand"),
    ] {
        let mut letter = letter();
        letter.insert(name, value);
        let refused = errands.run(letter).await;
        assert!(refused.starts_with(&format!("error {said}")), "{refused}");
    }
    let mut granted = letter();
    granted.insert("from", "orders@shop.example");
    let said = errands.run(granted).await;
    assert!(said.starts_with("ok "), "{said}");
    // The first that arrives is the one that is granted.
    assert_eq!(sink.next(LIMIT).unwrap().from, "orders@shop.example");
    // Without a sender, it is the host's.
    let said = errands.run(letter()).await;
    assert!(said.starts_with("ok "), "{said}");
    assert_eq!(sink.next(LIMIT).unwrap().from, "gtm-host@localhost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_sends_as_many_messages_in_a_minute_as_it_is_granted() {
    let sink = SmtpSink::start_with(free_port().unwrap(), &[]).unwrap();
    let mut errands = Errands::with(&["mail-per-minute=2"], &["--mail-url", &sink.url()], &[]).await;
    let letter = || doc! { "do": "mail", "to": "ada@example.com" };
    let mut said = Vec::new();
    // One of three in a row is refused, whenever a minute ends between them.
    for _ in 0..5 {
        said.push(errands.run(letter()).await);
    }
    let refused = "error the plugin errand has sent 2 messages within a minute, as many as it may";
    assert!(said.iter().any(|said| said.starts_with(refused)), "{said:?}");
    assert!(said.iter().take(2).all(|said| said.starts_with("ok ")), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_bounded_and_its_lines_end_with_crlf() {
    let sink = SmtpSink::start_with(free_port().unwrap(), &[]).unwrap();
    let mut errands = Errands::with(&["mail"], &["--mail-url", &sink.url()], &[]).await;
    let said = errands.run(doc! { "do": "mail", "to": "ada@example.com", "more": 6000 }).await;
    assert!(said.contains("at most 100 recipients, and this one has 6001"), "{said}");
    let large = "x".repeat((1 << 20) + 1);
    let said = errands.run(doc! { "do": "mail", "to": "ada@example.com", "text": large }).await;
    assert!(said.contains("at most 1 MiB together"), "{said}");
    let said = errands
        .run(doc! { "do": "mail", "to": "ada@example.com", "more": 99, "text": "a\rb\nc\r\n.\rQUIT\r" })
        .await;
    assert!(said.starts_with("ok "), "{said}");
    assert_eq!(sink.next(LIMIT).unwrap().to.len(), 100);
}
