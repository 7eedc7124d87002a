//! Owns the named calendars: what is in force, what is being written, and how jobs that follow one hear of a change.
//! It must not know what a date means: schedules do.

use std::collections::VecDeque;
use std::sync::Arc;

use super::arming::{FOLLOW_STEPS, RESUME_US};
use super::io::{CalendarChange, Output, Persist, Refusal, Reply, RequestId};
use super::receipts::Receipt;
use super::scheduler::{Phase, Scheduler};
use crate::job::{JobKey, Revision};
use crate::schedule::{Calendars, Dates};
use crate::time::Now;

/// The calendars there are, and changes of them on their way to the disk, oldest first.
#[derive(Debug, Default)]
pub(super) struct CalendarTable {
    in_force: Calendars,
    pending: VecDeque<(u64, RequestId, CalendarChange)>,
    /// One whose deletion is being written.
    taken_out: Option<(Arc<str>, Arc<Dates>)>,
    /// How many changes there were.
    changes: u64,
    /// Jobs that follow one that was changed since they were looked at.
    unfollowed: VecDeque<JobKey>,
}

impl CalendarTable {
    /// Takes who waits for the disk.
    pub(super) fn take_requests(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        std::mem::take(&mut self.pending).into_iter().map(|(_, request, _)| request)
    }
}

impl Scheduler {
    /// The calendars in force.
    pub fn calendars(&self) -> &Calendars {
        &self.calendars.in_force
    }

    /// A calendar that was found on disk, or that another node has changed: then its jobs follow it within the budget of
    /// arming, as after a change of a client.
    pub(super) fn find_calendar(&mut self, name: &str, dates: Option<Arc<Dates>>, now: Now) {
        match dates {
            Some(dates) => self.adopt_calendar(name, dates),
            // Who follows it came to do so meanwhile, and keeps its dates.
            None if self.jobs.followers(name).next().is_some() => return,
            None => drop(self.calendars.in_force.remove(name)),
        }
        if self.phase == Phase::Running {
            self.let_follow(name, now);
        }
    }

    /// The jobs that follow a calendar are looked at. How many there are.
    fn let_follow(&mut self, name: &str, now: Now) -> usize {
        let followers: Vec<u32> = self.jobs.followers(name).collect();
        let jobs = followers.len();
        for slot in followers {
            self.jobs[slot].is_stale = true;
            self.calendars.unfollowed.push_back(self.jobs[slot].key());
            self.jobs.queue_arming(slot);
        }
        // Many jobs may follow one calendar: they are looked at within the budget of arming.
        self.arm_resume.get_or_insert(now.mono.plus_us(RESUME_US));
        jobs
    }

    fn adopt_calendar(&mut self, name: &str, dates: Arc<Dates>) {
        // It was within the bounds when it was written.
        drop(self.calendars.in_force.insert(name, dates));
    }

    /// Asks for a calendar to be written: from then on it is in force.
    pub(super) fn put_calendar(&mut self, request: RequestId, name: Arc<str>, dates: Arc<Dates>) {
        // Those that are on their way to the disk count, and one whose deletion may yet fail.
        let mut all = self.calendars.in_force.clone();
        let pending =
            self.calendars.pending.iter().filter_map(|(.., change)| Some((&change.name, change.dates.as_ref()?)));
        let taken_out = self.calendars.taken_out.iter().map(|(name, dates)| (name, dates));
        for (name, dates) in pending.chain(taken_out) {
            // They were within the bounds when they were accepted.
            drop(all.insert(name, Arc::clone(dates)));
        }
        if let Err(why) = all.insert_within(&name, Arc::clone(&dates), self.settings.bounds.calendars_max) {
            return self.output(Output::Reply(request, Reply::TooMany(why)));
        }
        self.submit_calendar(request, CalendarChange { name, dates: Some(dates) });
    }

