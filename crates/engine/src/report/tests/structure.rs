//! The form of a report (RFC 3464, 6522, 6533).

use super::*;

#[test]
fn a_failure_has_the_three_parts_and_the_receivers_words() {
    let envelope = Envelope {
        envid: Some("job 7".into()),
        ..from("a@home.test")
    };
    let mut one = settled("b@b.test", bounced("No such\nuser here"));
    one.recipient.orcpt = Some(OriginalRecipient {
        address_type: "rfc822".into(),
        address: "bob@list.test".into(),
    });
    let text = report(Kind::Failure, &envelope, &[one]);
    assert_eq!(
        types(text.as_bytes()),
        [
            "multipart/report",
            "text/plain",
            "message/delivery-status",
            "text/rfc822-headers"
        ]
    );
    for (name, value) in [
        ("From", "Mail Delivery System <MAILER-DAEMON@mx.home.test>"),
        ("To", "<a@home.test>"),
        ("Auto-Submitted", "auto-replied"),
        ("MIME-Version", "1.0"),
        ("In-Reply-To", "<one@home.test>"),
        ("Reporting-MTA", "dns; mx.home.test"),
        ("Original-Envelope-Id", "job 7"),
        ("Arrival-Date", "Wed, 18 Nov 2026 10:50:00 +0000"),
        ("Original-Recipient", "rfc822; bob@list.test"),
        ("Final-Recipient", "rfc822; b@b.test"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.b.test"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 No such user here"),
        ("Last-Attempt-Date", "Wed, 18 Nov 2026 11:06:40 +0000"),
    ] {
        assert_eq!(field(&text, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(field(&text, "Will-Retry-Until"), None);
    assert!(text.contains("said: 550 5.1.1 No such user here\r\n"), "{text}");
    assert!(text.contains("Subject: hello\r\n"));
    let message = parse(text.as_bytes());
    assert!(message.date().is_some() && message.message_id().is_some());
    assert_eq!(
        message
            .content_type()
            .and_then(|kind| kind.attribute("report-type")),
        Some("delivery-status")
    );
}

#[test]
fn the_report_goes_to_the_sender_from_nobody_and_asks_for_no_report() {
    let envelope = from("a@home.test");
    let composed = compose(
        &context(),
        &shape(Kind::Failure, &envelope, &[settled("b@b.test", bounced("no"))]),
        &original(),
    )
    .unwrap();
    assert!(composed.envelope.sender.is_null());
    assert_eq!(composed.envelope.body, Body::SevenBit);
    assert!(!composed.envelope.smtputf8);
    assert_eq!(composed.recipient.address.as_str(), "a@home.test");
    assert_eq!(composed.recipient.notify, Some(Notify::NEVER));
}

#[test]
fn a_delay_says_until_when_it_is_tried() {
    let text = report(
        Kind::Delay,
        &from("a@home.test"),
        &[settled("b@b.test", deferred())],
    );
    assert_eq!(field(&text, "Action").as_deref(), Some("delayed"));
    assert_eq!(field(&text, "Status").as_deref(), Some("4.4.1"));
    assert_eq!(
        field(&text, "Will-Retry-Until").as_deref(),
        Some("Mon, 23 Nov 2026 11:06:40 +0000")
    );
    assert_eq!(
        field(&text, "Diagnostic-Code").as_deref(),
        Some("x-remuda; connect: connection refused")
    );
    assert!(text.contains("you need not"), "{text}");
}

#[test]
fn a_success_is_relayed_or_delivered() {
    for (relay, action) in [("mx[192.0.2.1]:25", "relayed"), ("local", "delivered")] {
        let text = report(
            Kind::Success,
            &from("a@home.test"),
            &[settled("b@b.test", delivered(relay, false))],
        );
        assert_eq!(field(&text, "Action").as_deref(), Some(action));
        assert_eq!(field(&text, "Status").as_deref(), Some("2.0.0"));
    }
}

#[test]
fn every_recipient_has_a_group_of_its_own() {
    let all: Vec<Settled> = (0..50)
        .map(|n| settled(&format!("r{n}@b.test"), bounced("no")))
        .collect();
    let text = report(Kind::Failure, &from("a@home.test"), &all);
    assert_eq!(
        text.matches("\r\n\r\nFinal-Recipient: rfc822; r").count(),
        all.len()
    );
    assert_eq!(text.matches("Action: failed").count(), all.len());
}

#[test]
fn the_whole_original_goes_back_with_failures_only_and_unchanged() {
    let envelope = Envelope {
        ret: Some(Return::Full),
        ..from("a@home.test")
    };
    let text = report(Kind::Failure, &envelope, &[settled("b@b.test", bounced("no"))]);
    assert_eq!(types(text.as_bytes())[3], "message/rfc822");
    assert!(
        text.contains("Message-ID: <one@home.test>\r\n\r\nthe body\r\n"),
        "{text}"
    );
    let text = report(Kind::Delay, &envelope, &[settled("b@b.test", deferred())]);
    assert_eq!(types(text.as_bytes())[3], "text/rfc822-headers");
}

#[test]
fn content_that_does_not_fit_a_part_comes_back_as_its_header() {
    let envelope = Envelope {
        ret: Some(Return::Full),
        ..from("a@home.test")
    };
    let recipients = [settled("b@b.test", bounced("no"))];
    for body in [
        "x".repeat(999) + "\r\n",
        "bare\nline\r\n".into(),
        "bare\rline\r\n".into(),
        "no end".into(),
        "x\r\n".repeat(FULL_MAX as usize / 3),
    ] {
        let original = Original {
            headers: "Subject: hello\r\n".into(),
            full: Some(format!("Subject: hello\r\n\r\n{body}").into()),
        };
        let composed = compose(
            &context(),
            &shape(Kind::Failure, &envelope, &recipients),
            &original,
        )
        .unwrap();
        assert_eq!(types(&composed.content)[3], "text/rfc822-headers");
    }
}

#[test]
fn the_header_that_goes_back_is_limited_and_ends_with_a_whole_line() {
    let envelope = from("a@home.test");
    let original = Original {
        headers: "X-Line: 0123456789\r\n".repeat(10_000).into(),
        full: None,
    };
    let recipients = [settled("b@b.test", bounced("no"))];
    let composed = compose(
        &context(),
        &shape(Kind::Failure, &envelope, &recipients),
        &original,
    )
    .unwrap();
    let text = String::from_utf8(composed.content.to_vec()).unwrap();
    assert!(text.matches("X-Line: 0123456789\r\n").count() <= excerpt::HEADERS_MAX / 20);
    assert!(text.len() < excerpt::HEADERS_MAX + 4096);
    assert_eq!(
        text.matches("X-Line").count(),
        text.matches("X-Line: 0123456789\r\n").count()
    );
}

#[test]
fn international_originals_get_international_reports() {
    let envelope = Envelope {
        smtputf8: true,
        ..from("jürgen@home.test")
    };
    let mut one = settled("bärbel@b.test", bounced("Gibt's nicht: bärbel"));
    one.recipient.orcpt = Some(OriginalRecipient {
        address_type: "utf-8".into(),
        address: "bärbel@list.test".into(),
    });
    let original = Original {
        headers: "Subject: grüße\r\n".into(),
        full: None,
    };
    let composed = compose(&context(), &shape(Kind::Failure, &envelope, &[one]), &original).unwrap();
    assert!(composed.envelope.smtputf8);
    assert_eq!(composed.envelope.body, Body::EightBitMime);
    assert_eq!(
        types(&composed.content)[2..],
        ["message/global-delivery-status", "message/global-headers"]
    );
    let text = String::from_utf8(composed.content.to_vec()).unwrap();
    assert_eq!(
        field(&text, "Final-Recipient").as_deref(),
        Some("utf-8; bärbel@b.test")
    );
    assert_eq!(
        field(&text, "Original-Recipient").as_deref(),
        Some("utf-8; bärbel@list.test")
    );
    assert_eq!(field(&text, "To").as_deref(), Some("<jürgen@home.test>"));
}

#[test]
fn other_originals_get_ascii_around_whatever_their_header_holds() {
    let envelope = from("a@home.test");
    let mut one = settled("b@b.test", bounced("Gibt's nicht: bärbel"));
    one.recipient.orcpt = Some(OriginalRecipient {
        address_type: "utf-8".into(),
        address: "bärbel@list.test".into(),
    });
    let original = Original {
        headers: Bytes::from_static(b"Subject: gr\xfc\xdfe\r\n"),
        full: None,
    };
    let composed = compose(&context(), &shape(Kind::Failure, &envelope, &[one]), &original).unwrap();
    assert_eq!(composed.envelope.body, Body::EightBitMime);
    assert_eq!(
        types(&composed.content)[2..],
        ["message/delivery-status", "text/rfc822-headers"]
    );
    let end = memchr::memmem::find(&composed.content, b"Subject: gr\xfc").unwrap();
    assert!(composed.content[..end].is_ascii());
    let text = String::from_utf8_lossy(&composed.content);
    assert_eq!(
        field(&text, "Original-Recipient").as_deref(),
        Some("utf-8; b\\x{E4}rbel@list.test")
    );
}
