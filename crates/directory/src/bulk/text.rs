//! Lists in a cell: words with spaces, commas or line ends between them.
//!
//! # Contract
//! * **What is written reads back**: a quoted local part may hold all of them.

/// Splits a cell.
pub(super) fn split(cell: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut is_quoted, mut is_escaped) = (false, false);
    for c in cell.chars() {
        let ends = !is_quoted && (c.is_whitespace() || c == ',' || c == ';');
        match words.last_mut() {
            Some(word) if !ends => word.push(c),
            _ => words.push(String::new()),
        }
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = is_quoted && c == '\\' && !is_escaped;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Joins words into a cell.
pub(super) fn join<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for words in [
            &["a@b.test", "c@d.test"][..],
            &["\"a b, c\"@b.test", "c@d.test"],
            &["\"a\\\" ;b\"@b.test", "\"\\\\\"@d.test", "e@f.test"],
            &[],
        ] {
            assert_eq!(split(&join(words.iter().copied())), words);
        }
        assert_eq!(split(" a@b.test,\n c@d.test; "), ["a@b.test", "c@d.test"]);
    }
}
