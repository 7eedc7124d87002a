//! Owns the table of jobs: their slots, their keys, when each is armed next, the schedules they share, and every move
//! of a cursor.
//! It must not decide when a cursor moves: the policies beside it do.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use slab::Slab;

use super::arm_queue::ArmQueue;
use super::io::{Command, RequestId};
use super::key_index::KeyIndex;
use super::link::Link;
use super::shard::{Shard, Shards};
use super::tally::Tally;
use crate::job::{JobKey, JobSpec, Revision};
use crate::schedule::Schedule;
use crate::time::{DeadlineHeap, Instant, WallUs};

/// No schedule has this instant.
const NEVER: Instant = Instant::from_secs(i64::MAX);

/// A second in which a schedule may be due, in half of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Second(u32);

const _: () = assert!(Instant::FIRST.as_secs() == 0 && Instant::LAST.as_secs() < u32::MAX as i64);

impl Second {
    /// The one nearest to it.
    fn near(instant: Instant) -> Second {
        Second(u32::try_from(instant.as_secs().max(0)).unwrap_or(u32::MAX))
    }
}

/// A job in memory.
#[derive(Debug)]
pub(super) struct Job {
    revision: Arc<Revision>,
    /// Of its revision, for each attempt asks for its epoch.
    shard: Shard,
    pub(super) target: u32,
    /// The concurrency key it names.
    concurrency_key: Link,
    /// None: nothing of it has ended.
    tally: Option<Box<Tally>>,
    /// Every instant up to here is armed, settled, or not owed.
    armed_through: Instant,
    /// Every instant up to here has been due, and never fires again.
    due_through: Instant,
    /// The first instant after `armed_through`; NEVER if there is none or the job is paused.
    next: Instant,
    pub(super) pending: Option<Box<Pending>>,
    /// Whether the job stands in the arm queue.
    in_arm_queue: bool,
    pub(super) overload: Overload,
    /// Of its revision, here because every execution asks for it: the number of its scheduled executions, and whether it
    /// has policies of its own. Both are the revision's.
    era: u32,
    has_policies: bool,
    /// A calendar that it follows has changed since its schedule was made.
    pub(super) is_stale: bool,
    /// Whether a policy asks for a success within some time, or for executions that are not late.
    pub(super) is_watched: bool,
    /// How many incidents of it are open.
    pub(super) incidents: u8,
    /// Nothing of it is judged yet: it was found on disk a moment ago.
    adopted: bool,
    /// The tombstone is on disk; the job stays here until its last execution has ended.
    deleted: bool,
    /// It is another node's; it stays here until what is in flight has ended, and a change is settled. Nobody finds it.
    given_away: bool,
}

/// How a job stands towards its target's backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overload {
    /// It is armed like any other.
    None,
    /// The backlog is full: its instants are passed over, and it waits among the target's stalled jobs.
    Stalled,
    /// It is its turn to be armed again, whatever the backlog is meanwhile.
    Released,
}

/// A change that is being written.
#[derive(Debug)]
pub(super) struct Pending {
    /// Who is to be answered; None: the core wants it itself.
    pub(super) request: Option<RequestId>,
    pub(super) change: PendingChange,
    /// Changes of the same job that came meanwhile.
    pub(super) waiting: VecDeque<Command>,
}

#[derive(Debug)]
pub(super) enum PendingChange {
    Create,
    Update {
        revision: Arc<Revision>,
        armed_through: Instant,
    },
    /// For a job that was held only what is due up to `reached` has been, whatever it has fired.
    Release {
        revision: Arc<Revision>,
        reached: Instant,
        armed_through: Instant,
    },
    Delete,
}

impl Job {
    /// What its executions came to.
    pub(super) fn tally(&self) -> &Tally {
        const NONE: &Tally = &Tally::NONE;
        self.tally.as_deref().unwrap_or(NONE)
    }

    /// The same, to be added to.
    pub(super) fn tally_mut(&mut self) -> &mut Tally {
        self.tally.get_or_insert_default()
    }

    /// What they came to before.
    pub(super) fn set_tally(&mut self, tally: Tally) {
        self.tally = (tally != Tally::NONE).then(|| Box::new(tally));
    }

