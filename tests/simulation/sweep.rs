//! Owns a sweep over seeds: several at a time, added up in the order of the seeds, so that it comes to the same however many
//! run at once. A seed that fails does not end it: the others say more than it alone. It must not know what a run does.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::coverage::Coverage;

/// After so many seeds that failed it ends: more of them say nothing new.
const FAILED_MAX: usize = 20;

/// Which seeds, and when it ends.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) first: u64,
    /// How many seeds there are at most.
    pub(crate) seeds: u64,
    /// After so many inputs no other seed is begun.
    pub(crate) inputs: Option<u64>,
    /// How long it may take.
    pub(crate) time_max: Option<Duration>,
}

/// What one seed came to.
pub(crate) struct Lived {
    pub(crate) hash: u64,
    pub(crate) inputs: u64,
    pub(crate) coverage: Coverage,
}

/// What all of them came to.
#[derive(Default)]
pub(crate) struct Swept {
    pub(crate) seeds: u64,
    pub(crate) inputs: u64,
    pub(crate) coverage: Coverage,
    pub(crate) hash: u64,
}

#[derive(Default)]
struct Sum {
    swept: Swept,
    hasher: DefaultHasher,
    /// Seeds that ended before one that comes before them; `None`: it failed.
    early: BTreeMap<u64, Option<Lived>>,
    failed: Vec<u64>,
}

/// Lives all seeds of a sweep. Panics at its end if some of them did, and says which.
pub(crate) fn sweep(extent: Extent, live: impl Fn(u64) -> Lived + Sync) -> Swept {
    let (started, next, is_over) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let work = || {
        while !is_over.load(Ordering::Relaxed) {
            if extent.time_max.is_some_and(|most| started.elapsed() > most) {
                return;
            }
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= extent.seeds {
                return;
            }
            let lived = catch_unwind(AssertUnwindSafe(|| live(extent.first + place))).ok();
            let mut sum = sum.lock().expect("a sum does not fail");
            if lived.is_none() {
                eprintln!("seed {} failed", extent.first + place);
                sum.failed.push(extent.first + place);
            }
            sum.early.insert(place, lived);
            if sum.add_up(extent.inputs, started) || sum.failed.len() >= FAILED_MAX {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let Sum { swept, hasher, failed, .. } = sum.into_inner().expect("a sum does not fail");
    let (seeds, inputs) = (swept.seeds, swept.inputs);
    assert!(failed.is_empty(), "of {seeds} seeds with {inputs} inputs these failed: {failed:?}");
    Swept { hash: hasher.finish(), ..swept }
}

impl Sum {
    /// Adds what is complete up to some seed. Whether there were enough inputs.
    fn add_up(&mut self, inputs_max: Option<u64>, started: Instant) -> bool {
        let is_enough = |swept: &Swept| inputs_max.is_some_and(|most| swept.inputs >= most);
        while !is_enough(&self.swept)
            && let Some(lived) = self.early.remove(&self.swept.seeds)
        {
            self.swept.seeds += 1;
            if let Some(Lived { hash, inputs, coverage }) = lived {
                self.hasher.write_u64(hash);
                self.swept.inputs += inputs;
                self.swept.coverage.add(coverage);
            }
            if self.swept.seeds.is_multiple_of(5_000) {
                let (seeds, inputs, took) = (self.swept.seeds, self.swept.inputs, started.elapsed());
                eprintln!("{seeds} seeds, {inputs} inputs in {took:.0?}");
            }
        }
        is_enough(&self.swept)
    }
}
