//! One connection: octets in, replies out, at the time that the round trip and the script allow.
//!
//! # Contract
//! * **A flight is all that comes between two replies.** Replies go out together when the input ends
//!   at the end of a command, chunk or message and one round trip has passed since the first octet of
//!   the flight; input that comes before that belongs to the flight.
//! * **What a client can know it has been counted first**: a message is in the report before its
//!   reply is written, a connection that QUIT is no longer open before 221 is.
//! * **A delay or stall holds only its own reply and later ones**: earlier ones are sent first.
//!
//! # Limits
//! A command line may have [`LINE_READ_MAX`] octets; a longer one ends the connection.
//!
//! # Known faults
//! Without a round trip a flight that the network delivers in several pieces may be answered, and
//! counted, in several.

mod content;
mod tls;

use std::{io, mem};

use bytes::BytesMut;
use remuda_clock::SharedClock;
use tokio::net::TcpStream;

use crate::{
    command::Command,
    script::{Fate, Script, Verdict},
    selector::Point,
    server::Seat,
    session::{Session, Step},
    violation::{Violation, ViolationKind},
    wire::Wire,
};

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, seat: Seat, clock: SharedClock) {
    let shared = seat.shared();
    let mut connection = Connection {
        session: Session::new(shared.listener.clone(), shared.keeps, seat.number()),
        script: Script::new(shared.rules.clone()),
        wire: Wire::new(stream, clock, shared.listener.rtt),
        seat,
        last_line: String::new(),
    };
    // An error is the client's end of the connection, like any other.
    let end = connection.converse().await.unwrap_or(End::Left);
    connection.end(end).await;
}

struct Connection {
    wire: Wire,
    seat: Seat,
    session: Session,
    script: Script,
    last_line: String,
}

/// How a conversation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closed or the connection broke.
    Left,
    /// The client closed inside a command or the content.
    Truncated,
    /// The client said QUIT and got its reply.
    Quit,
    /// The sink closes.
    Closed,
    /// The sink resets.
    Reset,
}

/// Whether a conversation goes on.
type Course = Result<(), End>;

impl Connection {
    async fn converse(&mut self) -> io::Result<End> {
        if self.session.is_tls_implicit() {
            self.wire.accept().await;
            self.handshake().await?;
        }
        if let Err(end) = self.greet().await? {
            return Ok(end);
        }
        loop {
            let line = match self.line().await? {
                Ok(line) => line,
                Err(end) => return Ok(end),
            };
            if let Err(end) = self.command(&line).await? {
                return Ok(end);
            }
        }
    }

    /// Accepts and greets: each costs a round trip.
    async fn greet(&mut self) -> io::Result<Course> {
        if !self.session.is_tls_implicit() {
            self.wire.accept().await;
        }
        let verdict = self.at(Point::Connect, "");
        if let Err(end) = self.abide(Point::Connect, &verdict).await? {
            return Ok(Err(end));
        }
        if self.wire.try_read() > 0 {
            self.violate(ViolationKind::EarlyTalk, "before the greeting");
        }
        let step = self.session.greet(verdict.reply.as_deref());
        self.send().await?;
        Ok(if step == Step::Close {
            Err(End::Closed)
        } else {
            Ok(())
        })
    }

