//! Crash tests: what was answered is on disk, whatever happens.
//!
//! A worker (this test binary again) stores and settles messages under load and says what was answered.
//! Then it is killed, or its disk fails, or (`replay`) the disk calls that a preloaded recorder wrote down
//! are played back up to every point, with what was not synced dropped, torn and reordered.
//!
//! `REMUDA_SOAK=1` runs every crash point and many more kills.
#![allow(clippy::unwrap_used)]

mod faults;
mod kill;
mod ledger;
mod recorder;
mod replay;
mod trace;
mod worker;

/// A number that is small in the test suite and large in a soak.
fn soak(test: usize, soak: usize) -> usize {
    if std::env::var_os("REMUDA_SOAK").is_some() {
        soak
    } else {
        test
    }
}

/// A small seeded generator (splitmix64), so that a failure names its seed and replays.
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}
