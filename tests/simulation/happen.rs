//! Owns how events and faults take place: the writer's batches, acknowledgements, reports, crash and start.
//! It must not choose which faults there are; the plan does.

use punctual::core::{
    Attempt, CalendarChange, Cause, Input, Kind, Known, LedgerRow, Persist, Report, Scheduler, Trouble,
};
use punctual::limits::ARM_LEAD_US;
use punctual::time::{Now, WallUs};

use super::again::{End, note_ambiguous};
use super::demands::Demands;
use super::plan::{Fault, SECOND_US};
use super::policies::Lap;
use super::world::{Event, World};

/// The wait between two tries of a batch that failed.
const WRITE_RETRY_US: u64 = 250_000;

impl World {
    pub(crate) fn happen(&mut self, event: Event) {
        match event {
            Event::Command => self.command(),
            Event::AskAgain(sent) => self.ask_again(*sent),
            Event::Write => self.begin_batch(),
            Event::Commit => self.end_batch(),
            Event::Gather => self.gather(),
            Event::WriteGathered => self.write_gathered(),
            Event::Committed { through, rejected } => self.hear(through, rejected),
            Event::SayAgain => self.acknowledge(),
            Event::Report(report) => self.report(report),
            Event::Fault(fault) => self.go_wrong(fault),
            Event::Start => self.start(),
        }
    }

    fn command(&mut self) {
        let now = self.clock.now();
        let Some(core) = &self.core else { return };
        self.coverage.hit_if(core.poll_timeout().is_reached(now), "command before tick");
        if self.begin_gathering() {
            return;
        }
        let bounds = self.plan.settings.bounds;
        let is_short = bounds.forecast_jobs_max.min(bounds.forecast_steps_max).min(bounds.forecast_peaks_max) < 3;
        if is_short && self.rng.per_cent(10) {
            self.ask_forecast();
        }
        let calendars = self.calendars();
        let command = self.clients.command(&self.disk, &calendars, &mut self.rng, now.wall);
        self.submit(command);
        // Half of the time another one on the next full second, or just beside it.
        if !self.healed && self.rng.per_cent(30) {
            let beside_us = *self.rng.pick(&[0, 0, 1, 1_000, 300_000]);
            self.after(self.clock.to_next_second_us() + beside_us, Event::Command);
        }
    }

    pub(crate) fn persist(&mut self, number: u64, item: Persist, peak: WallUs) {
        let idle = self.disk.queue.is_empty();
        self.disk.push(number, item, peak);
        if idle {
            self.after(0, Event::Write);
        }
    }

    fn begin_batch(&mut self) {
        if self.disk.batch_len.is_some() || self.disk.queue.is_empty() {
            return;
        }
        let len = self.rng.within(1..=self.plan.batch_len_max).min(self.disk.queue.len() as u64);
        let len = usize::try_from(len).expect("the length of a queue");
        self.disk.batch_len = Some(self.disk.whole(len));
        let commit_us = self.rng.within(self.commit_us / 2..=self.commit_us * 3 / 2);
        self.after(commit_us, Event::Commit);
    }

    fn end_batch(&mut self) {
        // Batches with what few clients ask for are few, and fail more often where any does.
        let is_rare =
            self.plan.batch_fails_per_cent > 0 && self.disk.kinds_under_way().iter().any(|kind| (2..=5).contains(kind));
        let (more, ambiguous) = if is_rare { (25, 75) } else { (0, 45) };
        let fails = !self.healed && (self.disk_full || self.rng.per_cent(self.plan.batch_fails_per_cent + more));
        if fails && (self.disk.is_ambiguous || self.rng.per_cent(ambiguous)) {
            // The commit itself failed: whether the batch is on disk only a crash would tell. It is tried again.
            self.disk.is_ambiguous = true;
            self.coverage.hit("commit ambiguous");
            self.die_in_doubt();
            self.after(WRITE_RETRY_US, Event::Commit);
            return;
        }
        if fails {
            let (_, kept) = self.disk.fail();
            self.coverage.hit("batch failed");
            self.coverage.hit_if(kept > 0, "row retried after a failed batch");
            self.after(WRITE_RETRY_US, Event::Write);
        } else {
            let wall = self.clock.now().wall;
            let late = self.disk.armed_under_way().any(|instant| WallUs::of(instant) <= wall);
            self.coverage.hit_if(late, "due before its row is on disk");
            if self.disk.is_ambiguous {
                note_ambiguous(self.disk.kinds_under_way().into_iter(), End::Written, &mut self.coverage);
            }
            self.disk.commit();
            self.after(0, Event::Write);
        }
        self.acknowledge();
    }

