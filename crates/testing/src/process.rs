//! A program under test: a child process whose output lines are kept.
//!
//! # Contract
//! * **No line is lost**: both outputs are read as they come, to the end, so that the child never blocks.
//! * **The child ends with its value**, by SIGKILL if need be.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::wait::{PATIENCE, wait_for};

/// A running child.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    /// How many outputs are read.
    outputs: usize,
}

#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    /// Outputs that have ended.
    ended: usize,
}

impl Process {
    /// Starts `program` with its outputs captured and nothing to read.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        program: impl AsRef<Path>,
        arguments: impl IntoIterator<Item = S>,
    ) -> io::Result<Self> {
        let mut command = Command::new(program.as_ref());
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a command that the caller has prepared (directory, environment).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = Arc::new(Output::default());
        let mut outputs = 0;
        if let Some(stdout) = child.stdout.take() {
            read_lines(stdout, output.clone());
            outputs += 1;
        }
        if let Some(stderr) = child.stderr.take() {
            read_lines(stderr, output.clone());
            outputs += 1;
        }
        Ok(Process {
            name,
            child,
            output,
            outputs,
        })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether both its outputs have ended, as they do when it ends.
    pub fn has_ended(&self) -> bool {
        self.output.lock().ended >= self.outputs
    }

    /// All lines of both outputs so far.
    pub fn lines(&self) -> Vec<String> {
        self.output.lock().all.clone()
    }

    /// Waits for the first line, old or new, for which `read` gives a value.
    ///
    /// # Panics
    /// When the output ends without such a line, or nothing comes for a long time.
    pub fn wait_for<T>(&self, what: &str, mut read: impl FnMut(&str) -> Option<T>) -> T {
        let mut seen = 0;
        let mut lines = self.output.lock();
        loop {
            if let Some(value) = lines.all[seen..].iter().find_map(|line| read(line)) {
                return value;
            }
            seen = lines.all.len();
            let name = &self.name;
            let text = || lines.all.join("\n");
            assert!(
                lines.ended < self.outputs,
                "{name} ended before {what}:\n{}",
                text()
            );
            let (guard, waited) = self
                .output
                .changed
                .wait_timeout(lines, PATIENCE)
                .unwrap_or_else(PoisonError::into_inner);
            lines = guard;
            let text = || lines.all.join("\n");
            assert!(
                !waited.timed_out(),
                "{name}: waited in vain for {what}:\n{}",
                text()
            );
        }
    }

    /// Waits for a line that contains `text`.
    ///
    /// # Panics
    /// As [`Process::wait_for`].
    pub fn wait_for_line(&self, text: &str) -> String {
        self.wait_for(text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Sends a signal; one to a child that has ended is nothing.
    pub fn signal(&self, signal: Signal) {
        // The child is not waited for while `self` lives, so the id is still its own.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended by itself, and all its output has been read.
    ///
    /// # Panics
    /// When it does not end for a long time.
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let status = wait_for(&what, || self.child.try_wait().ok().flatten());
        // A child of the child that lives on may hold an output open; then what came so far is all.
        let _ = self
            .output
            .changed
            .wait_timeout_while(self.output.lock(), LAST_WORDS, |lines| lines.ended < self.outputs);
        status
    }

    /// SIGTERM, and the end.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL, and the end.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        self.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads one output to its end, in a thread of its own that ends with it.
fn read_lines(from: impl Read + Send + 'static, output: Arc<Output>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            // An output that cannot be read has ended.
            if !matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
                break;
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            output.lock().all.push(text);
            output.changed.notify_all();
        }
        output.lock().ended += 1;
        output.changed.notify_all();
    });
}

/// For the output of a child that has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        Process::start("/bin/sh", ["-c", script]).unwrap()
    }

    #[test]
    fn lines_of_both_outputs_are_kept() {
        let mut process = shell("echo one; echo two >&2; printf three");
        assert!(process.wait().success());
        let mut lines = process.lines();
        lines.sort();
        assert_eq!(lines, ["one", "three", "two"]);
    }

    #[test]
    fn a_line_is_waited_for_whether_it_has_come_or_not() {
        let process = shell("echo ready port=25; read never");
        let port = process.wait_for("the port", |line| line.split_once("port=")?.1.parse::<u16>().ok());
        assert_eq!(port, 25);
        assert_eq!(process.wait_for_line("ready"), "ready port=25");
    }

    #[test]
    fn a_signal_ends_it() {
        let mut process = shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
        process.wait_for_line("ready");
        assert_eq!(process.terminate().code(), Some(3));
        assert_eq!(process.lines(), ["ready", "bye"]);
    }

    #[test]
    fn the_child_ends_with_its_value() {
        let process = shell("echo ready; exec sleep 1000");
        process.wait_for_line("ready");
        let proc = format!("/proc/{}", process.id());
        assert!(Path::new(&proc).exists());
        drop(process);
        assert!(!Path::new(&proc).exists());
    }
}
