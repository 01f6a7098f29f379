//! Clients that want TLS or log in: swaks, smtplib and Postfix, at the built program and, where somebody must know
//! accounts, at an engine in this process.

use std::{fs, net::SocketAddr, process::Command, sync::Arc, time::Duration};

use remuda_clock::SystemClock;
use remuda_engine::{
    Engine, Parts,
    receive::{Answering, Authenticator, Identity, Login, Owns},
    settings::{Listener, ListenerTls, PemFiles, Role, Route, RouteDomain, Settings},
};
use remuda_mail::{Address, HostPort, Secret};
use remuda_testing::{
    certificates::{Authority, Validity},
    peer::{Mode, Peer},
    postfix::Postfix,
    process::Signal,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    home::{Ended, Home, tool},
    letters::{self, Letter},
    sink::{Sink, assert_once_and_unchanged, text},
};

/// A certificate for 127.0.0.1 with its key and the authority's, on disk.
pub struct Files {
    directory: TempDir,
    authority: Authority,
}

impl Files {
    pub fn new() -> Files {
        let files = Files {
            directory: tempfile::tempdir().expect("a directory"),
            authority: Authority::new().expect("an authority"),
        };
        fs::write(files.path("ca.pem"), files.authority.pem()).expect("a file");
        files.renew();
        files
    }

    /// Writes another certificate; the hex digits of its octets.
    fn renew(&self) -> String {
        let issued = self
            .authority
            .issue(&["127.0.0.1"], Validity::Now)
            .expect("a certificate");
        fs::write(self.path("c.pem"), &issued.certificate_pem).expect("a file");
        fs::write(self.path("k.pem"), &issued.key_pem).expect("a file");
        issued
            .certificate_der
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect()
    }

    pub fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn pem(&self) -> PemFiles {
        PemFiles {
            certificate: self.path("c.pem").into(),
            key: self.path("k.pem").into(),
        }
    }

    /// A configuration whose one listener has TLS, begun like this.
    pub fn configuration(&self, tls: &str, sections: &str) -> String {
        let (certificate, key) = (self.path("c.pem"), self.path("k.pem"));
        let keys = format!("tls = \"{tls}\"\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n[admin]");
        Home::text(sections).replacen("[admin]", &keys, 1)
    }
}

fn run(command: &mut Command) -> Ended {
    command.output().expect("the client can be started").into()
}

/// swaks with a letter, which it reads from a file in the home of the test.
fn swaks(server: SocketAddr, letter: &Letter, file: &str, options: &[&str]) -> Ended {
    // It ends the last line itself.
    fs::write(file, letter.content.trim_ascii_end()).expect("a file");
    run(Command::new(tool("/usr/bin/swaks"))
        .args(["--server", &server.to_string(), "--from", &letter.sender])
        .args(["--to", &letter.recipients.join(",")])
        .args(["--data", &format!("@{file}")])
        .args(options))
}

const SMTPLIB: &str = "\
import smtplib, ssl, sys
mode, port, ca, file, sender, login, *recipients = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
context.verify_flags &= ~getattr(ssl, 'VERIFY_X509_STRICT', 0)
if mode == 'implicit':
    client = smtplib.SMTP_SSL('127.0.0.1', int(port), context=context)
else:
    client = smtplib.SMTP('127.0.0.1', int(port))
    client.starttls(context=context)
print(client.sock.getpeercert(binary_form=True).hex())
with client:
    if login:
        client.login(*login.split(' '))
    if file:
        with open(file, 'rb') as letter:
            refused = client.sendmail(sender, recipients, letter.read(), ['BODY=8BITMIME'])
        sys.exit(1 if refused else 0)
";

