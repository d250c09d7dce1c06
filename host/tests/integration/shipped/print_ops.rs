//! A line has all that a change has.

use super::sinks::Sink;
use super::{dump, replay};
use crate::support::message;

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_is_far_is_a_number() {
    let (code, summary, log) = replay("print_ops", &dump("dates_far"), &Sink::hook().await, &[]);
    assert_eq!(code, Some(0), "{summary}");
    for number in ["253402300800000", "8640000000000000"] {
        let form = format!(r#"{{"$date":{{"$numberLong":"{number}"}}}}"#);
        assert!(log.iter().any(|line| message(line).contains(&form)), "{log:?}");
    }
}
