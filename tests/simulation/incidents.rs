//! Owns the judgement of incidents: that one is open while something is wrong and not longer, and that it is told as the
//! policies and silences of that moment say. It works out both by itself, from rows and settings.
//! It must not ask the core which incidents are open.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use punctual::core::{
    Bounds, Cause, Event, Incident, IncidentChange, IncidentId, Kind, LedgerRow, Message, Persist, Scheduler, Setting,
    Silenced, Status, Subject,
};
use punctual::job::{AlertPolicy, JobKey, JobSpec, Term};
use punctual::time::{MonoUs, Now, WallUs};

use super::coverage::Coverage;
use super::disk::Disk;
use super::watch::Watch;

/// What of one process is known.
#[derive(Default)]
pub(crate) struct Incidents {
    open: BTreeMap<(Subject, Cause), Arc<Incident>>,
    newest: u64,
    failures: HashMap<JobKey, u32>,
    /// Messages that this process wrote, and those that left.
    written: BTreeSet<(IncidentId, u32)>,
    told: BTreeSet<(IncidentId, u32)>,
    /// When this process last told that an incident is open.
    told_at: BTreeMap<IncidentId, MonoUs>,
    /// What is wrong with the server.
    trouble: BTreeSet<Cause>,
    /// Items that change what counts, and are not known to be on disk.
    changes: BTreeSet<u64>,
    /// How many of them came to count by the input at hand: what was decided before and after is not known.
    settled: usize,
    /// Since when nothing that counts was changed.
    steady_since: MonoUs,
    /// When each job last succeeded.
    succeeded: HashMap<JobKey, MonoUs>,
    /// Whether a policy ever said that pauses are not told.
    hides_pauses: bool,
    bounds: Bounds,
    /// Whether at any moment of the item at hand so many were open that no other one is opened.
    is_full: bool,
}

/// What may come later than it should.
const SLACK: Duration = Duration::from_secs(5);

/// The policy that counts, worked out from the settings that the core says are in force.
fn policy_of(core: &Scheduler, spec: Option<&JobSpec>) -> AlertPolicy {
    let mut policies: Vec<AlertPolicy> = spec.and_then(JobSpec::alerts).cloned().into_iter().collect();
    let mut tags: Vec<&str> =
        spec.and_then(JobSpec::labels).map_or(Vec::new(), |labels| labels.tags.iter().map(|tag| &**tag).collect());
    tags.sort_unstable();
    for tag in tags {
        let found = core.settings().tag_policies().find(|(other, _)| *other == tag);
        policies.extend(found.map(|(_, policy)| (**policy).clone()));
    }
    policies.push(core.settings().server_policy().clone());
    let mut all = AlertPolicy::default();
    for one in policies {
        all.after = all.after.or(one.after);
        all.recovery = all.recovery.or(one.recovery);
        all.remind_every = all.remind_every.or(one.remind_every);
        all.no_success_for = all.no_success_for.or(one.no_success_for);
        all.late_by = all.late_by.or(one.late_by);
        all.on_auto_pause = all.on_auto_pause.or(one.on_auto_pause);
        all.on_server_trouble = all.on_server_trouble.or(one.on_server_trouble);
        all.channels = all.channels.or(one.channels);
    }
    all
}

/// Whether a silence covers an incident.
fn is_silenced(core: &Scheduler, incident: &Incident) -> bool {
    let spec = spec_of(core, &incident.subject);
    let target = match (&incident.subject, spec) {
        (Subject::Target(name), _) => Some(name.to_string()),
        (_, Some(spec)) => Some(spec.post.url.target().to_string()),
        (Subject::Job(_) | Subject::Server, None) => None,
    };
    core.settings().silences().any(|(_, silence)| match &silence.of {
        Silenced::Job(id) => incident.subject == Subject::Job(*id),
        Silenced::Tag(tag) => spec.and_then(JobSpec::labels).is_some_and(|labels| labels.tags.contains(tag)),
        Silenced::Target(name) => target.as_deref() == Some(&**name),
    })
}

