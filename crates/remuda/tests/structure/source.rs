//! One Rust file as the structure test sees it: its text, and its code without comments and literals.

use std::{fs, path::Path};

/// A file.
pub struct Source {
    /// Below the workspace's root.
    pub path: String,
    /// As it is.
    pub text: String,
    /// The same lines with comments and the insides of literals blanked.
    pub code: String,
}

impl Source {
    /// Reads the file.
    pub fn read(root: &Path, path: &Path) -> Source {
        let text = fs::read_to_string(path).unwrap();
        Source::from_text(path.strip_prefix(root).unwrap().to_str().unwrap(), &text)
    }

    /// Takes the text as the file's.
    pub fn from_text(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
            code: blank(text),
        }
    }

    /// Files that hold tests only.
    pub fn is_test_file(&self) -> bool {
        let inner = self.path.contains("/tests/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs");
        inner
            || self.path.contains("/examples/")
            || self.path.contains("/fixture")
            || self.path.contains("/suite/")
            || self.path.contains("crates/testing/")
    }

    /// Lines up to the inline test module.
    pub fn lines_without_tests(&self) -> usize {
        self.code_without_tests().lines().count()
    }

    /// The code up to the inline test module.
    pub fn code_without_tests(&self) -> &str {
        match self.code.find("#[cfg(test)]\nmod tests {") {
            Some(end) if !self.is_test_file() => &self.code[..end],
            _ => &self.code,
        }
    }

    /// Name and length in lines of every function outside the inline test module.
    pub fn functions(&self) -> Vec<(String, usize)> {
        let code = self.code_without_tests();
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(at) = code[from..].find("fn ").map(|at| at + from) {
            from = at + 3;
            let before = code[..at].chars().next_back();
            let name: String = code[from..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if name.is_empty() || before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            if let Some(length) = body_lines(&code[at..]) {
                found.push((name, length));
            }
        }
        found
    }
}

/// Lines from the `fn` to the brace that closes its body; None for a declaration.
fn body_lines(code: &str) -> Option<usize> {
    let open = code.find(['{', ';'])?;
    if code.as_bytes()[open] == b';' {
        return None;
    }
    let mut depth = 0usize;
    for (index, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(code[..=index].lines().count());
        }
    }
    None
}

/// Blanks comments and the insides of string and character literals; line breaks stay.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = literal_or_comment_end(bytes, i);
        for byte in out.iter_mut().take(end).skip(i) {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        i = end.max(i + 1);
    }
    String::from_utf8(out).unwrap()
}

/// Where the comment or literal that begins at `i` ends; `i` when none begins there.
fn literal_or_comment_end(bytes: &[u8], i: usize) -> usize {
    let rest = &bytes[i..];
    let find = |pattern: &[u8], from: usize| {
        rest[from..]
            .windows(pattern.len())
            .position(|w| w == pattern)
            .map_or(bytes.len(), |at| i + from + at + pattern.len())
    };
    match rest {
        [b'/', b'/', ..] => find(b"\n", 0) - usize::from(rest.contains(&b'\n')),
        [b'/', b'*', ..] => find(b"*/", 2),
        [b'r', b'"', ..] if !previous_is_word(bytes, i) => find(b"\"", 2),
        [b'r', b'#', b'"', ..] => find(b"\"#", 3),
        [b'"', ..] => string_end(bytes, i),
        [b'\'', b'\\', ..] => find(b"'", 3),
        [b'\'', _, b'\'', ..] => i + 3,
        _ => i,
    }
}

fn previous_is_word(bytes: &[u8], i: usize) -> bool {
    i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_')
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}
