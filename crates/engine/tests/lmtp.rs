//! Local mail by LMTP to a server that keeps to a script: the whole engine over streams in memory, under paused
//! time.
//!
//! # Contract
//! * **Each recipient is done or waits by its own reply**, whatever becomes of the others'.
//! * **Nobody who was answered is sent it again.**
//! * **Who has no mailbox of ours, or a disabled one, is not named to the server**, as nothing comes into a Maildir.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use remuda_clock::{SharedClock, SystemClock};
use remuda_engine::{
    Engine, Parts,
    local::{Mailbox, Mailboxes},
    network::{Connecting, Network, Transport},
    operations::Operations,
    session::content::Boxed,
    settings::{LmtpServer, LocalDelivery, Settings},
};
use remuda_mail::{Address, Endpoint, Envelope, NextHop, Recipient, Sender, Way};
use remuda_spool::{NewEntry, NewMessage, Options, Origin, Spool};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

/// How the first content is answered; every later one is taken for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Script {
    /// A reply for each.
    All,
    /// The second one comes nine minutes later.
    Late,
    /// The last one does not come.
    Missing,
    /// The last one comes twice.
    Doubled,
    /// The connection ends behind the first one.
    Lost,
    /// The second recipient is refused for now, the third for good.
    Refused,
}

/// What the server has seen.
#[derive(Default)]
struct Seen {
    connections: usize,
    /// The local parts of each transaction whose content came.
    transactions: Vec<String>,
    /// How often our own directory was asked, by local part.
    asked: HashMap<String, usize>,
}

struct Server {
    script: Script,
    clock: SharedClock,
    seen: Arc<Mutex<Seen>>,
}

impl Network for Server {
    fn connect(&self, way: Way) -> Connecting {
        assert_eq!(way.endpoint, SOCKET.parse::<Endpoint>().unwrap());
        assert_eq!(way.source, None);
        let (script, clock, seen) = (self.script, self.clock.clone(), self.seen.clone());
        Box::pin(async move {
            let (ours, theirs) = duplex(4096);
            seen.lock().unwrap().connections += 1;
            tokio::spawn(async move {
                // It ends with its client, or as the script says.
                let _ = converse(BufReader::new(theirs), script, &clock, &seen).await;
            });
            Ok(Box::new(ours) as Box<dyn Transport>)
        })
    }
}

