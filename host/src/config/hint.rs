//! What was probably meant by a key, or a value, that is not known.

/// How much of a name may be wrong and it is still taken for a slip.
const LIKE: f64 = 0.5;

/// serde's words, with what was probably meant put after them: the nearest of what it expected ("unknown field `ur`, expected one of
/// `uri`, …"), or what was `written` in the form that it has.
pub(super) fn with_hint(message: &str, written: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    match nearest(&message) {
        Some(nearest) => format!("{message}. Did you mean `{nearest}`?"),
        None => form(&message, written).unwrap_or(message),
    }
}

/// A value that is written in another form than it has. What is written in quotes may be a secret, and is not repeated.
fn form(message: &str, written: &str) -> Option<String> {
    if message.starts_with("invalid value: string") && message.ends_with("expected a duration") {
        return Some(format!(
            "{written} is not a time: write a number and a unit, like \"30s\" or \"500ms\""
        ));
    }
    let is_bare = !written.is_empty()
        && written.chars().all(|sign| sign.is_ascii_alphanumeric() || "-+.:_ ".contains(sign));
    if !is_bare || !message.starts_with("invalid") {
        return None;
    }
    let is_duration = message.ends_with("expected a duration");
    let is_text =
        ["expected a string", "expected string", "expected a text"].iter().any(|end| message.contains(end));
    match (is_duration, is_text) {
        (true, _) => Some(format!(
            "{written} is not a time: write it in quotes with its unit, like \"30s\" or \"500ms\""
        )),
        (_, true) => Some(format!("{written} is to stand in quotes: \"{written}\"")),
        _ if message.contains("expected usize") || message.contains("expected u32") => {
            Some(format!("{written} is not a count: write a whole number that is not negative"))
        }
        _ => None,
    }
}

fn nearest(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    // What stands between back-ticks: first what was found, then what was expected.
    let mut names = rest.split('`').skip(1).step_by(2);
    let found = names.next()?;
    let like = |name: &str| strsim::normalized_damerau_levenshtein(&found.to_lowercase(), name);
    let nearest = names.max_by(|one, other| like(one).total_cmp(&like(other)))?;
    (like(nearest) >= LIKE).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_named() {
        let said = with_hint("unknown field `ur`, expected one of `uri`, `oplog`,\n`kind`", "ur");
        assert!(said.ends_with("expected one of `uri`, `oplog`, `kind`. Did you mean `uri`?"), "{said}");
        assert!(with_hint("unknown variant `nwo`, expected `now` or `oldest`", "").ends_with("mean `now`?"));
    }

    #[test]
    fn nothing_is_made_up() {
        for message in [
            "unknown field `xyz`, expected one of `uri`, `oplog`",
            "unknown field `x`, there are no fields",
            "invalid type",
        ] {
            assert_eq!(with_hint(message, ""), message);
        }
    }
}
