//! `[local]`: what it may say, and what is wrong with what it may not.

use remuda_engine::settings::{LmtpServer, LocalDelivery};

use super::*;

fn delivery(text: &str) -> LocalDelivery {
    sound(&format!("[local]\ndelivery = {text:?}")).settings.local
}

#[test]
fn mailboxes_are_maildirs_or_behind_lmtp() {
    let maildir = |text: &str| LocalDelivery::Maildir(text.parse().unwrap());
    assert_eq!(sound("").settings.local, maildir("mail/{domain}/{local}"));
    assert_eq!(
        delivery("maildir:/srv/{domain}/{local}/Maildir"),
        maildir("/srv/{domain}/{local}/Maildir")
    );
    let unix = LmtpServer::Unix("/run/dovecot/lmtp".parse().unwrap());
    assert_eq!(delivery("lmtp:unix:/run/dovecot/lmtp"), LocalDelivery::Lmtp(unix));
    for (text, shown) in [
        ("lmtp:127.0.0.1:24", "127.0.0.1:24"),
        ("lmtp:[::1]:24", "[::1]:24"),
        ("lmtp:imap.example.org:24", "imap.example.org:24"),
    ] {
        let LocalDelivery::Lmtp(LmtpServer::Tcp(hosts)) = delivery(text) else {
            panic!("{text}");
        };
        assert_eq!((hosts.len(), hosts[0].to_string()), (1, shown.to_owned()));
    }
}

#[test]
fn what_is_wrong_with_a_delivery_is_said_with_line_and_key() {
    let long = format!("lmtp:unix:/{}", "x".repeat(107));
    for (text, what) in [
        ("maildir:mail/{domain}/{user}", "{user} is not known"),
        ("maildir:mail/{local}", "{domain} is missing"),
        ("maildir:mail/{domain}", "{local} is missing"),
        ("maildir:mail/{domain}{local}", "there must be a / or an @"),
        ("maildir:../{domain}/{local}", "a path that climbs"),
        ("maildir:mail/postmaster/{domain}/{local}", "the postmaster's own"),
        ("maildir:", "{domain} is missing"),
        ("mbox:mail/{domain}/{local}", "begins with maildir: or lmtp:"),
        ("", "begins with maildir: or lmtp:"),
        ("lmtp:127.0.0.1", "the port is missing"),
        ("lmtp:", "is not HOST:PORT"),
        ("lmtp:a b:24", "is not HOST:PORT"),
        ("lmtp:unix:run/lmtp", "is not the absolute path of a socket"),
        (&long, "of 107 octets at most"),
    ] {
        let found = problems(&format!("\n[local]\ndelivery = {text:?}"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("f.toml:3: local.delivery: "), "{found:?}");
        assert!(found[0].contains(what), "{found:?}");
        assert!(found[0].contains("write one such as"), "{found:?}");
    }
}
