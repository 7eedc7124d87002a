//! Owns what a start would do: the core is given what the store has, as at a start, on a disk that writes at once.
//! It must not send or write anything, nor know better than the core.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::zones;
use crate::clock;
use crate::core::{
    Bounds, Class, ExecutionKey, Input, Known, LedgerRow, Notice, Output, Persist, Scheduler, Settings, Status,
};
use crate::job::{Context, Misfire, RetryPolicy};
use crate::limits::PROSPECT_TIME_MAX;
use crate::store::{Look, OpenError};
use crate::time::{Instant, Now};

/// In-flight attempts do not end here, so that there is room for all of them.
const IN_FLIGHT: u32 = 1_000_000;

/// What the server would be told that decides about it.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// What becomes of missed instants.
    pub misfire: Misfire,
    /// How late a POST that was never sent may go out.
    pub lateness_max: Duration,
}

/// Instants that passed while nobody could fire, of jobs with one policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// How many jobs.
    pub jobs: u64,
    /// How many instants, as far as they are counted.
    pub instants: u64,
    /// Whether there are more.
    pub more: bool,
}

/// What a start would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prospect {
    /// When it was asked.
    pub at: Option<Instant>,
    /// Jobs that are loaded.
    pub jobs: usize,
    /// Those of them that are active.
    pub active_jobs: usize,
    /// Those of them that wait, as the clock is behind what they fired.
    pub held_jobs: usize,
    /// Executions that were not finished.
    pub unfinished: usize,
    /// Those of them that may have been sent, and are sent again.
    pub sent_again: usize,
    /// Those of them that may have been sent, and end FAILED, as their job says `ATMOST_ONCE`.
    pub given_up: usize,
    /// Missed instants, by the name of the policy that decides about them.
    pub missed: BTreeMap<&'static str, Missed>,
    /// Runs that are made for them.
    pub catch_up: usize,
    /// Alerts that are still to be delivered.
    pub alerts: usize,
    /// Incidents that are open.
    pub incidents: usize,
    /// Messages of incidents that are still to be delivered, each once for each of its channels.
    pub messages: usize,
    /// When something is due next.
    pub next: Option<Instant>,
}

/// Works out what a start would do now.
///
/// # Errors
/// Why a start would be refused.
pub fn prospect(look: &Look, told: Told) -> Result<Prospect, OpenError> {
    let zones = zones::newest();
    let mut now = clock::now();
    let mut rehearsal = Rehearsal::new(told);
    let mut rows = Vec::new();
    let core = &mut rehearsal.core;
    let loaded = look.load(
        &Context { zones: Some(&zones), ..Context::at(now.wall.floor()) },
        |job| core.handle_input(Input::RestoreJob(Box::new(job)), now),
        |row| rows.push(Input::RestoreRow(Box::new(row), Known::Nothing)),
    )?;
    let unfinished = rows.len();
    rows.into_iter().for_each(|row| rehearsal.input(row, now));
    for calendar in loaded.calendars {
        rehearsal.input(Input::RestoreCalendar(calendar), now);
    }
    let incidents = loaded.incidents.len();
    loaded.settings.into_iter().for_each(|setting| rehearsal.input(Input::RestoreSetting(setting), now));
    for incident in loaded.incidents {
        rehearsal.input(Input::RestoreIncident(Box::new(incident)), now);
    }
    rehearsal.input(Input::Acquired(loaded.restored), now);
    rehearsal.settle(&mut now);
    let Rehearsal { core, again, given_up, caught_up, missed, .. } = rehearsal;
    let load = core.load(now.wall);
    Ok(Prospect {
        at: Some(now.wall.floor()),
        jobs: load.jobs,
        active_jobs: load.active_jobs,
        held_jobs: load.held_jobs,
        unfinished,
        sent_again: again.len(),
        given_up: given_up.len(),
        missed,
        catch_up: caught_up.len(),
        alerts: loaded.alerts.len(),
        incidents,
        messages: loaded.messages.len(),
        next: core.next_to_fire(1, now.wall).first().and_then(|view| view.next),
    })
}

