//! What was probably meant by a name that is not known.

/// How much of a name may be wrong and it is still taken for a slip.
const LIKE: f64 = 0.5;

/// The nearest of `known`, if it is near.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let like = |known: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), known);
    let nearest = known.iter().max_by(|one, other| like(one).total_cmp(&like(other)))?;
    (like(nearest) >= LIKE).then_some(nearest)
}
