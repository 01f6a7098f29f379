//! The connection cache's statistics for people: counts of both times side by side, or the figures of each
//! destination or endpoint.

use std::collections::BTreeMap;

use remuda_engine::operations::{
    Breakdown, BreakdownBy, CacheCounts, CacheStatistics, FiguresRow, HistogramShown,
};

use crate::table::table;

/// What was asked for.
pub(super) fn shown(statistics: &CacheStatistics) -> String {
    match &statistics.breakdown {
        Some(breakdown) => figures_table(breakdown),
        None => counts_table(statistics),
    }
}

fn counts_table(statistics: &CacheStatistics) -> String {
    let (start, interval) = (figures(&statistics.since_start), figures(&statistics.interval));
    let value_in = |figures: &[(String, String)], name: &str| {
        figures
            .iter()
            .find(|(other, _)| other == name)
            .map_or("0".to_owned(), |(_, value)| value.clone())
    };
    // What the interval has, the time since start has too.
    let rows = start
        .iter()
        .map(|(name, value)| vec![name.clone(), value.clone(), value_in(&interval, name)]);
    table(&["", "SINCE START", "INTERVAL"], &rows.collect::<Vec<_>>())
}

fn figures(counts: &CacheCounts) -> Vec<(String, String)> {
    let percent = |hits: u64, misses: u64| match (hits * 100).checked_div(hits + misses) {
        Some(percent) => format!("{percent}%"),
        None => "-".to_owned(),
    };
    let (of_destination, of_address) = (
        percent(counts.destination_hits, counts.destination_misses),
        percent(counts.address_hits, counts.address_misses),
    );
    let number = |count: u64| count.to_string();
    let mut all: Vec<(String, String)> = [
        ("destination hits", number(counts.destination_hits)),
        ("destination misses", number(counts.destination_misses)),
        ("destination success", of_destination),
        ("address hits", number(counts.address_hits)),
        ("address misses", number(counts.address_misses)),
        ("address success", of_address),
        ("handovers", number(counts.handovers)),
        ("most destinations", number(counts.max_destinations)),
        ("most addresses", number(counts.max_addresses)),
        ("most connections", number(counts.max_connections)),
        ("opened", number(counts.opened)),
        ("round trips saved", number(counts.round_trips_saved)),
        ("TLS handshakes saved", number(counts.handshakes_saved)),
        ("transactions not begun", number(counts.transactions_not_begun)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    all.extend(each("not opened", &counts.dials_failed));
    all.extend(each("transactions", &counts.transactions));
    all.extend(each("closed", &counts.closed));
    all.extend(each("dead", &counts.deaths));
    all.extend(each("unfit", &counts.unfit));
    all.extend(buckets("uses", "", &counts.uses));
    all.extend(buckets("idle at take", "ms", &counts.idle_ms));
    all
}

fn each(kind: &str, counts: &BTreeMap<String, u64>) -> impl Iterator<Item = (String, String)> {
    counts
        .iter()
        .map(move |(name, count)| (format!("{kind}: {name}"), count.to_string()))
}

/// A row for each bucket that holds anything: `uses: 4-5`.
fn buckets(kind: &str, unit: &str, histogram: &HistogramShown) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    let mut from = 0;
    for (place, count) in histogram.counts.iter().enumerate() {
        let range = match histogram.bounds.get(place) {
            Some(bound) if *bound <= from => format!("{bound}{unit}"),
            Some(bound) => format!("{from}-{bound}{unit}"),
            None => format!("{from}{unit} or more"),
        };
        if *count > 0 {
            rows.push((format!("{kind}: {range}"), count.to_string()));
        }
        from = histogram.bounds.get(place).map_or(from, |bound| bound + 1);
    }
    rows
}

fn figures_table(breakdown: &Breakdown) -> String {
    let head = match breakdown.by {
        BreakdownBy::Destination => "DESTINATION",
        BreakdownBy::Endpoint => "ENDPOINT",
    };
    let names = [
        head, "USES", "HITS", "HANDED", "NEW", "AGAIN", "DIALS", "DEAD", "UNFIT", "BUSY", "PARKED",
    ];
    // Sessions belong to endpoints.
    let columns = match breakdown.by {
        BreakdownBy::Destination => names.len() - 2,
        BreakdownBy::Endpoint => names.len(),
    };
    let other = FiguresRow {
        name: "all others".to_owned(),
        ..breakdown.other.clone()
    };
    let rows = breakdown.rows.iter().chain([&other]);
    let rows: Vec<Vec<String>> = rows.map(|row| cells(row).take(columns).collect()).collect();
    table(&names[..columns], &rows)
}

fn cells(row: &FiguresRow) -> impl Iterator<Item = String> {
    let counts = [
        row.uses,
        row.hits,
        row.handovers,
        row.misses,
        row.again,
        row.dials,
        row.deaths,
        row.unfit,
    ];
    let now = [row.busy, row.parked].map(|count| count.map_or("-".to_owned(), |n| n.to_string()));
    let counts = counts.map(|count| count.to_string());
    [row.name.clone()].into_iter().chain(counts).chain(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_show_both_times_side_by_side() {
        let counts = |hits| CacheCounts {
            destination_hits: hits,
            destination_misses: 1,
            ..CacheCounts::default()
        };
        let mut statistics = CacheStatistics {
            since_start: counts(9),
            interval: counts(3),
            breakdown: None,
        };
        statistics.since_start.closed.insert("idle".into(), 4);
        let text = shown(&statistics);
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split_whitespace().collect::<Vec<_>>()
        };
        assert_eq!(row("destination hits"), ["9", "3"]);
        assert_eq!(row("destination success"), ["90%", "75%"]);
        assert_eq!(row("closed: idle"), ["4", "0"]);
    }

    #[test]
    fn a_histogram_shows_what_it_holds() {
        let histogram = HistogramShown {
            bounds: vec![0, 1, 5],
            counts: vec![2, 0, 3, 4],
            count: 9,
            sum: 50,
        };
        let rows = buckets("uses", "", &histogram);
        let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["uses: 0", "uses: 2-5", "uses: 6 or more"]);
    }

    #[test]
    fn figures_of_destinations_have_no_sessions_of_their_own() {
        let breakdown = |by| Breakdown {
            by,
            rows: vec![FiguresRow {
                name: "a".into(),
                uses: 3,
                ..FiguresRow::default()
            }],
            other: FiguresRow::default(),
            known: 1,
        };
        let text = figures_table(&breakdown(BreakdownBy::Destination));
        assert!(
            text.starts_with("DESTINATION  USES") && !text.contains("PARKED"),
            "{text}"
        );
        assert!(text.contains("all others"), "{text}");
        assert!(figures_table(&breakdown(BreakdownBy::Endpoint)).contains("PARKED"));
    }
}