    /// A job that owes instants strictly after `since`.
    pub(super) fn new(revision: Arc<Revision>, target: u32, key: Option<u32>, since: Instant) -> Job {
        Job {
            era: revision.era,
            has_policies: revision.spec.has_policies(),
            shard: Shard::of(&revision),
            revision,
            target,
            concurrency_key: key.into(),
            tally: None,
            armed_through: since,
            due_through: since,
            next: NEVER,
            pending: None,
            in_arm_queue: false,
            overload: Overload::None,
            is_stale: false,
            is_watched: false,
            incidents: 0,
            adopted: false,
            deleted: false,
            given_away: false,
        }
    }

    fn set_revision(&mut self, revision: Arc<Revision>) -> Arc<Revision> {
        (self.era, self.has_policies) = (revision.era, revision.spec.has_policies());
        self.shard = Shard::of(&revision);
        std::mem::replace(&mut self.revision, revision)
    }

    /// What is in force.
    pub(super) fn revision(&self) -> &Arc<Revision> {
        &self.revision
    }

    /// What it is told to be.
    pub(super) fn spec(&self) -> &JobSpec {
        &self.revision.spec
    }

    /// What it is told to be, if it has policies of its own.
    pub(super) fn policies(&self) -> Option<&JobSpec> {
        self.has_policies.then(|| self.spec())
    }

    /// The number of its scheduled executions.
    pub(super) fn era(&self) -> u32 {
        self.era
    }

    /// Which node it belongs to.
    pub(super) fn shard(&self) -> Shard {
        self.shard
    }

    /// Its key.
    pub(super) fn key(&self) -> JobKey {
        self.revision.id.key()
    }

    /// The concurrency key it names.
    pub(super) fn concurrency_key(&self) -> Option<u32> {
        self.concurrency_key.get()
    }

    /// It names this concurrency key from here on.
    pub(super) fn set_concurrency_key(&mut self, key: Option<u32>) {
        self.concurrency_key = key.into();
    }

    /// Every instant up to here is armed, settled, or not owed.
    pub(super) fn armed_through(&self) -> Instant {
        self.armed_through
    }

    /// Every instant up to here has been due, and never fires again.
    pub(super) fn due_through(&self) -> Instant {
        self.due_through
    }

    /// The first instant that is not armed; None if there is none or the job is paused.
    pub(super) fn next(&self) -> Option<Instant> {
        Some(self.next).filter(|next| *next != NEVER)
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted
    }

    /// Whether it is another node's, and only what began here ends here.
    pub(super) fn is_given_away(&self) -> bool {
        self.given_away
    }

    /// Whether clients can see the job: its creation is on disk, no deletion is, what is on disk has been judged, and it is
    /// this node's.
    pub(super) fn is_visible(&self) -> bool {
        let change = self.pending.as_ref().map(|pending| &pending.change);
        !matches!(change, Some(PendingChange::Create)) && !self.deleted && !self.adopted && !self.given_away
    }

    /// Whether it was put to work: what was found on disk, and is not judged yet, was not.
    pub(super) fn is_at_work(&self) -> bool {
        !self.adopted
    }

    /// Whether a deletion of this job is being written.
    pub(super) fn is_being_deleted(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| matches!(pending.change, PendingChange::Delete))
    }

    /// Whether it waits until the clock has passed what it already fired.
    pub(super) fn is_held(&self, wall: WallUs) -> bool {
        self.spec().active && self.due_through > wall.floor() && !self.given_away
    }
}

/// All jobs.
#[derive(Debug)]
pub(super) struct Jobs {
    slab: Slab<Job>,
    by_key: KeyIndex,
    next_key: u64,
    /// Jobs by the second for which they are to be armed.
    arm_heap: DeadlineHeap<Second>,
    /// Jobs whose arming waits for the disk or for the next turn.
    arm_queue: ArmQueue,
    schedules: HashSet<Arc<Schedule>>,
    /// Jobs by their names, and by names that they are to have once a change is on disk.
    names: HashMap<Box<str>, u32>,
    /// Jobs by the calendars that they follow.
    followers: BTreeMap<Arc<str>, BTreeSet<u32>>,
    /// The highest instant any job may not fire again.
    due_through: Option<Instant>,
    /// Jobs that are in force and active.
    active: usize,
    /// Jobs that are in force and not active.
    paused: usize,
}

