//! What goes out and which replies are due for it, in order.
//!
//! Commands are written into one buffer; how much of it may go out is decided by [`release`](Flight::release_all):
//! with PIPELINING a whole group, without it one command after each reply. So a group is one write, and
//! what a negative reply makes pointless is cut off at the first command that has not begun to go out.
//!
//! ```text
//!   MAIL… ┊ RCPT… ┊ RCPT… ┊ DATA       awaited: Mail, Rcpt, Rcpt, Data
//!   ───────┬───────────┬───────
//!        written    released
//! ```
//!
//! # Contract
//! * **Replies are matched in order**, each to the oldest command that has none, and only if that command
//!   has gone out as a whole.
//! * **A command goes out as a whole or not at all.**

use std::collections::VecDeque;

use super::Step;

/// The outgoing octets and the awaited replies. Room for commands of several transactions.
#[derive(Debug, Default)]
pub(super) struct Flight {
    bytes: Vec<u8>,
    /// Octets that were cut off the front of `bytes` so far; the offsets below count them.
    base: u64,
    written: u64,
    released: u64,
    awaited: VecDeque<Awaited>,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    step: Step,
    /// Where its command begins.
    begin: u64,
    /// Where its command ends.
    end: u64,
}

impl Flight {
    /// Adds a command and the reply that it will have.
    pub(super) fn command(&mut self, step: Step, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.end();
        write(&mut self.bytes);
        let end = self.end();
        self.awaited.push_back(Awaited { step, begin, end });
    }

    /// Adds a reply that is due without a command: the greeting, or one to content that begins.
    pub(super) fn expect(&mut self, step: Step) {
        let (begin, end) = (self.written, self.written);
        self.awaited.push_back(Awaited { step, begin, end });
    }

    /// Adds content, which may go out at once.
    pub(super) fn content(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.release_all();
    }

    /// Lets everything go out.
    pub(super) fn release_all(&mut self) {
        self.released = self.end();
    }

    /// Lets the oldest command without a reply go out, and none behind it.
    pub(super) fn release_next(&mut self) {
        if let Some(next) = self.awaited.front() {
            self.released = self.released.max(next.end);
        }
    }

    /// What may go out now.
    pub(super) fn output(&self) -> &[u8] {
        let at = |offset: u64| usize::try_from(offset - self.base).unwrap_or(usize::MAX);
        &self.bytes[at(self.written)..at(self.released)]
    }

    /// Notes that the first `length` octets of [`output`](Self::output) have gone out.
    pub(super) fn wrote(&mut self, length: usize) {
        self.written = self.released.min(self.written + length as u64);
        if self.written == self.end() {
            self.base = self.written;
            self.bytes.clear();
        }
    }

    /// Answers whether everything that was added has gone out.
    pub(super) fn is_written(&self) -> bool {
        self.written == self.end()
    }

    /// The step whose reply is due next, if its command has begun to go out or may.
    pub(super) fn awaiting(&self) -> Option<Step> {
        self.awaited.front().map(|awaited| awaited.step)
    }

    /// Answers whether the next reply can be one: its command has gone out as a whole.
    pub(super) fn is_due(&self) -> bool {
        self.awaited
            .front()
            .is_some_and(|awaited| awaited.end <= self.written)
    }

    /// Takes the step that a reply has just come for.
    pub(super) fn answered(&mut self) -> Option<Step> {
        self.awaited.pop_front().map(|awaited| awaited.step)
    }

    /// Cuts off every command that has not begun to go out; answers how many.
    pub(super) fn cancel_unsent(&mut self) -> usize {
        let before = self.awaited.len();
        let has_begun = |awaited: &&Awaited| awaited.begin < self.written || awaited.end <= self.written;
        let kept = self.awaited.iter().take_while(has_begun).count();
        let end = self.awaited.iter().take(kept).map(|awaited| awaited.end).max();
        self.awaited.truncate(kept);
        let keep = end.unwrap_or(0).max(self.written);
        self.bytes
            .truncate(usize::try_from(keep - self.base).unwrap_or(usize::MAX));
        self.released = keep;
        self.wrote(0);
        before - kept
    }

    /// Forgets everything: the connection is of no use any more.
    pub(super) fn clear(&mut self) {
        *self = Flight::default();
    }

    /// Gives the buffer's memory back; for sessions that lie idle.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to(0);
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight() -> Flight {
        let mut flight = Flight::default();
        for (step, command) in [
            (Step::Mail, "MAIL\r\n"),
            (Step::Rcpt, "RCPT\r\n"),
            (Step::Data, "DATA\r\n"),
        ] {
            flight.command(step, |out| out.extend_from_slice(command.as_bytes()));
        }
        flight
    }

    #[test]
    fn a_group_is_one_write_and_a_single_command_waits_for_the_reply_before() {
        let mut group = flight();
        group.release_all();
        assert_eq!(group.output(), b"MAIL\r\nRCPT\r\nDATA\r\n");

        let mut single = flight();
        single.release_next();
        assert_eq!(single.output(), b"MAIL\r\n");
        single.wrote(6);
        assert!(single.output().is_empty() && single.is_due());
        assert_eq!(single.answered(), Some(Step::Mail));
        assert!(!single.is_due(), "its command has not gone out");
        single.release_next();
        assert_eq!(single.output(), b"RCPT\r\n");
    }

    #[test]
    fn a_command_goes_out_as_a_whole_or_not_at_all() {
        for (written, left, cancelled) in [
            (0, "", 3),
            (1, "AIL\r\n", 2),
            (6, "", 2),
            (7, "CPT\r\n", 1),
            (12, "", 1),
            (13, "ATA\r\n", 0),
            (18, "", 0),
        ] {
            let mut flight = flight();
            flight.release_all();
            flight.wrote(written);
            assert_eq!(flight.cancel_unsent(), cancelled, "{written}");
            assert_eq!(flight.output(), left.as_bytes(), "{written}");
        }
    }

    #[test]
    fn what_was_answered_does_not_confuse_a_later_cut() {
        let mut flight = flight();
        flight.release_all();
        flight.wrote(8);
        assert_eq!(flight.answered(), Some(Step::Mail));
        assert_eq!(flight.cancel_unsent(), 1);
        assert_eq!(flight.output(), b"PT\r\n");
        flight.wrote(4);
        assert!(flight.is_written() && flight.is_due());
        assert_eq!(flight.answered(), Some(Step::Rcpt));
        assert_eq!(flight.awaiting(), None);
    }
}
