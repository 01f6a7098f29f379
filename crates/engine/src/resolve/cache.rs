//! Plans that are still true, by destination.
//!
//! # Contract
//! * **Nothing is answered past its time.**
//!
//! # Limits
//! [`PLANS_MAX`] plans; at the bound those past their time go, then any half of the others: what goes is
//! asked of DNS again.

use std::collections::HashMap;

use remuda_clock::Monotonic;
use remuda_dispatch::event::{Resolution, Unresolved};
use remuda_mail::Destination;

type Known = Result<Resolution, Unresolved>;

/// What was resolved lately.
#[derive(Default)]
pub(super) struct Cache {
    plans: HashMap<Destination, Known>,
}

impl Cache {
    pub(super) fn get(&self, destination: &Destination, now: Monotonic) -> Option<Known> {
        self.plans
            .get(destination)
            .filter(|known| now < valid_until(known))
            .cloned()
    }

    pub(super) fn insert(&mut self, destination: Destination, known: Known, now: Monotonic) {
        if self.plans.len() >= PLANS_MAX {
            self.plans.retain(|_, known| now < valid_until(known));
        }
        if self.plans.len() >= PLANS_MAX {
            let mut keep = false;
            self.plans.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        self.plans.insert(destination, known);
    }
}

fn valid_until(known: &Known) -> Monotonic {
    match known {
        Ok(resolution) => resolution.valid_until,
        Err(unresolved) => unresolved.valid_until,
    }
}

/// Plans kept; some hundred octets each.
pub(super) const PLANS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use remuda_mail::{EnhancedStatus, Refusal};

    use super::*;

    fn known(until: u64) -> Known {
        Err(Unresolved {
            refusal: Refusal::ours(EnhancedStatus::new(4, 4, 3), "x"),
            valid_until: Monotonic::ZERO + Duration::from_secs(until),
        })
    }

    #[test]
    fn nothing_is_answered_past_its_time() {
        let mut cache = Cache::default();
        let destination = Destination::from_key("a.test");
        cache.insert(destination.clone(), known(5), Monotonic::ZERO);
        assert!(cache.get(&destination, Monotonic::ZERO).is_some());
        let later = Monotonic::ZERO + Duration::from_secs(5);
        assert!(cache.get(&destination, later).is_none());
    }

    #[test]
    fn a_full_cache_lets_old_plans_go_and_then_others() {
        let mut cache = Cache::default();
        for n in 0..PLANS_MAX {
            let until = if n < 10 { 1 } else { 100 };
            cache.insert(
                Destination::from_key(&n.to_string()),
                known(until),
                Monotonic::ZERO,
            );
        }
        let later = Monotonic::ZERO + Duration::from_secs(2);
        cache.insert(Destination::from_key("new"), known(100), later);
        assert_eq!(cache.plans.len(), PLANS_MAX - 9);
        for n in 0..10 {
            cache.insert(Destination::from_key(&format!("more {n}")), known(100), later);
        }
        assert!(cache.plans.len() <= PLANS_MAX / 2 + 2);
        assert!(cache.get(&Destination::from_key("more 9"), later).is_some());
    }
}
