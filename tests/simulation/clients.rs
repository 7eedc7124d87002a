//! Owns the clients: what they ask for, what they were answered, and what an answer obliges to.
//! It must not look into the core.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use punctual::core::{Action, Command, Delivery, Draft, Endpoint, JobId, JobSpec, Refusal, Reply, RequestId};
use punctual::schedule::{Schedule, Zone};
use punctual::time::{Instant, WallUs};

use super::beat::Beat;
use super::coverage::Coverage;
use super::disk::Disk;
use super::plan::Profile;
use super::rng::Rng;

/// What a client wrote; its number is the path of the URL, so that every spec tells where it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    pub(crate) beat: Beat,
    active: Option<bool>,
    at: Instant,
}

enum Asked {
    Create { draft: u64 },
    Update { id: JobId, draft: u64 },
    Delete { id: JobId },
}

#[derive(Default)]
pub(crate) struct Clients {
    drafts: Vec<Written>,
    next_request: u64,
    /// What the process at hand has not answered.
    open: BTreeMap<RequestId, Asked>,
    /// Drafts whose change was refused: they are never in force.
    refused: BTreeSet<u64>,
    /// Jobs whose deletion was answered.
    pub(crate) deleted: BTreeSet<JobId>,
    /// The revision last answered for each job.
    answered: HashMap<JobId, u32>,
    /// Jobs a client can know of.
    known: Vec<JobId>,
    targets: u64,
    profile: Option<Profile>,
}

impl Clients {
    pub(crate) fn new(targets: u64, profile: Profile) -> Clients {
        Clients { targets, profile: Some(profile), ..Clients::default() }
    }

    pub(crate) fn create(&mut self, rng: &mut Rng, wall: WallUs) -> Command {
        let active = *rng.pick(&[None, None, None, Some(true), Some(false)]);
        let beat = self.beat(rng);
        let entropy = [0; 10].map(|_: u8| rng.next().to_le_bytes()[0]);
        let (number, draft) = self.draft(beat, active, rng, wall);
        self.ask(Asked::Create { draft: number }, Action::Create { draft, entropy })
    }

    /// A change of some job, or a new one.
    pub(crate) fn command(&mut self, disk: &Disk, rng: &mut Rng, wall: WallUs) -> Command {
        if self.known.is_empty() || rng.per_cent(25) {
            return self.create(rng, wall);
        }
        let id = *rng.pick(&self.known);
        if rng.per_cent(20) {
            return self.ask(Asked::Delete { id }, Action::Delete { id });
        }
        self.update(id, disk, rng, wall)
    }

    pub(crate) fn update(&mut self, id: JobId, disk: &Disk, rng: &mut Rng, wall: WallUs) -> Command {
        let now = disk.live(id).map(|job| self.drafts[draft_of(&job.spec)].beat);
        let beat = match now {
            Some(beat) if rng.per_cent(40) => beat,
            Some(_) | None => self.beat(rng),
        };
        let active = *rng.pick(&[None, None, Some(true), Some(true), Some(false)]);
        let (number, draft) = self.draft(beat, active, rng, wall);
        self.ask(Asked::Update { id, draft: number }, Action::Update { id, draft })
    }

    /// A job clients know that is still there.
    pub(crate) fn some_live(&self, disk: &Disk, rng: &mut Rng) -> Option<JobId> {
        let live: Vec<JobId> = self.known.iter().copied().filter(|&id| disk.live(id).is_some()).collect();
        (!live.is_empty()).then(|| *rng.pick(&live))
    }

    fn beat(&self, rng: &mut Rng) -> Beat {
        match self.profile {
            Some(Profile::Sparse) => Beat::sparse(rng),
            Some(Profile::Storm) => Beat::Minutely(0),
            Some(Profile::Overload) => Beat::Step(1),
            Some(Profile::Busy) | None => Beat::lively(rng),
        }
    }

    fn draft(&mut self, beat: Beat, active: Option<bool>, rng: &mut Rng, wall: WallUs) -> (u64, Draft) {
        let number = self.drafts.len() as u64;
        let host = rng.within(0..=self.targets - 1);
        let endpoint = Endpoint::parse(&format!("http://t{host}.test/{number}")).expect("a URL");
        let schedule = Schedule::parse(&beat.text(), Zone::Utc, wall.floor()).expect("a schedule");
        self.drafts.push(Written { beat, active, at: wall.floor() });
        (number, Draft { schedule, endpoint, delivery: Delivery::AtLeastOnce, active })
    }

