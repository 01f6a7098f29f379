//! Submits one message to the server by SMTP, over one blocking connection.
//!
//! # Contract
//! * **4xx, and a server that is not there or goes away, is exit 75; 5xx is exit 1** with the server's words.
//! * **A final reply that does not come is no success.**

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use remuda_mail::{Address, Capabilities, Class, Reply, Sender};
use remuda_smtp::{client, dot::DotEncoder, reply::ReplyParser};

use super::arguments::DsnOptions;
use crate::exit::{Exit, Failure};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// RFC 5321 §4.5.3.2: five minutes for a command, ten for the end of the content.
const REPLY_TIMEOUT: Duration = Duration::from_secs(600);

/// What is submitted.
#[derive(Debug)]
pub struct Submission {
    /// Who sends.
    pub sender: Sender,
    /// To whom; not empty.
    pub recipients: Vec<Address>,
    /// What is wanted of reports.
    pub dsn: DsnOptions,
    /// Lines end in CRLF.
    pub content: Vec<u8>,
}

/// Submits it to `server`.
///
/// # Errors
/// It was not accepted.
pub fn submit(server: SocketAddr, helo_name: &str, submission: &Submission) -> Result<(), Failure> {
    let stream = TcpStream::connect_timeout(&server, CONNECT_TIMEOUT).and_then(|stream| {
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    let stream = stream.map_err(|error| lost(server, "connecting", &error))?;
    Conversation {
        stream,
        server,
        parser: ReplyParser::new(),
        input: Vec::new(),
    }
    .run(helo_name, submission)
}

struct Conversation<S> {
    stream: S,
    server: SocketAddr,
    parser: ReplyParser,
    input: Vec<u8>,
}

impl<S: Read + Write> Conversation<S> {
    fn run(mut self, helo_name: &str, submission: &Submission) -> Result<(), Failure> {
        let greeting = self.reply("the greeting")?;
        expect("the greeting", greeting, Class::Positive)?;
        let offered = self.command("EHLO", &format!("EHLO {helo_name}"), Class::Positive)?;
        let offered = client::capabilities(&offered);
        self.command("MAIL", &mail(submission, &offered)?, Class::Positive)?;
        for recipient in &submission.recipients {
            self.command("RCPT", &rcpt(recipient, submission, &offered), Class::Positive)?;
        }
        self.command("DATA", "DATA", Class::Intermediate)?;
        let mut out = Vec::with_capacity(submission.content.len() + 64);
        let mut encoder = DotEncoder::new();
        encoder.encode(&submission.content, &mut out);
        encoder.finish(&mut out);
        self.send("the content", &out)?;
        let last = self.reply("the content")?;
        expect("the content", last, Class::Positive)?;
        // It is accepted; how the server says goodbye changes nothing.
        let _ = self.stream.write_all(b"QUIT\r\n");
        Ok(())
    }

    fn command(&mut self, name: &str, line: &str, wanted: Class) -> Result<Reply, Failure> {
        self.send(name, format!("{line}\r\n").as_bytes())?;
        let reply = self.reply(name)?;
        expect(line, reply, wanted)
    }

    fn send(&mut self, step: &str, octets: &[u8]) -> Result<(), Failure> {
        self.stream
            .write_all(octets)
            .map_err(|error| lost(self.server, step, &error))
    }

    fn reply(&mut self, step: &str) -> Result<Reply, Failure> {
        let mut chunk = [0; 4096];
        loop {
            let mut unread = self.input.as_slice();
            let parsed = self.parser.next(&mut unread);
            let left = unread.len();
            self.input.drain(..self.input.len() - left);
            match parsed {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("{} at {step}: {error}", self.server),
                    ));
                }
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(lost(self.server, step, &io::ErrorKind::UnexpectedEof.into())),
                Ok(length) => self.input.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(self.server, step, &error)),
            }
        }
    }
}

fn lost(server: SocketAddr, step: &str, error: &io::Error) -> Failure {
    Failure::new(
        Exit::TryLater,
        format!("{server} cannot take the message now: {step}: {error}"),
    )
}

fn expect(step: &str, reply: Reply, wanted: Class) -> Result<Reply, Failure> {
    match reply.class() {
        class if class == wanted => Ok(reply),
        Class::Transient => Err(Failure::new(
            Exit::TryLater,
            format!("refused for now: {reply} (to {step})"),
        )),
        _ => Err(Failure::new(
            Exit::Failed,
            format!("refused: {reply} (to {step})"),
        )),
    }
}

/// The MAIL command, with the parameters that are needed and offered.
fn mail(submission: &Submission, offered: &Capabilities) -> Result<String, Failure> {
    let mut line = format!("MAIL FROM:<{}>", submission.sender);
    if offered.size {
        let _ = write!(line, " SIZE={}", submission.content.len());
    }
    let is_ascii = submission.content.is_ascii();
    if offered.eight_bit_mime && !is_ascii {
        line.push_str(" BODY=8BITMIME");
    }
    let addresses = submission.sender.0.iter().chain(&submission.recipients);
    if !addresses.into_iter().all(Address::is_ascii) {
        if !offered.smtputf8 {
            return Err(Failure::new(
                Exit::Failed,
                "an address is not ASCII, and the server does not offer SMTPUTF8",
            ));
        }
        line.push_str(" SMTPUTF8");
    }
    if offered.dsn {
        if let Some(ret) = &submission.dsn.ret {
            let _ = write!(line, " RET={ret}");
        }
        if let Some(id) = &submission.dsn.envelope_id {
            let _ = write!(line, " ENVID={}", xtext(id));
        }
    }
    Ok(line)
}

fn rcpt(recipient: &Address, submission: &Submission, offered: &Capabilities) -> String {
    match &submission.dsn.notify {
        Some(notify) if offered.dsn => format!("RCPT TO:<{recipient}> NOTIFY={notify}"),
        _ => format!("RCPT TO:<{recipient}>"),
    }
}

/// RFC 3461 §4.
fn xtext(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'+' && byte != b'=' => out.push(char::from(byte)),
            byte => {
                let _ = write!(out, "+{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
