//! Owns whose each of many changes is where several nodes share a database: this node's, or that of another one.
//! It must not carry one out, nor judge it: but two nodes never see that a name is given twice, so that is told here.
//!
//! What this node knows is noted change by change, and what it lacks is asked of the database once; after that each change
//! is dealt to whoever has its job. A new job is this node's, unless it is to share a concurrency key.

use std::collections::{HashMap, HashSet};

use super::changes::CHANGING;
use super::io::{Action, Apply, Meant, Refusal, Reply};
use super::scheduler::Scheduler;
use super::shard::{NodeId, Shard, Shards};
use crate::job::{JobId, JobSpec};

/// A job that other nodes may have, as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Which.
    pub id: JobId,
    /// What it is called.
    pub name: Option<Box<str>>,
    /// The shard that it is in.
    pub shard: Shard,
}

/// What the database knows of jobs and shards.
#[derive(Clone, Debug, Default)]
pub struct Placing {
    /// The jobs that were asked for, as far as there are such.
    pub jobs: Vec<Placed>,
    /// Whose each shard is, in their order.
    pub owners: Vec<Option<NodeId>>,
}

/// Who has to carry a change out.
#[derive(Debug)]
pub enum Dealt {
    /// This node. If what it is about is in a shard, it is only as long as that is this node's.
    Here(Option<Shard>),
    /// This node, as long as it has this shard.
    There(NodeId, Shard),
    /// Nobody: this is the answer.
    Refused(Reply),
}

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Here(Option<Shard>),
    There(NodeId, Shard),
    /// It is on its way from one node to another, or nobody's.
    Nowhere,
}

impl Home {
    /// Whether whoever has the one has the other.
    fn is_with(self, other: Home) -> bool {
        match (self, other) {
            (Home::Here(_), Home::Here(_)) => true,
            (Home::There(one, _), Home::There(other, _)) => one == other,
            (Home::Here(_) | Home::There(..) | Home::Nowhere, _) => false,
        }
    }
}

/// Many changes that are dealt to whoever has to carry them out.
#[derive(Debug, Default)]
pub struct Dealing {
    /// Jobs that are there, and what they are called.
    jobs: HashMap<JobId, (Home, Option<Box<str>>)>,
    /// Names that jobs have.
    names: HashMap<Box<str>, JobId>,
    /// What is to be asked of the database.
    lacking: (HashSet<Box<str>>, HashSet<JobId>),
    /// Whether a change may be another node's though no job that is there is lacking.
    needs_owners: bool,
    owners: Vec<Option<NodeId>>,
    /// Names that changes dealt so far are to give.
    claims: HashMap<Box<str>, Home>,
}

impl Dealing {
    /// Notes what this node knows of what a change is about.
    pub fn note(&mut self, core: &Scheduler, action: &Action) {
        let (id, spec) = subject_of(action);
        if let Some(id) = id {
            match core.find(id) {
                Some(slot) => self.note_here(core, slot),
                None => drop(self.lacking.1.insert(id)),
            }
        }
        if let Some(name) = spec.and_then(JobSpec::name) {
            match core.jobs.named(name) {
                Some(slot) => {
                    self.note_here(core, slot);
                    self.names.insert(name.into(), core.jobs[slot].revision().id);
                }
                None => drop(self.lacking.0.insert(name.into())),
            }
        }
        let key = spec.and_then(JobSpec::concurrency_key);
        self.needs_owners |= core.shards().is_empty() || key.is_some_and(|key| !core.owns(Shard::of_name(&key.name)));
    }

    fn note_here(&mut self, core: &Scheduler, slot: u32) {
        let (job, revision) = (&core.jobs[slot], core.jobs[slot].revision());
        let known = (Home::Here(Some(job.shard())), revision.spec.name().map(Into::into));
        self.jobs.insert(revision.id, known);
    }

    /// What this node lacks: names and ids of jobs. None: it lacks nothing, and all is its own to carry out.
    pub fn lacking(&mut self) -> Option<(Vec<Box<str>>, Vec<JobId>)> {
        let (names, ids) = std::mem::take(&mut self.lacking);
        let is_something = self.needs_owners || !names.is_empty() || !ids.is_empty();
        is_something.then(|| (names.into_iter().collect(), ids.into_iter().collect()))
    }

    /// Takes in what the database knows of it.
    pub fn learn(&mut self, placing: Placing) {
        self.owners = placing.owners;
        for Placed { id, name, shard } in placing.jobs {
            let home = self.home_of(shard);
            // What this node knows is newer.
            let (_, name) = self.jobs.entry(id).or_insert((home, name));
            if let Some(name) = name {
                self.names.entry(name.clone()).or_insert(id);
            }
        }
    }

    /// Who has this shard, which is not this node's.
    fn home_of(&self, shard: Shard) -> Home {
        let owner = self.owners.get(usize::from(shard.0)).copied().flatten();
        owner.map_or(Home::Nowhere, |node| Home::There(node, shard))
    }

