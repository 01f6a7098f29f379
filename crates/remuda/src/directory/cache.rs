//! `remuda cache`: the object cache of the running server.

use std::time::Duration;

use remuda_admin::directory::Dropped;
use remuda_directory::{
    control::{CacheShown, CacheStatus, KindStatus, Push, State},
    model::Kind,
    switches::{Holds, Key},
};
use serde_json::{Map, Value, json};

use crate::{
    cli::{CacheAction, CacheArguments},
    client::{Client, Method, Request, read},
    config::{self, show_duration, show_size},
    exit::{Exit, Failure},
    print,
    table::{length, printable, table},
};
use remuda_admin::directory::encoded;

const PATH: &str = "/api/v1/object-cache";

/// Does what the arguments say.
///
/// # Errors
/// A value makes no sense; as [`Client::send`].
pub fn run(arguments: &CacheArguments) -> Result<(), Failure> {
    let is_json = arguments.server.json;
    match &arguments.action {
        CacheAction::Status => show(arguments, &Request::new(Method::Get, PATH), status),
        CacheAction::Set { values } => set(arguments, changes(values)?),
        CacheAction::Enable => set(arguments, json!({"enabled": true})),
        CacheAction::Disable => set(arguments, json!({"enabled": false})),
        CacheAction::Clear { r#type, key } => {
            let mut what = Map::new();
            what.extend(
                r#type
                    .as_ref()
                    .map(|word| ("type".to_owned(), word.as_str().into())),
            );
            what.extend(key.as_ref().map(|key| ("key".to_owned(), key.as_str().into())));
            let path = format!("{PATH}/clear");
            let request = Request::with(Method::Post, &path, Value::Object(what));
            show(arguments, &request, |dropped: &Dropped| {
                format!("dropped: {}\n", dropped.dropped)
            })
        }
        CacheAction::Get { r#type, key } => {
            let path = format!("{PATH}/{}/{}", encoded(r#type), encoded(key));
            show(arguments, &Request::new(Method::Get, &path), shown)
        }
        CacheAction::ResetStats => {
            let path = format!("{PATH}/reset-stats");
            let answer = Client::new(&arguments.server)?.send(&Request::new(Method::Post, &path))?;
            match is_json {
                true => print(&format!("{answer:#}\n")),
                false => print("the rates start again\n"),
            }
        }
    }
}

fn set(arguments: &CacheArguments, changes: Value) -> Result<(), Failure> {
    show(arguments, &Request::with(Method::Patch, PATH, changes), status)
}

fn show<T: serde::de::DeserializeOwned>(
    arguments: &CacheArguments,
    request: &Request<'_>,
    form: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    let answer = Client::new(&arguments.server)?.send(request)?;
    match arguments.server.json {
        true => print(&format!("{answer:#}\n")),
        false => print(&form(&read(answer)?)),
    }
}

/// `KEY=VALUE` as JSON.
fn changes(values: &[String]) -> Result<Value, Failure> {
    let mut changes = Map::new();
    for one in values {
        let usage = |wrong: String| Failure::new(Exit::Usage, format!("{one:?}: {wrong}"));
        let (name, value) = one
            .split_once('=')
            .ok_or_else(|| usage("write it as KEY=VALUE, such as account.ttl=300s".to_owned()))?;
        let value = match (Key::from_name(name), value) {
            (None, _) => {
                return Err(usage(
                    "no such key; TYPE.ttl, TYPE.negative_ttl or TYPE.size".to_owned(),
                ));
            }
            (_, "") => Value::Null,
            (Some(Key::Enabled), word) => word
                .parse()
                .map(Value::Bool)
                .map_err(|_| usage("true or false".to_owned()))?,
            (Some(Key::Ttl(_) | Key::NegativeTtl(_)), text) => {
                let duration = config::duration(text).map_err(usage)?;
                json!(duration.as_secs_f64())
            }
            (Some(Key::Size(_)), text) => json!(config::size(text).map_err(usage)?),
        };
        changes.insert(name.to_owned(), value);
    }
    Ok(Value::Object(changes))
}

const COLUMNS: [&str; 13] = [
    "TYPE", "TTL", "NEGATIVE", "SIZE", "BYTES", "ENTRIES", "ABSENT", "HITS", "MISSES", "HIT-RATE",
    "NO-QUERY", "LOADS", "STALE",
];

fn status(status: &CacheStatus) -> String {
    let switch = if status.enabled { "on" } else { "off" };
    let push = match (status.push, status.database_down) {
        (_, true) => "the database does not answer",
        (Push::Up, _) => "changes by others are heard of",
        (Push::Down, _) => "changes by others show after the TTL",
    };
    let rows: Vec<Vec<String>> = status.types.iter().map(|(kind, one)| row(*kind, one)).collect();
    let mut text = format!(
        "{}: {push}\ncache {switch}{}\n{}",
        printable(&status.database),
        mark(status.enabled_by),
        table(&COLUMNS, &rows)
    );
    let set_by_hand = status
        .types
        .values()
        .flat_map(|one| [one.ttl_by, one.negative_ttl_by, one.size_by]);
    if set_by_hand
        .chain([status.enabled_by])
        .any(|by| by == Holds::RunTime)
    {
        text.push_str("* set at run time; holds until the configuration's value changes\n");
    }
    text
}

fn mark(by: Holds) -> &'static str {
    match by {
        Holds::File => "",
        Holds::RunTime => "*",
    }
}

fn row(kind: Kind, one: &KindStatus) -> Vec<String> {
    let time = |seconds: f64, by| show_duration(Duration::from_secs_f64(seconds.max(0.0))) + mark(by);
    vec![
        kind.to_string(),
        time(one.ttl, one.ttl_by),
        time(one.negative_ttl, one.negative_ttl_by),
        show_size(one.size) + mark(one.size_by),
        show_size(one.bytes),
        one.entries.to_string(),
        one.absences.to_string(),
        one.hits.to_string(),
        one.misses.to_string(),
        format!("{}%", one.hit_rate),
        format!("{:.1}%", 100.0 * one.without_query),
        one.loads.to_string(),
        one.stale_served.to_string(),
    ]
}

fn shown(shown: &CacheShown) -> String {
    let state = match shown.state {
        State::Present => "present",
        State::Absent => "known not to exist",
        State::NotCached => return format!("{} {}: not cached\n", shown.r#type, printable(&shown.key)),
    };
    let mut text = format!("{} {}: {state}\n", shown.r#type, printable(&shown.key));
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\n"));
        }
    };
    line("age", shown.age_seconds.map(length));
    line("expires in", shown.expires_in_seconds.map(length));
    line("version", shown.version.map(|version| version.to_string()));
    line("weight", shown.weight.map(show_size));
    line(
        "brought by",
        shown
            .refreshed
            .map(|is_refreshed| if is_refreshed { "a refresh" } else { "a look-up" }.to_owned()),
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_with_their_units() {
        let given = [
            "account.ttl=250ms",
            "list.size=1MiB",
            "route.ttl=",
            "domain-alias.negative_ttl=0s",
            "enabled=false",
        ];
        let given = given.map(str::to_owned);
        let expected = json!({
            "account.ttl": 0.25, "list.size": 1 << 20, "route.ttl": null, "domain-alias.negative_ttl": 0.0,
            "enabled": false,
        });
        assert_eq!(changes(&given).unwrap(), expected);
        for wrong in [
            "account.ttl",
            "account.ttl=5",
            "account.colour=1s",
            "list.size=1s",
            "enabled=1",
        ] {
            assert_eq!(
                changes(&[wrong.to_owned()]).unwrap_err().exit,
                Exit::Usage,
                "{wrong}"
            );
        }
    }

    #[test]
    fn what_is_cached_is_shown() {
        let nothing = CacheShown {
            r#type: Kind::Account,
            key: "a@b.test".into(),
            state: State::NotCached,
            age_seconds: None,
            expires_in_seconds: None,
            version: None,
            weight: None,
            refreshed: None,
        };
        assert_eq!(shown(&nothing), "account a@b.test: not cached\n");
        let absent = CacheShown {
            state: State::Absent,
            age_seconds: Some(2.0),
            ..nothing
        };
        assert_eq!(
            shown(&absent),
            "account a@b.test: known not to exist\nage: 2.0s\n"
        );
    }
}
