//! Where an account's Maildir is: a path with `{domain}` and `{local}` in it.
//!
//! An address comes from outside, and its octets become names of directories. Everything that is not plainly
//! harmless is written as `%XX`, so that a name is one name, shows what it stands for, and is nobody else's.
//!
//! # Contract
//! * **Two addresses never share a directory**, also where the file system does not know upper from lower
//!   case, and no directory lies in another one's.
//! * **Nothing leaves the root**: what comes of an address holds no `/` and no NUL, and is never `.` or `..`.
//! * **A template that could break this is refused**, with what is wrong with it.
//! * **The postmaster's Maildir is nobody else's**: no account's directory is in it.
//!
//! # Limits
//! A name has [`NAME_LENGTH_MAX`] octets. An address that would need more has no directory.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use remuda_mail::Address;

/// A template that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    /// Whether the path begins at `/`.
    is_absolute: bool,
    components: Vec<Vec<Piece>>,
}

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Braces with something else between them, or one without the other.
    #[error("{{{0}}} is not known; there are {{domain}} and {{local}}")]
    Unknown(String),
    /// Without it two accounts would have one Maildir.
    #[error("{{{0}}} is missing: two accounts would share a Maildir")]
    Missing(&'static str),
    /// Once is enough.
    #[error("{{{0}}} stands there twice")]
    Twice(&'static str),
    /// `a-b` and `c`, or `a` and `b-c`?
    #[error("between {{domain}} and {{local}} there must be a / or an @")]
    Together,
    /// `.`, `..`, or NUL.
    #[error("a path that climbs, or holds NUL")]
    Path,
    /// `mail/postmaster` is taken.
    #[error("mail/postmaster is the postmaster's own Maildir")]
    Postmaster,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Domain,
    Local,
}

impl Template {
    /// The path of an address's Maildir, from `data_dir`; None when a name would be too long.
    pub fn directory(&self, data_dir: &Path, address: &Address) -> Option<PathBuf> {
        let mut path = PathBuf::from(if self.is_absolute { "/" } else { "" });
        for component in &self.components {
            let mut name = fill(component, address);
            if path == Path::new(HOME) && name == POSTMASTER && component.len() == 1 {
                // As if its first letter could not stand there: nobody else's name is written so.
                name.replace_range(..1, "%70");
            }
            if name.len() > NAME_LENGTH_MAX {
                return None;
            }
            path.push(name);
        }
        Some(data_dir.join(path))
    }
}

impl Default for Template {
    /// `mail/{domain}/{local}`.
    fn default() -> Self {
        Template {
            text: "mail/{domain}/{local}".into(),
            is_absolute: false,
            components: vec![
                vec![Piece::Text(HOME.into())],
                vec![Piece::Domain],
                vec![Piece::Local],
            ],
        }
    }
}

impl std::fmt::Display for Template {
    /// As it was written.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let names = text.split('/').filter(|name| !name.is_empty());
        let components: Vec<Vec<Piece>> = names.map(pieces).collect::<Result<_, _>>()?;
        for (piece, name) in [(Piece::Domain, "domain"), (Piece::Local, "local")] {
            match components.iter().flatten().filter(|one| **one == piece).count() {
                0 => return Err(TemplateError::Missing(name)),
                1 => {}
                _ => return Err(TemplateError::Twice(name)),
            }
        }
        if components.iter().any(|component| is_ambiguous(component)) {
            return Err(TemplateError::Together);
        }
        let is_absolute = text.starts_with('/');
        let is_plain =
            |place: usize, name: &str| components.get(place) == Some(&vec![Piece::Text(name.into())]);
        if !is_absolute && is_plain(0, HOME) && is_plain(1, POSTMASTER) {
            return Err(TemplateError::Postmaster);
        }
        Ok(Template {
            text: text.into(),
            is_absolute,
            components,
        })
    }
}

