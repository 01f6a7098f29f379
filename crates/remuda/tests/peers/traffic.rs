//! Mail and logins that go on while a test breaks something: senders to every kind of recipient, and what must be
//! true of all their replies, and of the Maildirs afterwards.
//!
//! # Contract
//! * **Nobody valid is refused for good, and nobody unknown is taken**, whatever happens meanwhile.
//! * **What got 250 lies once in each Maildir that it is for**, and nothing else does.
//! * **A right password is never a wrong one.**

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use remuda_clock::{Monotonic, SharedClock, SystemClock};
use remuda_testing::wait::{PATIENCE, wait_until};

use crate::home::{Ended, Home, tool};

/// Senders at work, and one who logs in.
pub struct Traffic {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    server: SocketAddr,
    clock: SharedClock,
    is_over: AtomicBool,
    next: AtomicU64,
    sent: Mutex<Vec<Sent>>,
    /// What swaks printed.
    logins: Mutex<Vec<Ended>>,
}

/// A transaction.
pub struct Sent {
    number: u64,
    replies: Vec<(Recipient, String)>,
    /// The reply to the content; None: it was not sent.
    content: Option<String>,
    pub ended: Monotonic,
}

/// Somebody to whom mail goes.
struct Recipient {
    address: String,
    /// Whose Maildirs it goes to; none: there is no such address.
    mailboxes: Vec<String>,
}

impl Sent {
    /// Answers whether everybody valid was taken, and everybody unknown refused.
    pub fn is_right(&self) -> bool {
        !self.replies.is_empty()
            && self
                .replies
                .iter()
                .all(|(to, reply)| reply.starts_with(to.right()))
    }

    /// Answers whether somebody valid was put off.
    pub fn has_waited(&self) -> bool {
        self.any(|to, reply| !to.mailboxes.is_empty() && reply.starts_with(LATER))
    }

    /// Answers whether somebody unknown was put off.
    pub fn knows_nothing(&self) -> bool {
        self.any(|to, reply| to.mailboxes.is_empty() && reply.starts_with(LATER))
    }

    /// Answers whether somebody was taken.
    pub fn is_taken(&self) -> bool {
        self.any(|_, reply| reply.starts_with("250"))
    }

    fn any(&self, is: impl Fn(&Recipient, &str) -> bool) -> bool {
        self.replies.iter().any(|(to, reply)| is(to, reply))
    }
}

impl Recipient {
    fn new<const N: usize>(address: String, mailboxes: [&str; N]) -> Recipient {
        Recipient {
            address,
            mailboxes: mailboxes.map(str::to_owned).to_vec(),
        }
    }

    /// How the reply begins while all is well.
    fn right(&self) -> &'static str {
        match self.mailboxes.is_empty() {
            true => "550 5.1.1",
            false => "250 2.1.5",
        }
    }
}

impl Traffic {
    pub fn start(server: SocketAddr, senders: usize) -> Traffic {
        let shared = Arc::new(Shared {
            server,
            clock: SystemClock::shared(),
            is_over: AtomicBool::new(false),
            next: AtomicU64::new(0),
            sent: Mutex::default(),
            logins: Mutex::default(),
        });
        let ours = shared.clone();
        let logs_in = thread::spawn(move || ours.until_over(|shared| shared.log_in()));
        let sends = (0..senders).map(|_| {
            let ours = shared.clone();
            thread::spawn(move || ours.until_over(|shared| shared.send()))
        });
        let threads = sends.chain([logs_in]).collect();
        Traffic { shared, threads }
    }

    pub fn now(&self) -> Monotonic {
        self.shared.clock.now().monotonic
    }

    /// What is begun from now on has this number, or a greater one.
    pub fn mark(&self) -> u64 {
        self.shared.next.load(Ordering::SeqCst)
    }

    /// Waits until `is_enough` is true of what was begun since a mark, in the order in which it has ended.
    pub fn wait(&self, what: &str, mark: u64, is_enough: impl Fn(&[&Sent]) -> bool) {
        wait_until(what, || {
            assert!(
                !self.threads.iter().any(JoinHandle::is_finished),
                "somebody has given up"
            );
            let sent = self.shared.sent.lock().expect("no panic");
            let since: Vec<&Sent> = sent.iter().filter(|one| one.number >= mark).collect();
            is_enough(&since)
        });
    }

