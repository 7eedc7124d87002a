//! Owns what a node believes of time: a wall clock near that of the others, and a monotonic one with a pace of its own.
//! It must not move by itself.

use punctual::time::{Deadline, MonoUs, Now, WallUs};

use super::super::rng::Rng;

/// True time begins here.
pub(crate) const BASE_US: i64 = 1_767_225_600_000_000;
/// How far a wall clock is from true time at most.
const SKEW_US: i64 = 200_000;
const MILLION: i64 = 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    offset_us: i64,
    mono_base_us: i64,
    /// How much faster than true time the monotonic clock runs, in parts per million.
    pace_ppm: i64,
}

impl Clock {
    pub(crate) fn new(rng: &mut Rng) -> Clock {
        let (offset_us, pace_ppm) = (rng.signed(-SKEW_US..=SKEW_US), rng.signed(-500..=500));
        Clock { offset_us, mono_base_us: rng.signed(1..=1_000) * MILLION, pace_ppm }
    }

    pub(crate) fn now(&self, true_us: u64) -> Now {
        let passed = i64::try_from(true_us).expect("short");
        let mono = self.mono_base_us + passed + passed * self.pace_ppm / MILLION;
        Now { wall: WallUs(BASE_US + passed + self.offset_us), mono: MonoUs(mono.unsigned_abs()) }
    }

    /// Somebody sets the wall clock.
    pub(crate) fn step(&mut self, rng: &mut Rng) {
        self.offset_us = rng.signed(-SKEW_US..=SKEW_US);
    }

    /// How far the wall clock is from true time.
    pub(crate) fn offset_us(&self) -> i64 {
        self.offset_us
    }

    /// The moment of true time at which a deadline will be reached.
    pub(crate) fn when(&self, deadline: Deadline) -> Option<u64> {
        let wall = deadline.wall.map(|at| u64::try_from(at.0 - BASE_US - self.offset_us).unwrap_or(0));
        let mono = deadline.mono.map(|at| {
            let wait = i128::from(at.0) - i128::from(self.mono_base_us);
            let true_us = wait * i128::from(MILLION) / i128::from(MILLION + self.pace_ppm);
            u64::try_from(true_us.max(0)).unwrap_or(u64::MAX / 2) + 2
        });
        [wall, mono].into_iter().flatten().min()
    }
}
