//! One message's content while it arrives: its octets, its size, what is wrong with it.
//!
//! # Contract
//! * **The first fault decides the answer**, and it is given at the real end of the content.
//! * **A faulty message is read on, not kept**, up to a bound; beyond it the session ends.

use bytes::{Buf, BytesMut};

use super::{
    answer::Answer,
    content::{BareNewline, Content},
    limits::{CONTENT_PIECE_MAX, EXCESS_MIN},
};

/// How the content comes, and how far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// DATA, up to CRLF.CRLF.
    Data,
    /// CRLF.CRLF has come.
    DataEnded,
    /// A chunk of BDAT.
    Chunk {
        /// Octets of the whole chunk.
        octets: u64,
        /// Octets still to come.
        left: u64,
        /// It is the last one.
        is_last: bool,
    },
    /// Between two chunks.
    Between,
}

/// A message's content, arriving.
#[derive(Debug)]
pub(super) struct Incoming {
    pub section: Section,
    /// Octets on the wire so far.
    pub wire: u64,
    /// Why the message will be refused.
    pub fault: Option<Answer>,
    /// Sound content, not yet handed out.
    pub piece: BytesMut,
    content: Content,
    stored: u64,
    size_max: u64,
}

impl Incoming {
    pub(super) fn new(section: Section, size_max: u64, policy: BareNewline) -> Self {
        Incoming {
            section,
            wire: 0,
            fault: None,
            piece: BytesMut::new(),
            content: Content::new(section == Section::Data, policy),
            stored: 0,
            size_max,
        }
    }

    /// Notes why the message will be refused, if nothing was wrong before, and keeps nothing more.
    pub(super) fn fail(&mut self, answer: Answer) {
        self.fault.get_or_insert(answer);
        self.content.discard();
        self.piece = BytesMut::new();
    }

    /// Begins a chunk.
    pub(super) fn begin_chunk(&mut self, octets: u64, is_last: bool) {
        self.section = Section::Chunk {
            octets,
            left: octets,
            is_last,
        };
        // RFC 1870 §6.3: no need to store what is known to be too much.
        if self.stored.saturating_add(octets) > self.size_max {
            self.fail(Answer::too_large());
        }
    }

    /// Takes what `input` has of the content, at most until a piece is full.
    pub(super) fn receive(&mut self, input: &mut BytesMut) {
        while !input.is_empty() && self.piece.len() < CONTENT_PIECE_MAX && !self.is_complete() {
            let window = match self.section {
                Section::Chunk { left, .. } => usize::try_from(left).unwrap_or(usize::MAX),
                _ => CONTENT_PIECE_MAX,
            };
            let window = window.min(input.len()).min(CONTENT_PIECE_MAX);
            let before = self.piece.len();
            let taken = self.content.receive(&input[..window], &mut self.piece);
            self.stored += (self.piece.len() - before) as u64;
            self.wire += taken.octets as u64;
            input.advance(taken.octets);
            match &mut self.section {
                Section::Chunk { left, .. } => *left -= taken.octets as u64,
                section if taken.ended => *section = Section::DataEnded,
                _ => {}
            }
            self.judge();
        }
    }

    /// Answers whether the section is at its end.
    pub(super) fn is_complete(&self) -> bool {
        match self.section {
            Section::Data => false,
            Section::DataEnded | Section::Between => true,
            Section::Chunk { left, .. } => left == 0,
        }
    }

    /// Completes the last line (BDAT).
    pub(super) fn finish(&mut self) {
        self.content.finish(&mut self.piece);
        self.judge();
    }

    /// Answers whether so much came beyond the limit that it is no longer read.
    pub(super) fn is_excessive(&self) -> bool {
        self.wire > read_max(self.size_max)
    }

    fn judge(&mut self) {
        if self.content.is_refused() {
            // The policy of contract.md: after the real end, so that the client sees the reply.
            self.fail(Answer::new(
                550,
                "5.5.2",
                "Bare CR or LF in the message; lines end with CRLF",
            ));
        } else if self.stored > self.size_max {
            self.fail(Answer::too_large());
        }
    }
}

/// Octets of one message that are read, kept or not.
pub(super) fn read_max(size_max: u64) -> u64 {
    size_max.saturating_add(size_max.max(EXCESS_MIN))
}
