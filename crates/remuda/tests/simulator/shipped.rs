//! The scenarios that are shipped.

use std::path::PathBuf;

use remuda_simulator::{Policy, Run, Scenario};

fn shipped() -> Vec<(String, String)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        (
            path.display().to_string(),
            std::fs::read_to_string(&path).unwrap(),
        )
    };
    let mut all: Vec<_> = std::fs::read_dir(directory).unwrap().map(read).collect();
    all.sort_unstable();
    all
}

#[test]
fn every_shipped_scenario_says_what_it_shows_and_runs() {
    let all = shipped();
    assert!(all.len() >= 10, "{}", all.len());
    for (name, text) in all {
        assert!(text.starts_with("# "), "{name}");
        let (mut scenario, plan) =
            Scenario::parse(&text).unwrap_or_else(|problem| panic!("{name}:{problem}"));
        scenario.mail.messages = scenario.mail.messages.min(500);
        scenario.duration = None;
        for policy in Policy::SIDE_BY_SIDE {
            let figures = Run::new(&scenario, &plan, policy).go(&mut |_, _| {});
            assert_eq!(
                (figures.delivered, figures.left),
                (figures.accepted, 0),
                "{name} {policy}"
            );
        }
    }
}
