//! Tells a service manager how the server is (sd_notify(3)): by a datagram to `NOTIFY_SOCKET`.
//!
//! # Contract
//! * **Without a manager nothing happens**; one that does not listen is logged and no failure.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

use rustix::time::{ClockId, clock_gettime};

/// The server takes mail.
pub fn ready() {
    tell("READY=1");
}

/// The configuration is being read again.
pub fn reloading() {
    // The manager compares it with its own reading of this clock.
    let now = clock_gettime(ClockId::Monotonic);
    let microseconds = now
        .tv_sec
        .saturating_mul(1_000_000)
        .saturating_add(now.tv_nsec / 1000);
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
}

/// The server stops.
pub fn stopping() {
    tell("STOPPING=1");
}

fn tell(state: &str) {
    let Ok(path) = env::var("NOTIFY_SOCKET") else {
        return;
    };
    if let Err(error) = send(&path, state) {
        tracing::warn!(%error, "service manager not told");
    }
}

/// A path, or behind `@` a name in the abstract namespace.
fn send(path: &str, state: &str) -> io::Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?
        .send_to_addr(state.as_bytes(), &address)
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_hears_what_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.to_str().unwrap(), "READY=1").unwrap();
        let mut heard = [0; 32];
        let length = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"READY=1");
        assert!(send("/nowhere/at/all", "READY=1").is_err());
    }
}
