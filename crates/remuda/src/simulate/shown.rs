//! The figures of runs as tables.
//!
//! # Contract
//! * **One line a policy, then a table of hosts for each**, or of groups where hosts are many.

use remuda_simulator::{Figures, HostFigures, Policy};

use crate::table::table;

/// All runs.
pub(super) fn text(runs: &[Figures]) -> String {
    let mut text = table(
        &[
            "POLICY",
            "RATE/S",
            "STEADY/S",
            "P50",
            "P90",
            "P99",
            "MAX",
            "DELIVERED",
            "DEFERRALS",
            "BOUNCED",
            "LEFT",
            "DIALS",
            "FAILED",
            "REUSE",
            "TIME",
        ],
        &runs.iter().map(whole).collect::<Vec<_>>(),
    );
    for run in runs {
        let hosts = if run.hosts.len() <= HOSTS_SHOWN {
            &run.hosts
        } else {
            &run.groups
        };
        text.push_str(&format!("\n{}\n", name(run)));
        text.push_str(&table(
            &[
                "HOST", "MESSAGES", "SHARE", "SESSIONS", "PEAK", "SHARE", "DIALS", "FAILED", "REUSE", "WAIT",
            ],
            &hosts.iter().map(host).collect::<Vec<_>>(),
        ));
    }
    text
}

fn whole(run: &Figures) -> Vec<String> {
    vec![
        name(run),
        format!("{:.1}", run.rate),
        format!("{:.1}", run.steady_rate),
        seconds(run.delay.p50),
        seconds(run.delay.p90),
        seconds(run.delay.p99),
        seconds(run.delay.max),
        run.delivered.to_string(),
        run.deferrals.to_string(),
        run.bounced.to_string(),
        run.left.to_string(),
        run.dials.to_string(),
        run.dials_failed.to_string(),
        format!("{:.1}", run.reuse),
        seconds(run.seconds),
    ]
}

fn host(host: &HostFigures) -> Vec<String> {
    vec![
        host.name.to_string(),
        host.messages.to_string(),
        percent(host.message_share),
        format!("{:.2}", host.sessions_mean),
        host.sessions_peak.to_string(),
        percent(host.session_share),
        host.dials.to_string(),
        host.dials_failed.to_string(),
        format!("{:.1}", host.reuse),
        seconds(host.wait),
    ]
}

fn name(run: &Figures) -> String {
    run.policy.as_ref().map_or_else(String::new, Policy::to_string)
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn seconds(seconds: f64) -> String {
    match seconds {
        0.0..10.0 => format!("{seconds:.3}s"),
        10.0..1000.0 => format!("{seconds:.1}s"),
        _ => format!("{seconds:.0}s"),
    }
}

/// Hosts that are shown one by one.
const HOSTS_SHOWN: usize = 20;
