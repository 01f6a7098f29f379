//! The program under test: a directory with a configuration, and `remuda serve` in it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
};

use remuda_testing::{
    process::{Process, Signal},
    wait::wait_until,
};
use serde_json::Value;
use tempfile::TempDir;

/// A working directory of the program.
pub struct Home {
    directory: TempDir,
}

impl Home {
    /// With this `remuda.toml`, as it is.
    pub fn with(text: &str) -> Home {
        let directory = tempfile::Builder::new()
            .prefix("remuda-")
            .tempdir()
            .expect("a directory");
        let home = Home { directory };
        home.configure(text);
        home
    }

    /// With ports that the system chooses, and these sections.
    pub fn new(sections: &str) -> Home {
        Home::with(&Home::text(sections))
    }

    /// The configuration that [`Home::new`] writes.
    pub fn text(sections: &str) -> String {
        format!(
            "hostname = \"remuda.test\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n{sections}"
        )
    }

    /// Writes `remuda.toml` anew.
    pub fn configure(&self, text: &str) {
        fs::write(self.path("remuda.toml"), text).expect("a file");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the server and waits until it says that it is ready.
    pub fn start(&self) -> Remuda {
        let process = Process::spawn(self.command(["serve"])).expect("the program can be started");
        let (smtp, admin) = process.wait_for("the line that says it is ready", |line| {
            let rest = line.split_once("remuda ready smtp=")?.1;
            let (smtp, admin) = rest.split_once(" admin=")?;
            Some((smtp.split(',').next()?.parse().ok()?, admin.trim().parse().ok()?))
        });
        Remuda {
            process,
            smtp,
            admin,
            token: self.path("remuda-data/admin.token"),
        }
    }

    /// Runs the program to its end.
    pub fn run<const N: usize>(&self, arguments: [&str; N]) -> Ended {
        self.command(arguments)
            .output()
            .expect("the program can be started")
            .into()
    }

    /// The program in this directory.
    pub fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_remove("RUST_LOG")
            .env_remove("NOTIFY_SOCKET")
            .stdin(Stdio::null());
        command
    }
}

/// A running server.
pub struct Remuda {
    pub process: Process,
    pub smtp: SocketAddr,
    pub admin: SocketAddr,
    token: PathBuf,
}

impl Remuda {
    /// How a command ends that asks this server.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(PROGRAM)
            .args(arguments)
            .args(["--admin", &format!("http://{}", self.admin)])
            .arg("--token-file")
            .arg(&self.token)
            .output();
        output.expect("the program can be started").into()
    }

    /// What a command says that asks this server.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
        ended.out
    }

    /// How many entries wait in the queue.
    pub fn waiting(&self) -> usize {
        let page: Value = serde_json::from_str(&self.ask(&["queue", "list", "--json"])).expect("JSON");
        page["entries"].as_array().expect("entries").len()
    }

    /// What `/metrics` says.
    pub fn metrics(&self) -> String {
        let token = fs::read_to_string(&self.token).expect("the token");
        let mut answer = ureq::get(format!("http://{}/metrics", self.admin))
            .header("Authorization", format!("Bearer {}", token.trim()))
            .call()
            .expect("an answer");
        answer.body_mut().read_to_string().expect("text")
    }

    /// Waits until nothing waits in the queue, as long as it becomes less.
    pub fn wait_until_empty(&self) {
        let mut left = u64::MAX;
        while left > 0 {
            wait_until("less is in the queue", || {
                assert!(!self.process.has_ended(), "{}", self.log());
                let now = self.queued();
                let is_less = now < left;
                left = left.min(now);
                is_less
            });
        }
        // What is being moved is on disk alone.
        wait_until("nothing is in the queue", || self.waiting() == 0);
    }

    /// How much waits in the queue, whatever for.
    fn queued(&self) -> u64 {
        let text = self.metrics();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("remuda_queue_messages{"));
        let numbers = lines.map(|line| line.rsplit(' ').next().expect("a number"));
        numbers
            .map(|number| number.parse::<u64>().expect("a number"))
            .sum()
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        self.process.lines().join("\n")
    }

    /// SIGTERM, and the end.
    pub fn stop(&mut self) -> ExitStatus {
        self.process.terminate()
    }

    /// Reloads, and waits until that is done; `count` is how often it has been done then.
    pub fn reload(&self, count: usize) {
        self.process.signal(Signal::HUP);
        wait_until("the configuration is reloaded", || {
            self.log().matches("configuration reloaded").count() >= count
        });
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Ended {
        Ended {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The path of a tool that a test sends with.
///
/// # Panics
/// It is not installed.
pub fn tool(path: &'static str) -> &'static Path {
    let path = Path::new(path);
    assert!(
        path.exists(),
        "{} is not installed: run make test as root",
        path.display()
    );
    path
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_remuda");
