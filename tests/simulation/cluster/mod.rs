//! Owns the simulation of several nodes on one store: production cores and memberships between fakes, through faults a seed
//! chooses. It must not share its fakes with the simulation of a single node: the store here has a fence, owners and epochs.
//!
//! In reading order: `plan` is what a seed stands for, `clock` what each node believes of time, `store` what all of them
//! share, `node` one process with its core, its membership and its writer, `world` lets all of them happen, with the `carrier`
//! of what is asked of the store, `workers` that send, and `clients`,
//! `judge` says what must never be, and `finish` what must have been at the end.

mod carrier;
mod clients;
mod clock;
mod finish;
mod judge;
mod node;
mod plan;
mod store;
mod workers;
mod world;

use super::sweep::Lived;
use plan::Plan;
use world::World;

/// What a sweep must have seen at least once.
pub(crate) const REQUIRED: &[&str] = &[
    "adopted in flight",
    "adopted in doubt",
    "adopted known",
    "answer lost",
    "batch resent",
    "batch resent and already there",
    "batch of a dead node refused",
    "crash",
    "drained",
    "epoch after a takeover",
    "fired late",
    "handed over finished",
    "handed over to be tried again",
    "late POST of a node that was paused",
    "lost",
    "pause",
    "pause between look and write",
    "released by a node that stays",
    "repeated after takeover",
    "revoked",
    "store down",
    "wall clock set",
    "withheld by a worker",
];

/// One seed.
pub(crate) fn run(seed: u64, verbose: bool) -> Lived {
    let (hash, inputs, coverage) = World::new(Plan::new(seed), verbose).live();
    Lived { hash, inputs, coverage }
}
