//! The part of a conversation that is content: DATA up to the final dot, and chunks.
//!
//! # Contract
//! * **What comes is read to its end**, also when it is thrown away, so that the next command is found.
//! * **The script is asked three times**: before the content, behind a chunk, behind the message.

use std::io;

use bytes::Buf;

use super::{Connection, Course, End};
use crate::{content::find_end, selector::Point, session::Step, violation::ViolationKind};

impl Connection {
    /// Reads the content of DATA and answers it.
    pub(super) async fn data(&mut self) -> io::Result<Course> {
        let verdict = self.at(Point::Content, "");
        if let Err(end) = self.abide(Point::Content, &verdict).await? {
            return Ok(Err(end));
        }
        let mut is_line_start = true;
        loop {
            if !self.wire.input.is_empty() && self.session.is_group_end && !self.session.out.is_empty() {
                self.violate(ViolationKind::PipelinedTooFar, "content before 354");
                self.session.is_group_end = false;
            }
            if let Some(content) = self.session.content() {
                let progress = find_end(&self.wire.input, &mut is_line_start, content);
                self.wire.input.advance(progress.consumed);
                if progress.is_end {
                    break;
                }
            }
            let awaits_reply = !self.session.out.is_empty();
            if !self.more(awaits_reply).await? {
                return Ok(Err(End::Truncated));
            }
            self.wire.flight.is_transaction = true;
        }
        let verdict = self.at(Point::Dot, "");
        if let Err(end) = self.abide(Point::Dot, &verdict).await? {
            return Ok(Err(end));
        }
        let step = self.session.end_message(verdict.reply.as_deref());
        self.after_content(step).await
    }

    /// Reads a chunk and answers it.
    pub(super) async fn chunk(&mut self, length: u64, is_last: bool) -> io::Result<Course> {
        let verdict = self.at(Point::Content, "");
        if let Err(end) = self.abide(Point::Content, &verdict).await? {
            return Ok(Err(end));
        }
        self.session.begin_chunk();
        let mut left = length;
        while left > 0 {
            if self.wire.input.is_empty() && !self.more(false).await? {
                return Ok(Err(End::Truncated));
            }
            let piece = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(self.wire.input.len());
            if let Some(content) = self.session.content() {
                content.take(&self.wire.input[..piece]);
            }
            self.wire.input.advance(piece);
            left -= piece as u64;
        }
        let mut reply = None;
        let points = [Some(Point::Bdat), is_last.then_some(Point::Dot)];
        for point in points.into_iter().flatten() {
            let verdict = self.at(point, "");
            if let Err(end) = self.abide(point, &verdict).await? {
                return Ok(Err(end));
            }
            // The reply to the last chunk is the one to the message.
            reply = verdict.reply.or(reply);
        }
        let step = self.session.end_chunk(is_last, reply.as_deref());
        self.after_content(step).await
    }

    async fn after_content(&mut self, step: Step) -> io::Result<Course> {
        self.count_violations("content");
        if step == Step::Close {
            return self.close(false).await;
        }
        Ok(Ok(()))
    }
}
