//! STARTTLS and implicit TLS: what is offered, counted, and waited for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends with a panic")]

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use remuda_sink::{Certificate, Listener, Running, TlsMode, ViolationKind};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use support::{Client, StillClock, kinds, sink, sink_with};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

fn secured(tls_mode: TlsMode) -> Listener {
    Listener {
        tls: Some(Certificate::SelfSigned),
        tls_mode,
        ..Listener::default()
    }
}

/// Believes anybody.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

fn connector(versions: &[&'static SupportedProtocolVersion]) -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Gullible))
        .with_no_client_auth();
    Arc::new(config).into()
}

async fn secure(connector: &TlsConnector, stream: TcpStream) -> TlsStream<TcpStream> {
    let name = ServerName::try_from("sink.test").unwrap();
    connector.connect(name, stream).await.unwrap()
}

/// Sends and reads up to the end of one reply.
async fn say(stream: &mut TlsStream<TcpStream>, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    reply(stream).await
}

async fn reply(stream: &mut TlsStream<TcpStream>) -> String {
    let mut said = Vec::new();
    loop {
        stream.read_buf(&mut said).await.unwrap();
        let text = String::from_utf8_lossy(&said);
        let last = text.lines().last().unwrap_or_default();
        if text.ends_with("\r\n") && last.as_bytes().get(3) == Some(&b' ') {
            return text.into_owned();
        }
    }
}

async fn starttls(address: SocketAddr, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let mut client = Client::ready(address).await;
    assert!(client.say("STARTTLS\r\n").await.starts_with("220"));
    secure(connector, client.stream).await
}

fn handshakes(sink: &Running) -> (u64, u64) {
    let report = &sink.report().listeners[0];
    (report.tls_handshakes, report.tls_resumed)
}

#[tokio::test]
async fn starttls_is_offered_in_clear_and_mail_comes_over_tls() {
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12]] {
        let sink = sink(secured(TlsMode::StartTls)).await;
        let mut client = Client::connect(sink.address()).await;
        assert!(client.say("EHLO c.test\r\n").await.contains("250-STARTTLS\r\n"));
        assert!(client.say("STARTTLS\r\n").await.starts_with("220"));
        let mut stream = secure(&connector(versions), client.stream).await;
        assert!(
            say(&mut stream, "MAIL FROM:<>\r\n").await.starts_with("503"),
            "who is it?"
        );
        assert!(!say(&mut stream, "EHLO c.test\r\n").await.contains("STARTTLS"));
        say(&mut stream, "MAIL FROM:<>\r\n").await;
        say(&mut stream, "RCPT TO:<a@b.test>\r\n").await;
        say(&mut stream, "DATA\r\n").await;
        let content = "x".repeat(900) + "\r\n";
        assert!(
            say(&mut stream, &format!("{}.\r\n", content.repeat(200)))
                .await
                .starts_with("250")
        );
        assert!(say(&mut stream, "STARTTLS\r\n").await.starts_with("502"));
        assert!(say(&mut stream, "QUIT\r\n").await.starts_with("221"));
        let report = sink.stop().await;
        assert_eq!((report.messages(), report.listeners[0].tls_handshakes), (1, 1));
        let kinds: Vec<_> = report.violations().map(|violation| violation.kind).collect();
        assert_eq!(kinds, [ViolationKind::BadSequence, ViolationKind::UnknownCommand]);
    }
}

#[tokio::test]
async fn implicit_tls_comes_before_the_greeting() {
    let sink = sink(secured(TlsMode::Implicit)).await;
    let stream = TcpStream::connect(sink.address()).await.unwrap();
    let mut stream = secure(&connector(rustls::ALL_VERSIONS), stream).await;
    assert!(reply(&mut stream).await.starts_with("220"));
    assert!(!say(&mut stream, "EHLO c.test\r\n").await.contains("STARTTLS"));
    say(&mut stream, "QUIT\r\n").await;
    assert_eq!(handshakes(&sink), (1, 0));
}

#[tokio::test]
async fn resumed_handshakes_are_counted() {
    let sink = sink(secured(TlsMode::StartTls)).await;
    let connector = connector(rustls::ALL_VERSIONS);
    for _ in 0..3 {
        let mut stream = starttls(sink.address(), &connector).await;
        // Tickets come with the first reply.
        say(&mut stream, "EHLO c.test\r\n").await;
        say(&mut stream, "QUIT\r\n").await;
    }
    assert_eq!(handshakes(&sink), (3, 2));
}