impl Default for Jobs {
    fn default() -> Jobs {
        Jobs {
            slab: Slab::new(),
            by_key: KeyIndex::default(),
            next_key: 1,
            arm_heap: DeadlineHeap::default(),
            arm_queue: ArmQueue::default(),
            schedules: HashSet::new(),
            names: HashMap::new(),
            followers: BTreeMap::new(),
            due_through: None,
            active: 0,
            paused: 0,
        }
    }
}

impl Index<u32> for Jobs {
    type Output = Job;

    fn index(&self, slot: u32) -> &Job {
        &self.slab[slot as usize]
    }
}

impl IndexMut<u32> for Jobs {
    fn index_mut(&mut self, slot: u32) -> &mut Job {
        &mut self.slab[slot as usize]
    }
}

/// Jobs that come, change and go.
impl Jobs {
    /// None, where the next key is this one.
    pub(super) fn beginning_at(next_key: u64) -> Jobs {
        Jobs { next_key, ..Jobs::default() }
    }

    /// From where on keys are free.
    pub(super) fn next_key(&self) -> u64 {
        self.next_key
    }

    /// A key that no job has or had: the next that ends like one of these shards, so that no other node draws it.
    pub(super) fn new_key(&mut self, shards: &Shards) -> JobKey {
        let end = Shard::of_key(JobKey(self.next_key));
        let shard = shards.next_from(end).expect("who owns no shard creates no job");
        let key = JobKey(self.next_key + u64::from(shard.0.wrapping_sub(end.0)));
        self.next_key = key.0 + 1;
        key
    }

    /// Keys below this are used up.
    pub(super) fn reserve_keys(&mut self, next: u64) {
        self.next_key = self.next_key.max(next);
    }

    /// Keeps a job that is being created.
    pub(super) fn insert(&mut self, job: Job) -> u32 {
        let key = job.key();
        let slot = super::slot(self.slab.insert(job));
        self.by_key.insert(key, slot);
        let revision = Arc::clone(&self[slot].revision);
        revision.spec.name().into_iter().for_each(|name| self.claim_name(name, slot));
        self.follow(slot);
        slot
    }

    /// Keeps a job that was found on disk. It does nothing until it is put to work.
    pub(super) fn adopt(&mut self, job: Job) -> u32 {
        self.reserve_keys(job.key().0 + 1);
        *self.standing_like(job.spec().active) += 1;
        self.insert(Job { adopted: true, ..job })
    }

    /// An adopted job is judged: clients see it, and it goes on after its cursor.
    pub(super) fn put_to_work(&mut self, slot: u32) {
        self[slot].adopted = false;
        let due_through = self[slot].due_through;
        self.pass(slot, due_through);
        let reached = self[slot].armed_through;
        self.advance(slot, reached);
    }

    /// A created job is in force.
    pub(super) fn enact(&mut self, slot: u32) {
        *self.standing_like(self[slot].spec().active) += 1;
        let reached = self[slot].armed_through;
        self.advance(slot, reached);
    }

    /// Another revision is in force, and owes what comes after `armed_through`.
    pub(super) fn replace(&mut self, slot: u32, revision: Arc<Revision>, armed_through: Instant) {
        *self.standing_like(self[slot].spec().active) -= 1;
        self.unfollow(slot);
        let job = &mut self[slot];
        let old = job.set_revision(revision);
        job.armed_through = armed_through;
        // It may have another target now.
        job.overload = Overload::None;
        self.give_name_back(slot, &old);
        self.release_schedule(old);
        self.follow(slot);
        // A calendar may have changed while this was on its way to the disk.
        let follows_any = self[slot].spec().schedule.calendars().next().is_some();
        self[slot].is_stale = follows_any;
        self.enact(slot);
    }

    /// The same revision with the dates that its calendars have now. Returns what [`Jobs::advance`] does.
    pub(super) fn reschedule(&mut self, slot: u32, revision: Arc<Revision>) -> u32 {
        let old = self[slot].set_revision(revision);
        self.release_schedule(old);
        let reached = self[slot].armed_through;
        self.advance(slot, reached)
    }

