//! The addresses in a header field (RFC 5322 §3.4): names, comments, quotes and groups aside.

/// Reads an address list into bare addresses, as they are written.
///
/// # Errors
/// What is wrong with the list, in words.
pub fn addresses(field: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::default();
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        match c {
            '(' => skip_comment(&mut chars)?,
            '"' => reader.quoted(&mut chars)?,
            '<' => reader.angle(&mut chars)?,
            ',' | ';' => reader.end()?,
            // The name of a group; its members follow. Within brackets it is part of a literal.
            ':' if !reader.is_in_literal => reader.text.clear(),
            c => {
                reader.is_in_literal = (reader.is_in_literal || c == '[') && c != ']';
                reader.text.push(c);
            }
        }
    }
    reader.end()?;
    Ok(reader.found)
}

#[derive(Default)]
struct Reader {
    /// Of the address so far, without comments.
    text: String,
    angle: Option<String>,
    is_in_literal: bool,
    found: Vec<String>,
}

impl Reader {
    /// An address or the end of a group.
    fn end(&mut self) -> Result<(), String> {
        let text = std::mem::take(&mut self.text);
        if let Some(address) = self.angle.take() {
            self.found.push(address);
            return Ok(());
        }
        // A bare address has no space but around it, its dots and its @.
        let bare = match text.contains('"') {
            true => text.trim().to_owned(),
            false => without_spaces(&text)?,
        };
        if !bare.is_empty() {
            self.found.push(bare);
        }
        Ok(())
    }

    fn quoted(&mut self, chars: &mut impl Iterator<Item = char>) -> Result<(), String> {
        self.text.push('"');
        quoted_rest(chars, &mut self.text)
    }

    fn angle(&mut self, chars: &mut impl Iterator<Item = char>) -> Result<(), String> {
        let mut address = String::new();
        while let Some(c) = chars.next() {
            match c {
                '>' => {
                    // RFC 5322 §4.4: a source route is accepted and ignored.
                    let bare = match address.split_once(':') {
                        Some((route, bare)) if route.starts_with('@') => bare.to_owned(),
                        _ => address,
                    };
                    self.angle = Some(bare.trim().to_owned());
                    return Ok(());
                }
                '"' => {
                    address.push('"');
                    quoted_rest(chars, &mut address)?;
                }
                c => address.push(c),
            }
        }
        Err(format!("no > behind <{address}"))
    }
}

/// Copies up to the closing quote.
fn quoted_rest(chars: &mut impl Iterator<Item = char>, to: &mut String) -> Result<(), String> {
    let mut is_escaped = false;
    for c in chars {
        to.push(c);
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Ok(()),
            _ => {}
        }
    }
    Err(format!("no closing quote behind {to}"))
}

fn skip_comment(chars: &mut impl Iterator<Item = char>) -> Result<(), String> {
    let (mut depth, mut is_escaped) = (1, false);
    for c in chars {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(());
        }
    }
    Err("a comment has no closing parenthesis".to_owned())
}

fn without_spaces(text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    for pair in words.windows(2) {
        let joins = pair[0].ends_with(['.', '@']) || pair[1].starts_with(['.', '@']);
        if !joins {
            return Err(format!("{:?} is not an address", text.trim()));
        }
    }
    Ok(words.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_among_names_comments_quotes_and_groups() {
        for (field, found) in [
            ("a@b.test", vec!["a@b.test"]),
            ("A B <a@b.test>, c@d.test (C, D)", vec!["a@b.test", "c@d.test"]),
            ("\"Last, First\" <a@b.test>,,", vec!["a@b.test"]),
            (
                "Team: a@b.test, B <b@b.test>; c@d.test",
                vec!["a@b.test", "b@b.test", "c@d.test"],
            ),
            ("undisclosed-recipients:;", vec![]),
            ("\"a b\"@c.test", vec!["\"a b\"@c.test"]),
            ("<\"a>b\"@c.test>", vec!["\"a>b\"@c.test"]),
            ("<@relay.test:a@b.test>", vec!["a@b.test"]),
            ("a@[IPv6:::1]", vec!["a@[IPv6:::1]"]),
            ("(x (y) \\) z) a @ b . test", vec!["a@b.test"]),
            ("root", vec!["root"]),
            ("jürgen@bücher.example", vec!["jürgen@bücher.example"]),
            ("", vec![]),
        ] {
            assert_eq!(
                addresses(field),
                Ok(found.iter().map(|a| (*a).to_owned()).collect()),
                "{field}"
            );
        }
    }

    #[test]
    fn a_broken_list_is_an_error_and_not_half_a_list() {
        for field in [
            "<a@b.test",
            "\"a@b.test",
            "(a@b.test",
            "a b@c.test",
            "a@b.test c@d.test",
        ] {
            assert!(addresses(field).is_err(), "{field}");
        }
    }
}