/// smtplib, which wants to know who is there; prints the certificate.
fn smtplib(mode: &str, server: SocketAddr, files: &Files, letter: Option<(&Letter, &str)>) -> Ended {
    let file = files.path("letter.smtplib");
    let (sender, login, recipients) = match letter {
        Some((letter, login)) => {
            fs::write(&file, &letter.content).expect("a file");
            (&*letter.sender, login, letter.recipients.clone())
        }
        None => ("", "", vec![]),
    };
    run(Command::new("python3")
        .args([
            "-c",
            SMTPLIB,
            mode,
            &server.port().to_string(),
            &files.path("ca.pem"),
        ])
        .args([if letter.is_some() { &*file } else { "" }, sender, login])
        .args(recipients))
}

#[test]
fn swaks_and_smtplib_send_over_tls_begun_either_way() {
    for (mode, option) in [("starttls", "--tls"), ("implicit", "--tlsc")] {
        let (sink, files) = (Sink::new(), Files::new());
        let home = Home::with(&files.configuration(mode, &sink.route("*")));
        let mut remuda = home.start();
        let letters = [
            Letter::new("swaks", "example.test", b"hello\r\n.\r\n..dots\r\nend\r\n"),
            Letter::new("smtplib", "example.test", b"hello\r\n.\r\n..dots\r\nend\r\n"),
        ];
        let verified = ["--tls-verify", "--tls-ca-path", &files.path("ca.pem")];
        let options = [&[option][..], &verified].concat();
        let ended = swaks(remuda.smtp, &letters[0], &files.path("letter"), &options);
        assert_eq!(ended.code, Some(0), "{ended:?}\n{}", remuda.log());
        let ended = smtplib(mode, remuda.smtp, &files, Some((&letters[1], "")));
        assert_eq!(ended.code, Some(0), "{ended:?}\n{}", remuda.log());
        sink.wait_for(2);
        remuda.wait_until_empty();
        let metrics = remuda.metrics();
        assert!(
            metrics.contains("remuda_inbound_tls_handshakes_total{result=\"full\"} 2"),
            "{metrics}"
        );
        assert!(remuda.stop().success());
        let log = remuda.log();
        let received = log.lines().filter(|line| line.contains("INFO received "));
        assert_eq!(
            received.filter(|line| line.contains(" tls=TLSv1.3")).count(),
            2,
            "{log}"
        );
        let received: Vec<_> = sink.stop().received().cloned().collect();
        assert_once_and_unchanged(&letters, &received);
        for received in &received {
            let text = text(received);
            assert!(
                text.contains("(using TLSv1.3 with cipher TLS_") && text.contains(" with ESMTPS id "),
                "{text}"
            );
        }
    }
}

#[test]
fn a_real_postfix_that_insists_on_tls_relays_through_remuda() {
    let (sink, files) = (Sink::new(), Files::new());
    let home = Home::with(&files.configuration("starttls", &sink.route("*")));
    let mut remuda = home.start();
    let ca_file = format!("smtp_tls_CAfile = {}", files.path("ca.pem"));
    let settings = [
        "smtp_tls_security_level = encrypt",
        &ca_file,
        "smtp_tls_loglevel = 1",
    ];
    let postfix = Postfix::start(Mode::RelayTo(remuda.smtp), &settings).expect("the peer is there");
    let letters = letters::every_form("example.test");
    letters::send(postfix.address(), &letters);
    sink.wait_for_recipients(2 * letters.len() as u64);
    remuda.wait_until_empty();
    postfix.wait_for_log("Trusted TLS connection established to 127.0.0.1");
    assert!(remuda.stop().success());
    let log = remuda.log();
    let (all, secured) = (" received id=", " tls=TLSv1.3");
    let count = |text: &str| {
        log.lines()
            .filter(|line| line.contains(all) && line.contains(text))
            .count()
    };
    assert!(count("") > 0 && count("") == count(secured), "{log}");
    let report = sink.stop();
    let received: Vec<_> = report.received().cloned().collect();
    assert_once_and_unchanged(&letters, &received);
}

