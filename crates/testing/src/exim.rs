//! A real Exim as peer: Debian's, unpacked by `scripts/peers.sh`, in namespaces of its own.
//!
//! # Contract
//! * **Nothing of the system is touched**, as [`Namespace`] has it.
//! * **The instance ends with its value**, and its directory goes.

use std::{fs, io, net::SocketAddr, path::PathBuf};

use crate::{
    free_port,
    namespace::{FIRST_ID, Namespace},
    peer::{Mode, Peer, REFUSED_SENDER, REFUSED_SUBJECT, UNKNOWN, greets, read_text},
    process::Process,
    wait,
};

/// A running Exim.
pub struct Exim {
    // Ends before its directory goes.
    process: Process,
    namespace: Namespace,
    address: SocketAddr,
}

impl Exim {
    /// Starts an instance and waits for its greeting.
    ///
    /// # Errors
    /// Exim is not unpacked or cannot be started; with what to do.
    pub fn start(mode: Mode) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let namespace = Namespace::new("exim-", &[USER])?;
        let binary = namespace
            .copy("exim4-daemon-light", "usr/sbin", "bin")?
            .join("exim4");
        for name in ["spool", "log", "box"] {
            namespace.make(name, 0o755, Some(FIRST_ID), Some(FIRST_ID))?;
        }
        let configuration = namespace.path("exim.conf");
        fs::write(&configuration, text(&namespace, address, mode))?;
        let arguments = ["-C".into(), configuration, "-bdf".into(), "-q5s".into()];
        let process = Process::spawn(namespace.command(&binary, arguments)?)?;
        let exim = Exim {
            process,
            namespace,
            address,
        };
        wait::wait_until("Exim greets", || {
            assert!(!exim.process.has_ended(), "Exim has ended:\n{}", exim.log());
            greets(address)
        });
        Ok(exim)
    }
}

impl Peer for Exim {
    fn name(&self) -> &'static str {
        "Exim"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn maildir(&self) -> PathBuf {
        self.namespace.path("box")
    }

    fn log(&self) -> String {
        let log = read_text(&self.namespace.path("log/mainlog"));
        format!("{}\n{log}", self.process.lines().join("\n"))
    }
}

fn text(namespace: &Namespace, address: SocketAddr, mode: Mode) -> String {
    let directory = namespace.path("").display().to_string();
    let route = match mode {
        Mode::Keep => "driver = accept\n  transport = keep".to_owned(),
        Mode::RelayTo(to) => format!(
            "driver = manualroute\n  transport = relay\n  route_list = * {}::{} byname\n  self = send",
            to.ip(),
            to.port()
        ),
    };
    let refused = match mode {
        Mode::Keep => UNKNOWN,
        Mode::RelayTo(_) => "",
    };
    CONFIGURATION
        .replace("DIRECTORY/", &directory)
        .replace("PORT", &address.port().to_string())
        .replace("REFUSED_SENDER", REFUSED_SENDER)
        .replace("REFUSED_SUBJECT", REFUSED_SUBJECT)
        .replace("REFUSED", refused)
        .replace("ROUTE", &route)
}

const USER: &str = "Debian-exim";

/// Its binary is not setuid here, so it delivers as its own user.
const CONFIGURATION: &str = "\
exim_path = DIRECTORY/bin/exim4
exim_user = Debian-exim
exim_group = Debian-exim
deliver_drop_privilege = true
keep_environment = LD_LIBRARY_PATH
spool_directory = DIRECTORY/spool
log_file_path = DIRECTORY/log/%slog
primary_hostname = exim.test
daemon_smtp_ports = PORT
local_interfaces = 127.0.0.1
tls_advertise_hosts =
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 100
smtp_accept_max_per_host = 0
smtp_accept_queue_per_connection = 0
acl_smtp_mail = check_mail
acl_smtp_rcpt = check_rcpt
acl_smtp_data = check_data

begin acl
check_mail:
  deny message = 5.7.1 not from you
       senders = REFUSED_SENDER
  accept
check_data:
  deny message = 5.7.1 not this
       condition = ${if eq{$h_subject:}{REFUSED_SUBJECT}}
  accept
check_rcpt:
  deny message = 5.1.1 User unknown
       local_parts = REFUSED
  accept

begin routers
all:
  ROUTE

begin transports
keep:
  driver = appendfile
  directory = DIRECTORY/box
  maildir_format
  envelope_to_add
  return_path_add
relay:
  driver = smtp
  hosts_avoid_tls = *
  allow_localhost

begin retry
* * F,1d,5s
";
