//! Submission against a scripted server on a pretended stream.

use std::io::Cursor;

use super::*;

/// Says its lines whatever it hears.
struct Scripted {
    says: Cursor<Vec<u8>>,
    heard: std::rc::Rc<std::cell::RefCell<Vec<u8>>>,
}

impl Read for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Three octets at a time: replies must not depend on where the stream is cut.
        let length = buffer.len().min(3);
        self.says.read(&mut buffer[..length])
    }
}

impl Write for Scripted {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.heard.borrow_mut().extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const OFFERS: &str = "250-mx.test\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n";

fn submission(recipient: &str, content: &str) -> Submission {
    Submission {
        sender: Sender(Some("a@b.test".parse().unwrap())),
        recipients: vec![recipient.parse().unwrap()],
        dsn: DsnOptions::default(),
        content: content.as_bytes().to_vec(),
    }
}

fn run(says: &str, submission: &Submission) -> (Result<(), Failure>, String) {
    let heard = std::rc::Rc::default();
    let stream = Scripted {
        says: Cursor::new(says.as_bytes().to_vec()),
        heard: std::rc::Rc::clone(&heard),
    };
    let server = ([127, 0, 0, 1], 2525).into();
    let ended = Conversation {
        stream,
        server,
        parser: ReplyParser::new(),
        input: Vec::new(),
    }
    .run("me.test", submission);
    let heard = String::from_utf8(heard.borrow().clone()).unwrap();
    (ended, heard)
}

#[test]
fn a_message_goes_stuffed_and_with_the_parameters_it_needs() {
    let says = format!("220 hi\r\n{OFFERS}250 ok\r\n250 ok\r\n354 go\r\n250 2.0.0 queued\r\n");
    let (ended, heard) = run(&says, &submission("ü@c.test", "\r\n.é\r\n"));
    assert!(ended.is_ok());
    let expected = "EHLO me.test\r\nMAIL FROM:<a@b.test> SIZE=7 BODY=8BITMIME SMTPUTF8\r\n\
                    RCPT TO:<ü@c.test>\r\nDATA\r\n\r\n..é\r\n.\r\nQUIT\r\n";
    assert_eq!(heard, expected);
}

#[test]
fn parameters_that_are_not_offered_are_not_used() {
    let says = "220 hi\r\n250 mx.test\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n";
    let mut plain = submission("c@d.test", "\r\né\r\n");
    plain.dsn = DsnOptions {
        notify: Some("NEVER".into()),
        ret: Some("FULL".into()),
        envelope_id: Some("x".into()),
    };
    let (ended, heard) = run(says, &plain);
    assert!(
        ended.is_ok() && heard.contains("MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"),
        "{heard}"
    );
    let (ended, _) = run(says, &submission("ü@d.test", "\r\n"));
    assert_eq!(ended.unwrap_err().exit, Exit::Failed);
}

#[test]
fn wishes_for_reports_are_passed_on() {
    let says = format!("220 hi\r\n{OFFERS}250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n");
    let mut wishes = submission("c@d.test", "\r\n");
    wishes.dsn = DsnOptions {
        notify: Some("DELAY".into()),
        ret: Some("HDRS".into()),
        envelope_id: Some("a+b c".into()),
    };
    let (_, heard) = run(&says, &wishes);
    assert!(
        heard.contains(" RET=HDRS ENVID=a+2Bb+20c\r\nRCPT TO:<c@d.test> NOTIFY=DELAY\r\n"),
        "{heard}"
    );
}

#[test]
fn exit_75_means_try_again_later_and_1_means_never() {
    let sound = [
        "220 hi\r\n",
        OFFERS,
        "250 ok\r\n",
        "250 ok\r\n",
        "354 go\r\n",
        "250 ok\r\n",
    ];
    for step in 0..sound.len() {
        let before = sound[..step].concat();
        for (reply, exit) in [
            ("421 4.3.2 busy\r\n", Exit::TryLater),
            ("550 5.7.1 no\r\n", Exit::Failed),
            ("", Exit::TryLater),
            ("25", Exit::TryLater),
            ("hello\r\n", Exit::Failed),
        ] {
            let (ended, _) = run(&format!("{before}{reply}"), &submission("c@d.test", "\r\n"));
            assert_eq!(ended.unwrap_err().exit, exit, "{step} {reply:?}");
        }
    }
}

#[test]
fn a_refused_recipient_refuses_the_message() {
    let mut two = submission("c@d.test", "\r\n");
    two.recipients.push("e@f.test".parse().unwrap());
    let says = format!("220 hi\r\n{OFFERS}250 ok\r\n250 ok\r\n550 5.1.1 who\r\n");
    let (ended, heard) = run(&says, &two);
    assert!(ended.unwrap_err().message.contains("550 5.1.1 who") && !heard.contains("DATA"));
}
