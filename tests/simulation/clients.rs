//! Owns the clients: what they ask for, what they were answered, and what an answer obliges to.
//! It must not look into the core.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use punctual::core::{
    Action, Attempt, Class, Command, ExecutionId, IncidentId, Refusal, Reply, RequestId, Setting, Silence,
};
use punctual::job::{Context, JobId, JobSpec, Post, Revision};
use punctual::schedule::{Calendars, Dates, Zones};
use punctual::time::{Instant, WallUs};

use super::again::Sent;
use super::batches::Batch;
use super::beat::Beat;
use super::berlin;
use super::coverage::{Coverage, Mix};
use super::disk::{Disk, DiskJob};
use super::plan::{Plan, Profile};
use super::policies::{Lap, Policies};
use super::rng::Rng;
use super::runs::{Runs, Wanted};
use super::steering::{self, TAGS};

/// What a client wrote; its number is the path of the URL, so that every spec tells where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    pub(crate) beat: Beat,
    pub(crate) policies: Policies,
    /// A day since 1970 that it leaves out, and a calendar of such days.
    leaves_out: (Option<i64>, Option<&'static str>),
    active: Option<bool>,
    at: Instant,
}

/// The calendars there may be.
pub(crate) const CALENDARS: [&str; 2] = ["closed", "feasts"];
pub(crate) const DAY_S: i64 = 86_400;

/// The date of a day since 1970.
fn date_of(day: i64) -> String {
    let time = chrono::DateTime::from_timestamp(day * DAY_S, 0).expect("within a few days");
    time.format("%Y-%m-%d").to_string()
}

#[derive(Clone)]
pub(crate) enum Asked {
    Create {
        draft: u64,
    },
    Update {
        id: JobId,
        draft: u64,
        expected: Option<u32>,
    },
    /// A draft, or what the job is.
    Apply {
        id: JobId,
        draft: Option<u64>,
    },
    Delete {
        id: JobId,
    },
    Release {
        id: JobId,
    },
    Run {
        wanted: Wanted,
    },
    ReplayAll {
        origins: Vec<ExecutionId>,
    },
    Pause {
        id: JobId,
    },
    Resume {
        id: JobId,
    },
    PutCalendar {
        name: Arc<str>,
    },
    DeleteCalendar {
        name: Arc<str>,
    },
    Set {
        setting: Setting,
    },
    Silence {
        silence: Silence,
    },
    Acknowledge {
        id: IncidentId,
    },
}

impl Asked {
    /// What is written in it.
    pub(crate) fn draft(&self) -> Option<u64> {
        match *self {
            Asked::Create { draft } | Asked::Update { draft, .. } => Some(draft),
            Asked::Apply { draft, .. } => draft,
            _ => None,
        }
    }

    /// The job that it is about.
    fn job(&self) -> Option<JobId> {
        match *self {
            Asked::Update { id, .. } | Asked::Delete { id } | Asked::Release { id } => Some(id),
            Asked::Apply { id, .. } => Some(id),
            Asked::Pause { id } | Asked::Resume { id } | Asked::Run { wanted: Wanted { id, .. } } => Some(id),
            Asked::Create { .. } | Asked::PutCalendar { .. } | Asked::DeleteCalendar { .. } => None,
            Asked::ReplayAll { .. } | Asked::Set { .. } | Asked::Silence { .. } | Asked::Acknowledge { .. } => None,
        }
    }
}

