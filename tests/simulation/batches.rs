//! Owns changes that clients ask to be written together: accepted one by one, and all of them on disk or none.
//! It must not know how the core keeps them.

use std::ops::RangeInclusive;
use std::sync::Arc;

use punctual::core::{Accepted, Action, Applied, Apply, Command, Input, Meant, RequestId};
use punctual::job::{JobId, JobKey};
use punctual::schedule::Calendars;
use punctual::time::{Instant, WallUs};

use super::clients::{Asked, Clients, draft_of};
use super::coverage::Coverage;
use super::disk::Disk;
use super::rng::Rng;
use super::world::{Event, World};

/// Changes that are, or are to be, written together.
#[derive(Default)]
pub(crate) struct Batch {
    accepted: Vec<(Asked, JobId)>,
    /// The items, once they were asked to be written.
    numbers: Option<RangeInclusive<u64>>,
}

impl Batch {
    /// What was written in it for jobs that are or were there.
    fn drafts(&self) -> impl Iterator<Item = (JobId, u64)> {
        self.accepted.iter().filter_map(|(asked, id)| match asked {
            Asked::Create { draft } | Asked::Update { draft, .. } => Some((*id, *draft)),
            _ => None,
        })
    }
}

fn is_on_disk(id: JobId, draft: u64, disk: &Disk) -> bool {
    let written = disk.jobs.get(&id.key()).into_iter().flat_map(|job| &job.history);
    let mut revisions = written.filter_map(|stretch| stretch.revision.as_deref());
    revisions.any(|revision| revision.id == id && draft_of(revision) as u64 == draft)
}

impl Clients {
    /// One of the changes of a batch.
    fn batch_item(&mut self, disk: &Disk, calendars: &Calendars, rng: &mut Rng, wall: WallUs) -> Command {
        let command = match self.some_live(disk, rng) {
            Some(id) if rng.per_cent(60) => self.batch_change(id, disk, calendars, rng, wall),
            Some(_) | None => self.create(calendars, rng, wall),
        };
        Command { plans: false, ..command }
    }

    /// A job declared to be what it is, or another one.
    fn declare(&mut self, id: JobId, disk: &Disk, calendars: &Calendars, rng: &mut Rng, wall: WallUs) -> Command {
        let active = *rng.pick(&[None, None, Some(true), Some(false)]);
        let own = disk.live(id).filter(|_| rng.per_cent(50)).map(|job| job.revision.spec.clone());
        let (draft, spec, keep_active) = match own {
            Some(spec) => (None, spec, rng.per_cent(50)),
            None => {
                let beat = self.beat(rng, wall);
                let (draft, spec) = self.draft(beat, active, calendars, rng, wall);
                (Some(draft), spec, active.is_none())
            }
        };
        let entropy = [0; 10].map(|_: u8| rng.next().to_le_bytes()[0]);
        // What another line declares is not renamed.
        let ids = rng.per_cent(60).then_some(id).into_iter().collect();
        let beside = Arc::new(Meant { ids, ..Meant::default() });
        let apply = Apply { id: Some(id), spec, keep_active, runs: 0, entropy, beside };
        let command = self.ask(Asked::Apply { id, draft }, Action::Apply(Box::new(apply)));
        Command { read_at: wall.floor(), ..command }
    }

    fn batch_change(&mut self, id: JobId, disk: &Disk, calendars: &Calendars, rng: &mut Rng, wall: WallUs) -> Command {
        match rng.within(0..=11) {
            0..=1 => self.ask(Asked::Delete { id }, Action::Delete { id, expected: None }),
            2..=3 => {
                self.paused.insert(id);
                let until = rng.per_cent(50).then(|| Instant::from_secs(wall.floor().as_secs() + rng.signed(1..=90)));
                self.ask(Asked::Pause { id }, Action::Pause { id, until, note: None, expected: None })
            }
            4..=5 => {
                self.paused.insert(id);
                let missed = rng.per_cent(50);
                self.ask(Asked::Resume { id }, Action::Resume { id, missed, expected: None })
            }
            6..=7 => self.declare(id, disk, calendars, rng, wall),
            _ => self.update(id, disk, calendars, rng, wall),
        }
    }

    /// Whether a change of this job is accepted, and not known to be on disk.
    pub(crate) fn is_gathered(&self, job: JobKey) -> bool {
        self.batch.as_ref().is_some_and(|batch| batch.accepted.iter().any(|(_, id)| id.key() == job))
    }

    /// A change is accepted.
    pub(crate) fn gathered(&mut self, request: RequestId, accepted: Accepted, coverage: &mut Coverage) {
        let id = accepted.job.expect("it is not only tried");
        let asked = match (self.open.remove(&request).expect("a command is accepted once"), accepted.applied) {
            (Asked::Apply { draft: Some(draft), .. }, Some(Applied::Created)) => {
                coverage.hit("declared and created");
                Asked::Create { draft }
            }
            (Asked::Apply { draft: Some(draft), id: meant }, Some(Applied::Changed(old, new))) => {
                assert_eq!(old.id, id, "another job is changed");
                assert!(id == meant || old.spec.name() == new.name(), "a job is changed that nobody means");
                coverage.hit("declared and changed");
                Asked::Update { id, draft, expected: None }
            }
            (Asked::Apply { .. }, _) => panic!("what a job is was to be written"),
            (asked, None) => asked,
            (_, Some(_)) => panic!("nobody declared that"),
        };
        self.batch.as_mut().expect("somebody gathers").accepted.push((asked, id));
    }

