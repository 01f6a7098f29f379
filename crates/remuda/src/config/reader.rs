//! Reads a TOML text key by key, and remembers what was asked for and what was wrong.
//!
//! Each key is asked for once, with its type, its bounds and its default. What nobody asked for is
//! unknown. A wrong value is noted and the default taken, so that one run finds all that is wrong.
//!
//! # Contract
//! * **Every problem has the line of its key or value.**
//! * **A key exists because somebody asks for it**: there is no second list to keep.
//!
//! # Not here
//! Which keys there are (`sections`), how values are written (`values`), relations (`limits`).

mod types;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use types::found;
pub use types::{boolean, number, text};

use super::{nearest::nearest, problem::Problem};

/// What was found and what was wrong, over the whole file.
pub struct Notes<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    asked: RefCell<BTreeMap<String, BTreeSet<&'static str>>>,
    unknown: RefCell<Vec<(String, String, usize)>>,
}

/// A value with the line it was set on; None = the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where the file says so.
    pub line: Option<usize>,
}

/// One table of the file.
pub struct Section<'n, 't> {
    notes: &'n Notes<'t>,
    /// As in messages: `delivery`, or empty at the top.
    name: &'static str,
    table: Option<&'n DeTable<'t>>,
    line: usize,
}

type Value<'v, 't> = &'v Spanned<DeValue<'t>>;

impl<'t> Notes<'t> {
    /// Nothing known of `text` yet.
    pub fn new(text: &'t str) -> Self {
        Notes {
            text,
            problems: RefCell::default(),
            warnings: RefCell::default(),
            asked: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// The line that holds the octet at `offset`, counted from 1.
    pub fn line_at(&self, offset: usize) -> usize {
        1 + self.text.as_bytes()[..offset.min(self.text.len())]
            .iter()
            .filter(|b| **b == b'\n')
            .count()
    }

    fn line_of(&self, span: &Range<usize>) -> usize {
        self.line_at(span.start)
    }

    /// Notes a problem.
    pub fn problem(&self, line: Option<usize>, key: impl Into<String>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem {
            line,
            key: key.into(),
            message: message.into(),
        });
    }

    /// Opens the top of the file.
    pub fn top<'n>(&'n self, table: &'n DeTable<'t>) -> Section<'n, 't> {
        Section {
            notes: self,
            name: "",
            table: Some(table),
            line: 1,
        }
    }

    /// What works and is seldom meant, in the order of the file.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.warnings.take();
        warnings.sort_by_key(|warning| warning.line);
        warnings
    }

    /// All problems in the order of the file, those of unknown keys included.
    pub fn finish(self) -> Vec<Problem> {
        for (section, key, line) in self.unknown.take() {
            let message = format!("unknown key{}", self.suggestion(&section, &key));
            self.problem(Some(line), join(&section, &key), message);
        }
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        problems.dedup();
        problems
    }

    fn suggestion(&self, section: &str, key: &str) -> String {
        let asked = self.asked.borrow();
        let here = asked.get(section);
        if let Some(known) = here.and_then(|keys| nearest(key, keys.iter().copied())) {
            return format!("; did you mean {}?", join(section, known));
        }
        if let Some((other, _)) = asked.iter().find(|(_, keys)| keys.contains(key)) {
            let place = if other.is_empty() {
                "at the top of the file".to_owned()
            } else {
                format!("in [{other}]")
            };
            return format!("; it belongs {place}");
        }
        let list: Vec<&str> = here.into_iter().flatten().copied().collect();
        format!("; known here: {}", list.join(", "))
    }
}

impl<'n, 't> Section<'n, 't> {
    /// The line of the section's head.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The key with its section, as messages name it.
    pub fn full(&self, key: &str) -> String {
        join(self.name, key)
    }

