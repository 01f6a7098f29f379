//! The known key that a mistyped one most likely means.

/// Answers the candidate nearest to `word`, when it is near enough to be worth suggesting: at most a
/// third of the letters differ. Cost: the product of the lengths for each candidate.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let folded = word.replace('-', "_").to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (distance(&folded, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(3) / 3).min(WORTH_MAX))
        .min()
        .map(|(_, candidate)| candidate)
}

/// More differences than this are another word.
const WORTH_MAX: usize = 4;

/// Insertions, deletions and replacements between two words, with a swap of neighbours as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(LENGTH_MAX).collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// Letters of a word that are compared.
const LENGTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_finds_its_key() {
        let keys = ["concurrency", "initial_concurrency", "helo_name", "mx", "hosts"];
        for (word, key) in [
            ("concurency", Some("concurrency")),
            ("concurrecny", Some("concurrency")),
            ("helo-name", Some("helo_name")),
            ("Hosts", Some("hosts")),
            ("nx", Some("mx")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, keys), key, "{word}");
        }
    }
}
