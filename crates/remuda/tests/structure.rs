//! How the code reads, measured: layers, imports, sizes, headers and clock calls.
//!
//! A ratchet: the numbers here only go down. What a rule is for stands in `ARCHITECTURE.md`.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "structure/source.rs"]
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use source::Source;

/// Lines of a file without its tests; nothing is longer.
const FILE_LINES_MAX: usize = 500;
/// Files longer than the soft limit of 350 lines: so many, never more.
const FILES_OVER_SOFT_MAX: usize = 3;
/// Lines of a test file.
const TEST_FILE_LINES_MAX: usize = 900;
/// Lines of a function; nothing is longer.
const FUNCTION_LINES_MAX: usize = 70;
/// Functions longer than the soft limit of 40 lines: so many, never more.
const FUNCTIONS_OVER_SOFT_MAX: usize = 21;

/// Which crates of ours each crate may use: the levels of the design. Cargo enforces what the manifests
/// say; this keeps the manifests honest.
const LAYERS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("mail", &["clock"]),
    ("smtp", &["mail"]),
    ("connection-cache", &["mail", "clock"]),
    ("object-cache", &["clock"]),
    ("schedule", &["mail", "clock"]),
    ("hosts", &["mail", "clock"]),
    (
        "dispatch",
        &["mail", "clock", "connection-cache", "schedule", "hosts"],
    ),
    ("spool", &["mail", "clock"]),
    ("directory", &["mail", "clock", "object-cache"]),
    (
        "engine",
        &[
            "mail",
            "clock",
            "smtp",
            "connection-cache",
            "schedule",
            "hosts",
            "dispatch",
            "spool",
            "directory",
        ],
    ),
    ("admin", &["mail", "clock", "directory", "engine", "spool"]),
    ("simulator", &["mail", "clock", "dispatch"]),
    ("sink", &["clock"]),
    ("load", &["clock"]),
    (
        "remuda",
        &[
            "mail",
            "clock",
            "smtp",
            "dispatch",
            "directory",
            "spool",
            "engine",
            "admin",
            "simulator",
            "sink",
            "load",
        ],
    ),
    ("testing", &["mail", "clock"]),
];

/// Crates without I/O, threads or clocks: no tokio (the clock's timers apart), no database, no sockets.
const PURE: &[&str] = &[
    "mail",
    "smtp",
    "connection-cache",
    "object-cache",
    "schedule",
    "hosts",
    "dispatch",
];
const IMPURE_DEPENDENCIES: &[&str] = &[
    "tokio",
    "rusqlite",
    "hickory-resolver",
    "axum",
    "socket2",
    "rustix",
];

/// Within the engine: who may name whom. The modules that talk to the world do not know the actor.
const ENGINE_MODULES: &[(&str, &[&str])] = &[
    (
        "session",
        &[
            "actor",
            "receive",
            "route",
            "resolve",
            "report",
            "local",
            "admission",
        ],
    ),
    ("receive", &["actor", "session", "resolve", "report", "local"]),
    ("resolve", &["actor", "session", "receive", "report", "local"]),
    (
        "route",
        &["actor", "session", "receive", "resolve", "report", "local"],
    ),
    ("report", &["actor", "session", "receive", "resolve", "local"]),
    ("local", &["actor", "receive", "resolve", "report"]),
];

/// Calls that read a clock or make a timer.
const CLOCK_CALLS: &[&str] = &[
    "Instant::now(",
    "SystemTime::now(",
    "time::sleep",
    "time::timeout",
    "time::interval",
    "thread::sleep",
    "thread::park_timeout",
];
/// Where they may stand: the clock, and the one helper of tests that waits for real processes.
const CLOCK_CALLS_ALLOWED: &[&str] = &["crates/clock/src/lib.rs", "crates/testing/src/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn rust_files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(below).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let root = root();
    let mut files = Vec::new();
    rust_files(&root.join("crates"), &mut files);
    files.sort();
    files.iter().map(|path| Source::read(&root, path)).collect()
}

fn assert_none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_crate_uses_only_lower_levels() {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, allowed) in LAYERS {
        seen.insert((*name).to_owned());
        for dependency in dependencies(name) {
            if let Some(ours) = dependency.strip_prefix("remuda-")
                && !allowed.contains(&ours)
            {
                problems.push(format!("{name} may not use {ours}"));
            }
            if PURE.contains(name) && IMPURE_DEPENDENCIES.contains(&dependency.as_str()) {
                problems.push(format!("{name} is pure and may not use {dependency}"));
            }
        }
    }
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !seen.contains(&name) {
            problems.push(format!("crate {name} has no level here"));
        }
    }
    assert_none(problems);
}

