//! What goes out and which replies are due for it, in order.
//!
//! Commands are written into one buffer; how much of it may go out is decided by [`release`](Flight::release_all):
//! with PIPELINING a whole group, without it one command after each reply. So a group is one write, and
//! what a negative reply makes pointless is cut out from the first command that has not begun to go out.
//!
//! ```text
//!   first transaction                    second
//!   MAIL… ┊ RCPT… ┊ BDAT… content      ┊ RSET ┊ MAIL… ┊ …      awaited: Mail, Rcpt, Bdat, Rset, Mail, …
//!   ───────┬───────────┬───────
//!        written    released
//! ```
//!
//! # Contract
//! * **Replies are matched in order**, each to the oldest command that has none, and only if that command
//!   has gone out: as a whole, or of BDAT its line, since a server may refuse it before it has the content.
//! * **A command goes out as a whole or not at all**, BDAT with its content.

use std::collections::VecDeque;

use super::Step;

/// The outgoing octets and the awaited replies, of one transaction or several.
#[derive(Debug, Default)]
pub(super) struct Flight {
    bytes: Vec<u8>,
    /// Octets that were cut off the front of `bytes` so far; the offsets below count them.
    base: u64,
    written: u64,
    released: u64,
    awaited: VecDeque<Awaited>,
    /// The transaction whose commands are being added.
    group: u64,
    /// Where the content of each transaction under way ends, once it is known.
    content_ends: VecDeque<(u64, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    step: Step,
    /// Of which transaction.
    group: u64,
    /// Where its command begins.
    begin: u64,
    /// How much must have gone out before it can be answered.
    due: u64,
    /// Where its command ends.
    end: u64,
}

/// What of a transaction's commands that have not begun to go out is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// All of them.
    All,
    /// All but the last, which asks for the content or brings it.
    ButLast,
}

impl Flight {
    /// Begins the commands of another transaction.
    pub(super) fn group(&mut self) -> u64 {
        self.group += 1;
        self.group
    }

    /// Adds a command and the reply that it will have.
    pub(super) fn command(&mut self, step: Step, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.end();
        write(&mut self.bytes);
        let end = self.end();
        self.push(step, begin, end, end);
    }

    /// Adds BDAT with the whole content (RFC 3030 §2).
    pub(super) fn bdat(&mut self, content: &[u8]) {
        let begin = self.end();
        let line = format!("BDAT {} LAST\r\n", content.len());
        self.bytes.reserve(line.len() + content.len());
        self.bytes.extend_from_slice(line.as_bytes());
        let due = self.end();
        self.bytes.extend_from_slice(content);
        let end = self.end();
        self.push(Step::Bdat, begin, due, end);
        self.content_ends.push_back((self.group, end));
    }

    /// Adds a reply that is due without a command: the greeting, or one to content that begins.
    pub(super) fn expect(&mut self, step: Step) {
        self.push(step, self.written, self.written, self.written);
    }

    /// Adds content, which may go out at once.
    pub(super) fn content(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.release_all();
    }

    /// What was added last is the end of the content.
    pub(super) fn content_ends(&mut self) {
        self.content_ends.push_back((self.group, self.end()));
    }

    /// Answers whether the end of a transaction's content has gone out.
    pub(super) fn is_content_out(&self, group: u64) -> bool {
        let end = self.content_ends.iter().find(|(of, _)| *of == group);
        end.is_some_and(|(_, end)| *end <= self.written)
    }

    /// A transaction is over.
    pub(super) fn forget(&mut self, group: u64) {
        self.content_ends.retain(|(of, _)| *of > group);
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
        &self.bytes[self.at(self.written)..self.at(self.released)]
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

    /// Answers whether a transaction has replies to come.
    pub(super) fn is_awaited(&self, group: u64) -> bool {
        // In order: nothing of a transaction is behind the next one's.
        self.awaited.front().is_some_and(|awaited| awaited.group <= group)
    }

    /// Answers whether the next reply can be one: its command has gone out.
    pub(super) fn is_due(&self) -> bool {
        self.awaited
            .front()
            .is_some_and(|awaited| awaited.due <= self.written)
    }

    /// Takes the step that a reply has just come for.
    pub(super) fn answered(&mut self) -> Option<Step> {
        self.awaited.pop_front().map(|awaited| awaited.step)
    }

    /// Cuts out the commands of a transaction that have not begun to go out; answers how many.
    pub(super) fn cancel_unsent(&mut self, group: u64, cut: Cut) -> usize {
        let written = self.written;
        let is_unsent = |awaited: &Awaited| awaited.begin >= written && awaited.end > written;
        let of_group = |awaited: &Awaited| awaited.group == group;
        let first = self.awaited.iter().position(|a| of_group(a) && is_unsent(a));
        let Some(first) = first else { return 0 };
        let after = self
            .awaited
            .iter()
            .skip(first)
            .take_while(|a| of_group(a))
            .count()
            + first;
        let after = match cut {
            Cut::All => after,
            Cut::ButLast => after - 1,
        };
        if after <= first {
            return 0;
        }
        let (from, to) = (self.awaited[first].begin, self.awaited[after - 1].end);
        self.awaited.drain(first..after);
        self.bytes.drain(self.at(from)..self.at(to));
        let length = to - from;
        for behind in self.awaited.iter_mut().skip(first) {
            behind.begin -= length;
            behind.due -= length;
            behind.end -= length;
        }
        for (of, end) in &mut self.content_ends {
            if *of >= group {
                *end -= length;
            }
        }
        self.released = if self.released >= to {
            self.released - length
        } else {
            self.released.min(from)
        };
        self.wrote(0);
        after - first
    }

    /// Forgets everything that is to go out or awaited: the connection is of no use any more. Whose content
    /// has gone out is still known.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.awaited.clear();
        (self.base, self.released) = (self.written, self.written);
    }

