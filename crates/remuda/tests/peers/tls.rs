//! Remuda speaks TLS with a real server, and says so.

use std::fs;

use remuda_testing::{
    certificates::{Authority, Validity},
    peer::{Mode, Peer},
    postfix::Postfix,
};

use crate::{
    home::Home,
    letters::{self, Letter},
    sink::route,
};

/// A Postfix that takes nothing in clear, and a route that wants to know who it is.
#[test]
fn mail_reaches_a_real_postfix_over_verified_tls() {
    let authority = Authority::new().expect("an authority");
    let issued = authority
        .issue(&["127.0.0.1"], Validity::Now)
        .expect("a certificate");
    let files = tempfile::tempdir().expect("a directory");
    let written = |name: &str, content: &str| {
        let path = files.path().join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    };
    let certificate = written("certificate.pem", &issued.certificate_pem);
    let key = written("key.pem", &issued.key_pem);
    let ca_file = written("ca.pem", &authority.pem());
    let postfix = Postfix::start(
        Mode::Keep,
        &[
            "smtpd_tls_security_level = encrypt",
            &format!("smtpd_tls_cert_file = {certificate}"),
            &format!("smtpd_tls_key_file = {key}"),
        ],
    )
    .expect("the peer is there");

    let to = route("example.test", postfix.address());
    let home = Home::new(&format!(
        "{to}tls = \"verify\"\n[delivery.tls]\nca_file = {ca_file:?}\n[connection_cache]\ndestinations = [\"*\"]\n\
         idle_time_limit = \"60s\"\n"
    ));
    let mut remuda = home.start();
    letters::send(remuda.smtp, &letters::every_form("example.test"));
    remuda.wait_until_empty();
    let connections = remuda.ask(&["connections"]);
    assert!(connections.contains("TLSv1.3"), "{connections}");
    // Parked, and with its tickets come, one serves again.
    letters::send(remuda.smtp, &[Letter::new("again", "example.test", b"hello\r\n")]);
    remuda.wait_until_empty();
    let log = remuda.log();
    let sent: Vec<&str> = log.lines().filter(|line| line.contains("status=sent")).collect();
    assert!(
        !sent.is_empty() && sent.iter().all(|line| line.contains(" tls=TLSv1.3 ")),
        "{log}"
    );
    assert!(
        sent.last()
            .is_some_and(|line| line.contains(" cache=destination")),
        "{log}"
    );
    assert!(remuda.stop().success());
}
