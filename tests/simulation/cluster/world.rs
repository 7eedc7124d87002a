//! Owns one run: the nodes, the store between them, the agenda, and how everything is carried out.
//! It must not judge: `judge` and `finish` do.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::time::Duration;

use punctual::cluster::{Deed, Heard, Membership};
use punctual::core::{Attempt, Bounds, Input, NodeId, Output, Persist, Reply, Report, RequestId, Scheduler, Settings};
use punctual::job::{Misfire, RetryPolicy};
use punctual::limits::{CLOCK_STEP_MIN_US, CLUSTER_LEAD_US, SKEW_MAX};
use punctual::time::MonoUs;

use super::super::coverage::Coverage;
use super::super::line;
use super::super::rng::Rng;
use super::clock::Clock;
use super::judge::{Judge, assert_one_trusts};
use super::node::{Node, Request};
use super::plan::{Fault, Plan, SECOND_US};
use super::store::{Committed, Store, Taken};

/// Something that will happen. Most of it is meant for one process of a node.
pub(crate) enum Event {
    Start,
    Register,
    Wake { alarm: u64 },
    Arrive { me: NodeId, request: Request, sent: MonoUs },
    Answer { me: NodeId, answer: Answer },
    TimeOut { me: NodeId, number: u64, tries: u64 },
    Check(Attempt),
    Write { attempt: Attempt, checked_us: u64 },
    Report(Report),
    Command,
    Fault(Fault),
}

pub(crate) enum Answer {
    Batch { number: u64, sent: MonoUs, committed: Committed },
    Take { number: u64, sent: MonoUs, taken: Result<Box<Taken>, Committed> },
    Seen(Box<punctual::cluster::Seen>),
    Refused { number: u64 },
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) true_us: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) store: Store,
    pub(crate) judge: Judge,
    pub(crate) coverage: Coverage,
    agenda: BTreeMap<(u64, u64), (usize, Option<u64>, Event)>,
    order: u64,
    pub(crate) healed: bool,
    pub(crate) down_until: u64,
    pub(crate) requests: u64,
    /// Rows that are just being taken over of which it is known that they were not sent, and how often each was in doubt.
    pub(crate) known: BTreeMap<punctual::core::Seq, u32>,
    pub(crate) open: BTreeMap<RequestId, usize>,
    inputs: u64,
    hasher: DefaultHasher,
    verbose: bool,
}

impl World {
    pub(crate) fn new(plan: Plan, verbose: bool) -> World {
        let mut rng = Rng::new(plan.seed);
        let nodes = (0..plan.nodes).map(|_| Node::new(Clock::new(&mut rng))).collect();
        let mut world = World {
            rng,
            true_us: 0,
            nodes,
            store: Store::default(),
            judge: Judge::default(),
            coverage: Coverage::default(),
            agenda: BTreeMap::new(),
            order: 0,
            healed: false,
            down_until: 0,
            requests: 0,
            known: BTreeMap::new(),
            open: BTreeMap::new(),
            inputs: 0,
            hasher: DefaultHasher::new(),
            verbose,
            plan,
        };
        for (at_us, fault) in world.plan.faults.clone() {
            world.at(at_us, 0, None, Event::Fault(fault));
        }
        for node in 0..world.plan.nodes {
            let at_us = world.rng.within(0..=400_000);
            world.at(at_us, node, None, Event::Start);
        }
        for job in 0..world.plan.jobs {
            world.at(2 * SECOND_US + job * 100_000, 0, None, Event::Command);
        }
        let mut at_us = 4 * SECOND_US;
        while at_us < world.plan.length_us {
            at_us += world.rng.within(1..=2 * world.plan.command_every_us);
            world.at(at_us, 0, None, Event::Command);
        }
        world
    }

    pub(crate) fn live(mut self) -> (u64, u64, Coverage) {
        self.run_until(self.plan.length_us);
        self.finish();
        (self.hasher.finish(), self.inputs, std::mem::take(&mut self.coverage))
    }

    pub(crate) fn run_until(&mut self, until_us: u64) {
        while let Some(entry) = self.agenda.first_entry() {
            let at_us = entry.key().0;
            if at_us > until_us {
                break;
            }
            let (node, process, event) = entry.remove();
            self.true_us = self.true_us.max(at_us);
            self.happen(node, process, event);
            assert_one_trusts(&self.nodes, self.true_us);
        }
        self.true_us = self.true_us.max(until_us);
    }

    pub(crate) fn at(&mut self, at_us: u64, node: usize, process: Option<u64>, event: Event) {
        self.order += 1;
        self.agenda.insert((at_us, self.order), (node, process, event));
    }

    /// Something of a node's process, after a while.
    pub(crate) fn after(&mut self, wait_us: u64, node: usize, event: Event) {
        let process = Some(self.nodes[node].process);
        self.at(self.true_us + wait_us, node, process, event);
    }

