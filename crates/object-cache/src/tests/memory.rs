//! Weight, budgets, and who gives way.

use super::*;
use crate::entry::OVERHEAD;

/// Rows of 1,024 octets in all.
fn kib(id: i64) -> Arc<Row> {
    let name = format!("account{id:08}@d");
    let weight = 1024 - OVERHEAD - name.len();
    Arc::new(Row {
        id,
        name,
        version: 1,
        weight,
    })
}

fn sized(size: u64) -> Bed {
    Bed::with(Limits {
        size,
        ..Limits::default()
    })
}

fn load(bed: &Bed, row: &Arc<Row>, now: Monotonic) {
    let ticket = bed.begin(name(&row.name), now, 0);
    bed.cache.finish(ticket, Loaded::Found(Arc::clone(row)), now);
}

/// F4: hMailServer's own test, which evicts to nine tenths before the 41st and shows 37 KiB; here the room is
/// used to the end and one gives way to one.
#[test]
fn the_limit_holds_and_is_used() {
    let bed = sized(40 << 10);
    for n in 1..=41 {
        load(&bed, &kib(n), s(0));
        bed.cache.assert_consistent();
    }
    let statistics = bed.statistics();
    assert_eq!(
        (statistics.gauges.bytes, statistics.gauges.entries),
        (40 << 10, 40)
    );
    assert_eq!(statistics.evictions.size, 1);
}

/// F6.
#[test]
fn what_is_too_big_is_served_and_not_kept() {
    let bed = sized(80 << 10);
    let size = 11 << 10;
    let big = Row {
        weight: size,
        ..Row::clone(&kib(1))
    };
    load(&bed, &kib(1), s(0));
    bed.put(Arc::new(Row { version: 2, ..big }));
    assert_eq!(bed.get(id(1), s(60)), Got::Found(2));
    let statistics = bed.statistics();
    assert_eq!(
        (statistics.gauges.entries, statistics.rejected.too_big),
        (0, 1),
        "nor its old state"
    );
}

/// F7.
#[test]
fn a_day_of_a_hundred_objects_evicts_nothing_and_adds_up() {
    let bed = sized(100 << 10);
    for n in 0..100 {
        bed.put(kib(n));
    }
    let mut now = 0;
    while now < 24 * 3600 {
        for n in 0..100 {
            bed.get(id(n), s(now));
        }
        bed.cache.sweep(s(now), 10);
        bed.cache.assert_consistent();
        now += 47;
    }
    let statistics = bed.statistics();
    assert_eq!(
        (statistics.gauges.bytes, statistics.evictions),
        (100 << 10, Evictions::default())
    );
}

/// F8.
#[test]
fn what_nobody_uses_is_swept() {
    let bed = sized(1000 << 10);
    for n in 0..1000 {
        load(&bed, &kib(n), s(0));
    }
    bed.get(name("x@d"), s(0));
    assert_eq!(
        bed.cache.sweep(s(359), 10_000),
        1,
        "values may still answer for failures, absences not"
    );
    let mut swept = 0;
    for slice in 0..11 {
        let removed = bed.cache.sweep(s(360) + Duration::from_secs(slice), 100);
        assert!(removed <= 100);
        swept += removed;
        bed.cache.assert_consistent();
    }
    assert_eq!(swept, 1000);
    let statistics = bed.statistics();
    assert_eq!((statistics.gauges.bytes, statistics.evictions.ttl), (0, 1001));
}

/// F9.
#[test]
fn a_lower_limit_holds_before_the_call_returns() {
    let bed = sized(10 << 20);
    for n in 0..5000 {
        load(&bed, &kib(n), s(0));
    }
    let size = 1 << 20;
    bed.cache.set_limits(
        Limits {
            size,
            ..Limits::default()
        },
        s(1),
    );
    assert_eq!(bed.statistics().gauges.bytes, size);
    bed.cache.assert_consistent();
    bed.cache.set_limits(
        Limits {
            size: 0,
            negative_size: 0,
            ..Limits::default()
        },
        s(1),
    );
    bed.get(name("x@d"), s(1));
    load(&bed, &kib(1), s(1));
    assert_eq!(
        (bed.statistics().gauges.entries, bed.statistics().gauges.absences),
        (0, 0)
    );
}

/// F5: who asks for names that do not exist displaces only others who do, and not what is asked for often.
#[test]
fn absences_give_way_only_to_absences() {
    let bed = sized(1 << 20);
    for n in 0..1000 {
        load(&bed, &kib(n), s(0));
    }
    let external = |n: i64| format!("external{n}.test");
    for _ in 0..3 {
        for n in 0..100 {
            bed.get(name(&external(n)), s(0));
        }
    }
    for n in 0..50_000 {
        bed.get(name(&format!("guess{n}@d")), s(0));
    }
    let statistics = bed.statistics();
    assert_eq!(statistics.gauges.entries, 1000);
    assert!(statistics.gauges.negative_bytes <= 1 << 20);
    let kept = (0..100)
        .filter(|n| bed.cache.peek(name(&external(*n)), s(0)).is_some())
        .count();
    assert_eq!(kept, 100);
    bed.cache.assert_consistent();
}

/// §5.3.12: 99 % of 1,000 hot keys stay. (The benchmark sends the whole million.)
#[test]
fn keys_asked_for_once_do_not_displace_those_in_use() {
    let bed = sized(2000 << 10);
    for n in 0..1000 {
        load(&bed, &kib(n), s(0));
    }
    for n in 0..1000 {
        bed.get(id(n), s(0));
        bed.get(id(n), s(0));
    }
    for n in 0..100_000 {
        load(&bed, &kib(10_000 + n), s(0));
    }
    let kept = (0..1000)
        .filter(|n| bed.cache.peek(id(*n), s(0)).is_some())
        .count();
    assert!(kept >= 990, "{kept} of 1000");
    bed.cache.assert_consistent();
}

/// What is used displaces in the end what was used once upon a time.
#[test]
fn those_in_use_displace_what_was() {
    let bed = sized(100 << 10);
    let uses = |from: i64| {
        for _ in 0..6 {
            for n in from..from + 60 {
                bed.put(kib(n));
                bed.get(id(n), s(0));
            }
        }
    };
    uses(0);
    uses(1000);
    uses(2000);
    let kept = (2000..2060)
        .filter(|n| bed.cache.peek(id(*n), s(0)).is_some())
        .count();
    assert!(kept >= 50, "{kept} of 60");
}

/// An object in use is in use also after it was loaded anew, for its age or for a change.
#[test]
fn an_object_that_is_loaded_anew_keeps_its_standing() {
    let bed = sized(20 << 10);
    bed.put(kib(1));
    for _ in 0..3 {
        bed.get(id(1), s(0));
    }
    for n in 100..140 {
        load(&bed, &kib(n), s(0));
    }
    let is_main = || bed.cache.index.entry(id(1)).unwrap().place().0;
    assert!(is_main());
    bed.get(id(1), s(60));
    assert!(is_main(), "expired and loaded");
    bed.tell(change(1, &kib(1).name, ""));
    bed.get(id(1), s(60));
    assert!(is_main(), "changed and loaded");
}

#[test]
fn the_index_gives_memory_back() {
    let bed = sized(10 << 20);
    for n in 0..5000 {
        load(&bed, &kib(n), s(0));
    }
    let full = bed.cache.index.capacity();
    bed.cache.sweep(s(1000), 10_000);
    assert!(bed.cache.index.capacity() < full / 2);
}
