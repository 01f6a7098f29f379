//! Commands as they go out.

use proptest::prelude::*;
use remuda_mail::{OriginalRecipient, Sender};

use super::*;

fn uses(smtputf8: bool) -> Uses {
    Uses {
        capabilities: Capabilities {
            esmtp: true,
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            size: true,
            ..Capabilities::default()
        },
        smtputf8,
        eight_bit: false,
    }
}

fn nothing() -> Uses {
    Uses {
        capabilities: Capabilities::default(),
        smtputf8: false,
        eight_bit: true,
    }
}

fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

fn envelope() -> Envelope {
    Envelope {
        sender: Sender(Some("a@b.test".parse().unwrap())),
        body: Body::EightBitMime,
        smtputf8: true,
        ret: Some(Return::Headers),
        envid: Some("id+1 é".into()),
    }
}

fn recipient(address: &str) -> Recipient {
    Recipient {
        orcpt: Some(OriginalRecipient {
            address_type: "rfc822".into(),
            address: "old=x@b.test".into(),
        }),
        notify: Some(Notify {
            success: true,
            failure: false,
            delay: true,
        }),
        ..Recipient::plain(address.parse().unwrap())
    }
}

#[test]
fn a_parameter_is_written_only_where_the_server_offered_its_extension() {
    assert_eq!(
        line(|out| mail(&envelope(), 77, uses(true), out)),
        "MAIL FROM:<a@b.test> SIZE=77 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B1+20+C3+A9\r\n"
    );
    assert_eq!(
        line(|out| mail(&envelope(), 77, nothing(), out)),
        "MAIL FROM:<a@b.test>\r\n"
    );
    assert_eq!(
        line(|out| rcpt(&recipient("c@d.test"), uses(false), out)),
        "RCPT TO:<c@d.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old+3Dx@b.test\r\n"
    );
    assert_eq!(
        line(|out| rcpt(&recipient("c@d.test"), nothing(), out)),
        "RCPT TO:<c@d.test>\r\n"
    );
    let null = Envelope::default();
    assert_eq!(line(|out| mail(&null, 0, nothing(), out)), "MAIL FROM:<>\r\n");
    let never = Recipient {
        notify: Some(Notify::NEVER),
        ..Recipient::plain("c@d.test".parse().unwrap())
    };
    assert_eq!(
        line(|out| rcpt(&never, uses(false), out)),
        "RCPT TO:<c@d.test> NOTIFY=NEVER\r\n"
    );
}

#[test]
fn a_domain_goes_as_a_labels_without_smtputf8() {
    let there = Recipient::plain("c@bücher.test".parse().unwrap());
    assert!(is_ascii_able(&there.address));
    assert_eq!(
        line(|out| rcpt(&there, uses(false), out)),
        "RCPT TO:<c@xn--bcher-kva.test>\r\n"
    );
    assert_eq!(
        line(|out| rcpt(&there, uses(true), out)),
        "RCPT TO:<c@bücher.test>\r\n"
    );
    assert!(!is_ascii_able(&"ü@b.test".parse().unwrap()));
}

#[test]
fn an_original_recipient_that_is_not_ascii_needs_no_smtputf8() {
    let mut there = Recipient::plain("c@d.test".parse().unwrap());
    for (address_type, address, written) in [
        ("utf-8", "ü+x@b.test", " ORCPT=utf-8;\\x{FC}\\x{2B}x@b.test"),
        ("rfc822", "ü@b.test", " ORCPT=utf-8;\\x{FC}@b.test"),
        ("bad type\r\n", "a@b", ""),
        ("rfc822", "", ""),
    ] {
        there.orcpt = Some(OriginalRecipient {
            address_type: address_type.into(),
            address: address.into(),
        });
        assert_eq!(
            line(|out| rcpt(&there, uses(false), out)),
            format!("RCPT TO:<c@d.test>{written}\r\n")
        );
    }
}

#[test]
fn a_command_is_never_longer_than_its_limit() {
    let local = "x".repeat(128);
    let domain = [&"y".repeat(63)[..]; 3].join(".");
    let address = format!("{local}@{domain}");
    assert!(address.len() <= ADDRESS_LENGTH_MAX);
    let envelope = Envelope {
        sender: Sender(Some(address.parse().unwrap())),
        envid: Some("e".repeat(100)),
        ..envelope()
    };
    let mut there = recipient(&address);
    there.notify = Some(Notify {
        success: true,
        failure: true,
        delay: true,
    });
    for length in [493, 10_000] {
        there.orcpt = Some(OriginalRecipient {
            address_type: "rfc822".into(),
            address: "o".repeat(length),
        });
        assert!(line(|out| rcpt(&there, uses(true), out)).len() <= COMMAND_LENGTH_MAX);
    }
    assert!(line(|out| mail(&envelope, u64::MAX, uses(true), out)).len() <= COMMAND_LENGTH_MAX);
    let long = Envelope {
        envid: Some("=".repeat(100)),
        ..envelope
    };
    assert!(!line(|out| mail(&long, 1, uses(true), out)).contains("ENVID"));
}

#[test]
fn what_would_break_a_command_is_known() {
    for bad in [
        "a\r\n@b",
        "a b@c",
        "a>@b",
        "<a@b",
        "a@b\0",
        "\"a@b",
        "a\x7f@b",
        "\"a\n\"@b",
    ] {
        assert!(!is_safe_path(bad), "{bad:?}");
    }
    for good in ["", "a@b", "\"a >\"@b", "\"a\\\" \"@b", "jürgen@b"] {
        assert!(is_safe_path(good), "{good:?}");
    }
    assert!(!is_safe_word("a\r\nMAIL") && !is_safe_word("") && is_safe_word("[IPv6:::1]"));
}

proptest! {
    #[test]
    fn no_value_breaks_a_command(text in "\\PC{0,12}[\\r\\n\\x00 <>]{0,2}\\PC{0,12}", smtputf8 in any::<bool>()) {
        let envelope = Envelope { envid: Some(text.clone()), ..envelope() };
        let mut there = recipient("c@d.test");
        for address_type in ["rfc822", "utf-8", &text] {
            there.orcpt = Some(OriginalRecipient { address_type: address_type.into(), address: text.clone() });
            for command in [line(|out| rcpt(&there, uses(smtputf8), out)), line(|out| mail(&envelope, 1, uses(smtputf8), out))] {
                let inner = command.strip_suffix("\r\n").unwrap();
                prop_assert!(!inner.contains(|c: char| c.is_control()));
                prop_assert!(inner.is_ascii());
                prop_assert!(command.split(' ').count() <= 7);
            }
        }
        if let Ok(address) = text.parse::<Address>() {
            prop_assert!(is_safe_path(address.as_str()));
        }
    }
}
