//! How the machine reads: lines of commands, content, and what must be passed over.

use bytes::{Buf, BytesMut};
use memchr::memchr;

use super::{
    Event, Server,
    answer::Answer,
    command,
    incoming::Section,
    limits::{COMMAND_LINE_MAX, SKIPPED_LINE_MAX},
    machine::{Phase, Question},
};

/// What a look for the next line finds.
pub(super) enum Line {
    /// The line with its CRLF, taken.
    Whole(BytesMut),
    /// Not all of it is there.
    Unfinished,
    /// It is longer than it may be.
    TooLong,
    /// It ends, or is cut, by a bare CR or LF.
    Bare,
}

/// Takes a line of at most `max` octets.
pub(super) fn take_line(input: &mut BytesMut, max: usize) -> Line {
    let Some(end) = memchr(b'\n', &input[..input.len().min(max)]) else {
        return if input.len() < max {
            Line::Unfinished
        } else {
            Line::TooLong
        };
    };
    let line = &input[..=end];
    // A server that takes these for line ends reads other commands than the client's own server did.
    if !line.ends_with(b"\r\n") || memchr(b'\r', line) != Some(end - 1) {
        return Line::Bare;
    }
    Line::Whole(input.split_to(end + 1))
}

impl Server {
    pub(super) fn read_command(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event> {
        let line = match take_line(input, COMMAND_LINE_MAX) {
            Line::Whole(line) => line,
            Line::Unfinished => return Some(Event::Read),
            Line::TooLong => {
                let answer = Answer::new(500, "5.5.2", "Line too long");
                if let Phase::Content(_) = self.phase {
                    // Between chunks there is no way back into step.
                    self.close(&answer, output);
                } else {
                    self.phase = Phase::Overlong { skipped: 0, answer };
                }
                return None;
            }
            Line::Bare => {
                self.bare_newline(output);
                return None;
            }
        };
        match command::parse(&line) {
            Ok(command) => self.execute(command, input, output),
            Err(answer) => {
                self.reply(&answer, output);
                None
            }
        }
    }

    pub(super) fn bare_newline(&mut self, output: &mut BytesMut) {
        let answer = Answer::new(500, "5.5.2", "Bare CR or LF; commands end with CRLF");
        self.close(&answer, output);
    }

    /// Goes past an overlong line.
    pub(super) fn skip_line(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event> {
        let Phase::Overlong { skipped, answer } = &mut self.phase else {
            return None;
        };
        match memchr(b'\n', input) {
            None => {
                // The last octet stays: it may be the CR of the line's end.
                let count = input.len().saturating_sub(1);
                *skipped += count;
                input.advance(count);
                if *skipped > SKIPPED_LINE_MAX {
                    let answer = answer.clone();
                    self.close(&answer, output);
                    return None;
                }
                Some(Event::Read)
            }
            Some(end) => {
                let is_sound = end > 0 && memchr(b'\r', &input[..end]) == Some(end - 1);
                input.advance(end + 1);
                let answer = answer.clone();
                self.phase = Phase::Commands;
                if is_sound {
                    self.reply(&answer, output);
                } else {
                    self.bare_newline(output);
                }
                None
            }
        }
    }

    /// RFC 3030 §2: the octets of a refused BDAT come all the same.
    pub(super) fn skip_chunk(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event> {
        let Phase::Skip { left, answer, .. } = &mut self.phase else {
            return None;
        };
        let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
        input.advance(count);
        *left -= count as u64;
        if *left > 0 {
            return Some(Event::Read);
        }
        let answer = answer.clone();
        self.phase = Phase::Commands;
        self.say(answer, output)
    }

    pub(super) fn read_content(&mut self, input: &mut BytesMut, output: &mut BytesMut) -> Option<Event> {
        let Phase::Content(incoming) = &mut self.phase else {
            return None;
        };
        incoming.receive(input);
        let section = incoming.section;
        if incoming.is_complete() && matches!(section, Section::Chunk { is_last: true, .. }) {
            incoming.finish();
        }
        if incoming.is_excessive() {
            return self.say(Answer::too_large().closing(), output);
        }
        if !incoming.piece.is_empty() {
            let piece = std::mem::take(&mut incoming.piece).freeze();
            return Some(Event::Content(piece));
        }
        if !incoming.is_complete() {
            return Some(Event::Read);
        }
        self.end_section(section, output)
    }

    /// Answers a chunk, or ends the message.
    fn end_section(&mut self, section: Section, output: &mut BytesMut) -> Option<Event> {
        let Phase::Content(incoming) = &mut self.phase else {
            return None;
        };
        let fault = incoming.fault.clone();
        match (section, fault) {
            (
                Section::Chunk {
                    is_last: false,
                    octets,
                    ..
                },
                fault,
            ) => {
                incoming.section = Section::Between;
                let taken = || Answer::new(250, "2.0.0", format!("{octets} octets taken"));
                self.say(fault.unwrap_or_else(taken), output)
            }
            (_, None) => {
                self.phase = Phase::Asked(Question::Message);
                Some(Event::Message)
            }
            (_, Some(answer)) => {
                let event = self.drop_transaction();
                self.reply(&answer, output);
                event
            }
        }
    }
}