fn spec_of<'a>(core: &'a Scheduler, subject: &Subject) -> Option<&'a JobSpec> {
    match subject {
        Subject::Job(id) => core.revision_of(id.key()).map(|revision| &revision.spec),
        Subject::Target(_) | Subject::Server => None,
    }
}

/// The channels of a policy that there are.
fn channels_of(core: &Scheduler, policy: &AlertPolicy) -> Vec<Box<str>> {
    let all: Vec<Box<str>> = core.settings().channels().map(|(name, _)| Box::from(&**name)).collect();
    match &policy.channels {
        None => all,
        Some(named) => named.iter().filter(|name| all.contains(name)).cloned().collect(),
    }
}

impl Incidents {
    /// A process starts.
    pub(crate) fn start(&mut self, disk: &Disk, now: Now, bounds: Bounds) {
        let open = disk.incidents.values().filter(|incident| incident.closed.is_none());
        let newest = disk.incidents.keys().map(|id| id.0).max().unwrap_or(0);
        *self = Incidents {
            open: open.map(|incident| ((incident.subject.clone(), incident.cause), Arc::clone(incident))).collect(),
            newest,
            failures: disk.failures(),
            steady_since: now.mono,
            hides_pauses: self.hides_pauses,
            bounds,
            ..Incidents::default()
        };
    }

    /// The server is told what is wrong with it.
    pub(crate) fn trouble(&mut self, cause: Cause, is_wrong: bool) {
        if is_wrong {
            self.trouble.insert(cause);
        } else {
            self.trouble.remove(&cause);
        }
    }

    /// The core hears that items up to this one are on disk.
    pub(crate) fn hear(&mut self, through: u64, rejected: &[u64], now: Now) {
        let later = self.changes.split_off(&(through + 1));
        let heard = std::mem::replace(&mut self.changes, later);
        for number in rejected {
            self.changes.remove(number);
        }
        self.settled = heard.len();
        if self.settled > 0 {
            self.loosen(now);
        }
    }

    /// All that followed from what was heard has been said.
    pub(crate) fn heard(&mut self) {
        self.settled = 0;
    }

    /// What counts is another now: what was waited for is waited for anew.
    fn loosen(&mut self, now: Now) {
        self.steady_since = now.mono;
        self.told_at.clear();
    }

    pub(crate) fn persist(
        &mut self,
        (number, item): (u64, &Persist),
        now: Now,
        core: &Scheduler,
        disk: &Disk,
        watch: &Watch,
        coverage: &mut Coverage,
    ) {
        self.is_full = self.open.len() >= self.bounds.incidents_open_max;
        match item {
            Persist::Row(row, news) => {
                let changes = news.as_ref().map_or(&[][..], |news| &news.incidents);
                changes.iter().for_each(|change| self.change(change, now, core, coverage));
                self.row(row, now, core, disk, watch);
            }
            Persist::Incident(change) => self.change(change, now, core, coverage),
            Persist::Setting(setting) => {
                self.changes.insert(number);
                if let Setting::Silence(_, None) = setting {
                    // One that is over counts no more at once.
                    self.changes.remove(&number);
                }
                if let Setting::Policy(_, Some(policy)) = setting {
                    self.hides_pauses |= policy.on_auto_pause == Some(false);
                }
            }
            Persist::Change(_) => {
                self.changes.insert(number);
            }
            Persist::Remove(_) | Persist::Calendar(_) | Persist::Runs(_) => {}
            Persist::Release { .. } | Persist::HandOver(_) => panic!("there is no other node: {item:?}"),
        }
    }