#[derive(Default)]
pub(crate) struct Clients {
    drafts: Vec<Written>,
    next_request: u64,
    /// What the process at hand has not answered.
    pub(crate) open: BTreeMap<RequestId, Asked>,
    /// What was said that requests will be answered.
    planned: BTreeMap<RequestId, Reply>,
    /// Requests that may have to be sent again, and those that were sent before.
    pub(crate) sent: BTreeMap<RequestId, Sent>,
    pub(crate) repeated: BTreeSet<RequestId>,
    /// Drafts whose change was refused: they are never in force.
    pub(crate) refused: BTreeSet<u64>,
    /// Jobs whose deletion was answered.
    pub(crate) deleted: BTreeSet<JobId>,
    /// The revision last answered for each job.
    answered: HashMap<JobId, u32>,
    /// Jobs a client can know of.
    pub(crate) known: Vec<JobId>,
    pub(crate) runs: Runs,
    /// Jobs that clients asked to be paused or resumed.
    pub(crate) paused: BTreeSet<JobId>,
    /// What is to be written together.
    pub(crate) batch: Option<Batch>,
    targets: u64,
    pub(crate) profile: Option<Profile>,
    pub(crate) has_policies: bool,
}

/// The zones there are, made once for all runs.
pub(crate) static ZONES: LazyLock<Zones> = LazyLock::new(Zones::bundled);

impl Clients {
    pub(crate) fn new(plan: &Plan) -> Clients {
        let (targets, profile) = (plan.manners.len() as u64, Some(plan.profile));
        let runs = Runs::new(plan.settings.bounds.backfill_max);
        Clients { targets, profile, runs, has_policies: plan.has_policies, ..Clients::default() }
    }

    pub(crate) fn create(&mut self, calendars: &Calendars, rng: &mut Rng, wall: WallUs) -> Command {
        let active = *rng.pick(&[None, None, None, Some(true), Some(false)]);
        let beat = self.beat(rng, wall);
        let entropy = [0; 10].map(|_: u8| rng.next().to_le_bytes()[0]);
        let (number, spec) = self.draft(beat, active, calendars, rng, wall);
        let command = self.ask(Asked::Create { draft: number }, Action::Create { spec, entropy, pause: None });
        Command { read_at: wall.floor(), ..command }
    }

    /// A change of some job, or a new one.
    pub(crate) fn command(&mut self, disk: &Disk, calendars: &Calendars, rng: &mut Rng, wall: WallUs) -> Command {
        if self.has_policies && rng.per_cent(15) {
            return self.calendar(rng, wall);
        }
        if self.has_policies && rng.per_cent(25) {
            return self.steer(disk, rng, wall);
        }
        if self.known.is_empty() || rng.per_cent(25) {
            return self.create(calendars, rng, wall);
        }
        if self.has_policies && rng.per_cent(4) {
            let origins = self.runs.ask_all(disk, rng);
            let asked = Asked::ReplayAll { origins: origins.iter().map(|(id, _)| *id).collect() };
            return self.ask(asked, Action::ReplayAll(origins));
        }
        let id = *rng.pick(&self.known);
        if self.has_policies && rng.per_cent(25) {
            let (wanted, run) = self.runs.ask(id, disk, rng, wall);
            return self.ask(Asked::Run { wanted }, Action::Run(Box::new(run)));
        }
        if self.has_policies && rng.per_cent(15) {
            self.paused.insert(id);
            if rng.per_cent(50) {
                let until = rng.per_cent(50).then(|| Instant::from_secs(wall.floor().as_secs() + rng.signed(1..=90)));
                return self.ask(Asked::Pause { id }, Action::Pause { id, until, note: None, expected: None });
            }
            let missed = rng.per_cent(50);
            return self.ask(Asked::Resume { id }, Action::Resume { id, missed, expected: None });
        }
        if rng.per_cent(15) {
            return self.ask(Asked::Release { id }, Action::Release { id });
        }
        if rng.per_cent(20) {
            return self.ask(Asked::Delete { id }, Action::Delete { id, expected: None });
        }
        self.update(id, disk, calendars, rng, wall)
    }

    /// Few jobs leave something out.
    fn days_left_out(&self, calendars: &Calendars, rng: &mut Rng, wall: WallUs) -> (Option<i64>, Option<&'static str>) {
        let today = wall.floor().as_secs().div_euclid(DAY_S);
        let own = rng.per_cent(20).then(|| today + rng.signed(0..=3));
        let name = *rng.pick(&CALENDARS);
        let follows = rng.per_cent(40) && calendars.get(name).is_some();
        (own, follows.then_some(name))
    }

