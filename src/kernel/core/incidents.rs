//! Owns the open incidents: which there are, their messages, when they are told again, and their end.
//! It must not find out that something is wrong: whoever decides about executions, jobs and targets does, and `watching`.
//!
//! ```text
//!   open --> untold ----------- told (OPENED) --> told again (REMINDED) ...
//!              |  a silence covers it,     |
//!              |  or nobody listens        |
//!              `--> closed, never told     `--> closed (CLOSED, if its policy wants that)
//! ```
//!
//! Every change is one item for the disk, or part of the row that it follows from; a message leaves once that is written.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::incident::{
    Acknowledged, Cause, Closed, Event, Incident, IncidentChange, IncidentId, JobLabel, Message, Subject,
};
use super::io::{Output, Persist, Reply, RequestId, Trouble};
use super::key::ExecutionId;
use super::receipts::Receipt;
use super::scheduler::Scheduler;
use super::setting::{SilenceId, Silenced};
use crate::job::{AlertPolicy, JobId, Term};
use crate::time::{DeadlineHeap, MonoUs, Now};

/// The incidents that are open.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    slab: Slab<Arc<Incident>>,
    by_subject: BTreeMap<(Subject, Cause), u32>,
    by_id: BTreeMap<IncidentId, u32>,
    /// Those of which nobody was told.
    untold: BTreeSet<u32>,
    /// Those that are told again, by when.
    reminders: DeadlineHeap<MonoUs>,
    /// Where to go on telling those of which nobody was told, if somebody may hear of them now.
    retell: Option<u32>,
    /// Until when nothing is done about them: there was more than fits into a turn.
    rest_until: MonoUs,
    /// Changes on their way to the disk that no row carries, oldest first, each with who waits for it.
    unwritten: VecDeque<(IncidentChange, Option<RequestId>)>,
    newest: u64,
    /// How the parts of this server are, as it was told last.
    troubles: BTreeMap<Cause, Option<String>>,
}

impl Incidents {
    fn find(&self, subject: &Subject, cause: Cause) -> Option<u32> {
        self.by_subject.get(&(subject.clone(), cause)).copied()
    }

    fn insert(&mut self, incident: Incident) -> u32 {
        let (id, key) = (incident.id, (incident.subject.clone(), incident.cause));
        self.newest = self.newest.max(id.0);
        let told = incident.told;
        let slot = super::slot(self.slab.insert(Arc::new(incident)));
        let other = (self.by_subject.insert(key, slot), self.by_id.insert(id, slot));
        assert_eq!(other, (None, None), "an incident is open once");
        if !told {
            self.untold.insert(slot);
        }
        slot
    }

    fn remove(&mut self, slot: u32) -> Arc<Incident> {
        let incident = self.slab.remove(slot as usize);
        self.by_subject.remove(&(incident.subject.clone(), incident.cause));
        self.by_id.remove(&incident.id);
        self.untold.remove(&slot);
        self.reminders.remove(slot);
        incident
    }

    fn get(&self, slot: u32) -> &Arc<Incident> {
        &self.slab[slot as usize]
    }

    fn change(&mut self, slot: u32, change: impl FnOnce(&mut Incident)) -> Arc<Incident> {
        let incident = &mut self.slab[slot as usize];
        change(Arc::make_mut(incident));
        if incident.told {
            self.untold.remove(&slot);
        }
        Arc::clone(incident)
    }

    /// None is open. Ids that were used are used up, and how the parts of this server are is known.
    pub(super) fn emptied(&self) -> Incidents {
        Incidents { newest: self.newest, troubles: self.troubles.clone(), ..Incidents::default() }
    }

    /// Takes who waits for the disk.
    pub(super) fn take_requests(&mut self) -> impl Iterator<Item = RequestId> + use<> {
        std::mem::take(&mut self.unwritten).into_iter().filter_map(|(_, request)| request)
    }

