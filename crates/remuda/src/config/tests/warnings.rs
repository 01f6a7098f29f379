//! What works and is seldom meant, and logins that would never work.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use super::*;

fn warnings(text: &str) -> Vec<String> {
    let config = sound(text);
    config.warnings.iter().map(|one| one.in_file("f.toml")).collect()
}

/// A route that logs in, with the mode of its password file.
fn login(mode: u32) -> (tempfile::NamedTempFile, String) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"hunter2").unwrap();
    std::fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
    let text = LOGIN.replace("{}", file.path().to_str().unwrap());
    (file, text)
}

#[test]
fn that_others_may_read_a_password_is_a_warning() {
    for mode in [0o600, 0o400, 0o700] {
        let (_file, text) = login(mode);
        assert_eq!(warnings(&text), [""; 0], "{mode:o}");
    }
    for mode in [0o644, 0o640, 0o604] {
        let (_file, text) = login(mode);
        let expected = format!(
            "f.toml:5: route.password_file: warning: others than its owner may read the file (mode \
             {mode:04o}); chmod 600 keeps the password"
        );
        assert_eq!(warnings(&text), [expected]);
    }
}

#[test]
fn a_count_of_reuses_is_a_warning() {
    let text = "[[destination]]\nmatch = \"a.test\"\nreuse_count_limit = 20\n[[destination]]\n\
                match = \"b.test\"\nreuse_count_limit = 0\n[connection_cache]\nreuse_count_limit = 9\n";
    let shown = warnings(text);
    let heads = [
        "f.toml:3: destination.reuse_count_limit: warning: a count sends ever more mail to the slowest host",
        "f.toml:8: connection_cache.reuse_count_limit: warning: a count sends ever more mail to the slowest host",
    ];
    assert_eq!(shown.len(), heads.len(), "{shown:?}");
    for (warning, head) in shown.iter().zip(heads) {
        assert!(warning.starts_with(head), "{warning}");
    }
    assert_eq!(warnings("[connection_cache]\nreuse_count_limit = 0"), [""; 0]);
}

/// A route's own level is asked in `tests`; here it leaves that to others.
#[test]
fn a_login_that_gets_no_tls_is_a_problem() {
    let none = "[delivery.tls]\nlevel = \"none\"\n";
    let rule =
        |pattern: &str, level: &str| format!("[[destination]]\nmatch = \"{pattern}\"\ntls = \"{level}\"\n");
    for (more, is_wrong) in [
        (none.to_owned(), true),
        (format!("{none}{}", rule("a.test", "may")), false),
        (format!("{none}{}", rule("mx:a.test", "encrypt")), false),
        (format!("{none}{}", rule("b.test", "may")), true),
        (rule("a.test", "none"), true),
        (rule("mx:.test", "none"), true),
        (rule("b.test", "none"), false),
    ] {
        let (_file, login) = login(0o600);
        let text = format!("{login}{more}");
        if !is_wrong {
            sound(&text);
            continue;
        }
        let shown = problems(&text);
        assert_eq!(shown.len(), 1, "{more}: {shown:?}");
        assert!(
            shown[0].starts_with("f.toml:4: route.username: AUTH needs TLS")
                && shown[0].contains("set its tls"),
            "{more}: {shown:?}"
        );
        for mend in ["auth_in_clear = true", "tls = \"encrypt\""] {
            sound(&format!("{login}{mend}\n{more}"));
        }
    }
}