    /// Whether a revision is due on this second: for sure, and perhaps. `versions` are the sets of days that its
    /// calendar has had at that time or later.
    pub(crate) fn is_due(&self, revision: &Revision, second: i64, disk: &Disk) -> (bool, bool) {
        let written = &self.drafts[draft_of(revision)];
        let day = written.beat.day(second);
        if !written.beat.is_due(second, revision.anchor.as_secs()) || written.leaves_out.0 == Some(day) {
            return (false, false);
        }
        let Some(name) = written.leaves_out.1 else { return (true, true) };
        let date = date_of(day);
        let versions = disk.calendar_versions(name, second);
        let left_out: Vec<bool> =
            versions.iter().map(|dates| dates.iter().any(|other| other.to_string() == date)).collect();
        (left_out.iter().all(|left_out| !left_out), left_out.iter().any(|left_out| !left_out))
    }

    /// Whether a revision is due on this second, as its calendar is now.
    pub(crate) fn is_due_now(&self, revision: &Revision, second: i64, disk: &Disk) -> bool {
        let written = &self.drafts[draft_of(revision)];
        let day = written.beat.day(second);
        let dates = written.leaves_out.1.and_then(|name| disk.calendars.get(name));
        let is_left_out = || dates.is_some_and(|dates| dates.iter().any(|date| date.to_string() == date_of(day)));
        written.beat.is_due(second, revision.anchor.as_secs()) && written.leaves_out.0 != Some(day) && !is_left_out()
    }

    /// Whether a revision leaves out the dates of a calendar.
    pub(crate) fn follows_calendar(&self, revision: &Revision) -> bool {
        self.drafts[draft_of(revision)].leaves_out.1.is_some()
    }

    /// What of a run comes together in an attempt.
    pub(crate) fn mix_of(&self, attempt: &Attempt, disk: &Disk) -> Mix {
        let draft = draft_in(&attempt.post);
        let (written, policies) = (&self.drafts[draft], self.drafts[draft].policies);
        let second = attempt.id.instant.as_secs();
        let beside = |change: i64| (second - change).abs() <= 3 * 3_600;
        let of_zone = matches!(written.beat, Beat::Berlin { .. } | Beat::BerlinHours(_));
        Mix([
            of_zone && (beside(berlin::SPRING) || beside(berlin::AUTUMN)),
            policies.overlap != Lap::Allow,
            attempt.class == Class::CatchUp,
            attempt.number > 1 && attempt.class != Class::Recovered,
            attempt.class == Class::Recovered,
            disk.jobs[&attempt.id.job.key()].history.len() > 1,
            policies.at_most_once,
            policies.key.is_some(),
            written.leaves_out != (None, None),
        ])
    }

    /// Whether a revision may come to an end by itself.
    pub(crate) fn ends(&self, revision: &Revision) -> bool {
        self.drafts[draft_of(revision)].beat.ends()
    }

    /// A calendar put or deleted. Its dates lie around now, each in a new number of them.
    fn calendar(&mut self, rng: &mut Rng, wall: WallUs) -> Command {
        let name: Arc<str> = (*rng.pick(&CALENDARS)).into();
        if rng.per_cent(20) {
            return self.ask(Asked::DeleteCalendar { name: Arc::clone(&name) }, Action::DeleteCalendar { name });
        }
        let today = wall.floor().as_secs().div_euclid(DAY_S);
        let days: BTreeSet<i64> = (0..rng.within(0..=4)).map(|_| today + rng.signed(-1..=4)).collect();
        let texts: Vec<String> = days.iter().map(|day| date_of(*day)).collect();
        let dates = Dates::parse(texts.iter().map(String::as_str), 10).expect("dates");
        let dates = Arc::new(dates);
        self.ask(Asked::PutCalendar { name: Arc::clone(&name) }, Action::PutCalendar { name, dates })
    }

