//! The parser against scripts, every cut of them, and arbitrary octets.

use proptest::prelude::*;

use super::*;

fn all(chunks: &[&[u8]]) -> Result<Vec<Reply>, ReplyError> {
    let (mut parser, mut replies) = (ReplyParser::new(), Vec::new());
    for chunk in chunks {
        let mut input = *chunk;
        while let Some(reply) = parser.next(&mut input)? {
            replies.push(reply);
        }
    }
    Ok(replies)
}

fn one(text: &str) -> Reply {
    let mut replies = all(&[text.as_bytes()]).unwrap();
    assert_eq!(replies.len(), 1, "{text:?}");
    replies.remove(0)
}

#[test]
fn replies_are_read_as_servers_write_them() {
    for (wire, code, enhanced, text) in [
        ("250 2.1.0 Ok\r\n", 250, Some((2, 1, 0)), "Ok"),
        ("250\r\n", 250, None, ""),
        ("250 \r\n", 250, None, ""),
        ("250-\r\n250\r\n", 250, None, "\n"),
        ("250 ok\n", 250, None, "ok"),
        ("550 5.7.509 policy\r\n", 550, Some((5, 7, 509)), "policy"),
        ("550-5.1.1 a\r\n550 5.1.1 b\r\n", 550, Some((5, 1, 1)), "a\nb"),
        ("550-a\r\n550 5.1.1 b\r\n", 550, Some((5, 1, 1)), "a\nb"),
        ("450 5.1.1 x\r\n", 450, None, "5.1.1 x"),
        ("450 4.2.1\r\n", 450, Some((4, 2, 1)), ""),
        ("354 go\r\n", 354, None, "go"),
        ("250 2address\r\n", 250, None, "2address"),
        ("250-a\r\n550 b\r\n", 550, None, "a\nb"),
        ("250-2.0.0 a\r\n550 b\r\n", 550, None, "a\nb"),
        ("000 x\r\n", 0, None, "x"),
        ("250 a\0b\tc\x7f\r\n", 250, None, "a b c "),
    ] {
        let expected = Reply {
            code,
            enhanced: enhanced.map(|(class, subject, detail)| EnhancedStatus::new(class, subject, detail)),
            text: text.into(),
        };
        assert_eq!(one(wire), expected, "{wire:?}");
    }
}

#[test]
fn what_is_not_a_reply_is_an_error_at_its_first_wrong_octet() {
    for wire in [
        "hello",
        "25x",
        "2500",
        "\r\n",
        " 250 ok\r\n",
        "25\r\n",
        "250_ok",
        "-50 a",
    ] {
        assert_eq!(all(&[wire.as_bytes()]), Err(ReplyError::NotSmtp), "{wire:?}");
    }
    for wire in ["", "2", "25", "250", "250 ", "250-a\r\n", "250 ok\r"] {
        assert_eq!(all(&[wire.as_bytes()]), Ok(vec![]), "{wire:?}");
    }
}

#[test]
fn memory_is_bounded_against_endless_lines_and_endless_replies() {
    let line = [b"250 ".as_slice(), &vec![b'x'; LINE_LENGTH_MAX]].concat();
    assert_eq!(all(&[&line]), Err(ReplyError::TooLong));
    assert_eq!(all(&[&[&line[..], b"\n"].concat()]), Err(ReplyError::TooLong));
    let halves: Vec<&[u8]> = line.chunks(1000).collect();
    assert_eq!(all(&halves), Err(ReplyError::TooLong));

    let (mut parser, mut lines) = (ReplyParser::new(), 0);
    let error = loop {
        match parser.next(&mut &b"250-again and again\r\n"[..]) {
            Ok(reply) => assert_eq!(reply, None),
            Err(error) => break error,
        }
        lines += 1;
    };
    assert_eq!(error, ReplyError::TooLong);
    assert!(lines < REPLY_LENGTH_MAX / 20);
}

#[test]
fn text_is_printable_whatever_came() {
    let replies = all(&[b"550 caf\xe9 \x1b[31m\xc3\xa9\r\n"]).unwrap();
    assert_eq!(replies[0].text, "caf\u{fffd}  [31m\u{e9}");
}

proptest! {
    #[test]
    fn where_the_stream_is_cut_does_not_matter(
        wire in "(([245][0-9]{2}[ -]([245]\\.[0-9]\\.[0-9]{1,3} )?[a-z \\x00]{0,6}|x)\\r?\\n){0,6}",
        cuts in proptest::collection::vec(0usize..120, 0..8),
    ) {
        let wire = wire.as_bytes();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(wire.len())).collect();
        cuts.extend([0, wire.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
        prop_assert_eq!(all(&chunks), all(&[wire]));
    }

    #[test]
    fn no_octets_break_the_parser(wire in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(replies) = all(&[&wire]) {
            for reply in replies {
                prop_assert!(reply.code < 1000);
                prop_assert!(!reply.text.contains(|c: char| c.is_control() && c != '\n'));
            }
        }
    }
}
