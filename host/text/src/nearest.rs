//! Finds the name that a user may have meant.

/// How similar a name must be to be suggested, from 0 to 1.
const MIN_SIMILARITY: f64 = 0.5;

/// Returns the known name that is most similar to a name, if one is similar.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let rated = known
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(&name, &known.to_lowercase()), known));
    let (similarity, nearest) = rated.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (similarity >= MIN_SIMILARITY).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_found_and_an_unlike_one_is_not() {
        assert_eq!(nearest("nmespaces", ["url", "namespaces"]), Some("namespaces"));
        assert_eq!(nearest("REPLICASET", ["replicaSet"]), Some("replicaSet"));
        assert_eq!(nearest("xyz", ["url", "namespaces"]), None);
        assert_eq!(nearest("url", []), None);
    }
}