    /// Of what clients ask for it is worth dying before anybody knows whether it is on disk; in runs in which processes die.
    fn die_in_doubt(&mut self) {
        let dies = self.plan.faults.iter().any(|(_, fault)| matches!(fault, Fault::Crash { .. }));
        let is_asked_for = self.disk.kinds_under_way().iter().any(|kind| (1..=5).contains(kind));
        if dies && is_asked_for && self.rng.per_cent(60) {
            let (wait_us, down_us) = (self.rng.within(0..=WRITE_RETRY_US), self.rng.within(0..=5 * SECOND_US));
            self.after(wait_us, Event::Fault(Fault::Crash { down_us }));
        }
    }

    /// Says how far the disk is, in order; though it may come late, twice, or not at all until it is said again.
    fn acknowledge(&mut self) {
        let through = self.disk.through();
        if let Some(by_us) = self.some_step() {
            let wait_us = self.rng.within(0..=600);
            self.after(wait_us, Event::Fault(Fault::ClockStep { by_us }));
        }
        let early = self.rng.per_cent(30);
        let rejected: Vec<u64> =
            self.disk.rejected.iter().copied().filter(|&number| early || number <= through).collect();
        self.coverage.hit_if(rejected.iter().any(|&number| number > through), "acknowledgement early rejection");
        let astray = if self.healed { 0 } else { self.plan.astray_per_cent };
        if self.rng.per_cent(astray) {
            self.coverage.hit("acknowledgement lost");
            self.after(SECOND_US, Event::SayAgain);
            return;
        }
        let mut at_us = self.clock.true_us + self.rng.within(0..=500);
        if self.rng.per_cent(astray) {
            self.coverage.hit("acknowledgement late");
            at_us += self.rng.within(0..=3 * SECOND_US);
        }
        at_us = at_us.max(self.acknowledged_at_us);
        self.acknowledged_at_us = at_us;
        if self.rng.per_cent(astray) {
            self.coverage.hit("acknowledgement twice");
            let again_us = at_us + self.rng.within(1..=SECOND_US);
            self.at(again_us, Event::Committed { through, rejected: rejected.clone() });
        }
        self.at(at_us, Event::Committed { through, rejected });
    }

    pub(crate) fn send(&mut self, attempt: &Attempt, now: Now) {
        let host = attempt.post.url.target().host;
        let target = self.plan.manners.iter().enumerate().find(|(index, _)| *host == format!("t{index}.test"));
        let (_, &manner) = target.expect("jobs name targets there are");
        let manner = if self.healed { super::plan::Manner::Well } else { manner };
        let policies = self.clients.policies_in(&attempt.post);
        let Some((wait_us, report)) = self.pool.take(attempt, policies, manner, now, &mut self.rng) else { return };
        let astray = if self.healed { 0 } else { self.plan.astray_per_cent };
        if self.rng.per_cent(astray) {
            self.coverage.hit("report twice");
            let again_us = wait_us + self.rng.within(0..=4 * SECOND_US);
            self.after(again_us, Event::Report(report.clone()));
        }
        self.after(wait_us, Event::Report(report));
    }

    pub(crate) fn report(&mut self, report: Report) {
        let first = self.pool.reported(&report);
        self.coverage.hit_if(!first, "report stale");
        if first && !report.was_sent {
            self.watch.note_unsent(&report);
        }
        if let Some(row) = self.disk.rows.get(&report.handle.seq) {
            let deleted = self.disk.jobs[&row.key.job].deleted.is_some();
            self.coverage.hit_if(first && deleted, "deleted while in flight");
        }
        if first && !self.watch.draining {
            let is_sure = self
                .disk
                .rows
                .get(&report.handle.seq)
                .is_some_and(|row| !self.watch.is_changing(row.key.job) && !self.clients.is_gathered(row.key.job));
            self.demands.expect(&report, is_sure, &self.disk, &self.clients, &mut self.coverage);
        }
        self.feed(Input::Report(report));
        self.assert_in_flight();
    }

