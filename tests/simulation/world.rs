//! Owns one run: the core, the fakes around it, the agenda, and the loop that turns.
//! It must not judge: `watch` and `oracle` do.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;

use punctual::core::{Bounds, Input, Notice, Output, Persist, Reply, Report, Scheduler, Seq, Setting};
use punctual::limits::CLOCK_STEP_MIN_US;
use punctual::schedule::Calendars;
use punctual::time::{Now, WallUs};

use super::again::Sent;
use super::bounds::{self, Room};
use super::clients::Clients;
use super::clock::Clock;
use super::coverage::Coverage;
use super::demands::Demands;
use super::disk::Disk;
use super::incidents::Incidents;
use super::line;
use super::plan::{Fault, Plan, Profile, SECOND_US};
use super::pool::Pool;
use super::rng::Rng;
use super::watch::Watch;

/// Something that will happen.
pub(crate) enum Event {
    /// Clients want something.
    Command,
    /// One asks again, who has heard no answer.
    AskAgain(Box<Sent>),
    /// They want one more change of those that are to be written together.
    Gather,
    /// Those were all.
    WriteGathered,
    /// The writer takes up what is queued.
    Write,
    /// The batch under way ends.
    Commit,
    /// An acknowledgement reaches the core.
    Committed { through: u64, rejected: Vec<u64> },
    /// The writer says again how far it has come, in case nobody heard.
    SayAgain,
    /// A report reaches the core.
    Report(Report),
    /// Something goes wrong.
    Fault(Fault),
    /// The process is started.
    Start,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) clock: Clock,
    pub(crate) core: Option<Scheduler>,
    pub(crate) disk: Disk,
    pub(crate) pool: Pool,
    pub(crate) clients: Clients,
    pub(crate) watch: Watch,
    pub(crate) demands: Demands,
    pub(crate) incidents: Incidents,
    pub(crate) coverage: Coverage,
    /// By time and order of asking; with the process it is meant for, if only for that.
    agenda: BTreeMap<(u64, u64), (Option<u64>, Event)>,
    order: u64,
    last: Now,
    pub(crate) step: u64,
    hasher: DefaultHasher,
    /// After so many outputs the process dies.
    pub(crate) crash_in: Option<u64>,
    pub(crate) down_us: u64,
    pub(crate) healed: bool,
    pub(crate) disk_full: bool,
    pub(crate) commit_us: u64,
    /// When the newest acknowledgement arrives: they do not overtake each other.
    pub(crate) acknowledged_at_us: u64,
    /// How far the core has heard that the disk is.
    pub(crate) heard_through: u64,
    /// The newest row that was to be written.
    newest: Option<Seq>,
    /// Whether the input at hand is a client's.
    in_command: bool,
    verbose: bool,
}

impl World {
    pub(crate) fn new(plan: Plan, verbose: bool) -> World {
        let mut rng = Rng::new(plan.seed);
        // Thirty seconds before a full minute, hour or day, give or take.
        let hours = i64::try_from(rng.within(0..=400)).expect("small");
        let base_s = match plan.meets {
            None => 1_767_225_600 + hours * 3_600 - 30,
            Some(change) => change - (hours % 30) * 3_600 - 30,
        };
        let clock = Clock::new(base_s * 1_000_000 + i64::try_from(rng.within(0..=999_999)).expect("small"));
        let last = clock.now();
        let mut world = World {
            clients: Clients::new(&plan),
            pool: Pool::new(&plan.settings),
            plan,
            rng,
            clock,
            core: None,
            disk: Disk::default(),
            watch: Watch::default(),
            demands: Demands::default(),
            incidents: Incidents::default(),
            coverage: Coverage::default(),
            agenda: BTreeMap::new(),
            order: 0,
            last,
            step: 0,
            hasher: DefaultHasher::new(),
            crash_in: None,
            down_us: 0,
            healed: false,
            disk_full: false,
            commit_us: 3_000,
            acknowledged_at_us: 0,
            heard_through: 0,
            newest: None,
            in_command: false,
            verbose,
        };
        for (at_us, fault) in world.plan.faults.clone() {
            world.at(at_us, Event::Fault(fault));
        }
        if let Some(every_us) = world.plan.command_every_us {
            let mut at_us = 0;
            while at_us < world.plan.length_us {
                at_us += world.rng.within(0..=2 * every_us);
                world.at(at_us, Event::Command);
            }
        }
        world.start();
        world
    }

    /// The whole life of a seed: faults, healing, judgement, a last drain. The hash of all outputs.
    pub(crate) fn live(mut self) -> (u64, u64, Coverage) {
        for _ in 0..self.plan.jobs {
            let command = self.clients.create(&self.calendars(), &mut self.rng, self.clock.now().wall);
            self.feed(Input::Command(Box::new(command)));
        }
        for _ in 0..self.plan.channels {
            let command = self.clients.steer_channel(&self.disk, &mut self.rng);
            self.feed(Input::Command(Box::new(command)));
        }
        while self.clock.true_us < self.plan.length_us {
            self.turn();
        }
        self.finish();
        (self.hasher.finish(), self.step, std::mem::take(&mut self.coverage))
    }

