//! Flags, files and exit codes.

use clap::Parser;
use remuda_simulator::Policy;

use super::*;
use crate::cli::{Arguments, Command};

fn parsed(words: &[&str]) -> SimulateArguments {
    let words = ["remuda", "simulate"].iter().chain(words);
    match Arguments::try_parse_from(words).unwrap().command {
        Command::Simulate(arguments) => *arguments,
        other => panic!("{other:?}"),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

const SOUND: &str = "seed = 3\n[[host]]\nname = 'a'\ncount = 9\nservice = '1ms'\n[[domain]]\nname = 'd'\nhosts = ['a']\nchoose = 2\n\
     [mail]\nmessages = 50\n";

#[test]
fn flags_make_the_scenario_that_no_file_gives() {
    let words = "--hosts 5 --slow 2 --slow-service 3s --connect 7ms --sessions 6 --messages 40 --seed 9";
    let (scenario, plan) = scenario(&parsed(&words.split(' ').collect::<Vec<_>>())).unwrap();
    assert_eq!((plan.hosts.len(), scenario.hosts[1].count), (5, 2));
    assert_eq!(scenario.hosts[1].service.mean().as_secs(), 3);
    assert_eq!(scenario.hosts[0].connect.as_millis(), 7);
    assert_eq!((scenario.seed, scenario.mail.messages), (9, 40));
    let settings = scenario.policy.settings(Policy::Adaptive, 9);
    assert_eq!(
        (
            settings.sessions,
            settings.concurrency,
            settings.sessions_per_endpoint
        ),
        (6, 6, 6)
    );
    for words in [["--hosts", "3", "--slow", "0"], ["--hosts", "3", "--slow", "3"]] {
        assert_eq!(super::scenario(&parsed(&words)).unwrap().1.hosts.len(), 3);
    }
}

#[test]
fn flags_change_messages_sessions_and_seed_of_a_file() {
    let file = file(SOUND);
    let path = file.path().to_str().unwrap();
    let (plain, plan) = scenario(&parsed(&[path])).unwrap();
    assert_eq!((plain.seed, plain.mail.messages), (3, 50));
    let words = [path, "--messages", "7", "--seed", "4", "--sessions", "2"];
    let (changed, other) = scenario(&parsed(&words)).unwrap();
    assert_eq!((changed.seed, changed.mail.messages), (4, 7));
    let settings = changed.policy.settings(Policy::Time, 4);
    assert_eq!((settings.sessions, settings.sessions_per_endpoint), (2, 2));
    assert_ne!(
        plan.sites[0].servers, other.sites[0].servers,
        "drawn from the seed"
    );
    let both = Arguments::try_parse_from(["remuda", "simulate", path, "--hosts", "3"]);
    assert!(both.is_err());
}

#[test]
fn a_bad_scenario_ends_with_78_and_names_file_line_and_key() {
    let file = file(&SOUND.replace("messages = 50", "messages = 0"));
    let path = file.path().to_str().unwrap();
    let failure = run(&parsed(&[path])).unwrap_err();
    assert_eq!(failure.exit, Exit::Configuration);
    let line = failure.to_string();
    assert!(line.starts_with(&format!("{path}:11: mail.messages: ")), "{line}");
    let missing = run(&parsed(&["/none.toml"])).unwrap_err();
    assert_eq!(missing.exit, Exit::Configuration);
    assert!(missing.to_string().starts_with("/none.toml: file: "), "{missing}");
}

#[test]
fn without_a_policy_three_run_side_by_side() {
    let arguments = parsed(&["--messages", "100"]);
    let names: Vec<String> = arguments
        .policy
        .policies()
        .iter()
        .map(Policy::to_string)
        .collect();
    assert_eq!(names, ["count 10", "time 300 s", "adaptive"]);
    let (scenario, plan) = scenario(&arguments).unwrap();
    let runs: Vec<Figures> = arguments
        .policy
        .policies()
        .into_iter()
        .map(|policy| Run::new(&scenario, &plan, policy).go(&mut |_, _| {}))
        .collect();
    let text = shown::text(&runs);
    let heads = text.lines().filter(|line| line.starts_with("HOST ")).count();
    assert_eq!(heads, 3, "{text}");
    assert_eq!(
        text.lines().filter(|line| line.starts_with("slow ")).count(),
        3,
        "{text}"
    );
}

#[test]
fn wrong_use_ends_with_64() {
    for words in [
        &["--log", "/none/log"][..],
        &["--slow", "3"],
        &["--messages", "10", "--plot", "a.gif"],
    ] {
        assert_eq!(run(&parsed(words)).unwrap_err().exit, Exit::Usage, "{words:?}");
    }
    for words in [["--sessions", "0"], ["--policy", "best"], ["--service", "fast"]] {
        assert!(
            Arguments::try_parse_from(["remuda", "simulate"].iter().chain(&words)).is_err(),
            "{words:?}"
        );
    }
}

#[test]
fn the_log_has_a_line_for_each_decision() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let figures = {
        let arguments = parsed(&["--messages", "20"]);
        let (scenario, plan) = scenario(&arguments).unwrap();
        logged(Run::new(&scenario, &plan, Policy::Time), &path).unwrap()
    };
    assert_eq!(figures.delivered, 20);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().filter(|line| line.ends_with(" done")).count(), 20);
    assert!(text.starts_with("t=0ms dial #1 "), "{text}");
}
