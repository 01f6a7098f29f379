//! What keeps the server from starting: one clear line, a known exit code, and nothing changed on disk.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
};

use crate::home::{Ended, Home};

/// The one line that a refusal says.
fn refusal(home: &Home) -> (i32, String) {
    let ended = home.run(["serve"]);
    let lines: Vec<&str> = ended.err.lines().collect();
    let [line] = lines[..] else {
        panic!("not one line: {ended:?}");
    };
    assert!(ended.out.is_empty(), "{ended:?}");
    (ended.code.expect("it ended by itself"), line.to_owned())
}

/// Every file below a directory with its content.
fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => all.extend(content(&path)),
            false => all.push((path.display().to_string(), fs::read(&path).unwrap_or_default())),
        }
    }
    all.sort();
    all
}

#[test]
fn a_second_process_on_the_same_spool_does_not_start() {
    let home = Home::new("");
    let mut first = home.start();
    let (code, line) = refusal(&home);
    assert_eq!(code, 1, "{line}");
    assert!(line.contains("remuda-data"), "{line}");
    assert_eq!(first.waiting(), 0);
    assert!(first.stop().success());
    assert!(home.start().stop().success());
}

#[test]
fn a_taken_port_is_named_and_nothing_is_made() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = holder.local_addr().expect("an address");
    let text = |smtp: SocketAddr, admin: SocketAddr| {
        format!("[[listener]]\naddress = \"{smtp}\"\n[admin]\naddress = \"{admin}\"\n")
    };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    for text in [text(taken, any), text(any, taken)] {
        let home = Home::with(&text);
        let (code, line) = refusal(&home);
        assert_eq!(code, 1, "{line}");
        assert!(line.contains(&taken.to_string()), "{line}");
        assert!(!home.path("remuda-data").exists(), "{text}");
    }
    drop(holder);
}

#[test]
fn a_data_directory_that_is_none_is_named() {
    let home = Home::new("");
    fs::write(home.path("remuda-data"), "a file").expect("a file");
    let (code, line) = refusal(&home);
    assert!([1, 78].contains(&code), "{line}");
    assert!(line.contains("remuda-data"), "{line}");
    assert_eq!(
        fs::read(home.path("remuda-data")).expect("it is still there"),
        b"a file"
    );
}

#[test]
fn a_damaged_spool_is_named_and_left_alone() {
    let home = Home::new("");
    assert!(home.start().stop().success());
    fs::write(home.path("remuda-data/spool.db"), [b'?'; 20_000]).expect("a file");
    let before = content(&home.path("remuda-data"));
    let (code, line) = refusal(&home);
    assert!([1, 78].contains(&code), "{line}");
    assert!(line.contains("remuda-data"), "{line}");
    assert_eq!(content(&home.path("remuda-data")), before);
}

#[test]
fn a_wrong_configuration_is_named_with_file_line_and_key() {
    let home = Home::with("hostname = \"mx.example.org\"\n\n[delivery]\nconcurrency = 0\nconcurency = 3\n");
    let check = |ended: Ended| {
        assert_eq!(ended.code, Some(78), "{ended:?}");
        let lines: Vec<&str> = ended.err.lines().collect();
        assert_eq!(lines.len(), 2, "{ended:?}");
        assert!(
            lines[0].starts_with("remuda.toml:4: delivery.concurrency: "),
            "{ended:?}"
        );
        assert!(
            lines[1].starts_with("remuda.toml:5: delivery.concurency: "),
            "{ended:?}"
        );
    };
    check(home.run(["check"]));
    check(home.run(["serve"]));
    let missing = home.run(["serve", "--config", "nowhere.toml"]);
    assert_eq!(missing.code, Some(78), "{missing:?}");
    assert!(missing.err.starts_with("nowhere.toml: "), "{missing:?}");
    assert!(!home.path("remuda-data").exists());
}