    /// The next command line, with its line end.
    async fn line(&mut self) -> io::Result<Result<BytesMut, End>> {
        let mut searched = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.wire.input[searched..]) {
                return Ok(Ok(self.wire.input.split_to(searched + at + 1)));
            }
            searched = self.wire.input.len();
            if searched > LINE_READ_MAX {
                self.violate(ViolationKind::CommandTooLong, "no end of line");
                self.session.out.extend_from_slice(b"500 5.5.2 line too long\r\n");
                self.send().await?;
                return Ok(Err(End::Closed));
            }
            if !self.more(self.wire.input.is_empty()).await? {
                return Ok(Err(if self.wire.input.is_empty() {
                    End::Left
                } else {
                    End::Truncated
                }));
            }
        }
    }

    /// Checks, obeys the script and answers.
    async fn command(&mut self, line: &[u8]) -> io::Result<Course> {
        let text = String::from_utf8_lossy(line);
        let text = text
            .strip_suffix('\n')
            .map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
        self.check_line(line, text);
        if self.session.asks() {
            self.session.answer_auth(text);
            return Ok(Ok(()));
        }
        let command = Command::parse(text);
        self.wire.flight.is_transaction |= matches!(
            command,
            Command::Mail(_) | Command::Rcpt(_) | Command::Data | Command::Bdat { .. } | Command::Rset
        );
        if matches!(command, Command::Mail(_)) {
            self.script.begin_transaction();
        }
        let mut verdict = Verdict::default();
        if let Some((point, address)) = Session::point(&command) {
            verdict = self.at(point, address);
            if let Err(end) = self.abide(point, &verdict).await? {
                return Ok(Err(end));
            }
        }
        let step = self.session.answer(&command, verdict.reply.as_deref());
        self.count_violations(text);
        let course = match step {
            Step::Continue => Ok(()),
            Step::StartTls => self.start_tls().await?,
            Step::Data => self.data().await?,
            Step::Chunk { length, is_last } => self.chunk(length, is_last).await?,
            Step::Close => self.close(command == Command::Quit).await?,
        };
        self.last_line.clear();
        self.last_line.push_str(&shown(text));
        Ok(course)
    }

    /// Looks for errors that any command may have.
    fn check_line(&mut self, line: &[u8], text: &str) {
        let is_pipelined = !self.session.out.is_empty();
        if is_pipelined && self.session.is_group_end {
            self.violate(ViolationKind::PipelinedTooFar, text);
        } else if is_pipelined && !self.session.offers_pipelining() {
            self.violate(ViolationKind::PipeliningNotOffered, text);
        }
        if !line.ends_with(b"\r\n") {
            self.violate(ViolationKind::BareLfInCommand, text);
        }
        if text.contains(['\r', '\0']) {
            self.violate(ViolationKind::ControlInCommand, text);
        }
        if line.len() > Command::line_max(line) {
            self.violate(ViolationKind::CommandTooLong, text);
        }
    }

    /// Sends the last replies.
    async fn close(&mut self, is_quit: bool) -> io::Result<Course> {
        self.wire.round_trip().await;
        self.seat.leave();
        if is_quit && (!self.wire.input.is_empty() || self.wire.try_read() > 0) {
            self.violate(ViolationKind::DataAfterQuit, "after QUIT");
        }
        let sent = self.send().await;
        if is_quit {
            // A client that does not wait for 221 has said QUIT all the same.
            return Ok(Err(End::Quit));
        }
        sent?;
        Ok(Err(End::Closed))
    }

    /// What the script says to do at a point that is reached now.
    fn at(&mut self, point: Point, address: &str) -> Verdict {
        let now = self.wire.clock().now().monotonic;
        self.script.at(point, address, now)
    }

    /// Does what the script says before an answer: `Err` when there will be none.
    async fn abide(&mut self, point: Point, verdict: &Verdict) -> io::Result<Course> {
        if verdict.delay.is_zero() && verdict.fate == Fate::Answer {
            return Ok(Ok(()));
        }
        self.send_earlier().await?;
        self.wire.sleep(verdict.delay).await;
        Ok(match verdict.fate {
            Fate::Answer => Ok(()),
            Fate::Stall if point == Point::Content => std::future::pending().await,
            Fate::Stall => {
                self.wire.drain().await?;
                Err(End::Left)
            }
            Fate::Drop { is_reset: false } => Err(End::Closed),
            Fate::Drop { is_reset: true } => Err(End::Reset),
        })
    }

    /// Reads more input; before that sends the replies that are due, when the input ends at a
    /// boundary. `false` at the end of the stream.
    async fn more(&mut self, is_boundary: bool) -> io::Result<bool> {
        if is_boundary && !self.session.out.is_empty() {
            if let Some(read) = self.wire.read_in_time().await? {
                return self.end_or_input(read).await;
            }
            self.send().await?;
        }
        let read = self.wire.read().await?;
        self.end_or_input(read).await
    }

    /// At the end of the stream the replies still go out: the client may have closed only its side.
    async fn end_or_input(&mut self, read: usize) -> io::Result<bool> {
        if read == 0 && !self.session.out.is_empty() {
            self.send().await?;
        }
        Ok(read > 0)
    }

    /// Sends the replies and ends the flight.
    async fn send(&mut self) -> io::Result<()> {
        if self.wire.end_flight() {
            self.seat.shared().counters.flight();
        }
        self.write().await
    }

    /// Sends the replies there are while the flight goes on.
    async fn send_earlier(&mut self) -> io::Result<()> {
        if self.session.out.is_empty() {
            return Ok(());
        }
        self.wire.round_trip().await;
        self.write().await
    }

    async fn write(&mut self) -> io::Result<()> {
        let answered = self
            .seat
            .count_ended(self.session.ended.drain(..), self.wire.clock());
        self.wire.write(&self.session.out).await?;
        self.session.replies_are_out();
        self.seat.shared().answered(answered);
        Ok(())
    }

    /// Ends the connection so that the client sees what `end` is.
    async fn end(&mut self, end: End) {
        match end {
            End::Left => self.seat.shared().counters.left_without_quit(),
            End::Truncated => {
                self.seat.shared().counters.left_without_quit();
                self.violate(ViolationKind::Truncated, "end of the connection");
            }
            End::Quit | End::Closed => self.linger(end == End::Quit).await,
            End::Reset => self.wire.reset(),
        }
    }

    /// Closes the sink's side and waits for the client's, so that no reset overtakes the last reply.
    async fn linger(&mut self, is_quit: bool) {
        self.seat.leave();
        if self.wire.linger().await > 0 && is_quit {
            self.violate(ViolationKind::DataAfterQuit, "after 221");
        }
    }

    /// Counts what the session has found wrong with `line`.
    fn count_violations(&mut self, line: &str) {
        for kind in mem::take(&mut self.session.violations) {
            self.violate(kind, line);
        }
        for (kind, line) in mem::take(&mut self.session.content_violations) {
            self.violate(kind, &line);
        }
    }

    fn violate(&self, kind: ViolationKind, line: &str) {
        let lines = [self.last_line.clone(), shown(line)];
        self.seat.shared().counters.violation(Violation {
            kind,
            connection: self.seat.number(),
            lines: lines.into_iter().filter(|line| !line.is_empty()).collect(),
        });
    }
}

/// A line as the report shows it.
fn shown(line: &str) -> String {
    line.chars()
        .take(LINE_SHOWN_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

/// The longest command line that is read.
const LINE_READ_MAX: usize = 64 * 1024;
/// How much of a line the report shows.
const LINE_SHOWN_MAX: usize = 300;
