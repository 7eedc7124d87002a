//! Owns the queues in front of the targets: who may be sent to next, so that no target holds more than its share.
//! It must not know what waits in the queues beyond a handle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use slab::Slab;

use super::attempt::Handle;
use super::bounds::Bounds;
use super::ranking::{TargetView, Weight};
use super::slot;
use crate::job::{JobKey, Target};

/// Which of a target's two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// What is due now.
    Due,
    /// What is sent again after a crash, or caught up: goes out behind due work.
    Recovery,
}

/// How a target stands when it gets something to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It holds few in flight.
    Light,
    /// It holds many: it is slow, silent, or has a lot to do.
    Heavy,
    /// It cannot be reached.
    Failing,
}

/// The order in which a burst drains: due work before recovery; targets that hold few in flight before those that hold
/// many, so that who is silent or slow comes behind who answers; failing ones last.
const ORDER: [(Lane, Standing); 6] = [
    (Lane::Due, Standing::Light),
    (Lane::Due, Standing::Heavy),
    (Lane::Due, Standing::Failing),
    (Lane::Recovery, Standing::Light),
    (Lane::Recovery, Standing::Heavy),
    (Lane::Recovery, Standing::Failing),
];

#[derive(Debug)]
struct TargetState {
    name: Target,
    /// Jobs that name it.
    jobs: usize,
    in_flight: u32,
    /// Timeouts and connection errors in a row.
    failures: u32,
    queues: [VecDeque<Handle>; 2],
    /// Executions that wait for a retry.
    retries: usize,
    /// Jobs that are not armed because too much waits already, oldest first.
    stalled: VecDeque<JobKey>,
    /// How many instants of stalled jobs may be armed: what was sent makes room for them.
    credit: i64,
    /// Whether it stands in a ring for that lane.
    ringed: [bool; 2],
}

impl TargetState {
    fn is_failing(&self, after: u32) -> bool {
        self.failures >= after
    }

    fn standing(&self, after: u32, few: u32) -> Standing {
        match self.is_failing(after) {
            true => Standing::Failing,
            false if self.in_flight >= few => Standing::Heavy,
            false => Standing::Light,
        }
    }

    fn is_unused(&self) -> bool {
        let waits = self.retries > 0 || self.queues.iter().any(|queue| !queue.is_empty());
        self.jobs == 0 && self.in_flight == 0 && !waits && self.ringed == [false; 2]
    }

    /// Executions that wait for it, for whatever reason.
    fn backlog(&self) -> usize {
        self.queues.iter().map(VecDeque::len).sum::<usize>() + self.retries
    }
}

/// How many attempts may be in flight, and who may hold how many of them.
#[derive(Clone, Copy, Debug)]
struct Shares {
    all: u32,
    /// From here on only targets that hold few may go on: many dead ones together must leave room for the others.
    bulk: u32,
    /// How many in flight are few.
    few: u32,
    target: u32,
    failing_target: u32,
    failing: u32,
    recovery: u32,
}

impl Shares {
    fn of(all: u32, bounds: &Bounds) -> Shares {
        let share = |per_cent: u32| {
            let part = u64::from(all) * u64::from(per_cent) / 100;
            u32::try_from(part).expect("a share is not more than the whole").max(1)
        };
        Shares {
            all,
            bulk: all
                - u32::try_from(u64::from(all) * u64::from(bounds.reserve_per_cent) / 100).expect("a part of a u32"),
            few: share(bounds.few_per_cent),
            target: share(bounds.target_share_per_cent),
            failing_target: share(bounds.failing_target_share_per_cent),
            failing: share(bounds.failing_share_per_cent),
            recovery: share(bounds.recovery_share_per_cent),
        }
    }
}

/// All targets that a job names or an attempt is in flight to.
#[derive(Debug)]
pub(super) struct Targets {
    targets: Slab<TargetState>,
    by_name: BTreeMap<Target, u32>,
    /// Targets that may have something to send, in turn, one ring per entry of `ORDER`.
    rings: [VecDeque<u32>; 6],
    shares: Shares,
    bounds: Bounds,
    in_flight: u32,
    failing_in_flight: u32,
    recovery_in_flight: u32,
    queued: usize,
    /// Targets that count as failing.
    failing: usize,
    /// Targets that may have room for stalled jobs.
    roomy: VecDeque<u32>,
    /// Targets that failed when they were forgotten.
    gone: Vec<String>,
}

