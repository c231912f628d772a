//! The known name that was most likely meant.

use super::Settings;

/// The known key or table nearest to an unknown dotted path. One slip of the pen from a key of the same
/// table comes first, then a key of the same last name elsewhere: it was put into the wrong table.
pub(super) fn nearest_key(unknown: &str) -> &'static str {
    let is_slip = |path: &str| {
        table(path) == table(unknown) && strsim::osa_distance(last(path), last(unknown)) == 1
    };
    let same_name = Settings::keys()
        .find(|key| is_slip(key.path))
        .or_else(|| Settings::keys().find(|key| last(key.path) == last(unknown)));
    let mut tables: Vec<&'static str> = Settings::keys().flat_map(|key| tables(key.path)).collect();
    tables.dedup();
    match same_name {
        Some(key) => key.path,
        None => nearest(unknown, Settings::keys().map(|key| key.path).chain(tables)),
    }
}

/// The nearest of some words.
pub(super) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    known
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(unknown, word), word))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or("", |(_, word)| word)
}

/// `a` and `a.b` of `a.b.c`.
fn tables(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.match_indices('.').map(|(at, _)| &path[..at])
}

fn table(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(table, _)| table)
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_finds_its_key() {
        for (unknown, known) in [
            ("table.ulr", "table.url"),
            ("source.kafka.topics", "source.kafka.topic"),
            (
                "source.kafka.bootstrap_server",
                "source.kafka.bootstrap_servers",
            ),
            ("rotation.max_age", "rotation.max_age_ms"),
            ("topic", "source.kafka.topic"),
            ("table.max_rows", "rotation.max_rows"),
            ("source.kafak", "source.kafka"),
            ("telemtry", "telemetry"),
        ] {
            assert_eq!(nearest_key(unknown), known);
        }
    }
}
