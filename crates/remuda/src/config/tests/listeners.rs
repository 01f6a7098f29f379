//! `[[listener]]`: roles, TLS, logins, and the files that they need.

use std::{fs, os::unix::fs::PermissionsExt};

use remuda_engine::settings::{ListenerTls, Role};
use remuda_testing::certificates::{Authority, Validity};

use super::*;

/// Certificates on disk: `c.pem`, `k.pem`, `other.pem` (another's key), `old.pem` with `old-k.pem` (expired).
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        let files = Files(tempfile::tempdir().unwrap());
        let authority = Authority::new().unwrap();
        let issue = |validity| authority.issue(&["mx.test"], validity).unwrap();
        let (now, old) = (issue(Validity::Now), issue(Validity::Past));
        for (name, content) in [
            ("c.pem", &now.certificate_pem),
            ("k.pem", &now.key_pem),
            ("old.pem", &old.certificate_pem),
            ("old-k.pem", &old.key_pem),
        ] {
            fs::write(files.0.path().join(name), content).unwrap();
            files.chmod(name, 0o600);
        }
        files
    }

    fn chmod(&self, name: &str, mode: u32) {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(self.0.path().join(name), permissions).unwrap();
    }

    /// A listener with these lines; `@` is the directory.
    fn listener(&self, lines: &str) -> String {
        let directory = self.0.path().display().to_string();
        let lines = lines.replace('@', &directory);
        format!("[[listener]]\naddress = \"127.0.0.1:2525\"\n{lines}\n")
    }
}

const FILES: &str = "certificate = \"@/c.pem\"\nkey = \"@/k.pem\"\n";

#[test]
fn a_listener_says_whom_it_is_for_and_what_it_offers() {
    let files = Files::new();
    let text = files.listener(&format!("tls = \"starttls\"\n{FILES}"))
        + "[[listener]]\naddress = \"127.0.0.1:2526\"\nrole = \"mx\"\ntls = \"none\"\ncertificate = \"\"\nkey = \"\"\n"
        + &files
            .listener(&format!(
                "role = \"submission\"\nauth = true\ntls = \"implicit\"\n{FILES}"
            ))
            .replace("2525", "4650");
    let config = sound(&text);
    let [first, second, third] = &config.settings.listeners[..] else {
        panic!("{:?}", config.settings.listeners);
    };
    assert!(matches!(&first.tls, ListenerTls::StartTls(pem) if pem.key.ends_with("k.pem")));
    assert_eq!((first.role, first.auth), (Role::Mx, false));
    assert_eq!(
        (second.role, &second.tls, second.auth),
        (Role::Mx, &ListenerTls::None, false)
    );
    assert!(matches!(&third.tls, ListenerTls::Implicit(pem) if pem.certificate.ends_with("c.pem")));
    assert_eq!((third.role, third.auth), (Role::Submission, true));
    assert_eq!(config.warnings, vec![]);
}

#[test]
fn what_would_never_work_is_a_problem() {
    let files = Files::new();
    let tls = "tls = \"starttls\"\n";
    for (lines, expected) in [
        (
            tls.to_owned(),
            &["3: listener.certificate: missing", "3: listener.key: missing"][..],
        ),
        (
            format!("{tls}certificate = \"@/c.pem\""),
            &["3: listener.key: missing"],
        ),
        (
            format!("{tls}key = \"@/k.pem\"\ncertificate = \"\""),
            &["3: listener.certificate: missing"],
        ),
        (
            FILES.to_owned(),
            &[
                "3: listener.certificate: has an effect only with tls",
                "4: listener.key: has an effect only",
            ],
        ),
        ("auth = true".into(), &["3: listener.auth: logins need TLS"]),
        (
            format!("{tls}role = \"submission\"\n{FILES}"),
            &["4: listener.role: \"submission\" is for clients that log in; set auth = true"],
        ),
        (
            "role = \"msa\"".into(),
            &["3: listener.role: \"msa\" is not known; write \"mx\" or"],
        ),
        (
            "tls = true".into(),
            &["3: listener.tls: true is true/false; write \"none\", \"starttls\""],
        ),
        (
            "tls = \"ssl\"\nauth = true".into(),
            &["3: listener.tls: \"ssl\" is not known"],
        ),
        (
            "tls = \"implicit\"\ncertificate = 3".into(),
            &["4: listener.certificate: 3 is a number"],
        ),
        (
            "auth = \"yes\"".into(),
            &["3: listener.auth: \"yes\" is a string; expected true or false"],
        ),
        ("cert = \"x\"".into(), &["3: listener.cert: unknown key"]),
    ] {
        let shown = problems(&files.listener(&lines));
        assert_eq!(shown.len(), expected.len(), "{lines}: {shown:?}");
        for (line, expected) in shown.iter().zip(expected) {
            assert!(
                line.starts_with(&format!("f.toml:{expected}")),
                "{lines}: {shown:?}"
            );
        }
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_with_its_line() {
    let files = Files::new();
    for (certificate, key, expected) in [
        (
            "nowhere.pem",
            "k.pem",
            "4: listener.certificate: certificate @/nowhere.pem: cannot be read: ",
        ),
        (
            "k.pem",
            "k.pem",
            "4: listener.certificate: certificate @/k.pem: no certificate in it; name a PEM",
        ),
        (
            "c.pem",
            "nowhere.pem",
            "5: listener.key: key @/nowhere.pem: cannot be read: ",
        ),
        (
            "c.pem",
            "c.pem",
            "5: listener.key: key @/c.pem: no private key in it",
        ),
        (
            "c.pem",
            "old-k.pem",
            "5: listener.key: key @/old-k.pem: it is the key of another certificate",
        ),
    ] {
        let lines = format!("tls = \"implicit\"\ncertificate = \"@/{certificate}\"\nkey = \"@/{key}\"");
        let shown = problems(&files.listener(&lines));
        let expected = format!(
            "f.toml:{}",
            expected.replace('@', &files.0.path().display().to_string())
        );
        assert!(
            shown.len() == 1 && shown[0].starts_with(&expected),
            "{expected}: {shown:?}"
        );
    }
}

#[test]
fn what_works_and_is_seldom_meant_is_a_warning() {
    let files = Files::new();
    let shown = |certificate: &str, key: &str| {
        let lines = format!("tls = \"starttls\"\ncertificate = \"@/{certificate}\"\nkey = \"@/{key}\"");
        let warnings = sound(&files.listener(&lines)).warnings;
        warnings
            .iter()
            .map(|one| one.in_file("f.toml"))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown("c.pem", "k.pem"), [""; 0]);
    assert_eq!(
        shown("old.pem", "old-k.pem"),
        ["f.toml:4: listener.certificate: warning: its certificate expired on 2021-02-01T00:00:00Z"]
    );
    for (mode, warns) in [(0o640, false), (0o400, false), (0o644, true), (0o604, true)] {
        files.chmod("k.pem", mode);
        let expected = format!(
            "f.toml:5: listener.key: warning: everybody may read the file (mode {mode:04o}); chmod 640 keeps the key"
        );
        let expected = if warns { vec![expected] } else { vec![] };
        assert_eq!(shown("c.pem", "k.pem"), expected, "{mode:o}");
    }
}