    /// Asks for a calendar to be deleted, if no job follows it.
    pub(super) fn delete_calendar(&mut self, request: RequestId, name: Arc<str>) {
        if self.calendars.in_force.get(&name).is_none() {
            return self.output(Output::Reply(request, Reply::NoSuchCalendar));
        }
        if self.jobs.followers(&name).next().is_some() {
            return self.output(Output::Reply(request, Reply::Conflict("jobs follow this calendar")));
        }
        if self.receipts.has_changes() || self.gathering.has_changes() {
            // One of them may be of a job that is to follow it.
            return self.refuse(request, Refusal::ChangesPending);
        }
        // From here on no job can be told to follow it.
        let dates = self.calendars.in_force.remove(&name);
        self.calendars.taken_out = dates.map(|dates| (Arc::clone(&name), dates));
        self.submit_calendar(request, CalendarChange { name, dates: None });
    }

    fn submit_calendar(&mut self, request: RequestId, change: CalendarChange) {
        self.calendars.changes += 1;
        let id = self.calendars.changes;
        self.calendars.pending.push_back((id, request, change.clone()));
        let reply = match &change.dates {
            Some(dates) => {
                let (name, dates) = (Arc::clone(&change.name), Arc::clone(dates));
                Reply::CalendarPut { jobs: self.jobs.followers(&name).count(), name, dates }
            }
            None => Reply::CalendarDeleted,
        };
        let number = self.persist(Persist::Calendar(Box::new(change)), Receipt::Calendar(id));
        if std::mem::take(&mut self.plans) {
            self.output(Output::Planned(number, request, reply));
        }
    }

    /// A change of a calendar is on disk, or will never be.
    pub(super) fn calendar_settled(&mut self, id: u64, written: bool, now: Now) {
        let place = self.calendars.pending.iter().position(|(other, ..)| *other == id);
        let (_, request, change) =
            place.and_then(|place| self.calendars.pending.remove(place)).expect("a change is settled once");
        let taken_out = if change.dates.is_none() { self.calendars.taken_out.take() } else { None };
        if !written {
            if let Some((name, dates)) = taken_out {
                self.adopt_calendar(&name, dates);
            }
            self.counts.refused += 1;
            return self.output(Output::Reply(request, Reply::Refused(Refusal::NotWritten)));
        }
        let CalendarChange { name, dates } = change;
        if let Some(dates) = &dates {
            self.adopt_calendar(&name, Arc::clone(dates));
        }
        let jobs = self.let_follow(&name, now);
        let reply = match dates {
            Some(dates) => Reply::CalendarPut { name, dates, jobs },
            None => Reply::CalendarDeleted,
        };
        self.output(Output::Reply(request, reply));
    }

    /// Lets jobs follow calendars that were changed, as far as the budget of a turn goes: that must not wait until more may be
    /// armed, as what was due meanwhile would be owed by dates that were not in force any more. Returns how many steps it took.
    pub(super) fn follow_changed(&mut self, most: u32, now: Now) -> u32 {
        let mut steps = 0;
        while steps < most
            && let Some(key) = self.calendars.unfollowed.pop_front()
        {
            steps += 1;
            // Its job may be gone, or on its way to the disk as another one, and is looked at then.
            if let Some(slot) = self.jobs.find(key).filter(|&slot| self.may_be_armed(slot)) {
                steps += FOLLOW_STEPS + self.follow_calendars(slot, now);
            }
        }
        steps
    }

    /// Lets a job follow its calendars as they are now. What it owed until now it owes by those before. Returns what
    /// finding its next instant cost beyond the usual.
    pub(super) fn follow_calendars(&mut self, slot: u32, now: Now) -> u32 {
        self.jobs[slot].is_stale = false;
        let old = Arc::clone(self.jobs[slot].revision());
        let schedule = old.spec.schedule.with_calendars(&self.calendars.in_force);
        if schedule == *old.spec.schedule {
            return 0;
        }
        self.settle_due(slot, now);
        // A date in the past that was left out when it came is not owed for being given back. At a start it is not known
        // what was left out, and those dates count that there are now.
        if self.jobs[slot].is_at_work() {
            self.jobs.reach(slot, now.wall.floor());
        }
        let mut spec = old.spec.clone();
        spec.schedule = Arc::new(schedule);
        self.jobs.share_schedule(&mut spec);
        let revision = Revision { spec, ..(*old).clone() };
        drop(old);
        self.jobs.reschedule(slot, Arc::new(revision))
    }
}
