//! `/api/v1/resolve`: what becomes of mail to an address, step by step.

use axum::{Json, extract::State};
use remuda_directory::{
    Directory,
    found::Origin,
    model::Kind,
    resolve::{From, Step, StepFound, Target, Verdict},
};
use remuda_mail::Address;
use serde::{Deserialize, Serialize};

use crate::{answer::Answer, body::Told, problem::Problem};

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    address: String,
    #[serde(default)]
    sender: Option<String>,
}

/// What becomes of mail to an address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resolved {
    /// `deliver`; why not: `unknown`, `disabled`, `not_allowed`, `login_needed`, `loop`, `too_many`; `unavailable`.
    pub outcome: String,
    /// The reply to RCPT where it is refused or nobody knows.
    pub reply: Option<String>,
    /// Its domain is kept here.
    pub is_ours: bool,
    /// Who gets it.
    pub recipients: Vec<Meant>,
    /// How that was found, in order.
    pub steps: Vec<StepShown>,
    /// All steps together.
    pub microseconds: u64,
}

/// Somebody who gets the mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meant {
    /// The address.
    pub address: String,
    /// An account here.
    pub local: bool,
}

/// One look-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepShown {
    /// What was asked for.
    pub r#type: Kind,
    /// By this name.
    pub name: String,
    /// `found`, `found, disabled`, `none`, or why nobody knows.
    pub found: String,
    /// `cache`, `database` or `stale`.
    pub origin: Option<String>,
    /// That it took.
    pub microseconds: u64,
}

pub async fn resolve(State(directory): State<Directory>, Told(asked): Told<Asked>) -> Answer<Resolved> {
    let address = address("address", &asked.address)?;
    let sender = match asked.sender.as_deref() {
        None | Some("" | "<>") => None,
        Some(sender) => Some(self::address("sender", sender)?),
    };
    let from = From { sender, login: None };
    let (resolution, steps) = directory.explain(&address, &from).await;
    let (outcome, reply, recipients) = match resolution.verdict {
        Verdict::Deliver(targets) => ("deliver", None, targets.iter().map(meant).collect()),
        Verdict::Refused(refusal) => {
            let (code, status, words) = refusal.reply();
            let reply = format!("{code} {status} {words}");
            (refusal.as_str(), Some(reply), Vec::new())
        }
        Verdict::Unavailable(cause) => {
            let reply = format!("451 4.3.0 {}", cause.as_str());
            ("unavailable", Some(reply), Vec::new())
        }
    };
    Ok(Json(Resolved {
        outcome: outcome.to_owned(),
        reply,
        is_ours: resolution.is_ours,
        recipients,
        microseconds: steps.iter().map(|step| step.micros).sum(),
        steps: steps.into_iter().map(step).collect(),
    }))
}

fn address(field: &str, text: &str) -> Result<Address, Problem> {
    let wrong = |error| Problem::field(field, format!("{field} {text:?}: {error}"));
    text.trim().parse().map_err(wrong)
}

fn meant(target: &Target) -> Meant {
    Meant {
        address: target.address().to_string(),
        local: matches!(target, Target::Local(_)),
    }
}

fn step(step: Step) -> StepShown {
    let origin = match step.found {
        StepFound::Yes(origin, _) | StepFound::No(origin) => Some(origin),
        StepFound::Unavailable(_) => None,
    };
    StepShown {
        r#type: step.kind,
        name: step.name,
        found: step.found.to_string(),
        origin: origin.map(Origin::as_str).map(str::to_owned),
        microseconds: step.micros,
    }
}