    /// When something is to be done about them.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        let retell = self.retell.is_some().then_some(MonoUs(0));
        let due = retell.or(self.reminders.peek().map(|(due, _)| due));
        due.map(|due| due.max(self.rest_until))
    }

    /// Those of a job, in the order of causes.
    fn of_job(&self, job: JobId) -> impl Iterator<Item = u32> {
        let from = (Subject::Job(job), Cause::Failing);
        let of_job = self.by_subject.range(from..).take_while(move |((subject, _), _)| *subject == Subject::Job(job));
        of_job.map(|(_, &slot)| slot)
    }

    fn check(&self) {
        assert_eq!((self.slab.len(), self.slab.len()), (self.by_subject.len(), self.by_id.len()));
        self.reminders.check();
        for (index, incident) in &self.slab {
            let slot = super::slot(index);
            assert_eq!(self.find(&incident.subject, incident.cause), Some(slot), "an incident is not found");
            assert_eq!(self.by_id.get(&incident.id), Some(&slot));
            assert_eq!(self.untold.contains(&slot), !incident.told, "nobody knows who was told");
            let is_reminded = self.reminders.key(slot).is_some();
            assert!(!is_reminded || (incident.told && incident.acknowledged.is_none()), "who knows is not reminded");
            assert!(incident.closed.is_none() && (incident.messages > 0) == incident.told);
        }
    }
}

/// The wait before it is looked again whether the disk has taken what was told.
const DISK_REST_US: u64 = 100_000;

/// Why an incident ends that no policy asks for any more.
pub(super) const NOT_ASKED: &str = "its policy does not ask for it any more";

/// What is wrong, as it is noticed.
pub(super) struct Wrong {
    pub(super) cause: Cause,
    pub(super) subject: Subject,
    pub(super) summary: String,
    pub(super) execution: Option<ExecutionId>,
}

/// What can be read.
impl Scheduler {
    /// How many incidents are open.
    pub fn open_incidents(&self) -> usize {
        self.incidents.slab.len()
    }

    /// Whether an incident with this id is open here.
    pub fn has_open_incident(&self, id: IncidentId) -> bool {
        self.incidents.by_id.contains_key(&id)
    }

    /// The open incident of this.
    pub(super) fn open_one(&self, subject: &Subject, cause: Cause) -> Option<&Arc<Incident>> {
        self.incidents.find(subject, cause).map(|slot| self.incidents.get(slot))
    }

    /// The silence that covers an incident now; of several the oldest.
    pub fn silence_of(&self, incident: &Incident) -> Option<SilenceId> {
        let settings = self.settings();
        let job = match &incident.subject {
            Subject::Job(job) => self.jobs.find(job.key()).map(|slot| &self.jobs[slot]),
            Subject::Target(_) | Subject::Server => None,
        };
        let target = match (&incident.subject, job) {
            (Subject::Target(name), _) => Some(name.to_string()),
            (_, Some(job)) if settings.silences().next().is_some() => Some(job.spec().post.url.target().to_string()),
            (Subject::Job(_) | Subject::Server, _) => None,
        };
        let covers = |of: &Silenced| match of {
            Silenced::Job(id) => incident.subject == Subject::Job(*id),
            Silenced::Tag(tag) => {
                job.and_then(|job| job.spec().labels()).is_some_and(|labels| labels.tags.contains(tag))
            }
            Silenced::Target(name) => target.as_deref() == Some(&**name),
        };
        settings.silences().find(|(_, silence)| covers(&silence.of)).map(|(id, _)| id)
    }
}

