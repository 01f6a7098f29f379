//! Licences, measured: what is built may be used and passed on as `deny.toml` says. `cargo deny check` says more,
//! where it is installed.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

/// A licence expression (SPDX 2.3 annex D), read from the left.
struct Expression<'a> {
    words: Vec<&'a str>,
    at: usize,
    allowed: &'a BTreeSet<String>,
}

impl Expression<'_> {
    /// Answers whether one of the choices is allowed as a whole.
    fn is_allowed(text: &str, allowed: &BTreeSet<String>) -> bool {
        // The old way of writing OR; brackets stand by themselves.
        let text = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let mut expression = Expression {
            words: text.split_whitespace().collect(),
            at: 0,
            allowed,
        };
        let is_allowed = expression.any();
        assert_eq!(expression.at, expression.words.len(), "{text}");
        is_allowed
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = self.words.get(self.at) == Some(&word);
        self.at += usize::from(is_next);
        is_next
    }

    fn any(&mut self) -> bool {
        let mut is_allowed = self.all();
        while self.takes("OR") {
            is_allowed |= self.all();
        }
        is_allowed
    }

    fn all(&mut self) -> bool {
        let mut is_allowed = self.one();
        while self.takes("AND") {
            is_allowed &= self.one();
        }
        is_allowed
    }

    fn one(&mut self) -> bool {
        if self.takes("(") {
            let is_allowed = self.any();
            assert!(self.takes(")"), "{:?}", self.words);
            return is_allowed;
        }
        let mut licence = self.words[self.at].to_owned();
        self.at += 1;
        if self.takes("WITH") {
            licence = format!("{licence} WITH {}", self.words[self.at]);
            self.at += 1;
        }
        self.allowed.contains(&licence)
    }
}

/// What `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deny.toml");
    let rules: toml::Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let allowed = rules["licenses"]["allow"].as_array().unwrap();
    allowed
        .iter()
        .map(|one| one.as_str().unwrap().to_owned())
        .collect()
}

/// All packages that this machine's build may need, as cargo knows them.
fn packages() -> Vec<Value> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let told = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--locked",
            "--offline",
            "--filter-platform",
            &platform,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    told["packages"].as_array().unwrap().clone()
}

#[test]
fn every_dependency_has_a_licence_that_deny_toml_allows() {
    let (allowed, packages) = (allowed(), packages());
    assert!(packages.len() > 100, "{} packages", packages.len());
    let refused = packages.iter().filter(|package| {
        let licence = package["license"].as_str();
        !licence.is_some_and(|licence| Expression::is_allowed(licence, &allowed))
    });
    let refused: Vec<String> = refused
        .map(|one| format!("{} {}: {}", one["name"], one["version"], one["license"]))
        .collect();
    assert!(refused.is_empty(), "\n{}", refused.join("\n"));
}

#[test]
fn one_choice_must_be_allowed_as_a_whole() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"]
        .map(str::to_owned)
        .into();
    for (text, expected) in [
        ("MIT", true),
        ("GPL-3.0-only", false),
        ("GPL-3.0-only OR MIT", true),
        ("GPL-3.0-only/MIT", true),
        ("GPL-3.0-only AND MIT", false),
        ("(MIT OR GPL-3.0-only) AND ISC", true),
        ("MIT OR ISC AND GPL-3.0-only", true),
        ("(MIT OR ISC) AND GPL-3.0-only", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
    ] {
        assert_eq!(Expression::is_allowed(text, &allowed), expected, "{text}");
    }
}
