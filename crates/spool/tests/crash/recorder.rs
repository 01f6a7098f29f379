//! Builds the recorder and starts workers.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The recorder as a library to preload, compiled once.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorder/recorder.c");
        // Test binaries of several runs may build it at once.
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recorder-{}.so", std::process::id()));
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-pthread", "-o"])
            .arg(&made)
            .arg(source)
            .status()
            .expect("a C compiler");
        assert!(status.success(), "the recorder does not compile");
        made
    })
}

/// This test binary, to run one test of it as a process of its own.
pub fn this_binary(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
}
