//! Several tables' metrics in one scrape.
//!
//! Each table has a registry of its own, so each text describes every family. A scrape describes a
//! family once, followed by all of its samples (OpenMetrics 1.0, section "Overall structure").

use std::collections::BTreeMap;

/// What ends an OpenMetrics text.
const END: &str = "# EOF\n";

/// One text of several, which hold the same families with different labels.
pub(super) fn merged(mut texts: Vec<String>) -> String {
    if texts.len() == 1 {
        return texts.remove(0);
    }
    let mut order = Vec::new();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for text in &texts {
        let mut name = String::new();
        for line in text.lines().filter(|line| *line != END.trim_end()) {
            if let Some(described) = described(line) {
                if described != name {
                    name = described.to_owned();
                }
                let family = families.entry(name.clone()).or_insert_with(|| {
                    order.push(name.clone());
                    Family::default()
                });
                if !family.description.iter().any(|known| known == line) {
                    family.description.push(line.to_owned());
                }
            } else if let Some(family) = families.get_mut(&name) {
                family.samples.push(line.to_owned());
            }
        }
    }
    let mut text = String::new();
    for name in order {
        let Family {
            description,
            samples,
        } = &families[&name];
        for line in description.iter().chain(samples) {
            text += line;
            text.push('\n');
        }
    }
    text + END
}

#[derive(Default)]
struct Family {
    description: Vec<String>,
    samples: Vec<String>,
}

/// The family that a line of description is about.
fn described(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("# ")?.split(' ');
    words.next()?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_described_once_and_samples_follow() {
        let one = "# HELP rows Rows.\n# TYPE rows counter\nrows_total{table=\"a\"} 1\n\
                   # HELP lag Lag.\n# TYPE lag gauge\nlag{table=\"a\"} 2\n# EOF\n";
        let two = one.replace("\"a\"", "\"b\"");
        assert_eq!(merged(vec![one.to_owned()]), one);
        assert_eq!(
            merged(vec![one.to_owned(), two]),
            "# HELP rows Rows.\n# TYPE rows counter\nrows_total{table=\"a\"} 1\n\
             rows_total{table=\"b\"} 1\n# HELP lag Lag.\n# TYPE lag gauge\n\
             lag{table=\"a\"} 2\nlag{table=\"b\"} 2\n# EOF\n"
        );
    }
}
