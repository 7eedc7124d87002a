//! Owns the fake workers and targets: the look at the lease, the first byte, what an attempt comes to.
//! It must not know why an attempt is made.

use punctual::core::{Attempt, Input, Outcome, Report};
use punctual::time::WallUs;

use super::plan::SECOND_US;
use super::world::{Event, World};

/// Workers and targets.
impl World {
    pub(crate) fn check(&mut self, node: usize, attempt: Attempt) {
        let now = self.nodes[node].clock.now(self.true_us);
        if !self.nodes[node].in_flight.contains_key(&(attempt.handle, attempt.number)) {
            return;
        }
        if now.mono >= self.nodes[node].lease {
            self.coverage.hit("withheld by a worker");
            let report = report_of(&attempt, Outcome::Withheld, now.wall, false);
            let wait_us = self.rng.within(10..=900);
            return self.after(wait_us, node, Event::Report(report));
        }
        if let Some(for_us) = self.nodes[node].pauses_at_look.take() {
            self.pause(node, for_us);
        }
        let (wait_us, checked_us) = (self.rng.within(1..=200), self.true_us);
        self.after(wait_us, node, Event::Write { attempt, checked_us });
    }

    pub(crate) fn write(&mut self, node: usize, attempt: &Attempt, checked_us: u64) {
        let it = &self.nodes[node];
        let now = it.clock.now(self.true_us);
        let Some(&(by, _)) = it.in_flight.get(&(attempt.handle, attempt.number)) else { return };
        let was_paused = self.true_us > checked_us + 200_000;
        self.coverage.hit_if(was_paused, "pause between look and write");
        // Another incarnation of the same process may trust by now.
        let is_stale = was_paused && (now.mono >= it.lease || it.me != Some(by));
        let fails = self.rng.per_cent(self.plan.fails_per_cent);
        let outcome = match self.rng.within(0..=3) {
            _ if !fails => Outcome::Answered(200),
            0 => Outcome::Answered(503),
            1 => Outcome::TimedOut("no answer".to_owned()),
            _ => Outcome::ConnectionFailed("refused".to_owned()),
        };
        let was_sent = !matches!(outcome, Outcome::ConnectionFailed(_));
        if was_sent {
            self.judge.sent(attempt, by, is_stale, &self.store, &mut self.coverage);
        }
        let slow = self.rng.per_cent(10);
        let wait_us = if slow { self.rng.within(20_000..=3 * SECOND_US) } else { self.rng.within(300..=20_000) };
        let report = report_of(attempt, outcome, now.wall, was_sent);
        self.after(wait_us, node, Event::Report(report));
    }

    pub(crate) fn report(&mut self, node: usize, report: Report) {
        let Some((by, id)) = self.nodes[node].in_flight.remove(&(report.handle, report.attempt)) else { return };
        let has_failed = !matches!(report.outcome, Outcome::Answered(200) | Outcome::Withheld);
        if self.nodes[node].me == Some(by) {
            self.judge.reported(id, by, &report, has_failed);
        }
        self.feed(node, Input::Report(report));
    }
}

fn report_of(attempt: &Attempt, outcome: Outcome, dispatched: WallUs, was_sent: bool) -> Report {
    let (handle, number, duration_us) = (attempt.handle, attempt.number, 1_000);
    Report { handle, attempt: number, outcome, dispatched, duration_us, was_sent, answer: None }
}
