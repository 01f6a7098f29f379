//! Who waits and each attempt in `queue show`: when, where, what came of it, and how it came by its session.
//!
//! # Contract
//! * **Readable at 80 columns**: what is longer goes on in the next line, further in.

use remuda_engine::operations::{AttemptShown, ConsideredShown, RecipientShown};

use crate::table::time;

/// Columns of a line.
const WIDTH: usize = 80;

/// The lines of one recipient.
pub(super) fn recipient(recipient: &RecipientShown) -> String {
    let reason = recipient
        .reason
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    let mut text = line(2, &format!("<{}>{reason}", recipient.address));
    if recipient.may_be_duplicate {
        text.push_str(&line(
            4,
            "may have it already: a final reply was lost (duplicate=possible)",
        ));
    }
    text
}

/// The lines of one attempt.
pub(super) fn attempt(attempt: &AttemptShown) -> String {
    let mut text = line(2, &format!("{}  {}", time(attempt.at), attempt.relay));
    text.push_str(&line(4, &attempt.result));
    for considered in &attempt.considered {
        text.push_str(&line(4, &sentence(considered)));
    }
    if attempt.considered_more > 0 {
        text.push_str(&line(4, &format!("and {} more", attempt.considered_more)));
    }
    text
}

/// What was considered, in words.
fn sentence(considered: &ConsideredShown) -> String {
    let ConsideredShown {
        by,
        endpoint,
        session,
        verdict,
        reason,
    } = considered;
    let session = session.map_or("a session".to_owned(), |session| format!("session {session}"));
    let at = endpoint.as_deref().unwrap_or("any server");
    match (by.as_str(), verdict.as_str()) {
        ("cache", _) => "caching is off: no parked session was looked for".to_owned(),
        ("limit", _) if endpoint.is_none() => "no session left: delivery.sessions are busy".to_owned(),
        ("limit", _) => format!("{at} has as many sessions as allowed"),
        (_, "none parked") if endpoint.is_none() => "by destination: no session parked".to_owned(),
        (by, "none parked") => format!("by {by} {at}: no session parked"),
        ("freed", "unfit") => {
            let reason = reason.as_deref().unwrap_or("unknown");
            format!("freed: {session} at {at} not fit ({reason})")
        }
        (by, "unfit") => {
            let reason = reason.as_deref().unwrap_or("unknown");
            format!("by {by}: {session} at {at} not fit ({reason})")
        }
        ("dial", "dialled") => format!("{session} dialled to {at}"),
        ("dial", "joined") => format!("{session} to {at} was being dialled already"),
        ("dial", verdict) => format!("dial of {session} to {at} {verdict}"),
        (found, "taken") => format!("{session} at {at} taken ({found})"),
        (_, "dead") => format!("{session} at {at} was dead; nothing had been sent"),
        (by, verdict) => format!("{by}: {session} at {at} {verdict}"),
    }
}

/// The text behind an indent, broken at spaces where it is longer than a line.
pub(super) fn line(indent: usize, text: &str) -> String {
    let mut out = String::new();
    let mut so_far = String::new();
    let mut indent = indent;
    for word in text.split(' ') {
        let length = so_far.chars().count() + 1 + word.chars().count();
        if !so_far.trim().is_empty() && indent + length > WIDTH {
            out.push_str(&format!("{:indent$}{}\n", "", so_far.trim_end()));
            so_far.clear();
            if out.lines().count() == 1 {
                indent += 2;
            }
        }
        if !so_far.is_empty() {
            so_far.push(' ');
        }
        so_far.push_str(word);
    }
    out.push_str(&format!("{:indent$}{}\n", "", so_far.trim_end()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn considered(by: &str, endpoint: Option<&str>, session: Option<u64>, verdict: &str) -> ConsideredShown {
        ConsideredShown {
            by: by.into(),
            endpoint: endpoint.map(str::to_owned),
            session,
            verdict: verdict.into(),
            reason: (verdict == "unfit").then(|| "size".to_owned()),
        }
    }

    #[test]
    fn who_may_have_it_already_is_said() {
        let mut waits = RecipientShown {
            address: "b@a.test".into(),
            reason: Some("4.4.2: connection lost".into()),
            may_be_duplicate: false,
        };
        let plain = "  <b@a.test>: 4.4.2: connection lost\n";
        assert_eq!(recipient(&waits), plain);
        waits.may_be_duplicate = true;
        let marked = "    may have it already: a final reply was lost (duplicate=possible)\n";
        assert_eq!(recipient(&waits), format!("{plain}{marked}"));
    }

    #[test]
    fn an_attempt_tells_which_sessions_there_were_and_why_each_was_taken_or_not() {
        let at = Some("192.0.2.1:25");
        let shown = attempt(&AttemptShown {
            at: 0,
            relay: "mx.a.test[192.0.2.1]:25".into(),
            result: "4.2.1: busy ".repeat(12),
            considered: vec![
                considered("destination", None, None, "none parked"),
                considered("address", at, Some(7), "unfit"),
                considered("dial", at, Some(9), "dialled"),
                considered("miss", at, Some(9), "taken"),
            ],
            considered_more: 3,
        });
        for line in [
            "    by destination: no session parked",
            "    by address: session 7 at 192.0.2.1:25 not fit (size)",
            "    session 9 dialled to 192.0.2.1:25",
            "    session 9 at 192.0.2.1:25 taken (miss)",
            "    and 3 more",
        ] {
            assert!(shown.lines().any(|l| l == line), "{line} not in\n{shown}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH), "{shown}");
    }
}
