//! Equal decision logs of engine and simulator.

use remuda_engine::settings::Settings;

use crate::stage::Stage;

/// Hosts with these keys, whose times hardly ever coincide.
fn scenario(hosts: &[&str]) -> String {
    let (mut text, mut names) = (String::new(), Vec::new());
    for (keys, place) in hosts.iter().zip(1..) {
        let (connect, greeting) = ([211, 223, 227][place - 1], [101, 103, 107][place - 1]);
        text.push_str(&format!(
            "[[host]]\nname = '10.0.0.{place}'\nconnect = '{connect}ms'\ngreeting = '{greeting}ms'\n{keys}\n"
        ));
        names.push(format!("'10.0.0.{place}'"));
    }
    let names = names.join(", ");
    format!("{text}[[domain]]\nname = 'd'\nhosts = [{names}]\n[mail]\nmessages = {MESSAGES}\n")
}

/// What the engine and the simulator decide, up to the last outcome: the simulator ends there.
async fn both(hosts: &[&str], change: impl Fn(&mut Settings)) -> [Vec<String>; 2] {
    let stage = Stage::new(&scenario(hosts), change);
    let (engine, began) = stage.engine().await;
    [engine, stage.simulator(began)].map(|mut lines| {
        let last = lines.iter().rposition(|line| line.contains(" settle "));
        lines.truncate(last.map_or(0, |last| last + 1));
        lines
    })
}

fn assert_equal([engine, simulator]: [Vec<String>; 2], what: &str) {
    let done = engine.iter().filter(|line| line.ends_with(" done")).count();
    assert_eq!(done, MESSAGES, "the engine has delivered all: {what}");
    let mut both = engine.iter().zip(&simulator);
    if let Some(place) = both.position(|(engine, simulator)| engine != simulator) {
        let around = place.saturating_sub(8)..(place + 4).min(engine.len()).min(simulator.len());
        let (engine, simulator) = (&engine[around.clone()], &simulator[around]);
        panic!("{what}: line {place}\nengine {engine:#?}\nsimulator {simulator:#?}");
    }
    assert_eq!(engine.len(), simulator.len(), "{what}");
}

/// What is done at which host, in order of time and, within an instant, of the words.
fn by_host(lines: Vec<String>) -> Vec<String> {
    let is_number = |word: &str| word.trim_start_matches('#').parse::<u64>().is_ok();
    let time = |line: &str| line.split(' ').next().map(str::to_owned);
    let last = lines.last().and_then(|line| time(line));
    let mut lines: Vec<(u64, String)> = lines
        .iter()
        // What follows the last outcome at its instant may be cut off.
        .filter(|line| time(line) != last || line.contains(" settle "))
        .map(|line| {
            let words: Vec<&str> = line.split(' ').filter(|word| !is_number(word)).collect();
            let millis = words[0].trim_start_matches("t=").trim_end_matches("ms");
            (millis.parse().unwrap(), words.join(" "))
        })
        .collect();
    lines.sort_unstable();
    lines.into_iter().map(|(_, line)| line).collect()
}

#[tokio::test(start_paused = true)]
async fn simulator_and_engine_make_the_same_decisions() {
    let hosts = ["service = '1009ms'", "service = '1511ms'", "service = '4513ms'"];
    for pipeline_depth in [1, 4] {
        let lines = both(&hosts, |settings| {
            settings.delivery.sessions_per_endpoint = 1;
            settings.delivery.pipeline_depth = pipeline_depth;
        });
        assert_equal(lines.await, &format!("depth {pipeline_depth}"));
    }
}

#[tokio::test(start_paused = true)]
async fn simulator_and_engine_make_the_same_decisions_whatever_a_host_does() {
    for state in ["defers", "refuses", "never_connects", "never_greets"] {
        for sessions in [2, 3] {
            let faulty = format!("service = '7ms'\nstate = '{state}'");
            let hosts = ["service = '1009ms'", "service = '1511ms'", &faulty];
            let lines = both(&hosts, |settings| {
                settings.delivery.sessions = sessions;
                settings.delivery.sessions_per_endpoint = 1;
            });
            assert_equal(lines.await, &format!("{state}, {sessions} sessions"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn simulator_and_engine_do_the_same_at_every_host() {
    for second in ["service = '4513ms'", "service = '4513ms'\nsession_limit = 1"] {
        let hosts = ["service = '1009ms'", second];
        let lines = both(&hosts, |settings| {
            settings.delivery.sessions = 4;
            settings.delivery.pipeline_depth = 1;
        });
        assert_equal(lines.await.map(by_host), second);
    }
}

#[test]
fn simulator_and_engine_wait_as_long_for_silent_hosts() {
    use remuda_smtp::deadlines::client as deadlines;
    assert_eq!(remuda_simulator::GREETING_MAX, deadlines::GREETING);
    assert_eq!(remuda_simulator::MAIL_MAX, deadlines::MAIL);
    assert_eq!(remuda_simulator::CONTENT_MAX, deadlines::END_OF_CONTENT);
}

const MESSAGES: usize = 60;
