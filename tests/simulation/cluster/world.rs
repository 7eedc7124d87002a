//! Owns one run: the nodes, the store between them, the agenda, and how everything is carried out.
//! It must not judge: `judge` and `finish` do.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::time::Duration;

use punctual::cluster::{Deed, Heard, Membership};
use punctual::core::{
    Action, Attempt, Bounds, Command, Input, NodeId, Outcome, Output, Persist, Reply, Report, RequestId, Run, RunOf,
    Scheduler, Settings,
};
use punctual::job::{Context, Definition, JobId, JobSpec, Misfire, RetryPolicy};
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
    down_until: u64,
    requests: u64,
    /// Rows that are just being taken over of which it is known that they were not sent, and how often each was in doubt.
    known: BTreeMap<punctual::core::Seq, u32>,
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
    fn after(&mut self, wait_us: u64, node: usize, event: Event) {
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

    fn is_out_of_reach(&self, node: usize) -> bool {
        self.down_until > self.true_us || self.nodes[node].cut_off_until > self.true_us
    }

    /// All that a process does in a turn.
    fn turn(&mut self, node: usize) {
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

    fn lose(&mut self, node: usize) {
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
    fn end(&mut self, node: usize) {
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

    fn hear(&mut self, node: usize, heard: Heard) {
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

/// The way to the store and back.
impl World {
    fn delay_us(&mut self) -> u64 {
        let is_slow = !self.healed && self.rng.per_cent(self.plan.slow_per_cent);
        if is_slow { self.rng.within(20_000..=5 * SECOND_US) } else { self.rng.within(200..=6_000) }
    }

    fn send(&mut self, node: usize, request: Request) {
        let (sent, wait_us) = (self.nodes[node].clock.now(self.true_us).mono, self.delay_us());
        let me = self.nodes[node].me.expect("whoever asks is somebody");
        self.after(wait_us, node, Event::Arrive { me, request, sent });
    }

    fn send_out(&mut self, node: usize, request: Request) {
        let me = self.nodes[node].me.expect("whoever writes is somebody");
        let (number, tries) = self.nodes[node].out.as_ref().map_or((0, 0), |out| (out.number, out.tries));
        self.send(node, request);
        self.after(SECOND_US, node, Event::TimeOut { me, number, tries });
    }

    fn arrive(&mut self, node: usize, process: Option<u64>, me: NodeId, request: Request, sent: MonoUs) {
        let number = match &request {
            Request::Batch { number, .. } | Request::Take { number, .. } => Some(*number),
            Request::Look { .. } | Request::Revoke { .. } => None,
        };
        if self.is_out_of_reach(node) {
            self.coverage.hit("store down");
            // Half of them hear so, the others nothing.
            if let Some(number) = number.filter(|_| self.rng.per_cent(50)) {
                self.at(self.true_us + 1_000, node, process, Event::Answer { me, answer: Answer::Refused { number } });
            }
            return;
        }
        let (seed, rejected) = (self.plan.seed, self.plan.rejected_per_cent);
        let answer = match request {
            Request::Batch { number, items, is_leaving } => {
                let rejects = |item: u64| Rng::new(seed ^ (me.0 << 32) ^ item).per_cent(rejected);
                let committed = self.store.commit(me, number, is_leaving, &items, &rejects);
                self.coverage.hit_if(matches!(committed, Committed::Fenced), "batch of a dead node refused");
                let committed = match committed {
                    Committed::Already => {
                        self.coverage.hit("batch resent and already there");
                        let changes =
                            items.iter().filter(|(_, item)| matches!(item, Persist::Change(_) | Persist::Runs(_)));
                        let rejected = changes.map(|(item, _)| *item).filter(|&item| rejects(item)).collect();
                        // What was sent first is what is there.
                        let sent = self.nodes[node].out.as_ref().map_or(sent, |out| out.first_sent);
                        let committed = Committed::Written { rejected };
                        return self.give_answer(node, process, me, Answer::Batch { number, sent, committed });
                    }
                    committed => committed,
                };
                Answer::Batch { number, sent, committed }
            }
            Request::Take { number, held, most } => {
                let taken = self.store.take(me, number, &held, most).map(Box::new);
                Answer::Take { number, sent, taken }
            }
            Request::Look { asked } => Answer::Seen(Box::new(self.store.see(me, asked))),
            Request::Revoke { node: other, beat } => {
                let revoked = self.store.revoke(other, beat);
                self.say(|| format!("revoke {other:?} at {beat}: {revoked}"));
                if revoked {
                    self.coverage.hit("revoked");
                    self.assert_was_hindered(other);
                }
                return;
            }
        };
        self.give_answer(node, process, me, answer);
    }

    /// Nobody is taken for dead who could tell that it lives. Where answers get lost or take long that cannot be said.
    fn assert_was_hindered(&self, other: NodeId) {
        let lives = self.nodes.iter().find(|node| node.me == Some(other) && node.core.is_some());
        let was_hindered = lives.is_none_or(|node| self.true_us < node.hindered_until + 3 * SECOND_US);
        let may_be = self.plan.slow_per_cent + self.plan.lost_per_cent > 0;
        assert!(was_hindered || may_be, "{other:?} is taken for dead, and nothing kept it from telling that it lives");
    }

    fn give_answer(&mut self, node: usize, process: Option<u64>, me: NodeId, answer: Answer) {
        if !self.healed && self.rng.per_cent(self.plan.lost_per_cent) {
            return self.coverage.hit("answer lost");
        }
        let wait_us = self.delay_us();
        self.at(self.true_us + wait_us, node, process, Event::Answer { me, answer });
    }

    fn answer(&mut self, node: usize, me: NodeId, answer: Answer) {
        if self.nodes[node].me != Some(me) {
            return;
        }
        let is_out = |number: u64, it: &Node| it.out.as_ref().is_some_and(|out| out.number == number);
        match answer {
            Answer::Seen(seen) => self.hear(node, Heard::Seen(seen)),
            Answer::Batch { number, sent, committed } if is_out(number, &self.nodes[node]) => {
                let out = self.nodes[node].out.take().expect("it is out");
                let Committed::Written { rejected } = committed else { return self.hear(node, Heard::Fenced) };
                self.nodes[node].next_batch += 1;
                self.hear(node, Heard::Acknowledged { sent });
                self.feed(node, Input::Committed { through: out.through, rejected });
                if self.nodes[node].releasing.is_some_and(|item| item <= out.through) {
                    self.nodes[node].releasing = None;
                    let held = self.held(node);
                    self.hear(node, Heard::Released(held));
                }
            }
            Answer::Take { number, sent, taken } if is_out(number, &self.nodes[node]) => {
                self.nodes[node].out = None;
                let Ok(taken) = taken else { return self.hear(node, Heard::Fenced) };
                self.nodes[node].next_batch += 1;
                self.hear(node, Heard::Acknowledged { sent });
                self.acquire(node, *taken);
            }
            Answer::Refused { number } if is_out(number, &self.nodes[node]) => self.retry(node),
            // Of a request that was sent again, and answered.
            Answer::Batch { .. } | Answer::Take { .. } | Answer::Refused { .. } => {}
        }
    }

    fn held(&self, node: usize) -> punctual::core::Shards {
        self.nodes[node].core.as_ref().map(|core| *core.shards()).unwrap_or_default()
    }

    fn acquire(&mut self, node: usize, taken: Taken) {
        use punctual::core::Known;
        let Taken { jobs, rows, restored } = taken;
        for job in jobs {
            self.feed(node, Input::RestoreJob(Box::new(job)));
        }
        for (row, known) in rows {
            self.coverage.hit(match known {
                Known::Nothing => "adopted in doubt",
                Known::Unsent => "adopted known",
                Known::InFlight => "adopted in flight",
            });
            if known == Known::Unsent {
                self.known.insert(row.seq, row.record.recoveries);
            }
            self.feed(node, Input::RestoreRow(Box::new(row), known));
        }
        self.feed(node, Input::Acquired(restored));
        self.known.clear();
        let held = self.held(node);
        self.hear(node, Heard::Taken(held));
    }

    /// A request came to nothing, for sure.
    fn retry(&mut self, node: usize) {
        let is_take = matches!(self.nodes[node].out.as_ref().map(|out| &out.request), Some(Request::Take { .. }));
        if is_take {
            // Unless it was sent before: then nobody knows.
            if self.nodes[node].out.as_ref().is_some_and(|out| out.tries > 1) {
                return self.lose(node);
            }
            self.nodes[node].out = None;
            let held = self.held(node);
            return self.hear(node, Heard::Taken(held));
        }
        self.resend(node);
    }

    fn resend(&mut self, node: usize) {
        self.coverage.hit("batch resent");
        let Some(out) = &mut self.nodes[node].out else { return };
        out.tries += 1;
        let request = out.request.clone();
        self.send_out(node, request);
    }

    /// Nothing was heard of a request. A batch says by its number whether it is there; what was taken would be lost.
    fn time_out(&mut self, node: usize, me: NodeId, number: u64, tries: u64) {
        let it = &self.nodes[node];
        let Some(out) = it.out.as_ref().filter(|_| it.me == Some(me)) else { return };
        if (out.number, out.tries) != (number, tries) {
            return;
        }
        if matches!(out.request, Request::Take { .. }) {
            return self.lose(node);
        }
        self.resend(node);
    }
}

/// Workers and targets.
impl World {
    fn check(&mut self, node: usize, attempt: Attempt) {
        let now = self.nodes[node].clock.now(self.true_us);
        if !self.nodes[node].in_flight.contains_key(&(attempt.handle, attempt.number)) {
            return;
        }
        if now.mono >= self.nodes[node].lease {
            self.coverage.hit("withheld by a worker");
            let report = report_of(&attempt, Outcome::Withheld, now.wall, false);
            let wait_us = self.rng.within(10..=900);
            return self.after(wait_us, node, Event::Report(report));
        }
        if let Some(for_us) = self.nodes[node].pauses_at_look.take() {
            self.pause(node, for_us);
        }
        let (wait_us, checked_us) = (self.rng.within(1..=200), self.true_us);
        self.after(wait_us, node, Event::Write { attempt, checked_us });
    }

    fn write(&mut self, node: usize, attempt: &Attempt, checked_us: u64) {
        let it = &self.nodes[node];
        let now = it.clock.now(self.true_us);
        let Some(&(by, _)) = it.in_flight.get(&(attempt.handle, attempt.number)) else { return };
        let was_paused = self.true_us > checked_us + 200_000;
        self.coverage.hit_if(was_paused, "pause between look and write");
        // Another incarnation of the same process may trust by now.
        let is_stale = was_paused && (now.mono >= it.lease || it.me != Some(by));
        let fails = self.rng.per_cent(self.plan.fails_per_cent);
        let outcome = match self.rng.within(0..=3) {
            _ if !fails => Outcome::Answered(200),
            0 => Outcome::Answered(503),
            1 => Outcome::TimedOut("no answer".to_owned()),
            _ => Outcome::ConnectionFailed("refused".to_owned()),
        };
        let was_sent = !matches!(outcome, Outcome::ConnectionFailed(_));
        if was_sent {
            self.judge.sent(attempt, by, is_stale, &self.store, &mut self.coverage);
        }
        let slow = self.rng.per_cent(10);
        let wait_us = if slow { self.rng.within(20_000..=3 * SECOND_US) } else { self.rng.within(300..=20_000) };
        let report = report_of(attempt, outcome, now.wall, was_sent);
        self.after(wait_us, node, Event::Report(report));
    }

    fn report(&mut self, node: usize, report: Report) {
        let Some((by, id)) = self.nodes[node].in_flight.remove(&(report.handle, report.attempt)) else { return };
        let has_failed = !matches!(report.outcome, Outcome::Answered(200) | Outcome::Withheld);
        if self.nodes[node].me == Some(by) {
            self.judge.reported(id, by, &report, has_failed);
        }
        self.feed(node, Input::Report(report));
    }
}

fn report_of(attempt: &Attempt, outcome: Outcome, dispatched: punctual::time::WallUs, was_sent: bool) -> Report {
    let (handle, number, duration_us) = (attempt.handle, attempt.number, 1_000);
    Report { handle, attempt: number, outcome, dispatched, duration_us, was_sent, answer: None }
}

/// Clients, and what goes wrong.
impl World {
    fn command(&mut self) {
        let node = usize::try_from(self.rng.within(0..=self.nodes.len() as u64 - 1)).expect("few");
        let it = &self.nodes[node];
        let now = it.clock.now(self.true_us);
        let Some(core) = it.core.as_ref().filter(|_| it.paused_until <= self.true_us && it.draining_since.is_none())
        else {
            return;
        };
        if core.shards().is_empty() {
            return;
        }
        let here: Vec<JobId> = core.jobs_after(None, 100, now.wall).iter().map(|view| view.revision.id).collect();
        let is_few = self.store.jobs.len() < 40;
        let action = match self.rng.within(0..=9) {
            0..=3 if is_few => self.create(now.wall.floor()),
            _ if here.is_empty() => self.create(now.wall.floor()),
            4 => Action::Delete { id: *self.rng.pick(&here), expected: None },
            5..=6 => {
                let id = *self.rng.pick(&here);
                let job = &self.store.jobs[&id.key()];
                // The same again: what is armed is armed anew.
                Action::Update { id, spec: job.revision.spec.clone(), keep_active: true, expected: None }
            }
            _ => {
                let (id, wait) = (*self.rng.pick(&here), self.rng.per_cent(50).then(|| Duration::from_secs(3)));
                Action::Run(Box::new(Run { id, of: RunOf::Now, own_body: None, force: false, wait }))
            }
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        self.open.insert(request, node);
        let command = Command { request, action, plans: false, read_at: now.wall.floor() };
        self.feed(node, Input::Command(Box::new(command)));
        self.turn(node);
    }

    /// A job whose URL says what it is.
    fn create(&mut self, at: punctual::time::Instant) -> Action {
        let step = *self.rng.pick(&[1, 1, 2, 3, 5, 10]);
        let delivery = *self.rng.pick(&["ATLEAST_ONCE", "ATLEAST_ONCE", "ATMOST_ONCE"]);
        let mut more = String::new();
        let most = *self.rng.pick(&[0, 0, 0, 0, 3, 6]);
        if most > 0 {
            more += &format!(r#","maxRuns":{most}"#);
        }
        if self.rng.per_cent(30) {
            let name = self.rng.within(0..=5);
            more += &format!(r#","concurrencyKey":{{"name":"key-{name}","limit":4}}"#);
        }
        if self.rng.per_cent(20) {
            more += r#","overlap":"skip""#;
        }
        let text = format!(
            r#"{{"schedule":"*/{step} * * * * *","api":"http://t{}/{step}/{most}","type":"{delivery}"{more}}}"#,
            self.rng.within(0..=2)
        );
        let definition: Definition = serde_json::from_str(&text).expect("a definition");
        let spec = JobSpec::compile(&definition, &Context::at(at)).expect("a job");
        let mut entropy = [0; 10];
        entropy[..8].copy_from_slice(&self.rng.next().to_le_bytes());
        Action::Create { spec, entropy, pause: None }
    }

    fn pause(&mut self, node: usize, for_us: u64) {
        let until_us = self.true_us + for_us;
        (self.nodes[node].paused_until, self.nodes[node].hindered_until) = (until_us, until_us);
    }

    fn fault(&mut self, fault: Fault) {
        self.say(|| format!("{fault:?}"));
        match fault {
            Fault::Crash { node, down_us } if self.nodes[node].core.is_some() => {
                self.coverage.hit("crash");
                self.nodes[node].down_us = down_us;
                self.end(node);
            }
            Fault::Pause { node, for_us } => {
                self.coverage.hit("pause");
                self.pause(node, for_us);
            }
            Fault::PauseAtLook { node, for_us } => self.nodes[node].pauses_at_look = Some(for_us),
            Fault::Drain { node, down_us } if self.nodes[node].core.is_some() => {
                if self.nodes[node].draining_since.is_none() {
                    (self.nodes[node].draining_since, self.nodes[node].down_us) = (Some(self.true_us), down_us);
                    self.hear(node, Heard::Drain);
                }
            }
            Fault::StoreDown { for_us } => self.down_until = self.true_us + for_us,
            Fault::CutOff { node, for_us } => {
                let until_us = self.true_us + for_us;
                (self.nodes[node].cut_off_until, self.nodes[node].hindered_until) = (until_us, until_us);
            }
            Fault::Step { node } => {
                self.coverage.hit("wall clock set");
                let mut rng = Rng::new(self.rng.next());
                self.nodes[node].clock.step(&mut rng);
            }
            Fault::Crash { .. } | Fault::Drain { .. } => {}
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