    /// Waits until another login, from now on, is told this.
    pub fn wait_for_login(&self, reply: &str) {
        let before = self.shared.logins.lock().expect("no panic").len();
        wait_until(&format!("a login is told {reply}"), || {
            let logins = self.shared.logins.lock().expect("no panic");
            logins[before..].iter().any(|one| one.out.contains(reply))
        });
    }

    /// When the last of what was begun since a mark ended with the database missed, or the first did at all.
    pub fn recovered(&self, mark: u64) -> Monotonic {
        let sent = self.shared.sent.lock().expect("no panic");
        let since = sent.iter().filter(|one| one.number >= mark);
        let (wrong, right): (Vec<&Sent>, Vec<&Sent>) = since.partition(|one| !one.is_right());
        let last = wrong.iter().map(|one| one.ended).max();
        last.or(right.iter().map(|one| one.ended).min())
            .expect("something was sent")
    }

    /// Ends it, and judges all that was said.
    pub fn stop(self) -> Judged {
        self.shared.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("it went on to the end");
        }
        let sent = std::mem::take(&mut *self.shared.sent.lock().expect("no panic"));
        for one in &sent {
            for (to, reply) in &one.replies {
                let is_allowed = reply.starts_with(to.right()) || reply.starts_with(LATER);
                assert!(is_allowed, "{}: {reply}", to.address);
            }
        }
        for login in self.shared.logins.lock().expect("no panic").iter() {
            let is_allowed = login.out.contains(" 235 ") || login.out.contains(" 454 4.7.0 ");
            assert!(is_allowed && !login.out.contains(" 535 "), "{login:?}");
        }
        Judged { sent }
    }
}

/// All that was sent.
pub struct Judged {
    sent: Vec<Sent>,
}

impl Judged {
    /// Checks that what was taken lies in the Maildirs, each once, and nothing else. The queue must be empty.
    pub fn assert_in_maildirs(&self, home: &Home) {
        let mut wanted = BTreeMap::<u64, Vec<String>>::new();
        for one in &self.sent {
            if !one.content.as_ref().is_some_and(|reply| reply.starts_with("250")) {
                continue;
            }
            let taken = one.replies.iter().filter(|(_, reply)| reply.starts_with("250"));
            let mut mailboxes: Vec<_> = taken.flat_map(|(to, _)| to.mailboxes.clone()).collect();
            mailboxes.sort();
            mailboxes.dedup();
            wanted.insert(one.number, mailboxes);
        }
        assert!(!wanted.is_empty());
        assert_eq!(in_maildirs(home), wanted);
    }

    /// How many transactions there were.
    pub fn len(&self) -> usize {
        self.sent.len()
    }
}

impl Shared {
    fn until_over(&self, work: impl Fn(&Shared)) {
        while !self.is_over.load(Ordering::SeqCst) {
            work(self);
        }
    }

    fn log_in(&self) {
        let server = self.server.to_string();
        let tried = Command::new(tool("/usr/bin/swaks"))
            .args([
                "--server",
                &server,
                "--tls",
                "--auth",
                "PLAIN",
                "--timeout",
                "60s",
            ])
            .args(["--auth-user", "bob@d.test", "--auth-password", "secret"])
            .args(["--quit-after", "AUTH"])
            .output();
        let tried = tried.expect("swaks can be started").into();
        self.logins.lock().expect("no panic").push(tried);
    }

