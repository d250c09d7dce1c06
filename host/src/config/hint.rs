//! Hints for unknown keys, and for values of another type.

/// The least similarity of two names that counts as a typing mistake, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.5;

/// Returns serde's message with a hint: the nearest expected name ("unknown field `ur`, expected one of `uri`, …"), or the type that the
/// `written` value should have.
pub(super) fn with_hint(message: &str, written: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    match nearest(&message) {
        Some(nearest) => format!("{message}. Did you mean `{nearest}`?"),
        None => form(&message, written).unwrap_or(message),
    }
}

/// Returns the message for a value of another type. It does not repeat a value in quotes, which may be a secret.
fn form(message: &str, written: &str) -> Option<String> {
    if message.starts_with("invalid value: string") && message.ends_with("expected a duration") {
        return Some(format!(
            "{written} is not a time: write a number and a unit, like \"30s\" or \"500ms\""
        ));
    }
    let is_bare = !written.is_empty()
        && written
            .chars()
            .all(|character: char| character.is_ascii_alphanumeric() || "-+.:_ ".contains(character));
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
        (_, true) => Some(format!("{written} must be in quotes: \"{written}\"")),
        _ if message.contains("expected usize") || message.contains("expected u32") => {
            Some(format!("{written} is not a count: write a whole number that is not negative"))
        }
        _ => None,
    }
}

fn nearest(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    // The names between backticks: first the one that was found, then the expected ones.
    let mut names = rest.split('`').skip(1).step_by(2);
    let found = names.next()?;
    let like = |name: &str| strsim::normalized_damerau_levenshtein(&found.to_lowercase(), name);
    let nearest = names.max_by(|one, other| like(one).total_cmp(&like(other)))?;
    (like(nearest) >= MIN_SIMILARITY).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested() {
        let hinted = with_hint("unknown field `ur`, expected one of `uri`, `oplog`,\n`kind`", "ur");
        assert!(hinted.ends_with("expected one of `uri`, `oplog`, `kind`. Did you mean `uri`?"), "{hinted}");
        assert!(with_hint("unknown variant `nwo`, expected `now` or `oldest`", "").ends_with("mean `now`?"));
    }

    #[test]
    fn an_unlike_name_is_not_suggested() {
        for message in [
            "unknown field `xyz`, expected one of `uri`, `oplog`",
            "unknown field `x`, there are no fields",
            "invalid type",
        ] {
            assert_eq!(with_hint(message, ""), message);
        }
    }
}
