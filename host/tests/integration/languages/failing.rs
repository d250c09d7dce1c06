//! What goes wrong is a rejection or another attempt, and the plugin goes on.

use std::path::Path;

use bson::doc;
use gtm_runtime::{Failure, Grants, Mailer, Services};
use gtm_test_support::SmtpSink;

use super::{Running, bytes, in_each_language, insert};
use crate::support::random;

in_each_language!(any_bytes, retry_and_reject, without_a_grant, out_of_memory);

/// Bytes in place of a document are rejected, or are one; nothing traps.
async fn any_bytes(path: &Path) {
    let mut running = Running::new(path);
    let user = doc! {
        "_id": 1, "email": "ada@example.com", "name": "Ada", "list": [1, 2.5, { "a": "b" }], "code": bson::Bson::JavaScriptCodeWithScope(
            bson::JavaScriptCodeWithScope { code: "f".to_owned(), scope: doc! { "x": 1 } }), "at": bson::DateTime::from_millis(1),
        "binary": bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1, 2, 3] },
    };
    let good = bytes(&user);
    let mut odd: Vec<Vec<u8>> =
        vec![vec![], vec![0], vec![5, 0, 0, 0], vec![0xff; 5], vec![0; 1000], b"no bson at all".to_vec()];
    for length in [0_u32, 1, 4, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        let mut document = good.clone();
        document[..4].copy_from_slice(&length.to_le_bytes());
        odd.push(document);
    }
    odd.push(deep(300));
    let mut state = 7;
    for _ in 0..400 {
        let mut document = good.clone();
        for _ in 0..=random(&mut state) % 3 {
            let at = random(&mut state) % document.len();
            document[at] = u8::try_from(random(&mut state) % 256).unwrap();
        }
        if random(&mut state).is_multiple_of(4) {
            document.truncate(random(&mut state) % document.len());
        }
        odd.push(document);
    }
    let (mut rejected, mut mailed) = (0, 0);
    for document in odd {
        match running.handle_bytes(Some(document.clone())).await {
            Ok(Ok(())) => mailed += 1,
            Ok(Err(Failure::Reject { reason })) => {
                assert!(!reason.is_empty());
                rejected += 1;
            }
            other => panic!("{other:?} of {document:?}"),
        }
    }
    assert!(rejected > 100 && mailed > 10, "{rejected} {mailed}");
    // Deeper than any server allows: a decoder may use up its stack, and the next op has another instance.
    let deepest = running.handle_bytes(Some(deep(20_000))).await;
    assert!(!matches!(deepest, Ok(Ok(()))), "{deepest:?}");
    // No document at all.
    match running.handle_bytes(None).await {
        Ok(Err(Failure::Reject { reason })) => assert!(!reason.is_empty()),
        other => panic!("{other:?}"),
    }
    running.done(&user).await;
}

/// Documents in documents.
fn deep(depth: usize) -> Vec<u8> {
    let mut deep = Vec::new();
    // Each level: its length, the type of a document, an empty name. Then the levels end.
    for level in 0..depth {
        let length = u32::try_from((depth - level) * 7 + 5).unwrap();
        deep.extend(length.to_le_bytes());
        deep.extend([3, 0]);
    }
    deep.extend([5, 0, 0, 0, 0]);
    deep.extend(std::iter::repeat_n(0, depth));
    deep
}

async fn retry_and_reject(path: &Path) {
    let sink = SmtpSink::start().unwrap();
    let services = Services { mailer: Some(Mailer::new(&sink.url(), None).unwrap()), ..Services::default() };
    let mut running = Running::with(path, |_| {}, Some(services));
    let to = |email: &str| doc! { "_id": 1, "email": email };
    match running.handle(&to("later@example.com")).await {
        Ok(Err(Failure::Retry { reason, .. })) => assert!(!reason.is_empty()),
        other => panic!("{other:?}"),
    }
    running.done(&to("later@example.com")).await;
    assert!(running.rejected(&to("refused@example.com")).await.contains("550"));
    let reason = running.rejected(&to("no address, ü")).await;
    assert!(reason.contains("\"no address, ü\" is not an e-mail address"), "{reason}");
    assert_eq!(running.said().iter().filter(|line| line.starts_with("welcomed")).count(), 0);
}

async fn without_a_grant(path: &Path) {
    let mut running = Running::with(path, |setup| setup.grants = Grants::default(), None);
    match running.handle(&doc! { "_id": 1, "email": "ada@example.com" }).await {
        Ok(Err(Failure::Retry { reason, .. })) => {
            assert!(reason.contains("mail is not granted to the plugin welcome"), "{reason}")
        }
        other => panic!("{other:?}"),
    }
}

/// A document for which there is no room ends the instance, or is an error; the next op has another.
async fn out_of_memory(path: &Path) {
    let good = doc! { "_id": 1, "email": "ada@example.com" };
    let taken = {
        let mut running = Running::new(path);
        running.done(&good).await;
        running.handler.memory()
    };
    let limit = taken + (4 << 20);
    let mut running = Running::with(path, |setup| setup.limits.memory = limit, None);
    let large = doc! { "_id": 1, "email": "ada@example.com", "name": "x".repeat(12 << 20) };
    for _ in 0..3 {
        // Already the filter is given the document.
        let op = insert("app", "users", Some(bytes(&large)));
        let _ = running.filter.call(&op, 1).await;
        let handled = running.handler.call(&op, 1).await;
        assert!(!matches!(handled, Ok(Ok(()))), "{handled:?}");
        running.done(&good).await;
    }
}
