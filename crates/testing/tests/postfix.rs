//! The Postfix peer against itself: one instance relays to another.

use std::process::Command;

use remuda_testing::{
    peer::Peer,
    postfix::{Mode, Postfix},
};

#[test]
fn mail_relayed_by_one_instance_is_kept_by_another() {
    let keeps = Postfix::start(Mode::Keep, &[]).unwrap();
    let relays = Postfix::start(Mode::RelayTo(keeps.address()), &[]).unwrap();
    let sent = Command::new("/usr/sbin/smtp-source")
        .args(["-m", "3", "-s", "2", "-f", "a@home.test", "-t", "b@else.test"])
        .arg(format!("inet:{}", relays.address()))
        .status()
        .unwrap();
    assert!(sent.success());
    for message in keeps.wait_for_messages(3) {
        let text = String::from_utf8(message).unwrap();
        assert!(text.contains("Delivered-To: b@else.test"), "{text}");
        assert_eq!(text.matches("\nReceived: ").count(), 2, "{text}");
    }
    relays.wait_for_log("status=sent");
    assert_eq!(keeps.messages().len(), 3);
}
