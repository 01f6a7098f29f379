//! `remuda domain`, `account` and their like: objects of the directory, one at a time.
//!
//! # Contract
//! * **What has been printed is in force**: every later look-up of the server sees it.
//! * **No password on the command line**: a file or standard input.
//!
//! # Not here
//! What may be said of an object: the server, or its rules over the database ([`access`]), decide.

pub mod access;
pub mod bulk;
pub mod cache;
mod fields;
pub mod resolve;
mod shown;
pub mod store;
pub mod tended;

use remuda_admin::directory::{Objects, collection, encoded};
use remuda_directory::model::Kind;
use serde_json::{Map, Value, json};

use crate::{
    cli::{
        ListAction, MailingListArguments, ObjectAction, ObjectArguments, PlaceArguments, fields::ListFields,
    },
    client::{Method, Request, read, with_query},
    exit::{Exit, Failure},
    print,
};
use access::Access;
use fields::Told;

/// Does what the arguments say of an object.
///
/// # Errors
/// As [`Access::ask`].
pub fn run<F: Told>(arguments: &ObjectArguments<F>) -> Result<(), Failure> {
    object(&arguments.place, &arguments.action)
}

/// Does what the arguments say of a list.
///
/// # Errors
/// As [`Access::ask`].
pub fn run_list(arguments: &MailingListArguments) -> Result<(), Failure> {
    let place = &arguments.place;
    match &arguments.action {
        ListAction::Object(action) => object(place, action),
        ListAction::AddMember { name, members } => change_members(place, Method::Post, name, members),
        ListAction::RemoveMember { name, members } => change_members(place, Method::Delete, name, members),
    }
}

fn object<F: Told>(place: &PlaceArguments, action: &ObjectAction<F>) -> Result<(), Failure> {
    let kind = F::KIND;
    match action {
        ObjectAction::Add { name, fields } => add(place, kind, name, fields.told()?),
        ObjectAction::Set {
            name,
            version,
            fields,
        } => set(place, (kind, name), fields.told()?, *version),
        ObjectAction::Rename { name, new_name } => {
            let path = path_of(kind, name);
            let request = Request::with(Method::Patch, &path, json!({name_field(kind): new_name}));
            changed(place, (kind, "renamed"), &request)
        }
        ObjectAction::Remove { name, all } => {
            let all = all.then(|| ("all", "true".to_owned()));
            let path = with_query(&path_of(kind, name), all.as_slice());
            changed(place, (kind, "removed"), &Request::new(Method::Delete, &path))
        }
        ObjectAction::Show { name } => {
            let answer = Access::new(place)?.ask(&Request::new(Method::Get, &path_of(kind, name)))?;
            show(place, &answer, shown::one)
        }
        ObjectAction::List { domain, limit, after } => {
            let query = [
                ("domain", domain.clone()),
                ("limit", Some(limit.to_string())),
                ("after", after.clone()),
            ];
            let said = query.into_iter().filter_map(|(name, value)| Some((name, value?)));
            let path = with_query(collection(kind), &said.collect::<Vec<_>>());
            let answer = Access::new(place)?.ask(&Request::new(Method::Get, &path))?;
            show(place, &answer, |page: &Objects| shown::page(kind, page))
        }
    }
}

fn add(
    place: &PlaceArguments,
    kind: Kind,
    name: &str,
    mut fields: Map<String, Value>,
) -> Result<(), Failure> {
    fields.insert(name_field(kind).to_owned(), name.into());
    // What is not there has no value to take away.
    fields.retain(|_, value| !value.is_null());
    let request = Request::with(Method::Post, collection(kind), Value::Object(fields));
    changed(place, (kind, "created"), &request)
}

fn set(
    place: &PlaceArguments,
    (kind, name): (Kind, &str),
    fields: Map<String, Value>,
    version: Option<i64>,
) -> Result<(), Failure> {
    if fields.is_empty() {
        return Err(Failure::new(Exit::Usage, "say what changes; see --help"));
    }
    let path = path_of(kind, name);
    let request = Request {
        version,
        ..Request::with(Method::Patch, &path, Value::Object(fields))
    };
    changed(place, (kind, "changed"), &request)
}

fn change_members(
    place: &PlaceArguments,
    method: Method,
    name: &str,
    members: &[String],
) -> Result<(), Failure> {
    let path = format!("{}/members", path_of(Kind::List, name));
    let request = Request::with(method, &path, json!({"members": members}));
    changed(place, (ListFields::KIND, "changed"), &request)
}

/// Makes a change and says what has become of the object.
fn changed(place: &PlaceArguments, (kind, done): (Kind, &str), request: &Request<'_>) -> Result<(), Failure> {
    let answer = Access::new(place)?.ask(request)?;
    show(place, &answer, |fields: &Map<String, Value>| {
        let name = fields
            .get(name_field(kind))
            .and_then(Value::as_str)
            .unwrap_or_default();
        format!("{} {name}: {done}\n", word(kind))
    })
}

/// Prints an answer as JSON or as `form` puts it.
fn show<T: serde::de::DeserializeOwned>(
    place: &PlaceArguments,
    answer: &Value,
    form: impl Fn(&T) -> String,
) -> Result<(), Failure> {
    match place.server.json {
        true => print(&format!("{answer:#}\n")),
        false => print(&form(&read(answer.clone())?)),
    }
}

fn path_of(kind: Kind, name: &str) -> String {
    format!("{}/{}", collection(kind), encoded(name))
}

fn name_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Domain | Kind::DomainAlias => "name",
        Kind::Account | Kind::Alias | Kind::List => "address",
        Kind::Route => "domain",
    }
}

/// The kind as on the command line.
fn word(kind: Kind) -> String {
    kind.as_str().replace('_', "-")
}