impl Targets {
    pub(super) fn new(in_flight_max: u32, bounds: Bounds) -> Targets {
        assert!(in_flight_max > 0, "configuration requires at least one attempt in flight");
        Targets {
            targets: Slab::new(),
            by_name: BTreeMap::new(),
            rings: Default::default(),
            shares: Shares::of(in_flight_max, &bounds),
            bounds,
            in_flight: 0,
            failing_in_flight: 0,
            recovery_in_flight: 0,
            queued: 0,
            failing: 0,
            roomy: VecDeque::new(),
            gone: Vec::new(),
        }
    }

    /// Notes that a job names this target; its slot, valid until the matching `leave`.
    pub(super) fn join(&mut self, name: Target) -> u32 {
        if let Some(&found) = self.by_name.get(&name) {
            self.targets[found as usize].jobs += 1;
            return found;
        }
        let state = TargetState {
            name: name.clone(),
            jobs: 1,
            in_flight: 0,
            failures: 0,
            queues: Default::default(),
            retries: 0,
            stalled: VecDeque::new(),
            credit: 0,
            ringed: [false; 2],
        };
        let new = slot(self.targets.insert(state));
        self.by_name.insert(name, new);
        new
    }

    /// Notes that a job no longer names this target.
    pub(super) fn leave(&mut self, target: u32) {
        self.targets[target as usize].jobs -= 1;
        self.forget_if_unused(target);
    }

    /// Whether so much waits for this target that nothing more is armed for it.
    pub(super) fn is_full(&self, target: u32) -> bool {
        self.targets[target as usize].backlog() >= self.bounds.target_backlog_max
    }

    /// An execution waits for a retry.
    pub(super) fn begin_wait(&mut self, target: u32) {
        self.targets[target as usize].retries += 1;
    }

    /// An execution waits for a retry no more.
    pub(super) fn end_wait(&mut self, target: u32) {
        self.targets[target as usize].retries -= 1;
        self.forget_if_unused(target);
    }

    /// A job is not armed until there is room again.
    pub(super) fn stall(&mut self, target: u32, job: JobKey) {
        self.targets[target as usize].stalled.push_back(job);
    }

    /// The stalled job that has waited longest at a target that has room, with the target; it may be gone meanwhile.
    /// What is armed for it is to be told by `spend`.
    pub(super) fn next_unstalled(&mut self) -> Option<(u32, JobKey)> {
        while let Some(&target) = self.roomy.front() {
            let state = self.targets.get_mut(target as usize).filter(|state| state.credit > 0);
            if let Some(job) = state.and_then(|state| state.stalled.pop_front()) {
                return Some((target, job));
            }
            self.roomy.pop_front();
        }
        None
    }

    /// So many instants were armed for a job that was stalled.
    pub(super) fn spend(&mut self, target: u32, instants: usize) {
        self.targets[target as usize].credit -= i64::try_from(instants).expect("few instants lie within the lead");
    }

    /// What was sent makes room: for as much again, and for more while little waits.
    fn make_room(&mut self, target: u32) {
        let state = &mut self.targets[target as usize];
        let backlog = state.backlog();
        if state.stalled.is_empty() || backlog >= self.bounds.target_backlog_max {
            return;
        }
        if state.credit <= 0 {
            self.roomy.push_back(target);
        }
        state.credit = match backlog {
            0 => state.credit.max(self.bounds.stalled_at_once),
            few if few < self.bounds.target_backlog_max / 2 => state.credit + 2,
            _ => state.credit + 1,
        };
    }

    /// Queues an execution.
    pub(super) fn push(&mut self, target: u32, lane: Lane, handle: Handle) {
        self.targets[target as usize].queues[lane as usize].push_back(handle);
        self.queued += 1;
        self.enter_ring(target, lane);
    }

