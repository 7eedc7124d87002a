//! Owns which bounds of the core a seed makes small, and the judgement that none of them is passed.
//! It must not look at why a bound is reached; it notes that it was.

use std::collections::HashMap;
use std::time::Duration;

use punctual::core::{
    Attempt, Bounds, Class, Event, Forecast, Kind, LedgerRow, Output, Persist, Ranking, Scheduler, Seq, Status,
};
use punctual::job::JobKey;
use punctual::time::Now;

use super::coverage::Coverage;
use super::plan::Profile;
use super::rng::Rng;
use super::world::World;

/// Every bound, as a seed makes it small: down to the least with which anything goes on at all.
const SMALL: [fn(&mut Bounds, &mut Rng); 33] = [
    |bounds, rng| bounds.unwritten_max = some(rng, &[1, 2, 5]),
    |bounds, rng| bounds.executions_max = some(rng, &[1, 2, 4, 8]),
    |bounds, rng| bounds.arm_steps_per_turn = *rng.pick(&[2, 3, 20]),
    |bounds, rng| bounds.missed_count_max = *rng.pick(&[1, 2, 10]),
    |bounds, rng| bounds.misfire_all_max = *rng.pick(&[1, 2, 5]),
    |bounds, rng| bounds.changes_pending_max = some(rng, &[1, 2]),
    |bounds, rng| bounds.changes_per_job_max = some(rng, &[1, 2]),
    |bounds, rng| bounds.asked_per_job_max = some(rng, &[1, 2]),
    |bounds, rng| bounds.backfill_max = some(rng, &[1, 2, 5]),
    |bounds, rng| bounds.run_waiters_max = some(rng, &[0, 1]),
    |bounds, rng| bounds.target_backlog_max = some(rng, &[1, 2, 5]),
    |bounds, rng| bounds.stalled_at_once = *rng.pick(&[1, 2]),
    |bounds, rng| bounds.failing_after = *rng.pick(&[1, 2]),
    |bounds, rng| bounds.target_share_per_cent = *rng.pick(&[2, 20]),
    |bounds, rng| bounds.failing_target_share_per_cent = *rng.pick(&[0, 2]),
    |bounds, rng| bounds.failing_share_per_cent = *rng.pick(&[0, 10]),
    |bounds, rng| bounds.reserve_per_cent = *rng.pick(&[1, 45]),
    |bounds, _| bounds.few_per_cent = 0,
    |bounds, rng| bounds.recovery_share_per_cent = *rng.pick(&[0, 5]),
    |bounds, rng| bounds.retry_after_max = Duration::from_secs(*rng.pick(&[0, 1, 3])),
    |bounds, rng| bounds.attempts_told_max = some(rng, &[1, 2]),
    |bounds, rng| bounds.error_len_max = some(rng, &[1, 8, 30]),
    |bounds, rng| bounds.calendars_max = some(rng, &[0, 1]),
    |bounds, rng| bounds.channels_max = some(rng, &[0, 1, 2]),
    |bounds, rng| bounds.mail_channels_max = some(rng, &[0, 1]),
    |bounds, rng| bounds.silences_max = some(rng, &[0, 1]),
    |bounds, rng| bounds.tag_policies_max = some(rng, &[0, 1]),
    |bounds, rng| bounds.incidents_open_max = some(rng, &[0, 1, 2]),
    |bounds, rng| bounds.incidents_per_turn = some(rng, &[1, 2]),
    |bounds, rng| bounds.reconsidered_per_turn = some(rng, &[1, 2]),
    |bounds, rng| bounds.forecast_jobs_max = some(rng, &[1, 2]),
    |bounds, rng| bounds.forecast_steps_max = some(rng, &[1, 100]),
    |bounds, rng| bounds.forecast_peaks_max = some(rng, &[0, 1]),
];

fn some(rng: &mut Rng, choices: &[usize]) -> usize {
    *rng.pick(choices)
}

/// The bounds of a seed: some seeds have none that is small, some have one, some have many.
pub(crate) fn of_seed(seed: u64) -> Bounds {
    let mut rng = Rng::new(seed ^ 0x626f_756e_6473);
    let mut bounds = Bounds::default();
    match rng.within(0..=9) {
        0..=2 => {}
        3..=6 => rng.pick(&SMALL)(&mut bounds, &mut rng),
        _ => {
            for shrink in SMALL {
                if rng.per_cent(35) {
                    shrink(&mut bounds, &mut rng);
                }
            }
        }
    }
    // Drawn by itself, so that seeds from before it was there have the others as they had.
    let mut rng = Rng::new(seed ^ 0x0064_7565);
    if rng.per_cent(30) {
        bounds.due_per_tick = some(&mut rng, &[1, 2, 5]);
    }
    together(bounds)
}