    pub(crate) fn update(
        &mut self,
        id: JobId,
        disk: &Disk,
        calendars: &Calendars,
        rng: &mut Rng,
        wall: WallUs,
    ) -> Command {
        let now = disk.live(id).map(|job| self.drafts[draft_of(&job.revision)].beat);
        let beat = match now {
            Some(beat) if rng.per_cent(40) => beat,
            Some(_) | None => self.beat(rng, wall),
        };
        let active = *rng.pick(&[None, None, Some(true), Some(true), Some(false)]);
        let (number, spec) = self.draft(beat, active, calendars, rng, wall);
        let expected = self.answered.get(&id).copied().filter(|_| rng.per_cent(20));
        let only = expected.map(|expected| Box::from([expected]));
        let action = Action::Update { id, spec, keep_active: active.is_none(), expected: only };
        Command { read_at: wall.floor(), ..self.ask(Asked::Update { id, draft: number, expected }, action) }
    }

    /// A job clients know that is still there.
    pub(crate) fn some_live(&self, disk: &Disk, rng: &mut Rng) -> Option<JobId> {
        let live: Vec<JobId> = self.known.iter().copied().filter(|&id| disk.live(id).is_some()).collect();
        (!live.is_empty()).then(|| *rng.pick(&live))
    }

    pub(crate) fn beat(&self, rng: &mut Rng, wall: WallUs) -> Beat {
        match self.profile {
            Some(Profile::Sparse) if self.has_policies && rng.per_cent(50) => Beat::local(rng, wall.floor().as_secs()),
            Some(Profile::Sparse) => Beat::sparse(rng),
            Some(Profile::Storm) => Beat::Minutely(0),
            Some(Profile::Overload) => Beat::Step(1),
            Some(Profile::Busy) | None => Beat::lively(rng),
        }
    }

    pub(crate) fn draft(
        &mut self,
        beat: Beat,
        active: Option<bool>,
        calendars: &Calendars,
        rng: &mut Rng,
        wall: WallUs,
    ) -> (u64, JobSpec) {
        let number = self.drafts.len() as u64;
        let host = rng.within(0..=self.targets - 1);
        let policies = if self.has_policies { Policies::random(rng) } else { Policies::default() };
        let mut timing = beat.members();
        let leaves_out = if self.has_policies { self.days_left_out(calendars, rng, wall) } else { (None, None) };
        if let Some(day) = leaves_out.0 {
            timing.insert("excludeDates".to_owned(), serde_json::json!([date_of(day)]));
        }
        if let Some(name) = leaves_out.1 {
            timing.insert("excludeCalendars".to_owned(), serde_json::json!([name]));
        }
        if self.has_policies && rng.per_cent(30) {
            timing.insert("name".to_owned(), (*rng.pick(&["one", "two", "three", "four", "five"])).into());
        }
        let mut definition = policies.define(timing, &format!("http://t{host}.test/{number}"), active);
        if self.has_policies {
            let tags: Vec<String> = TAGS.iter().filter(|_| rng.per_cent(35)).map(|&tag| tag.to_owned()).collect();
            definition.tags = (!tags.is_empty()).then_some(tags);
            definition.alerts = steering::of_job(rng);
        }
        self.drafts.push(Written { beat, policies, leaves_out, active, at: wall.floor() });
        let context = Context { zones: Some(&ZONES), calendars: Some(calendars), ..Context::at(wall.floor()) };
        (number, JobSpec::compile(&definition, &context).expect("a valid definition"))
    }

    pub(crate) fn ask(&mut self, asked: Asked, action: Action) -> Command {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.open.insert(request, asked);
        // Every other one wants to know what it will be answered.
        Command { request, action, plans: self.next_request.is_multiple_of(2), read_at: Instant::LAST }
    }

    /// It was said what a request will be answered, once it is on disk.
    pub(crate) fn planned(&mut self, request: RequestId, reply: Reply) {
        assert!(self.open.contains_key(&request) && request.0.is_multiple_of(2), "nobody wants to know that");
        assert!(self.planned.insert(request, reply).is_none(), "it is said once");
    }

