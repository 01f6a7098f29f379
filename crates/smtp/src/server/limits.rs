//! The server's limits: lengths, counts, and the least rate of content (RFC 5321 §4.5.3).
//!
//! # Contract
//! * **A slow client is bounded in all**, not only from one octet to the next.
//!
//! # Not here
//! How long one wait may last: [`crate::deadlines::server`].

use std::time::Duration;

/// Octets of a command line with its CRLF: the 512 of RFC 5321 §4.5.3.1.4 and what the extensions add
/// (RFC 3461 alone asks for 600), rounded up. Longer: 500, and the rest of the line is skipped.
pub const COMMAND_LINE_MAX: usize = 4096;

/// Octets of a line that answers AUTH, with its CRLF (RFC 4954 §4). Longer:
/// 500 5.5.6, and the login is over.
pub const AUTH_LINE_MAX: usize = 12_288;

/// Logins refused in a session before 421.
pub const LOGINS_REFUSED_MAX: u32 = 5;

/// Octets of one overlong line that are skipped before the session is closed.
pub const SKIPPED_LINE_MAX: usize = 64 * 1024;

/// Errors in a row before 421.
pub const ERRORS_MAX: u32 = 20;

/// Commands in a row that bring no mail (NOOP, RSET, VRFY, …) before 421.
pub const IDLE_COMMANDS_MAX: u32 = 1000;

/// Octets of content handed out at once.
pub const CONTENT_PIECE_MAX: usize = 64 * 1024;

/// Octets of replies that are held back for the end of a flight.
pub const REPLIES_MAX: usize = 16 * 1024;

/// Octets beyond the size limit that are still read, so that the client sees the reply, when the limit
/// itself is less; then the session is closed.
pub const EXCESS_MIN: u64 = 1024 * 1024;

/// Waiting for content that is allowed before the rate counts; more than one
/// [`CONTENT_BLOCK`](crate::deadlines::server::CONTENT_BLOCK).
pub const CONTENT_GRACE: Duration = Duration::from_secs(5 * 60);

/// Octets of content a second, averaged over the waiting beyond [`CONTENT_GRACE`].
pub const CONTENT_RATE_MIN: u64 = 1024;

/// How long in all a client may keep us waiting for content of which `octets` have come.
///
/// A client that sends an octet every two minutes meets every single limit; this one it does not.
pub fn content_wait_in_all(octets: u64) -> Duration {
    CONTENT_GRACE + Duration::from_secs(octets / CONTENT_RATE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_is_bounded_in_all() {
        assert_eq!(content_wait_in_all(0), CONTENT_GRACE);
        assert_eq!(
            content_wait_in_all(10 * CONTENT_RATE_MIN),
            CONTENT_GRACE + Duration::from_secs(10)
        );
    }
}
