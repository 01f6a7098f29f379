//! `[[route]]`.

use std::collections::BTreeSet;

use remuda_engine::settings::{Route, RouteDomain};
use remuda_mail::{Domain, HostPort};

use super::security;
use crate::config::{
    reader::{Section, Setting, boolean, number, text},
    values,
};

/// All routes.
#[derive(Default)]
pub struct Routes {
    /// In the order of the file.
    pub list: Vec<Route>,
    /// Where each says its `username`.
    pub username_lines: Vec<Option<usize>>,
}

/// Reads every `[[route]]`.
pub fn routes(top: &Section<'_, '_>) -> Routes {
    let mut seen = BTreeSet::new();
    let mut routes = Routes::default();
    for section in top.sections("route").unwrap_or_default() {
        if let Some(route) = route(&section, &mut seen) {
            security::check_password(&section, &route, &routes.list);
            routes.list.push(route);
            routes.username_lines.push(section.line_of("username"));
        }
        section.close();
    }
    routes
}

/// Reads one; every key is read, so that all that is wrong is found.
fn route(section: &Section<'_, '_>, seen: &mut BTreeSet<String>) -> Option<Route> {
    let domain = section.required("domain", "\"example.net\"", text(route_domain));
    if let Some(domain) = &domain
        && !seen.insert(domain_key(domain))
    {
        let message = format!(
            "{:?} has a [[route]] already; put all hosts into one",
            domain_key(domain)
        );
        section.problem(Some(section.line()), "domain", message);
    }
    let hosts = section.list("hosts", text(values::host_port));
    let preference = section.list("preference", number(0..=u16::MAX));
    let mx = section.read("mx", false, boolean);
    let accept = section.read("accept", false, boolean).value;
    let security = security::route(section);
    let hosts = with_preference(section, hosts, preference)?;
    if let Some(address) = hosts.iter().find(|host| mx.value && host.ip().is_some()) {
        section.problem(
            mx.line,
            "mx",
            format!("{address} is an address and has no MX; write its name, or mx = false"),
        );
    }
    Some(Route {
        mx: mx.value,
        accept,
        tls: security.tls,
        tls_mode: security.tls_mode,
        tls_names: security.tls_names,
        login: security.login,
        ..Route::new(domain?, hosts.into())
    })
}

fn with_preference(
    section: &Section<'_, '_>,
    hosts: Option<Setting<Vec<HostPort>>>,
    preference: Option<Setting<Vec<u16>>>,
) -> Option<Vec<HostPort>> {
    let example = "hosts = [\"relay.example.net:587\"]";
    if !section.is_set("hosts") {
        section.problem(
            Some(section.line()),
            "hosts",
            format!("missing; write for example {example}"),
        );
    }
    let hosts = hosts?;
    let mut list = hosts.value;
    if list.is_empty() {
        section.problem(
            hosts.line,
            "hosts",
            format!("no host; write for example {example}"),
        );
        return None;
    }
    if let Some(preference) = preference {
        if preference.value.len() != list.len() {
            let (numbers, hosts) = (preference.value.len(), list.len());
            let message =
                format!("{numbers} numbers for {hosts} hosts; write one for each host, in the same order");
            section.problem(preference.line, "preference", message);
        }
        for (host, preference) in list.iter_mut().zip(preference.value) {
            host.preference = preference;
        }
    }
    Some(list)
}

fn route_domain(text: &str) -> Result<RouteDomain, String> {
    let wrong = |_| {
        format!(
            "{text:?} is not a domain; write \"example.net\", \".example.net\" for its subdomains, or \"*\" for everything else"
        )
    };
    match (text, text.strip_prefix('.')) {
        ("*", _) => Ok(RouteDomain::Any),
        (_, Some(parent)) => parent
            .parse::<Domain>()
            .map(RouteDomain::Subdomains)
            .map_err(wrong),
        (exact, None) => exact.parse::<Domain>().map(RouteDomain::Exact).map_err(wrong),
    }
}

fn domain_key(domain: &RouteDomain) -> String {
    match domain {
        RouteDomain::Any => "*".to_owned(),
        RouteDomain::Subdomains(parent) => format!(".{parent}"),
        RouteDomain::Exact(domain) => domain.to_string(),
    }
}
