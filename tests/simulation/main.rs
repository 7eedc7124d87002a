//! Owns the simulation: the production core between fakes, on a virtual clock, through faults a seed chooses.
//! It must not wait for anything real; the only real clock limits how long a sweep takes.
//!
//! The sweep prints one hash over what all its seeds did, a canonical line for each output (`line`): a change of the
//! code that is to change no behaviour leaves it as it was.
//!
//! `SIMULATION_SEED=<seed>` replays one seed and prints every input and output (with `SIMULATION_PROFILE=<profile>`
//! for another profile than the sweep's); `SIMULATION_SEEDS=<count>` widens the sweep.

mod batches;
mod beat;
mod berlin;
mod clients;
mod clock;
mod coverage;
mod demands;
mod disk;
mod finish;
mod happen;
mod incidents;
mod line;
mod oracle;
mod plan;
mod policies;
mod pool;
mod rng;
mod runs;
mod steering;
mod watch;
mod world;

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::time::{Duration, Instant};

use coverage::Coverage;
use plan::{Plan, Profile};
use world::World;

/// How many seeds the normal run has.
const SEEDS: u64 = 1_000;
/// How long a sweep may take; a wider one stops there and says how far it came.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(600);
/// One seed in so many is run twice.
const TWICE_EVERY: u64 = 8;

/// One seed; the hash of all outputs, and what it reached.
fn run(seed: u64, profile: Profile, verbose: bool) -> (u64, Coverage) {
    let (hash, _, coverage) = World::new(Plan::new(seed, profile), verbose).live();
    (hash, coverage)
}

fn profile_of(seed: u64) -> Profile {
    if seed.is_multiple_of(4) { Profile::Sparse } else { Profile::Busy }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

#[test]
fn every_seed_keeps_the_promises() {
    let seeds = variable("SIMULATION_SEEDS").unwrap_or(SEEDS);
    let started = Instant::now();
    let mut reached = Coverage::default();
    let mut sweep = DefaultHasher::new();
    for seed in 0..seeds {
        if started.elapsed() > SWEEP_TIME_MAX {
            eprintln!("the sweep ended after {seed} seeds, at its time limit");
            assert!(seed >= SEEDS, "the normal run must fit into the time limit");
            break;
        }
        let (hash, coverage) = run(seed, profile_of(seed), false);
        reached.add(coverage);
        sweep.write_u64(hash);
        if seed.is_multiple_of(TWICE_EVERY) {
            assert_eq!(run(seed, profile_of(seed), false).0, hash, "two runs of seed {seed} differ");
        }
    }
    eprintln!("the hash of all outputs of {seeds} seeds is {:016x}", sweep.finish());
    // A narrower sweep looks whether promises are kept; it cannot reach everything.
    if seeds >= SEEDS {
        reached.assert_reached(coverage::REQUIRED);
        reached.assert_mixed();
    }
}

#[test]
fn a_storm_of_more_than_ten_thousand_jobs_on_one_second() {
    let (_, reached) = run(1, Profile::Storm, false);
    reached.assert_reached(&["catch-up sent", "crash", "in doubt twice", "turn spent on arming"]);
}

#[test]
fn a_target_with_more_due_work_than_may_wait() {
    let (_, reached) = run(1, Profile::Overload, false);
    reached.assert_reached(&["target overloaded", "lateness skip", "overload told"]);
}

#[test]
fn replay() {
    let Some(seed) = variable("SIMULATION_SEED") else { return };
    let profile = match std::env::var("SIMULATION_PROFILE").as_deref() {
        Err(_) => profile_of(seed),
        Ok("Busy") => Profile::Busy,
        Ok("Sparse") => Profile::Sparse,
        Ok("Storm") => Profile::Storm,
        Ok("Overload") => Profile::Overload,
        Ok(other) => panic!("SIMULATION_PROFILE: expected Busy, Sparse, Storm or Overload, got {other:?}"),
    };
    let (hash, _) = run(seed, profile, true);
    eprintln!("the hash of all outputs of seed {seed} is {hash:016x}");
}
