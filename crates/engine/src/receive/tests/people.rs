//! Who takes part in tests of TLS and logins: a directory of two people, certificates, clients under TLS.

use std::{fs, path::Path, pin::Pin};

use remuda_mail::{Address, Secret};
use remuda_testing::certificates::{Authority, Issued, Validity};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::sync::Notify;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::settings::{Listener, ListenerTls, PemFiles, Role};

/// Knows `me@home.test` with the password `right`, who owns `also.me@home.test`, too.
#[derive(Default)]
pub(crate) struct Directory {
    /// Logins asked for.
    pub asked: AtomicU64,
    /// Being asked now, and at most.
    pub busy: AtomicU64,
    pub busy_max: AtomicU64,
    /// Answers that it cannot tell.
    pub is_down: std::sync::atomic::AtomicBool,
    /// Answers nothing until this is notified.
    pub holds: Option<Arc<Notify>>,
    /// Who may no longer send.
    pub is_barred: std::sync::atomic::AtomicBool,
}

/// One that is being asked, also when nobody waits any longer.
struct Busy<'a>(&'a AtomicU64);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Authenticator for Directory {
    fn authenticate<'a>(&'a self, login: &'a str, password: &'a Secret) -> Answering<'a, Login> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let busy = self.busy.fetch_add(1, Ordering::Relaxed) + 1;
            self.busy_max.fetch_max(busy, Ordering::Relaxed);
            let _busy = Busy(&self.busy);
            if let Some(gate) = &self.holds {
                gate.notified().await;
            }
            match (login, password.reveal()) {
                _ if self.is_down.load(Ordering::Relaxed) => Login::Unavailable,
                ("busy@home.test", _) => Login::TooMany,
                ("me@home.test", "right") => Login::Accepted(Identity {
                    address: login.parse().unwrap(),
                }),
                _ => Login::Rejected,
            }
        })
    }

    fn owns<'a>(&'a self, identity: &'a Identity, sender: &'a Address) -> Answering<'a, Owns> {
        assert_eq!(identity.address.to_string(), "me@home.test");
        Box::pin(async move {
            if self.is_down.load(Ordering::Relaxed) {
                return Owns::Unavailable;
            }
            let own = ["me@home.test", "also.me@home.test"];
            let is_own = own.contains(&&*sender.to_string()) && !self.is_barred.load(Ordering::Relaxed);
            if is_own { Owns::Yes } else { Owns::No }
        })
    }
}

/// A certificate for mx.test on disk, and those who trust it.
pub(crate) struct Files {
    directory: TempDir,
    authority: Authority,
}

impl Files {
    pub fn new() -> Files {
        let files = Files {
            directory: tempfile::tempdir().unwrap(),
            authority: Authority::new().unwrap(),
        };
        files.renew();
        files
    }

    /// Writes another certificate; the octets that clients will see.
    pub fn renew(&self) -> Vec<u8> {
        let issued = self.issue();
        fs::write(self.path().join("c.pem"), &issued.certificate_pem).unwrap();
        fs::write(self.path().join("k.pem"), &issued.key_pem).unwrap();
        issued.certificate_der
    }

    pub fn issue(&self) -> Issued {
        self.authority.issue(&["mx.test"], Validity::Now).unwrap()
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn pem(&self) -> PemFiles {
        PemFiles {
            certificate: self.path().join("c.pem"),
            key: self.path().join("k.pem"),
        }
    }

    /// A client that trusts nobody else.
    pub fn connector(&self, versions: &[&'static rustls::SupportedProtocolVersion]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        let pem = self.authority.pem();
        use rustls::pki_types::pem::PemObject;
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config).into()
    }
}

/// The listeners of these tests, by their places.
pub(crate) const STARTTLS: usize = 0;
pub(crate) const IMPLICIT: usize = 1;
pub(crate) const SUBMISSION: usize = 2;
pub(crate) const CLEAR: usize = 3;

pub(crate) fn listeners(files: &Files) -> Vec<Listener> {
    let plain = || Listener::plain("127.0.0.1:0".parse().unwrap());
    vec![
        Listener {
            tls: ListenerTls::StartTls(files.pem()),
            auth: true,
            ..plain()
        },
        Listener {
            tls: ListenerTls::Implicit(files.pem()),
            auth: true,
            ..plain()
        },
        Listener {
            role: Role::Submission,
            tls: ListenerTls::StartTls(files.pem()),
            auth: true,
            ..plain()
        },
        plain(),
    ]
}

/// A receiver with those listeners, its certificate, and its directory.
pub(crate) struct World {
    pub rig: Rig,
    pub files: Files,
    pub directory: Arc<Directory>,
    pub connector: TlsConnector,
}

pub(crate) type Secure = Client<TlsStream<DuplexStream>>;

impl World {
    pub fn new() -> World {
        World::with(Directory::default())
    }

