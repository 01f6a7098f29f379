//! Kill −9 under load.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Stdio},
};

use crate::{
    Dice,
    ledger::{Ledger, Stage},
    recorder::this_binary,
    soak, worker,
};

#[test]
fn nothing_answered_is_lost_by_kill_9_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut dice = Dice(1);
    for kill in 0..soak(5, 50) {
        let (mut child, output) = start(dir.path());
        let mut output = BufReader::new(output);
        for _ in 0..50 + dice.below(600) {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            ledger.note(line.trim_end());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died; a line may be cut off.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        whole.lines().for_each(|line| ledger.note(line));
        runtime
            .block_on(ledger.check(dir.path()))
            .unwrap_or_else(|error| panic!("after kill {kill}: {error}"));
    }
    assert!(ledger.count(Stage::Settled) > 0 && ledger.count(Stage::Stored) > 0);
}

fn start(data_dir: &std::path::Path) -> (Child, ChildStdout) {
    let mut child = this_binary("worker::worker")
        .env(worker::DATA, data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    (child, output)
}
