//! Every time limit of the SMTP conversation, both sides (RFC 5321 §4.5.3.2), in one place.
//!
//! The state machines have no clock: the shell asks here how long it may wait for what it waits for.
//!
//! # Contract
//! * **Every wait has a limit.** There is one for each [`Step`] of the client and for each state of the
//!   server; none is infinite.
//! * **Limits are the RFC's minima or longer**, except where the RFC names none (STARTTLS, RSET, QUIT).

/// What a client grants a server.
pub mod client {
    use std::time::Duration;

    use crate::client::Step;

    /// From the TCP connection to the whole greeting (RFC 5321 §4.5.3.2.1).
    pub const GREETING: Duration = Duration::from_secs(5 * 60);
    /// EHLO and HELO.
    pub const HELO: Duration = Duration::from_secs(5 * 60);
    /// STARTTLS, and AUTH to each of its replies; no limit in RFC 3207, some minutes in RFC 4954.
    pub const SECURITY: Duration = Duration::from_secs(5 * 60);
    /// The TLS handshake as a whole; no limit in the RFC. As long as the greeting.
    pub const HANDSHAKE: Duration = GREETING;
    /// MAIL (RFC 5321 §4.5.3.2.2).
    pub const MAIL: Duration = Duration::from_secs(5 * 60);
    /// RCPT (RFC 5321 §4.5.3.2.3).
    pub const RCPT: Duration = Duration::from_secs(5 * 60);
    /// DATA to its 354 (RFC 5321 §4.5.3.2.4).
    pub const DATA: Duration = Duration::from_secs(2 * 60);
    /// One block of content to be taken (RFC 5321 §4.5.3.2.5).
    pub const CONTENT_BLOCK: Duration = Duration::from_secs(3 * 60);
    /// The end of the content to its reply (RFC 5321 §4.5.3.2.6).
    pub const END_OF_CONTENT: Duration = Duration::from_secs(10 * 60);
    /// RSET; no limit in the RFC. Postfix' value.
    pub const RSET: Duration = Duration::from_secs(20);
    /// QUIT; no limit in the RFC. Nobody waits for the answer.
    pub const QUIT: Duration = Duration::from_secs(1);

    /// How long the reply to `step` (or, for content, the taking of a block) may take.
    pub const fn limit(step: Step) -> Duration {
        match step {
            Step::Greeting => GREETING,
            Step::Ehlo | Step::Helo => HELO,
            Step::StartTls | Step::Auth => SECURITY,
            Step::Rset => RSET,
            Step::Mail => MAIL,
            Step::Rcpt => RCPT,
            Step::Data => DATA,
            Step::Content => CONTENT_BLOCK,
            Step::EndOfContent | Step::Bdat => END_OF_CONTENT,
            Step::Quit => QUIT,
        }
    }
}

/// What a server grants a client.
pub mod server {
    use std::time::Duration;

    /// The next whole command (RFC 5321 §4.5.3.2.7).
    pub const COMMAND: Duration = Duration::from_secs(5 * 60);
    /// The TLS handshake as a whole; no limit in the RFC. Nobody need think or type in it.
    pub const HANDSHAKE: Duration = Duration::from_secs(60);
    /// The next block of content, by DATA or BDAT (RFC 5321 §4.5.3.2.5).
    pub const CONTENT_BLOCK: Duration = Duration::from_secs(3 * 60);
    /// A reply to be taken by the client.
    pub const REPLY: Duration = Duration::from_secs(5 * 60);
    /// The farewell (221, 421) to be taken before the connection is closed.
    pub const FAREWELL: Duration = Duration::from_secs(1);
}

#[cfg(test)]
mod tests {
    use super::client::limit;
    use crate::client::Step;

    #[test]
    fn every_wait_has_the_limit_that_rfc_5321_names() {
        for (step, seconds) in [
            (Step::Greeting, 300),
            (Step::Ehlo, 300),
            (Step::Helo, 300),
            (Step::StartTls, 300),
            (Step::Auth, 300),
            (Step::Rset, 20),
            (Step::Mail, 300),
            (Step::Rcpt, 300),
            (Step::Data, 120),
            (Step::Content, 180),
            (Step::EndOfContent, 600),
            (Step::Bdat, 600),
            (Step::Quit, 1),
        ] {
            assert_eq!(limit(step).as_secs(), seconds, "{step}");
        }
    }
}
