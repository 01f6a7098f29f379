//! What is logged on this thread: for tests whose engine runs on it alone.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Dispatch,
    subscriber::{DefaultGuard, NoSubscriber},
};

/// The lines so far.
#[derive(Clone)]
pub struct Logged {
    octets: Arc<Mutex<Vec<u8>>>,
    word: &'static str,
}

/// Lines are kept while it lives.
pub struct Here {
    _default: DefaultGuard,
    /// While there is only one subscriber, a place that logs for the first time asks the one of its own thread
    /// whether anybody listens. With two all are asked, and no thread of another test answers for this one.
    _second: Dispatch,
}

impl Logged {
    /// Keeps what is logged while the guard lives; lines with this word are shown.
    pub fn here(word: &'static str) -> (Logged, Here) {
        let logged = Logged {
            octets: Arc::default(),
            word,
        };
        let writer = logged.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let here = Here {
            _default: tracing::subscriber::set_default(subscriber),
            _second: Dispatch::new(NoSubscriber::default()),
        };
        (logged, here)
    }

    pub fn lines(&self) -> Vec<String> {
        let text = self.octets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8(text).unwrap();
        let lines = text.lines().filter(|line| line.contains(self.word));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Logged {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.octets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