    /// All that was accepted is asked to be written.
    pub(crate) fn together(&mut self, numbers: RangeInclusive<u64>) {
        let batch = self.batch.as_mut().expect("somebody gathers");
        assert_eq!(numbers.clone().count(), batch.accepted.len(), "all that were accepted are written");
        assert!(batch.numbers.replace(numbers).is_none(), "they are written once");
    }

    /// A part of the batch, if all of it is on disk up to `through`: the core may hear of that first.
    fn part_of_batch(&self, through: u64, rng: &mut Rng) -> Option<u64> {
        let numbers = self.batch.as_ref()?.numbers.clone().filter(|numbers| *numbers.end() <= through)?;
        Some(rng.within(numbers.start() - 1..=*numbers.end()))
    }

    /// What the core has heard: perhaps that the batch is on disk, or never will be.
    fn settle_batch(&mut self, through: u64, rejected: &[u64], disk: &Disk, coverage: &mut Coverage) {
        let Some(numbers) = self.batch.as_ref().and_then(|batch| batch.numbers.clone()) else { return };
        let count = numbers.clone().filter(|number| rejected.contains(number)).count();
        if count > 0 {
            assert_eq!(count, numbers.count(), "a batch was rejected in part");
            coverage.hit("batch of changes rejected");
            return self.give_up_batch();
        }
        if through < *numbers.end() {
            return;
        }
        let Batch { accepted, .. } = self.batch.take().expect("it was looked at");
        coverage.hit("batch of changes written");
        coverage.hit_if(accepted.len() > 3, "batch of many changes");
        for (asked, id) in accepted {
            match asked {
                Asked::Create { draft } | Asked::Update { draft, .. } => {
                    assert!(is_on_disk(id, draft, disk), "a batch is on disk, and not all of it");
                    if matches!(asked, Asked::Create { .. }) {
                        self.known.push(id);
                    }
                }
                Asked::Delete { .. } => {
                    let deleted = disk.jobs.get(&id.key()).is_some_and(|job| job.deleted.is_some());
                    assert!(deleted, "a deletion in a batch is not on disk");
                    self.deleted.insert(id);
                }
                _ => {}
            }
        }
    }

    /// A stop gives up what was not asked to be written.
    pub(crate) fn drain_batch(&mut self, coverage: &mut Coverage) {
        if self.batch.as_ref().is_some_and(|batch| batch.numbers.is_none()) {
            coverage.hit("batch of changes given up");
            self.give_up_batch();
        }
    }

    /// Nothing of it has happened, or will.
    pub(crate) fn give_up_batch(&mut self) {
        let drafts: Vec<u64> = self.batch.take().iter().flat_map(Batch::drafts).map(|(_, draft)| draft).collect();
        self.refused.extend(drafts);
    }

    /// The process died: it is on disk as a whole, or not at all.
    pub(crate) fn hang_up_batch(&mut self, disk: &Disk) {
        let Some(batch) = self.batch.take() else { return };
        let there = batch.drafts().filter(|&(id, draft)| is_on_disk(id, draft, disk)).count();
        assert!(there == 0 || there == batch.drafts().count(), "a crash left a part of a batch");
        assert!(there == 0 || batch.numbers.is_some(), "it was on disk before it was asked for");
    }
}

impl World {
    /// Clients begin a batch, if there is none.
    pub(crate) fn begin_gathering(&mut self) -> bool {
        let begins = self.clients.has_policies && self.clients.batch.is_none() && !self.healed && self.rng.per_cent(10);
        if begins && !self.watch.draining {
            self.clients.batch = Some(Batch::default());
            self.after(0, Event::Gather);
        }
        begins
    }

    pub(crate) fn gather(&mut self) {
        let is_open = self.clients.batch.as_ref().is_some_and(|batch| batch.numbers.is_none());
        if self.core.is_none() || !is_open {
            return;
        }
        let (calendars, wall) = (self.calendars(), self.clock.now().wall);
        let command = self.clients.batch_item(&self.disk, &calendars, &mut self.rng, wall);
        self.feed(Input::Gather(Box::new(command)));
        let most_us = *self.rng.pick(&[0, 900_000, 3_000_000]);
        let wait_us = self.rng.within(0..=most_us);
        let next = if self.rng.per_cent(75) { Event::Gather } else { Event::WriteGathered };
        self.after(wait_us, next);
    }

    pub(crate) fn write_gathered(&mut self) {
        match &self.clients.batch {
            Some(batch) if batch.accepted.is_empty() => {
                self.clients.batch = None;
                self.feed(Input::WriteGathered(RequestId(0)));
            }
            Some(batch) if batch.numbers.is_some() => {}
            Some(_) => self.feed(Input::WriteGathered(RequestId(0))),
            None => {}
        }
    }

    /// The core hears how far the disk is; of changes that were written together perhaps bit by bit.
    pub(crate) fn hear(&mut self, through: u64, rejected: Vec<u64>) {
        let part = self.clients.part_of_batch(through, &mut self.rng);
        for through in part.into_iter().chain([through]) {
            if self.core.is_none() {
                return;
            }
            self.heard_through = self.heard_through.max(through);
            self.watch.acknowledged(through, &rejected, self.clock.now());
            self.disk.rejected.retain(|number| !rejected.contains(number));
            self.incidents.hear(through, &rejected, self.clock.now());
            self.feed(Input::Committed { through, rejected: rejected.clone() });
            self.incidents.heard();
        }
        self.clients.settle_batch(through, &rejected, &self.disk, &mut self.coverage);
    }
}
