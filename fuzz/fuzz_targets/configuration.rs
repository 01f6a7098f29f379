//! Any text as configuration: it is read or refused with a line of its own, and never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = remuda::config::parse(text, "host.test") {
        assert!(!problems.is_empty());
        let lines = text.lines().count().max(1) + 1;
        for problem in problems {
            assert!(problem.line.is_none_or(|line| line <= lines), "line {:?} of {lines}", problem.line);
            assert!(!problem.message.is_empty());
        }
    }
});
