//! `remuda queue`: list, show, summary, and the verbs.

mod attempts;

use remuda_engine::operations::{Changed, EntryStatus, MessageShown, Page, QueueEntry, Summary};
use serde_json::Value;

use crate::{
    cli::{ListArguments, QueueAction, QueueArguments, StatusArgument, Which},
    client::{Client, Method, read},
    exit::{Exit, Failure},
    now_ms, print,
    table::{length, printable, table, time},
};

/// Does what the arguments say.
///
/// # Errors
/// As [`Client::ask`].
pub fn run(arguments: &QueueArguments) -> Result<(), Failure> {
    let client = Client::new(&arguments.server)?;
    let is_json = arguments.server.json;
    match &arguments.action {
        QueueAction::List(list) => {
            let answer = client.ask(Method::Get, "/api/v1/queue", &list_query(list))?;
            show(is_json, answer, page)
        }
        QueueAction::Show { id } => show(is_json, client.ask(Method::Get, &path_of(id, "")?, &[])?, message),
        QueueAction::Summary => show(
            is_json,
            client.ask(Method::Get, "/api/v1/queue/summary", &[])?,
            summary,
        ),
        QueueAction::Retry(which) => change(&client, is_json, "retry", which),
        QueueAction::Hold(which) => change(&client, is_json, "hold", which),
        QueueAction::Release(which) => change(&client, is_json, "release", which),
        QueueAction::Delete(which) => change(&client, is_json, "delete", which),
    }
}

/// Prints the answer as JSON or as `form` puts it.
fn show<T: serde::de::DeserializeOwned>(
    is_json: bool,
    answer: Value,
    form: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    match is_json {
        true => print(&format!("{answer:#}\n")),
        false => print(&form(&read(answer)?)),
    }
}

/// The path of a message; an id that would be another path is refused here.
fn path_of(id: &str, verb: &str) -> Result<String, Failure> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Failure::new(Exit::Usage, format!("{id:?} is not a queue id")));
    }
    Ok(format!("/api/v1/queue/{id}{verb}"))
}

fn list_query(list: &ListArguments) -> Vec<(&'static str, String)> {
    let status = list.status.map(|status| match status {
        StatusArgument::Queued => "queued".to_owned(),
        StatusArgument::Deferred => "deferred".to_owned(),
        StatusArgument::Held => "held".to_owned(),
    });
    let given = [
        ("destination", list.destination.clone()),
        ("sender", list.sender.clone()),
        ("status", status),
        ("limit", Some(list.limit.to_string())),
        ("after", list.after.map(|after| after.to_string())),
    ];
    given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn page(page: &Page) -> String {
    if page.entries.is_empty() {
        return "nothing waits\n".to_owned();
    }
    let head = [
        "ID",
        "STATUS",
        "AGE",
        "SIZE",
        "TRIES",
        "NEXT",
        "DESTINATION",
        "SENDER",
        "RECIPIENTS",
        "REASON",
    ];
    let now = now_ms();
    let rows: Vec<Vec<String>> = page.entries.iter().map(|entry| row(entry, now)).collect();
    let mut text = table(&head, &rows);
    if let Some(next) = page.next {
        text.push_str(&format!("more: --after {next}\n"));
    }
    text
}

fn row(entry: &QueueEntry, now: i64) -> Vec<String> {
    let first = entry.recipients.first().map_or("", String::as_str);
    let recipients = match entry.recipients.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} and {} more", count - 1),
    };
    let since = |ms: i64| ms as f64 / 1000.0;
    let next = match entry.status {
        EntryStatus::Held => "-".to_owned(),
        _ if entry.due <= now => "now".to_owned(),
        _ => length(since(entry.due - now)),
    };
    vec![
        entry.id.clone(),
        word(entry.status).to_owned(),
        length(since(now - entry.arrived)),
        entry.size.to_string(),
        entry.attempts.to_string(),
        next,
        entry.destination.clone(),
        format!("<{}>", entry.sender),
        recipients,
        entry.reason.clone().unwrap_or_default(),
    ]
}

fn word(status: EntryStatus) -> &'static str {
    match status {
        EntryStatus::Queued => "queued",
        EntryStatus::Deferred => "deferred",
        EntryStatus::Held => "held",
    }
}

fn message(message: &MessageShown) -> String {
    let mut text = format!(
        "id        {}\nsender    <{}>\nsize      {}\narrived   {}\nexpires   {}\nfrom      {} {} {}\n",
        message.id,
        message.sender,
        message.size,
        time(message.arrived),
        time(message.expires),
        message.protocol,
        message.client,
        message.helo,
    );
    for entry in &message.entries {
        let status = word(entry.status);
        text.push_str(&format!(
            "\nto {} ({status}, {}{})\n",
            entry.destination,
            tries(entry.attempts),
            next(entry.status, entry.due),
        ));
        for recipient in &entry.recipients {
            text.push_str(&attempts::recipient(recipient));
        }
        for attempt in &entry.last_attempts {
            text.push_str(&attempts::attempt(attempt));
        }
    }
    text.lines().map(|line| printable(line) + "\n").collect()
}

/// When it is tried next; nothing for what is held.
fn next(status: EntryStatus, due: i64) -> String {
    match status {
        EntryStatus::Held => String::new(),
        _ => format!(", next {}", time(due)),
    }
}

