//! The audit log: one line for every change, at the target `audit`.
//!
//! `audit change=changed type=account name=bob@ex.com fields=quota,password version=4`
//!
//! # Contract
//! * **Fields are named, values are not**: no secret, no address of anybody else gets into the log.
//! * **A line stands for what has happened**: it is written after the change was committed.

use serde_json::{Map, Value};

use super::parse::{SECRETS, shown};
use crate::model::Object;

/// The write-only fields that a change names.
pub(super) fn secrets(fields: &Map<String, Value>) -> Vec<String> {
    let named = SECRETS.iter().filter(|secret| fields.contains_key(**secret));
    named.map(|secret| (*secret).to_owned()).collect()
}

pub(super) fn created(object: &Object, secrets: Vec<String>) {
    let mut fields: Vec<String> = told(object).into_iter().map(|(name, _)| name).collect();
    fields.extend(secrets);
    say("created", object, None, &fields);
}

pub(super) fn changed(before: &Object, after: &Object, secrets: Vec<String>) {
    let was = (before.name() != after.name()).then_some(before.name());
    let (before, now) = (told(before), told(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let mut fields: Vec<String> = names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .cloned()
        .collect();
    fields.extend(secrets);
    say("changed", after, was, &fields);
}

pub(super) fn removed(object: &Object) {
    say("removed", object, None, &[]);
}

/// Many objects at once.
pub(crate) fn imported(created: u64, replaced: u64) {
    tracing::info!(target: "audit", change = "imported", created, replaced, "audit");
}

/// Something that was done to the cache.
pub(crate) fn cache(change: &str, what: &str) {
    tracing::info!(target: "audit", change, what, "audit");
}

fn say(change: &str, object: &Object, was: Option<&str>, fields: &[String]) {
    let (kind, name, version) = (object.kind().as_str(), object.name(), object.head().version);
    tracing::info!(
        target: "audit",
        change,
        r#type = kind,
        name,
        was,
        fields = fields.join(","),
        version,
        "audit"
    );
}

/// The fields that somebody has set: what the store gives and what is null says nothing.
fn told(object: &Object) -> Map<String, Value> {
    let mut fields = shown(object);
    fields.retain(|name, value| !value.is_null() && !GIVEN.contains(&name.as_str()));
    fields
}

/// What the store gives.
const GIVEN: [&str; 4] = ["id", "version", "created", "changed"];
