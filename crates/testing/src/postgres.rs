//! A real PostgreSQL: a cluster of its own, from Debian's package, in a directory of its own.
//!
//! A shell keeps the server: it waits for a word on its standard input, which we hold open, and ends the server at
//! the word or at the end of the input. So the cluster goes with the test process however that ends, also where a
//! static holds it, which nobody drops.
//!
//! # Contract
//! * **Nothing of the system's PostgreSQL is touched**: data, socket and log are in a temporary directory.
//! * **The cluster ends with its value, and with the test process**, and its directory goes.
//! * **What has been committed survives [`kill`](Postgres::kill)**: the processes die, the system does not.
//!
//! # Not here
//! Installing PostgreSQL (`make test` does). Durability: it runs without syncs.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    free_port,
    peer::{missing, read_text},
    wait,
};

/// A cluster.
pub struct Postgres {
    /// Ends before its directory goes.
    keeper: Option<Keeper>,
    directory: TempDir,
    programs: PathBuf,
    port: u16,
    databases: AtomicU32,
}

/// The shell that keeps the server.
struct Keeper {
    shell: Child,
    input: ChildStdin,
}

impl Postgres {
    /// Answers whether PostgreSQL is installed.
    pub fn is_available() -> bool {
        programs().is_some()
    }

    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; with what it said.
    pub fn start() -> io::Result<Self> {
        let programs =
            programs().ok_or_else(|| missing("PostgreSQL is not installed (make test does that)"))?;
        let directory = tempfile::Builder::new().prefix("postgres-").tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(directory.path().join("home"))?;
        let mut postgres = Postgres {
            keeper: None,
            directory,
            programs,
            port: free_port()?,
            databases: AtomicU32::new(0),
        };
        postgres.lay_out()?;
        postgres.resume_service()?;
        Ok(postgres)
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self) -> io::Result<Database> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let admin = self.named("postgres");
        admin.execute(&format!("CREATE DATABASE {name}"))?;
        Ok(self.named(&name))
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server; who is connected is told.
    ///
    /// # Panics
    /// When it does not end for a long time.
    pub fn stop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.end("keep");
        }
    }

    /// Kills all of the server's processes at once.
    ///
    /// # Panics
    /// When they do not end for a long time.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.stop();
    }

    /// Stops all of the server's processes where they are: connections stay open and answer nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts the server again on the same port and data.
    ///
    /// # Errors
    /// When it does not start; with what it said.
    pub fn start_again(&mut self) -> io::Result<()> {
        self.stop();
        self.resume_service()
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        read_text(&self.home().join("log"))
    }

    fn named(&self, name: &str) -> Database {
        Database {
            url: format!("postgres://postgres@127.0.0.1:{}/{name}", self.port),
            psql: self.programs.join("psql"),
        }
    }

    fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Makes the cluster's files. The server refuses to be root, so they belong to its own user.
    fn lay_out(&self) -> io::Result<()> {
        if is_root() {
            run(Command::new("chown").arg(USER).arg(self.home()))?;
        }
        let mut command = as_user(&self.programs.join("initdb"));
        command
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--encoding=UTF8",
            ])
            .args(["--locale=C", "--pgdata"])
            .arg(self.home().join("data"))
            .current_dir(self.directory.path());
        run(&mut command)
    }

    fn resume_service(&mut self) -> io::Result<()> {
        let mut server = vec![self.programs.join("postgres").into_os_string(), "-D".into()];
        server.push(self.home().join("data").into_os_string());
        let sockets = format!("unix_socket_directories={}", self.home().display());
        for setting in SETTINGS.iter().copied().chain([sockets.as_str()]) {
            server.extend(["-c".into(), setting.into()]);
        }
        server.extend(["-p".into(), self.port.to_string().into()]);
        let said = self.log().len();
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEP, "sh"]);
        shell.arg(self.directory.path()).arg(self.home().join("log"));
        if is_root() {
            shell.args(SETPRIV);
        }
        let mut shell = shell
            .args(server)
            .current_dir(self.directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let input = shell.stdin.take().expect("its input is a pipe");
        let shell_id = shell.id();
        self.keeper = Some(Keeper { shell, input });
        let database = self.named("postgres");
        let mut has_ended = false;
        wait::wait_until("PostgreSQL answers", || {
            has_ended = self.log()[said..].contains("FATAL") && children_of(shell_id).is_empty();
            has_ended || database.execute("SELECT 1").is_ok()
        });
        match has_ended {
            true => Err(io::Error::other(format!("PostgreSQL has ended:\n{}", self.log()))),
            false => Ok(()),
        }
    }

    /// The first process of the server, by its file of that name.
    fn postmaster(&self) -> Option<i32> {
        let text = fs::read_to_string(self.home().join("data/postmaster.pid")).ok()?;
        text.lines().next()?.trim().parse().ok()
    }

    /// To the first process before its children, so that it starts no others.
    fn signal(&self, signal: Signal) {
        let Some(first) = self.postmaster() else { return };
        let send = |id: i32| Pid::from_raw(id).map(|pid| kill_process(pid, signal));
        send(first);
        for id in children_of(first.unsigned_abs()) {
            send(id);
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.resume();
        self.stop();
    }
}