    /// The calendars that a client can name.
    pub(crate) fn calendars(&self) -> Calendars {
        self.core.as_ref().map(|core| core.calendars().clone()).unwrap_or_default()
    }

    pub(crate) fn at(&mut self, true_us: u64, event: Event) {
        self.order += 1;
        let process = match event {
            Event::Gather | Event::WriteGathered => Some(self.watch.process()),
            Event::Write | Event::Commit | Event::Committed { .. } | Event::SayAgain | Event::Report(_) => {
                Some(self.watch.process())
            }
            Event::Command | Event::AskAgain(_) | Event::Fault(_) | Event::Start => None,
        };
        self.agenda.insert((true_us, self.order), (process, event));
    }

    pub(crate) fn after(&mut self, wait_us: u64, event: Event) {
        self.at(self.clock.true_us.saturating_add(wait_us), event);
    }

    /// One turn of the loop: wait, read the clocks once, due work first, then what came in.
    pub(crate) fn turn(&mut self) {
        let event_us = self.agenda.first_key_value().map(|(&(at_us, _), _)| at_us);
        let deadline = self.core.as_ref().map(Scheduler::poll_timeout).unwrap_or_default();
        let mut due_us = self.clock.when(deadline);
        let errs = !self.healed && self.rng.per_cent(self.plan.turn_errs_per_cent);
        if errs && let Some(due_us) = &mut due_us {
            *due_us += self.rng.within(0..=2_500_000);
            self.coverage.hit("tick late");
        }
        let wake_us = [event_us, due_us].into_iter().flatten().min();
        let wake_us = wake_us.unwrap_or(self.clock.true_us + SECOND_US);
        self.clock.advance_to(wake_us);
        self.compare_clocks();
        if errs && self.rng.per_cent(30) {
            return self.take_events();
        }
        self.tick_if_due();
        self.take_events();
    }

    /// Gives the core a tick if it asked for one by now.
    fn tick_if_due(&mut self) {
        let now = self.clock.now();
        let mut ticks = 0;
        while self.core.as_ref().is_some_and(|core| core.poll_timeout().is_reached(now)) {
            self.feed(Input::Tick);
            ticks += 1;
            assert!(ticks < 1_000, "behind some ticks the next deadline lies ahead");
            if let Some(core) = &self.core {
                let is_left = core.poll_timeout().is_reached(now);
                self.coverage.hit_if(is_left, "more due than one tick takes up");
                let stalled = self.plan.profile == Profile::Storm && core.load(now.wall).arming_stalled > 0;
                assert!(!stalled || core.poll_timeout().mono.is_some(), "arming that waits for its turn gets one");
                self.coverage.hit_if(stalled, "turn spent on arming");
            }
        }
    }

    fn take_events(&mut self) {
        for _ in 0..256 {
            let Some(entry) = self.agenda.first_entry() else { return };
            if entry.key().0 > self.clock.true_us {
                return;
            }
            let (process, event) = entry.remove();
            if process.is_none_or(|process| process == self.watch.process() && self.core.is_some()) {
                let clocks_may_jump = matches!(event, Event::Fault(_));
                self.happen(event);
                if clocks_may_jump {
                    return;
                }
            }
        }
    }

    /// The loop tells the core when wall and monotonic time moved apart since the last turn.
    fn compare_clocks(&mut self) {
        let now = self.clock.now();
        let mono_us = i64::try_from(now.mono.0 - self.last.mono.0).expect("a simulation does not last for ages");
        let apart_us = now.wall.since_us(self.last.wall) - mono_us;
        self.last = now;
        if self.core.is_some() {
            self.watch.time(now);
            if apart_us.abs() > CLOCK_STEP_MIN_US {
                self.coverage.hit_if(apart_us > 0, "clock step forward");
                self.coverage.hit_if(apart_us < 0, "clock step back");
                self.feed(Input::ClockStep(apart_us));
            }
        }
    }

    /// A process that starts has nothing to compare with.
    pub(crate) fn forget_clocks(&mut self) {
        self.last = self.clock.now();
    }

