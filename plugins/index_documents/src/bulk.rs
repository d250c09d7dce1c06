//! Many documents in one request, and not too many.

use gtm_plugin::{Failure, Outcome};

use crate::is_stopped;

/// Bytes of a request: half of what the host sends, and less than engines take by default.
const MOST: usize = 8 << 20;

/// Sends these, each as it stands in a request, in as few requests as they fit in, and gives back an outcome for each. `post` sends
/// some at once.
///
/// Where a request is refused whole, each goes by itself: one may be to blame for all. After one that is to be tried again nothing
/// more is sent, so that nothing is overtaken.
pub(crate) fn send(
    parts: &[String],
    post: impl Fn(&[String]) -> Result<Vec<Outcome>, Failure>,
) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    let mut rest = parts;
    while !rest.is_empty() {
        if is_stopped(&outcomes) {
            outcomes.extend(
                rest.iter().map(|_| Err(Failure::retry("after a change that could not be indexed now"))),
            );
            return outcomes;
        }
        let (some, others) = rest.split_at(fitting(rest));
        rest = others;
        match post(some) {
            Ok(answered) => outcomes.extend(answered),
            Err(Failure::Reject(_)) if some.len() > 1 => {
                // One after the other, by what is above.
                let each = some.iter().map(std::slice::from_ref);
                for one in each {
                    outcomes.extend(match is_stopped(&outcomes) {
                        true => vec![Err(Failure::retry("after a change that could not be indexed now"))],
                        false => post(one).unwrap_or_else(|failure| vec![Err(failure)]),
                    });
                }
            }
            Err(failure) => outcomes.extend(some.iter().map(|_| Err(failure.clone()))),
        }
    }
    outcomes
}

/// How many of them fit in one request: at least one.
fn fitting(parts: &[String]) -> usize {
    let mut bytes = 0;
    let fit = parts.iter().take_while(|part| {
        bytes += part.len() + 1;
        bytes <= MOST
    });
    fit.count().max(1)
}
