//! What is counted of the object cache, behind the engine's metrics.
//!
//! # Contract
//! * **Counts never go back**: they are those since start, whatever is reset or switched.
//! * **One text, one end**: the engine's comes first, without its own end.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use remuda_directory::{
    Directory,
    control::{CacheStatus, KindStatus, Push},
    load_times::{LOAD_MICROS_BOUNDS, LoadCounts},
    model::Kind,
};

/// The engine's text, and the object cache's behind it.
pub fn joined(engine: String, directory: &Directory) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Counted::of(directory)));
    let mut own = String::new();
    // Writing to a string fails only when an encoding does; what there is stays readable.
    if encode(&mut own, &registry).is_err() {
        tracing::error!("metrics of the object cache could not be encoded");
    }
    let mut text = engine;
    text.truncate(text.strip_suffix(END).map_or(text.len(), str::len));
    text + &own
}

const END: &str = "# EOF\n";

#[derive(Debug)]
struct Counted {
    cache: CacheStatus,
    loads: Vec<(Kind, LoadCounts)>,
}

impl Collector for Counted {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        self.counts(&mut encoder)?;
        self.load_times(&mut encoder)?;
        let entries = ("remuda_object_cache_entries", "Objects in the cache");
        self.gauges(&mut encoder, entries, |kind| kind.entries)?;
        let bytes = ("remuda_object_cache_bytes", "Octets of the objects in the cache");
        self.gauges(&mut encoder, bytes, |kind| kind.bytes)?;
        self.invalidations(&mut encoder)?;
        let is_up = i64::from(self.cache.push == Push::Up);
        let help = "1: the database tells of changes by others";
        let metric =
            encoder.encode_descriptor("remuda_object_cache_push_up", help, None, MetricType::Gauge)?;
        ConstGauge::new(is_up).encode(metric)
    }
}

type Of = fn(&KindStatus) -> &std::collections::BTreeMap<String, u64>;
/// A label beside `type`, where there is one, and the count.
type Sample = (Option<(&'static str, String)>, u64);

impl Counted {
    fn of(directory: &Directory) -> Self {
        let loads = |kind| (kind, directory.load_times(kind));
        Counted {
            cache: directory.cache_status(),
            loads: Kind::ALL.map(loads).to_vec(),
        }
    }

    fn load_times(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let (name, help) = (
            "remuda_object_cache_load_seconds",
            "How long loads took, their wait for a turn included",
        );
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let seconds = |micros: u64| micros as f64 / 1e6;
        for (kind, loads) in &self.loads {
            let bounds = LOAD_MICROS_BOUNDS.map(seconds).into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(loads.buckets).collect();
            let labels = [("type", kind.as_str())];
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(seconds(loads.micros), loads.count(), &buckets, None)?;
        }
        Ok(())
    }

    fn counts(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut by = |head, label, counts: Of| {
            self.counters(encoder, head, |kind| {
                let counts = counts(kind).iter();
                let sample = |(name, count): (&String, &u64)| (Some((label, name.clone())), *count);
                counts.map(sample).collect()
            })
        };
        let look_ups = (
            "remuda_object_cache_lookups",
            "Look-ups in the directory, by what came of them",
        );
        by(look_ups, "result", |kind| &kind.lookups)?;
        let evictions = (
            "remuda_object_cache_evictions",
            "Objects and absences that left the cache",
        );
        by(evictions, "cause", |kind| &kind.evictions)?;
        let loads = ("remuda_object_cache_loads", "Queries for look-ups");
        self.counters(encoder, loads, |kind| vec![(None, kind.loads)])
    }

    fn counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        samples: impl Fn(&KindStatus) -> Vec<Sample>,
    ) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (kind, status) in &self.cache.types {
            for (label, count) in samples(status) {
                let mut labels = vec![("type", kind.as_str().to_owned())];
                labels.extend(label);
                let metric = family.encode_family(&labels)?;
                ConstCounter::new(count).encode(metric)?;
            }
        }
        Ok(())
    }

    fn gauges(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        sample: impl Fn(&KindStatus) -> u64,
    ) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (kind, status) in &self.cache.types {
            let value = i64::try_from(sample(status)).unwrap_or(i64::MAX);
            let labels = [("type", kind.as_str())];
            let metric = family.encode_family(&labels)?;
            ConstGauge::new(value).encode(metric)?;
        }
        Ok(())
    }

    /// By who told, over all kinds.
    fn invalidations(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut sums = std::collections::BTreeMap::new();
        for (source, count) in self.cache.types.values().flat_map(|kind| &kind.invalidations) {
            *sums.entry(source.as_str()).or_insert(0_u64) += count;
        }
        let (name, help) = (
            "remuda_object_cache_invalidations",
            "Changes of objects that the cache was told of",
        );
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (source, count) in sums {
            let labels = [("source", source)];
            let metric = family.encode_family(&labels)?;
            ConstCounter::new(count).encode(metric)?;
        }
        Ok(())
    }
}