    fn happen(&mut self, node: usize, process: Option<u64>, event: Event) {
        let is_of_store = matches!(event, Event::Arrive { .. });
        let is_faulty = matches!(event, Event::Fault(_) | Event::Command);
        if !is_of_store && !is_faulty {
            if process.is_some_and(|process| process != self.nodes[node].process) {
                return;
            }
            let paused_until = self.nodes[node].paused_until;
            if paused_until > self.true_us {
                return self.at(paused_until, node, process, event);
            }
        }
        match event {
            Event::Start if self.nodes[node].core.is_none() => self.start(node),
            Event::Start => {}
            Event::Register => self.register(node),
            Event::Wake { alarm } if alarm == self.nodes[node].alarm => {}
            Event::Wake { .. } => return,
            Event::Arrive { me, request, sent } => return self.arrive(node, process, me, request, sent),
            Event::Answer { me, answer } => self.answer(node, me, answer),
            Event::TimeOut { me, number, tries } => self.time_out(node, me, number, tries),
            Event::Check(attempt) => self.check(node, attempt),
            Event::Write { attempt, checked_us } => self.write(node, &attempt, checked_us),
            Event::Report(report) => self.report(node, report),
            Event::Command => return self.command(),
            Event::Fault(fault) => return self.fault(fault),
        }
        self.turn(node);
    }

    fn start(&mut self, node: usize) {
        let (noise, flight) = (self.rng.next(), *self.rng.pick(&[24, 64]));
        self.nodes[node].core = Some(Scheduler::new(Settings {
            in_flight_max: flight,
            retry: RetryPolicy::doubling(2, Duration::from_millis(700)),
            misfire: Misfire::Once,
            lateness_max: Duration::from_secs(20),
            lead_us: CLUSTER_LEAD_US,
            skew_us: i64::try_from(SKEW_MAX.as_micros()).ok(),
            noise,
            bounds: Bounds::default(),
        }));
        self.register(node);
    }

    fn register(&mut self, node: usize) {
        if self.is_out_of_reach(node) {
            return self.after(200_000, node, Event::Register);
        }
        let me = self.store.register();
        self.say(|| format!("node {node} is {me:?}"));
        let it = &mut self.nodes[node];
        (it.me, it.member, it.next_batch) = (Some(me), Some(Membership::new(me)), 1);
        if it.draining_since.is_some() {
            self.hear(node, Heard::Drain);
        }
    }

    pub(crate) fn is_out_of_reach(&self, node: usize) -> bool {
        self.down_until > self.true_us || self.nodes[node].cut_off_until > self.true_us
    }

    /// All that a process does in a turn.
    pub(crate) fn turn(&mut self, node: usize) {
        if self.nodes[node].core.is_none() {
            return;
        }
        let now = self.nodes[node].clock.now(self.true_us);
        let offset_us = self.nodes[node].clock.offset_us();
        let by_us = offset_us - std::mem::replace(&mut self.nodes[node].offset_us, offset_us);
        if by_us.abs() > CLOCK_STEP_MIN_US {
            self.feed(node, Input::ClockStep(by_us));
        }
        if self.nodes[node].core.as_ref().is_some_and(|core| core.poll_timeout().is_reached(now)) {
            self.feed(node, Input::Tick);
        }
        while let Some(deed) = self.nodes[node].member.as_mut().and_then(|member| member.poll(now)) {
            self.carry_out(node, deed);
        }
        if let Some(request) = self.nodes[node].next_out(self.true_us) {
            self.hear(node, Heard::Sent);
            self.send_out(node, request);
        }
        self.leave_if_done(node);
        let Some(at_us) = self.nodes[node].when() else { return };
        self.nodes[node].alarm += 1;
        let (alarm, process) = (self.nodes[node].alarm, Some(self.nodes[node].process));
        self.at(at_us.max(self.true_us + 1), node, process, Event::Wake { alarm });
    }

    fn carry_out(&mut self, node: usize, deed: Deed) {
        if !matches!(deed, Deed::Look | Deed::Beat | Deed::Trust(_)) {
            self.say(|| format!("node {node}: {deed:?}"));
        }
        match deed {
            Deed::Look => {
                let asked = self.nodes[node].clock.now(self.true_us).mono;
                self.send(node, Request::Look { asked });
            }
            Deed::Beat => self.nodes[node].wants_beat = true,
            Deed::Trust(until) => {
                self.nodes[node].lease = until;
                self.feed(node, Input::Lease(until));
            }
            Deed::Revoke { node: other, beat } => self.send(node, Request::Revoke { node: other, beat }),
            Deed::Take { most } => self.nodes[node].wants_take = Some(most),
            Deed::Release { shards, to } => {
                self.coverage.hit_if(self.nodes[node].draining_since.is_none(), "released by a node that stays");
                self.feed(node, Input::Release { shards, to });
                self.nodes[node].releasing = Some(self.nodes[node].issued);
            }
            Deed::Lost => self.lose(node),
        }
    }

    pub(crate) fn lose(&mut self, node: usize) {
        self.coverage.hit("lost");
        self.feed(node, Input::Lost);
        self.nodes[node].forget_incarnation();
        let wait_us = self.rng.within(20_000..=200_000);
        self.after(wait_us, node, Event::Register);
    }