    /// What must be open, and must not, once an execution has ended like this.
    fn row(&mut self, row: &LedgerRow, now: Now, core: &Scheduler, disk: &Disk, watch: &Watch) {
        let key = row.key.job;
        let failures = self.failures.entry(key).or_default();
        match row.record.status {
            Status::Pending => return,
            Status::Success => {
                *failures = 0;
                self.succeeded.insert(key, now.mono);
            }
            Status::Failed => *failures += 1,
            Status::Skipped => {}
        }
        let failures = *failures;
        let Some(revision) = core.revision_of(key) else { return };
        // Of a job that goes nothing is said any more.
        if disk.live(revision.id).is_none() || watch.is_changing(key) || self.settled > 0 {
            return;
        }
        let policy = policy_of(core, Some(&revision.spec));
        self.is_full |= self.open.len() >= self.bounds.incidents_open_max;
        let is_open = |cause| self.open.contains_key(&(Subject::Job(revision.id), cause));
        match row.record.status {
            Status::Success => {
                assert!(!is_open(Cause::Failing), "{key:?} succeeds, and is said to fail");
                assert!(!is_open(Cause::NoSuccess), "{key:?} succeeds, and is said to have no success");
            }
            Status::Failed if failures >= policy.after.unwrap_or(1) => {
                assert!(self.is_full || is_open(Cause::Failing), "{key:?} failed {failures} times, and nobody says so");
            }
            Status::Failed | Status::Skipped | Status::Pending => {}
        }
        if let Some(late_by) = policy.late_by.and_then(Term::time).filter(|_| row.key.kind == Kind::Scheduled) {
            let instant = row.record.covers.map_or(row.key.instant, |covers| covers.from);
            let late_us = row.record.executed.unwrap_or(now.wall).since_us(WallUs::of(instant));
            let is_late = i128::from(late_us) >= late_by.as_micros().cast_signed();
            // A policy that is new comes to each job in its turn, and in a tick after what is due is armed.
            let is_new = now.mono <= self.steady_since.plus(SLACK);
            let is_told = self.is_full || is_open(Cause::Late) || is_new;
            assert!(!is_late || is_told, "an execution is {late_us} us late, and nobody says so: {row:?}");
            let in_time = !is_late && row.record.executed.is_some();
            let late = self.open.get(&(Subject::Job(revision.id), Cause::Late)).and_then(|late| late.execution);
            let is_before = late.is_some_and(|late| late.instant >= row.key.instant);
            assert!(!in_time || is_before || !is_open(Cause::Late), "an execution began in time: {row:?}");
        }
    }

    fn change(&mut self, change: &IncidentChange, now: Now, core: &Scheduler, coverage: &mut Coverage) {
        let incident = &change.incident;
        let place = (incident.subject.clone(), incident.cause);
        let before = self.open.get(&place).cloned();
        assert!(incident.opened_at <= now.wall || before.is_some(), "it was opened in the future");
        match &before {
            Some(before) => {
                assert_eq!(before.id, incident.id, "two incidents of one thing are open");
                assert!(before.acknowledged.is_none() || incident.acknowledged.is_some(), "somebody knows for good");
                let same = (&before.summary, before.opened_at) == (&incident.summary, incident.opened_at);
                assert!(same, "an incident became another one: {before:?} {incident:?}");
            }
            None => {
                assert!(incident.closed.is_none(), "what was not open was closed: {incident:?}");
                let is_of_job = matches!(incident.subject, Subject::Job(_));
                let has_room = self.open.len() < self.bounds.incidents_open_max;
                assert!(!is_of_job || has_room, "more incidents are open than may be: {incident:?}");
                assert!(incident.id.0 > self.newest, "an id is used once");
                self.newest = incident.id.0;
                coverage.hit(opened(incident.cause));
            }
        }
        let messages_before = before.as_ref().map_or(0, |before| before.messages);
        match &change.message {
            Some(message) => self.message(message, messages_before, before.as_deref(), now, core, coverage),
            None => assert_eq!(incident.messages, messages_before, "a message is lost"),
        }
        match &incident.closed {
            Some(_) => {
                let policy = policy_of(core, spec_of(core, &incident.subject));
                let is_told = change.message.is_some();
                let wants = policy.recovery != Some(false) && !channels_of(core, &policy).is_empty();
                assert!(!is_told || incident.told, "the end is told if the beginning was: {incident:?}");
                let is_sure = self.is_sure_of_end(core, &incident.subject);
                assert!(!is_sure || is_told == (incident.told && wants), "the end is told, or not: {incident:?}");
                self.open.remove(&place);
                coverage.hit(closed(incident.cause));
                coverage.hit_if(!incident.told, "closed and never told");
            }
            None => drop(self.open.insert(place, Arc::clone(incident))),
        }
    }

