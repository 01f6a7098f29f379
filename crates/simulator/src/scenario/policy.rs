//! What of the configuration a run goes by: the scenario's `[policy]`, and the rule that is tried.
//!
//! # Contract
//! * **A policy changes reuse and choice, and nothing else**, so that panels side by side compare just that.
//! * **What is not written is as in the program.**

use std::{fmt, time::Duration};

use remuda_dispatch::settings::{EndpointChoice, Settings};
use serde::{Deserialize, Serialize};

use super::values::{de_some_count, de_some_duration};

/// How a host is chosen and how long a session is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Hosts at random; a session is used ten times more and then given up.
    Count,
    /// Hosts at random; a session is given up after 300 s.
    Time,
    /// Hosts at random; sessions as the scenario says.
    Random,
    /// As the program does it; sessions as the scenario says.
    Adaptive,
}

/// `[policy]`: keys of `[delivery]` and `[connection_cache]`; None = as in the program.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySettings {
    /// `delivery.initial_concurrency`.
    #[serde(deserialize_with = "de_some_count")]
    pub initial_concurrency: Option<u32>,
    /// `delivery.concurrency`.
    #[serde(deserialize_with = "de_some_count")]
    pub concurrency: Option<u32>,
    /// `delivery.sessions`.
    #[serde(deserialize_with = "de_some_count")]
    pub sessions: Option<u32>,
    /// `delivery.sessions_per_endpoint`.
    #[serde(deserialize_with = "de_some_count")]
    pub sessions_per_endpoint: Option<u32>,
    /// `delivery.pipeline_depth`.
    #[serde(deserialize_with = "de_some_count")]
    pub pipeline_depth: Option<u32>,
    /// `delivery.connect_timeout`.
    #[serde(deserialize_with = "de_some_duration")]
    pub connect_timeout: Option<Duration>,
    /// `delivery.minimal_backoff`.
    #[serde(deserialize_with = "de_some_duration")]
    pub minimal_backoff: Option<Duration>,
    /// `delivery.maximal_backoff`.
    #[serde(deserialize_with = "de_some_duration")]
    pub maximal_backoff: Option<Duration>,
    /// `connection_cache.idle_time_limit`.
    #[serde(deserialize_with = "de_some_duration")]
    pub idle_time_limit: Option<Duration>,
    /// `connection_cache.reuse_time_limit`.
    #[serde(deserialize_with = "de_some_duration")]
    pub reuse_time_limit: Option<Duration>,
    /// `connection_cache.reuse_count_limit`.
    pub reuse_count_limit: Option<u32>,
}

impl Policy {
    /// All that are shown side by side.
    pub const SIDE_BY_SIDE: [Policy; 3] = [Policy::Count, Policy::Time, Policy::Adaptive];

    /// The word for it on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Policy::Count => "count",
            Policy::Time => "time",
            Policy::Random => "random",
            Policy::Adaptive => "adaptive",
        }
    }
}

impl fmt::Display for Policy {
    /// With its limit, as a panel is headed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Policy::Count => write!(f, "count {COUNT_REUSES}"),
            Policy::Time => write!(f, "time {} s", TIME_LIMIT.as_secs()),
            Policy::Random | Policy::Adaptive => f.write_str(self.name()),
        }
    }
}

impl PolicySettings {
    /// What `dispatch` goes by under a policy.
    pub fn settings(&self, policy: Policy, seed: u64) -> Settings {
        let mut settings = self.as_written(seed);
        settings.endpoint_choice = match policy {
            Policy::Count | Policy::Time | Policy::Random => EndpointChoice::Random,
            Policy::Adaptive => EndpointChoice::Adaptive,
        };
        let cache = &mut settings.cache;
        match policy {
            Policy::Count => {
                (cache.reuse_count_limit, cache.reuse_time_limit) = (COUNT_REUSES, NO_TIME_LIMIT)
            }
            Policy::Time => (cache.reuse_count_limit, cache.reuse_time_limit) = (0, TIME_LIMIT),
            Policy::Random | Policy::Adaptive => {}
        }
        settings
    }