    /// Takes the next execution that may be sent, with its target and lane.
    pub(super) fn next(&mut self) -> Option<(u32, Lane, Handle)> {
        if self.in_flight >= self.shares.all {
            return None;
        }
        for (ring, (lane, standing)) in ORDER.into_iter().enumerate() {
            let failing = standing == Standing::Failing;
            if lane == Lane::Recovery && self.recovery_in_flight >= self.shares.recovery {
                continue;
            }
            if failing && self.failing_in_flight >= self.shares.failing {
                continue;
            }
            // Each target of the ring is looked at once.
            for _ in 0..self.rings[ring].len() {
                let Some(target) = self.rings[ring].pop_front() else { break };
                let state = &mut self.targets[target as usize];
                if standing == Standing::Light && state.in_flight >= self.shares.few {
                    // It holds many by now.
                    self.rings[ring + 1].push_back(target);
                    continue;
                }
                if self.in_flight >= self.shares.bulk && state.in_flight >= self.shares.few {
                    self.rings[ring].push_back(target);
                    continue;
                }
                let share = if failing { self.shares.failing_target } else { self.shares.target };
                if state.in_flight >= share {
                    // `finished` puts it back when there is room.
                    state.ringed[lane as usize] = false;
                    continue;
                }
                let Some(handle) = state.queues[lane as usize].pop_front() else {
                    state.ringed[lane as usize] = false;
                    self.forget_if_unused(target);
                    continue;
                };
                if state.queues[lane as usize].is_empty() {
                    state.ringed[lane as usize] = false;
                } else {
                    self.rings[ring].push_back(target);
                }
                self.queued -= 1;
                return Some((target, lane, handle));
            }
        }
        None
    }

    /// Notes that what `next` gave for this target is not sent: it was stale, or is another target's now.
    pub(super) fn passed_over(&mut self, target: u32) {
        self.forget_if_unused(target);
    }

    /// Notes that an attempt left for this target.
    pub(super) fn fired(&mut self, target: u32, lane: Lane) {
        let state = &mut self.targets[target as usize];
        state.in_flight += 1;
        self.failing_in_flight += u32::from(state.is_failing(self.bounds.failing_after));
        self.in_flight += 1;
        self.recovery_in_flight += u32::from(lane == Lane::Recovery);
        assert!(self.in_flight <= self.shares.all, "more in flight than may be");
        self.make_room(target);
    }

    /// Notes that an attempt came back, and whether the target was reached. Says so if that turned its health.
    pub(super) fn finished(&mut self, target: u32, lane: Lane, reached: Option<bool>) -> Option<(String, bool)> {
        let state = &mut self.targets[target as usize];
        let was_failing = state.is_failing(self.bounds.failing_after);
        self.failing_in_flight -= u32::from(was_failing);
        state.in_flight -= 1;
        self.in_flight -= 1;
        self.recovery_in_flight -= u32::from(lane == Lane::Recovery);
        match reached {
            Some(true) => state.failures = 0,
            Some(false) => state.failures = state.failures.saturating_add(1),
            None => {}
        }
        let is_failing = state.is_failing(self.bounds.failing_after);
        let turned = (was_failing != is_failing).then(|| (state.name.to_string(), is_failing));
        let in_flight = state.in_flight;
        if turned.is_some() {
            self.turn(target, in_flight, is_failing);
        }
        self.enter_rings(target);
        self.forget_if_unused(target);
        turned
    }

    /// Attempts in flight change sides with their target, and so does its place in the rings.
    fn turn(&mut self, target: u32, in_flight: u32, is_failing: bool) {
        if is_failing {
            self.failing_in_flight += in_flight;
            self.failing += 1;
        } else {
            self.failing_in_flight -= in_flight;
            self.failing -= 1;
        }
        self.leave_rings(target);
    }

    /// It stands in a ring for each lane in which something waits for it.
    fn enter_rings(&mut self, target: u32) {
        for lane in [Lane::Due, Lane::Recovery] {
            if !self.targets[target as usize].queues[lane as usize].is_empty() {
                self.enter_ring(target, lane);
            }
        }
    }

    /// Puts an execution back that was taken and did not leave.
    pub(super) fn push_back_first(&mut self, target: u32, lane: Lane, handle: Handle) {
        self.targets[target as usize].queues[lane as usize].push_front(handle);
        self.queued += 1;
        self.enter_ring(target, lane);
    }