    /// The tombstone is on disk.
    pub(super) fn bury(&mut self, slot: u32) {
        *self.standing_like(self[slot].spec().active) -= 1;
        self.arm_heap.remove(slot);
        self.unfollow(slot);
        self.forget_name(slot);
        let job = &mut self[slot];
        (job.deleted, job.next) = (true, NEVER);
    }

    /// The job is another node's. Nobody finds it here any more.
    pub(super) fn give_away(&mut self, slot: u32) {
        let pending = self[slot].pending.as_ref().map(|pending| &pending.change);
        let is_in_force = !matches!(pending, Some(PendingChange::Create));
        let proposed = match pending {
            Some(PendingChange::Update { revision, .. } | PendingChange::Release { revision, .. }) => {
                Some(Arc::clone(revision))
            }
            Some(PendingChange::Create | PendingChange::Delete) | None => None,
        };
        if is_in_force {
            *self.standing_like(self[slot].spec().active) -= 1;
        }
        self.arm_heap.remove(slot);
        self.unfollow(slot);
        proposed.into_iter().for_each(|revision| self.give_name_back(slot, &revision));
        self.forget_name(slot);
        let key = self[slot].key();
        self.by_key.remove(key);
        let job = &mut self[slot];
        (job.given_away, job.next, job.is_watched) = (true, NEVER, false);
    }

    /// How many jobs in force are active, or are not.
    fn standing_like(&mut self, active: bool) -> &mut usize {
        if active { &mut self.active } else { &mut self.paused }
    }

    /// Lets go of a job; the target it was for.
    pub(super) fn remove(&mut self, slot: u32) -> u32 {
        self.arm_heap.remove(slot);
        self.unfollow(slot);
        if !self[slot].deleted && !self[slot].given_away {
            self.forget_name(slot);
        }
        let job = self.slab.remove(slot as usize);
        if !job.given_away {
            self.by_key.remove(job.key());
        }
        let Job { revision, target, .. } = job;
        self.release_schedule(revision);
        target
    }