    fn go_wrong(&mut self, fault: Fault) {
        if self.healed {
            return;
        }
        match fault {
            Fault::Crash { down_us } => {
                self.down_us = down_us;
                self.crash_in = Some(self.rng.within(0..=8));
                if self.crash_in == Some(0) {
                    self.crash();
                }
            }
            Fault::Drain { down_us } => {
                self.down_us = down_us;
                self.drain();
            }
            Fault::DiskFull(full) => {
                self.disk_full = full;
                self.tell_trouble(Cause::StoreFailing, full);
                let nearly = self.rng.per_cent(50);
                self.tell_trouble(Cause::DiskNearlyFull, nearly);
            }
            Fault::DiskSlow { commit_us } => self.commit_us = commit_us,
            Fault::ClockStep { by_us } => self.step_clock(by_us),
            Fault::Slew { ppm } => {
                self.clock.slew_ppm = ppm;
                self.watch.clock_went_back |= ppm < 0;
                self.coverage.hit_if(ppm != 0, "clock slewed");
            }
            Fault::Suspend { for_us } => {
                self.coverage.hit("suspended");
                self.clock.suspend(for_us);
            }
            Fault::Stall { for_us } => self.clock.advance_to(self.clock.true_us + for_us),
            Fault::ChangeBurst => self.change_burst(),
        }
    }

    /// The server says how a part of it is.
    pub(crate) fn tell_trouble(&mut self, cause: Cause, is_wrong: bool) {
        if self.core.is_some() {
            self.incidents.trouble(cause, is_wrong);
            self.feed(Input::Trouble(Trouble { cause, why: is_wrong.then(|| "something is wrong".to_owned()) }));
        }
    }

    fn change_burst(&mut self) {
        let Some(id) = self.clients.some_live(&self.disk, &mut self.rng) else { return };
        for _ in 0..*self.rng.pick(&[2, 5, 70]) {
            if self.core.is_none() {
                return;
            }
            let (calendars, wall) = (self.calendars(), self.clock.now().wall);
            let command = self.clients.update(id, &self.disk, &calendars, &mut self.rng, wall);
            self.feed(Input::Command(Box::new(command)));
        }
    }

    /// Tells the core to stop. It is given up to a while, and then killed.
    fn drain(&mut self) {
        if self.core.is_none() || self.watch.draining {
            return;
        }
        self.watch.draining = true;
        self.feed(Input::Drain);
        self.clients.drain_batch(&mut self.coverage);
        let patience_us = *self.rng.pick(&[2_000, 20_000, 500_000, 5 * SECOND_US]);
        if self.plan.steps_per_cent > 0
            && let Some(by_us) = self.some_step().or_else(|| self.some_step())
        {
            let wait_us = self.rng.within(0..=patience_us);
            self.after(wait_us, Event::Fault(Fault::ClockStep { by_us }));
        }
        self.after(patience_us, Event::Fault(Fault::Crash { down_us: self.down_us }));
    }

    /// The process dies: all that was not on disk is gone. The batch under way may have made it.
    pub(crate) fn crash(&mut self) {
        self.crash_in = None;
        let Some(core) = self.core.take() else { return };
        self.coverage.hit("crash");
        if self.watch.draining {
            if core.is_drained() {
                self.assert_drained();
            } else {
                self.coverage.hit("crash while draining");
            }
        }
        if self.disk.batch_len.is_some() {
            let kinds = if self.disk.is_ambiguous { self.disk.kinds_under_way() } else { Vec::new() };
            // A commit that only could not be synced may be there, even where there was no room.
            let may_be_there = !self.disk_full || self.disk.is_ambiguous;
            if self.rng.per_cent(50) && may_be_there {
                self.coverage.hit("batch survived crash");
                self.coverage.hit_if(self.disk.is_ambiguous, "ambiguous commit survived crash");
                note_ambiguous(kinds.into_iter(), End::Survived, &mut self.coverage);
                self.disk.commit();
            } else {
                note_ambiguous(kinds.into_iter(), End::Lost, &mut self.coverage);
                self.coverage.hit("batch lost in crash");
            }
        }
        self.disk.forget_queue();
        self.pool.die();
        self.clients.hang_up(&self.disk);
        self.leave_unanswered();
        self.acknowledged_at_us = 0;
        self.heard_through = 0;
        self.after(self.down_us, Event::Start);
    }

