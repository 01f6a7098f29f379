//! `[[source]]` and `[[destination]]`: every key, every mistake.

use super::{problems, sound};

#[test]
fn every_key_of_a_source_is_read() {
    let text = "hostname = \"mx.test\"\n[[source]]\naddress = \"192.0.2.10\"\nhelo_name = \"Out1.test\"\n\
                [[source]]\naddress = \"2001:db8::10\"\n[delivery]\nhelo_name = \"all.test\"\n";
    let sources = sound(text).settings.sources;
    let shown: Vec<_> = sources
        .iter()
        .map(|one| format!("{} {}", one.address, one.helo_name))
        .collect();
    assert_eq!(shown, ["192.0.2.10 out1.test", "2001:db8::10 all.test"]);
    assert_eq!(sound("").settings.sources.len(), 0);
    assert_eq!(sound(text).settings.dispatch(0).sources, sources);
}

#[test]
fn every_mistake_is_named_with_its_line_and_mend() {
    for (text, expected) in MISTAKES {
        let found = problems(text);
        assert!(
            found.len() == 1 && found[0].starts_with(expected),
            "{text}\n{found:#?}"
        );
    }
}

const MISTAKES: &[(&str, &str)] = &[
    (
        "[[source]]\nhelo_name = \"a.test\"",
        "f.toml:1: source.address: missing; write for example address = \"192.0.2.10\"",
    ),
    (
        "[[source]]\naddress = \"192.0.2.10:25\"",
        "f.toml:2: source.address: \"192.0.2.10:25\" is not an address; write an address of this machine such as \"192.0.2.10\" or \"2001:db8::10\", without a port",
    ),
    (
        "[[source]]\naddress = \"0.0.0.0\"",
        "f.toml:2: source.address: nothing can be sent from 0.0.0.0; write an address of this machine",
    ),
    (
        "[[source]]\naddress = \"ff02::1\"",
        "f.toml:2: source.address: nothing can be sent from ff02::1",
    ),
    (
        "[[source]]\naddress = 10",
        "f.toml:2: source.address: 10 is a number; write an address of this machine",
    ),
    (
        "[[source]]\naddress = \"192.0.2.10\"\n[[source]]\naddress = \"::ffff:192.0.2.10\"",
        "f.toml:3: source.address: 192.0.2.10 has a [[source]] already; remove one of them",
    ),
    (
        "[[source]]\naddress = \"192.0.2.10\"\nhelo_name = \"-\"",
        "f.toml:3: source.helo_name: \"-\" is not a host name; write one such as \"mx.example.org\", or \"\" for delivery.helo_name",
    ),
    (
        "[[source]]\naddress = \"192.0.2.10\"\nhelo_nam = \"a.test\"",
        "f.toml:3: source.helo_nam: unknown key; did you mean source.helo_name?",
    ),
    (
        "[source]\naddress = \"192.0.2.10\"",
        "f.toml:1: source: this is a section; write [[source]]",
    ),
];