/// The `[dependencies]` of a crate's manifest, without those for tests.
fn dependencies(name: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join("crates").join(name).join("Cargo.toml")).unwrap();
    let section = manifest
        .split("[dependencies]")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let lines = section.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(key, _)| key.trim().trim_end_matches(".workspace").to_owned())
        .collect()
}

#[test]
fn the_engines_modules_do_not_know_the_actor() {
    let mut problems = Vec::new();
    for source in sources() {
        for (module, forbidden) in ENGINE_MODULES {
            let prefix = format!("crates/engine/src/{module}");
            if !source.path.starts_with(&format!("{prefix}/")) && source.path != format!("{prefix}.rs") {
                continue;
            }
            for other in *forbidden {
                if source.code_without_tests().contains(&format!("crate::{other}")) {
                    problems.push(format!("{}: {module} may not use {other}", source.path));
                }
            }
        }
    }
    assert_none(problems);
}

#[test]
fn every_file_opens_with_its_contract() {
    let missing = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//!"));
    assert_none(
        missing
            .map(|source| format!("{} has no header", source.path))
            .collect(),
    );
}

#[test]
fn files_and_functions_stay_small() {
    let mut problems = Vec::new();
    let (mut long_files, mut long_functions) = (Vec::new(), Vec::new());
    for source in sources() {
        let lines = source.lines_without_tests();
        let max = if source.is_test_file() {
            TEST_FILE_LINES_MAX
        } else {
            FILE_LINES_MAX
        };
        if lines > max {
            problems.push(format!("{}: {lines} lines, at most {max}", source.path));
        }
        if lines > 350 && !source.is_test_file() {
            long_files.push(format!("{} ({lines})", source.path));
        }
        for (name, lines) in source.functions() {
            if lines > FUNCTION_LINES_MAX {
                problems.push(format!(
                    "{}: {name} has {lines} lines, at most {FUNCTION_LINES_MAX}",
                    source.path
                ));
            }
            if lines > 40 && !source.is_test_file() {
                long_functions.push(format!("{}: {name} ({lines})", source.path));
            }
        }
    }
    if long_files.len() > FILES_OVER_SOFT_MAX {
        problems.push(format!(
            "{} files over 350 lines:\n  {}",
            long_files.len(),
            long_files.join("\n  ")
        ));
    }
    if long_functions.len() > FUNCTIONS_OVER_SOFT_MAX {
        problems.push(format!(
            "{} functions over 40 lines:\n  {}",
            long_functions.len(),
            long_functions.join("\n  ")
        ));
    }
    assert_none(problems);
}

#[test]
fn clocks_are_read_in_one_place() {
    let mut problems = Vec::new();
    for source in sources() {
        if CLOCK_CALLS_ALLOWED
            .iter()
            .any(|allowed| source.path.starts_with(allowed))
            || source.path.contains("tests/structure")
        {
            continue;
        }
        for call in CLOCK_CALLS {
            if source.code.contains(call) {
                problems.push(format!("{} calls {call}", source.path));
            }
        }
    }
    assert_none(problems);
}

#[test]
fn nothing_is_left_to_be_done() {
    let mut problems = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| !source.path.contains("tests/structure"))
    {
        for word in [
            "todo!",
            "unimplemented!",
            "dbg!(",
            "static mut ",
            "lazy_static",
            "#[ignore",
        ] {
            if source.code.contains(word) {
                problems.push(format!("{} has {word}", source.path));
            }
        }
        let unsafe_allowed = source.path.contains("/recorder/");
        if !unsafe_allowed && (source.code.contains("unsafe {") || source.code.contains("unsafe fn")) {
            problems.push(format!("{} is unsafe", source.path));
        }
    }
    assert_none(problems);
}

#[test]
fn no_module_is_called_utils() {
    let named = |source: &Source| {
        let name = Path::new(&source.path)
            .file_stem()
            .and_then(|s| s.to_str())
            .unwrap_or_default()
            .to_owned();
        ["utils", "util", "common", "misc", "helpers"].contains(&name.as_str())
    };
    assert_none(
        sources()
            .iter()
            .filter(|s| named(s))
            .map(|s| s.path.clone())
            .collect(),
    );
}

#[test]
fn the_measures_measure() {
    let text =
        "//! Header.\nfn a() {\n    let s = \"}\"; // }\n}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
    let source = Source::from_text("crates/x/src/a.rs", text);
    assert_eq!(source.lines_without_tests(), 5);
    let functions: BTreeMap<_, _> = source.functions().into_iter().collect();
    assert_eq!(functions.get("a"), Some(&3));
    assert!(!source.code.contains("// }"));
}