#[test]
fn sighup_brings_the_new_certificate_and_a_broken_one_keeps_the_old() {
    let files = Files::new();
    let first = files.renew();
    let home = Home::with(&files.configuration("starttls", ""));
    let mut remuda = home.start();
    let shown = |smtp| {
        let ended = smtplib("starttls", smtp, &files, None);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.out.trim().to_owned()
    };
    assert_eq!(shown(remuda.smtp), first);
    let second = files.renew();
    assert_eq!(shown(remuda.smtp), first, "nobody said that there is another");
    remuda.reload(1);
    assert_eq!(shown(remuda.smtp), second);
    fs::write(files.path("k.pem"), "no key").expect("a file");
    remuda.process.signal(Signal::HUP);
    remuda.process.wait_for_line("configuration kept");
    let log = remuda.log();
    assert!(
        log.contains("listener.key: key ") && log.contains("no private key in it"),
        "{log}"
    );
    assert_eq!(shown(remuda.smtp), second);
    assert!(remuda.stop().success());
    // With that, nothing starts.
    let ended = home.run(["check"]);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(
        ended.err.contains("remuda.toml:6: listener.key: key "),
        "{ended:?}"
    );
}

/// Knows two accounts with the password `right`.
struct Accounts;

impl Authenticator for Accounts {
    fn authenticate<'a>(&'a self, login: &'a str, password: &'a Secret) -> Answering<'a, Login> {
        Box::pin(async move {
            let known = ["writer@home.test", "other@home.test"];
            match login.parse::<Address>() {
                Ok(address) if known.contains(&login) && password.reveal() == "right" => {
                    Login::Accepted(Identity { address })
                }
                _ => Login::Rejected,
            }
        })
    }

    fn owns<'a>(&'a self, identity: &'a Identity, sender: &'a Address) -> Answering<'a, Owns> {
        let is_own = identity.address == *sender;
        Box::pin(async move { if is_own { Owns::Yes } else { Owns::No } })
    }
}

/// An engine for submission: STARTTLS, then TLS from the first octet. Nobody is in its relay.networks.
struct Submission {
    runtime: Runtime,
    engine: Engine,
    files: Files,
    _data: TempDir,
}