    /// Whether a job has this name, or is to have it.
    pub(super) fn is_name_taken(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The job that has this name, or is to have it.
    pub(super) fn named(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// From here on no other job can be called so.
    pub(super) fn claim_name(&mut self, name: &str, slot: u32) {
        let other = self.names.insert(name.into(), slot);
        assert!(other.is_none_or(|other| other == slot), "two jobs have one name");
    }

    /// A revision that is in force no more, or never was, does not keep its name from others.
    pub(super) fn give_name_back(&mut self, slot: u32, revision: &Revision) {
        let name = revision.spec.name().filter(|name| self[slot].spec().name() != Some(name));
        if let Some(name) = name {
            self.names.remove(name);
        }
    }

    fn forget_name(&mut self, slot: u32) {
        let revision = Arc::clone(&self[slot].revision);
        if let Some(name) = revision.spec.name() {
            self.names.remove(name);
        }
    }

    /// Jobs that follow this calendar.
    pub(super) fn followers(&self, calendar: &str) -> impl Iterator<Item = u32> {
        self.followers.get(calendar).into_iter().flatten().copied()
    }

    fn follow(&mut self, slot: u32) {
        let schedule = Arc::clone(&self[slot].spec().schedule);
        for calendar in schedule.calendars() {
            self.followers.entry(Arc::clone(&calendar.name)).or_default().insert(slot);
        }
    }

    fn unfollow(&mut self, slot: u32) {
        let schedule = Arc::clone(&self[slot].spec().schedule);
        for calendar in schedule.calendars() {
            if let Some(jobs) = self.followers.get_mut(&calendar.name) {
                jobs.remove(&slot);
                if jobs.is_empty() {
                    self.followers.remove(&calendar.name);
                }
            }
        }
    }

    /// Lets a spec use the copy of its schedule that equal ones use.
    pub(super) fn share_schedule(&mut self, spec: &mut JobSpec) {
        match self.schedules.get(&spec.schedule) {
            Some(shared) => spec.schedule = Arc::clone(shared),
            None => drop(self.schedules.insert(Arc::clone(&spec.schedule))),
        }
    }

    /// Lets go of a revision's schedule if nobody else has it.
    fn release_schedule(&mut self, revision: Arc<Revision>) {
        let schedule = Arc::clone(&revision.spec.schedule);
        drop(revision);
        // Two are the set and this function; a change on its way to the disk may hold one more, and then the set
        // keeps it.
        if Arc::strong_count(&schedule) <= 2 {
            self.schedules.remove(&schedule);
        }
    }
}

/// The cursors. Nobody else moves them.
impl Jobs {
    /// Every instant up to `through` is armed or settled. Returns what finding the next one cost beyond the usual: how
    /// many dates that are left out had to be passed over.
    pub(super) fn advance(&mut self, slot: u32, through: Instant) -> u32 {
        let job = &mut self[slot];
        assert!(through >= job.armed_through, "the cursor of a job only moves on");
        job.armed_through = through;
        job.next = NEVER;
        if !job.spec().active {
            return 0;
        }
        let schedule = &job.spec().schedule;
        let next = schedule.next_after(through);
        let cost = schedule.left_out_in(through, next.unwrap_or(Instant::LAST));
        job.next = next.unwrap_or(NEVER);
        cost
    }

    /// The job has no runs left: nothing of it is due any more.
    pub(super) fn exhaust(&mut self, slot: u32) {
        self.arm_heap.remove(slot);
        self[slot].next = NEVER;
    }

    /// A held job is let go on: what it has fired after `since` counts no more. O(n), as it is rare.
    pub(super) fn reset(&mut self, slot: u32, reached: Instant) {
        let job = &mut self[slot];
        (job.due_through, job.armed_through) = (reached, reached);
        self.due_through = self.slab.iter().map(|(_, job)| job.due_through).max();
    }

    /// A row for this instant was found on disk, or goes there with the job's creation; or nothing is owed up to it.
    pub(super) fn reach(&mut self, slot: u32, instant: Instant) {
        let job = &mut self[slot];
        job.armed_through = job.armed_through.max(instant);
    }

    /// Every instant up to `through` has been due; none of them fires again.
    pub(super) fn pass(&mut self, slot: u32, through: Instant) {
        let job = &mut self[slot];
        job.due_through = job.due_through.max(through);
        self.due_through = self.due_through.max(Some(through));
    }
}

/// When jobs are armed.
impl Jobs {
    /// The job is looked at again when it is time to arm what is due in this second.
    pub(super) fn arm_for(&mut self, slot: u32, second: Instant) {
        self.arm_heap.set(slot, Second::near(second));
    }

    /// The job is not looked at until something else happens to it.
    pub(super) fn rest(&mut self, slot: u32) {
        self.arm_heap.remove(slot);
    }

    /// The second for which the next job is to be looked at.
    pub(super) fn next_arming(&self) -> Option<Instant> {
        self.arm_heap.peek().map(|(second, _)| Instant::from_secs(second.0.into()))
    }

    /// Puts every job that is to be armed for this second or an earlier one into the arm queue.
    pub(super) fn queue_through(&mut self, horizon: Instant) {
        while let Some(slot) = self.arm_heap.pop_due(Second::near(horizon)) {
            self.queue_arming(slot);
        }
    }

    /// Puts a job into the arm queue, if it does not stand there.
    pub(super) fn queue_arming(&mut self, slot: u32) {
        let job = &mut self[slot];
        let (target, key) = (job.target, job.key());
        if !std::mem::replace(&mut job.in_arm_queue, true) {
            self.arm_queue.push(target, slot, key);
        }
    }

    /// The job whose turn it is in the arm queue.
    pub(super) fn next_queued(&mut self) -> Option<u32> {
        loop {
            let (slot, key) = self.arm_queue.pop()?;
            // The job may be gone, and its slot another's.
            if self.by_key.get(key) == Some(slot) {
                self[slot].in_arm_queue = false;
                return Some(slot);
            }
        }
    }

    /// Jobs in the arm queue.
    pub(super) fn queued(&self) -> usize {
        self.arm_queue.len()
    }

    /// Nothing is armed any more.
    pub(super) fn stop_arming(&mut self) {
        self.arm_heap.clear();
        self.arm_queue.clear();
    }

    /// Jobs that wait to be armed with the instant they wait for, in that order, found lazily.
    pub(super) fn by_arming(&self) -> impl Iterator<Item = (WallUs, u32)> {
        self.arm_heap.ascending().filter_map(|(_, slot)| Some((WallUs::of(self[slot].next()?), slot)))
    }
}

/// What is there.
impl Jobs {
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Jobs that are in force and active.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// Jobs that are in force and not active.
    pub(super) fn paused(&self) -> usize {
        self.paused
    }

    /// The slot of the job with this key.
    pub(super) fn find(&self, key: JobKey) -> Option<u32> {
        self.by_key.get(key)
    }

    /// Every slot, those that nobody finds included.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        self.slab.iter().map(|(index, _)| super::slot(index))
    }

    /// Slots in the order of creation, from the first after `after`.
    pub(super) fn after(&self, after: Option<JobKey>) -> impl Iterator<Item = u32> {
        self.by_key.after(after)
    }

    /// At most `most` slots of jobs, evenly spread over all but in no step that a client's habits could share; every one
    /// if there are no more.
    pub(super) fn spread(&self, most: usize) -> impl Iterator<Item = u32> {
        let places = self.slab.capacity();
        let all = self.slab.len() <= most;
        let place = move |turn: usize| if all { turn } else { spread_place(turn, places) };
        let turns = if all { places } else { most };
        (0..turns).map(place).filter(|index| self.slab.contains(*index)).map(super::slot)
    }

    /// The same one by one, of about as many as `most`, however many places are empty: what is at the place whose turn it
    /// is. None: it was the last.
    pub(super) fn spread_at(&self, most: usize, turn: usize) -> Option<Option<u32>> {
        let places = self.slab.capacity();
        let turns = (most as u128 * places as u128).checked_div(self.slab.len() as u128).unwrap_or(0);
        let index = spread_place(turn, places);
        ((turn as u128) < turns).then(|| self.slab.contains(index).then(|| super::slot(index)))
    }

    /// Jobs that wait until the clock has passed what they already fired. Costs a scan only while there may be any.
    pub(super) fn held(&self, wall: WallUs) -> usize {
        if self.due_through.is_none_or(|through| through <= wall.floor()) {
            return 0;
        }
        self.slab.iter().filter(|(_, job)| job.is_held(wall)).count()
    }

    /// Checks keys, sums and cursors; O(n).
    pub(super) fn check(&self) {
        self.arm_heap.check();
        for (index, job) in &self.slab {
            let is_found = self.find(job.key()) == Some(super::slot(index));
            assert_eq!(is_found, !job.given_away, "a job is not found by its key, or is another node's");
            assert_eq!(job.shard, Shard::of(&job.revision), "a job is in no shard but its own");
            let of_revision = (job.revision.era, job.revision.spec.has_policies());
            assert_eq!((job.era, job.has_policies), of_revision, "a job and its revision differ");
            assert!(job.due_through <= job.armed_through, "an instant was due that was never armed or settled");
        }
        let given_away = self.slab.iter().filter(|(_, job)| job.given_away).count();
        assert_eq!(self.by_key.len() + given_away, self.len());
        for (index, job) in self.slab.iter().filter(|(_, job)| !job.deleted && !job.given_away) {
            let named = job.spec().name().map(|name| self.names.get(name).copied());
            assert!(named.is_none_or(|found| found == Some(super::slot(index))), "a job is not found by its name");
        }
        let in_force = self.slab.iter().filter(|(_, job)| job.is_visible() || job.adopted);
        let (active, paused): (Vec<_>, Vec<_>) = in_force.partition(|(_, job)| job.spec().active);
        assert_eq!((active.len(), paused.len()), (self.active, self.paused), "jobs are counted wrong");
    }
}

/// Places are looked at, not jobs: passing over the jobs between two of them would cost as much as looking.
fn spread_place(turn: usize, places: usize) -> usize {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let fraction = u128::from((turn as u64).wrapping_mul(GOLDEN));
    usize::try_from((fraction * places as u128) >> 64).expect("it is below the places")
}
