//! Owns a sweep over seeds: several at a time, added up in the order of the seeds, so that it comes to the same however many
//! run at once. It must not know what a run does.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::coverage::Coverage;

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
    /// Seeds that ended before one that comes before them.
    early: BTreeMap<u64, Lived>,
}

/// Lives all seeds of a sweep.
pub(crate) fn sweep(extent: Extent, live: impl Fn(u64) -> Lived + Sync) -> Swept {
    let (started, next, is_over) = (Instant::now(), AtomicU64::new(0), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let work = || {
        let _ends = EndsAll(&is_over);
        while !is_over.load(Ordering::Relaxed) {
            if extent.time_max.is_some_and(|most| started.elapsed() > most) {
                return;
            }
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= extent.seeds {
                return;
            }
            let lived = live(extent.first + place);
            let mut sum = sum.lock().expect("a sum does not fail");
            sum.early.insert(place, lived);
            if sum.add_up(extent.inputs, started) {
                is_over.store(true, Ordering::Relaxed);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let Sum { swept, hasher, .. } = sum.into_inner().expect("a sum does not fail");
    Swept { hash: hasher.finish(), ..swept }
}

impl Sum {
    /// Adds what is complete up to some seed. Whether there were enough inputs.
    fn add_up(&mut self, inputs_max: Option<u64>, started: Instant) -> bool {
        let is_enough = |swept: &Swept| inputs_max.is_some_and(|most| swept.inputs >= most);
        while !is_enough(&self.swept)
            && let Some(Lived { hash, inputs, coverage }) = self.early.remove(&self.swept.seeds)
        {
            self.hasher.write_u64(hash);
            self.swept.seeds += 1;
            self.swept.inputs += inputs;
            self.swept.coverage.add(coverage);
            if self.swept.seeds.is_multiple_of(5_000) {
                let (seeds, inputs, took) = (self.swept.seeds, self.swept.inputs, started.elapsed());
                eprintln!("{seeds} seeds, {inputs} inputs in {took:.0?}");
            }
        }
        is_enough(&self.swept)
    }
}

/// If one seed fails, the others need not go on.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}
