//! A histogram of whole numbers over fixed bounds.
//!
//! # Contract
//! * **Every value is counted once**, under the first bound that it does not exceed, or beyond the last one.
//! * **Sums stay right**: two histograms over the same bounds add up to that of both.

use std::collections::BTreeMap;

/// How often values fell where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By upper bound; `u64::MAX` is beyond the last one. Bounds that nothing fell under may be missing.
    counts: BTreeMap<u64, u64>,
    sum: u64,
}

impl Histogram {
    /// Counts a value under `bounds`, which ascend and are the same for all values.
    pub fn observe(&mut self, value: u64, bounds: &[u64]) {
        let bound = bounds.iter().find(|bound| value <= **bound);
        *self.counts.entry(bound.copied().unwrap_or(u64::MAX)).or_default() += 1;
        self.sum += value;
    }

    /// Values under each of `bounds`, and last those beyond.
    pub fn counts(&self, bounds: &[u64]) -> Vec<u64> {
        let at = |bound: &u64| self.counts.get(bound).copied().unwrap_or(0);
        bounds.iter().chain([&u64::MAX]).map(at).collect()
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// All values together.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    pub(crate) fn add(&mut self, later: &Histogram) {
        for (bound, count) in &later.counts {
            *self.counts.entry(*bound).or_default() += count;
        }
        self.sum += later.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_once() {
        let bounds = [0, 1, 5];
        let mut histogram = Histogram::default();
        for value in [0, 1, 1, 2, 5, 6, 100] {
            histogram.observe(value, &bounds);
        }
        assert_eq!(histogram.counts(&bounds), [1, 2, 2, 2]);
        assert_eq!((histogram.count(), histogram.sum()), (7, 115));
    }

    #[test]
    fn sums_stay_right() {
        let (mut one, mut other, mut both) = <(Histogram, Histogram, Histogram)>::default();
        for value in 0..10 {
            let half = if value % 2 == 0 { &mut one } else { &mut other };
            half.observe(value, &[3]);
            both.observe(value, &[3]);
        }
        one.add(&other);
        assert_eq!(one, both);
    }
}