    /// Gives the buffer's memory back; for sessions that lie idle.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to(0);
    }

    fn end(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn push(&mut self, step: Step, begin: u64, due: u64, end: u64) {
        let group = self.group;
        self.awaited.push_back(Awaited {
            step,
            group,
            begin,
            due,
            end,
        });
    }

    fn at(&self, offset: u64) -> usize {
        usize::try_from(offset - self.base).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight() -> Flight {
        let mut flight = Flight::default();
        flight.group();
        for (step, command) in [
            (Step::Mail, "MAIL\r\n"),
            (Step::Rcpt, "RCPT\r\n"),
            (Step::Data, "DATA\r\n"),
        ] {
            flight.command(step, |out| out.extend_from_slice(command.as_bytes()));
        }
        flight
    }

    fn text(flight: &Flight) -> String {
        String::from_utf8(flight.output().to_vec()).unwrap()
    }

    #[test]
    fn a_group_is_one_write_and_a_single_command_waits_for_the_reply_before() {
        let mut group = flight();
        group.release_all();
        assert_eq!(text(&group), "MAIL\r\nRCPT\r\nDATA\r\n");

        let mut single = flight();
        single.release_next();
        assert_eq!(text(&single), "MAIL\r\n");
        single.wrote(6);
        assert!(single.output().is_empty() && single.is_due());
        assert_eq!(single.answered(), Some(Step::Mail));
        assert!(!single.is_due(), "its command has not gone out");
        single.release_next();
        assert_eq!(text(&single), "RCPT\r\n");
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
            assert_eq!(flight.cancel_unsent(1, Cut::All), cancelled, "{written}");
            assert_eq!(text(&flight), left, "{written}");
        }
    }

    #[test]
    fn what_was_answered_does_not_confuse_a_later_cut() {
        let mut flight = flight();
        flight.release_all();
        flight.wrote(8);
        assert_eq!(flight.answered(), Some(Step::Mail));
        assert_eq!(flight.cancel_unsent(1, Cut::All), 1);
        assert_eq!(text(&flight), "PT\r\n");
        flight.wrote(4);
        assert!(flight.is_written() && flight.is_due());
        assert_eq!(flight.answered(), Some(Step::Rcpt));
        assert_eq!(flight.awaiting(), None);
    }

    #[test]
    fn a_cut_leaves_the_transaction_behind_whole() {
        for (cut, left) in [
            (Cut::All, "RSET\r\nBDAT 3 LAST\r\nx\r\n"),
            (Cut::ButLast, "DATA\r\nRSET\r\nBDAT 3 LAST\r\nx\r\n"),
        ] {
            let mut flight = flight();
            flight.group();
            flight.command(Step::Rset, |out| out.extend_from_slice(b"RSET\r\n"));
            flight.bdat(b"x\r\n");
            flight.release_all();
            flight.wrote(6);
            flight.cancel_unsent(1, cut);
            assert_eq!(text(&flight), left);
            assert_eq!(flight.answered(), Some(Step::Mail));
            let length = flight.output().len();
            flight.wrote(length);
            assert_eq!(flight.is_awaited(1), cut == Cut::ButLast);
            assert!(flight.is_due() && flight.is_awaited(2) && flight.is_content_out(2));
        }
    }

    #[test]
    fn a_refusal_of_bdat_is_due_once_its_line_is_out() {
        let mut flight = Flight::default();
        let group = flight.group();
        flight.bdat(b"content\r\n");
        flight.release_all();
        flight.wrote(12);
        assert!(!flight.is_due());
        flight.wrote(1);
        assert!(flight.is_due() && !flight.is_content_out(group));
        assert_eq!(flight.cancel_unsent(group, Cut::All), 0, "it has begun to go out");
        flight.wrote(8);
        assert!(!flight.is_content_out(group));
        flight.clear();
        assert!(!flight.is_content_out(group), "it never went out");
    }
}