    /// What was said is what is answered.
    fn assert_planned(&mut self, request: RequestId, reply: &Reply, coverage: &mut Coverage) {
        let planned = self.planned.remove(&request);
        match (planned, reply) {
            (Some(Reply::Created(said)), Reply::Created(view)) | (Some(Reply::Updated(said)), Reply::Updated(view)) => {
                let of = |revision: &Revision| (revision.id, revision.number, revision.updated_at);
                assert_eq!(of(&said.revision), of(&view.revision), "another revision was said");
                coverage.hit("change as it was planned");
            }
            (Some(Reply::Started(said)), Reply::Started(ids)) => {
                assert_eq!(said, *ids, "other executions were said");
                coverage.hit("run as it was planned");
            }
            (Some(Reply::StartedAll(said, _)), Reply::StartedAll(ids, _)) => {
                assert_eq!(said, *ids, "other executions were said");
            }
            (Some(Reply::Started(said)), Reply::Ended(id, _)) => assert_eq!(said[0], *id),
            (Some(Reply::Set(said)), Reply::Set(done)) => {
                assert_eq!(format!("{said:?}"), format!("{done:?}"), "another setting was said");
            }
            (Some(Reply::Acknowledged(said)), Reply::Acknowledged(done)) => assert_eq!(said.id, done.id),
            (Some(Reply::Deleted), Reply::Deleted) | (Some(Reply::CalendarDeleted), Reply::CalendarDeleted) => {}
            (Some(Reply::CalendarPut { name: said, dates: those, .. }), Reply::CalendarPut { name, dates, .. }) => {
                assert_eq!((&said, &those), (name, dates), "another calendar was said");
            }
            (Some(_), Reply::Refused(Refusal::NotWritten)) => coverage.hit("planned in vain"),
            (Some(said), other) => panic!("said was {said:?}, and answered {other:?}"),
            (None, Reply::Created(_) | Reply::Started(_) | Reply::Deleted | Reply::CalendarPut { .. }) => {
                assert!(!request.0.is_multiple_of(2), "who wants to know is told");
            }
            (None, _) => {}
        }
    }

    /// What is answered is on disk, and what is refused is not and will not be, unless its client asks again.
    pub(crate) fn answered(
        &mut self,
        request: RequestId,
        reply: &Reply,
        asks_again: bool,
        disk: &Disk,
        coverage: &mut Coverage,
    ) {
        let asked = self.open.remove(&request).expect("a command is answered once");
        self.assert_planned(request, reply, coverage);
        let is_again = self.repeated.remove(&request);
        let kept = asked.draft().filter(|draft| !self.refused.contains(draft));
        self.settle(asked, reply, disk, coverage);
        if let Some(draft) = kept.filter(|_| asks_again || is_again) {
            // It may be in force, or come to be.
            self.refused.remove(&draft);
        }
    }

    /// Whether a request can be sent again as it was: what it is about is there for as long.
    pub(crate) fn may_be_repeated(&self, asked: &Asked) -> bool {
        asked.draft().is_none_or(|draft| {
            let written = &self.drafts[usize::try_from(draft).expect("an index")];
            written.leaves_out.1.is_none() && !written.beat.ends()
        })
    }