    pub fn with(directory: Directory) -> World {
        let files = Files::new();
        let directory = Arc::new(directory);
        let settings = Settings {
            listeners: listeners(&files),
            ..settings()
        };
        let rig = Rig::with(settings, Some(directory.clone()));
        let connector = files.connector(rustls::ALL_VERSIONS);
        World {
            rig,
            files,
            directory,
            connector,
        }
    }

    /// A client in clear at a listener, greeted.
    pub async fn clear(&self, ip: &str, place: usize) -> Client {
        let (stream, session) = self.rig.enter(ip, Some(place), 1 << 20);
        let mut client = Client {
            stream,
            read: Vec::new(),
            session,
        };
        assert_eq!(client.code().await, 220);
        client
    }

    /// A client under TLS, greeted where that comes after it.
    pub async fn secure(&self, ip: &str, place: usize) -> Secure {
        if place == IMPLICIT {
            let (stream, session) = self.rig.enter(ip, Some(place), 1 << 20);
            let mut client = handshake(&self.connector, stream, session).await;
            assert_eq!(client.code().await, 220);
            return client;
        }
        let mut client = self.clear(ip, place).await;
        let codes = client.codes("EHLO c.test\r\nSTARTTLS\r\n", 2).await;
        assert_eq!(codes, [250, 220]);
        handshake(&self.connector, client.stream, client.session).await
    }

    /// One who has logged in, after EHLO.
    pub async fn logged_in(&self, ip: &str, place: usize) -> Secure {
        let mut client = self.secure(ip, place).await;
        let codes = client.codes(format!("EHLO c.test\r\n{RIGHT}"), 2).await;
        assert_eq!(codes, [250, 235]);
        client
    }

    /// Another configuration comes into force, and its files are read again.
    pub fn reload(&self, settings: Settings) -> Result<(), crate::receive::Error> {
        let shared = &self.rig.shared;
        let old = shared.snapshot();
        let offers = offers::read(&settings.listeners, &shared.clock, &old.offers)?;
        let addressing = Addressing::new(Arc::new(Router::new(&settings)), None);
        let new = Snapshot::new(Arc::new(settings), addressing, offers)?;
        *shared.snapshot.write().unwrap() = Arc::new(new);
        Ok(())
    }
}

pub(crate) async fn handshake(
    connector: &TlsConnector,
    stream: DuplexStream,
    session: JoinHandle<()>,
) -> Secure {
    let name = ServerName::try_from("mx.test").unwrap();
    let connecting: Pin<Box<_>> = Box::pin(connector.connect(name, stream));
    Client {
        stream: connecting.await.expect("the handshake succeeds"),
        read: Vec::new(),
        session,
    }
}

/// `\0me@home.test\0right`.
pub(crate) const RIGHT: &str = "AUTH PLAIN AG1lQGhvbWUudGVzdAByaWdodA==\r\n";
/// `\0me@home.test\0wrong`.
pub(crate) const WRONG: &str = "AUTH PLAIN AG1lQGhvbWUudGVzdAB3cm9uZw==\r\n";
/// `\0busy@home.test\0any`.
pub(crate) const BUSY: &str = "AUTH PLAIN AGJ1c3lAaG9tZS50ZXN0AGFueQ==\r\n";
