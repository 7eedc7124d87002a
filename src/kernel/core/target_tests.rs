//! Owns tests of what a target's queues promise beside its share: room for stalled jobs, turns among those that hold many,
//! waits, and targets that are known to fail.
//! It must not look into the table: what it is told and what it says only.

use std::collections::BTreeSet;

use super::attempt::Handle;
use super::bounds::Bounds;
use super::record::Seq;
use super::targets::{Lane, Targets};
use crate::job::{JobKey, Target};

fn target(host: &str) -> Target {
    Target { https: false, host: host.into(), port: 80 }
}

fn push(targets: &mut Targets, target: u32, numbers: std::ops::Range<u32>) {
    for number in numbers {
        targets.push(target, Lane::Due, Handle { slot: number, seq: Seq(u64::from(number)) });
    }
}

/// The next one leaves; its number.
fn fire(targets: &mut Targets) -> Option<u32> {
    let (target, lane, handle) = targets.next()?;
    targets.fired(target, lane);
    targets.check();
    Some(handle.slot)
}

#[test]
fn what_is_sent_makes_the_more_room_the_less_waits() {
    let bounds = Bounds { target_backlog_max: 8, stalled_at_once: 5, ..Bounds::default() };
    for (waits, room) in [(0, 5), (1, 2), (3, 2), (4, 1), (7, 1), (8, 0), (9, 0)] {
        let mut targets = Targets::new(100, bounds);
        let busy = targets.join(target("busy"));
        push(&mut targets, busy, 0..waits + 1);
        (0..20).for_each(|job| targets.stall(busy, JobKey(job)));
        fire(&mut targets);
        let mut released = 0;
        while targets.next_unstalled().is_some() {
            targets.spend(busy, 1);
            released += 1;
        }
        assert_eq!(released, room, "{waits} wait");
    }
}

#[test]
fn room_that_nobody_took_is_kept() {
    let bounds = Bounds { target_backlog_max: 8, stalled_at_once: 5, ..Bounds::default() };
    for (waits, room) in [(6, 2), (3, 4), (2, 4), (1, 5)] {
        let mut targets = Targets::new(100, bounds);
        let busy = targets.join(target("busy"));
        push(&mut targets, busy, 0..waits + 1);
        (0..20).for_each(|job| targets.stall(busy, JobKey(job)));
        fire(&mut targets);
        fire(&mut targets);
        let mut released = 0;
        while targets.next_unstalled().is_some() {
            targets.spend(busy, 1);
            released += 1;
        }
        assert_eq!(released, room, "{waits} wait, then one less");
    }
}

#[test]
fn among_targets_that_hold_many_who_had_a_turn_comes_last() {
    let bounds = Bounds::default();
    let few = 100 * bounds.few_per_cent / 100;
    let mut targets = Targets::new(100, bounds);
    let (silent, slow) = (targets.join(target("silent")), targets.join(target("slow")));
    push(&mut targets, silent, 0..few);
    (0..few).for_each(|_| assert!(fire(&mut targets).is_some()));
    push(&mut targets, slow, 100..100 + few + 1);
    (0..few).for_each(|_| assert!(fire(&mut targets).is_some()));
    // Both hold many now, and one of them has just been sent to.
    push(&mut targets, silent, few..few + 1);
    assert_eq!((fire(&mut targets), fire(&mut targets)), (Some(few), Some(100 + few)));
}

#[test]
fn what_waits_for_a_retry_is_told_and_keeps_its_target() {
    let mut targets = Targets::new(4, Bounds::default());
    let only = targets.join(target("only"));
    (0..3).for_each(|_| targets.begin_wait(only));
    targets.leave(only);
    for left in [2, 1] {
        targets.end_wait(only);
        let view = targets.view(only);
        assert_eq!((view.retries, view.waiting, targets.len()), (left, left, 1));
    }
    targets.end_wait(only);
    assert_eq!(targets.len(), 0, "nothing waits for it, and no job has it");
}

#[test]
fn what_waits_in_queues_is_counted() {
    let mut targets = Targets::new(2, Bounds { target_share_per_cent: 50, ..Bounds::default() });
    let only = targets.join(target("only"));
    assert_eq!(targets.queued(), 0);
    push(&mut targets, only, 0..3);
    assert_eq!(targets.queued(), 3);
    fire(&mut targets);
    assert_eq!(targets.queued(), 2);
}

#[test]
fn a_target_that_is_known_to_fail_counts_as_failing_once() {
    let mut targets = Targets::new(20, Bounds::default());
    let (dead, well) = (targets.join(target("dead")), targets.join(target("well")));
    push(&mut targets, dead, 0..1);
    push(&mut targets, well, 1..2);
    let named = |hosts: &[&str]| hosts.iter().map(|host| format!("http://{host}:80")).collect::<BTreeSet<String>>();
    assert_eq!(targets.assume_failing(BTreeSet::new()), BTreeSet::new());
    for _ in 0..2 {
        assert_eq!(targets.assume_failing(named(&["dead", "gone"])), named(&["dead"]));
        targets.check();
        let is_failing = [dead, well].map(|target| targets.view(target).failing);
        assert_eq!((is_failing, targets.failing()), ([true, false], 1));
        assert_eq!(targets.failing_names(), ["http://dead:80"]);
    }
    assert_eq!((fire(&mut targets), fire(&mut targets)), (Some(1), Some(0)), "it goes last");
}
