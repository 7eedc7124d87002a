//! Owns virtual time: true time, and the wall and monotonic clocks the core is told, which may err from it.
//! It must not move by itself.

use punctual::time::{Deadline, MonoUs, Now, US_PER_SECOND, WallUs};

const MILLION: i64 = 1_000_000;

pub(crate) struct Clock {
    /// Microseconds that really passed; the agenda is kept in it.
    pub(crate) true_us: u64,
    mono_us: u64,
    wall_us: i64,
    /// How much faster than true time the wall clock runs, in parts per million.
    pub(crate) slew_ppm: i64,
    slew_rest: i64,
}

impl Clock {
    pub(crate) fn new(wall_us: i64) -> Clock {
        Clock { true_us: 0, mono_us: 77_000_000, wall_us, slew_ppm: 0, slew_rest: 0 }
    }

    pub(crate) fn now(&self) -> Now {
        Now { wall: WallUs(self.wall_us), mono: MonoUs(self.mono_us) }
    }

    /// Lets time pass up to a moment of true time.
    pub(crate) fn advance_to(&mut self, true_us: u64) {
        let passed_us = true_us.saturating_sub(self.true_us);
        self.true_us += passed_us;
        self.mono_us += passed_us;
        let passed_us = signed(passed_us);
        let slewed = passed_us * self.slew_ppm + self.slew_rest;
        self.slew_rest = slewed % MILLION;
        self.wall_us += passed_us + slewed / MILLION;
    }

    /// The machine sleeps: true and wall time pass, monotonic time stands still.
    pub(crate) fn suspend(&mut self, for_us: u64) {
        self.true_us += for_us;
        self.wall_us += signed(for_us);
    }

    /// Somebody sets the wall clock.
    pub(crate) fn step(&mut self, by_us: i64) {
        self.wall_us += by_us;
    }

    /// The moment of true time at which a deadline will be reached, if the clocks go on as they go.
    pub(crate) fn when(&self, deadline: Deadline) -> Option<u64> {
        let wall = deadline.wall.map(|at| {
            let wait_us = u64::try_from(at.0 - self.wall_us).unwrap_or(0);
            let pace = u64::try_from(MILLION + self.slew_ppm).expect("a slew does not turn the clock back");
            let rest_us = u64::from(self.slew_ppm != 0 && wait_us > 0);
            self.true_us
                + u64::try_from(u128::from(wait_us) * 1_000_000 / u128::from(pace)).unwrap_or(u64::MAX / 2)
                + rest_us
        });
        let mono = deadline.mono.map(|at| self.true_us + at.0.saturating_sub(self.mono_us));
        [wall, mono].into_iter().flatten().min()
    }

    /// Microseconds of true time until the wall clock shows a whole second.
    pub(crate) fn to_next_second_us(&self) -> u64 {
        (US_PER_SECOND - self.wall_us.rem_euclid(US_PER_SECOND)).unsigned_abs()
    }
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).expect("a simulation does not last for ages")
}
