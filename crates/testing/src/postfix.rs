//! A real Postfix as peer: an instance of its own in a directory of its own.
//!
//! It takes mail for every domain and either keeps it in a Maildir ([`Mode::Keep`]), or relays it to one
//! place ([`Mode::RelayTo`]), so that it is receiver or client of the program under test.
//!
//! # Contract
//! * **Nothing of the system's Postfix is touched**: configuration, queue, log and mailbox are in a
//!   temporary directory.
//! * **The instance ends with its value**, and its directory goes.
//! * **Postfix needs root**: [`Postfix::is_available`] says whether a test can be run.
//!
//! # Not here
//! Installing Postfix (`make test` does).

use std::{
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

pub use crate::peer::Mode;
use crate::{
    free_port,
    peer::{Peer, REFUSED_SUBJECT, UNKNOWN, greets, missing, read_text},
    wait,
};

/// A running Postfix.
pub struct Postfix {
    directory: TempDir,
    address: SocketAddr,
}

impl Postfix {
    /// Answers whether Postfix is installed and may be started here.
    pub fn is_available() -> bool {
        Path::new(POSTFIX).exists() && rustix::process::geteuid().is_root()
    }

    /// Starts an instance and waits for its greeting. `settings` are further lines of main.cf, such as
    /// `smtpd_discard_ehlo_keywords = dsn`.
    ///
    /// # Errors
    /// When its directory cannot be made or Postfix does not start; with what it said.
    pub fn start(mode: Mode, settings: &[&str]) -> io::Result<Self> {
        if !Self::is_available() {
            return Err(missing(
                "Postfix is not installed (make test does that) or we are not root",
            ));
        }
        let directory = tempfile::Builder::new().prefix("postfix-").tempdir()?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let postfix = Postfix { directory, address };
        postfix.lay_out(mode, settings)?;
        postfix.run("start")?;
        wait::wait_until("Postfix greets", || greets(address));
        Ok(postfix)
    }

    /// Waits until at least `count` messages have arrived.
    ///
    /// # Panics
    /// When they do not for a long time.
    pub fn wait_for_messages(&self, count: usize) -> Vec<Vec<u8>> {
        let what = format!("{count} messages are in Postfix's Maildir");
        wait::wait_for(&what, || {
            Some(self.messages()).filter(|messages| messages.len() >= count)
        })
    }

    /// Waits for a line of the log that contains `text`.
    ///
    /// # Panics
    /// When it does not come for a long time.
    pub fn wait_for_log(&self, text: &str) -> String {
        wait::wait_for(&format!("Postfix logs {text:?}"), || {
            let log = self.log();
            log.lines().find(|line| line.contains(text)).map(str::to_owned)
        })
    }

    /// Delivers what is deferred now.
    ///
    /// # Errors
    /// When Postfix refuses.
    pub fn flush(&self) -> io::Result<()> {
        self.run("flush")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Directories and configuration. Postfix's daemons change to users of their own, who must be able to
    /// reach their files through the temporary directory.
    fn lay_out(&self, mode: Mode, settings: &[&str]) -> io::Result<()> {
        let user = id_of("/etc/passwd", "postfix")?;
        fs::set_permissions(self.directory.path(), fs::Permissions::from_mode(0o755))?;
        for (name, owner) in [
            ("queue", None),
            ("data", Some(user)),
            ("log", None),
            ("mail", Some(NOBODY)),
        ] {
            let path = self.path(name);
            fs::create_dir(&path)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            chown(&path, owner, owner.filter(|owner| *owner == NOBODY))?;
        }
        let refusal = format!("/^Subject: {REFUSED_SUBJECT}$/ REJECT not this\n");
        fs::write(self.path("header_checks"), refusal)?;
        fs::write(self.path("main.cf"), self.main(mode, settings))?;
        fs::write(self.path("master.cf"), self.master())
    }

    fn main(&self, mode: Mode, settings: &[&str]) -> String {
        let directory = self.directory.path().display();
        let mut text = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {directory}/queue\n\
             data_directory = {directory}/data\n\
             maillog_file = {directory}/log/mail.log\n\
             maillog_file_prefixes = {directory}\n\
             {SETTINGS}"
        );
        text += &match mode {
            Mode::Keep => format!(
                "virtual_mailbox_domains = static:all\n\
                 smtpd_recipient_restrictions = \
                 check_recipient_access inline:{{{{{UNKNOWN}@ = 550 5.1.1 User unknown}}}}, \
                 permit_mynetworks, reject_unauth_destination\n\
                 virtual_mailbox_base = {directory}/mail\n\
                 virtual_mailbox_maps = static:box/\n\
                 virtual_mailbox_limit = 0\n\
                 virtual_uid_maps = static:{NOBODY}\n\
                 virtual_gid_maps = static:{NOBODY}\n"
            ),
            Mode::RelayTo(to) => format!("relayhost = [{}]:{}\n", to.ip(), to.port()),
        };
        for line in settings {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn master(&self) -> String {
        let mut text = format!("{} inet n - n - - smtpd\n", self.address);
        text += SERVICES;
        text
    }

    fn run(&self, verb: &str) -> io::Result<()> {
        let output = Command::new(POSTFIX)
            .arg("-c")
            .arg(self.directory.path())
            .arg(verb)
            .stdin(Stdio::null())
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let log = self.log();
        Err(io::Error::other(format!("postfix {verb}: {said}\n{log}")))
    }
}

impl Peer for Postfix {
    fn name(&self) -> &'static str {
        "Postfix"
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn maildir(&self) -> PathBuf {
        self.path("mail/box")
    }

    fn log(&self) -> String {
        read_text(&self.path("log/mail.log"))
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Kills what does not stop within seconds; nobody is left to tell of a failure.
        let _ = self.run("stop");
    }
}

/// The number of a user in a file like /etc/passwd.
fn id_of(file: &str, name: &str) -> io::Result<u32> {
    fs::read_to_string(file)?
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .find_map(|rest| rest.split(':').nth(1)?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("no {name} in {file}")))
}

const POSTFIX: &str = "/usr/sbin/postfix";
/// Settings with which it refuses the sender and the subject that [`peer`](crate::peer) names.
pub const REFUSALS: [&str; 3] = [
    "smtpd_delay_reject = no",
    "smtpd_sender_restrictions = check_sender_access inline:{{refused@source.test = 550 5.7.1 not from you}}",
    "header_checks = regexp:$config_directory/header_checks",
];

/// The user and group that own kept mail.
const NOBODY: u32 = 65534;

/// main.cf, as far as it is the same for every instance.
const SETTINGS: &str = "\
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = postfix.test
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
message_size_limit = 0
mailbox_size_limit = 0
smtpd_client_connection_count_limit = 0
smtp_tls_security_level = none
smtpd_tls_security_level = none
disable_dns_lookups = yes
minimal_backoff_time = 5s
queue_run_delay = 5s
";

/// master.cf behind the listener: Debian's, without chroot.
const SERVICES: &str = "\
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";
