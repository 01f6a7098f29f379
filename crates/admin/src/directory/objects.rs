//! `/api/v1/domains` and its like: list, create, read, replace, change, remove; and the members of lists.
//!
//! # Contract
//! * **`ETag` is the version; `If-Match` is kept to**: another version is 409 and changes nothing (B12).
//! * **`next` says where a page goes on**: the name after which the next one begins.

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use remuda_directory::{
    Directory,
    edit::{EditError, Extent, shown},
    model::{Kind, Name, Object},
    store::{Deletion, Page},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::collection as path_of;
use crate::{
    answer::Answer,
    body::{BasedOn, Fields, Told},
    parameters::{Parameters, within},
    problem::Problem,
};

/// A page of objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Objects {
    /// In order of name.
    pub entries: Vec<Map<String, Value>>,
    /// There are more: `after` for the next page.
    pub next: Option<String>,
}

/// Of a list of objects.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageParameters {
    after: Option<String>,
    limit: Option<usize>,
    domain: Option<String>,
}

/// Of a removal.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RemoveParameters {
    all: Option<bool>,
}

/// Of a list's members.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    members: Vec<String>,
}

type Named = Path<String>;

/// All objects of a kind.
pub fn collection(kind: Kind) -> MethodRouter<Directory> {
    let list = move |State(directory): State<Directory>, Parameters(given): Parameters<PageParameters>| {
        list(directory, kind, given)
    };
    let create = move |State(directory): State<Directory>, Fields(fields): Fields| async move {
        let created = directory.create(kind, fields).await?;
        let place = format!("{}/{}", path_of(kind), encoded(created.name()));
        let head = [(header::LOCATION, place), etag(&created)];
        Ok::<_, Problem>((StatusCode::CREATED, head, Json(shown(&created))))
    };
    get(list).post(create)
}

/// One object.
pub fn one(kind: Kind) -> MethodRouter<Directory> {
    let show = move |State(directory): State<Directory>, Path(name): Named| async move {
        answered(directory.show(kind, &name).await)
    };
    let edit = move |extent| {
        move |State(directory): State<Directory>,
              Path(name): Named,
              BasedOn(version): BasedOn,
              Fields(fields): Fields| async move {
            answered(directory.edit((kind, &name), extent, fields, version).await)
        }
    };
    let remove = move |State(directory): State<Directory>,
                       Path(name): Named,
                       Parameters(given): Parameters<RemoveParameters>,
                       BasedOn(based_on): BasedOn| async move {
        if given.all.is_some() && kind != Kind::Domain {
            return Err(Problem::field("all", "query: 'all' is for domains"));
        }
        let all_of_it = given.all.unwrap_or(false);
        let how = Deletion { based_on, all_of_it };
        answered(directory.remove(kind, &name, how).await)
    };
    get(show)
        .put(edit(Extent::Whole))
        .patch(edit(Extent::Part))
        .delete(remove)
}

/// The members of a list.
pub fn members() -> MethodRouter<Directory> {
    let change = |is_added| {
        move |State(directory): State<Directory>,
              Path(name): Named,
              BasedOn(version): BasedOn,
              Told(given): Told<Members>| async move {
            let changed = directory.change_members(&name, &given.members, is_added, version);
            answered(changed.await)
        }
    };
    post(change(true)).delete(change(false))
}

async fn list(directory: Directory, kind: Kind, given: PageParameters) -> Answer<Objects> {
    let limit = within(given.limit.unwrap_or(PAGE_DEFAULT), PAGE_MAX)?;
    let domain = match given.domain {
        Some(_) if matches!(kind, Kind::Domain | Kind::Route) => {
            return Err(Problem::field("domain", "query: 'domain' is not for these"));
        }
        Some(domain) => {
            let wrong = |error| Problem::field("domain", format!("domain {domain:?}: {error}"));
            Some(Name::domain(&domain).map_err(wrong)?.to_string())
        }
        None => None,
    };
    let page = Page {
        after: given.after,
        // One more tells whether there is more.
        limit: u32::try_from(limit + 1).unwrap_or(u32::MAX),
        domain,
    };
    let mut objects = directory.page(kind, &page).await?;
    let has_more = objects.len() > limit;
    objects.truncate(limit);
    let last = objects.last().map(|last| last.name().to_owned());
    Ok(Json(Objects {
        entries: objects.iter().map(shown).collect(),
        next: last.filter(|_| has_more),
    }))
}

fn answered(object: Result<Object, EditError>) -> Result<Response, Problem> {
    let object = object?;
    Ok(([etag(&object)], Json(shown(&object))).into_response())
}

fn etag(object: &Object) -> (HeaderName, String) {
    (header::ETAG, format!("\"{}\"", object.head().version))
}

/// A name as a segment of a path (RFC 3986 §2.1).
pub fn encoded(name: &str) -> String {
    let is_plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~@+=:".contains(&octet);
    let each = |octet: u8| match is_plain(octet) {
        true => char::from(octet).to_string(),
        false => format!("%{octet:02X}"),
    };
    name.bytes().map(each).collect()
}

/// Objects of a page.
const PAGE_DEFAULT: usize = 1000;
const PAGE_MAX: usize = 10_000;