/// How one begins and ends.
impl Scheduler {
    /// Something is wrong: an incident of it, unless there is one. To be written with what it follows from.
    pub(super) fn open(&mut self, wrong: Wrong, now: Now) -> Option<IncidentChange> {
        let Wrong { cause, subject, summary, execution } = wrong;
        if self.incidents.find(&subject, cause).is_some() {
            return None;
        }
        // There are few of the server and of targets, and they say more.
        if matches!(subject, Subject::Job(_)) && self.incidents.slab.len() >= self.settings.bounds.incidents_open_max {
            self.counts.incidents_passed_over += 1;
            return None;
        }
        let job = match &subject {
            Subject::Job(job) => self.jobs.find(job.key()),
            Subject::Target(_) | Subject::Server => None,
        };
        let label = job.map(|job| {
            let spec = self.jobs[job].spec();
            let (api, schedule) = (spec.post.url.to_string().into(), spec.schedule.text().into());
            Box::new(JobLabel { name: spec.name().map(Into::into), api, schedule })
        });
        let incident = Incident {
            id: IncidentId(self.number_by_time(self.incidents.newest, now)),
            cause,
            subject,
            label,
            summary: summary.into(),
            execution,
            opened_at: now.wall,
            closed: None,
            acknowledged: None,
            messages: 0,
            told: false,
            told_at: None,
        };
        let slot = self.incidents.insert(incident);
        self.counts.incidents_opened += 1;
        if let Some(job) = job {
            self.jobs[job].incidents += 1;
        }
        let message = self.tell_open(slot, Event::Opened, now);
        Some(IncidentChange { incident: Arc::clone(self.incidents.get(slot)), message })
    }

    /// What was wrong is over, if it was. To be written with what it follows from.
    pub(super) fn close(&mut self, subject: &Subject, cause: Cause, why: &str, now: Now) -> Option<IncidentChange> {
        let slot = self.incidents.find(subject, cause)?;
        let policy = self.policy_for(self.incidents.get(slot));
        let mut incident = self.incidents.remove(slot);
        if let Subject::Job(id) = &incident.subject
            && let Some(job) = self.jobs.find(id.key())
        {
            self.jobs[job].incidents -= 1;
        }
        self.counts.incidents_closed += 1;
        let changed = Arc::make_mut(&mut incident);
        // The clock may have stepped back.
        changed.closed = Some(Closed { at: now.wall.max(changed.opened_at), why: why.into() });
        let channels = self.channels_of(&policy);
        if !changed.told || policy.recovery == Some(false) || channels.is_empty() {
            return Some(IncidentChange { incident, message: None });
        }
        changed.messages += 1;
        let number = changed.messages;
        let message = Message { incident: Arc::clone(&incident), number, event: Event::Closed, at: now.wall, channels };
        Some(IncidentChange { incident, message: Some(message) })
    }

    /// The same where no row carries it.
    pub(super) fn open_alone(&mut self, wrong: Wrong, now: Now) {
        let change = self.open(wrong, now);
        self.write_incident(change);
    }

    /// The same where no row carries it.
    pub(super) fn close_alone(&mut self, subject: &Subject, cause: Cause, why: &str, now: Now) {
        let change = self.close(subject, cause, why, now);
        self.write_incident(change);
    }

    /// Nothing is wrong any more with a job that is gone.
    pub(super) fn close_all_of(&mut self, job: u32, why: &str, now: Now) {
        if self.jobs[job].incidents == 0 {
            return;
        }
        let subject = Subject::Job(self.jobs[job].revision().id);
        for cause in Cause::ALL {
            self.close_alone(&subject, cause, why, now);
        }
    }

    /// A job is another node's, and so is what is wrong with it. What was asked for is written and told all the same.
    pub(super) fn forget_incidents_of(&mut self, job: u32) {
        if self.jobs[job].incidents != 0 {
            let id = self.jobs[job].revision().id;
            for slot in self.incidents.of_job(id).collect::<Vec<u32>>() {
                self.incidents.remove(slot);
            }
            self.jobs[job].incidents = 0;
        }
    }

    /// A part of this server is as it says.
    pub(super) fn trouble(&mut self, trouble: Trouble, now: Now) {
        let Trouble { cause, why } = trouble;
        self.incidents.troubles.insert(cause, why.clone());
        let Some(summary) = why else {
            return self.close_alone(&Subject::Server, cause, "it is well again", now);
        };
        let is_told = self.settings().server_policy().on_server_trouble != Some(false);
        let wrong = Wrong { cause, subject: Subject::Server, summary, execution: None };
        let Some(change) = is_told.then(|| self.open(wrong, now)).flatten() else { return };
        self.write_or_tell_now(change);
    }

