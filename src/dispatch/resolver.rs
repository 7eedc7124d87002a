//! Owns name resolution: lookups on side threads, and a cache that all workers share.
//! It must not be waited for: a worker asks, is told to wait, and is woken when there is news.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::guard;
use crate::limits::{
    ADDRESSES_MAX, LOOKUPS_PENDING_MAX, NAME_FAILED_TIME_MAX, NAME_TIME_MAX, NAMES_MAX, RESOLVER_THREADS,
};

/// What looks names up; blocks. The system's own in the product.
pub(super) type System = fn(&str) -> io::Result<Vec<IpAddr>>;

/// What wakes the worker with this number.
pub(super) type WakeWorker = Arc<dyn Fn(usize) + Send + Sync>;

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// Its addresses; at least one.
    Known(Arc<[IpAddr]>),
    /// Why it has none that may be used.
    Failed(Arc<str>),
    /// It is being looked up. The worker that asked is woken afterwards.
    Wait,
}

/// Resolves names. Clones share what they know; the threads end when the last clone is gone.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    shared: Arc<Shared>,
    lookups: Sender<Box<str>>,
}

#[derive(Debug, Default)]
struct Shared {
    names: Mutex<HashMap<Box<str>, Entry>>,
    count: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    /// The last result, and when it came.
    known: Option<(Lookup, Instant)>,
    /// Whether a lookup is under way.
    pending: bool,
    /// Workers to be woken after it.
    askers: Vec<usize>,
}

impl Resolver {
    /// Starts the threads. The first one runs `first` before it resolves anything.
    pub(super) fn start(system: System, wake: &WakeWorker, first: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (lookups, work) = bounded(LOOKUPS_PENDING_MAX);
        let shared = Arc::<Shared>::default();
        let mut first = Some(first);
        for number in 0..RESOLVER_THREADS {
            let (shared, work, wake, first) = (Arc::clone(&shared), work.clone(), Arc::clone(wake), first.take());
            // The system's resolver keeps whole packets on its stack.
            let thread = std::thread::Builder::new().name(format!("resolver-{number}")).stack_size(512 * 1024);
            thread.spawn(move || shared.run(&work, system, &wake, first))?;
        }
        Ok(Resolver { shared, lookups })
    }

    /// What is known of `host`. If the answer is to wait, `worker` is woken when it should ask again.
    pub(super) fn lookup(&self, host: &str, worker: usize) -> Lookup {
        let mut names = self.shared.lock();
        let entry = match names.get_mut(host) {
            Some(entry) => entry,
            None => {
                make_room(&mut names);
                names.entry(host.into()).or_insert_with(|| Entry { known: None, pending: false, askers: Vec::new() })
            }
        };
        let believed = entry.known.as_ref().and_then(|(known, at)| {
            let age = at.elapsed();
            match known {
                Lookup::Known(_) => (age < NAME_TIME_MAX).then(|| (known.clone(), age < NAME_TIME_MAX / 2)),
                Lookup::Failed(_) => (age < NAME_FAILED_TIME_MAX).then(|| (known.clone(), true)),
                Lookup::Wait => None,
            }
        });
        if let Some((known, true)) = believed {
            return known;
        }
        if !entry.pending {
            if self.lookups.try_send(host.into()).is_err() {
                return believed
                    .map_or_else(|| Lookup::Failed("too many names wait to be looked up".into()), |(k, _)| k);
            }
            entry.pending = true;
        }
        if let Some((known, _)) = believed {
            return known;
        }
        if !entry.askers.contains(&worker) {
            entry.askers.push(worker);
        }
        Lookup::Wait
    }