    /// Targets that were forgotten while they failed, since this was asked last.
    pub(super) fn take_gone(&mut self) -> Vec<String> {
        std::mem::take(&mut self.gone)
    }

    /// These targets failed when the process ended that had their jobs before. Those that there are.
    pub(super) fn assume_failing(&mut self, mut names: BTreeSet<String>) -> BTreeSet<String> {
        if names.is_empty() {
            return names;
        }
        let mut found = BTreeSet::new();
        for slot in self.by_name.values().copied().collect::<Vec<u32>>() {
            let target = &mut self.targets[slot as usize];
            let Some(name) = names.take(&target.name.to_string()) else { continue };
            if !target.is_failing(self.bounds.failing_after) {
                target.failures = self.bounds.failing_after;
                let in_flight = target.in_flight;
                self.turn(slot, in_flight, true);
                self.enter_rings(slot);
            }
            found.insert(name);
        }
        found
    }

    /// The names of those that fail.
    pub(super) fn failing_names(&self) -> Vec<String> {
        let failing =
            self.by_name.iter().filter(|&(_, &slot)| self.targets[slot as usize].is_failing(self.bounds.failing_after));
        failing.map(|(name, _)| name.to_string()).collect()
    }

    /// Attempts with the workers.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Executions that wait in queues, stale ones included.
    pub(super) fn queued(&self) -> usize {
        self.queued
    }

    /// Targets that count as failing.
    pub(super) fn failing(&self) -> usize {
        self.failing
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.targets.len()
    }

    /// Names and slots in the order of names, from the first after `after`.
    pub(super) fn after(&self, after: Option<&Target>) -> impl Iterator<Item = (&Target, u32)> + use<'_> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_name.range((from, Bound::Unbounded)).map(|(name, &slot)| (name, slot))
    }

    /// How much one matters to somebody who looks for trouble.
    pub(super) fn weight(&self, target: u32) -> Weight {
        let state = &self.targets[target as usize];
        (state.is_failing(self.bounds.failing_after), state.backlog(), state.in_flight)
    }

    /// One as clients see it.
    pub(super) fn view(&self, target: u32) -> TargetView {
        let state = &self.targets[target as usize];
        TargetView {
            target: state.name.clone(),
            jobs: state.jobs,
            in_flight: state.in_flight,
            waiting: state.backlog(),
            retries: state.retries,
            // Some may be gone, or armed again as another revision.
            stalled_jobs: state.stalled.len().min(state.jobs),
            failing: state.is_failing(self.bounds.failing_after),
            failures_in_row: state.failures,
        }
    }

    fn enter_ring(&mut self, target: u32, lane: Lane) {
        let state = &mut self.targets[target as usize];
        if !std::mem::replace(&mut state.ringed[lane as usize], true) {
            let ring = ring_of(lane, state.standing(self.bounds.failing_after, self.shares.few));
            self.rings[ring].push_back(target);
        }
    }

    /// O(targets with work); only when a target's health turns.
    fn leave_rings(&mut self, target: u32) {
        for ring in &mut self.rings {
            ring.retain(|&other| other != target);
        }
        self.targets[target as usize].ringed = [false; 2];
    }

    fn forget_if_unused(&mut self, target: u32) {
        if self.targets[target as usize].is_unused() {
            let state = self.targets.remove(target as usize);
            if state.is_failing(self.bounds.failing_after) {
                self.failing -= 1;
                self.gone.push(state.name.to_string());
            }
            self.by_name.remove(&state.name);
        }
    }

    /// Checks sums and rings against the targets; O(n).
    pub(super) fn check(&self) {
        let after = self.bounds.failing_after;
        let sum = |of: &dyn Fn(&TargetState) -> u32| self.targets.iter().map(|(_, target)| of(target)).sum::<u32>();
        assert_eq!(sum(&|target| target.in_flight), self.in_flight);
        assert_eq!(sum(&|target| u32::from(target.is_failing(after))) as usize, self.failing);
        assert_eq!(sum(&|target| if target.is_failing(after) { target.in_flight } else { 0 }), self.failing_in_flight);
        let queued: usize = self.targets.iter().flat_map(|(_, target)| &target.queues).map(VecDeque::len).sum();
        assert_eq!(queued, self.queued);
        for (ring, (lane, standing)) in ORDER.into_iter().enumerate() {
            for &target in &self.rings[ring] {
                // Whether it holds few is looked at when its turn comes.
                let state = &self.targets[target as usize];
                let fits = state.is_failing(self.bounds.failing_after) == (standing == Standing::Failing);
                assert!(state.ringed[lane as usize] && fits, "a target is in the wrong ring");
            }
        }
        for (index, target) in &self.targets {
            assert!(!target.is_unused(), "an unused target was kept");
            for lane in [Lane::Due, Lane::Recovery] {
                let rings = self.rings.iter().flatten().filter(|&&other| other as usize == index).count();
                assert!(rings <= 2);
                let waits = !target.queues[lane as usize].is_empty() && !target.ringed[lane as usize];
                let share = if target.is_failing(self.bounds.failing_after) {
                    self.shares.failing_target
                } else {
                    self.shares.target
                };
                assert!(!waits || target.in_flight >= share, "a target with room and work stands in no ring");
            }
        }
    }
}