fn tries(count: u32) -> String {
    match count {
        1 => "1 attempt".to_owned(),
        count => format!("{count} attempts"),
    }
}

fn summary(summary: &Summary) -> String {
    if summary.destinations.is_empty() {
        return "nothing waits\n".to_owned();
    }
    let ages = summary.age_minutes.iter().map(|minutes| format!("<{minutes}m"));
    let head: Vec<String> = ["DESTINATION".to_owned(), "TOTAL".to_owned()]
        .into_iter()
        .chain(ages)
        .chain(["older".to_owned(), "SUSPENDED".to_owned()])
        .collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let rows = summary.destinations.iter().map(|row| {
        let suspended = match (row.suspended_until, &row.suspended_reason) {
            (Some(until), reason) => format!("until {} {}", time(until), reason.as_deref().unwrap_or("")),
            (None, _) => String::new(),
        };
        let counts = row.counts.iter().map(u64::to_string);
        [row.destination.clone(), row.total.to_string()]
            .into_iter()
            .chain(counts)
            .chain([suspended])
            .collect()
    });
    table(&head, &rows.collect::<Vec<_>>())
}

/// Does a verb on what is selected, each id for itself, and sums up. An id that is not there does not keep the
/// others from being done.
fn change(client: &Client, is_json: bool, verb: &str, which: &Which) -> Result<(), Failure> {
    let (mut sum, mut failure) = (Changed::default(), None);
    for (method, path, query) in requests(verb, which)? {
        match client.ask(method, &path, &query).and_then(read::<Changed>) {
            Ok(changed) => {
                sum.changed += changed.changed;
                sum.in_flight.extend(changed.in_flight);
            }
            Err(error) if error.exit == Exit::Unreachable => return Err(error),
            Err(error) => {
                if let Some(earlier) = failure.replace(error) {
                    eprintln!("{earlier}");
                }
            }
        }
    }
    match is_json {
        true => print(&format!("{:#}\n", serde_json::to_value(&sum).unwrap_or_default()))?,
        false => print(&changed(verb, which, &sum))?,
    }
    failure.map_or(Ok(()), Err)
}

type Request = (Method, String, Vec<(&'static str, String)>);

fn requests(verb: &str, which: &Which) -> Result<Vec<Request>, Failure> {
    let many = |query| vec![(Method::Post, format!("/api/v1/queue/{verb}"), vec![query])];
    if which.all {
        return Ok(many(("all", "true".to_owned())));
    }
    if let Some(destination) = &which.destination {
        return Ok(many(("destination", destination.clone())));
    }
    let one = |id: &String| match verb {
        "delete" => Ok((Method::Delete, path_of(id, "")?, Vec::new())),
        verb => Ok((Method::Post, path_of(id, &format!("/{verb}"))?, Vec::new())),
    };
    which.ids.iter().map(one).collect()
}

fn changed(verb: &str, which: &Which, sum: &Changed) -> String {
    let mut text = format!("{verb}: {}\n", sum.changed);
    // With a route the destination is the route's hosts, not the recipients' domain.
    if let Some(destination) = which.destination.as_deref().filter(|_| sum.changed == 0) {
        text.push_str(&format!(
            "nothing was there to {verb} for {destination}; remuda queue summary shows the destinations by name\n"
        ));
    }
    for id in &sum.in_flight {
        text.push_str(&format!("{id} is in flight: its transaction is finished first\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_asks_once_for_each_id_or_once_for_all() {
        let asked = |verb, which: &Which| requests(verb, which).unwrap();
        assert_eq!(
            asked("delete", &which(&["A1", "B2"], None, false))[1],
            (Method::Delete, "/api/v1/queue/B2".into(), vec![])
        );
        assert_eq!(
            asked("hold", &which(&["A1"], None, false))[0],
            (Method::Post, "/api/v1/queue/A1/hold".into(), vec![])
        );
        let bulk = (
            Method::Post,
            "/api/v1/queue/retry".to_owned(),
            vec![("destination", "a.test".to_owned())],
        );
        assert_eq!(asked("retry", &which(&[], Some("a.test"), false)), [bulk]);
        assert_eq!(
            asked("delete", &which(&[], None, true))[0].2,
            [("all", "true".to_owned())]
        );
        assert!(requests("delete", &which(&["../queue?all=true"], None, false)).is_err());
    }

    fn which(ids: &[&str], destination: Option<&str>, all: bool) -> Which {
        Which {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            destination: destination.map(str::to_owned),
            all,
        }
    }

    #[test]
    fn a_destination_that_nothing_waits_for_is_explained() {
        let text = changed("retry", &which(&[], Some("a.test"), false), &Changed::default());
        assert!(
            text.starts_with("retry: 0\nnothing was there to retry for a.test; "),
            "{text}"
        );
        let text = changed("retry", &which(&[], None, true), &Changed::default());
        assert_eq!(text, "retry: 0\n");
    }

    #[test]
    fn messages_in_flight_are_named() {
        let sum = Changed {
            changed: 2,
            in_flight: vec!["A1".into()],
        };
        assert_eq!(
            changed("hold", &which(&["A1", "B2"], None, false), &sum),
            "hold: 2\nA1 is in flight: its transaction is finished first\n"
        );
    }
}
