//! A scripted server at the other end of a stream in memory.

use std::{
    io,
    sync::{Arc, Mutex},
};

use remuda_clock::Monotonic;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::oneshot,
};

use super::*;
use crate::network::{Connecting, Transport};

/// What the server does, step by step. Once the steps are over it closes.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Writes.
    Say(String),
    /// Reads until this has come (and takes all that came with it).
    Hear(&'static str),
    /// Reads so many octets.
    Take(usize),
    /// Reads whatever comes, for ever, without a word.
    Stall,
    /// Neither reads nor writes.
    Freeze,
    /// Lets time pass.
    Wait(Duration),
    /// Waits until the test says go.
    Await,
}

/// What the network and the server do.
#[derive(Clone, Debug)]
pub(super) struct Script {
    /// The address of ours that the session is to have.
    pub(super) source: Option<std::net::IpAddr>,
    /// How the connect goes.
    pub(super) connect: Connect,
    /// What the server does then.
    pub(super) steps: Vec<Step>,
    /// Octets that a stream holds in each direction.
    pub(super) buffer: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Connect {
    Ok,
    Err(io::ErrorKind),
    Never,
    Panic,
}

/// The steps to an open session.
pub(super) fn open(ehlo: &str) -> Vec<Step> {
    vec![say("220 mx.test hi"), hear("EHLO us.test\r\n"), say(ehlo)]
}

/// The steps of a transaction that succeeds, with PIPELINING.
pub(super) fn success() -> Vec<Step> {
    vec![
        hear("DATA\r\n"),
        say("250 m\r\n250 r\r\n354 d"),
        hear("\r\n.\r\n"),
        say("250 2.0.0 ok"),
    ]
}

pub(super) fn say(line: &str) -> Step {
    Step::Say(format!("{line}\r\n"))
}

pub(super) fn hear(text: &'static str) -> Step {
    Step::Hear(text)
}

pub(super) const PIPELINING: &str = "250-mx.test\r\n250 PIPELINING";
pub(super) const PLAIN: &str = "250 mx.test";

impl Script {
    pub(super) fn of(steps: Vec<Vec<Step>>) -> Self {
        Script {
            source: None,
            connect: Connect::Ok,
            steps: steps.into_iter().flatten().collect(),
            buffer: 1 << 20,
        }
    }
}

/// The network and the server behind it.
pub(super) struct Peer {
    network: Arc<Scripted>,
    heard: oneshot::Receiver<String>,
    go: Arc<tokio::sync::Semaphore>,
}

struct Scripted {
    connect: Connect,
    stream: Mutex<Option<DuplexStream>>,
}

impl Peer {
    pub(super) fn new(script: Script, clock: Arc<SystemClock>) -> Self {
        let (ours, theirs) = duplex(script.buffer);
        let (sender, heard) = oneshot::channel();
        let go = Arc::new(tokio::sync::Semaphore::new(0));
        let gate = go.clone();
        tokio::spawn(async move {
            let mut server = Server {
                stream: theirs,
                heard: Vec::new(),
                searched: 0,
                clock,
                gate,
            };
            for step in script.steps {
                if server.run(step).await.is_err() {
                    break;
                }
            }
            let _ = server.stream.shutdown().await;
            let _ = sender.send(String::from_utf8_lossy(&server.heard).into_owned());
        });
        let network = Arc::new(Scripted {
            connect: script.connect,
            stream: Mutex::new(Some(ours)),
        });
        Peer { network, heard, go }
    }

    pub(super) fn network(&self) -> Arc<dyn Network> {
        self.network.clone()
    }

    /// Lets one [`Step::Await`] pass.
    pub(super) fn go(&self) {
        self.go.add_permits(1);
    }

    /// What the server heard, once it is over.
    pub(super) async fn heard(&mut self) -> String {
        (&mut self.heard).await.unwrap()
    }
}

impl Network for Scripted {
    fn connect(&self, way: remuda_mail::Way) -> Connecting {
        assert_eq!(way.endpoint.to_string(), "192.0.2.1:25");
        let stream = self.stream.lock().unwrap().take().expect("one dial");
        let connect = self.connect.clone();
        Box::pin(async move {
            match connect {
                Connect::Ok => Ok(Box::new(stream) as Box<dyn Transport>),
                Connect::Err(kind) => Err(kind.into()),
                Connect::Never => std::future::pending().await,
                Connect::Panic => panic!("the network is broken"),
            }
        })
    }
}

struct Server {
    stream: DuplexStream,
    heard: Vec<u8>,
    searched: usize,
    clock: Arc<SystemClock>,
    gate: Arc<tokio::sync::Semaphore>,
}

impl Server {
    async fn run(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Say(text) => self.stream.write_all(text.as_bytes()).await,
            Step::Hear(text) => {
                while !self.has_come(text.as_bytes()) {
                    self.read().await?;
                }
                Ok(())
            }
            Step::Take(octets) => {
                let enough = self.heard.len() + octets;
                while self.heard.len() < enough {
                    self.read().await?;
                }
                Ok(())
            }
            Step::Stall => loop {
                self.read().await?;
            },
            Step::Freeze => {
                self.clock.sleep_until(Monotonic::NEVER).await;
                Ok(())
            }
            Step::Wait(duration) => {
                let until = self.clock.now().monotonic + duration;
                self.clock.sleep_until(until).await;
                Ok(())
            }
            Step::Await => {
                self.gate.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }

    /// Answers whether `text` has come since what was heard before.
    fn has_come(&mut self, text: &[u8]) -> bool {
        let found = self.heard[self.searched..]
            .windows(text.len())
            .position(|window| window == text);
        self.searched = match found {
            Some(at) => self.searched + at + text.len(),
            None => self
                .searched
                .max((self.heard.len() + 1).saturating_sub(text.len())),
        };
        found.is_some()
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.heard).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
