//! Which known word somebody meant who wrote another.

/// The known word that was probably meant: at most a third of its letters differ.
#[must_use]
pub fn closest<'k>(name: &str, known: &'k [String]) -> Option<&'k str> {
    let (distance, closest) = known
        .iter()
        .map(|known| (distance(name, known), known))
        .min()?;
    (distance <= 1.max(closest.chars().count() / 3)).then_some(closest)
}

/// Levenshtein's edit distance, in which swapped neighbours count once.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut previous = None;
    for (i, x) in a.chars().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != *y))
                .min(above[j + 1] + 1)
                .min(row[j] + 1);
            if j > 0 && previous == Some(*y) && b[j - 1] == x {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
        previous = Some(x);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (a, b, expected) in [
            ("", "abc", 3),
            ("abc", "", 3),
            ("stage", "stage", 0),
            ("satge", "stage", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_a_likely_word_is_meant() {
        let known = ["endpoint", "cpus", "ca"].map(str::to_owned);
        for (name, expected) in [
            ("endpont", Some("endpoint")),
            ("Endpoint", Some("endpoint")),
            ("cpu", Some("cpus")),
            ("memory", None),
            ("xy", None),
        ] {
            assert_eq!(closest(name, &known), expected, "{name}");
        }
        assert_eq!(closest("x", &[]), None);
    }
}
