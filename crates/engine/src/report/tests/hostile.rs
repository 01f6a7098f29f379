//! Servers, clients and originals that want to write the report themselves.

use proptest::prelude::*;

use super::*;

/// Checks everything that holds for any report; answers it as text.
fn assert_sound(content: &[u8]) -> String {
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("a line without CRLF");
        assert!(line.len() <= 998, "a line of {} octets", line.len());
        assert!(!line.contains(&b'\r') && !line.contains(&0));
    }
    let kinds = types(content);
    assert_eq!(kinds[0], "multipart/report");
    assert!(kinds.len() >= 4, "{kinds:?}");
    let message = parse(content);
    let top = message.root_part();
    let names: Vec<&str> = top.headers.iter().map(|header| header.name()).collect();
    let expected = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "In-Reply-To",
        "References",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    let unexpected: Vec<_> = names
        .iter()
        .filter(|name| !expected.iter().any(|known| known.eq_ignore_ascii_case(name)))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    String::from_utf8_lossy(content).into_owned()
}

/// The status part's lines that begin a field.
fn status_fields(text: &str) -> Vec<String> {
    let start = text.find("Reporting-MTA:").unwrap();
    let end = text[start..].find("\r\n--=_remuda").unwrap() + start;
    text[start..end]
        .split("\r\n")
        .filter(|line| !line.is_empty() && !line.starts_with(' '))
        .map(|line| line.split(':').next().unwrap().to_owned())
        .collect()
}

#[test]
fn words_that_look_like_fields_or_boundaries_stay_words() {
    let attack = "no\r\nAction: delivered\r\n\r\nFinal-Recipient: rfc822; evil@x.test\r\n--=_remuda_";
    let mut one = settled("b@b.test", bounced(attack));
    one.recipient.original = Some(attack.into());
    one.recipient.orcpt = Some(OriginalRecipient {
        address_type: attack.into(),
        address: attack.into(),
    });
    let envelope = Envelope {
        envid: Some(attack.into()),
        ..from("a@home.test")
    };
    let text = assert_sound(report(Kind::Failure, &envelope, &[one]).as_bytes());
    let fields = status_fields(&text);
    for name in ["Action", "Final-Recipient"] {
        assert_eq!(fields.iter().filter(|field| *field == name).count(), 1);
    }
}

#[test]
fn an_original_that_contains_the_boundary_does_not_end_the_part() {
    let envelope = from("a@home.test");
    let recipients = [settled("b@b.test", bounced("no"))];
    let plain = report(Kind::Failure, &envelope, &recipients);
    let message = parse(plain.as_bytes());
    let boundary = message
        .content_type()
        .unwrap()
        .attribute("boundary")
        .unwrap()
        .to_owned();
    let original = Original {
        headers: format!("Subject: x\r\n--{boundary}\r\nX: --{boundary}--\r\n").into(),
        full: None,
    };
    let composed = compose(
        &context(),
        &shape(Kind::Failure, &envelope, &recipients),
        &original,
    )
    .unwrap();
    assert_eq!(types(&composed.content).len(), 4);
    assert!(
        !composed
            .content
            .ends_with(format!("--{boundary}--\r\n").as_bytes())
    );
}

#[test]
fn a_message_id_that_is_none_is_not_repeated() {
    let envelope = from("a@home.test");
    let recipients = [settled("b@b.test", bounced("no"))];
    for id in ["<a b>", "a@b", "<>", "<a><b>", "<\u{e4}@b>"] {
        let original = Original {
            headers: format!("Message-ID: {id}\r\n").into(),
            full: None,
        };
        let composed = compose(
            &context(),
            &shape(Kind::Failure, &envelope, &recipients),
            &original,
        )
        .unwrap();
        let text = String::from_utf8(composed.content.to_vec()).unwrap();
        assert_eq!(field(&text, "In-Reply-To"), None, "{id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_report_always_parses(
        said in ".{0,300}",
        reason in "[\\x00-\\x7f\u{e4}]{0,2000}",
        relay in ".{0,60}",
        envid in ".{0,200}",
        kind in ".{0,20}",
        orcpt in ".{0,600}",
        headers in prop::collection::vec(any::<u8>(), 0..3000),
        full in prop::option::of(prop::collection::vec(any::<u8>(), 0..3000)),
        smtputf8 in any::<bool>(),
        which in 0..3_usize,
    ) {
        let kind_of_report = [Kind::Failure, Kind::Delay, Kind::Success][which];
        let refusal = Refusal {
            status: EnhancedStatus::new(5, 0, 0),
            reply: Some(reply(550, "5.0.0", &said)),
            reason,
            relay: Some(relay.clone()),
        };
        let outcome = match kind_of_report {
            Kind::Failure => Outcome::Bounced(refusal),
            Kind::Delay => Outcome::Deferred(refusal),
            Kind::Success => delivered(&relay, false),
        };
        let mut one = settled("b@b.test", outcome);
        one.recipient.original = Some(said);
        one.recipient.orcpt = Some(OriginalRecipient { address_type: kind, address: orcpt });
        let envelope = Envelope { smtputf8, envid: Some(envid), ret: Some(Return::Full), ..from("a@home.test") };
        let original = Original { headers: headers.into(), full: full.map(Bytes::from) };
        let recipients = [one];
        let composed = compose(&context(), &shape(kind_of_report, &envelope, &recipients), &original).unwrap();
        let text = assert_sound(&composed.content);
        let fields = status_fields(&text);
        prop_assert_eq!(fields.iter().filter(|name| *name == "Action").count(), 1);
        prop_assert_eq!(fields.iter().filter(|name| *name == "Final-Recipient").count(), 1);
    }
}