async fn converse(
    mut stream: BufReader<DuplexStream>,
    script: Script,
    clock: &SharedClock,
    seen: &Mutex<Seen>,
) -> std::io::Result<()> {
    stream.write_all(b"220 lmtp.test\r\n").await?;
    let mut recipients: Vec<String> = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let reply = match line.split([' ', ':', '\r']).next().unwrap_or_default() {
            "LHLO" => "250-lmtp.test\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n",
            "MAIL" | "RSET" => {
                recipients.clear();
                "250 ok\r\n"
            }
            "RCPT" => {
                let local = line.split(['<', '@']).nth(1).unwrap_or_default();
                recipients.push(local.to_owned());
                "250 ok\r\n"
            }
            "DATA" => {
                stream.write_all(b"354 go\r\n").await?;
                while line != ".\r\n" {
                    line.clear();
                    stream.read_line(&mut line).await?;
                }
                let is_first = {
                    let mut seen = seen.lock().unwrap();
                    seen.transactions.push(recipients.join(" "));
                    seen.transactions.len() == 1
                };
                let script = if is_first { script } else { Script::All };
                if !answer(&mut stream, (script, recipients.len()), clock).await? {
                    return Ok(());
                }
                continue;
            }
            "QUIT" => "221 bye\r\n",
            // EHLO, HELO, BDAT: nobody says that here.
            other => panic!("{other}"),
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

/// Answers the content for each recipient; false: and hangs up.
async fn answer(
    stream: &mut BufReader<DuplexStream>,
    (script, recipients): (Script, usize),
    clock: &SharedClock,
) -> std::io::Result<bool> {
    for n in 0..recipients {
        let is_last = n + 1 == recipients;
        let reply: &[u8] = match (script, n) {
            (Script::Lost, 1) => return Ok(false),
            (Script::Missing, _) if is_last => b"",
            (Script::Doubled, _) if is_last => b"250 ok\r\n250 ok\r\n",
            (Script::Refused, 1) => b"452 4.2.2 full for now\r\n",
            (Script::Refused, 2) => b"550 5.2.1 closed\r\n",
            _ => b"250 ok\r\n",
        };
        if (script, n) == (Script::Late, 1) {
            clock
                .sleep_until(clock.now().monotonic + Duration::from_secs(9 * 60))
                .await;
        }
        stream.write_all(reply).await?;
    }
    Ok(true)
}

/// What there is at an address of this local part, by how many such questions there were before.
type Known = fn(&str, usize) -> Mailbox;

struct People {
    known: Known,
    asked: Mutex<HashMap<String, usize>>,
}

impl Mailboxes for People {
    fn mailbox<'a>(&'a self, address: &'a Address) -> Boxed<'a, Mailbox> {
        let mut asked = self.asked.lock().unwrap();
        let count = asked.entry(address.local_part().to_owned()).or_default();
        let mailbox = (self.known)(address.local_part(), *count);
        *count += 1;
        Box::pin(std::future::ready(mailbox))
    }
}

const OPEN: Mailbox = Mailbox::Open { quota: None };

/// Delivers messages for three mailboxes each, until nothing waits; what the server has seen.
async fn deliver(script: Script, messages: usize) -> (Seen, Duration) {
    deliver_among(|_, _| OPEN, script, messages).await
}

/// The same, to people of whom this is known.
async fn deliver_among(known: Known, script: Script, messages: usize) -> (Seen, Duration) {
    let directory = tempfile::tempdir().unwrap();
    let clock: SharedClock = Arc::new(SystemClock::paused());
    let mut settings = Settings {
        data_dir: directory.path().join("data"),
        local: LocalDelivery::Lmtp(LmtpServer::Unix(SOCKET.parse().unwrap())),
        ..Settings::defaults("relay.test")
    };
    settings.delivery.sessions = 1;
    std::fs::create_dir(&settings.data_dir).unwrap();
    let spool = Spool::open(Options::new(&settings.data_dir), clock.clone()).unwrap();
    for _ in 0..messages {
        store(&spool, &clock).await;
    }
    spool.close().await;
    drop(spool);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let people = Arc::new(People {
        known,
        asked: Mutex::default(),
    });
    let parts = Parts {
        network: Arc::new(Server {
            script,
            clock: clock.clone(),
            seen: seen.clone(),
        }),
        mailboxes: people.clone(),
        ..Parts::default()
    };
    let began = clock.now().monotonic;
    let engine = Engine::start_with(settings, None, clock.clone(), parts)
        .await
        .unwrap();
    let took = wait_until_empty(&*engine.operations(), &clock).await - began;
    engine.stop(Duration::from_secs(5)).await;
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.asked = people.asked.lock().unwrap().clone();
    (seen, took)
}

async fn wait_until_empty(operations: &dyn Operations, clock: &SharedClock) -> remuda_clock::Monotonic {
    for _ in 0..10_000 {
        let now = clock.now().monotonic;
        let queue = operations.status().await.unwrap().queue;
        if queue.active + queue.deferred == 0 {
            return now;
        }
        clock.sleep_until(now + Duration::from_secs(1)).await;
    }
    panic!("never empty: {:?}", operations.status().await);
}

async fn store(spool: &Spool, clock: &SharedClock) {
    let id = spool.allocate_id();
    let mut content = spool.writer(id, None);
    content.write(b"Subject: x\r\n\r\nhello\r\n").await.unwrap();
    let now = clock.now().wall;
    let expires = now + Duration::from_secs(24 * 3600);
    let recipient = |local: &str| Recipient::plain(format!("{local}@relay.test").parse().unwrap());
    let message = NewMessage {
        id,
        // Nobody is told of anything, so that only this mail is seen.
        envelope: Envelope {
            sender: Sender::NULL,
            ..Envelope::default()
        },
        origin: Origin::default(),
        arrived: now,
        expires,
        notice: expires,
        content: content.finish().await.unwrap(),
        entries: vec![NewEntry {
            destination: NextHop::Local.destination(),
            recipients: ["a", "b", "c"].map(recipient).into(),
        }],
    };
    spool.store(message).await.unwrap();
}

const SOCKET: &str = "/run/lmtp";
/// No wait is as short as an hour, no retry sooner.
const SOON: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn messages_share_one_session_by_lmtp() {
    let (seen, took) = deliver(Script::All, 5).await;
    assert_eq!(
        (seen.connections, seen.transactions),
        (1, vec!["a b c".to_owned(); 5])
    );
    // Our directory is asked of each once a transaction.
    assert_eq!(seen.asked, ["a", "b", "c"].map(|to| (to.to_owned(), 5)).into());
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_is_waited_for() {
    let (seen, took) = deliver(Script::Late, 1).await;
    assert_eq!(
        (seen.connections, seen.transactions),
        (1, vec!["a b c".to_owned()])
    );
    assert!(
        took >= Duration::from_secs(9 * 60) && took < Duration::from_secs(10 * 60),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_has_no_reply_in_ten_minutes_waits_and_the_others_are_done() {
    let (seen, took) = deliver(Script::Missing, 1).await;
    assert_eq!(seen.transactions, ["a b c", "c"]);
    // Ten minutes for the reply, then a retry, as late as the message is old.
    assert!(took >= Duration::from_secs(10 * 60 + 540), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_lost_between_replies_leaves_those_who_were_answered_done() {
    let (seen, took) = deliver(Script::Lost, 1).await;
    assert_eq!(seen.transactions, ["a b c", "b c"]);
    assert!(took >= Duration::from_secs(270), "not at once: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_doubled_reply_ends_the_session_and_decides_nobody() {
    let (seen, took) = deliver(Script::Doubled, 2).await;
    assert_eq!(
        (seen.connections, seen.transactions),
        (2, vec!["a b c".to_owned(); 2])
    );
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn each_recipient_waits_or_bounces_by_its_own_reply() {
    let (seen, took) = deliver(Script::Refused, 1).await;
    assert_eq!(seen.transactions, ["a b c", "b"]);
    assert!(took >= Duration::from_secs(270), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_has_no_mailbox_or_a_disabled_one_is_not_named_to_the_server() {
    let known: Known = |local, _| match local {
        "a" => Mailbox::Disabled,
        "b" => OPEN,
        _ => Mailbox::Unknown,
    };
    let (seen, took) = deliver_among(known, Script::All, 2).await;
    assert_eq!(
        (seen.connections, seen.transactions),
        (1, vec!["b".to_owned(); 2])
    );
    assert!(took < SOON, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_the_server_of_a_message_for_nobody() {
    let (seen, took) = deliver_among(|_, _| Mailbox::Disabled, Script::All, 3).await;
    assert_eq!((seen.connections, seen.transactions), (1, Vec::new()));
    assert!(took < SOON, "{took:?}");
}

/// The reply behind those who were named is theirs: the one that does not come is the last one's.
#[tokio::test(start_paused = true)]
async fn replies_are_those_of_whom_the_server_was_told() {
    let known: Known = |local, _| match local {
        "b" => Mailbox::Disabled,
        _ => OPEN,
    };
    let (seen, _) = deliver_among(known, Script::Missing, 1).await;
    assert_eq!(seen.transactions, ["a c", "c"]);
}

/// D7: as with a Maildir.
#[tokio::test(start_paused = true)]
async fn while_nobody_can_say_whether_there_is_a_mailbox_its_mail_waits() {
    let known: Known = |local, asked| match (local, asked) {
        ("c", 0..3) => Mailbox::Unavailable,
        _ => OPEN,
    };
    let (seen, took) = deliver_among(known, Script::All, 1).await;
    assert_eq!(seen.transactions, ["a b", "c"]);
    // Three times the shortest wait, five minutes: these are no attempts, and no wait is longer than the last.
    let shortest = Duration::from_secs(300);
    assert!(
        took >= shortest * 27 / 10 && took <= shortest * 33 / 10 + SOON,
        "{took:?}"
    );
}