/// A bound that must not be above another one is shrunk with it.
fn together(mut bounds: Bounds) -> Bounds {
    bounds.missed_count_max = bounds.missed_count_max.min(bounds.arm_steps_per_turn - 1);
    bounds.misfire_all_max = bounds.misfire_all_max.min(bounds.missed_count_max);
    bounds.backfill_max = bounds.backfill_max.min(bounds.asked_per_job_max);
    bounds.reserve_per_cent = bounds.reserve_per_cent.min(bounds.target_share_per_cent - 1);
    bounds.few_per_cent = bounds.few_per_cent.min(bounds.reserve_per_cent - 1);
    let failing = bounds.failing_target_share_per_cent;
    bounds.failing_target_share_per_cent = failing.min(bounds.failing_share_per_cent).min(bounds.target_share_per_cent);
    bounds.mail_channels_max = bounds.mail_channels_max.min(bounds.channels_max);
    bounds
}

/// Whether there is so little room that a job which is due may have to wait to be armed, although all is well.
pub(crate) fn may_wait(bounds: &Bounds) -> bool {
    let Bounds { unwritten_max, executions_max, target_backlog_max, arm_steps_per_turn, .. } = *bounds;
    unwritten_max.min(executions_max).min(target_backlog_max).min(arm_steps_per_turn as usize) < 100
}

/// What a sweep must have seen: each bound, where it decided something.
pub(crate) const REQUIRED: &[&str] = &[
    "arming waits for the disk",
    "arming waits for executions to end",
    "too many executions",
    "turn spent on arming",
    "more due than one tick takes up",
    "gap counted beyond its bound",
    "misfire all over its bound",
    "too many changes",
    "too many changes of a job",
    "too many executions of a job",
    "backfill of too much",
    "too many clients wait for an end",
    "target overloaded",
    "overload told",
    "stalled jobs have to wait although nothing else does",
    "target failing",
    "a target holds its share",
    "a failing target holds its share",
    "failing targets hold their share",
    "the reserve is kept",
    "a target holds more than few",
    "recovery holds its share",
    "asked to wait for too long",
    "attempts are left out",
    "an error is cut",
    "too many calendars",
    "too many channels",
    "too many channels of e-mail",
    "too many silences",
    "too many policies of tags",
    "incident passed over",
    "turn spent on telling",
    "turn spent on policies",
    "forecast of some jobs",
    "forecast broken off",
    "forecast names no more seconds",
];

/// Who holds how much of what may be in flight.
#[derive(Default)]
pub(crate) struct Held {
    of_target: HashMap<String, u32>,
    failing: u32,
    recovery: u32,
    all: u32,
}

impl Held {
    /// Notes an attempt in flight: of which target, and whether that counts as failing.
    pub(crate) fn add(&mut self, target: &str, is_failing: bool, is_recovery: bool) {
        *self.of_target.entry(target.to_owned()).or_default() += 1;
        self.failing += u32::from(is_failing);
        self.recovery += u32::from(is_recovery);
        self.all += 1;
    }
}

/// How much there is while a tick is told: of every job that is armed it is looked whether there was room.
pub(crate) struct Room {
    unwritten: usize,
    executions: usize,
    /// The newest row there was.
    newest: Option<Seq>,
    /// The job that was armed last.
    job: Option<JobKey>,
}

/// The newest of the rows that are to be written.
pub(crate) fn newest_of(item: &Persist) -> Option<Seq> {
    match item {
        Persist::Row(row, _) => Some(row.seq),
        Persist::Change(change) => change.rows.iter().map(|row| row.seq).max(),
        Persist::Runs(rows) => rows.iter().map(|row| row.seq).max(),
        Persist::Remove(_) | Persist::Calendar(_) | Persist::Setting(_) | Persist::Incident(_) => None,
        Persist::Release { .. } | Persist::HandOver(_) => None,
    }
}

impl Room {
    pub(crate) fn of(core: &Scheduler, newest: Option<Seq>, now: Now) -> Room {
        let load = core.load(now.wall);
        Room { unwritten: load.unwritten, executions: load.executions, newest, job: None }
    }