impl Submission {
    fn start(sink: &Sink) -> Submission {
        let (files, data) = (Files::new(), tempfile::tempdir().expect("a directory"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = |tls| Listener {
            role: Role::Submission,
            tls,
            auth: true,
            ..Listener::plain(address)
        };
        let to = HostPort {
            host: "127.0.0.1".into(),
            port: Some(sink.address().port()),
            preference: 0,
        };
        let mut settings = Settings {
            data_dir: data.path().join("data"),
            listeners: vec![
                listener(ListenerTls::StartTls(files.pem())),
                listener(ListenerTls::Implicit(files.pem())),
            ],
            routes: vec![Route::new(RouteDomain::Any, [to].into())],
            ..Settings::defaults("submission.test")
        };
        settings.relay.networks = vec![];
        let parts = Parts {
            authenticator: Some(Arc::new(Accounts)),
            ..Parts::default()
        };
        let runtime = Runtime::new().expect("a runtime");
        let started = Engine::start_with(settings, None, SystemClock::shared(), parts);
        let engine = runtime.block_on(started).expect("it starts");
        Submission {
            runtime,
            engine,
            files,
            _data: data,
        }
    }

    fn starttls(&self) -> SocketAddr {
        self.engine.addresses()[0]
    }

    fn implicit(&self) -> SocketAddr {
        self.engine.addresses()[1]
    }

    fn stop(self) {
        self.runtime.block_on(self.engine.stop(Duration::from_secs(30)));
    }
}

#[test]
fn swaks_logs_in_by_plain_and_login() {
    let sink = Sink::new();
    let submission = Submission::start(&sink);
    let file = submission.files.path("letter");
    let mut letters = Vec::new();
    for (server, tls) in [
        (submission.starttls(), "--tls"),
        (submission.implicit(), "--tlsc"),
    ] {
        for mechanism in ["PLAIN", "LOGIN"] {
            let letter = Letter::new(&format!("{tls}-{mechanism}"), "example.test", b"hello\r\n");
            let login = ["--auth-user", "writer@home.test", "--auth-password"];
            let options = [&[tls, "--auth", mechanism][..], &login].concat();
            let wrong = swaks(server, &letter, &file, &[&options[..], &["wrong"]].concat());
            assert_eq!(wrong.code, Some(28), "{wrong:?}");
            assert!(wrong.out.contains("<~* 535 5.7.8 "), "{wrong:?}");
            let right = swaks(server, &letter, &file, &[&options[..], &["right"]].concat());
            assert_eq!(right.code, Some(0), "{right:?}");
            assert!(right.out.contains("<~  235 2.7.0 "), "{right:?}");
            letters.push(letter);
        }
    }
    // Neither without a login, nor without TLS, nor as somebody else.
    let letter = Letter::new("refused", "example.test", b"hello\r\n");
    let refused = swaks(submission.starttls(), &letter, &file, &[]);
    assert!(
        refused.out.contains("<** 530 5.7.0 STARTTLS first"),
        "{refused:?}"
    );
    let refused = swaks(submission.starttls(), &letter, &file, &["--tls"]);
    assert!(refused.out.contains("<~* 530 5.7.0 Log in first"), "{refused:?}");
    let other = [
        "--tls",
        "--auth",
        "PLAIN",
        "--auth-user",
        "other@home.test",
        "--auth-password",
        "right",
    ];
    let refused = swaks(submission.starttls(), &letter, &file, &other);
    assert!(refused.out.contains("<~* 553 5.7.1 "), "{refused:?}");
    sink.wait_for(letters.len() as u64);
    submission.stop();
    let received: Vec<_> = sink.stop().received().cloned().collect();
    assert_once_and_unchanged(&letters, &received);
    for received in &received {
        assert!(text(received).contains(" with ESMTPSA id "), "{}", text(received));
    }
}

#[test]
fn smtplib_logs_in() {
    let sink = Sink::new();
    let submission = Submission::start(&sink);
    let mut letters = Vec::new();
    for (mode, server) in [
        ("starttls", submission.starttls()),
        ("implicit", submission.implicit()),
    ] {
        let letter = Letter::new(mode, "example.test", b"hello\r\n");
        let wrong = smtplib(
            mode,
            server,
            &submission.files,
            Some((&letter, "writer@home.test wrong")),
        );
        assert!(
            wrong.code == Some(1) && wrong.err.contains("(535, b'5.7.8 "),
            "{wrong:?}"
        );
        let right = smtplib(
            mode,
            server,
            &submission.files,
            Some((&letter, "writer@home.test right")),
        );
        assert_eq!(right.code, Some(0), "{right:?}");
        letters.push(letter);
    }
    sink.wait_for(2);
    submission.stop();
    let received: Vec<_> = sink.stop().received().cloned().collect();
    assert_once_and_unchanged(&letters, &received);
}

#[test]
fn a_real_postfix_logs_in_and_relays() {
    for mechanism in ["plain", "login"] {
        let sink = Sink::new();
        let submission = Submission::start(&sink);
        let to = submission.starttls();
        let passwords = format!(
            "smtp_sasl_password_maps = inline:{{{{[{}]:{} = writer@home.test:right}}}}",
            to.ip(),
            to.port()
        );
        let filter = format!("smtp_sasl_mechanism_filter = {mechanism}");
        let settings = [
            "smtp_tls_security_level = encrypt",
            "smtp_sasl_auth_enable = yes",
            "smtp_sasl_security_options = noanonymous",
            &passwords,
            &filter,
        ];
        let postfix = Postfix::start(Mode::RelayTo(to), &settings).expect("the peer is there");
        let letters = letters::every_form("example.test");
        letters::send(postfix.address(), &letters);
        sink.wait_for_recipients(2 * letters.len() as u64);
        submission.stop();
        let received: Vec<_> = sink.stop().received().cloned().collect();
        assert_once_and_unchanged(&letters, &received);
        assert!(
            received.iter().all(|one| text(one).contains(" with ESMTPSA id ")),
            "{mechanism}"
        );
    }
}
