//! Owns the simulation: the production core between fakes, on a virtual clock, through faults a seed chooses.
//! It must not wait for anything real; the only real clock limits how long a sweep takes.
//!
//! The sweep prints one hash over what all its seeds did, a canonical line for each output (`line`): a change of the
//! code that is to change no behaviour leaves it as it was.
//!
//! `SIMULATION_SEED=<seed>` replays one seed and prints every input and output (with `SIMULATION_PROFILE=<profile>`
//! for another profile than the sweep's). Of a sweep:
//!
//! - `SIMULATION_SEEDS=<count>`: how many seeds it has, and `SIMULATION_FIRST=<seed>`, which is the first;
//! - `SIMULATION_INPUTS=<count>`: it goes on until the core was given so many inputs, however many seeds that takes;
//! - `SIMULATION_MINUTES=<count>`: how long it may take. 0: as long as it takes.
//!
//! Of several nodes: `SIMULATION_CLUSTER_SEED=<seed>` replays one seed, `SIMULATION_CLUSTER_SEEDS=<count>` and
//! `SIMULATION_CLUSTER_FIRST=<seed>` are those of their own sweep.
//!
//! It prints how many inputs there were. All cores take part, and the hash does not depend on how many there are.

mod again;
mod batches;
mod beat;
mod berlin;
mod bounds;
mod clients;
mod clock;
mod cluster;
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
mod steps;
mod sweep;
mod watch;
mod world;

use std::time::Duration;

use plan::{Plan, Profile};
use sweep::{Extent, Lived, Swept};
use world::World;

/// Where the normal run begins: some states come once in thousands of seeds, and here each of them comes.
const FIRST: u64 = 3_000;

/// How many seeds the normal run has.
const SEEDS: u64 = 1_500;
/// How long a sweep may take; a wider one stops there and says how far it came.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(900);
/// One seed in so many is run twice.
const TWICE_EVERY: u64 = 8;

/// One seed.
fn run(seed: u64, profile: Profile, verbose: bool) -> Lived {
    let (hash, inputs, coverage) = World::new(Plan::new(seed, profile), verbose).live();
    Lived { hash, inputs, coverage }
}