#[tokio::test]
async fn without_a_certificate_there_is_no_starttls() {
    let sink = sink(Listener::default()).await;
    let mut client = Client::connect(sink.address()).await;
    assert!(!client.say("EHLO c.test\r\n").await.contains("STARTTLS"));
    assert!(client.say("STARTTLS\r\n").await.starts_with("502"));
    assert_eq!(kinds(&sink), [ViolationKind::UnknownCommand]);
}

#[tokio::test]
async fn what_stands_behind_starttls_is_a_violation() {
    let sink = sink(secured(TlsMode::StartTls)).await;
    let mut client = Client::ready(sink.address()).await;
    client.say("STARTTLS\r\nEHLO c.test\r\n").await;
    assert_eq!(kinds(&sink), [ViolationKind::PipelinedTooFar]);
}

#[tokio::test]
async fn starttls_can_be_refused_by_the_script() {
    let mut listener = secured(TlsMode::StartTls);
    listener.reply.push("starttls=454 4.7.0 not now".parse().unwrap());
    let sink = sink(listener).await;
    let mut client = Client::ready(sink.address()).await;
    assert!(client.say("STARTTLS\r\n").await.starts_with("454"));
    assert!(client.say("MAIL FROM:<>\r\n").await.starts_with("250"));
    assert_eq!((handshakes(&sink), kinds(&sink)), ((0, 0), vec![]));
}

#[tokio::test]
async fn whoever_is_known_logs_in_over_tls() {
    let listener = Listener {
        auth: vec!["me:secret".parse().unwrap()],
        ..secured(TlsMode::StartTls)
    };
    let sink = sink(listener).await;
    let mut client = Client::connect(sink.address()).await;
    assert!(
        !client.say("EHLO c.test\r\n").await.contains("AUTH"),
        "not in clear"
    );
    let connector = connector(rustls::ALL_VERSIONS);
    for (commands, code) in [
        (&["AUTH PLAIN AG1lAHNlY3JldA==\r\n"][..], "235"),
        (&["AUTH PLAIN\r\n", "AG1lAHNlY3JldA==\r\n"], "235"),
        (&["AUTH LOGIN\r\n", "bWU=\r\n", "c2VjcmV0\r\n"], "235"),
        (&["AUTH LOGIN\r\n", "bWU=\r\n", "bWU=\r\n"], "535"),
        (&["AUTH PLAIN AG1l\r\n"], "535"),
    ] {
        let mut stream = starttls(sink.address(), &connector).await;
        assert!(
            say(&mut stream, "EHLO c.test\r\n")
                .await
                .contains("AUTH PLAIN LOGIN")
        );
        assert!(say(&mut stream, "MAIL FROM:<>\r\n").await.starts_with("530"));
        let mut last = String::new();
        for command in commands {
            last = say(&mut stream, command).await;
        }
        assert!(last.starts_with(code), "{commands:?}: {last}");
        let mail = say(&mut stream, "MAIL FROM:<>\r\n").await;
        assert_eq!(mail.starts_with("250"), code == "235");
    }
    assert_eq!(kinds(&sink), []);
}

/// The records of a handshake wait too, and are no flight of a transaction.
#[tokio::test]
async fn a_handshake_costs_its_round_trips() {
    const RTT: Duration = Duration::from_millis(50);
    for (versions, trips) in [
        (&[&rustls::version::TLS13][..], 1),
        (&[&rustls::version::TLS12], 2),
    ] {
        let clock = StillClock::new();
        let listener = Listener {
            rtt: RTT,
            ..secured(TlsMode::StartTls)
        };
        let sink = sink_with(listener, clock.clone()).await;
        let mut client = Client::dial(sink.address()).await;
        let mut passed = RTT * 2;
        clock.until_asked_for(passed).await;
        clock.advance(RTT * 2);
        client.reply().await;
        for command in ["EHLO c.test\r\n", "STARTTLS\r\n"] {
            client.send(command).await;
            passed += RTT;
            clock.until_asked_for(passed).await;
            clock.advance(RTT);
            client.reply().await;
        }
        let connector = connector(versions);
        let handshake = tokio::spawn(async move { secure(&connector, client.stream).await });
        for _ in 0..trips {
            passed += RTT;
            clock.until_asked_for(passed).await;
            clock.advance(RTT);
        }
        let mut stream = handshake.await.unwrap();
        stream.write_all(b"EHLO c.test\r\n").await.unwrap();
        passed += RTT;
        clock.until_asked_for(passed).await;
        clock.advance(RTT);
        reply(&mut stream).await;
        assert_eq!(sink.report().listeners[0].flights, 0);
    }
}