    fn as_written(&self, seed: u64) -> Settings {
        let mut settings = Settings {
            helo_name: "simulator.test".into(),
            seed,
            ..Settings::default()
        };
        set(&mut settings.concurrency, self.concurrency);
        let initial = settings.initial_concurrency.min(settings.concurrency);
        settings.initial_concurrency = self.initial_concurrency.unwrap_or(initial);
        set(&mut settings.sessions, self.sessions);
        let per_endpoint = settings.sessions_per_endpoint.min(settings.sessions);
        settings.sessions_per_endpoint = self.sessions_per_endpoint.unwrap_or(per_endpoint);
        set(&mut settings.pipeline_depth, self.pipeline_depth);
        set(&mut settings.minimal_backoff, self.minimal_backoff);
        set(&mut settings.maximal_backoff, self.maximal_backoff);
        set(&mut settings.cache.idle_time_limit, self.idle_time_limit);
        set(&mut settings.cache.reuse_time_limit, self.reuse_time_limit);
        set(&mut settings.cache.reuse_count_limit, self.reuse_count_limit);
        settings
    }

    /// Has no more sessions than these, in all and anywhere.
    pub fn limit_sessions(&mut self, sessions: u32) {
        self.sessions = Some(sessions);
        for limit in [
            &mut self.sessions_per_endpoint,
            &mut self.concurrency,
            &mut self.initial_concurrency,
        ] {
            *limit = limit.map(|limit| limit.min(sessions));
        }
    }

    /// How long a connect may take.
    pub fn connect_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(CONNECT_TIMEOUT)
    }
}

fn set<T>(setting: &mut T, written: Option<T>) {
    if let Some(written) = written {
        *setting = written;
    }
}

/// Of [`Policy::Count`], as `connection_cache.reuse_count_limit`.
const COUNT_REUSES: u32 = 10;
/// Of [`Policy::Time`], as `connection_cache.reuse_time_limit`.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// Longer than any run: only the count ends a session.
const NO_TIME_LIMIT: Duration = Duration::from_secs(1000 * 86_400);
/// `delivery.connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_changes_reuse_and_choice_and_nothing_else() {
        let written = PolicySettings {
            sessions: Some(10),
            reuse_count_limit: Some(3),
            ..PolicySettings::default()
        };
        let plain = written.settings(Policy::Random, 7);
        for policy in Policy::SIDE_BY_SIDE {
            let mut settings = written.settings(policy, 7);
            settings.cache.reuse_count_limit = plain.cache.reuse_count_limit;
            settings.cache.reuse_time_limit = plain.cache.reuse_time_limit;
            settings.endpoint_choice = plain.endpoint_choice;
            assert_eq!(settings, plain, "{policy}");
        }
    }

    #[test]
    fn only_the_adaptive_policy_weighs_hosts() {
        for policy in [Policy::Count, Policy::Time, Policy::Random, Policy::Adaptive] {
            let choice = PolicySettings::default().settings(policy, 0).endpoint_choice;
            let is_adaptive = choice == EndpointChoice::Adaptive;
            assert_eq!(is_adaptive, policy == Policy::Adaptive, "{policy}");
        }
    }

    #[test]
    fn what_is_not_written_is_as_in_the_program() {
        let settings = PolicySettings::default().settings(Policy::Adaptive, 0);
        let program = Settings {
            helo_name: settings.helo_name.clone(),
            ..Settings::default()
        };
        assert_eq!(settings, program);
    }

    #[test]
    fn small_limits_lower_those_within_them() {
        let written = PolicySettings {
            sessions: Some(3),
            concurrency: Some(2),
            ..PolicySettings::default()
        };
        let settings = written.settings(Policy::Time, 0);
        assert_eq!(
            (settings.sessions_per_endpoint, settings.initial_concurrency),
            (3, 2)
        );
    }
}
