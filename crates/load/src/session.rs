//! One session: greeting and EHLO, then one transaction after the other.
//!
//! # Contract
//! * **A refused message leaves the session usable**: RSET, or a lone dot where DATA was taken after all.
//! * **A message whose fate is unknown ends the session.**
//! * **A session found dead or leaving says so**: [`Sent::is_untouched`] when the server has answered
//!   nothing, or 421 to MAIL, so that the message may be sent over another session.
//! * **QUIT is said, and its reply awaited, whenever the session ends well.**

use bytes::BytesMut;

use crate::{
    client::{Broken, Client, Reply},
    message::Message,
    report::Result as End,
};

/// An open session.
pub(crate) struct Session {
    client: Client,
    has_pipelining: bool,
    output: BytesMut,
}

/// How a transaction ended, and whether the session can go on.
pub(crate) struct Sent {
    pub end: End,
    pub refused_recipients: u64,
    pub is_usable: bool,
    /// The server did not begin with the message.
    pub is_untouched: bool,
}

impl Sent {
    /// Ended by a reply.
    fn replied(reply: Reply, refused_recipients: u64) -> Self {
        Sent {
            // 421 announces the end of the session.
            is_usable: reply.code != 421,
            is_untouched: false,
            end: replied(reply),
            refused_recipients,
        }
    }

    /// Ended without a session to go on with.
    pub fn broken(end: End) -> Self {
        Sent {
            end,
            refused_recipients: 0,
            is_usable: false,
            is_untouched: false,
        }
    }
}

impl Session {
    /// Takes the greeting and says EHLO, or HELO where that is refused.
    ///
    /// # Errors
    /// How the first message ends when there is no session.
    pub async fn begin(mut client: Client, helo_name: &str) -> Result<Self, End> {
        let greeting = client.reply().await.map_err(before_content)?;
        if !greeting.is_positive() {
            return Err(replied(greeting));
        }
        let mut hello = ask(&mut client, &format!("EHLO {helo_name}\r\n"))
            .await
            .map_err(before_content)?;
        if (500..600).contains(&hello.code) {
            hello = ask(&mut client, &format!("HELO {helo_name}\r\n"))
                .await
                .map_err(before_content)?;
            hello.lines.clear();
        }
        if !hello.is_positive() {
            return Err(replied(hello));
        }
        let has_pipelining = hello
            .lines
            .iter()
            .any(|line| line.trim().eq_ignore_ascii_case("PIPELINING"));
        Ok(Session {
            client,
            has_pipelining,
            output: BytesMut::new(),
        })
    }

    /// Sends a message and waits for its final reply.
    pub async fn send(&mut self, message: &Message) -> Sent {
        let envelope = match self.envelope(message).await {
            Ok(envelope) => envelope,
            Err((broken, is_untouched)) => {
                return Sent {
                    is_untouched,
                    ..Sent::broken(before_content(broken))
                };
            }
        };
        let refused = envelope.refused_recipients;
        let was_begun = envelope.recipients() > 0;
        match envelope.refusal {
            Some(reply) => {
                let is_reset = reply.code != 421 && self.reset(envelope.is_data_open).await.is_ok();
                Sent {
                    is_untouched: reply.code == 421 && !was_begun,
                    is_usable: is_reset,
                    ..Sent::replied(reply, refused)
                }
            }
            None => self.content(&message.content, refused).await,
        }
    }

    /// Makes the session ready again after a refusal.
    async fn reset(&mut self, is_data_open: bool) -> Result<(), Broken> {
        if is_data_open {
            // RFC 2920 §3.1: DATA was taken although nobody was; nothing may be sent but the end.
            ask(&mut self.client, ".\r\n").await?;
        }
        ask(&mut self.client, "RSET\r\n").await?;
        Ok(())
    }

    /// Sends the content and waits for the final reply.
    async fn content(&mut self, content: &[u8], refused: u64) -> Sent {
        self.output.clear();
        stuff(content, &mut self.output);
        if let Err(broken) = self.client.write(&self.output).await {
            // The server may have said why it closes.
            return match self.client.reply().await {
                Ok(reply) if broken == Broken::Lost => Sent {
                    is_usable: false,
                    ..Sent::replied(reply, refused)
                },
                _ => Sent::broken(before_content(broken)),
            };
        }
        match self.client.reply().await {
            Ok(reply) => Sent::replied(reply, refused),
            Err(_) => Sent::broken(End::LostFinalReply),
        }
    }

    /// Says QUIT.
    pub async fn end(mut self) {
        // The messages are all decided: nothing that happens now matters.
        let _ = ask(&mut self.client, "QUIT\r\n").await;
    }

    /// Sends MAIL, RCPT and DATA, in one flight if possible. An error says whether it came before
    /// every reply.
    async fn envelope(&mut self, message: &Message) -> Result<Envelope, (Broken, bool)> {
        let mail = command("MAIL FROM:", &message.sender, &message.parameters);
        let rcpts: Vec<String> = message
            .recipients
            .iter()
            .map(|recipient| command("RCPT TO:", recipient, &message.recipient_parameters))
            .collect();
        if self.has_pipelining {
            self.envelope_at_once(&mail, &rcpts).await
        } else {
            self.envelope_by_steps(&mail, &rcpts).await
        }
    }

