//! SIGKILL under load: nothing that got 250 is lost, and repeats are at most what was in flight.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use remuda_load::{Config, Message, Plan};
use remuda_sink::Listener;
use remuda_testing::wait::wait_until;

use crate::{
    home::{Home, Remuda},
    letters::load,
    sink::Sink,
};

/// Sessions to the sink.
const OUTBOUND: usize = 10;
/// Messages of a session whose outcome is not on disk: `delivery.pipeline_depth` under way, and one that was
/// answered.
const UNSETTLED: usize = 5;
/// Messages that have been answered before a kill.
const ANSWERED: usize = 150;

/// What the senders were told, over all rounds.
#[derive(Debug, Default)]
struct Told {
    accepted: BTreeSet<String>,
    /// The final reply did not come: it may have been accepted.
    uncertain: BTreeSet<String>,
}

#[test]
fn nothing_that_got_250_is_lost_by_a_kill_and_little_is_repeated() {
    let kills = match env::var_os("REMUDA_SOAK") {
        Some(_) => 50,
        None => 3,
    };
    let sink = Sink::with(Listener {
        // Keeps deliveries in flight without keeping anybody waiting for long.
        delay: vec!["dot=5ms".parse().expect("a rule")],
        ..Listener::default()
    });
    let limits = format!("[delivery]\nsessions = {OUTBOUND}\nsessions_per_endpoint = {OUTBOUND}\n");
    let home = Home::new(&(limits + &sink.route("*")));
    let told = Arc::new(Mutex::new(Told::default()));
    for round in 0..kills {
        kill_under_load(home.start(), round, &told);
    }
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    let mut remuda = home.start();
    wait_until("everything that got 250 is at the sink", || {
        assert!(!remuda.process.has_ended(), "{}", remuda.log());
        let came = came(&sink);
        told.accepted.iter().all(|id| came.contains_key(id))
    });
    remuda.wait_until_empty();
    assert!(remuda.stop().success());
    let came = came(&sink);
    let invented: Vec<_> = came
        .keys()
        .filter(|id| !told.accepted.contains(*id) && !told.uncertain.contains(*id))
        .collect();
    assert!(
        invented.is_empty(),
        "nobody was told 250 or left without an answer: {invented:?}"
    );
    let repeats: usize = came.values().map(|times| times - 1).sum();
    let in_flight = kills * OUTBOUND * UNSETTLED;
    println!(
        "{} accepted, {} uncertain, {repeats} repeated by {kills} kills",
        told.accepted.len(),
        told.uncertain.len()
    );
    assert!(
        repeats <= in_flight,
        "{repeats} repeats, {in_flight} were in flight at most"
    );
    assert_eq!(
        sink.stop()
            .violations()
            .find(|found| found.kind != remuda_sink::ViolationKind::Truncated),
        None
    );
}

/// Lets twenty senders at the server and kills it in the midst.
fn kill_under_load(mut remuda: Remuda, round: usize, told: &Arc<Mutex<Told>>) {
    let lock = |told: &Arc<Mutex<Told>>| told.lock().map(|told| told.accepted.len()).unwrap_or_default();
    let before = lock(told);
    let mut config = Config::to(remuda.smtp.to_string());
    // More than are answered before the kill; the rest finds nobody.
    config.messages = 20_000;
    config.sessions = 20;
    let noted = told.clone();
    let plan = Plan::new(move |index| message(round, index)).observe(move |outcome| {
        let id = id(round, outcome.index);
        let mut told = noted.lock().unwrap_or_else(PoisonError::into_inner);
        if outcome.is_accepted() {
            told.accepted.insert(id);
        } else if outcome.result == remuda_load::Result::LostFinalReply {
            told.uncertain.insert(id);
        }
    });
    let senders = thread::spawn(move || load(config, plan));
    wait_until("enough has been answered", || {
        lock(told) >= before + ANSWERED + 37 * (round % 7)
    });
    remuda.process.kill();
    let report = senders.join().expect("the senders end");
    assert!(report.failed > 0, "the kill came too late: {report}");
}

fn id(round: usize, index: u64) -> String {
    format!("{round}-{index}")
}

/// Mostly small ones, some that have a file of their own in the spool.
fn message(round: usize, index: u64) -> Message {
    let lines = if index % 25 == 7 {
        3000
    } else {
        (index % 40) as usize
    };
    let body = format!("{}\r\n", "x".repeat(70)).repeat(lines);
    let id = id(round, index);
    let content = format!(
        "X-Remuda-Test: {id}\r\nMessage-ID: <{id}@home.test>\r\nDate: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\n{body}"
    );
    Message {
        content: content.into_bytes(),
        sender: "writer@home.test".to_owned(),
        recipients: vec![format!("reader@d{}.test", index % 5)],
        ..Message::default()
    }
}

/// How often each message has arrived.
fn came(sink: &Sink) -> BTreeMap<String, usize> {
    let mut came = BTreeMap::new();
    for received in sink.report().received() {
        *came.entry(received.id.clone().unwrap_or_default()).or_default() += 1;
    }
    came
}
