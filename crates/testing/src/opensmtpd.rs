//! A real OpenSMTPD as peer: Debian's, unpacked by `scripts/peers.sh`, in namespaces of its own.
//!
//! # Contract
//! * **Nothing of the system is touched**, as [`Namespace`] has it.
//! * **The instance ends with its value**, and its directory goes.

use std::{fs, io, net::SocketAddr, path::PathBuf};

use crate::{
    free_port,
    namespace::{FIRST_ID, Namespace},
    peer::{Mode, Peer, UNKNOWN, greets},
    process::Process,
    wait,
};

/// A running OpenSMTPD.
pub struct OpenSmtpd {
    // Ends before its directory goes.
    process: Process,
    namespace: Namespace,
    address: SocketAddr,
}

impl OpenSmtpd {
    /// Starts an instance and waits for its greeting.
    ///
    /// # Errors
    /// OpenSMTPD is not unpacked or cannot be started; with what to do.
    pub fn start(mode: Mode) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut namespace = Namespace::new("opensmtpd-", &USERS)?;
        let binary = namespace.copy(PACKAGE, "usr/sbin", "bin")?.join("smtpd");
        namespace.copy(PACKAGE, "usr/libexec/opensmtpd", "libexec/opensmtpd")?;
        namespace.make("state/opensmtpd/empty", 0o755, None, None)?;
        namespace.make("run", 0o755, None, None)?;
        namespace.make("spool/smtpd", 0o711, None, None)?;
        namespace.make("spool/smtpd/offline", 0o770, None, Some(FIRST_ID + 1))?;
        namespace.make("box", 0o755, Some(NOBODY), None)?;
        for (name, place) in [
            ("libexec", "/usr/libexec"),
            ("state", "/var/lib"),
            ("spool", "/var/spool"),
            ("run", "/run"),
        ] {
            namespace.lay_over(name, place);
        }
        let configuration = namespace.path("smtpd.conf");
        fs::write(&configuration, text(&namespace, address, mode))?;
        let arguments = ["-d".into(), "-f".into(), configuration];
        let process = Process::spawn(namespace.command(&binary, arguments)?)?;
        let opensmtpd = OpenSmtpd {
            process,
            namespace,
            address,
        };
        wait::wait_until("OpenSMTPD greets", || {
            assert!(
                !opensmtpd.process.has_ended(),
                "OpenSMTPD has ended:\n{}",
                opensmtpd.log()
            );
            greets(address)
        });
        Ok(opensmtpd)
    }
}

impl Peer for OpenSmtpd {
    fn name(&self) -> &'static str {
        "OpenSMTPD"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn maildir(&self) -> PathBuf {
        self.namespace.path("box")
    }

    fn log(&self) -> String {
        self.process.lines().join("\n")
    }
}

fn text(namespace: &Namespace, address: SocketAddr, mode: Mode) -> String {
    let listen = format!(
        "listen on 127.0.0.1 port {} hostname opensmtpd.test\n",
        address.port()
    );
    let action = match mode {
        Mode::Keep => format!(
            "table everybody {{ \"@\" = nobody }}\n\
             action all maildir {:?} virtual <everybody>\n\
             match from any for any rcpt-to regex \"^{UNKNOWN}@\" reject\n",
            namespace.path("box")
        ),
        Mode::RelayTo(to) => format!("action all relay host smtp://{to}\n"),
    };
    format!("{listen}{action}match from any for any action all\n")
}

const PACKAGE: &str = "opensmtpd";
/// The second one owns the queue.
const USERS: [&str; 2] = ["opensmtpd", "opensmtpq"];
/// The user that owns kept mail.
const NOBODY: u32 = 65534;
