//! `[directory]` and `[object_cache]`.

use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use remuda_directory::{
    model::Kind,
    switches::{KindSettings, Settings},
};

use super::*;

#[test]
fn the_directory_is_a_file_in_the_data_directory_or_a_server() {
    assert_eq!(
        sound("").directory.database,
        Database::Sqlite("./remuda-data/directory.db".into())
    );
    let database = |url: &str| {
        sound(&format!("data_dir = \"/d\"\n[directory]\nurl = \"{url}\""))
            .directory
            .database
    };
    for (url, path) in [
        ("sqlite:a.db", "/d/a.db"),
        ("sqlite:/e/a.db", "/e/a.db"),
        ("sqlite:///e/a.db", "/e/a.db"),
        ("sqlite://a.db", "/d/a.db"),
    ] {
        assert_eq!(database(url), Database::Sqlite(path.into()), "{url}");
    }
    for url in [
        "postgres://remuda@db.test/remuda",
        "postgresql://remuda:hunter2@[::1]:5432/remuda?sslmode=require",
        "postgres:///remuda?host=/run/postgresql",
    ] {
        let database = database(url);
        assert_eq!(database, Database::Postgres(Secret::new(url)));
        assert!(!format!("{database:?}").contains("hunter2"));
    }
}

#[test]
fn a_url_that_cannot_be_one_is_a_problem() {
    for (url, said) in [
        (
            "mysql://db.test/remuda",
            "\"mysql\" is no database that can hold the directory",
        ),
        ("directory.db", "this is no URL"),
        ("sqlite:", "the URL names no file"),
        ("sqlite::memory:", "the URL names no file"),
        ("sqlite:a.db?mode=ro", "the URL of a file has no parameters"),
        ("postgres://db.test", "the URL names no host and database"),
        ("postgres:///remuda", "the URL names no host and database"),
        ("postgres:db", "the URL names no host and database"),
        ("postgres://me@/remuda", "the URL names no host and database"),
        ("postgres://db.test/a b", "a URL has no spaces"),
    ] {
        let problems = problems(&format!("[directory]\nurl = \"{url}\""));
        let head = format!("f.toml:2: directory.url: {said}; write one such as \"sqlite:directory.db\"");
        assert!(
            problems.len() == 1 && problems[0].starts_with(&head),
            "{problems:?}"
        );
    }
}

#[test]
fn a_password_in_a_file_that_others_may_read_is_a_warning() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("remuda.toml");
    let warnings = |url: &str, mode: u32| {
        std::fs::write(
            &file,
            format!("hostname = \"mx.test\"\n[directory]\nurl = \"{url}\"\n"),
        )
        .unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let config = Source::File(file.clone()).load().unwrap();
        config
            .warnings
            .iter()
            .map(|one| one.in_file("f.toml"))
            .collect::<Vec<_>>()
    };
    let with_password = "postgres://remuda:hunter2@db.test/remuda";
    let shown = warnings(with_password, 0o644);
    assert_eq!(
        shown,
        [
            "f.toml:3: directory.url: warning: others than its owner may read the file (mode 0644); chmod 600 keeps \
          the password"
        ]
    );
    assert_eq!(warnings(with_password, 0o600), [""; 0]);
    assert_eq!(warnings("postgres://remuda@db.test/remuda", 0o644), [""; 0]);
    assert_eq!(warnings("postgres://db.test/remuda?password=x", 0o644).len(), 1);
}

const EVERY_KEY: &str = r#"
[object_cache]
enabled = false
stale_if_error = "0s"
[object_cache.domain]
ttl = "1d"
negative_ttl = "0s"
size = "0B"
[object_cache.domain_alias]
ttl = "2s"
[object_cache.account]
size = "1TiB"
[object_cache.alias]
[object_cache.list]
negative_ttl = "250ms"
[object_cache.route]
ttl = "5s"
"#;

#[test]
fn every_key_of_the_object_cache_is_read() {
    assert_eq!(sound("").directory.object_cache, Settings::default());
    let settings = sound(EVERY_KEY).directory.object_cache;
    assert_eq!(
        (settings.enabled, settings.stale_if_error),
        (false, Duration::ZERO)
    );
    let default = |kind| KindSettings::of(kind);
    let seconds = Duration::from_secs;
    assert_eq!(
        settings.kinds[&Kind::Domain],
        KindSettings {
            ttl: seconds(86_400),
            negative_ttl: Duration::ZERO,
            size: 0
        }
    );
    // What is not said is no longer than the TTL either.
    assert_eq!(settings.kinds[&Kind::DomainAlias].negative_ttl, seconds(2));
    assert_eq!(settings.kinds[&Kind::Account].size, 1 << 40);
    assert_eq!(settings.kinds[&Kind::Alias], default(Kind::Alias));
    assert_eq!(
        settings.kinds[&Kind::List].negative_ttl,
        Duration::from_millis(250)
    );
    assert_eq!(settings.kinds[&Kind::Route].ttl, seconds(5));
}

/// A16.
#[test]
fn what_cannot_be_is_a_problem() {
    for (text, key) in [
        (
            "[object_cache.account]\nttl = \"25h\"",
            "object_cache.account.ttl: \"25h\" is too long",
        ),
        (
            "[object_cache.account]\nttl = \"-1s\"",
            "object_cache.account.ttl: \"-1s\" is not a duration",
        ),
        (
            "[object_cache.list]\nsize = \"2TiB\"",
            "object_cache.list.size: \"2TiB\" is too large",
        ),
        (
            "[object_cache.list]\nsizes = \"2MiB\"",
            "object_cache.list.sizes: unknown key; did you mean",
        ),
        (
            "[object_cache.lists]\nttl = \"1s\"",
            "object_cache.lists: unknown key; did you mean",
        ),
        ("[object_cache]\nenabled = 1", "object_cache.enabled: "),
    ] {
        let problems = problems(text);
        assert!(
            problems.len() == 1 && problems[0].contains(key),
            "{key}: {problems:?}"
        );
    }
}

#[test]
fn an_absence_believed_longer_than_an_object_is_a_warning() {
    let config = sound("[object_cache.alias]\nttl = \"5s\"\nnegative_ttl = \"10s\"");
    assert_eq!(
        config.directory.object_cache.kinds[&Kind::Alias].negative_ttl,
        Duration::from_secs(5)
    );
    let shown: Vec<String> = config.warnings.iter().map(|one| one.in_file("f.toml")).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with("f.toml:3: object_cache.alias.negative_ttl: warning: longer than ttl"));
}