    async fn envelope_at_once(&mut self, mail: &str, rcpts: &[String]) -> Result<Envelope, (Broken, bool)> {
        self.output.clear();
        self.output.extend_from_slice(mail.as_bytes());
        for rcpt in rcpts {
            self.output.extend_from_slice(rcpt.as_bytes());
        }
        self.output.extend_from_slice(b"DATA\r\n");
        self.client
            .write(&self.output)
            .await
            .map_err(|broken| (broken, true))?;
        let mut envelope = Envelope::default();
        envelope.mail(self.client.reply().await.map_err(|broken| (broken, true))?);
        for _ in rcpts {
            // A server that closes with 421 answers nothing more.
            if envelope.is_closing {
                return Ok(envelope);
            }
            envelope.rcpt(self.client.reply().await.map_err(|broken| (broken, false))?);
        }
        envelope.decide_recipients();
        if !envelope.is_closing {
            envelope.data(self.client.reply().await.map_err(|broken| (broken, false))?);
        }
        Ok(envelope)
    }

    async fn envelope_by_steps(&mut self, mail: &str, rcpts: &[String]) -> Result<Envelope, (Broken, bool)> {
        let mut envelope = Envelope::default();
        envelope.mail(
            ask(&mut self.client, mail)
                .await
                .map_err(|broken| (broken, true))?,
        );
        for rcpt in rcpts {
            if envelope.refusal.is_some() {
                return Ok(envelope);
            }
            envelope.rcpt(
                ask(&mut self.client, rcpt)
                    .await
                    .map_err(|broken| (broken, false))?,
            );
        }
        envelope.decide_recipients();
        if envelope.refusal.is_none() {
            envelope.data(
                ask(&mut self.client, "DATA\r\n")
                    .await
                    .map_err(|broken| (broken, false))?,
            );
        }
        Ok(envelope)
    }
}

/// What the replies to MAIL, RCPT and DATA amount to.
#[derive(Default)]
struct Envelope {
    /// The reply that decides against the message.
    refusal: Option<Reply>,
    accepted_recipients: u64,
    refused_recipients: u64,
    last_refused: Option<Reply>,
    is_data_open: bool,
    is_closing: bool,
}

impl Envelope {
    /// Recipients that got a reply.
    fn recipients(&self) -> u64 {
        self.accepted_recipients + self.refused_recipients
    }

    fn mail(&mut self, reply: Reply) {
        self.is_closing = reply.code == 421;
        if !reply.is_positive() {
            self.refusal = Some(reply);
        }
    }

    fn rcpt(&mut self, reply: Reply) {
        if reply.is_positive() {
            self.accepted_recipients += 1;
            return;
        }
        self.refused_recipients += 1;
        if reply.code == 421 {
            self.is_closing = true;
            self.refusal = Some(reply);
        } else {
            self.last_refused = Some(reply);
        }
    }

    /// Without a recipient the last refusal decides.
    fn decide_recipients(&mut self) {
        if self.accepted_recipients == 0 && self.refusal.is_none() {
            self.refusal = self.last_refused.take();
        }
    }

    fn data(&mut self, reply: Reply) {
        self.is_data_open = reply.code == 354;
        if !self.is_data_open && self.refusal.is_none() {
            self.refusal = Some(reply);
        }
    }
}

/// Sends one command and waits for its reply.
async fn ask(client: &mut Client, line: &str) -> Result<Reply, Broken> {
    client.write(line.as_bytes()).await?;
    client.reply().await
}

fn command(verb: &str, address: &str, parameters: &str) -> String {
    let separator = if parameters.is_empty() { "" } else { " " };
    format!("{verb}<{address}>{separator}{parameters}\r\n")
}

/// Appends content as DATA carries it: dots stuffed, ended by a lone dot (RFC 5321 §4.5.2).
fn stuff(content: &[u8], output: &mut BytesMut) {
    output.reserve(content.len() + content.len() / 64 + 8);
    let mut rest = content;
    if rest.starts_with(b".") {
        output.extend_from_slice(b".");
    }
    while let Some(at) = memchr::memmem::find(rest, b"\r\n.") {
        let (before, after) = rest.split_at(at + 2);
        output.extend_from_slice(before);
        output.extend_from_slice(b".");
        rest = after;
    }
    output.extend_from_slice(rest);
    if !content.is_empty() && !content.ends_with(b"\r\n") {
        output.extend_from_slice(b"\r\n");
    }
    output.extend_from_slice(b".\r\n");
}

fn replied(reply: Reply) -> End {
    let (code, text) = reply.text();
    End::Replied { code, text }
}

/// What a broken wire means while the message cannot have been accepted.
fn before_content(broken: Broken) -> End {
    match broken {
        Broken::Lost => End::Lost,
        Broken::TimedOut => End::TimedOut,
        Broken::NoReply => End::NoReply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_and_the_end_is_a_lone_dot() {
        for (content, wire) in [
            ("", ".\r\n"),
            (".", "..\r\n.\r\n"),
            ("a\r\n.\r\n..b\r\n", "a\r\n..\r\n...b\r\n.\r\n"),
            ("\r\n.\r\n", "\r\n..\r\n.\r\n"),
            ("a\n.b", "a\n.b\r\n.\r\n"),
        ] {
            let mut output = BytesMut::new();
            stuff(content.as_bytes(), &mut output);
            assert_eq!(&output[..], wire.as_bytes(), "{content:?}");
        }
    }
}
