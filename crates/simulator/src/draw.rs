//! Random times of the modelled world.
//!
//! # Contract
//! * **The same seed gives the same times**, whatever `dispatch` draws.
//! * **Means are kept**: each kind of service time has the mean that it is written with.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::scenario::Service;

/// Draws times.
pub(crate) struct Draw(StdRng);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Draw(StdRng::seed_from_u64(seed))
    }

    /// How long a transaction takes.
    pub(crate) fn service(&mut self, service: Service) -> Duration {
        match service {
            Service::Fixed(time) => time,
            Service::Exponential(mean) => mean.mul_f64(self.exponential()),
            Service::Uniform(least, most) => least + (most - least).mul_f64(self.0.random()),
            // The mean of exp(N(m, s²)) is exp(m + s²/2).
            Service::Lognormal(mean, spread) => {
                mean.mul_f64((spread * self.normal() - spread * spread / 2.0).exp())
            }
        }
    }

    /// Until the next of events that come so often a second on average.
    pub(crate) fn gap(&mut self, rate: f64) -> Duration {
        Duration::from_secs_f64(self.exponential() / rate)
    }

    /// One of so many.
    pub(crate) fn place(&mut self, count: usize) -> usize {
        self.0.random_range(0..count)
    }

    /// Exponential with mean 1.
    fn exponential(&mut self) -> f64 {
        -(1.0 - self.0.random::<f64>()).ln()
    }

    /// Normal with deviation 1 (Box and Muller).
    fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.0.random::<f64>()).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(text: &str, seed: u64) -> Vec<f64> {
        let mut draw = Draw::new(seed);
        let service = text.parse().unwrap();
        (0..50_000).map(|_| draw.service(service).as_secs_f64()).collect()
    }

    fn mean(times: &[f64]) -> f64 {
        times.iter().sum::<f64>() / times.len() as f64
    }

    #[test]
    fn means_are_kept() {
        for text in [
            "50ms",
            "exponential 50ms",
            "uniform 10ms..90ms",
            "lognormal 50ms 0.8",
        ] {
            let mean = mean(&times(text, 3));
            assert!((mean - 0.05).abs() < 0.001, "{text}: {mean}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let text = "lognormal 50ms 0.8";
        assert_eq!(times(text, 3), times(text, 3));
        assert_ne!(times(text, 3), times(text, 4));
    }

    #[test]
    fn each_kind_spreads_as_it_says() {
        let uniform = times("uniform 10ms..90ms", 1);
        assert!(uniform.iter().all(|time| (0.01..=0.09).contains(time)));
        // Of exponential times a share of 1/e is longer than the mean.
        let long = times("exponential 50ms", 1)
            .iter()
            .filter(|time| **time > 0.05)
            .count();
        assert!((17_900..=18_900).contains(&long), "{long}");
        // The median of lognormal times is exp(-s²/2) of their mean.
        let median = 0.05 * (-0.32_f64).exp();
        let short = times("lognormal 50ms 0.8", 1)
            .iter()
            .filter(|time| **time < median)
            .count();
        assert!((24_500..=25_500).contains(&short), "{short}");
    }

    #[test]
    fn gaps_have_the_rate() {
        let mut draw = Draw::new(5);
        let all: f64 = (0..50_000).map(|_| draw.gap(20.0).as_secs_f64()).sum();
        assert!((all / 50_000.0 - 0.05).abs() < 0.001, "{all}");
        assert!((0..1000).map(|_| draw.place(7)).all(|place| place < 7));
    }
}
