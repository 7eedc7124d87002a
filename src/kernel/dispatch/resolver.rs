//! Owns name resolution: lookups on side threads, over what all workers know together.
//! It must not be waited for: a worker asks, is told to wait, and is woken when there is news.
//!
//! The system's resolver blocks for as long as a name server likes. So a lookup never waits behind one that is under way
//! while another thread may be started; and names that took long the last time have threads of their own.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::allowlist::Allowlist;
use super::guard;
use super::names::{Lane, Names};
use crate::clock;
use crate::limits::{
    ADDRESSES_MAX, LOOKUPS_PENDING_MAX, RESOLVER_IDLE_TIME_MAX, RESOLVER_SLOW_THREADS_MAX, RESOLVER_THREADS_MAX,
};

pub(super) use super::names::Lookup;

/// What looks names up; blocks. The system's own in the product.
pub type System = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// What wakes the worker with this number.
pub(super) type WakeWorker = Arc<dyn Fn(usize) + Send + Sync>;

/// Resolves names. Clones share what they know; the threads end when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Resolver(Arc<Owner>);

/// The threads end when this is dropped.
#[derive(Debug)]
struct Owner(Arc<Shared>);

/// What the threads share with those who ask.
struct Shared {
    system: System,
    /// Where requests may go.
    targets: Allowlist,
    wake: WakeWorker,
    state: Mutex<State>,
    /// Told of lookups to be made, by lane.
    work: [Condvar; 2],
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    names: Names,
    lanes: [Queue; 2],
    stopped: bool,
}

/// Lookups to be made, and who makes them.
#[derive(Debug, Default)]
struct Queue {
    hosts: VecDeque<Box<str>>,
    threads: usize,
    /// Those of the threads that have nothing to do.
    resting: usize,
}

impl Lane {
    fn threads_max(self) -> usize {
        match self {
            Lane::Quick => RESOLVER_THREADS_MAX,
            Lane::Slow => RESOLVER_SLOW_THREADS_MAX,
        }
    }
}

impl Resolver {
    /// Starts a thread. Before it resolves anything it runs `first`.
    pub(super) fn start(
        system: System,
        targets: Allowlist,
        wake: &WakeWorker,
        first: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Shared {
            system,
            targets,
            wake: Arc::clone(wake),
            state: Mutex::default(),
            work: Default::default(),
            count: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        shared.lock().lanes[Lane::Quick as usize].threads = 1;
        start_thread(&shared, Lane::Quick, first)?;
        Ok(Resolver(Arc::new(Owner(shared))))
    }

    /// What is known of `host`. If the answer is to wait, `worker` is woken when it should ask again.
    pub(super) fn lookup(&self, host: &str, worker: usize) -> Lookup {
        let shared = &self.0.0;
        let mut state = shared.lock();
        let (known, lane) = state.names.ask(host, worker, clock::mono());
        let Some(lane) = lane else { return known };
        let Err(why) = state.enqueue(host, lane, shared) else { return known };
        state.names.note_refused(host, worker);
        if known == Lookup::Wait { Lookup::Failed(why.into()) } else { known }
    }

    /// Where requests may go.
    pub(super) fn targets(&self) -> &Allowlist {
        &self.0.0.targets
    }

    /// This address of `host` connected where the first one did not.
    pub(super) fn prefer(&self, host: &str, address: IpAddr) {
        self.0.0.lock().names.prefer(host, address);
    }

    /// This address of `host` connected and was of no use.
    pub(super) fn shun(&self, host: &str, address: IpAddr) {
        self.0.0.lock().names.shun(host, address);
    }

    /// This address of `host` is of use.
    pub(super) fn vouch(&self, host: &str, address: IpAddr) {
        self.0.0.lock().names.vouch(host, address);
    }

    /// How many lookups were made.
    pub(super) fn lookups(&self) -> u64 {
        self.0.0.count.load(Ordering::Relaxed)
    }
}

impl State {
    fn enqueue(&mut self, host: &str, lane: Lane, shared: &Arc<Shared>) -> Result<(), &'static str> {
        let queue = &mut self.lanes[lane as usize];
        if queue.hosts.len() >= LOOKUPS_PENDING_MAX {
            return Err("too many names wait to be looked up");
        }
        if queue.hosts.len() >= queue.resting && queue.threads < lane.threads_max() {
            match start_thread(shared, lane, || ()) {
                Ok(()) => queue.threads += 1,
                Err(_) if queue.threads == 0 => return Err("the system gives no thread to look the name up"),
                // Those there are will have to do.
                Err(_) => {}
            }
        }
        queue.hosts.push_back(host.into());
        shared.work[lane as usize].notify_one();
        Ok(())
    }
}