fn ring_of(lane: Lane, standing: Standing) -> usize {
    ORDER.iter().position(|&entry| entry == (lane, standing)).expect("ORDER lists every combination")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::record::Seq;

    fn target(host: &str) -> Target {
        Target { https: false, host: host.into(), port: 80 }
    }

    fn handle(number: u32) -> Handle {
        Handle { slot: number, seq: Seq(u64::from(number)) }
    }

    fn fire_all(targets: &mut Targets) -> Vec<(u32, u32)> {
        let mut fired = Vec::new();
        while let Some((target, lane, handle)) = targets.next() {
            targets.fired(target, lane);
            fired.push((target, handle.slot));
            targets.check();
        }
        fired
    }

    #[test]
    fn one_target_never_holds_more_than_its_share_and_others_go_on() {
        let mut targets = Targets::new(10, Bounds::default());
        let (slow, quick) = (targets.join(target("slow")), targets.join(target("quick")));
        for number in 0..20 {
            targets.push(slow, Lane::Due, handle(number));
        }
        assert_eq!(fire_all(&mut targets).len(), 5);
        targets.push(quick, Lane::Due, handle(100));
        assert_eq!(fire_all(&mut targets), [(quick, 100)]);
        assert!(targets.finished(slow, Lane::Due, Some(true)).is_none());
        assert_eq!(fire_all(&mut targets), [(slow, 5)], "in order, one for each that came back");
        assert_eq!(targets.targets[slow as usize].backlog(), 14);
    }

    #[test]
    fn failing_targets_shrink_go_last_and_recover() {
        let mut targets = Targets::new(20, Bounds::default());
        let (dead, well) = (targets.join(target("dead")), targets.join(target("well")));
        for number in 0..10 {
            targets.push(dead, Lane::Due, handle(number));
        }
        assert_eq!(fire_all(&mut targets).len(), 10);
        for number in 10..20 {
            targets.push(dead, Lane::Due, handle(number));
        }
        for turn in 0..10 {
            let turned = targets.finished(dead, Lane::Due, Some(false));
            assert_eq!(turned.is_some(), turn == 2, "failing after three in a row");
            targets.check();
        }
        targets.push(well, Lane::Recovery, handle(50));
        targets.push(well, Lane::Due, handle(51));
        assert_eq!(fire_all(&mut targets), [(well, 51), (dead, 10), (dead, 11), (well, 50)]);
        assert_eq!(targets.finished(dead, Lane::Due, Some(true)), Some(("http://dead:80".to_owned(), false)));
        assert_eq!(fire_all(&mut targets).len(), 8);
    }

    #[test]
    fn who_holds_few_goes_before_who_holds_many() {
        let mut targets = Targets::new(400, Bounds::default());
        let (silent, well) = (targets.join(target("silent")), targets.join(target("well")));
        for number in 0..20 {
            targets.push(silent, Lane::Due, handle(number));
        }
        assert_eq!(fire_all(&mut targets).len(), 20);
        // A second later, in whatever order they became due.
        for number in 20..24 {
            targets.push(silent, Lane::Due, handle(number));
        }
        for number in 100..104 {
            targets.push(well, Lane::Due, handle(number));
        }
        let fired: Vec<u32> = fire_all(&mut targets).into_iter().map(|(_, number)| number).collect();
        assert_eq!(fired, [100, 101, 102, 103, 20, 21, 22, 23]);
        // Four are few no longer: now both take turns.
        for number in 0..3 {
            targets.push(silent, Lane::Due, handle(30 + number));
            targets.push(well, Lane::Due, handle(130 + number));
        }
        let fired: Vec<u32> = fire_all(&mut targets).into_iter().map(|(_, number)| number).collect();
        assert_eq!(fired, [30, 130, 31, 131, 32, 132]);
    }

    #[test]
    fn many_silent_targets_leave_room_for_those_that_hold_few() {
        let mut targets = Targets::new(100, Bounds::default());
        for host in ["a", "b", "c"] {
            let silent = targets.join(target(host));
            for number in 0..50 {
                targets.push(silent, Lane::Due, handle(number));
            }
        }
        assert_eq!(fire_all(&mut targets).len(), 90, "a tenth is kept");
        let well = targets.join(target("well"));
        targets.push(well, Lane::Due, handle(100));
        targets.push(well, Lane::Due, handle(101));
        assert_eq!(fire_all(&mut targets), [(well, 100)]);
        targets.finished(well, Lane::Due, Some(true));
        assert_eq!(fire_all(&mut targets), [(well, 101)]);
    }

    #[test]
    fn recovery_keeps_to_its_share_behind_due_work() {
        let mut targets = Targets::new(8, Bounds::default());
        let only = targets.join(target("only"));
        for number in 0..4 {
            targets.push(only, Lane::Recovery, handle(number));
        }
        assert_eq!(fire_all(&mut targets).len(), 2, "a quarter of what may be in flight");
        targets.push(only, Lane::Due, handle(9));
        assert_eq!(fire_all(&mut targets), [(only, 9)]);
        targets.finished(only, Lane::Recovery, Some(true));
        assert_eq!(fire_all(&mut targets), [(only, 2)]);
    }

    #[test]
    fn what_is_sent_makes_room_for_stalled_jobs_in_the_order_they_came() {
        let mut targets = Targets::new(10, Bounds::default());
        let busy = targets.join(target("busy"));
        for number in 0..u32::try_from(Bounds::default().target_backlog_max).expect("small") {
            targets.push(busy, Lane::Due, handle(number));
        }
        assert!(targets.is_full(busy));
        for job in 0..10 {
            targets.stall(busy, JobKey(job));
        }
        let send = |targets: &mut Targets| {
            let (target, lane, _) = targets.next().expect("it waits");
            targets.fired(target, lane);
            targets.finished(target, lane, Some(true));
        };
        assert_eq!(targets.next_unstalled(), None, "nothing was sent");
        send(&mut targets);
        assert_eq!(targets.next_unstalled(), Some((busy, JobKey(0))));
        targets.spend(busy, 2);
        assert_eq!(targets.next_unstalled(), None, "two instants were armed for it");
        send(&mut targets);
        send(&mut targets);
        assert_eq!(targets.next_unstalled(), Some((busy, JobKey(1))));
        targets.spend(busy, 1);
        for _ in 0..1_000 {
            targets.begin_wait(busy);
        }
        send(&mut targets);
        assert_eq!(targets.next_unstalled(), None, "retries that wait count, too");
        for _ in 0..1_000 {
            targets.end_wait(busy);
        }
        targets.check();
    }

    #[test]
    fn a_target_without_jobs_and_work_is_forgotten() {
        let mut targets = Targets::new(4, Bounds::default());
        let first = targets.join(target("a"));
        assert_eq!(targets.join(target("a")), first);
        targets.push(first, Lane::Due, handle(1));
        fire_all(&mut targets);
        targets.leave(first);
        targets.leave(first);
        assert_eq!(targets.by_name.len(), 1, "an attempt is in flight");
        targets.finished(first, Lane::Due, None);
        assert!(targets.by_name.is_empty() && targets.targets.is_empty());
        targets.check();
    }
}