    /// Gives the core one input, and takes all that comes of it; unless it dies in between.
    pub(crate) fn feed(&mut self, input: Input) {
        let now = self.clock.now();
        let Some(core) = &mut self.core else { return };
        self.step += 1;
        if self.verbose {
            eprintln!("step {} at {now:?}: {input:?}", self.step);
        }
        self.in_command = matches!(input, Input::Command(_));
        self.demands.begin();
        let is_tick = matches!(input, Input::Tick);
        let (mut again, mut told) = (0, 0);
        let mut room = Room::of(core, self.newest, now);
        core.handle_input(input, now);
        while let Some(output) = self.core.as_mut().and_then(Scheduler::poll_output) {
            self.record(&output);
            if is_tick {
                room.judge(&output, &self.plan.settings.bounds);
            }
            if let Output::Persist(_, item) = &output {
                self.newest = self.newest.max(bounds::newest_of(item));
            }
            let (one_again, one) = self.count_told(&output);
            (again, told) = (again + one_again, told + one);
            self.output(output, now);
            if let Some(left) = self.crash_in.as_mut() {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    self.coverage.hit("crash amid outputs");
                    self.crash();
                }
            }
        }
        assert!(again <= self.plan.settings.bounds.incidents_per_turn, "{again} incidents are told of again in a turn");
        if self.core.is_some() {
            self.demands.end();
        }
        self.watch_bounds(is_tick, told, now);
        self.check_sometimes();
    }

    /// The core checks small states itself.
    fn check_sometimes(&self) {
        let Some(core) = &self.core else { return };
        let big = self.plan.profile == Profile::Storm || self.plan.profile == Profile::Overload;
        if self.step.is_multiple_of(if big { 5_000 } else { 16 }) {
            core.check();
        }
    }

    pub(crate) fn assert_in_flight(&self) {
        let Some(core) = &self.core else { return };
        let in_flight = core.load(self.clock.now().wall).in_flight;
        assert_eq!(in_flight, self.pool.len() as usize, "the core knows what the pool holds");
    }

    fn record(&mut self, output: &Output) {
        self.hasher.write(line::of(output).as_bytes());
        self.hasher.write_u8(b'\n');
        if self.verbose {
            eprintln!("    {output:?}");
        }
    }

    fn output(&mut self, output: Output, now: Now) {
        match output {
            Output::Persist(number, item) => {
                if let Persist::Row(row, _) = &item {
                    bounds::judge_row(row, &self.plan.settings.bounds, &mut self.coverage);
                }
                self.watch.persist(number, &item, now, &self.disk, &self.clients, &mut self.coverage);
                self.demands.persist(&item, now, &self.disk, &self.clients);
                if let Some(core) = &self.core {
                    self.incidents.persist((number, &item), now, core, &self.disk, &self.watch, &mut self.coverage);
                }
                let peak = self.watch.peak.unwrap_or(now.wall);
                self.persist(number, item, peak);
            }
            Output::Planned(number, request, reply) => {
                assert_eq!(
                    Some(number),
                    self.disk.queue.back().map(|queued| queued.number),
                    "it belongs to what was asked last"
                );
                self.disk.note_key(self.clients.key_of(request));
                self.clients.planned(request, reply);
            }
            Output::Reply(request, reply) => {
                if let Reply::Set(Setting::Policy(..)) = reply {
                    self.note_policy(now);
                }
                self.answer(request, &reply);
            }
            Output::Fire(attempt) => {
                self.watch.fire(&attempt, now, &self.disk, &self.clients, &mut self.coverage);
                self.disk.sent.insert(attempt.handle.seq, attempt.id);
                if !self.has_own_purpose() {
                    self.judge_shares(&attempt);
                }
                self.send(&attempt, now);
            }
            Output::Gathered(request, accepted) => self.clients.gathered(request, accepted, &mut self.coverage),
            Output::Together(_, numbers) => {
                self.clients.together(numbers.clone());
                self.disk.together.push(numbers);
            }
            Output::Hurry => self.coverage.hit("hurried"),
            Output::Dispatched(..) => self.coverage.hit("dispatch measured"),
            Output::Alert(alert) => {
                self.watch.alert(&alert, &self.disk);
                self.coverage.hit("alert told");
            }
            Output::Tell(message) => self.incidents.tell(&message, &self.disk, &mut self.coverage),
            Output::Notice(notice) => match notice {
                Notice::InDoubt { rows } => assert!(rows > 0),
                Notice::Missed { count, .. } => {
                    assert!(count > 0, "nothing was missed");
                    self.coverage.hit_if(self.in_command, "update before a gap was settled");
                }
                Notice::Overload { instants, .. } => {
                    assert!(instants > 0, "nothing was passed over");
                    self.coverage.hit("overload told");
                }
                Notice::ClockStep { held_jobs, .. } => self.coverage.hit_if(held_jobs > 0, "held job"),
                Notice::Paused { .. } => self.coverage.hit("paused by policy"),
                Notice::Target { failing: true, .. } => self.coverage.hit("target failing"),
                Notice::Target { failing: false, .. } => self.coverage.hit("target well again"),
            },
        }
    }

    /// The highest wall time anybody has seen.
    pub(crate) fn peak(&self) -> WallUs {
        self.watch.peak.unwrap_or(self.clock.now().wall)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Plan { seed, profile, .. } = self.plan;
            let bounds = self.plan.settings.bounds;
            let small = if bounds == Bounds::default() { String::new() } else { format!(", with {bounds:?}") };
            eprintln!("failed in step {} of the {profile:?} run of seed {seed}{small}", self.step);
            eprintln!(
                "to see it again: SIMULATION_SEED={seed} SIMULATION_PROFILE={profile:?} cargo test --test simulation replay -- --nocapture"
            );
        }
    }
}