    /// Starts a process from what is on disk.
    pub(crate) fn start(&mut self) {
        if self.core.is_some() {
            return;
        }
        let (jobs, rows, restored) = self.disk.restore();
        self.forget_clocks();
        self.core = Some(Scheduler::new(self.plan.settings));
        self.demands = Demands::default();
        for job in jobs {
            self.feed(Input::RestoreJob(Box::new(job)));
        }
        self.step_while_restoring();
        let now = self.clock.now();
        let is_behind = now.wall < self.peak();
        if is_behind {
            // With the clock behind, rows armed ahead may be in doubt: their instants count as past.
            let ahead = rows.iter().map(|row| WallUs::of(row.key.instant)).max();
            self.watch.peak = self.watch.peak.max(ahead);
        }
        self.watch.start(now);
        let bounds = self.plan.settings.bounds;
        self.demands.start(is_behind, &self.disk, bounds);
        self.incidents.start(&self.disk, now, bounds);
        let clock_is_behind = restored.newest.max(newest_of(&rows)).is_some_and(|newest| newest > now.wall);
        self.coverage.hit_if(clock_is_behind, "clock behind at start");
        // What is to be sent at most once, waited for too long, must not run beside another, or gives way, may be closed
        // before its end is on disk.
        let closes = rows.iter().any(|row| {
            let job = &self.disk.jobs[&row.key.job];
            let policies = self.clients.policies_of(&job.revision);
            let waits = row.record.details.as_ref().is_some_and(|details| details.waits_for.is_some());
            let skips = policies.overlap == Lap::Skip;
            let gives_way = policies.until_next && row.record.attempt > 1;
            policies.at_most_once || skips || gives_way || (waits && policies.lateness_ms.is_some())
        });
        for row in rows {
            let deleted = self.disk.jobs[&row.key.job].deleted.is_some();
            self.coverage.hit_if(deleted, "row of a deleted job at start");
            let waits = row.record.attempt > 1 && row.due > now.wall && row.record.recoveries == 0;
            self.coverage.hit_if(waits, "retry outlived a crash");
            let ahead = clock_is_behind && WallUs::of(row.key.instant) > now.wall;
            self.coverage.hit_if(ahead, "in doubt before its instant");
            if !clock_is_behind
                && self.watch.may_look_unsent(row.due)
                && let Some(id) = self.disk.sent.remove(&row.seq)
            {
                self.watch.forget(id, row.record.attempt);
            }
            self.feed(Input::RestoreRow(Box::new(row), Known::Nothing));
        }
        let calendars = self.disk.calendars.clone();
        for (name, dates) in calendars {
            self.feed(Input::RestoreCalendar(CalendarChange { name, dates: Some(dates) }));
        }
        for setting in self.disk.settings.all() {
            self.feed(Input::RestoreSetting(setting));
        }
        let open = self.disk.incidents.values().filter(|incident| incident.closed.is_none());
        for incident in open.cloned().collect::<Vec<_>>() {
            self.feed(Input::RestoreIncident(Box::new((*incident).clone())));
        }
        self.feed(Input::Acquired(restored));
        self.tell_trouble(Cause::StoreFailing, self.disk_full);
        self.tell_trouble(Cause::DiskNearlyFull, false);
        self.demands.started();
        if !closes {
            self.assert_last();
        }
    }
}

/// The newest time that unfinished rows tell of: a schedule's are armed a lead ahead at most, and what a client asked for was
/// due when it asked.
fn newest_of(rows: &[LedgerRow]) -> Option<WallUs> {
    let told = rows.iter().filter_map(|row| match row.key.kind {
        Kind::Scheduled => Some(WallUs::of(row.key.instant).plus_us(-ARM_LEAD_US)),
        Kind::Manual | Kind::Replay | Kind::Backfill => {
            (row.record.attempt == 1 + row.record.recoveries).then_some(row.due)
        }
    });
    told.max()
}