    /// Whether it is known what counted when something was decided.
    fn is_sure(&self, core: &Scheduler, subject: &Subject) -> bool {
        let is_gone = matches!(subject, Subject::Job(_)) && spec_of(core, subject).is_none();
        self.settled <= 1 && !is_gone
    }

    /// The same of an end: a row may have brought it that was on disk before what changed something.
    fn is_sure_of_end(&self, core: &Scheduler, subject: &Subject) -> bool {
        self.settled == 0 && self.is_sure(core, subject)
    }

    fn message(
        &mut self,
        message: &Message,
        before: u32,
        was: Option<&Incident>,
        now: Now,
        core: &Scheduler,
        coverage: &mut Coverage,
    ) {
        let incident = &message.incident;
        assert_eq!((message.number, incident.messages), (before + 1, before + 1), "messages are counted");
        assert!(self.written.insert((incident.id, message.number)), "a message has a number of its own");
        let policy = policy_of(core, spec_of(core, &incident.subject));
        let is_sure = match message.event {
            Event::Closed => self.is_sure_of_end(core, &incident.subject),
            Event::Opened | Event::Reminded => self.is_sure(core, &incident.subject),
        };
        let is_right = message.channels.to_vec() == channels_of(core, &policy);
        assert!(!is_sure || is_right, "it goes to others: {policy:?} {message:?}");
        assert!(!message.channels.is_empty() && message.at == now.wall);
        let was_told = was.is_some_and(|was| was.told);
        match message.event {
            Event::Opened => assert!(!was_told && incident.closed.is_none(), "the first message is of the beginning"),
            Event::Reminded => {
                assert!(was_told && incident.closed.is_none() && incident.acknowledged.is_none());
                let every = policy.remind_every.and_then(Term::time).unwrap_or_default();
                assert!(!is_sure || every > Duration::ZERO, "nobody asks to be reminded");
                let last = self.told_at.get(&incident.id);
                let waited = last.map(|last| Duration::from_micros(now.mono.0 - last.0));
                assert!(waited.is_none_or(|waited| waited >= every), "reminded too early: {waited:?}");
                coverage.hit("reminded");
            }
            Event::Closed => assert!(was_told && incident.closed.is_some()),
        }
        if message.event != Event::Closed {
            assert!(!is_sure || !is_silenced(core, incident), "it is told in a silence: {incident:?}");
            self.told_at.insert(incident.id, now.mono);
        }
    }

    /// A message leaves.
    pub(crate) fn tell(&mut self, message: &Message, disk: &Disk, coverage: &mut Coverage) {
        let id = (message.incident.id, message.number);
        assert!(self.told.insert(id), "a message leaves once in a process");
        assert!(self.written.contains(&id), "a message leaves that was not asked to be written");
        let waits = message.incident.cause != Cause::StoreFailing || message.event == Event::Closed;
        let stored = disk.messages.get(&id);
        assert!(!waits || stored == Some(message), "a message leaves that is not on disk");
        coverage.hit_if(stored.is_none(), "told before it is on disk");
        coverage.hit("message told");
    }