/// Takes one name of the template apart.
fn pieces(name: &str) -> Result<Vec<Piece>, TemplateError> {
    if matches!(name, "." | "..") || name.contains('\0') {
        return Err(TemplateError::Path);
    }
    let mut pieces = Vec::new();
    let mut rest = name;
    while let Some(at) = rest.find(['{', '}']) {
        let unknown = |word: &str| TemplateError::Unknown(word.trim_matches(['{', '}']).into());
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        let word = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (word, behind) = word.ok_or_else(|| unknown(from))?;
        pieces.push(match word {
            "domain" => Piece::Domain,
            "local" => Piece::Local,
            word => return Err(unknown(word)),
        });
        rest = behind;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// Answers whether both sides of an address stand in one name, and nothing between them tells where one ends.
fn is_ambiguous(component: &[Piece]) -> bool {
    let place = |piece: &Piece| component.iter().position(|one| one == piece);
    let (Some(domain), Some(local)) = (place(&Piece::Domain), place(&Piece::Local)) else {
        return false;
    };
    let between = &component[domain.min(local)..domain.max(local)];
    let is_mark = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains('@'));
    !between.iter().any(is_mark)
}

fn fill(component: &[Piece], address: &Address) -> String {
    let mut name = String::new();
    for piece in component {
        match piece {
            Piece::Text(text) => name.push_str(text),
            Piece::Domain => escape(address.domain().as_str(), &mut name),
            Piece::Local => escape(address.local_part(), &mut name),
        }
    }
    name
}

/// Writes one side of an address so that it can be read back and is no path: lower-case letters, digits, `_`,
/// `-`, `+`, `=` and dots but a leading one stay, each other octet becomes `%XX`.
fn escape(side: &str, name: &mut String) {
    for (place, octet) in side.bytes().enumerate() {
        match octet {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'+' | b'=' => name.push(char::from(octet)),
            // A hidden name would be a folder to readers of Maildir++.
            b'.' if place > 0 => name.push('.'),
            _ => {
                let _infallible = write!(name, "%{octet:02X}");
            }
        }
    }
}

/// Octets of one name that every file system takes.
pub const NAME_LENGTH_MAX: usize = 255;

/// Where the postmaster's Maildir is, under `data_dir`.
pub(super) const HOME: &str = "mail";
pub(super) const POSTMASTER: &str = "postmaster";

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "/data";

    fn directory(template: &str, address: &str) -> String {
        let template: Template = template.parse().unwrap();
        let directory = template.directory(Path::new(ROOT), &address.parse().unwrap());
        directory.unwrap().display().to_string()
    }

    #[test]
    fn the_default_is_what_it_says() {
        let default = Template::default();
        assert_eq!(default.to_string().parse(), Ok(default));
    }

    #[test]
    fn an_address_is_one_name_that_shows_what_it_stands_for() {
        for (address, expected) in [
            ("ann@example.org", "/data/mail/example.org/ann"),
            (
                "ann.b+c_d=e-f@example.org",
                "/data/mail/example.org/ann.b+c_d=e-f",
            ),
            ("..@example.org", "/data/mail/example.org/%2E."),
            (".x@example.org", "/data/mail/example.org/%2Ex"),
            ("a/../b@example.org", "/data/mail/example.org/a%2F..%2Fb"),
            ("\"a b\"@example.org", "/data/mail/example.org/%22a%20b%22"),
            ("Ann@Example.ORG", "/data/mail/example.org/%41nn"),
            ("a%41@example.org", "/data/mail/example.org/a%2541"),
            (
                "käthe@bücher.example",
                "/data/mail/xn--bcher-kva.example/k%C3%A4the",
            ),
            ("ann@[192.0.2.1]", "/data/mail/%5B192.0.2.1%5D/ann"),
            ("new@postmaster", "/data/mail/%70ostmaster/new"),
            ("postmaster@example.org", "/data/mail/example.org/postmaster"),
        ] {
            assert_eq!(directory("mail/{domain}/{local}", address), expected, "{address}");
        }
        assert_eq!(
            directory("/var/{local}@{domain}/Maildir", "\"a@b\"@c.test"),
            "/var/%22a%40b%22@c.test/Maildir"
        );
        assert_eq!(
            directory("mail/{local}/{domain}", "postmaster@a.test"),
            "/data/mail/%70ostmaster/a.test"
        );
    }

    #[test]
    fn a_template_that_could_break_the_promise_is_refused() {
        let unknown = |word: &str| TemplateError::Unknown(word.into());
        for (text, error) in [
            ("mail/{domain}/{user}", unknown("user")),
            ("mail/{domain}/{local", unknown("local")),
            ("mail/{domain}/local}", unknown("")),
            ("mail/{domain}/{{local}}", unknown("local")),
            ("mail/{local}", TemplateError::Missing("domain")),
            ("mail/{domain}", TemplateError::Missing("local")),
            ("", TemplateError::Missing("domain")),
            ("{domain}/{local}/{local}", TemplateError::Twice("local")),
            ("mail/{domain}-{local}", TemplateError::Together),
            ("mail/{domain}{local}", TemplateError::Together),
            ("@{domain}.{local}@", TemplateError::Together),
            ("../{domain}/{local}", TemplateError::Path),
            ("mail/./{domain}/{local}", TemplateError::Path),
            ("mail\0/{domain}/{local}", TemplateError::Path),
            ("mail/postmaster/{domain}/{local}", TemplateError::Postmaster),
        ] {
            assert_eq!(text.parse::<Template>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_name_that_no_file_system_takes_is_none() {
        let long = format!("{}@a.test", "\u{e4}".repeat(60));
        let address = long.parse().unwrap();
        assert_eq!(Template::default().directory(Path::new(ROOT), &address), None);
    }

    fn addresses() -> impl Strategy<Value = Address> {
        let odd = r#"[a-cA-C./\\%@" ~{}ä\u{0}=+-]{1,6}"#;
        let local = prop_oneof![
            "[a-c.]{1,3}",
            odd,
            odd.prop_map(|inner| format!("\"{}\"", inner.replace(['"', '\\'], "\\\\"))),
            Just("..".to_owned()),
            Just("postmaster".to_owned()),
        ];
        let domain = prop_oneof![
            "[a-b]{1,2}",
            "[a-b]\\.[a-b]",
            Just("postmaster".to_owned()),
            Just("[192.0.2.1]".to_owned())
        ];
        (local, domain).prop_filter_map("an address", |(local, domain)| {
            format!("{local}@{domain}").parse().ok()
        })
    }

    proptest! {
        #[test]
        fn two_addresses_never_share_a_directory_and_nothing_leaves_the_root(
            addresses in proptest::collection::vec(addresses(), 1..60),
            template in prop_oneof![
                Just("mail/{domain}/{local}"),
                Just("mail/{local}/{domain}"),
                Just("x{local}@{domain}/Maildir"),
                Just("{domain}@{local}"),
                Just("{local}/y{domain}.z"),
            ],
        ) {
            let template: Template = template.parse().unwrap();
            let mut seen: HashMap<String, Address> = HashMap::new();
            let depth = template.components.len();
            for address in addresses {
                let path = template.directory(Path::new(ROOT), &address).unwrap();
                let text = path.to_str().unwrap();
                let names: Vec<&str> = text.strip_prefix("/data/").unwrap().split('/').collect();
                prop_assert_eq!(names.len(), depth, "{} is {}: none is in another", address, text);
                prop_assert!(names.iter().all(|name| !matches!(*name, "" | "." | "..")), "{}", text);
                prop_assert!(!text.contains('\0') && !path.starts_with("/data/mail/postmaster"), "{}", text);
                // As a file system sees it that does not know upper from lower case.
                let other = seen.insert(text.to_ascii_lowercase(), address.clone());
                prop_assert!(other.is_none_or(|other| other == address), "{} is {}", address, text);
            }
        }
    }
}
