//! `/api/v1/resolve`: what becomes of mail to an address, step by step.

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use remuda_directory::{
    Directory,
    found::Origin,
    model::Kind,
    resolve::{Explained, From, Routing, Step, StepFound, Target, Verdict},
};
use remuda_engine::operations::Operations;
use remuda_mail::{Address, Domain};
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
    /// The directory's route for it, elsewhere.
    pub route: Option<String>,
    /// Where its mail goes: the hosts of a route, or the domain whose MX decide. A command on the database itself
    /// does not know the configuration's routes, and says nothing.
    pub next_hop: Option<String>,
}

/// Who knows the configuration's routes too; nobody does where a command works on the database itself.
type Engine = Option<Extension<Arc<dyn Operations>>>;

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

pub async fn resolve(
    State(directory): State<Directory>,
    engine: Engine,
    Told(asked): Told<Asked>,
) -> Answer<Resolved> {
    let address = address("address", &asked.address)?;
    let sender = match asked.sender.as_deref() {
        None | Some("" | "<>") => None,
        Some(sender) => Some(self::address("sender", sender)?),
    };
    let from = From { sender, login: None };
    let explained = directory.explain(&address, &from).await;
    let recipients = recipients(&explained, engine.as_ref()).await;
    let (outcome, reply) = outcome(&explained);
    let Explained {
        resolution, steps, ..
    } = explained;
    Ok(Json(Resolved {
        outcome: outcome.to_owned(),
        recipients: if reply.is_none() { recipients } else { Vec::new() },
        reply,
        is_ours: resolution.is_ours,
        microseconds: steps.iter().map(|step| step.micros).sum(),
        steps: steps.into_iter().map(step).collect(),
    }))
}

/// What becomes of it, and the reply to RCPT unless that is 250.
fn outcome(explained: &Explained) -> (&'static str, Option<String>) {
    let unavailable = |reason: &str| ("unavailable", Some(format!("451 4.3.0 {reason}")));
    let mut routes = explained.routes.iter();
    match &explained.resolution.verdict {
        Verdict::Deliver(_) => match routes.find_map(|(_, routing)| routing.as_ref().err()) {
            Some(cause) => unavailable(cause.as_str()),
            None => ("deliver", None),
        },
        Verdict::Refused(refusal) => {
            let (code, status, words) = refusal.reply();
            (refusal.as_str(), Some(format!("{code} {status} {words}")))
        }
        Verdict::Unavailable(cause) => unavailable(cause.as_str()),
    }
}

async fn recipients(explained: &Explained, engine: Option<&Extension<Arc<dyn Operations>>>) -> Vec<Meant> {
    let Verdict::Deliver(targets) = &explained.resolution.verdict else {
        return Vec::new();
    };
    let mut all = Vec::with_capacity(targets.len());
    for target in targets {
        let mut meant = Meant {
            address: target.address().to_string(),
            local: matches!(target, Target::Local(_)),
            route: None,
            next_hop: None,
        };
        if let Target::Remote(address) = target
            && let Some(Ok(route)) = routing(explained, address.domain())
        {
            meant.route = route.as_ref().map(|route| route.domain.as_str().to_owned());
            if let Some(Extension(operations)) = engine {
                meant.next_hop = operations.next_hop(address.clone()).await.ok();
            }
        }
        all.push(meant);
    }
    all
}

/// What was found of a domain's route, where it was looked for.
fn routing<'a>(explained: &'a Explained, domain: &Domain) -> Option<&'a Routing> {
    let mut routes = explained.routes.iter();
    routes.find_map(|(of, routing)| (of == domain).then_some(routing))
}

fn address(field: &str, text: &str) -> Result<Address, Problem> {
    let wrong = |error| Problem::field(field, format!("{field} {text:?}: {error}"));
    text.trim().parse().map_err(wrong)
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
