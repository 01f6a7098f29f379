//! What the real servers have in common: an address to send to, and the mail that they kept.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
};

use crate::wait;

/// What a peer does with the mail it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Keeps it all in one Maildir, but refuses recipients whose local part is [`UNKNOWN`].
    Keep,
    /// Sends it all to this address.
    RelayTo(SocketAddr),
}

/// The local part that no peer knows.
pub const UNKNOWN: &str = "unknown";

/// The sender whose MAIL Exim refuses, and Postfix with [`REFUSALS`](crate::postfix::REFUSALS).
pub const REFUSED_SENDER: &str = "refused@source.test";

/// The subject whose content they refuse.
pub const REFUSED_SUBJECT: &str = "refused content";

/// A running server that is not ours.
pub trait Peer {
    /// Its name, for messages.
    fn name(&self) -> &'static str;

    /// Where it takes mail.
    fn address(&self) -> SocketAddr;

    /// Where it keeps mail.
    fn maildir(&self) -> PathBuf;

    /// Its log so far.
    fn log(&self) -> String;

    /// The messages that have arrived and were kept, header fields of the delivery included, oldest
    /// first as far as their names say.
    fn messages(&self) -> Vec<Vec<u8>> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.maildir().join("new"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.sort();
        files.iter().filter_map(|file| fs::read(file).ok()).collect()
    }

    /// The same, each with its recipient and content.
    fn kept(&self) -> Vec<Kept> {
        self.messages().iter().map(|raw| Kept::read(raw)).collect()
    }
}

/// A message as a server kept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whom it was delivered to.
    pub recipient: String,
    /// From whom: the Return-Path; empty for a report.
    pub sender: String,
    /// Everything behind the fields of the delivery and the trace, lines ending in CR LF.
    pub content: Vec<u8>,
}

impl Kept {
    /// Takes a file of a Maildir apart.
    fn read(raw: &[u8]) -> Self {
        let mut kept = Kept {
            recipient: String::new(),
            sender: String::new(),
            content: Vec::new(),
        };
        let mut is_front = true;
        for line in raw.split_inclusive(|octet| *octet == b'\n') {
            is_front = is_front && kept.take_front(line);
            if !is_front {
                let text = line.strip_suffix(b"\n").unwrap_or(line);
                kept.content
                    .extend_from_slice(text.strip_suffix(b"\r").unwrap_or(text));
                kept.content.extend_from_slice(b"\r\n");
            }
        }
        kept
    }

    /// Whether the line is still a field that some server has put in front.
    fn take_front(&mut self, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let Some((name, value)) = line.split_once(':') else {
            return line.starts_with([' ', '\t']);
        };
        let address = || value.trim().trim_matches(['<', '>']).to_owned();
        match name.to_ascii_lowercase().as_str() {
            "delivered-to" | "envelope-to" => self.recipient = address(),
            "return-path" => self.sender = address(),
            "received" | "delivery-date" | "x-original-to" => {}
            _ => return line.starts_with([' ', '\t']),
        }
        true
    }

    /// Its content as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

/// Whether somebody greets at this address.
pub(crate) fn greets(address: SocketAddr) -> bool {
    let greeting = TcpStream::connect(address).and_then(|stream| {
        if stream.local_addr()? == address {
            // Nobody listens yet, and TCP has connected us to ourselves.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        stream.set_read_timeout(Some(wait::PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line)
    });
    greeting.is_ok_and(|line| line.starts_with("220 "))
}

/// A text file, empty when it is not there.
pub(crate) fn read_text(path: &Path) -> String {
    fs::read(path)
        .map(|octets| String::from_utf8_lossy(&octets).into_owned())
        .unwrap_or_default()
}

/// Fails with words that name what is missing.
pub(crate) fn missing(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_message_is_taken_apart_behind_the_fields_of_the_servers() {
        let raw = b"Return-Path: <a@b.test>\nX-Original-To: c@d.test\nDelivered-To: c@d.test\n\
            Received: from x\n\tby y; z: 1\nSubject: s\n folded: x\n\nReceived: no\n.\n";
        let kept = Kept::read(raw);
        assert_eq!(
            (kept.recipient.as_str(), kept.sender.as_str()),
            ("c@d.test", "a@b.test")
        );
        assert_eq!(
            kept.content,
            b"Subject: s\r\n folded: x\r\n\r\nReceived: no\r\n.\r\n"
        );
    }
}