    fn settle(&mut self, asked: Asked, reply: &Reply, disk: &Disk, coverage: &mut Coverage) {
        if let Asked::Set { .. } | Asked::Silence { .. } | Asked::Acknowledge { .. } = asked {
            return self.steered(asked, reply, disk, coverage);
        }
        match (asked, reply) {
            (Asked::Create { draft }, Reply::Created(view)) => {
                self.assert_in_force(&view.revision, draft, disk);
                self.known.push(view.revision.id);
            }
            (Asked::Update { id, draft, .. }, Reply::Updated(view)) => {
                assert_eq!(view.revision.id, id);
                self.assert_in_force(&view.revision, draft, disk);
            }
            (Asked::Pause { id }, Reply::Updated(view)) => {
                assert!(view.revision.id == id && view.revision.pause.is_some(), "a pause that is none");
                self.answered.insert(id, view.revision.number);
                coverage.hit("paused by a client");
                coverage.hit_if(view.revision.spec.active, "paused until a moment");
            }
            (Asked::Resume { id }, Reply::Updated(view)) => {
                assert!(view.revision.id == id && !view.paused, "a job is resumed and still paused");
                self.answered.insert(id, view.revision.number);
                let owes = view.revision.since < view.revision.updated_at.floor();
                coverage.hit_if(view.revision.pause.is_none(), "resumed");
                coverage.hit_if(owes, "resumed with what was missed");
            }
            (Asked::Update { draft, expected: Some(expected), .. }, Reply::Changed(number)) => {
                assert_ne!(expected, *number, "it is the revision that was expected");
                self.refused.insert(draft);
                coverage.hit("changed meanwhile");
            }
            (Asked::Create { draft } | Asked::Update { draft, .. }, Reply::Invalid(error)) => {
                assert_eq!(error.member, "alerts.channels", "{error}");
                self.refused.insert(draft);
                coverage.hit("job with an unknown channel refused");
            }
            (Asked::Apply { draft: Some(draft), .. }, Reply::Invalid(error)) => {
                let written = &self.drafts[usize::try_from(draft).expect("an index")];
                let may_be_over = error.member == "runAt" && written.beat.ends();
                assert!(error.member == "alerts.channels" || may_be_over, "{error}");
                self.refused.insert(draft);
            }
            (Asked::Create { draft } | Asked::Update { draft, .. }, Reply::NameTaken(_)) => {
                self.refused.insert(draft);
                coverage.hit("name taken");
            }
            (Asked::Apply { id, draft: None }, Reply::Unchanged(found)) => {
                assert_eq!(id, *found, "what a job is was taken for another one");
                coverage.hit("declared and unchanged");
            }
            (Asked::Apply { draft, .. }, Reply::Conflict(_) | Reply::NameTaken(_)) => {
                self.refused.extend(draft);
                coverage.hit("declared and refused");
            }
            (Asked::Apply { id, draft }, Reply::Nameless) => {
                assert!(disk.live(id).is_none(), "a job that is on disk was not found");
                self.refused.extend(draft);
            }
            (Asked::Delete { id }, Reply::Deleted) => {
                let deleted = disk.jobs.get(&id.key()).is_some_and(|job| job.deleted.is_some());
                assert!(deleted, "a deletion was answered that is not on disk");
                self.deleted.insert(id);
            }
            (Asked::Release { id }, Reply::Updated(view)) => {
                assert_eq!(view.revision.id, id);
                assert!(view.revision.era > 0, "a release begins another era");
                self.answered.insert(id, view.revision.number);
                coverage.hit("held job released");
            }
            (Asked::PutCalendar { name }, Reply::CalendarPut { dates, .. }) => {
                let logged = disk.calendar_log.iter().any(|(other, put)| *other == name && put.as_ref() == Some(dates));
                assert!(logged, "a calendar was answered that is not on disk");
                coverage.hit("calendar put");
            }
            (Asked::DeleteCalendar { name }, Reply::CalendarDeleted) => {
                let logged = disk.calendar_log.iter().any(|(other, put)| *other == name && put.is_none());
                assert!(logged, "a deletion was answered that is not on disk");
                coverage.hit("calendar deleted");
            }
            (Asked::PutCalendar { .. }, Reply::TooMany(_)) => coverage.hit("too many calendars"),
            (Asked::DeleteCalendar { .. }, Reply::Conflict(_)) => coverage.hit("calendar with jobs kept"),
            (Asked::DeleteCalendar { .. }, Reply::NoSuchCalendar) => {}
            (Asked::ReplayAll { origins }, Reply::StartedAll(ids, passed_over)) => {
                self.runs.started_all(&origins, ids, *passed_over, disk, coverage);
            }
            (Asked::Run { wanted }, Reply::Started(ids)) => self.runs.started(wanted, ids, disk, coverage),
            (Asked::Run { wanted }, Reply::Ended(id, record)) => self.runs.ended(wanted, *id, record, disk, coverage),
            (Asked::Run { .. }, Reply::Conflict(why)) if why.starts_with("another") => {
                coverage.hit("run beside another")
            }
            (Asked::Run { .. }, Reply::Invalid(why)) if why.message.contains("at most") => {
                coverage.hit("backfill of too much");
            }
            (Asked::Run { .. }, Reply::Conflict(_) | Reply::Invalid(_)) => coverage.hit("run of nothing"),
            (Asked::Create { draft } | Asked::Update { draft, .. }, Reply::Conflict(_)) => {
                self.refused.insert(draft);
                coverage.hit("change of a batch refused");
            }
            (Asked::Pause { .. } | Asked::Resume { .. } | Asked::Delete { .. }, Reply::Conflict(_)) => {
                coverage.hit("change of a batch refused");
            }
            (Asked::Release { .. }, Reply::Conflict(_)) => coverage.hit("release of a job that is not held"),
            (asked, Reply::NotFound) => {
                let id = asked.job().expect("only what is asked of a job may not find one");
                assert!(disk.live(id).is_none(), "a job that is on disk was not found");
                coverage.hit("not found");
            }
            (asked, Reply::Refused(why)) => {
                let (draft, rejected) = match asked {
                    Asked::Create { draft } => (Some(draft), "create rejected"),
                    Asked::Update { draft, .. } => (Some(draft), "update rejected"),
                    Asked::Apply { draft, .. } => (draft, "declaration rejected"),
                    Asked::Delete { .. } => (None, "delete rejected"),
                    Asked::Release { .. } => (None, "release rejected"),
                    Asked::Run { .. } | Asked::ReplayAll { .. } => (None, "run rejected"),
                    Asked::Pause { .. } | Asked::Resume { .. } => (None, "pause rejected"),
                    Asked::PutCalendar { .. } | Asked::DeleteCalendar { .. } => (None, "calendar rejected"),
                    Asked::Set { .. } | Asked::Silence { .. } | Asked::Acknowledge { .. } => (None, "setting rejected"),
                };
                self.refused.extend(draft);
                match why {
                    Refusal::NotWritten => coverage.hit(rejected),
                    Refusal::Draining => coverage.hit("refused while draining"),
                    Refusal::TooManyChangesOfJob => coverage.hit("too many changes of a job"),
                    Refusal::ChangesPending => coverage.hit("other changes pending"),
                    Refusal::TooManyChanges => coverage.hit("too many changes"),
                    Refusal::TooManyExecutions => coverage.hit("too many executions"),
                    Refusal::TooManyExecutionsOfJob => coverage.hit("too many executions of a job"),
                    Refusal::TooManyWaiting => coverage.hit("too many clients wait for an end"),
                    Refusal::NotOwned | Refusal::Unknown => panic!("there is no other node: {why:?}"),
                }
            }
            (_, other) => panic!("an answer to another question: {other:?}"),
        }
    }

