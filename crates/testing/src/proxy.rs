//! A network between a client and a server that can be cut: a TCP proxy on loopback.
//!
//! # Contract
//! * **A stalled proxy passes nothing on and says nothing**, as a path that drops packets: connections stay open.
//! * **What is cut is closed on both sides.** A severed path also closes whatever comes new.
//! * **Who comes is counted**, also where the path is stalled or severed.
//! * **A lost reply**: what the client says arrives, and what the server answers does not.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// A proxy in front of one server.
pub struct Proxy {
    address: SocketAddr,
    path: Arc<Path>,
}

#[derive(Default)]
struct Path {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_stalled: bool,
    is_severed: bool,
    connections: u64,
    is_closed: bool,
    /// After these octets of a client, it hears nothing more.
    last_words: Option<Vec<u8>>,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// Starts a proxy in front of `server`.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let path = Arc::new(Path::default());
        let ours = path.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if ours.lock().is_closed {
                    break;
                }
                if let Ok(client) = client {
                    ours.lock().connections += 1;
                    ours.clone().connect(client, server);
                }
            }
        });
        Ok(Proxy { address, path })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes nothing on until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.path.change(|state| state.is_stalled = true);
    }

    /// Closes all connections, and each new one, until [`resume`](Self::resume).
    pub fn sever(&self) {
        self.path.change(|state| state.is_severed = true);
        self.cut();
    }

    /// Passes everything on, also what has been kept back.
    pub fn resume(&self) {
        self.path.change(|state| {
            state.is_stalled = false;
            state.is_severed = false;
        });
    }

    /// How many connections have been made so far.
    pub fn connections(&self) -> u64 {
        self.path.lock().connections
    }

    /// Closes all connections.
    pub fn cut(&self) {
        self.path.change(|state| {
            for stream in state.open.drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
    }

    /// Once a client says `words`, they are passed on and its connection is closed without the reply. Once.
    pub fn lose_reply_to(&self, words: &str) {
        self.path
            .change(|state| state.last_words = Some(words.as_bytes().to_vec()));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.path.change(|state| {
            state.is_closed = true;
            state.is_stalled = false;
        });
        self.cut();
        // Lets the listener see that it is closed.
        let _ = TcpStream::connect(self.address);
    }
}

impl Path {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn connect(self: Arc<Self>, client: TcpStream, server: SocketAddr) {
        let Ok(server) = TcpStream::connect(server) else {
            return;
        };
        let both = || Some([client.try_clone().ok()?, server.try_clone().ok()?]);
        let (Some(kept), Some([client_too, server_too])) = (both(), both()) else {
            return;
        };
        {
            let mut state = self.lock();
            if state.is_severed {
                return;
            }
            state.open.extend(kept);
        }
        let ours = self.clone();
        thread::spawn(move || ours.pass_on(client, server, true));
        thread::spawn(move || self.pass_on(server_too, client_too, false));
    }

    fn pass_on(&self, mut from: TcpStream, mut to: TcpStream, is_client: bool) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let is_last = self.wait_until_open(is_client.then_some(&buffer[..count]));
            if is_last {
                // The client's side first, so that no reply gets through.
                let _ = from.shutdown(Shutdown::Both);
            }
            if to.write_all(&buffer[..count]).is_err() || is_last {
                break;
            }
        }
        let how = if is_client {
            Shutdown::Write
        } else {
            Shutdown::Both
        };
        let _ = to.shutdown(how);
    }

    /// Answers whether these are the last words of a client.
    fn wait_until_open(&self, words: Option<&[u8]>) -> bool {
        let mut state = self.lock();
        while state.is_stalled {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let is_said =
            |last: &Vec<u8>| words.is_some_and(|all| all.windows(last.len()).any(|some| some == last));
        state.last_words.take_if(|last| is_said(last)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every octet with itself, and keeps what came.
    fn echo() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ours = heard.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 100];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    ours.lock().unwrap().extend(&buffer[..count]);
                    let _ = stream.write_all(&buffer[..count]);
                }
            }
        });
        (address, heard)
    }

    #[test]
    fn a_stalled_proxy_passes_nothing_on() {
        let (server, heard) = echo();
        let proxy = Proxy::start(server).unwrap();
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        let mut reply = [0; 3];
        client.write_all(b"one").unwrap();
        client.read_exact(&mut reply).unwrap();
        proxy.stall();
        client.write_all(b"two").unwrap();
        client.set_nonblocking(true).unwrap();
        assert_eq!(
            client.read(&mut reply).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        client.set_nonblocking(false).unwrap();
        assert_eq!(*heard.lock().unwrap(), b"one");
        proxy.resume();
        client.read_exact(&mut reply).unwrap();
        assert_eq!(&reply, b"two");
    }

    #[test]
    fn a_severed_path_closes_whatever_comes_and_counts_it() {
        let (server, heard) = echo();
        let proxy = Proxy::start(server).unwrap();
        let mut reply = [0; 3];
        let mut old = TcpStream::connect(proxy.address()).unwrap();
        old.write_all(b"one").unwrap();
        old.read_exact(&mut reply).unwrap();
        proxy.sever();
        assert!(!matches!(old.read(&mut reply), Ok(1..)));
        let mut new = TcpStream::connect(proxy.address()).unwrap();
        // It may be closed already.
        let _ = new.write_all(b"two");
        assert!(!matches!(new.read(&mut reply), Ok(1..)));
        proxy.resume();
        let mut new = TcpStream::connect(proxy.address()).unwrap();
        new.write_all(b"six").unwrap();
        new.read_exact(&mut reply).unwrap();
        assert_eq!(*heard.lock().unwrap(), b"onesix");
        assert_eq!(proxy.connections(), 3);
    }

    #[test]
    fn a_lost_reply_is_to_words_that_arrive() {
        let (server, heard) = echo();
        let proxy = Proxy::start(server).unwrap();
        proxy.lose_reply_to("COMMIT");
        let mut client = TcpStream::connect(proxy.address()).unwrap();
        client.write_all(b"COMMIT").unwrap();
        let mut reply = Vec::new();
        assert!(!matches!(client.read_to_end(&mut reply), Ok(1..)));
        crate::wait::wait_until("the words arrive", || *heard.lock().unwrap() == b"COMMIT");
        proxy.cut();
    }
}
