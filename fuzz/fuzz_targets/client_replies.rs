//! Any octets from a server, cut anywhere: the client machine always ends its opening and its
//! transactions, with one slot for each recipient, and never says more than it should.
#![no_main]

use libfuzzer_sys::fuzz_target;
use remuda_mail::{Credentials, Endpoint, Envelope, Protocol, Recipient, Secret};
use remuda_smtp::client::{Client, Login, Loss, Order, Peer, Security, Want, WantedTls};

fn drain(client: &mut Client, sent: &mut Vec<u8>) {
    let length = client.output().len();
    sent.extend_from_slice(client.output());
    client.wrote(length);
}

/// A group of transactions, as deep as it may be; answers whether the session is in order.
fn transact(
    client: &mut Client,
    replies: &mut std::slice::Chunks<'_, u8>,
    recipients: &[Recipient],
    depth: usize,
) -> bool {
    let envelope = Envelope::default();
    let content: &[u8] = b"Subject: x\r\n\r\n.\r\n..\r\nend\r\n";
    let whole = (depth > 0).then_some(content);
    let order =
        Order { envelope: &envelope, recipients, size: content.len() as u64, smtputf8: false, eight_bit: false, whole };
    client.begin(order);
    let mut begun = 1;
    let (mut sent, mut is_content_given, mut results) = (Vec::new(), false, 0);
    loop {
        while begun < depth && client.can_follow() {
            results += usize::from(client.follow(order).is_err());
            begun += 1;
        }
        drain(client, &mut sent);
        while let Some(finished) = client.finished() {
            assert_eq!(finished.outcomes.len(), recipients.len(), "one slot for each recipient");
            results += 1;
            if client.under_way() == 0 && !client.has_result() {
                assert_eq!(results, begun, "one result for each");
                let text = String::from_utf8_lossy(&sent);
                assert!(text.matches("MAIL FROM:").count() <= begun, "{text}");
                assert!(!text.contains("\r\n.\r\nMAIL"), "{text}");
                return finished.health == remuda_smtp::client::Health::Sound;
            }
        }
        match client.want() {
            Want::Content if !is_content_given => {
                client.content(content);
                is_content_given = true;
            }
            Want::Content => client.end_content(),
            Want::Reply(_) | Want::Nothing | Want::Handshake => match replies.next() {
                Some(piece) => client.receive(piece),
                None => client.lost(&Loss::Closed),
            },
        }
    }
}

/// With or without TLS and AUTH, or by LMTP; a password goes out over TLS only.
fn security(head: u8) -> Security {
    let credentials = Credentials { username: "me".into(), password: Secret::new("secret") };
    Security {
        protocol: if head >> 6 == 3 { Protocol::Lmtp } else { Protocol::Smtp },
        tls: [WantedTls::None, WantedTls::IfOffered, WantedTls::Required][usize::from(head >> 6) % 3],
        login: (head & 32 != 0).then_some(Login { credentials, in_clear: false }),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((head, input)) = data.split_first() else { return };
    let mut replies = input.chunks(usize::from(head >> 2) + 1);
    let endpoint = Endpoint::Tcp("127.0.0.1:25".parse().expect("an address"));
    let mut client = Client::with(Peer::new("mx.test", endpoint), "relay.test".into(), security(*head));
    let mut sent = Vec::new();
    while client.opening().is_none() {
        drain(&mut client, &mut sent);
        match replies.next() {
            _ if client.want() == Want::Handshake => client.secured(),
            Some(piece) => client.receive(piece),
            None => client.lost(&Loss::TimedOut),
        }
    }
    let text = String::from_utf8_lossy(&sent);
    assert!(text.matches("STARTTLS").count() <= 1, "{text}");
    let said = text.find("AUTH");
    assert!(said.is_none_or(|at| text.find("STARTTLS").is_some_and(|tls| tls < at)), "a password in clear: {text}");
    let count = usize::from(head & 3) + 1;
    let recipients: Vec<Recipient> =
        (0..count).map(|i| Recipient::plain(format!("r{i}@d.test").parse().expect("an address"))).collect();
    if client.opening().is_some_and(|opening| opening.is_ok()) {
        for _ in 0..4 {
            if !transact(&mut client, &mut replies, &recipients, usize::from(head >> 5)) {
                break;
            }
        }
    }
    client.quit();
});
