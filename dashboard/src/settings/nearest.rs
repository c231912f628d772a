//! The known name that was most likely meant.

/// The nearest of some words.
pub(super) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    known
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(unknown, word), word))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or("", |(_, word)| word)
}

/// The known dotted path nearest to an unknown one. A key of the same last name elsewhere comes first:
/// it was put into the wrong table.
pub(super) fn nearest_key(unknown: &str, known: &'static [&'static str]) -> &'static str {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    known
        .iter()
        .copied()
        .find(|key| last(key) == last(unknown))
        .unwrap_or_else(|| nearest(unknown, known.iter().copied()))
}