    fn leave_if_done(&mut self, node: usize) {
        let it = &self.nodes[node];
        let Some(since) = it.draining_since else { return };
        let wall = it.clock.now(self.true_us).wall;
        let load = it.core.as_ref().map(|core| core.load(wall)).unwrap_or_default();
        let has_left = it.member.as_ref().is_some_and(Membership::has_left);
        let is_done = has_left && load.unwritten == 0 && load.in_flight == 0 && it.queue.is_empty();
        if is_done {
            self.coverage.hit("drained");
        }
        if is_done || self.true_us > since + 12 * SECOND_US {
            self.end(node);
        }
    }

    /// The process ends, in whatever way.
    pub(crate) fn end(&mut self, node: usize) {
        let down_us = self.nodes[node].down_us;
        self.nodes[node].end();
        self.open.retain(|_, by| *by != node);
        self.after(down_us, node, Event::Start);
    }

    /// Gives a core one input, and takes all that comes of it.
    pub(crate) fn feed(&mut self, node: usize, input: Input) {
        let now = self.nodes[node].clock.now(self.true_us);
        let Some(core) = &mut self.nodes[node].core else { return };
        self.inputs += 1;
        if self.verbose && !matches!(input, Input::Lease(_) | Input::Tick) {
            eprintln!("{} node {node} {now:?}: {input:?}", self.true_us);
        }
        core.handle_input(input, now);
        if self.inputs.is_multiple_of(8) {
            core.check();
        }
        while let Some(output) = self.nodes[node].core.as_mut().and_then(Scheduler::poll_output) {
            self.hasher.write(line::of(&output).as_bytes());
            self.say(|| format!("    {}", line::of(&output)));
            self.output(node, output);
        }
    }

    fn output(&mut self, node: usize, output: Output) {
        match output {
            Output::Persist(number, item) => {
                if let Persist::HandOver(row) = &item {
                    let is_finished = row.record.status != punctual::core::Status::Pending;
                    self.coverage.hit_if(is_finished, "handed over finished");
                    self.coverage.hit_if(!is_finished, "handed over to be tried again");
                }
                if let Persist::Row(row, _) = &item
                    && let Some(recoveries) = self.known.get(&row.seq)
                {
                    let error = row.record.error.as_deref().unwrap_or_default();
                    let is_doubted = row.record.recoveries > *recoveries || error.starts_with("not sent again");
                    assert!(!is_doubted, "what was given away by a node that lives is doubted: {row:?}");
                }
                let it = &mut self.nodes[node];
                it.issued += 1;
                assert_eq!(number, it.issued, "persist items are numbered without gaps");
                it.queue.push_back((number, item));
            }
            Output::Fire(attempt) => {
                let now = self.nodes[node].clock.now(self.true_us);
                self.judge.fired(&attempt, now, &mut self.coverage);
                assert!(now.mono < self.nodes[node].lease, "sent behind the end of the lease: {attempt:?}");
                let me = self.nodes[node].me.expect("whoever sends is somebody");
                let owner = self.store.owner_of(self.store.shard_of(attempt.id.job.key()));
                let is_known = owner.is_none_or(|(owner, epoch)| owner != me || epoch == attempt.epoch);
                assert!(is_known, "an epoch that is not that of its shard, {owner:?}: {attempt:?}");
                self.coverage.hit_if(attempt.epoch > 1, "epoch after a takeover");
                self.nodes[node].in_flight.insert((attempt.handle, attempt.number), (me, attempt.id));
                let slow = self.rng.per_cent(10);
                let wait_us = if slow { self.rng.within(1_000..=2 * SECOND_US) } else { self.rng.within(10..=900) };
                self.after(wait_us, node, Event::Check(attempt));
            }
            Output::Reply(request, reply) => {
                assert!(self.open.remove(&request).is_some(), "an answer that nobody waits for: {reply:?}");
                if let Reply::Created(view) = &reply {
                    assert!(self.store.jobs.contains_key(&view.revision.id.key()), "answered before it is on disk");
                }
            }
            Output::Planned(..) | Output::Gathered(..) | Output::Together(..) | Output::Dispatched(..) => {}
            Output::Hurry | Output::Alert(_) | Output::Tell(_) | Output::Notice(_) => {}
        }
    }

    pub(crate) fn hear(&mut self, node: usize, heard: Heard) {
        let now = self.nodes[node].clock.now(self.true_us);
        if let Some(member) = &mut self.nodes[node].member {
            member.hear(heard, now);
        }
    }

    pub(crate) fn say(&self, text: impl Fn() -> String) {
        if self.verbose {
            eprintln!("{} {}", self.true_us, text());
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, at_us) = (self.plan.seed, self.true_us);
            eprintln!("failed at {at_us} us of the cluster run of seed {seed}");
            eprintln!(
                "to see it again: SIMULATION_CLUSTER_SEED={seed} cargo test --test simulation replay -- --nocapture"
            );
        }
    }
}