    /// Asks for a change to be written; what the store itself is the matter of cannot wait for that.
    fn write_or_tell_now(&mut self, change: IncidentChange) {
        if change.incident.cause != Cause::StoreFailing || change.incident.closed.is_some() {
            return self.write_incident(Some(change));
        }
        // If it was not delivered when it is on disk, another process does that.
        self.incidents.unwritten.push_back((IncidentChange { message: None, ..change.clone() }, None));
        self.persist(Persist::Incident(Box::new(change.clone())), Receipt::Incident);
        self.tell(change);
    }

    /// A target began to fail, or answers again.
    pub(super) fn target_turned(&mut self, name: &str, failing: bool, now: Now) {
        let subject = Subject::Target(name.into());
        if !failing {
            return self.close_alone(&subject, Cause::TargetFailing, "it answers again", now);
        }
        if self.settings().server_policy().on_server_trouble != Some(false) {
            let summary = format!("{name} cannot be reached");
            self.open_alone(Wrong { cause: Cause::TargetFailing, subject, summary, execution: None }, now);
        }
    }

    /// Nothing is sent any more to targets that failed.
    pub(super) fn forget_gone_targets(&mut self, now: Now) {
        for name in self.targets.take_gone() {
            let subject = Subject::Target(name.into());
            self.close_alone(&subject, Cause::TargetFailing, "no job has this target any more", now);
        }
    }

    /// Asks for a change to be written that no row carries.
    pub(super) fn write_incident(&mut self, change: Option<IncidentChange>) {
        if let Some(change) = change {
            self.incidents.unwritten.push_back((change.clone(), None));
            self.persist(Persist::Incident(Box::new(change)), Receipt::Incident);
        }
    }

    /// The oldest of those is on disk.
    pub(super) fn incident_written(&mut self) {
        let (change, request) = self.incidents.unwritten.pop_front().expect("each is written once");
        if let Some(request) = request {
            self.output(Output::Reply(request, Reply::Acknowledged(Arc::clone(&change.incident))));
        }
        self.tell(change);
    }

    /// A change is on disk: its message leaves.
    pub(super) fn tell(&mut self, change: IncidentChange) {
        change.message.into_iter().for_each(|message| self.output(Output::Tell(message)));
    }

    /// Somebody knows of an incident: nobody is reminded any more.
    pub(super) fn acknowledge(
        &mut self,
        request: RequestId,
        id: IncidentId,
        by: Option<Box<str>>,
        note: Option<Box<str>>,
        now: Now,
    ) {
        let Some(&slot) = self.incidents.by_id.get(&id) else {
            return self.output(Output::Reply(request, Reply::NoSuchIncident));
        };
        let new = Box::new(Acknowledged { at: now.wall, by, note });
        let incident = self.incidents.change(slot, |incident| {
            // Who says it again and nothing more leaves what was said.
            let known = incident.acknowledged.take().filter(|_| new.note.is_none());
            incident.acknowledged = Some(known.unwrap_or(new));
        });
        self.incidents.reminders.remove(slot);
        let change = IncidentChange { incident: Arc::clone(&incident), message: None };
        self.incidents.unwritten.push_back((change.clone(), Some(request)));
        let number = self.persist(Persist::Incident(Box::new(change)), Receipt::Incident);
        if std::mem::take(&mut self.plans) {
            self.output(Output::Planned(number, request, Reply::Acknowledged(incident)));
        }
    }
}

/// Who is told, and when.
impl Scheduler {
    fn policy_for(&self, incident: &Incident) -> AlertPolicy {
        let job = match &incident.subject {
            Subject::Job(job) => self.jobs.find(job.key()),
            Subject::Target(_) | Subject::Server => None,
        };
        match job {
            Some(job) => self.settings().policy_of(self.jobs[job].spec()),
            None => self.settings().server_policy().clone(),
        }
    }

    /// The channels of a policy that are there.
    fn channels_of(&self, policy: &AlertPolicy) -> Box<[Box<str>]> {
        let all = self.settings().channels().map(|(name, _)| Box::from(&**name));
        match &policy.channels {
            None => all.collect(),
            Some(named) => named.iter().filter(|name| self.settings().channel(name).is_some()).cloned().collect(),
        }
    }

