//! Any octets from a client, cut anywhere: the server machine neither panics nor loops, refuses bare line
//! ends, and what it gives to be stored is CRLF only and holds no second message.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use remuda_smtp::server::{Answer, BareNewline, Event, Profile, Security, Server};

/// Feeds `input` in pieces; answers every question with yes.
fn converse(input: &[u8], cut: usize, bare_newline: BareNewline) {
    let security = Security { offers_starttls: true, offers_auth: true, needs_login: false };
    let profile = Profile { hostname: "mx.test".into(), size_max: 8192, recipients_max: 10, bare_newline, security };
    let mut server = Server::new(profile);
    let (mut inbox, mut outbox) = (BytesMut::new(), BytesMut::new());
    let mut pieces = input.chunks(cut.max(1));
    let (mut content, mut steps) = (Vec::new(), 0usize);
    server.greet(&mut outbox);
    loop {
        steps += 1;
        assert!(steps < 20 * input.len() + 1000, "the machine loops");
        match server.next(&mut inbox, &mut outbox) {
            Event::Read => {
                outbox.clear();
                match pieces.next() {
                    Some(piece) => inbox.extend_from_slice(piece),
                    None => return,
                }
            }
            Event::Flush => outbox.clear(),
            Event::Mail(_) | Event::Rcpt(_) => server.answer(Answer::new(250, "2.0.0", "Ok"), &mut outbox),
            Event::StartTls => {
                assert!(inbox.is_empty(), "what came in clear is no part of TLS");
                server.secured();
            }
            Event::Login(login) => {
                let sound = |text: &str| !text.is_empty() && !text.contains(char::is_control);
                assert!(sound(&login.username) && sound(login.password.reveal()));
                server.answer(Answer::login_refused(), &mut outbox);
            }
            Event::Begin => content.clear(),
            Event::Content(piece) => content.extend_from_slice(&piece),
            Event::Message => {
                check(&content);
                server.answer(Answer::new(250, "2.0.0", "Ok"), &mut outbox);
            }
            Event::Dropped => content.clear(),
            Event::Close => return,
        }
    }
}

/// Stored content has CRLF only, however it came.
fn check(content: &[u8]) {
    let mut previous = 0;
    for (index, octet) in content.iter().enumerate() {
        match octet {
            b'\n' => assert_eq!(previous, b'\r', "bare LF at {index}"),
            _ => assert_ne!(previous, b'\r', "bare CR before {index}"),
        }
        previous = *octet;
    }
    assert!(content.is_empty() || content.ends_with(b"\r\n"));
}

fuzz_target!(|data: &[u8]| {
    let Some((head, input)) = data.split_first() else { return };
    let bare_newline = if head & 1 == 0 { BareNewline::Normalize } else { BareNewline::Reject };
    converse(input, usize::from(head >> 1) + 1, bare_newline);
});
