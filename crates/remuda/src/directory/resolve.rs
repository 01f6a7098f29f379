//! `remuda resolve`: what becomes of mail to an address, step by step.

use remuda_admin::directory::{Meant, Resolved};
use serde_json::{Map, Value};

use super::access::Access;
use crate::{
    cli::ResolveArguments,
    client::{Method, Request, read},
    exit::Failure,
    print,
    table::{printable, table},
};

/// Prints what the directory says.
///
/// # Errors
/// As [`Access::ask`].
pub fn run(arguments: &ResolveArguments) -> Result<(), Failure> {
    let mut asked = Map::new();
    asked.insert("address".to_owned(), arguments.address.as_str().into());
    if let Some(sender) = &arguments.from {
        asked.insert("sender".to_owned(), sender.as_str().into());
    }
    let request = Request::with(Method::Post, "/api/v1/resolve", Value::Object(asked));
    let answer = Access::new(&arguments.place)?.ask(&request)?;
    match arguments.place.server.json {
        true => print(&format!("{answer:#}\n")),
        false => print(&shown(&read(answer)?)),
    }
}

fn shown(resolved: &Resolved) -> String {
    let rows: Vec<Vec<String>> = resolved
        .steps
        .iter()
        .map(|step| {
            vec![
                step.r#type.to_string(),
                step.name.clone(),
                step.found.clone(),
                step.origin.clone().unwrap_or("-".to_owned()),
                format!("{}us", step.microseconds),
            ]
        })
        .collect();
    let mut text = table(&["TYPE", "NAME", "FOUND", "FROM", "TIME"], &rows);
    match &resolved.reply {
        Some(reply) => text.push_str(&format!("{}: {}\n", resolved.outcome, printable(reply))),
        None if !resolved.is_ours => text.push_str("not ours: relayed, to who may\n"),
        None => {}
    }
    for one in &resolved.recipients {
        let (address, way) = (printable(&one.address), way(one));
        text.push_str(&format!("{} to {address} ({way})\n", resolved.outcome));
    }
    text
}

/// Where somebody's mail goes.
fn way(one: &Meant) -> String {
    if one.local {
        return "here".to_owned();
    }
    let hop = one
        .next_hop
        .as_deref()
        .map(|hop| format!(" to {}", printable(hop)));
    let route = one
        .route
        .as_deref()
        .map(|route| format!(" by route {}", printable(route)));
    format!(
        "elsewhere{}{}",
        hop.unwrap_or_default(),
        route.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use remuda_admin::directory::StepShown;
    use remuda_directory::model::Kind;

    use super::*;

    #[test]
    fn each_step_says_where_it_comes_from() {
        let resolved = Resolved {
            outcome: "deliver".into(),
            reply: None,
            is_ours: true,
            recipients: vec![
                Meant {
                    address: "a@b.test".into(),
                    local: true,
                    route: None,
                    next_hop: None,
                },
                Meant {
                    address: "a@c.test".into(),
                    local: false,
                    route: Some(".test".into()),
                    next_hop: Some("192.0.2.1:25".into()),
                },
            ],
            steps: vec![StepShown {
                r#type: Kind::Account,
                name: "a@b.test".into(),
                found: "found".into(),
                origin: Some("cache".into()),
                microseconds: 3,
            }],
            microseconds: 3,
        };
        let text = shown(&resolved);
        assert!(text.contains("account  a@b.test  found  cache  3us\n"), "{text}");
        let ways =
            "deliver to a@b.test (here)\ndeliver to a@c.test (elsewhere to 192.0.2.1:25 by route .test)\n";
        assert!(text.ends_with(ways), "{text}");
    }
}
