//! Any name and password, and any octets in place of them: what a login is asked about holds no control
//! character and is what the client said, nothing is asked twice, and no reply repeats a password.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use remuda_smtp::server::{Answer, BareNewline, Event, Profile, Security, Server};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648 §4, written here so that the two spellings check each other.
fn base64(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for group in octets.chunks(3) {
        let mut bits = [0; 3];
        bits[..group.len()].copy_from_slice(group);
        let digits = [bits[0] >> 2, (bits[0] & 3) << 4 | bits[1] >> 4, (bits[1] & 15) << 2 | bits[2] >> 6, bits[2] & 63];
        for (place, digit) in digits.into_iter().enumerate() {
            text.push(if place > group.len() { b'=' } else { DIGITS[usize::from(digit)] });
        }
    }
    text
}

/// A session that has come as far as TLS.
fn secured(said: &mut BytesMut) -> Server {
    let security = Security { offers_starttls: true, offers_auth: true, needs_login: true };
    let bare_newline = BareNewline::Reject;
    let profile = Profile { hostname: "mx.test".into(), size_max: 8192, recipients_max: 10, bare_newline, security };
    let mut server = Server::new(profile);
    server.greet(said);
    let mut inbox = BytesMut::from("EHLO c.test\r\nSTARTTLS\r\n");
    while server.next(&mut inbox, said) != Event::StartTls {}
    server.secured();
    let mut inbox = BytesMut::from("EHLO c.test\r\n");
    while !matches!(server.next(&mut inbox, said), Event::Read | Event::Flush) {}
    server
}

/// What was asked about, and every reply.
fn logins(input: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
    let (mut said, mut asked) = (BytesMut::new(), Vec::new());
    let mut server = secured(&mut said);
    let mut inbox = BytesMut::from(input);
    for _ in 0..20 * input.len() + 1000 {
        match server.next(&mut inbox, &mut said) {
            Event::Read | Event::Close => return (asked, said.to_vec()),
            Event::Login(login) => {
                asked.push((login.username.to_string(), login.password.reveal().to_owned()));
                server.answer(Answer::login_refused(), &mut said);
            }
            _ => {}
        }
    }
    panic!("the machine loops");
}

fuzz_target!(|data: (u8, String, String, String, Vec<u8>)| {
    let (head, act_as, name, password, octets) = data;
    let plain = base64(format!("{act_as}\0{name}\0{password}").as_bytes());
    let (first, second) = (base64(name.as_bytes()), base64(password.as_bytes()));
    let input = match head % 5 {
        0 => [b"AUTH PLAIN ", &plain[..], b"\r\n"].concat(),
        1 => [b"AUTH PLAIN\r\n", &plain[..], b"\r\n"].concat(),
        2 => [b"AUTH LOGIN ", &first[..], b"\r\n", &second[..], b"\r\n"].concat(),
        3 => [b"AUTH LOGIN\r\n", &first[..], b"\r\n", &second[..], b"\r\n"].concat(),
        _ => [b"AUTH PLAIN ", &octets[..], b"\r\n"].concat(),
    };
    let (asked, said) = logins(&input);
    let sound = |text: &str| !text.is_empty() && !text.contains(char::is_control);
    assert!(asked.iter().all(|(name, password)| sound(name) && sound(password)), "{asked:?}");
    if head % 5 < 4 {
        assert!(asked.len() <= 1);
        let is_plain = head % 5 < 2;
        let may = sound(&name) && sound(&password) && (!is_plain || act_as.is_empty() || act_as == name);
        // A line that is too long is none.
        if input.len() < 4000 {
            assert_eq!(asked.len(), usize::from(may), "{act_as:?} {name:?} {password:?}");
        }
        assert!(asked.iter().all(|login| *login == (name.clone(), password.clone())), "{asked:?}");
    }
    if password.len() > 24 {
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains(&password), "a reply repeats a password");
    }
});
