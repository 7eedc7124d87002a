//! Owns the end of a run: all faults heal, everything settles, the oracle judges, and a last drain.
//! It must not hurry the core: only time passes.

use std::collections::BTreeMap;
use std::sync::Arc;

use punctual::core::{Cause, Input, Kind};
use punctual::job::Revision;
use punctual::time::{Instant, WallUs};

use super::bounds;
use super::oracle;
use super::plan::{Profile, SECOND_US};
use super::world::{Event, World};

/// How long what is written at the moment of a look may take to be on disk.
const WRITTEN_MAX_US: u64 = 100_000;
/// After how long a turn comes that goes on with what another one has begun, at most.
const TURN_AFTER_MAX_US: u64 = 150_000;
/// How long everything may take to settle once the wall clock has passed what it ever showed.
const SETTLE_MAX_US: u64 = 4 * 3600 * SECOND_US;

impl World {
    pub(crate) fn finish(&mut self) {
        self.heal();
        let through = self.settle();
        self.clients.assert_disk(&self.disk);
        oracle::judge(&self.disk, &self.clients, &self.plan, through, &mut self.coverage);
        self.clients.runs.judge(&self.disk, through);
        self.assert_counters();
        self.let_be_told();
        if let Some(core) = &self.core {
            self.incidents.judge(core, &self.disk, self.clock.now(), &mut self.coverage);
        }
        self.drain_at_last();
    }

    fn heal(&mut self) {
        self.healed = true;
        self.crash_in = None;
        self.commit_us = 2_000;
        self.plan.batch_len_max = 100_000;
        self.clock.slew_ppm = 0;
        if self.watch.draining {
            self.down_us = 0;
            self.crash();
        }
        self.start();
        self.tell_trouble(Cause::StoreFailing, false);
        // Whoever gathers changes does not do so for ever.
        self.write_gathered();
        for report in self.pool.heal() {
            self.after(1_000, Event::Report(report));
        }
    }

    /// Lets time pass until every instant up to a moment after the faults is settled; that moment.
    fn settle(&mut self) -> Instant {
        let through = self.peak().floor();
        // Jobs of an overloaded target are looked at again after a pause.
        let may_stall = bounds::may_wait(&self.plan.settings.bounds) || self.plan.profile == Profile::Overload;
        let margin_us = if may_stall { 12_000_000 } else { 2_000_000 };
        let limit_us = self.clock.true_us + SETTLE_MAX_US + behind_us(self.clock.now().wall, self.peak());
        loop {
            // A quarter after a full second: firing is over, and arming has not begun. The writer wakes us.
            let look_us = self.clock.true_us + self.clock.to_next_second_us() + 250_000;
            self.at(look_us, Event::Write);
            while self.clock.true_us < look_us {
                self.turn();
            }
            // Reminders may have come to be due at the same moment of every second.
            if self.unwritten() > 0 {
                let look_us = look_us + WRITTEN_MAX_US;
                self.at(look_us, Event::Write);
                while self.clock.true_us < look_us {
                    self.turn();
                }
            }
            let passed = self.clock.now().wall > WallUs::of(through).plus_us(margin_us);
            let settled =
                self.unwritten() == 0 && oracle::unsettled(&self.disk, through).is_none() && self.has_settled(through);
            if passed && settled && self.clients.open() == 0 {
                return through;
            }
            assert!(self.clock.true_us < limit_us, "not settled: {:?}", self.stuck(through));
        }
    }

    fn unwritten(&self) -> usize {
        self.core.as_ref().map_or(usize::MAX, |core| core.load(self.clock.now().wall).unwritten)
    }

    /// What changed who is to know of incidents is considered a few jobs at a time, right one after the other.
    fn let_be_told(&mut self) {
        for _ in 0..2_000 {
            let Some(core) = &self.core else { return };
            let soon = self.clock.now().mono.plus_us(TURN_AFTER_MAX_US);
            if core.load(self.clock.now().wall).unwritten == 0 && core.poll_timeout().mono.is_none_or(|due| due > soon)
            {
                return;
            }
            self.turn();
        }
    }

    /// Whether no job has an instant up to this one that is not armed: where few may be armed, some wait for others.
    fn has_settled(&self, through: Instant) -> bool {
        let Some(core) = &self.core else { return false };
        let views = core.jobs_after(None, usize::MAX, self.clock.now().wall);
        views.iter().all(|view| view.next.is_none_or(|next| next > through))
    }

    fn stuck(&self, through: Instant) -> String {
        let row = oracle::unsettled(&self.disk, through).map(|seq| &self.disk.rows[&seq]);
        let load = self.core.as_ref().map(|core| core.load(self.clock.now().wall));
        format!("{row:?}, {} commands open, {load:?}", self.clients.open())
    }