    /// Promise: no job is armed where there is no room.
    pub(crate) fn judge(&mut self, output: &Output, bounds: &Bounds) {
        let Output::Persist(_, item) = output else { return };
        if let Persist::Row(row, _) = item {
            // What a job missed comes before what it is armed for.
            let is_first = self.job.replace(row.key.job) != Some(row.key.job);
            let is_armed =
                Some(row.seq) > self.newest && row.record.status == Status::Pending && row.record.details.is_none();
            if is_armed && row.record.class == Class::OnTime && is_first {
                assert!(self.unwritten < bounds.unwritten_max, "armed behind {} items: {row:?}", self.unwritten);
                assert!(self.executions < bounds.executions_max, "armed beside {}: {row:?}", self.executions);
            }
            let is_missed = row.record.class == Class::CatchUp;
            self.executions += usize::from(is_armed && (is_missed || row.record.class == Class::OnTime));
        }
        self.unwritten += 1;
    }
}

/// Whether an attempt goes behind what is due.
pub(crate) fn is_recovery(attempt: &Attempt) -> bool {
    matches!(attempt.class, Class::Recovered | Class::CatchUp) || attempt.id.kind == Kind::Backfill
}

fn share(all: u32, per_cent: u32) -> u32 {
    (all * per_cent / 100).max(1)
}

impl World {
    /// Promise: an attempt leaves only if nobody holds more than its share of what may be in flight.
    pub(crate) fn judge_shares(&mut self, attempt: &Attempt) {
        let (bounds, all) = (self.plan.settings.bounds, self.plan.settings.in_flight_max);
        let failing = self.failing_targets();
        let mut held = Held::default();
        for (target, is_recovery) in self.pool.holders() {
            let name = target.to_string();
            held.add(&name, failing.contains(&name), is_recovery);
        }
        let name = attempt.post.url.target().to_string();
        let of_target = held.of_target.get(&name).copied().unwrap_or(0);
        let few = share(all, bounds.few_per_cent);
        let most = share(all, bounds.target_share_per_cent);
        assert!(of_target < most, "{name} holds {of_target} in flight already, its share is {most}");
        self.coverage.hit_if(of_target + 1 == most && most < all, "a target holds its share");
        self.coverage.hit_if(of_target >= few, "a target holds more than few");
        if failing.contains(&name) {
            let of_one = share(all, bounds.failing_target_share_per_cent);
            let of_all = share(all, bounds.failing_share_per_cent);
            assert!(of_target < of_one, "{name} fails and holds {of_target} already, its share is {of_one}");
            assert!(held.failing < of_all, "failing targets hold {} already, their share is {of_all}", held.failing);
            self.coverage.hit_if(of_target + 1 == of_one, "a failing target holds its share");
            self.coverage.hit_if(held.failing + 1 == of_all, "failing targets hold their share");
        }
        let reserve = all * bounds.reserve_per_cent / 100;
        assert!(held.all < all - reserve || of_target < few, "{name} holds {of_target} and takes of the reserve");
        self.coverage.hit_if(reserve > 0 && held.all >= all - reserve, "the reserve is kept");
        if is_recovery(attempt) {
            let most = share(all, bounds.recovery_share_per_cent);
            assert!(held.recovery < most, "recovery holds {} already, its share is {most}", held.recovery);
            self.coverage.hit_if(held.recovery + 1 == most, "recovery holds its share");
        }
    }

    /// The targets that count as failing.
    fn failing_targets(&self) -> Vec<String> {
        let mut ranking = Ranking::new(100);
        let Some(core) = &self.core else { return Vec::new() };
        while !ranking.advance(core, 100) {}
        let (found, _) = ranking.end();
        let after = self.plan.settings.bounds.failing_after;
        for view in &found {
            assert_eq!(view.failing, view.failures_in_row >= after, "failing after {after} in a row: {view:?}");
        }
        found.into_iter().filter(|view| view.failing).map(|view| view.target.to_string()).collect()
    }