    fn ask(&mut self, asked: Asked, action: Action) -> Command {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.open.insert(request, asked);
        Command { request, action }
    }

    /// What is answered is on disk, and what is refused is not and will not be.
    pub(crate) fn answered(&mut self, request: RequestId, reply: &Reply, disk: &Disk, coverage: &mut Coverage) {
        let asked = self.open.remove(&request).expect("a command is answered once");
        match (asked, reply) {
            (Asked::Create { draft }, Reply::Created(view)) => {
                self.assert_in_force(&view.spec, draft, disk);
                self.known.push(view.spec.id);
            }
            (Asked::Update { id, draft }, Reply::Updated(view)) => {
                assert_eq!(view.spec.id, id);
                self.assert_in_force(&view.spec, draft, disk);
            }
            (Asked::Delete { id }, Reply::Deleted) => {
                let deleted = disk.jobs.get(&id.key()).is_some_and(|job| job.deleted.is_some());
                assert!(deleted, "a deletion was answered that is not on disk");
                self.deleted.insert(id);
            }
            (Asked::Update { id, .. } | Asked::Delete { id }, Reply::NotFound) => {
                assert!(disk.live(id).is_none(), "a job that is on disk was not found");
                coverage.hit("not found");
            }
            (asked, Reply::Refused(why)) => {
                let (draft, rejected) = match asked {
                    Asked::Create { draft } => (Some(draft), "create rejected"),
                    Asked::Update { draft, .. } => (Some(draft), "update rejected"),
                    Asked::Delete { .. } => (None, "delete rejected"),
                };
                self.refused.extend(draft);
                match why {
                    Refusal::NotWritten => coverage.hit(rejected),
                    Refusal::Draining => coverage.hit("refused while draining"),
                    Refusal::TooManyChangesOfJob => coverage.hit("too many changes of a job"),
                    Refusal::TooManyChanges => coverage.hit("too many changes"),
                }
            }
            (_, other) => panic!("an answer to another question: {other:?}"),
        }
    }

    fn assert_in_force(&mut self, spec: &JobSpec, draft: u64, disk: &Disk) {
        let job = disk.live(spec.id).expect("a change was answered that is not on disk");
        assert_eq!(job.spec.revision, spec.revision, "a change was answered that is not on disk");
        assert_eq!(draft_of(spec) as u64, draft, "the answer is about another change");
        self.answered.insert(spec.id, spec.revision);
    }

    /// The process died: whoever had asked will not be answered. What is on disk can be looked up.
    pub(crate) fn hang_up(&mut self, disk: &Disk) {
        self.open.clear();
        self.known = disk.jobs.values().map(|job| job.spec.id).collect();
    }

    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// An attempt uses a spec that was in force, and none older than the last one answered.
    pub(crate) fn assert_may_fire(&self, spec: &JobSpec) {
        assert!(!self.refused.contains(&(draft_of(spec) as u64)), "a refused change took effect");
        assert!(!self.deleted.contains(&spec.id), "a job was fired after its deletion was answered");
        let answered = self.answered.get(&spec.id).copied().unwrap_or(0);
        assert!(spec.revision >= answered, "an attempt uses a spec that is not in force any more");
    }

    /// What is on disk is what clients wrote.
    pub(crate) fn assert_disk(&self, disk: &Disk) {
        for job in disk.jobs.values() {
            let mut before: Option<&JobSpec> = None;
            for spec in job.history.iter().filter_map(|revision| revision.spec.as_deref()) {
                assert!(!self.refused.contains(&(draft_of(spec) as u64)), "a refused change took effect");
                let written = &self.drafts[draft_of(spec)];
                let active = written.active.unwrap_or(before.is_none_or(|before| before.active));
                assert_eq!(spec.active, active, "an active flag nobody wrote");
                let kept = before.filter(|before| before.schedule.text() == spec.schedule.text());
                let anchor = kept.map_or(written.at, |before| before.anchor);
                let counts = matches!(written.beat, Beat::Every(_));
                assert!(!counts || spec.anchor == anchor, "an anchor that is not the one the schedule was read with");
                before = Some(spec);
            }
        }
    }

    /// The oracle's idea of when a spec is due.
    pub(crate) fn beat_of(&self, spec: &JobSpec) -> Beat {
        let beat = self.drafts[draft_of(spec)].beat;
        assert_eq!(beat.text(), spec.schedule.text(), "a schedule nobody wrote");
        beat
    }
}

fn draft_of(spec: &JobSpec) -> usize {
    let number = spec.endpoint.uri().path().trim_start_matches('/');
    number.parse().expect("the path is the number of the draft")
}
