//! Owns finding the targets that matter most, in pieces that each look at a bounded number of targets.
//! It must not change how a target stands.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::scheduler::Scheduler;
use super::targets::Targets;
use crate::job::Target;

/// A target as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// Which.
    pub target: Target,
    /// Jobs that name it.
    pub jobs: usize,
    /// Attempts that are in flight to it.
    pub in_flight: u32,
    /// Executions that wait for it, those that wait for a retry among them.
    pub waiting: usize,
    /// Executions that wait for a retry.
    pub retries: usize,
    /// Jobs that are not armed because too much waits for it already.
    pub stalled_jobs: usize,
    /// Whether it counts as failing.
    pub failing: bool,
    /// Timeouts and connection errors in a row.
    pub failures_in_row: u32,
}

/// How much a target matters: whether it fails, what waits for it, what is in flight.
pub(super) type Weight = (bool, usize, u32);

/// Targets that are being looked for. They are looked at by name, so that each is met once, whatever comes and goes
/// meanwhile, and of those that matter alike the first stay.
#[derive(Debug)]
pub struct Ranking {
    limit: usize,
    best: BTreeMap<(Reverse<Weight>, Target), TargetView>,
    /// The last one that was looked at.
    reached: Option<Target>,
    total: usize,
}

impl Ranking {
    /// Looks for the `limit` targets that matter most; there is one at least.
    pub fn new(limit: usize) -> Ranking {
        Ranking { limit: limit.max(1), best: BTreeMap::new(), reached: None, total: 0 }
    }

    /// Looks at up to `looks` more targets. Whether all were looked at.
    pub fn advance(&mut self, core: &Scheduler, looks: usize) -> bool {
        self.look(&core.targets, looks)
    }

    fn look(&mut self, targets: &Targets, looks: usize) -> bool {
        self.total = targets.len();
        let mut last: Option<&Target> = None;
        for (looked, (name, target)) in targets.after(self.reached.as_ref()).enumerate() {
            if looked >= looks {
                self.reached = last.cloned();
                return false;
            }
            last = Some(name);
            let weight = Reverse(targets.weight(target));
            let is_full = self.best.len() >= self.limit;
            if is_full && self.best.last_key_value().is_some_and(|((least, _), _)| weight >= *least) {
                continue;
            }
            if is_full {
                self.best.pop_last();
            }
            self.best.insert((weight, name.clone()), targets.view(target));
        }
        true
    }

    /// What was found, and how many targets there are.
    pub fn end(self) -> (Vec<TargetView>, usize) {
        (self.best.into_values().collect(), self.total)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attempt::Handle;
    use super::super::bounds::Bounds;
    use super::super::record::Seq;
    use super::super::targets::Lane;
    use super::*;

    fn named(number: u32) -> Target {
        Target { https: false, host: format!("host-{number:03}").into(), port: 80 }
    }

    /// The hosts of those that were found, looked for in pieces.
    fn hosts(targets: &Targets, limit: usize, looks: usize) -> Vec<String> {
        let mut ranking = Ranking::new(limit);
        while !ranking.look(targets, looks) {}
        let (found, total) = ranking.end();
        assert_eq!(total, targets.len());
        found.iter().map(|view| view.target.host.to_string()).collect()
    }

    #[test]
    fn failing_ones_come_first_then_by_what_waits_by_what_is_in_flight_and_by_name() {
        let mut targets = Targets::new(1_000, Bounds::default());
        let slots: Vec<u32> = (0..100).map(|number| targets.join(named(number))).collect();
        let handle = |number| Handle { slot: number, seq: Seq(u64::from(number)) };
        // The one with number 7 fails; three have something in flight, and two of them something that waits.
        for _ in 0..3 {
            targets.push(slots[7], Lane::Due, handle(7));
            let (target, lane, _) = targets.next().expect("it was pushed");
            targets.fired(target, lane);
            targets.finished(target, lane, Some(false));
        }
        for number in [50, 30, 40] {
            targets.push(slots[number], Lane::Due, handle(1));
            let (target, lane, _) = targets.next().expect("it was pushed");
            targets.fired(target, lane);
        }
        targets.begin_wait(slots[40]);
        targets.push(slots[20], Lane::Due, handle(2));
        targets.begin_wait(slots[20]);
        let expected = ["host-007", "host-020", "host-040", "host-030", "host-050", "host-000", "host-001"];
        for looks in [1, 7, 1_000] {
            assert_eq!(hosts(&targets, 7, looks), expected, "{looks} at a time");
        }
        assert_eq!(hosts(&targets, 1_000, 9).len(), 100);
        let mut ranking = Ranking::new(2);
        assert!(ranking.look(&targets, 100), "there are no more");
        let (found, _) = ranking.end();
        assert_eq!((found[0].failing, found[0].failures_in_row, found[0].jobs), (true, 3, 1));
        assert_eq!((found[1].waiting, found[1].retries, found[1].in_flight), (2, 1, 0));
    }

    #[test]
    fn what_comes_and_goes_meanwhile_is_found_once_at_most() {
        let mut targets = Targets::new(10, Bounds::default());
        let slots: Vec<u32> = (0..10).map(|number| targets.join(named(number))).collect();
        let mut ranking = Ranking::new(100);
        assert!(!ranking.look(&targets, 5));
        // One that was looked at goes and comes back to another slot; so does one that was not.
        for number in [2, 8] {
            targets.leave(slots[number]);
        }
        for number in [8, 2] {
            targets.join(named(u32::try_from(number).expect("small")));
        }
        assert!(ranking.look(&targets, 100));
        let (found, total) = ranking.end();
        let hosts: Vec<&str> = found.iter().map(|view| &*view.target.host).collect();
        assert_eq!((total, hosts.len(), hosts.is_sorted()), (10, 10, true));
    }
}