    fn send(&self) {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        let mut client = Client::greeted(self.server);
        let mail = client.say("MAIL FROM:<a@outside.test>");
        let mut replies = Vec::new();
        // A machine that has much to do puts mail off, whatever the database does.
        if mail.starts_with("250") {
            for to in recipients(number) {
                let reply = client.say(&format!("RCPT TO:<{}>", to.address));
                replies.push((to, reply));
            }
        } else {
            assert!(mail.starts_with("452"), "{mail}");
        }
        let is_taken = replies.iter().any(|(_, reply)| reply.starts_with("250"));
        let content = (is_taken && number.is_multiple_of(CONTENT_EVERY)).then(|| {
            client.must("DATA", "354");
            client.say(&format!("{NUMBER}{number}\r\n\r\nhello\r\n."))
        });
        client.must("QUIT", "221");
        let ended = self.clock.now().monotonic;
        let sent = Sent {
            number,
            replies,
            content,
            ended,
        };
        self.sent.lock().expect("no panic").push(sent);
    }
}

/// An SMTP client that says what it is told to.
pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn greeted(server: SocketAddr) -> Client {
        let stream = TcpStream::connect(server).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        let mut client = Client(BufReader::new(stream));
        let greeting = client.reply();
        assert!(greeting.starts_with("220"), "{greeting}");
        client.must("HELO sender.test", "250");
        client
    }

    fn say(&mut self, words: &str) -> String {
        let line = format!("{words}\r\n");
        self.0.get_mut().write_all(line.as_bytes()).expect("it listens");
        self.reply()
    }

    pub fn must(&mut self, words: &str, reply: &str) {
        let said = self.say(words);
        assert!(said.starts_with(reply), "{words}: {said}");
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it answers");
        line
    }
}

/// The directory that the senders know, beside Bob and his domain; for `remuda import`.
pub fn everybody() -> String {
    let mut rows = vec![
        "type,name,address,domain,targets,members".to_owned(),
        "domain_alias,old.test,,d.test,,".to_owned(),
        "alias,,info@d.test,,u0@d.test u1@d.test,".to_owned(),
        "list,,all@d.test,,,u2@d.test u3@d.test".to_owned(),
    ];
    let warm = (0..WARM).map(|n| format!("account,,u{n}@d.test,,,"));
    let cold = (0..COLD).map(|n| format!("account,,c{n}@d.test,,,"));
    rows.extend(warm.chain(cold));
    rows.join("\n") + "\n"
}

/// One of each kind: known and asked for all the time, or seldom; unknown, always the same or never the same.
fn recipients(number: u64) -> Vec<Recipient> {
    let warm = format!("u{}", number % WARM);
    let cold = format!("c{}", number % COLD);
    vec![
        Recipient::new(format!("{warm}@d.test"), [&warm]),
        Recipient::new(format!("{cold}@d.test"), [&cold]),
        Recipient::new(format!("nobody{number}@d.test"), []),
        Recipient::new("gone@d.test".to_owned(), []),
        Recipient::new("info@d.test".to_owned(), ["u0", "u1"]),
        Recipient::new("all@d.test".to_owned(), ["u2", "u3"]),
        Recipient::new("u4@old.test".to_owned(), ["u4"]),
    ]
}

/// In whose Maildirs each message lies, as often as it does.
fn in_maildirs(home: &Home) -> BTreeMap<u64, Vec<String>> {
    let mut found = BTreeMap::<u64, Vec<String>>::new();
    let everybody = fs::read_dir(home.path("remuda-data/mail/d.test")).expect("there is mail");
    for mailbox in everybody.map(|entry| entry.expect("a directory")) {
        let name = mailbox.file_name().into_string().expect("text");
        for file in fs::read_dir(mailbox.path().join("new")).expect("a Maildir") {
            let text = fs::read_to_string(file.expect("a file").path()).expect("text");
            let number = text.lines().find_map(|line| line.strip_prefix(NUMBER));
            let number = number.expect("it is ours").parse().expect("a number");
            found.entry(number).or_default().push(name.clone());
        }
    }
    for mailboxes in found.values_mut() {
        mailboxes.sort();
    }
    found
}

/// What a client is told while the directory does not answer.
const LATER: &str = "451 4.3.0";
/// The header field that tells messages apart.
const NUMBER: &str = "X-Number: ";
/// One transaction of so many goes on to its content.
const CONTENT_EVERY: u64 = 8;
const WARM: u64 = 5;
const COLD: u64 = 300;
