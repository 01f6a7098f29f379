//! `[delivery]` and `[connection_cache]`.

use std::{sync::Arc, time::Duration};

use remuda_dispatch::settings::{CacheSettings, EndpointChoice, PIPELINE_DEPTH_MAX};
use remuda_engine::settings::Delivery;

use super::{destination::reuse_count_limit, duration_from, host_name, security};
use crate::config::{
    limits::{Side, ordered},
    reader::{Section, boolean, number, text},
    values,
};

/// Reads `[delivery]`; answers the line of `sessions` too.
pub fn delivery(top: &Section<'_, '_>, hostname: &Arc<str>) -> (Delivery, Option<usize>) {
    let default = Delivery::defaults(hostname);
    let section = top.section("delivery");
    let count = |key, default| section.read(key, default, number(1..=100_000_u32));
    let (initial_concurrency, concurrency) = ordered(
        &section,
        &Side::new(
            "initial_concurrency",
            count("initial_concurrency", default.initial_concurrency),
        ),
        &Side::new("concurrency", count("concurrency", default.concurrency)),
    );
    let sessions = count("sessions", default.sessions);
    let sessions_line = sessions.line;
    let (sessions_per_endpoint, sessions) = ordered(
        &section,
        &Side::new(
            "sessions_per_endpoint",
            count("sessions_per_endpoint", default.sessions_per_endpoint),
        ),
        &Side::new("sessions", sessions),
    );
    let (minimal_backoff, maximal_backoff) = backoff(&section, &default);
    let lifetime = |key, default| duration_from(&section, key, default, Duration::ZERO).value;
    let delivery = Delivery {
        smtp_port: section
            .read("smtp_port", default.smtp_port, number(1..=u16::MAX))
            .value,
        initial_concurrency,
        concurrency,
        sessions,
        sessions_per_endpoint,
        recipients_per_transaction: count("recipients_per_transaction", default.recipients_per_transaction)
            .value,
        endpoint_choice: section
            .read("endpoint_choice", default.endpoint_choice, text(endpoint_choice))
            .value,
        pipeline_depth: section
            .read(
                "pipeline_depth",
                default.pipeline_depth,
                number(1..=PIPELINE_DEPTH_MAX),
            )
            .value,
        addresses_per_delivery: count("addresses_per_delivery", default.addresses_per_delivery).value,
        delay_warning: delay_warning(&section, &default),
        allow_loopback: section
            .read("allow_loopback", default.allow_loopback, boolean)
            .value,
        minimal_backoff,
        maximal_backoff,
        queue_lifetime: lifetime("queue_lifetime", default.queue_lifetime),
        bounce_lifetime: lifetime("bounce_lifetime", default.bounce_lifetime),
        connect_timeout: duration_from(
            &section,
            "connect_timeout",
            default.connect_timeout,
            Duration::from_millis(1),
        )
        .value,
        helo_name: helo_name(&section, hostname),
        tls: security::delivery(&section),
    };
    section.close();
    (delivery, sessions_line)
}

fn backoff(section: &Section<'_, '_>, default: &Delivery) -> (Duration, Duration) {
    let time = |key, default| duration_from(section, key, default, Duration::from_millis(1));
    ordered(
        section,
        &Side::new(
            "minimal_backoff",
            time("minimal_backoff", default.minimal_backoff),
        ),
        &Side::new(
            "maximal_backoff",
            time("maximal_backoff", default.maximal_backoff),
        ),
    )
}

fn delay_warning(section: &Section<'_, '_>, default: &Delivery) -> Option<Duration> {
    let setting = duration_from(
        section,
        "delay_warning",
        default.delay_warning.unwrap_or_default(),
        Duration::ZERO,
    );
    Some(setting.value).filter(|duration| !duration.is_zero())
}

fn endpoint_choice(text: &str) -> Result<EndpointChoice, String> {
    match text {
        "adaptive" => Ok(EndpointChoice::Adaptive),
        "random" => Ok(EndpointChoice::Random),
        other => Err(format!("\"{other}\" is neither \"adaptive\" nor \"random\"")),
    }
}

fn helo_name(section: &Section<'_, '_>, hostname: &Arc<str>) -> Arc<str> {
    let name = |text: &str| match text {
        "" => Ok(hostname.clone()),
        text => host_name(text).map_err(|message| format!("{message}, or \"\" for hostname")),
    };
    section.read("helo_name", hostname.clone(), text(name)).value
}

/// What `[connection_cache]` says.
pub struct ConnectionCache {
    /// For the decisions.
    pub settings: CacheSettings,
    /// `status_update_time`.
    pub status_update_time: Duration,
    /// The line of `connections`.
    pub connections_line: Option<usize>,
}

/// Reads `[connection_cache]`.
pub fn connection_cache(top: &Section<'_, '_>) -> ConnectionCache {
    let default = CacheSettings::default();
    let section = top.section("connection_cache");
    let time = |key, default, min| duration_from(&section, key, default, Duration::from_millis(min));
    let (idle_time_limit, reuse_time_limit) = ordered(
        &section,
        &Side::new(
            "idle_time_limit",
            time("idle_time_limit", default.idle_time_limit, 1),
        ),
        &Side::new(
            "reuse_time_limit",
            time("reuse_time_limit", default.reuse_time_limit, 1),
        ),
    );
    let connections = section.read("connections", default.connections, number(1..=1_000_000_usize));
    let connections_line = connections.line;
    let per_endpoint = section.read(
        "connections_per_endpoint",
        default.connections_per_endpoint,
        number(1..=1_000_000_usize),
    );
    let (connections_per_endpoint, connections) = ordered(
        &section,
        &Side::new("connections_per_endpoint", per_endpoint),
        &Side::new("connections", connections),
    );
    let listed = section.list("destinations", text(values::destination_key));
    let settings = CacheSettings {
        on_demand: section.read("on_demand", default.on_demand, boolean).value,
        destinations: listed.map_or(default.destinations, |list| list.value.into_iter().collect()),
        idle_time_limit,
        reuse_time_limit,
        reuse_count_limit: reuse_count_limit(&section)
            .map_or(default.reuse_count_limit, |setting| setting.value),
        reuse_reply_timeout: time("reuse_reply_timeout", default.reuse_reply_timeout, 1).value,
        connections,
        connections_per_endpoint,
    };
    let status_update_time = time("status_update_time", STATUS_UPDATE_TIME, 1000).value;
    section.close();
    ConnectionCache {
        settings,
        status_update_time,
        connections_line,
    }
}

const STATUS_UPDATE_TIME: Duration = Duration::from_secs(600);