    /// All is healed and written: what is open is wrong, and who is to know it does.
    pub(crate) fn judge(&self, core: &Scheduler, disk: &Disk, now: Now, coverage: &mut Coverage) {
        let open: BTreeMap<(Subject, Cause), Arc<Incident>> = disk
            .incidents
            .values()
            .filter(|incident| incident.closed.is_none())
            .map(|incident| ((incident.subject.clone(), incident.cause), Arc::clone(incident)))
            .collect();
        assert_eq!(open, self.open, "other incidents are open on disk");
        assert_eq!(open.len(), core.open_incidents(), "the core counts others");
        assert_eq!(self.written, self.told, "a message was written, and did not leave");
        for incident in open.values() {
            let policy = policy_of(core, spec_of(core, &incident.subject));
            let may_be_told = !is_silenced(core, incident) && !channels_of(core, &policy).is_empty();
            // Who acknowledges it knows of it.
            let is_known = incident.told || incident.acknowledged.is_some();
            assert!(is_known || !may_be_told, "nobody was told: {incident:?}");
            coverage.hit_if(is_silenced(core, incident) && !incident.told, "silenced to the end");
            match &incident.subject {
                Subject::Job(id) => {
                    let job = disk.live(*id).expect("nothing is wrong with a job that is gone");
                    let pause = job.revision.pause_at(now.wall);
                    let by_policy = pause.is_some_and(|pause| pause.reason.is_some());
                    assert!(incident.cause != Cause::AutoPaused || by_policy, "it goes on, and is said to be paused");
                }
                Subject::Target(name) => {
                    let mut live = disk.jobs.values().filter(|job| job.deleted.is_none());
                    let is_there = live.any(|job| job.revision.spec.post.url.target().to_string() == **name);
                    assert!(is_there, "nothing is wrong with a target that is gone");
                }
                Subject::Server => assert!(self.trouble.contains(&incident.cause), "all is well with the server"),
            }
        }
        for job in disk.jobs.values().filter(|job| job.deleted.is_none()) {
            let (id, pause) = (job.revision.id, job.revision.pause_at(now.wall));
            let policy = policy_of(core, Some(&job.revision.spec));
            let is_open = |cause| open.contains_key(&(Subject::Job(id), cause));
            let by_policy = pause.is_some_and(|pause| pause.reason.is_some());
            // A policy that came later says nothing of a pause before.
            let may_say = !self.hides_pauses && core.counts().incidents_passed_over == 0;
            assert!(!by_policy || !may_say || is_open(Cause::AutoPaused), "nobody says that {id} is paused");
            assert!(
                policy.no_success_for.and_then(Term::time).is_some() || !is_open(Cause::NoSuccess),
                "nobody asks any more"
            );
            assert!(policy.late_by.and_then(Term::time).is_some() || !is_open(Cause::Late), "nobody asks any more");
            let since = self.steady_since.max(self.succeeded.get(&id.key()).copied().unwrap_or_default());
            let quiet = Duration::from_micros(now.mono.0 - since.0);
            if let Some(most) = policy.no_success_for.and_then(Term::time).filter(|&most| quiet > 2 * most + SLACK) {
                let was_full = core.counts().incidents_passed_over > 0;
                assert!(
                    was_full || is_open(Cause::NoSuccess),
                    "no success of {id} within {most:?}, and nobody says so"
                );
                coverage.hit("no success to the end");
            }
        }
    }
}

fn opened(cause: Cause) -> &'static str {
    match cause {
        Cause::Failing => "incident of failures",
        Cause::NoSuccess => "incident of no success",
        Cause::Late => "incident of lateness",
        Cause::AutoPaused => "incident of a pause",
        Cause::TargetFailing => "incident of a target",
        Cause::StoreFailing => "incident of the store",
        Cause::DiskNearlyFull => "incident of the disk",
    }
}

fn closed(cause: Cause) -> &'static str {
    match cause {
        Cause::Failing => "end of failures",
        Cause::NoSuccess => "end of no success",
        Cause::Late => "end of lateness",
        Cause::AutoPaused => "end of a pause",
        Cause::TargetFailing => "end of a target's failure",
        Cause::StoreFailing => "end of the store's failure",
        Cause::DiskNearlyFull => "end of a full disk",
    }
}
