//! A server that is not installed, run in namespaces of its own.
//!
//! Debian's Exim and OpenSMTPD conflict with Postfix, so they are only unpacked (`scripts/peers.sh`). Users
//! and fixed directories that they want are laid over the system's in a mount namespace, and a process
//! namespace ends whatever they start.
//!
//! # Contract
//! * **The system is not changed**: no user, no file outside the temporary directory.
//! * **Everything that the program starts ends with it.**
//! * **Root is needed**, and `unshare`, `mount` and `sh` of Debian's base.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A directory of a program's own, and what the program sees laid over the system.
pub(crate) struct Namespace {
    directory: TempDir,
    /// Ours and the system's.
    overlays: Vec<(PathBuf, PathBuf)>,
}

impl Namespace {
    /// An empty one, whose directory every user may enter, and in which these users exist. Their ids begin
    /// with [`FIRST_ID`].
    ///
    /// # Errors
    /// We are not root, or the directory cannot be made.
    pub fn new(prefix: &str, users: &[&str]) -> io::Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(io::Error::other(format!(
                "{prefix} needs root, for namespaces of its own"
            )));
        }
        let directory = tempfile::Builder::new().prefix(prefix).tempdir()?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let mut namespace = Namespace {
            directory,
            overlays: Vec::new(),
        };
        namespace.add_users(users)?;
        Ok(namespace)
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a directory in the directory, with its parents.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make(&self, name: &str, mode: u32, owner: Option<u32>, group: Option<u32>) -> io::Result<PathBuf> {
        let path = self.path(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        chown(&path, owner, group)?;
        Ok(path)
    }

    /// Lets the program see `name` of the directory where the system has `place`, which must exist.
    pub fn lay_over(&mut self, name: &str, place: &str) {
        self.overlays.push((self.path(name), place.into()));
    }

    /// Copies the files of a directory of an unpacked package into the directory: another user may not be
    /// able to reach the original.
    ///
    /// # Errors
    /// The package is not there, with what to do; or a file cannot be copied.
    pub fn copy(&self, package: &str, files: &str, name: &str) -> io::Result<PathBuf> {
        let to = self.make(name, 0o755, None, None)?;
        copy_files(&unpacked(package)?.join(files), &to)?;
        Ok(to)
    }

    /// The program in its namespaces, with the libraries that came with the packages.
    ///
    /// # Errors
    /// The libraries cannot be copied.
    pub fn command<S: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: impl IntoIterator<Item = S>,
    ) -> io::Result<Command> {
        let libraries = self.make("libraries", 0o755, None, None)?;
        if let Ok(unpacked) = unpacked("libraries") {
            copy_libraries(&unpacked, &libraries)?;
        }
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            ENTER,
            "sh",
        ]);
        for (ours, place) in &self.overlays {
            command.arg(ours).arg(place);
        }
        command.arg("--").arg(program).args(arguments);
        command.env("LD_LIBRARY_PATH", libraries);
        Ok(command)
    }

    fn add_users(&mut self, users: &[&str]) -> io::Result<()> {
        for (file, rest) in [("passwd", "/nonexistent:/usr/sbin/nologin"), ("group", "")] {
            let system = format!("/etc/{file}");
            let mut text = fs::read_to_string(&system)?;
            for (name, id) in users.iter().zip(FIRST_ID..) {
                text = text
                    .lines()
                    .filter(|line| line.split(':').next() != Some(name))
                    .map(|line| format!("{line}\n"))
                    .collect();
                text += &match file {
                    "passwd" => format!("{name}:x:{id}:{id}::{rest}\n"),
                    _ => format!("{name}:x:{id}:\n"),
                };
            }
            fs::write(self.path(file), text)?;
            self.lay_over(file, &system);
        }
        Ok(())
    }
}

/// Where `scripts/peers.sh` has unpacked a package.
fn unpacked(package: &str) -> io::Result<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers");
    let path = peers.join(package);
    match path.is_dir() {
        true => Ok(path),
        false => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{package} is not under target/peers: run scripts/peers.sh {package} (make test does)"),
        )),
    }
}

/// Copies the files of a directory with their modes, without its directories.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)?.flatten() {
        if entry.path().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Copies every shared library below a directory.
fn copy_libraries(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)?.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            copy_libraries(&path, to)?;
        } else if name.to_string_lossy().contains(".so") {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// The number of the first user of a namespace; the next one has the next.
pub(crate) const FIRST_ID: u32 = 64_001;

/// Mounts pairs of paths up to `--`, then runs the program. The shell stays the namespace's first process, which
/// takes all others with it: a program that changes its user would lose the signal of its parent's death.
const ENTER: &str =
    r#"while [ "$1" != -- ]; do mount --bind "$1" "$2" || exit; shift 2; done; shift; "$@"; exit $?"#;
