//! What the spool counts, under the names of the public metrics.

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

/// Commits of the spool.
#[derive(Debug)]
pub struct Metrics {
    /// Commits: one sync each.
    pub commits: Counter,
    /// Messages stored and settlements recorded in a commit.
    pub commit_messages: Histogram,
    /// Seconds that a commit took, sync included.
    pub commit_seconds: Histogram,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let doubling = |first: f64, count| std::iter::successors(Some(first), |b| Some(b * 2.0)).take(count);
        Metrics {
            commits: Counter::default(),
            commit_messages: Histogram::new(doubling(1.0, 11)),
            commit_seconds: Histogram::new(doubling(0.000_25, 16)),
        }
    }

    /// Registers them as `remuda_spool_commits_total` and so on.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "remuda_spool_commits",
            "Commits of the spool",
            self.commits.clone(),
        );
        registry.register(
            "remuda_spool_commit_messages",
            "Messages stored and settlements recorded in a commit",
            self.commit_messages.clone(),
        );
        registry.register(
            "remuda_spool_commit_seconds",
            "Seconds that a commit took",
            self.commit_seconds.clone(),
        );
    }
}
