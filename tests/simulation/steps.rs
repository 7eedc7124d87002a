//! Owns where the wall clock steps: at the moments at which something has just been decided by it.
//! It must not know what follows from a step.

use punctual::limits::CLOCK_STEP_MIN_US;

use super::plan::{Profile, SECOND_US};
use super::world::World;

/// What was under way when the clock stepped: forwards, and back.
#[derive(Clone, Copy)]
enum Amid {
    Down,
    Arming,
    Draining,
    Restoring,
    Report,
}

const NAMES: [[&str; 2]; 5] = [
    ["clock forward while down", "clock back while down"],
    ["clock forward while arming", "clock back while arming"],
    ["clock forward while draining", "clock back while draining"],
    ["clock forward while restoring", "clock back while restoring"],
    ["clock forward between a commit and its report", "clock back between a commit and its report"],
];

/// What a sweep must have seen.
pub(crate) fn required() -> Vec<&'static str> {
    NAMES.concat().into_iter().chain(["clock step too small to be told"]).collect()
}

impl World {
    /// Somebody sets the wall clock.
    pub(crate) fn step_clock(&mut self, by_us: i64) {
        let mut note = |amid: Amid| self.coverage.hit(NAMES[amid as usize][usize::from(by_us < 0)]);
        match &self.core {
            None => note(Amid::Down),
            Some(core) => {
                let load = core.load(self.clock.now().wall);
                if self.watch.draining {
                    note(Amid::Draining);
                }
                if self.disk.has_unwritten_rows() || load.arming_stalled > 0 {
                    note(Amid::Arming);
                }
                if self.disk.through() > self.heard_through {
                    note(Amid::Report);
                }
            }
        }
        let is_told = by_us.abs() > CLOCK_STEP_MIN_US;
        self.coverage.hit_if(!is_told && self.core.is_some(), "clock step too small to be told");
        self.clock.step(by_us);
        self.watch.clock_went_back |= by_us < 0;
    }

    /// At a moment that matters, in some runs, now and then.
    pub(crate) fn some_step(&mut self) -> Option<i64> {
        if self.healed || self.plan.steps_per_cent == 0 || !self.rng.per_cent(self.plan.steps_per_cent) {
            return None;
        }
        let unit_us = if self.plan.profile == Profile::Sparse { 900 * SECOND_US } else { SECOND_US };
        let most_us = *self.rng.pick(&[400_000, 2 * SECOND_US, 8 * unit_us]);
        let by_us = i64::try_from(self.rng.within(60_000..=most_us)).expect("short");
        Some(if self.rng.per_cent(50) { by_us } else { -by_us })
    }

    /// The clock may step while what is on disk is being read.
    pub(crate) fn step_while_restoring(&mut self) {
        if let Some(by_us) = self.some_step() {
            self.coverage.hit(NAMES[Amid::Restoring as usize][usize::from(by_us < 0)]);
            self.clock.step(by_us);
            self.watch.clock_went_back |= by_us < 0;
        }
    }
}