    /// A message that an incident is open, unless a silence covers it or nobody listens.
    fn tell_open(&mut self, slot: u32, event: Event, now: Now) -> Option<Message> {
        let policy = self.policy_for(self.incidents.get(slot));
        let channels = self.channels_of(&policy);
        let is_silenced = self.silence_of(self.incidents.get(slot)).is_some();
        let message = (!is_silenced && !channels.is_empty()).then(|| {
            let incident = self.incidents.change(slot, |incident| {
                incident.messages += 1;
                (incident.told, incident.told_at) = (true, Some(now.wall));
            });
            Message { number: incident.messages, incident, event, at: now.wall, channels }
        });
        if let Some(every) = policy.remind_every.and_then(Term::time) {
            self.set_reminder(slot, every, now);
        }
        message
    }

    fn tell_and_write(&mut self, slot: u32, event: Event, now: Now) {
        if let Some(message) = self.tell_open(slot, event, now) {
            let incident = Arc::clone(self.incidents.get(slot));
            self.write_or_tell_now(IncidentChange { incident, message: Some(message) });
        }
    }

    fn set_reminder(&mut self, slot: u32, wait: Duration, now: Now) {
        let incident = self.incidents.get(slot);
        if incident.told && incident.acknowledged.is_none() {
            self.incidents.reminders.set(slot, now.mono.plus(wait));
        }
    }

    /// Tells again what is open for long, and for the first time what may be told now. A bounded number in a turn.
    pub(super) fn remind(&mut self, now: Now) {
        if self.end_silences(now) {
            self.tell_untold();
        }
        // No more than that is on its way to the disk at a time: rows of what is due must not stand behind it, and while
        // the store fails nothing piles up.
        let per_turn = self.settings.bounds.incidents_per_turn;
        let mut left = per_turn.saturating_sub(self.incidents.unwritten.len());
        if now.mono < self.incidents.rest_until {
            return;
        }
        // By the policies of now, which not every incident has heard of yet.
        while left > 0
            && !self.watches.is_reconsidering()
            && let Some(slot) = self.incidents.reminders.pop_due(now.mono)
        {
            left -= 1;
            self.tell_and_write(slot, Event::Reminded, now);
        }
        let from = self.incidents.retell.take();
        let untold = from.map(|from| self.incidents.untold.range(from..).take(left).copied().collect::<Vec<u32>>());
        let untold = untold.unwrap_or_default();
        for &slot in &untold {
            self.tell_and_write(slot, Event::Opened, now);
        }
        if from.is_some() && untold.len() == left {
            self.incidents.retell = untold.last().map(|&last| last + 1).or(from);
        }
        if self.incidents.deadline().is_some_and(|due| due <= now.mono) {
            let waits_for_disk = self.incidents.unwritten.len() >= per_turn;
            let rest_us = if waits_for_disk { DISK_REST_US } else { super::arming::RESUME_US };
            self.incidents.rest_until = now.mono.plus_us(rest_us);
        }
    }

    /// Somebody may hear now of what nobody was told.
    pub(super) fn tell_untold(&mut self) {
        // The next tick does it.
        self.incidents.retell = Some(0);
    }

    /// The policy of an incident may be another now: when it is told again.
    fn reconsider(&mut self, slot: u32, now: Now) {
        self.incidents.reminders.remove(slot);
        let policy = self.policy_for(self.incidents.get(slot));
        if let Some(every) = policy.remind_every.and_then(Term::time) {
            let told_at = self.incidents.get(slot).told_at.unwrap_or(now.wall);
            let since = Duration::from_micros(now.wall.since_us(told_at).max(0).unsigned_abs());
            self.set_reminder(slot, every.saturating_sub(since), now);
        }
    }