impl Keeper {
    /// Says the word, and waits for the end.
    fn end(mut self, word: &str) {
        // A shell that has ended by itself hears nothing.
        let _ = writeln!(self.input, "{word}");
        drop(self.input);
        wait::wait_for("PostgreSQL ends", || self.shell.try_wait().ok().flatten());
    }
}

/// One database of a cluster.
#[derive(Clone, Debug)]
pub struct Database {
    /// `postgres://postgres@127.0.0.1:PORT/NAME`
    pub url: String,
    psql: PathBuf,
}

impl Database {
    /// Runs SQL as somebody who has nothing to do with the program under test, with `psql`; gives what it prints,
    /// a line for each row, columns separated by `|`.
    ///
    /// # Errors
    /// When the database refuses; with what it said.
    pub fn execute(&self, sql: &str) -> io::Result<String> {
        let output = Command::new(&self.psql)
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                sql,
                &self.url,
            ])
            .stdin(Stdio::null())
            .output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
            false => Err(io::Error::other(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            )),
        }
    }
}

/// Debian's directory of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())))
        .max()
        .map(|(_, path)| path.join("bin"))
        .filter(|bin| bin.join("postgres").exists())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new(SETPRIV[0]);
    command.args(&SETPRIV[1..]).arg(program);
    command
}

fn run(command: &mut Command) -> io::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))),
    }
}

/// The processes that say that this is their parent (proc(5): the fourth word of `stat`, behind the name).
fn children_of(parent: u32) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let is_child = |id: &i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let behind = stat.rsplit(") ").next().unwrap_or_default();
        behind.split(' ').nth(1).and_then(|word| word.parse::<u32>().ok()) == Some(parent)
    };
    let ids = processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(is_child).collect()
}

/// Debian's user for it.
const USER: &str = "postgres";
const SETPRIV: [&str; 6] = [
    "setpriv",
    "--reuid=postgres",
    "--regid=postgres",
    "--clear-groups",
    "--inh-caps=-all",
    "--",
];

/// Fast, small, and for many connections. Commits are still written before they are answered: processes are killed
/// here.
const SETTINGS: [&str; 5] = [
    "listen_addresses=127.0.0.1",
    "fsync=off",
    "full_page_writes=off",
    "max_connections=200",
    "shared_buffers=32MB",
];

/// Arguments: the directory, the log, the server. SIGINT is "fast shutdown". Whoever says a word wants the files kept.
const KEEP: &str = r#"
directory=$1 log=$2; shift 2
trap '' INT TERM
"$@" >>"$log" 2>&1 </dev/null &
if read -r word; then :; else word=forget; fi
kill -INT $! 2>/dev/null
# Whoever has been stopped where he was goes on, to end.
kill -CONT $! $(grep -l "^PPid:[[:space:]]*$!\$" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3) 2>/dev/null
wait
[ "$word" = keep ] || rm -rf "$directory"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_been_committed_survives_a_kill() {
        let mut postgres = Postgres::start().unwrap();
        let database = postgres.database().unwrap();
        database
            .execute("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
            .unwrap();
        postgres.kill();
        assert!(database.execute("SELECT a FROM t").is_err());
        postgres.start_again().unwrap();
        assert_eq!(database.execute("SELECT a FROM t").unwrap(), "7");
    }

    #[test]
    fn the_cluster_ends_with_its_value() {
        let postgres = Postgres::start().unwrap();
        let (home, first) = (postgres.home(), postgres.postmaster().unwrap());
        drop(postgres);
        assert!(!home.exists());
        assert!(!Path::new(&format!("/proc/{first}")).exists());
    }

    #[test]
    fn the_cluster_ends_with_the_test_process() {
        let mut postgres = Postgres::start().unwrap();
        let (home, first) = (postgres.home(), postgres.postmaster().unwrap());
        // As when this process ends without a word.
        let Keeper { mut shell, input } = postgres.keeper.take().unwrap();
        drop(input);
        shell.wait().unwrap();
        assert!(!home.exists());
        assert!(!Path::new(&format!("/proc/{first}")).exists());
    }
}
