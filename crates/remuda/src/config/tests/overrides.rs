//! `[[source]]` and `[[destination]]`: every key, every mistake.

use std::time::Duration;

use remuda_dispatch::settings::{Pattern, Rate, Rule};

use super::{problems, sound};

#[test]
fn every_key_of_a_destination_is_read() {
    let text = "[[destination]]\nmatch = \"mx:.Example.com\"\nconcurrency = 2\nsessions_per_endpoint = 3\n\
                rate = \"100/m\"\npipeline_depth = 1\nreuse_count_limit = 20\n[[destination]]\nmatch = \"a.test\"\n";
    let rules = sound(text).settings.destinations;
    let first = Rule {
        pattern: Pattern::Hosts(".example.com".to_owned()),
        concurrency: Some(2),
        sessions_per_endpoint: Some(3),
        rate: Some(Rate {
            messages: 100,
            per: Duration::from_secs(60),
        }),
        pipeline_depth: Some(1),
        reuse_count_limit: Some(20),
    };
    let second = Rule {
        pattern: Pattern::Domain("a.test".to_owned()),
        ..Rule::default()
    };
    assert_eq!(rules, [first, second]);
    assert_eq!(sound(text).settings.dispatch(0).rules, rules);
}

#[test]
fn patterns_are_read_in_every_form() {
    for (text, shown, expected) in [
        (
            "Example.ORG",
            "example.org",
            Pattern::Domain as fn(String) -> Pattern,
        ),
        (".Example.org", ".example.org", Pattern::Domains),
        ("mx:MX1.example.com", "mx:mx1.example.com", |_| {
            Pattern::Host("mx1.example.com".into())
        }),
        ("mx:.example.com", "mx:.example.com", |_| {
            Pattern::Hosts(".example.com".into())
        }),
        ("relay.test:587", "relay.test:587", Pattern::Domain),
        ("192.0.2.1:2525", "192.0.2.1:2525", Pattern::Domain),
        ("[2001:db8::1]", "[2001:db8::1]", Pattern::Domain),
    ] {
        let rules = sound(&format!("[[destination]]\nmatch = {text:?}\n"))
            .settings
            .destinations;
        assert_eq!(rules[0].pattern, expected(shown.to_owned()), "{text}");
        assert_eq!(rules[0].pattern.to_string(), shown);
    }
}

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
        "[[destination]]\nconcurrency = 2",
        "f.toml:1: destination.match: missing; write for example match = \"mx:.example.com\"",
    ),
    (
        "[[destination]]\nmatch = \"*\"",
        "f.toml:2: destination.match: \"*\" would be all destinations; set their limits in [delivery]",
    ),
    (
        "[[destination]]\nmatch = \"mx:[192.0.2.1]\"",
        "f.toml:2: destination.match: \"mx:[192.0.2.1]\" matches no destination; write a domain (\"example.org\")",
    ),
    (
        "[[destination]]\nmatch = \".\"",
        "f.toml:2: destination.match: \".\" matches no destination",
    ),
    (
        "[[destination]]\nmatch = \"a b\"",
        "f.toml:2: destination.match: \"a b\" matches no destination",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\n[[destination]]\nmatch = \"A.test\"",
        "f.toml:3: destination.match: \"a.test\" has a [[destination]] already; put all keys into one",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nconcurrency = 0",
        "f.toml:3: destination.concurrency: 0 is not within 1 to 100000",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nsessions_per_endpoint = 21",
        "f.toml:3: destination.sessions_per_endpoint: 21 is more than delivery.sessions_per_endpoint = 20, and the lowest counts; lower the first or raise the second",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nrate = 100",
        "f.toml:3: destination.rate: 100 is a number; write messages a second, minute or hour such as \"5/s\"",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nrate = \"100/d\"",
        "f.toml:3: destination.rate: \"100/d\" is not a rate; write messages a second, minute or hour such as \"5/s\", \"100/m\" or \"1000/h\"",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nrate = \"0/m\"",
        "f.toml:3: destination.rate: \"0/m\": the number is from 1 to 1000000",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nrate = \"+5/m\"",
        "f.toml:3: destination.rate: \"+5/m\" is not a rate",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nreuse_count_limit = -1",
        "f.toml:3: destination.reuse_count_limit: -1 is not within 0 to 1000000000",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\npipeline_depth = 33",
        "f.toml:3: destination.pipeline_depth: 33 is not within 1 to 32",
    ),
    (
        "[[destination]]\nmatch = \"a.test\"\nconcurency = 1",
        "f.toml:3: destination.concurency: unknown key; did you mean destination.concurrency?",
    ),
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
