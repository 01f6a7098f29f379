//! Limits that depend on each other: what follows from what, and what contradicts what.
//!
//! A default gives way to what the file says: whoever lowers `delivery.concurrency` to 3 need not know
//! that `initial_concurrency` is 5 by default. Two values that the file says and that contradict each
//! other are a problem.
//!
//! # Contract
//! * **A default never contradicts the file**: it is lowered or raised to fit.
//! * **Two contradicting values are a problem** that names both and their lines.
//! * **The session limits fit the descriptors that the system grants**: defaults are derived from them;
//!   what the file says and does not fit is a problem.

use std::time::Duration;

use remuda_engine::{
    admission::{DESCRIPTORS_ASIDE, DESCRIPTORS_MAIL_PERCENT, PER_PARKED, PER_SESSION},
    settings::Settings,
};

use super::{
    Config, Problem,
    reader::{Section, Setting},
    values::show_duration,
};

/// How a value of a relation is shown.
pub trait Shown {
    /// As the file writes it.
    fn shown(&self) -> String;
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format!("\"{}\"", show_duration(*self))
    }
}

impl Shown for u32 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for usize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

/// One side of a relation.
pub struct Side<T> {
    /// The key within the section.
    pub key: &'static str,
    /// What it is set to.
    pub setting: Setting<T>,
}

impl<T> Side<T> {
    /// The setting of a key.
    pub fn new(key: &'static str, setting: Setting<T>) -> Self {
        Side { key, setting }
    }
}

/// Makes `low <= high` hold: a default gives way, two values of the file that contradict are a problem.
pub fn ordered<T: Ord + Copy + Shown>(section: &Section<'_, '_>, low: &Side<T>, high: &Side<T>) -> (T, T) {
    let (lower, higher) = (low.setting.value, high.setting.value);
    if lower <= higher {
        return (lower, higher);
    }
    match (low.setting.line, high.setting.line) {
        (Some(line), Some(other)) => {
            let message = format!(
                "{} is more than {} = {} (line {other}); lower the first or raise the second",
                lower.shown(),
                section.full(high.key),
                higher.shown(),
            );
            section.problem(Some(line), low.key, message);
            (lower, lower)
        }
        (Some(_), None) => (lower, lower),
        (None, _) => (higher, higher),
    }
}

/// Where the file sets the limits that cost descriptors; None = a default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionLines {
    /// `limits.sessions`.
    pub inbound: Option<usize>,
    /// `delivery.sessions`.
    pub outbound: Option<usize>,
    /// `connection_cache.connections`.
    pub parked: Option<usize>,
}

/// Descriptors that the session limits may need at once.
pub fn descriptors_needed(config: &Config) -> u64 {
    let settings = &config.settings;
    let sessions = settings.limits.sessions + settings.delivery.sessions as usize;
    let parked = settings.connection_cache.connections;
    DESCRIPTORS_ASIDE + PER_SESSION * sessions as u64 + PER_PARKED * parked as u64
}

/// Fits the session limits into `available` descriptors. Answers what was lowered, in words.
///
/// # Errors
/// The limits that the file sets do not fit: which to lower, and to what they must add up.
pub fn fit_descriptors(config: &mut Config, available: u64) -> Result<Vec<String>, Problem> {
    // Above this, admission refuses mail.
    let usable = available.min(1 << 40) * DESCRIPTORS_MAIL_PERCENT / 100;
    if descriptors_needed(config) <= usable {
        return Ok(Vec::new());
    }
    let lines = config.session_lines;
    let settings = &mut config.settings;
    let room = usable.saturating_sub(DESCRIPTORS_ASIDE);
    let share = |key, (line, value): (_, usize), each| Share {
        key,
        line,
        value: value as u64,
        each,
    };
    let busy = (lines.outbound, settings.delivery.sessions as usize);
    let parked = (lines.parked, settings.connection_cache.connections);
    let mut shares = [
        share(
            "limits.sessions",
            (lines.inbound, settings.limits.sessions),
            PER_SESSION,
        ),
        share("delivery.sessions", busy, PER_SESSION),
        share("connection_cache.connections", parked, PER_PARKED),
    ];
    let notes = divide(&mut shares, room).ok_or_else(|| too_few(&shares, room, available))?;
    apply(settings, &shares);
    assert!(
        descriptors_needed(config) <= usable,
        "the shares add up to the room"
    );
    Ok(notes)
}

fn apply(settings: &mut Settings, shares: &[Share; 3]) {
    let [inbound, outbound, parked] = shares.map(|share| usize::try_from(share.value).unwrap_or(usize::MAX));
    let (limits, delivery, cache) = (
        &mut settings.limits,
        &mut settings.delivery,
        &mut settings.connection_cache,
    );
    limits.sessions = inbound;
    limits.sessions_per_client = limits.sessions_per_client.min(inbound);
    delivery.sessions = u32::try_from(outbound).unwrap_or(u32::MAX);
    delivery.sessions_per_endpoint = delivery.sessions_per_endpoint.min(delivery.sessions);
    cache.connections = parked;
    cache.connections_per_endpoint = cache.connections_per_endpoint.min(parked);
}

#[derive(Clone, Copy)]
struct Share {
    key: &'static str,
    line: Option<usize>,
    value: u64,
    /// Descriptors of one.
    each: u64,
}

impl Share {
    fn descriptors(&self) -> u64 {
        self.value * self.each
    }
}

/// Lowers what is a default, each in proportion; None when even one of each does not fit.
fn divide(shares: &mut [Share], room: u64) -> Option<Vec<String>> {
    let fixed: u64 = shares
        .iter()
        .filter(|share| share.line.is_some())
        .map(Share::descriptors)
        .sum();
    let flexible: u64 = shares
        .iter()
        .filter(|share| share.line.is_none())
        .map(Share::descriptors)
        .sum();
    let left = room.checked_sub(fixed).filter(|_| flexible > 0)?;
    let mut notes = Vec::new();
    for share in shares.iter_mut().filter(|share| share.line.is_none()) {
        let lowered = share.value * left / flexible;
        if lowered < SHARE_MIN {
            return None;
        }
        notes.push(format!("{} lowered from {} to {lowered}", share.key, share.value));
        share.value = lowered;
    }
    Some(notes)
}

/// A derived limit below this is no service.
const SHARE_MIN: u64 = 8;

fn too_few(shares: &[Share], room: u64, available: u64) -> Problem {
    let set = shares
        .iter()
        .filter(|share| share.line.is_some())
        .max_by_key(|share| share.descriptors());
    let largest = set.or_else(|| shares.iter().max_by_key(|share| share.descriptors()));
    let term = |share: &Share| match share.each {
        1 => share.key.to_owned(),
        each => format!("{each} * {}", share.key),
    };
    let sum = shares.iter().map(term).collect::<Vec<_>>().join(" + ");
    Problem {
        line: largest.and_then(|share| share.line),
        key: largest.map_or("limits.sessions", |share| share.key).to_owned(),
        message: format!(
            "{sum} must be at most {room}, because the system grants {available} descriptors; lower this one, or raise the limit (ulimit -Hn, LimitNOFILE=)"
        ),
    }
}