    /// The line that sets `key`, which was read before.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        let (name, _) = self.table?.get_key_value(key)?;
        Some(self.notes.line_of(&name.span()))
    }

    /// Notes a problem with `key`.
    pub fn problem(&self, line: Option<usize>, key: &str, message: impl Into<String>) {
        self.notes.problem(line, self.full(key), message);
    }

    /// Notes that `key` works and is seldom meant so.
    pub fn warning(&self, line: Option<usize>, key: &str, message: &str) {
        self.notes.warnings.borrow_mut().push(Problem {
            line,
            key: self.full(key),
            message: format!("warning: {message}"),
        });
    }

    fn find(&self, key: &'static str) -> Option<(usize, Value<'n, 't>)> {
        self.notes
            .asked
            .borrow_mut()
            .entry(self.name.to_owned())
            .or_default()
            .insert(key);
        let (name, value) = self.table?.get_key_value(key)?;
        Some((self.notes.line_of(&name.span()), value))
    }

    /// Reads `key` with `read`; None when it is not there or wrong (which is noted).
    pub fn optional<T>(
        &self,
        key: &'static str,
        read: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<Setting<T>> {
        let (line, value) = self.find(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(Setting {
                value,
                line: Some(line),
            }),
            Err(message) => {
                self.problem(Some(line), key, message);
                None
            }
        }
    }

    /// Reads `key` with `read`, or takes the default.
    pub fn read<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Setting<T> {
        self.optional(key, read).unwrap_or(Setting {
            value: default,
            line: None,
        })
    }

    /// Reads `key`, which must be there; `example` says how it is written.
    pub fn required<T>(
        &self,
        key: &'static str,
        example: &str,
        read: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<T> {
        if self.find(key).is_none() {
            self.problem(
                Some(self.line),
                key,
                format!("missing; write for example {key} = {example}"),
            );
            return None;
        }
        self.optional(key, read).map(|setting| setting.value)
    }

    /// Answers whether the file sets `key`.
    pub fn is_set(&self, key: &'static str) -> bool {
        self.find(key).is_some()
    }

    /// Reads a list, each element with `read`; None when one is wrong, which is noted with its line.
    pub fn list<T>(
        &self,
        key: &'static str,
        read: impl Fn(&DeValue<'t>) -> Result<T, String>,
    ) -> Option<Setting<Vec<T>>> {
        let (line, value) = self.find(key)?;
        let DeValue::Array(elements) = value.get_ref() else {
            self.problem(
                Some(line),
                key,
                format!("{}; expected a list in brackets", found(value.get_ref())),
            );
            return None;
        };
        let mut list = Vec::new();
        for element in elements.iter() {
            match read(element.get_ref()) {
                Ok(value) => list.push(value),
                Err(message) => self.problem(Some(self.notes.line_of(&element.span())), key, message),
            }
        }
        (list.len() == elements.len()).then_some(Setting {
            value: list,
            line: Some(line),
        })
    }

    /// Opens the table `[name]` below the top; an absent one has only defaults.
    pub fn section(&self, name: &'static str) -> Section<'n, 't> {
        self.subsection(name, name)
    }

    /// Opens the table that `key` is here, as `[name]`.
    pub fn subsection(&self, key: &'static str, name: &'static str) -> Section<'n, 't> {
        let (table, line) = match self.find(key) {
            None => (None, 1),
            Some((line, value)) => match value.get_ref() {
                DeValue::Table(table) => (Some(table), line),
                other => {
                    self.problem(
                        Some(line),
                        key,
                        format!("{}; expected a section [{name}]", found(other)),
                    );
                    (None, line)
                }
            },
        };
        Section {
            notes: self.notes,
            name,
            table,
            line,
        }
    }

    /// Opens every `[[name]]` below the top; None when there is none.
    pub fn sections(&self, name: &'static str) -> Option<Vec<Section<'n, 't>>> {
        let (line, value) = self.find(name)?;
        let wrong = |line, value: &DeValue<'t>| {
            self.problem(Some(line), name, format!("{}; write [[{name}]]", found(value)));
        };
        let DeValue::Array(elements) = value.get_ref() else {
            wrong(line, value.get_ref());
            return Some(Vec::new());
        };
        let mut sections = Vec::new();
        for element in elements.iter() {
            let line = self.notes.line_of(&element.span());
            match element.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section {
                        notes: self.notes,
                        name,
                        table: Some(table),
                        line,
                    });
                }
                other => wrong(line, other),
            }
        }
        Some(sections)
    }

    /// Notes every key that nobody asked for. Called when all of the section has been read.
    pub fn close(self) {
        let asked = self.notes.asked.borrow();
        let known = asked.get(self.name);
        for name in self.table.into_iter().flat_map(DeTable::keys) {
            if !known.is_some_and(|keys| keys.contains(name.get_ref().as_ref())) {
                let line = self.notes.line_of(&name.span());
                self.notes.unknown.borrow_mut().push((
                    self.name.to_owned(),
                    name.get_ref().to_string(),
                    line,
                ));
            }
        }
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}