    /// Who has to carry a change out, behind those that were dealt before. This node is `me`, and beside the change these
    /// jobs are declared.
    pub fn deal(&mut self, core: &Scheduler, me: NodeId, action: &Action, beside: &Meant) -> Dealt {
        let home = match action {
            Action::Create { spec, .. } => {
                let home = self.home_of_new(core, me, spec);
                self.claim(spec, None, home).map(|()| home)
            }
            Action::Update { id, spec, .. } => match self.jobs.get(id).map(|(home, _)| *home) {
                Some(home) => self.claim(spec, Some(*id), home).map(|()| home),
                None => Ok(Home::Here(None)),
            },
            Action::Apply(apply) => self.home_of_declared(core, me, apply, beside),
            other => {
                let (id, _) = subject_of(other);
                Ok(id.and_then(|id| self.jobs.get(&id)).map_or(Home::Here(None), |(home, _)| *home))
            }
        };
        match home {
            Ok(Home::Here(shard)) => Dealt::Here(shard),
            Ok(Home::There(node, shard)) if node != me => Dealt::There(node, shard),
            // What was just given to this node has not arrived.
            Ok(Home::There(..) | Home::Nowhere) => Dealt::Refused(Reply::Refused(Refusal::NotOwned)),
            Err(reply) => Dealt::Refused(reply),
        }
    }

    /// Who makes a new job.
    fn home_of_new(&self, core: &Scheduler, me: NodeId, spec: &JobSpec) -> Home {
        let shard = match spec.concurrency_key() {
            Some(key) => Shard::of_name(&key.name),
            None if !core.shards().is_empty() => return Home::Here(None),
            // Any that somebody else has.
            None => {
                let is_others = |shard: &Shard| matches!(self.home_of(*shard), Home::There(node, _) if node != me);
                Shard::all().find(is_others).unwrap_or(Shard(0))
            }
        };
        if core.owns(shard) { Home::Here(Some(shard)) } else { self.home_of(shard) }
    }

    /// Whose the job is that is declared: see [`Scheduler::declared`].
    fn home_of_declared(&mut self, core: &Scheduler, me: NodeId, apply: &Apply, beside: &Meant) -> Result<Home, Reply> {
        let known = apply.id.and_then(|id| Some((id, self.jobs.get(&id)?)));
        let Some(name) = apply.spec.name() else { return Ok(known.map_or(Home::Here(None), |(_, job)| job.0)) };
        let home = match self.names.get(name).and_then(|id| self.jobs.get(id)) {
            Some((home, _)) => *home,
            None => {
                let is_beside = |id: JobId, called: Option<&str>| {
                    beside.ids.contains(&id) || called.is_some_and(|name| beside.names.contains(name))
                };
                let renamed = known.filter(|(id, (_, called))| !is_beside(*id, called.as_deref()));
                renamed.map_or_else(|| self.home_of_new(core, me, &apply.spec), |(_, (home, _))| *home)
            }
        };
        match self.claims.get(name) {
            _ if home == Home::Nowhere => Ok(home),
            Some(other) if !other.is_with(home) => Err(Reply::Conflict(CHANGING)),
            Some(_) => Ok(home),
            None => {
                self.claims.insert(name.into(), home);
                Ok(home)
            }
        }
    }

    /// A job is to have the name that is in this spec. Whoever has the job sees whether another one of its own has it.
    fn claim(&mut self, spec: &JobSpec, job: Option<JobId>, home: Home) -> Result<(), Reply> {
        let Some(name) = spec.name().filter(|_| home != Home::Nowhere) else { return Ok(()) };
        let holder = self.names.get(name).filter(|holder| Some(**holder) != job);
        let holder = holder.and_then(|id| self.jobs.get(id)).map(|(home, _)| *home);
        let is_elsewhere = |other: Home| !other.is_with(home);
        if holder.is_some_and(is_elsewhere) || self.claims.get(name).copied().is_some_and(is_elsewhere) {
            return Err(Reply::NameTaken(name.into()));
        }
        self.claims.entry(name.into()).or_insert(home);
        Ok(())
    }
}

/// Which job a change is about, as far as it says so, and what that is to be.
fn subject_of(action: &Action) -> (Option<JobId>, Option<&JobSpec>) {
    match action {
        Action::Create { spec, .. } => (None, Some(spec)),
        Action::Update { id, spec, .. } => (Some(*id), Some(spec)),
        Action::Apply(apply) => (apply.id, Some(&apply.spec)),
        Action::Delete { id, .. } | Action::Pause { id, .. } | Action::Resume { id, .. } => (Some(*id), None),
        Action::Release { id } => (Some(*id), None),
        Action::Run(run) => (Some(run.id), None),
        Action::ReplayAll(_) | Action::PutCalendar { .. } | Action::DeleteCalendar { .. } => (None, None),
        Action::Set(_) | Action::Silence(_) | Action::Acknowledge { .. } => (None, None),
    }
}

impl Scheduler {
    /// Whether all of these shards are this node's.
    pub fn owns_all(&self, shards: &Shards) -> bool {
        shards.without(self.shards()).is_empty()
    }
}