fn start_thread(shared: &Arc<Shared>, lane: Lane, first: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let shared = Arc::clone(shared);
    // The system's resolver keeps whole packets on its stack.
    let thread = std::thread::Builder::new().name("resolver".to_owned()).stack_size(512 * 1024);
    let run = move || {
        first();
        shared.run(lane);
    };
    thread.spawn(run).map(drop)
}

impl Shared {
    /// Looks names up until there are none for a while, or nobody is left who asks. The last thread of a lane stays.
    fn run(&self, lane: Lane) {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return;
            }
            if let Some(host) = state.lanes[lane as usize].hosts.pop_front() {
                drop(state);
                self.look_up(&host);
                state = self.lock();
                continue;
            }
            state.lanes[lane as usize].resting += 1;
            let waited = self.work[lane as usize].wait_timeout(state, RESOLVER_IDLE_TIME_MAX);
            let (after, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = after;
            let queue = &mut state.lanes[lane as usize];
            queue.resting -= 1;
            if waited.timed_out() && queue.hosts.is_empty() && queue.threads > 1 {
                queue.threads -= 1;
                return;
            }
        }
    }

    fn look_up(&self, host: &str) {
        let begun = clock::mono();
        let result = resolve(&self.system, &self.targets, host);
        self.count.fetch_add(1, Ordering::Relaxed);
        let askers = self.lock().names.note(host, result, begun, clock::mono());
        askers.into_iter().for_each(|worker| (self.wake)(worker));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics with the lock; if something did, what is known would still be true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.work.iter().for_each(Condvar::notify_all);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("count", &self.count).finish_non_exhaustive()
    }
}

/// What is known of a host that is written as an address, if it is; such hosts are never looked up.
pub(super) fn literal(host: &str, targets: &Allowlist) -> Option<Lookup> {
    let address = host.parse::<IpAddr>().ok()?;
    Some(match guard::check(address, targets) {
        Ok(()) => Lookup::Known([address].into()),
        Err(why) => Lookup::Failed(why.into()),
    })
}

/// Looks a name up by way of the system.
///
/// # Errors
/// When the system does not know the name.
pub fn ask_system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// The addresses of a host that requests may go to. Blocks for as long as the lookup takes.
///
/// # Errors
/// Says why there is none.
pub fn resolve(system: &System, targets: &Allowlist, host: &str) -> Result<Vec<IpAddr>, String> {
    let found = match catch_unwind(AssertUnwindSafe(|| system(host))) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(format!("name not found: {host} ({error})")),
        Err(_) => return Err(format!("name not found: {host} (the lookup failed)")),
    };
    let mut addresses = Vec::new();
    let mut refused = None;
    for address in found {
        match guard::check(address, targets) {
            Ok(()) if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX => addresses.push(address),
            Ok(()) => {}
            Err(why) => refused = Some(why),
        }
    }
    match refused {
        _ if !addresses.is_empty() => Ok(by_turns(&addresses)),
        Some(why) => Err(format!("{host} leads nowhere: {why}")),
        None => Err(format!("name not found: {host} has no addresses")),
    }
}

/// The same, but IPv6 and IPv4 take turns, beginning with what comes first: where one of them does not work at all, its
/// other addresses need not be waited for.
fn by_turns(addresses: &[IpAddr]) -> Vec<IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let mut queues =
        [first_is_v6, !first_is_v6].map(|v6| addresses.iter().copied().filter(move |address| address.is_ipv6() == v6));
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(queues.iter_mut().filter_map(Iterator::next));
    }
    ordered
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
