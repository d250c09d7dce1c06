//! What was probably meant by a key, or a value, that is not known.

/// How much of a name may be wrong and it is still taken for a slip.
const LIKE: f64 = 0.5;

/// serde's words, with the nearest of what it expected put after them: "unknown field `ur`, expected one of `uri`, …".
pub(super) fn with_hint(message: &str) -> String {
    let message = message.lines().collect::<Vec<_>>().join(" ");
    match nearest(&message) {
        Some(nearest) => format!("{message}. Did you mean `{nearest}`?"),
        None => message,
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
        let said = with_hint("unknown field `ur`, expected one of `uri`, `oplog`,\n`kind`");
        assert!(said.ends_with("expected one of `uri`, `oplog`, `kind`. Did you mean `uri`?"), "{said}");
        assert!(with_hint("unknown variant `nwo`, expected `now` or `oldest`").ends_with("mean `now`?"));
    }

    #[test]
    fn nothing_is_made_up() {
        for message in [
            "unknown field `xyz`, expected one of `uri`, `oplog`",
            "unknown field `x`, there are no fields",
            "invalid type",
        ] {
            assert_eq!(with_hint(message), message);
        }
    }
}