    /// The counters clients see are what the rows add up to, once nothing is under way.
    fn assert_counters(&mut self) {
        let limit_us = self.clock.true_us + 600 * SECOND_US;
        loop {
            let core = self.core.as_ref().expect("all is healed");
            let wall = self.clock.now().wall;
            if core.load(wall).unwritten == 0 {
                break;
            }
            assert!(self.clock.true_us < limit_us, "the disk never has everything");
            self.turn();
        }
        let core = self.core.as_ref().expect("all is healed");
        let wall = self.clock.now().wall;
        let counters = self.disk.counters();
        let mut seen = 0;
        for view in core.jobs_after(None, usize::MAX, wall) {
            let (id, ours) = (view.revision.id, &view.revision);
            let job = self.disk.live(id).expect("a job that is seen is on disk");
            assert_eq!(job.revision.number, ours.number, "another revision is in force than is on disk");
            assert!(job.revision.spec.has_schedule_of(&ours.spec), "another schedule than on disk");
            assert_eq!(counters[&id.key()], view.tally.counters, "counters differ from the rows of {id}");
            assert!(!view.held, "the clock has passed everything");
            let runs_left = self.clients.policies_of(ours).max_runs.map(|most| {
                let pending =
                    self.disk.pending().filter(|row| row.key.job == id.key() && row.key.kind == Kind::Scheduled);
                let pending = pending.count() as u64;
                most.saturating_sub(view.tally.counters.runs + pending)
            });
            match runs_left {
                None if self.clients.ends(ours) => {}
                None => assert_eq!(view.next.is_some(), ours.spec.active, "an active job fires again"),
                Some(left) => assert!(
                    left == 0 || self.clients.ends(ours) || view.next.is_some() == ours.spec.active,
                    "a run is left of {id}"
                ),
            }
            let may_wait = bounds::may_wait(&self.plan.settings.bounds);
            assert!(may_wait || view.next.is_none_or(|next| next > wall.floor()), "the next instant lies ahead");
            self.assert_next(ours, view.next, wall);
            seen += 1;
        }
        let calendars = core.calendars().iter().map(|(name, dates)| (name.into(), Arc::clone(dates)));
        assert_eq!(calendars.collect::<BTreeMap<_, _>>(), self.disk.calendars, "other calendars than on disk");
        self.disk.settings.assert_in_force(core.settings());
        let live = self.disk.jobs.values().filter(|job| job.deleted.is_none()).count();
        assert_eq!(seen, live, "jobs on disk are not seen");
        self.assert_last();
    }

    /// What a job says it does next is what it is due for next, as its calendars are by now.
    fn assert_next(&self, revision: &Revision, next: Option<Instant>, wall: WallUs) {
        const LOOK_S: i64 = 20_000;
        let Some(next) = next.map(Instant::as_secs) else { return };
        let is_due = |second: i64| self.clients.is_due_now(revision, second, &self.disk);
        // A calendar's change does not count for what was armed before it.
        let was_due = || next <= wall.floor().as_secs() + 2 && self.clients.is_due(revision, next, &self.disk).1;
        assert!(is_due(next) || was_due(), "the next instant {next} is none of {:?}", revision.spec.schedule);
        // A pause may end only later.
        let now = wall.floor().max(revision.since).as_secs();
        let before = (now + 1..next.min(now + LOOK_S)).find(|&second| is_due(second));
        assert_eq!(before, None, "an instant before {next} is passed over: {:?}", revision.spec.schedule);
    }

    /// How each job ended last is what its rows say, whatever was in memory when.
    pub(crate) fn assert_last(&self) {
        let Some(core) = &self.core else { return };
        let last = self.disk.last();
        for view in core.jobs_after(None, usize::MAX, self.clock.now().wall) {
            let id = view.revision.id;
            let (ours, theirs) = (view.tally.last, last.get(&id.key()));
            let same = ours.map_or(theirs.is_none(), |ours| theirs.is_some_and(|theirs| theirs.contains(&ours)));
            // A start may have ended one itself, and asked for that to be written.
            let mut pending = self.disk.pending().filter(|row| row.key.job == id.key());
            let is_asked = ours.is_some_and(|ours| pending.any(|row| row.key.instant == ours.instant));
            assert!(same || is_asked, "the last outcome differs from the rows of {id}: {ours:?}, {theirs:?}");
        }
    }

    fn drain_at_last(&mut self) {
        self.watch.draining = true;
        self.feed(Input::Drain);
        let limit_us = self.clock.true_us + 600 * SECOND_US;
        while !self.core.as_ref().is_some_and(punctual::core::Scheduler::is_drained) {
            self.turn();
            assert!(self.clock.true_us < limit_us, "a drain comes to an end");
        }
        self.assert_drained();
    }

    /// What a drain leaves: nothing under way, no row for an instant that is still to come, and none that the next start
    /// would take for sent although it is known that it was not, where that decides whether it is sent at all.
    pub(crate) fn assert_drained(&mut self) {
        self.coverage.hit("drained");
        assert_eq!(self.pool.len(), 0, "drained with attempts in flight");
        assert!(self.disk.queue.is_empty(), "drained with items on the way to the disk");
        let peak = self.peak();
        let ahead = self.disk.pending().find(|row| WallUs::of(row.key.instant) > peak);
        assert!(ahead.is_none(), "an armed row was left behind: {ahead:?}");
        let looks_sent = self.disk.pending().find(|row| {
            let job = &self.disk.jobs[&row.key.job];
            let at_most_once = job.deleted.is_none() && self.clients.policies_of(&job.revision).at_most_once;
            let waits = row.record.details.as_ref().is_some_and(|details| details.waits_for.is_some());
            let never_sent = row.record.attempt == 1 && !self.disk.sent.contains_key(&row.seq);
            at_most_once && never_sent && !waits
        });
        assert!(looks_sent.is_none(), "a drain leaves what was not sent, and does not say so: {looks_sent:?}");
    }
}

fn behind_us(wall: WallUs, peak: WallUs) -> u64 {
    u64::try_from(peak.since_us(wall)).unwrap_or(0)
}