/// The core, with what it asked for so far.
struct Rehearsal {
    core: Scheduler,
    misfire: Misfire,
    /// The last item that was to be written.
    asked: u64,
    /// The last one of which the core has heard that it is.
    written: u64,
    again: BTreeSet<ExecutionKey>,
    given_up: BTreeSet<ExecutionKey>,
    caught_up: BTreeSet<ExecutionKey>,
    missed: BTreeMap<&'static str, Missed>,
}

impl Rehearsal {
    fn new(told: Told) -> Rehearsal {
        let Told { misfire, lateness_max } = told;
        let retry = RetryPolicy::doubling(0, Duration::ZERO);
        let core = Scheduler::new(Settings {
            in_flight_max: IN_FLIGHT,
            retry,
            misfire,
            lateness_max,
            lead_us: crate::limits::ARM_LEAD_US,
            skew_us: None,
            noise: 1,
            bounds: Bounds::default(),
        });
        Rehearsal {
            core,
            misfire,
            asked: 0,
            written: 0,
            again: BTreeSet::new(),
            given_up: BTreeSet::new(),
            caught_up: BTreeSet::new(),
            missed: BTreeMap::new(),
        }
    }

    /// Goes on until there is nothing left to do at this moment. What takes the core several turns takes no time here.
    fn settle(&mut self, now: &mut Now) {
        let until = now.mono.plus(PROSPECT_TIME_MAX);
        loop {
            if self.asked > self.written {
                self.written = self.asked;
                self.input(Input::Committed { through: self.asked, rejected: Vec::new() }, *now);
                continue;
            }
            let deadline = self.core.poll_timeout();
            // Wall time stands still, so that nothing becomes due that is not due now.
            match deadline.mono.filter(|&mono| mono < until) {
                _ if deadline.is_reached(*now) => {}
                Some(mono) => now.mono = mono,
                None => return,
            }
            self.input(Input::Tick, *now);
        }
    }

    fn input(&mut self, input: Input, now: Now) {
        self.core.handle_input(input, now);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Persist(number, item) => {
                    self.asked = number;
                    self.note_item(&item);
                }
                Output::Notice(Notice::Missed { job, count, more, reason: _ }) => {
                    let own = self.core.revision_of(job.key()).and_then(|revision| revision.spec.misfire().policy);
                    let missed = self.missed.entry(own.unwrap_or(self.misfire).name()).or_default();
                    missed.jobs += 1;
                    missed.instants += u64::from(count);
                    missed.more |= more;
                }
                Output::Notice(
                    Notice::InDoubt { .. }
                    | Notice::Overload { .. }
                    | Notice::ClockStep { .. }
                    | Notice::Paused { .. }
                    | Notice::Target { .. },
                )
                | Output::Reply(..)
                | Output::Planned(..)
                | Output::Gathered(..)
                | Output::Together(..)
                | Output::Fire(_)
                | Output::Dispatched(..)
                | Output::Alert(_)
                | Output::Tell(_)
                | Output::Hurry => {}
            }
        }
    }

    fn note_item(&mut self, item: &Persist) {
        match item {
            Persist::Row(row, _) => self.note_row(row),
            Persist::Change(change) => change.rows.iter().for_each(|row| self.note_row(row)),
            Persist::Remove(_) | Persist::Calendar(_) | Persist::Runs(_) => {}
            Persist::Setting(_) | Persist::Incident(_) => {}
            Persist::Release { .. } | Persist::HandOver(_) => {}
        }
    }

    fn note_row(&mut self, row: &LedgerRow) {
        let LedgerRow { key, record, .. } = row;
        match (record.status, record.class) {
            (Status::Pending, Class::Recovered) => drop(self.again.insert(*key)),
            (Status::Pending, Class::CatchUp) => drop(self.caught_up.insert(*key)),
            // What a deleted job left is closed as well, and nobody misses it.
            (Status::Failed, _) if self.core.revision_of(key.job).is_some() => drop(self.given_up.insert(*key)),
            (Status::Pending | Status::Success | Status::Failed | Status::Skipped, _) => {}
        }
    }
}