    /// The same of all that are not a job's; and whether they are told at all may be another thing now.
    pub(super) fn reconsider_others(&mut self, now: Now) {
        let is_told = self.settings().server_policy().on_server_trouble != Some(false);
        for (cause, why) in self.incidents.troubles.clone() {
            match why {
                Some(why) if is_told => self.trouble(Trouble { cause, why: Some(why) }, now),
                Some(_) => self.close_alone(&Subject::Server, cause, NOT_ASKED, now),
                None => {}
            }
        }
        for name in self.targets.failing_names() {
            if is_told {
                self.target_turned(&name, true, now);
            } else {
                self.close_alone(&Subject::Target(name.into()), Cause::TargetFailing, NOT_ASKED, now);
            }
        }
        let others = self.incidents.slab.iter().filter(|(_, incident)| !matches!(incident.subject, Subject::Job(_)));
        for slot in others.map(|(slot, _)| super::slot(slot)).collect::<Vec<u32>>() {
            self.reconsider(slot, now);
        }
    }

    /// The same of a job's.
    pub(super) fn reconsider_those_of(&mut self, job: u32, now: Now) {
        if self.jobs[job].incidents != 0 {
            let id = self.jobs[job].revision().id;
            for slot in self.incidents.of_job(id).collect::<Vec<u32>>() {
                self.reconsider(slot, now);
                if !self.incidents.get(slot).told {
                    self.tell_and_write(slot, Event::Opened, now);
                }
            }
        }
    }
}

/// At a start.
impl Scheduler {
    /// An incident that was found on disk. Its job, if it is there, was found before it. None: there is one of the same
    /// here, as of a target that failed at two nodes, so that this one is over.
    fn adopt_incident(&mut self, mut incident: Incident, now: Now) -> Option<u32> {
        if self.incidents.find(&incident.subject, incident.cause).is_some() {
            let why = "another one of the same is open".into();
            incident.closed = Some(Closed { at: now.wall.max(incident.opened_at), why });
            self.write_incident(Some(IncidentChange { incident: Arc::new(incident), message: None }));
            return None;
        }
        if let Subject::Job(id) = &incident.subject
            && let Some(job) = self.jobs.find(id.key())
        {
            self.jobs[job].incidents += 1;
        }
        Some(self.incidents.insert(incident))
    }

    /// Ids below this are used up.
    pub(super) fn reserve_incidents(&mut self, next: u64) {
        self.incidents.newest = self.incidents.newest.max(next.saturating_sub(1));
    }

    /// All jobs were found: what became of incidents while nobody looked.
    pub(super) fn judge_incidents(&mut self, mut found: Vec<Incident>, now: Now) {
        found.sort_unstable_by_key(|incident| incident.id);
        let open: Vec<u32> = found.into_iter().filter_map(|incident| self.adopt_incident(incident, now)).collect();
        let failed = open.iter().filter_map(|&slot| match &self.incidents.get(slot).subject {
            Subject::Target(name) => Some(name.to_string()),
            Subject::Job(_) | Subject::Server => None,
        });
        let failing = self.targets.assume_failing(failed.collect());
        for slot in open {
            let (subject, cause) = (self.incidents.get(slot).subject.clone(), self.incidents.get(slot).cause);
            match &subject {
                Subject::Job(id) if self.jobs.find(id.key()).is_none() => {
                    self.close_alone(&subject, cause, "the job was deleted", now);
                    continue;
                }
                Subject::Target(name) if !failing.contains(&**name) => {
                    self.close_alone(&subject, cause, "no job has this target any more", now);
                    continue;
                }
                Subject::Job(_) | Subject::Target(_) | Subject::Server => {}
            }
            self.reconsider(slot, now);
        }
        self.tell_untold();
    }

    /// Checks the tables against each other; O(n).
    pub(super) fn check_incidents(&self) {
        self.incidents.check();
        for slot in self.jobs.after(None) {
            let of_job = self.incidents.of_job(self.jobs[slot].revision().id).count();
            assert_eq!(of_job, usize::from(self.jobs[slot].incidents), "a job's incidents are counted wrong");
            assert!(of_job == 0 || !self.jobs[slot].is_deleted(), "nothing is wrong with a deleted job");
        }
    }
}