    fn assert_in_force(&mut self, revision: &Revision, draft: u64, disk: &Disk) {
        let job = disk.live(revision.id).expect("a change was answered that is not on disk");
        assert_eq!(job.revision.number, revision.number, "a change was answered that is not on disk");
        assert_eq!(draft_of(revision) as u64, draft, "the answer is about another change");
        self.answered.insert(revision.id, revision.number);
    }

    /// The process died: whoever had asked will not be answered. What is on disk can be looked up.
    pub(crate) fn hang_up(&mut self, disk: &Disk) {
        self.open.clear();
        self.planned.clear();
        self.hang_up_batch(disk);
        self.known = disk.jobs.values().map(|job| job.revision.id).collect();
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// An attempt sends what a revision in force said, and none older than the last one answered.
    pub(crate) fn assert_may_fire(&self, id: JobId, post: &Post, disk: &Disk) {
        let draft = draft_in(post);
        assert!(!self.refused.contains(&(draft as u64)), "a refused change took effect");
        assert!(!self.deleted.contains(&id), "a job was fired after its deletion was answered");
        let job = &disk.jobs[&id.key()];
        let written = job.history.iter().filter_map(|stretch| stretch.revision.as_deref());
        let revision = written.rev().find(|revision| draft_of(revision) == draft);
        let revision = revision.expect("an attempt sends what no revision on disk says");
        let answered = self.answered.get(&id).copied().unwrap_or(0);
        assert!(revision.number >= answered, "an attempt uses a revision that is not in force any more");
    }

    /// What is on disk is what clients wrote.
    pub(crate) fn assert_disk(&self, disk: &Disk) {
        let mut names = BTreeSet::new();
        for job in disk.jobs.values().filter(|job| job.deleted.is_none()) {
            let name = job.revision.spec.name();
            assert!(name.is_none_or(|name| names.insert(name)), "two jobs are called {name:?}");
        }
        for job in disk.jobs.values() {
            let mut before: Option<&Revision> = None;
            for revision in job.history.iter().filter_map(|stretch| stretch.revision.as_deref()) {
                assert!(!self.refused.contains(&(draft_of(revision) as u64)), "a refused change took effect");
                let written = &self.drafts[draft_of(revision)];
                // What the core changes by itself, and a release, keep what the client wrote.
                let own = before.filter(|before| draft_of(before) == draft_of(revision));
                let written_active = written.active.unwrap_or(before.is_none_or(|before| before.spec.active));
                // Who leaves a job inactive that rests until some moment changes nothing about that.
                let until = before.and_then(|before| before.pause_at(revision.updated_at)?.until);
                let until = until.filter(|_| written.active != Some(true));
                let written_active = written_active || until.is_some();
                let active = match own {
                    None => {
                        let kept = revision.pause.as_ref().and_then(|pause| pause.until);
                        assert!(until.is_none() || kept == until, "a pause lost its end: {revision:?}");
                        written_active
                    }
                    Some(before) if revision.era > before.era => before.spec.active,
                    // A client paused or resumed it, or its policy did.
                    Some(_) if self.paused.contains(&revision.id) => revision.spec.active,
                    Some(_) => {
                        let policies = written.policies;
                        let may_pause = policies.pause_on_410 || policies.auto_pause.is_some();
                        assert!(may_pause && revision.pause.is_some(), "paused by nobody: {revision:?}");
                        false
                    }
                };
                assert_eq!(revision.spec.active, active, "an active flag nobody wrote");
                let kept = before.filter(|before| before.spec.has_schedule_of(&revision.spec));
                let anchor = kept.map_or(written.at, |before| before.anchor);
                let counts = matches!(written.beat, Beat::Every(_));
                let read_with = revision.anchor;
                assert!(!counts || read_with == anchor, "an anchor that is not the one the schedule was read with");
                before = Some(revision);
            }
        }
    }

    /// Its schedule is what its client wrote.
    pub(crate) fn assert_text(&self, revision: &Revision) {
        let beat = self.drafts[draft_of(revision)].beat;
        assert_eq!(beat.text(), revision.spec.schedule.text(), "a schedule nobody wrote");
    }
}

/// What the revision of an attempt demands.
impl Clients {
    pub(crate) fn policies_in(&self, post: &Post) -> Policies {
        self.drafts[draft_in(post)].policies
    }

    /// Whether executions of a job were ever allowed to run together.
    pub(crate) fn ever_allowed_overlap(&self, job: &DiskJob) -> bool {
        let revisions = job.history.iter().filter_map(|stretch| stretch.revision.as_deref());
        revisions.into_iter().any(|revision| self.policies_of(revision).overlap == Lap::Allow)
    }

    pub(crate) fn policies_of(&self, revision: &Revision) -> Policies {
        self.drafts[draft_of(revision)].policies
    }
}

pub(crate) fn draft_of(revision: &Revision) -> usize {
    draft_in(&revision.spec.post)
}

fn draft_in(post: &Post) -> usize {
    let number = post.url.path().trim_start_matches('/');
    number.parse().expect("the path is the number of the draft")
}