    /// How many lookups were made.
    pub(super) fn lookups(&self) -> u64 {
        self.shared.count.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Looks names up; before its first one it does `first`.
    fn run(&self, work: &Receiver<Box<str>>, system: System, wake: &WakeWorker, mut first: Option<impl FnOnce()>) {
        for host in work {
            if let Some(first) = first.take() {
                first();
            }
            let result = resolve(system, &host);
            self.count.fetch_add(1, Ordering::Relaxed);
            let mut names = self.lock();
            let Some(entry) = names.get_mut(&host) else { continue };
            entry.known = Some((result, Instant::now()));
            entry.pending = false;
            let askers = std::mem::take(&mut entry.askers);
            drop(names);
            askers.into_iter().for_each(|worker| wake(worker));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Entry>> {
        // A thread that panicked with the lock leaves a usable map behind: at worst an entry that is looked up again.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of a host that is written as an address, if it is; such hosts are never looked up.
pub(super) fn literal(host: &str) -> Option<Lookup> {
    let address = host.parse::<IpAddr>().ok()?;
    Some(match guard::check(address) {
        Ok(()) => Lookup::Known([address].into()),
        Err(why) => Lookup::Failed(why.into()),
    })
}

/// Looks a name up by way of the system.
pub(super) fn ask_system(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

fn resolve(system: System, host: &str) -> Lookup {
    let found = match std::panic::catch_unwind(|| system(host)) {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Lookup::Failed(format!("name not found: {host} ({error})").into()),
        Err(_) => return Lookup::Failed(format!("name not found: {host} (the lookup failed)").into()),
    };
    let mut addresses = Vec::new();
    let mut refused = None;
    for address in found {
        match guard::check(address) {
            Ok(()) if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX => addresses.push(address),
            Ok(()) => {}
            Err(why) => refused = Some(why),
        }
    }
    match refused {
        _ if !addresses.is_empty() => Lookup::Known(addresses.into()),
        Some(why) => Lookup::Failed(format!("{host} leads nowhere: {why}").into()),
        None => Lookup::Failed(format!("name not found: {host} has no addresses").into()),
    }
}

/// Forgets what nobody believes any more, and if that is nothing, all that nobody waits for.
fn make_room(names: &mut HashMap<Box<str>, Entry>) {
    if names.len() < NAMES_MAX {
        return;
    }
    names.retain(|_, entry| entry.pending || entry.known.as_ref().is_some_and(|(_, at)| at.elapsed() < NAME_TIME_MAX));
    if names.len() >= NAMES_MAX {
        names.retain(|_, entry| entry.pending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::LazyLock;

    fn resolver(system: System) -> (Resolver, Receiver<usize>) {
        let (woken, wakes) = crossbeam_channel::unbounded();
        let wake: WakeWorker = Arc::new(move |worker| woken.send(worker).unwrap());
        (Resolver::start(system, &wake, || ()).unwrap(), wakes)
    }

    #[test]
    fn equal_lookups_are_made_once_and_everybody_is_woken() {
        static GATE: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
        let (resolver, wakes) = resolver(|host| {
            assert_eq!(host, "some.test");
            GATE.wait();
            Ok(vec![IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])])
        });
        for worker in [0, 1, 1, 2] {
            assert_eq!(resolver.lookup("some.test", worker), Lookup::Wait);
        }
        GATE.wait();
        let mut woken: Vec<usize> = wakes.iter().take(3).collect();
        woken.sort_unstable();
        assert_eq!(woken, [0, 1, 2]);
        let both = Lookup::Known([IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])].into());
        assert_eq!(resolver.lookup("some.test", 0), both);
        assert_eq!((resolver.lookups(), resolver.shared.lock().len()), (1, 1));
    }

    #[test]
    fn what_has_no_address_fails_with_the_reason() {
        let (resolver, wakes) = resolver(|host| match host {
            "empty.test" => Ok(Vec::new()),
            "panic.test" => panic!("planted"),
            _ => Err(io::Error::other("no such host")),
        });
        for (host, why) in [("empty.test", "no addresses"), ("panic.test", "failed"), ("x.test", "no such host")] {
            assert_eq!(resolver.lookup(host, 5), Lookup::Wait);
            assert_eq!(wakes.recv(), Ok(5));
            let Lookup::Failed(text) = resolver.lookup(host, 5) else { panic!("{host} must fail") };
            assert!(text.starts_with("name not found: ") && text.contains(why), "{text}");
        }
    }

    #[test]
    fn of_refused_and_allowed_addresses_the_allowed_ones_are_used() {
        const REFUSED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));
        let (resolver, wakes) = resolver(|host| match host {
            "mixed.test" => Ok(vec![REFUSED, IpAddr::from([10, 0, 0, 1]), IpAddr::from([0, 0, 0, 0])]),
            _ => Ok(vec![REFUSED]),
        });
        assert_eq!(resolver.lookup("mixed.test", 0), Lookup::Wait);
        wakes.recv().unwrap();
        assert_eq!(resolver.lookup("mixed.test", 0), Lookup::Known([IpAddr::from([10, 0, 0, 1])].into()));
        assert_eq!(resolver.lookup("refused.test", 0), Lookup::Wait);
        wakes.recv().unwrap();
        let Lookup::Failed(why) = resolver.lookup("refused.test", 0) else { panic!("it must fail") };
        assert!(why.starts_with("refused.test leads nowhere: the address 169.254.169.254 is refused"), "{why}");
    }

    #[test]
    fn only_addresses_written_as_such_are_literal() {
        assert_eq!(literal("127.0.0.1"), Some(Lookup::Known([IpAddr::from([127, 0, 0, 1])].into())));
        assert!(matches!(literal("169.254.169.254"), Some(Lookup::Failed(why)) if why.contains("refused")));
        assert!(literal("::1").is_some());
        for name in ["localhost", "127.1", "0x7f000001", "2130706433", ""] {
            assert_eq!(literal(name), None, "{name}");
        }
    }
}