    /// What bounds left for later, once an input was taken.
    pub(crate) fn watch_bounds(&mut self, is_tick: bool, told: usize, now: Now) {
        let Some(core) = &self.core else { return };
        let bounds = self.plan.settings.bounds;
        let load = core.load(now.wall);
        let waits = load.arming_stalled > 0;
        let is_full = load.executions >= bounds.executions_max;
        let is_behind = load.unwritten >= bounds.unwritten_max;
        self.coverage.hit_if(waits && is_behind, "arming waits for the disk");
        self.coverage.hit_if(waits && is_full, "arming waits for executions to end");
        self.coverage.hit_if(core.counts().incidents_passed_over > 0, "incident passed over");
        if !is_tick {
            return;
        }
        self.coverage.hit_if(waits && !is_full && !is_behind, "turn spent on arming");
        // At once, or when the disk may have taken what was told.
        let rests = core.poll_timeout().mono.map(|due| due.0.saturating_sub(now.mono.0));
        let goes_on = matches!(rests, Some(1_000 | 100_000));
        self.coverage.hit_if(goes_on && told >= bounds.incidents_per_turn, "turn spent on telling");
        if bounds.target_backlog_max < 100 || bounds.stalled_at_once < 100 {
            let mut ranking = Ranking::new(100);
            while !ranking.advance(core, 100) {}
            let waits = ranking.end().0.iter().any(|view| view.stalled_jobs > 0 && view.waiting == 0);
            self.coverage.hit_if(waits, "stalled jobs have to wait although nothing else does");
        }
    }

    /// Promise: what is told again in a turn is bounded. How many are told of by an output: again, and at all.
    pub(crate) fn count_told(&self, output: &Output) -> (usize, usize) {
        let Output::Persist(_, Persist::Incident(change)) = output else { return (0, 0) };
        let event = change.message.as_ref().map(|message| message.event);
        (usize::from(event == Some(Event::Reminded)), usize::from(event.is_some()))
    }

    /// Somebody asks what is due in the next hour.
    pub(crate) fn ask_forecast(&mut self) {
        let (Some(core), wall) = (&self.core, self.clock.now().wall) else { return };
        let bounds = self.plan.settings.bounds;
        let mut forecast = Forecast::new(core, wall);
        while !forecast.advance(core, 1_000, wall) {}
        let ahead = forecast.end();
        assert!(ahead.peaks.len() <= bounds.forecast_peaks_max, "more seconds are named than may be");
        // Of many about so many are looked at.
        assert!(ahead.looked_at <= ahead.jobs, "more jobs were looked at than there are");
        let is_short = ahead.looked_at < ahead.jobs.min(bounds.forecast_jobs_max);
        self.coverage.hit_if(ahead.jobs > bounds.forecast_jobs_max, "forecast of some jobs");
        self.coverage.hit_if(is_short && bounds.forecast_steps_max < 1_000, "forecast broken off");
        let has_all = ahead.peaks.len() == bounds.forecast_peaks_max;
        self.coverage.hit_if(has_all, "forecast names no more seconds");
    }

    /// A policy counts that did not before: how many jobs are looked at in a turn.
    pub(crate) fn note_policy(&mut self, now: Now) {
        let jobs = self.core.as_ref().map_or(0, |core| core.load(now.wall).jobs);
        let most = self.plan.settings.bounds.reconsidered_per_turn;
        self.coverage.hit_if(jobs > most, "turn spent on policies");
    }

    /// Whether bounds are as those of a server in runs that have another purpose.
    pub(crate) fn has_own_purpose(&self) -> bool {
        matches!(self.plan.profile, Profile::Storm | Profile::Overload)
    }
}

/// What is kept of an execution is bounded, and the latest of it is kept.
pub(crate) fn judge_row(row: &LedgerRow, bounds: &Bounds, coverage: &mut Coverage) {
    let past = row.record.details.as_ref().map_or(&[][..], |details| &details.attempts[..]);
    assert!(past.len() <= bounds.attempts_told_max, "more attempts are told of than may be: {row:?}");
    assert!(past.is_sorted_by(|one, other| one.number < other.number), "attempts in another order: {row:?}");
    // What may have been sent by a process that died has no end to be told.
    let is_plain = row.record.recoveries == 0 && row.record.status == Status::Pending && row.record.attempt > 1;
    if is_plain {
        let newest = past.last().map(|past| past.number + 1);
        assert_eq!(newest, Some(row.record.attempt), "the last attempt is left out: {row:?}");
        let left_out = row.record.attempt as usize - 1 > past.len();
        assert!(!left_out || past.len() == bounds.attempts_told_max, "an attempt is left out for nothing: {row:?}");
        coverage.hit_if(left_out, "attempts are left out");
    }
    let error = row.record.error.as_deref().unwrap_or_default();
    let is_foreign = row.record.http_status.is_none() && row.record.executed.is_some() && row.record.recoveries == 0;
    let is_ours = error.starts_with("job") || error.starts_with("not sent again");
    if is_foreign && row.record.status == Status::Failed && !is_ours {
        assert!(error.len() <= bounds.error_len_max, "an error of {} bytes: {row:?}", error.len());
        coverage.hit_if(error.len() == bounds.error_len_max, "an error is cut");
    }
}