fn profile_of(seed: u64) -> Profile {
    if seed.is_multiple_of(4) { Profile::Sparse } else { Profile::Busy }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

/// What the variables ask for.
fn extent() -> Extent {
    let inputs = variable("SIMULATION_INPUTS");
    let most = if inputs.is_some() { u64::MAX } else { SEEDS };
    let time_max = match variable("SIMULATION_MINUTES") {
        None => Some(SWEEP_TIME_MAX),
        Some(0) => None,
        Some(minutes) => Some(Duration::from_secs(60 * minutes)),
    };
    let first = variable("SIMULATION_FIRST").unwrap_or(FIRST);
    Extent { first, seeds: variable("SIMULATION_SEEDS").unwrap_or(most), inputs, time_max }
}

#[test]
fn every_seed_keeps_the_promises() {
    let extent = extent();
    let Swept { seeds, inputs, coverage, hash } = sweep::sweep(extent, |seed| {
        let lived = run(seed, profile_of(seed), false);
        if seed.is_multiple_of(TWICE_EVERY) {
            assert_eq!(run(seed, profile_of(seed), false).hash, lived.hash, "two runs of seed {seed} differ");
        }
        lived
    });
    let is_cut = seeds < extent.seeds && extent.inputs.is_none_or(|most| inputs < most);
    assert!(!is_cut || seeds >= SEEDS, "the normal run must fit into the time limit");
    let end = if is_cut { ", at its time limit" } else { "" };
    eprintln!("the sweep ended after {seeds} seeds and {inputs} inputs{end}");
    eprintln!("the hash of all outputs of {seeds} seeds is {hash:016x}");
    let ambiguous = again::AMBIGUOUS.concat();
    let all = [coverage::REQUIRED, bounds::REQUIRED, again::REQUIRED, &ambiguous, &steps::required()];
    // A narrower sweep looks whether promises are kept; it cannot reach everything.
    if seeds >= SEEDS {
        coverage.assert_reached(&all.concat());
        coverage.assert_mixed();
    }
}

/// Seeds that wide sweeps stopped at: 3685 and 63573 at jobs with `maxRuns` that ran too seldom or too often, 117813 at a
/// start that took back what was sent before a release, 131661 at one that let what was in doubt run beside a retry,
/// 157087 at a backfill that was passed over as missed, as the clock had stepped back and ahead, 287018 at a key that woke
/// beyond the limit of a job that had just named it, 325101 at a reminder that no policy asked for any more,
/// 331110 at a retry that did not give way to an instant that was not armed yet, 385545 at a drain that took back a row whose
/// successor was due before the clock stepped back, 569804 at a calendar's change that waited until more could be armed, the
/// others at judges that asked for too much.
const STOPPED_AT: [u64; 29] = [
    1_512, 3_685, 6_058, 25_820, 28_775, 39_418, 42_581, 54_891, 60_122, 63_573, 83_093, 117_813, 120_226, 131_661,
    133_913, 157_087, 287_018, 325_101, 331_110, 347_533, 379_879, 385_545, 425_925, 440_363, 561_715, 569_804,
    602_364, 869_264, 975_791,
];

#[test]
fn what_a_sweep_once_stopped_at_keeps_the_promises() {
    for seed in STOPPED_AT {
        run(seed, profile_of(seed), false);
    }
}

#[test]
fn a_storm_of_more_than_ten_thousand_jobs_on_one_second() {
    let Lived { coverage, .. } = run(1, Profile::Storm, false);
    coverage.assert_reached(&["catch-up sent", "crash", "in doubt twice", "turn spent on arming"]);
}

#[test]
fn a_target_with_more_due_work_than_may_wait() {
    let Lived { coverage, .. } = run(1, Profile::Overload, false);
    coverage.assert_reached(&["target overloaded", "lateness skip", "overload told"]);
}

/// How many seeds of several nodes the normal run has.
const CLUSTER_SEEDS: u64 = 200;

#[test]
fn nodes_on_one_store_keep_the_promises() {
    let seeds = variable("SIMULATION_CLUSTER_SEEDS").unwrap_or(CLUSTER_SEEDS);
    let first = variable("SIMULATION_CLUSTER_FIRST").unwrap_or(0);
    let extent = Extent { first, seeds, inputs: None, time_max: Some(SWEEP_TIME_MAX) };
    let Swept { seeds: done, inputs, coverage, hash } = sweep::sweep(extent, |seed| {
        let lived = cluster::run(seed, false);
        if seed.is_multiple_of(TWICE_EVERY) {
            assert_eq!(cluster::run(seed, false).hash, lived.hash, "two runs of seed {seed} differ");
        }
        lived
    });
    assert_eq!(done, seeds, "the run must fit into the time limit");
    eprintln!("the hash of all outputs of {done} seeds of several nodes is {hash:016x}, after {inputs} inputs");
    if seeds >= CLUSTER_SEEDS {
        coverage.assert_reached(cluster::REQUIRED);
    }
}

#[test]
fn replay() {
    if let Some(seed) = variable("SIMULATION_CLUSTER_SEED") {
        cluster::run(seed, true);
    }
    let Some(seed) = variable("SIMULATION_SEED") else { return };
    let profile = match std::env::var("SIMULATION_PROFILE").as_deref() {
        Err(_) => profile_of(seed),
        Ok("Busy") => Profile::Busy,
        Ok("Sparse") => Profile::Sparse,
        Ok("Storm") => Profile::Storm,
        Ok("Overload") => Profile::Overload,
        Ok(other) => panic!("SIMULATION_PROFILE: expected Busy, Sparse, Storm or Overload, got {other:?}"),
    };
    let Lived { hash, .. } = run(seed, profile, true);
    eprintln!("the hash of all outputs of seed {seed} is {hash:016x}");
}
