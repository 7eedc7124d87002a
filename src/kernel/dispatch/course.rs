//! Owns where the time of an attempt goes: its name, its connection, TLS, the first byte of its answer.
//! It must not read a clock.

use crate::core::Timings;
use crate::time::MonoUs;

/// The phases of an attempt so far. One that finds a resting connection and is answered at once has none.
#[derive(Debug)]
pub(super) struct Course {
    timings: Timings,
    phase: Phase,
    since: MonoUs,
}

/// What takes time at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing that is counted.
    Other,
    /// Connecting.
    Connect,
    /// The TLS handshake.
    Tls,
    /// Waiting for the first byte of the answer.
    FirstByte,
}

impl Course {
    /// One that is in this phase.
    pub(super) fn new(phase: Phase, since: MonoUs) -> Course {
        Course { timings: Timings::default(), phase, since }
    }

    /// A name was waited for.
    pub(super) fn note_name(&mut self, us: u64) {
        self.timings.name_us = short(us);
    }

    /// Another phase begins, and with it the one before ends.
    pub(super) fn enter(&mut self, phase: Phase, now: MonoUs) {
        let us = short(now.0.saturating_sub(self.since.0));
        let timings = &mut self.timings;
        let sum = match self.phase {
            Phase::Other => None,
            Phase::Connect => Some(&mut timings.connect_us),
            Phase::Tls => Some(&mut timings.tls_us),
            Phase::FirstByte => Some(&mut timings.first_byte_us),
        };
        if let Some(sum) = sum {
            *sum = sum.saturating_add(us);
        }
        (self.phase, self.since) = (phase, now);
    }

    /// The first byte of the answer came, if it had not come before.
    pub(super) fn hear(&mut self, now: MonoUs) {
        if self.phase == Phase::FirstByte {
            self.enter(Phase::Other, now);
        }
    }

    /// Where the time went. A phase that was under way at the end counts until then.
    pub(super) fn end(mut self, now: MonoUs) -> Timings {
        self.enter(Phase::Other, now);
        self.timings
    }
}

fn short(us: u64) -> u32 {
    u32::try_from(us).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_gets_its_own_time() {
        let mut course = Course::new(Phase::Connect, MonoUs(10));
        course.note_name(5);
        course.enter(Phase::Tls, MonoUs(30));
        course.enter(Phase::FirstByte, MonoUs(100));
        course.hear(MonoUs(150));
        course.hear(MonoUs(170));
        let timings = Timings { name_us: 5, connect_us: 20, tls_us: 70, first_byte_us: 50 };
        assert_eq!(course.end(MonoUs(900)), timings);
        // One that ends in the middle, and on a second connection, counts both.
        let mut course = Course::new(Phase::FirstByte, MonoUs(0));
        course.enter(Phase::Other, MonoUs(1));
        course.enter(Phase::Connect, MonoUs(100));
        assert_eq!(course.end(MonoUs(103)), Timings { connect_us: 3, first_byte_us: 1, ..Timings::default() });
    }
}
