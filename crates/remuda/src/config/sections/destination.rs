//! `[[destination]]`.

use std::collections::BTreeSet;

use remuda_dispatch::settings::{PIPELINE_DEPTH_MAX, Pattern, Rule};
use remuda_engine::settings::Delivery;
use remuda_mail::Domain;

use super::{route::Routes, security};
use crate::config::{
    reader::{Section, Setting, number, text},
    values,
};

/// Reads every `[[destination]]`, and checks that the routes get on with them.
pub fn destinations(top: &Section<'_, '_>, delivery: &Delivery, routes: &Routes) -> Vec<Rule> {
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for section in top.sections("destination").unwrap_or_default() {
        let pattern = section.required("match", "\"mx:.example.com\"", text(pattern));
        if let Some(pattern) = &pattern
            && !seen.insert(pattern.clone())
        {
            let shown = pattern.to_string();
            let message = format!("{shown:?} has a [[destination]] already; put all keys into one");
            section.problem(Some(section.line()), "match", message);
        }
        let count = |key| {
            section
                .optional(key, number(1..=100_000_u32))
                .map(|setting| setting.value)
        };
        let rule = Rule {
            pattern: pattern.unwrap_or_default(),
            concurrency: count("concurrency"),
            sessions_per_endpoint: sessions_per_endpoint(&section, delivery),
            rate: section
                .optional("rate", text(values::rate))
                .map(|rate| rate.value),
            pipeline_depth: section
                .optional("pipeline_depth", number(1..=PIPELINE_DEPTH_MAX))
                .map(|setting| setting.value),
            reuse_count_limit: reuse_count_limit(&section).map(|setting| setting.value),
            tls: section
                .optional("tls", text(security::level))
                .map(|setting| setting.value),
        };
        rules.push(rule);
        section.close();
    }
    security::check_logins(top, routes, &rules, delivery.tls.level);
    rules
}

/// Reads `reuse_count_limit`. With a count in force each host gets as many messages from a session, whatever
/// it takes for them: the slowest ends with most sessions and most of the mail.
pub fn reuse_count_limit(section: &Section<'_, '_>) -> Option<Setting<u32>> {
    let setting = section.optional("reuse_count_limit", number(0..=1_000_000_000_u32))?;
    if setting.value > 0 {
        let message = "a count sends ever more mail to the slowest host, whose sessions are used up last; \
                       reuse_time_limit bounds reuse without that, so keep a count only where a receiver \
                       demands it";
        section.warning(setting.line, "reuse_count_limit", message);
    }
    Some(setting)
}

/// The lowest counts, so a higher one than for all would do nothing.
fn sessions_per_endpoint(section: &Section<'_, '_>, delivery: &Delivery) -> Option<u32> {
    let setting = section.optional("sessions_per_endpoint", number(1..=100_000_u32))?;
    let (value, general) = (setting.value, delivery.sessions_per_endpoint);
    if value > general {
        let message = format!(
            "{value} is more than delivery.sessions_per_endpoint = {general}, and the lowest counts; lower the first or raise the second"
        );
        section.problem(setting.line, "sessions_per_endpoint", message);
    }
    Some(value)
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let wrong = || {
        format!(
            "{text:?} matches no destination; write a domain (\"example.org\"), its subdomains (\".example.org\"), a route's host, or the name of MX hosts (\"mx:mx1.example.com\", \"mx:.example.com\")"
        )
    };
    let name = |text: &str| match text.parse::<Domain>() {
        Ok(domain) if domain.literal().is_none() => Ok(domain.as_str().to_owned()),
        _ => Err(wrong()),
    };
    let below = |text: &str| name(text).map(|name| format!(".{name}"));
    match (text.strip_prefix("mx:"), text.strip_prefix('.')) {
        _ if text == "*" => Err("\"*\" would be all destinations; set their limits in [delivery]".to_owned()),
        (Some(host), _) => match host.strip_prefix('.') {
            Some(parent) => below(parent).map(Pattern::Hosts),
            None => name(host).map(Pattern::Host),
        },
        (None, Some(parent)) => below(parent).map(Pattern::Domains),
        (None, None) => values::destination_key(text)
            .map(Pattern::Domain)
            .map_err(|_| wrong()),
    }
}
