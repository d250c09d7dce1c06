//! An instance that works for long takes no more than at first.

use std::path::Path;

use bson::doc;

use super::{Running, bytes, in_each_language, insert};

in_each_language!(a_hundred_thousand_calls);

const CALLS: usize = 100_000;
/// What a runtime may have taken by then, it keeps.
const AT_FIRST: usize = 10_000;

/// Instances that grow, until the host replaces them: the runtime of Python keeps each string that an import gives back, and that
/// of Go cannot collect in a filter, where it might have to wait.
const GROWING: [&str; 2] = ["python", "go"];
const LIMIT: usize = 64 << 20;

async fn a_hundred_thousand_calls(path: &Path) {
    let mut running = Running::with(path, |setup| setup.limits.memory = LIMIT, None);
    let grows = path.iter().any(|part| GROWING.iter().any(|language| part == *language));
    let user = doc! { "_id": 1, "name": "Ada", "email": "ada@example.com", "tags": ["a", "b"], "more": { "n": 1_i64, "x": 0.5 } };
    let op = insert("app", "users", Some(bytes(&user)));
    let mut at_first = 0;
    for call in 0..CALLS {
        assert_eq!(running.filter.call(&op, 1).await, Ok(true));
        assert!(matches!(running.handler.call(&op, 1).await, Ok(Ok(()))));
        if call.is_multiple_of(1000) {
            running.said.0.lock().unwrap().clear();
            running.effects.lock().unwrap().clear();
            let taken = running.filter.memory() + running.handler.memory();
            match call {
                ..=AT_FIRST => at_first = taken.max(at_first),
                _ if grows => assert!(running.filter.memory().max(running.handler.memory()) <= LIMIT),
                _ => assert!(taken <= at_first, "{taken} bytes after {call} calls, {at_first} at first"),
            }
        }
    }
}
