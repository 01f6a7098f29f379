//! A real Dovecot as peer: Debian's, with a configuration of its own, as LMTP server and as reader of Maildirs.
//!
//! # Contract
//! * **Nothing of the system is used** but the programs: no service, no user's mail, no socket elsewhere.
//! * **The instance ends with its value**, and its directory goes.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{free_port, process::Process, wait};

/// An account that Dovecot knows.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// `local@domain`.
    pub address: &'a str,
    /// Its Maildir; None: one of Dovecot's own.
    pub maildir: Option<&'a Path>,
    /// Octets that it may hold.
    pub quota: Option<u64>,
}

/// A running Dovecot.
pub struct Dovecot {
    // Ends before its directory goes.
    process: Process,
    directory: TempDir,
    address: SocketAddr,
}

impl Dovecot {
    /// Starts an instance and waits until it takes LMTP.
    ///
    /// # Errors
    /// Dovecot is not installed, with what to do; or it cannot be started.
    pub fn start(accounts: &[Account<'_>]) -> io::Result<Self> {
        if !Path::new(PROGRAM).exists() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "dovecot is not installed: run scripts/packages.sh dovecot-core dovecot-lmtpd (make test does)",
            ));
        }
        let directory = tempfile::Builder::new().prefix("dovecot-").tempdir()?;
        let below = |name: &str| directory.path().join(name);
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        for name in ["run", "state", "mail"] {
            fs::create_dir(below(name))?;
        }
        own(&below("mail"))?;
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
        let mut users = String::new();
        for account in accounts {
            let own = below("mail").join(account.address);
            users += &line(account, account.maildir.unwrap_or(&own));
        }
        fs::write(below("users"), users)?;
        let configuration = below("dovecot.conf");
        fs::write(&configuration, text(directory.path(), address)?)?;
        let arguments = ["-F".into(), "-c".into(), configuration.into_os_string()];
        let process = Process::start(PROGRAM, arguments)?;
        let dovecot = Dovecot {
            process,
            directory,
            address,
        };
        wait::wait_until("Dovecot listens", || {
            assert!(
                !dovecot.process.has_ended(),
                "Dovecot has ended:\n{}",
                dovecot.log()
            );
            dovecot.socket().exists() && crate::peer::greets(address)
        });
        Ok(dovecot)
    }

    /// Where it takes LMTP by TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The socket where it takes LMTP.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("lmtp")
    }

    /// What `doveadm` says.
    ///
    /// # Errors
    /// It has failed; with what it says.
    pub fn doveadm(&self, arguments: &[&str]) -> io::Result<String> {
        let output = Command::new("/usr/bin/doveadm")
            .arg("-c")
            .arg(self.directory.path().join("dovecot.conf"))
            .args(arguments)
            .output()?;
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(io::Error::other(text(&output.stderr))),
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.lines().join("\n")
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // It takes its processes with it, which the end by force would not.
        self.process.terminate();
    }
}

/// Gives a file, and all below it if it is a directory, to the user as whom Dovecot reads mail: it does not as
/// root.
///
/// # Errors
/// As of the file system.
pub fn own(path: &Path) -> io::Result<()> {
    let Some(user) = mail_user() else { return Ok(()) };
    chown(path, Some(user), Some(user))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path())?;
        }
    }
    Ok(())
}

/// The user for mail when we are root; None: we ourselves.
fn mail_user() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(NOBODY)
}

fn line(account: &Account<'_>, home: &Path) -> String {
    let user = mail_user().unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let group = mail_user().unwrap_or_else(|| rustix::process::getegid().as_raw());
    let rule = account
        .quota
        .map(|quota| format!("userdb_quota_rule=*:bytes={quota}"));
    let (address, home) = (account.address, home.display());
    format!(
        "{address}:{{PLAIN}}x:{user}:{group}::{home}::{}\n",
        rule.unwrap_or_default()
    )
}

fn text(directory: &Path, address: SocketAddr) -> io::Result<String> {
    let user = name_of_user()?;
    Ok(CONFIGURATION
        .replace("DIRECTORY", &directory.display().to_string())
        .replace("PORT", &address.port().to_string())
        .replace("USER", &user))
}

/// The name of the user that we are.
fn name_of_user() -> io::Result<String> {
    let output = Command::new("/usr/bin/id").arg("-un").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

const PROGRAM: &str = "/usr/sbin/dovecot";
/// Debian's user and group that own nothing.
const NOBODY: u32 = 65_534;

const CONFIGURATION: &str = "\
base_dir = DIRECTORY/run
state_dir = DIRECTORY/state
log_path = /dev/stderr
protocols = lmtp
listen = 127.0.0.1
ssl = no
default_internal_user = USER
default_login_user = USER
mail_location = maildir:~
mail_plugins = quota
passdb {
  driver = passwd-file
  args = DIRECTORY/users
}
userdb {
  driver = passwd-file
  args = DIRECTORY/users
}
service anvil {
  chroot =
}
service stats {
  chroot =
}
service lmtp {
  user = USER
  inet_listener lmtp {
    address = 127.0.0.1
    port = PORT
  }
  unix_listener DIRECTORY/lmtp {
    mode = 0600
  }
}
plugin {
  quota = maildir:User quota
}
";
