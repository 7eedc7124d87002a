//! Owns the race of a target's addresses for one attempt (RFC 8305): which are tried, and when the next one is.
//! It must not open or close a connection: `opening` does, and keeps it informed.

use std::net::IpAddr;
use std::sync::Arc;

use crate::limits::ADDRESS_HEAD_START;
use crate::time::MonoUs;

/// The addresses of a target, some of them tried. The first one that connects wins.
#[derive(Debug)]
pub(super) struct Race {
    addresses: Arc<[IpAddr]>,
    /// The one that was tried first; the others follow in their order, as if in a ring.
    first: usize,
    /// How many were tried.
    tried: usize,
    /// When the next one is tried, though others are pending.
    next_at: MonoUs,
    /// Until when one must have connected.
    by: MonoUs,
    /// The connections that are being made.
    pub(super) links: Vec<u32>,
    /// Why one failed, and whether that was for want of something on this machine: what a target did says more.
    failed: Option<(String, bool)>,
    /// The one that there was a connection to before, if it is among them.
    preferred: Option<IpAddr>,
    /// Whether that one could not be tried, for want of something on this machine.
    is_held_up: bool,
}

impl Race {
    /// Between all of these; the preferred one starts, if it is among them.
    pub(super) fn new(addresses: Arc<[IpAddr]>, preferred: Option<IpAddr>, by: MonoUs) -> Race {
        let first = addresses.iter().position(|&address| Some(address) == preferred);
        let preferred = first.map(|first| addresses[first]);
        let (failed, is_held_up) = (None, false);
        let (next_at, links) = (MonoUs(0), Vec::new());
        Race { addresses, first: first.unwrap_or(0), tried: 0, next_at, by, links, failed, preferred, is_held_up }
    }

    /// Starts the next address; None: all were tried.
    pub(super) fn start_next(&mut self, now: MonoUs) -> Option<IpAddr> {
        if !self.has_untried() {
            return None;
        }
        let address = self.addresses[(self.first + self.tried) % self.addresses.len()];
        self.tried += 1;
        self.next_at = now.plus(ADDRESS_HEAD_START);
        Some(address)
    }

    /// Whether there is an address that was not tried.
    pub(super) fn has_untried(&self) -> bool {
        self.tried < self.addresses.len()
    }

    /// When something is to be done: the next address is to be started, or all is to be given up.
    pub(super) fn deadline(&self) -> MonoUs {
        if self.has_untried() { self.next_at.min(self.by) } else { self.by }
    }

    /// Until when one must have connected, and then be secured.
    pub(super) fn by(&self) -> MonoUs {
        self.by
    }

    /// This connection failed, for this reason.
    pub(super) fn note_failed(&mut self, link: u32, why: String) {
        self.links.retain(|&other| other != link);
        self.failed = Some((why, false));
    }

    /// No connection to this address could be begun, for this reason; `is_exhausted`: this machine may lack something for it.
    pub(super) fn note_unopened(&mut self, address: IpAddr, why: String, is_exhausted: bool) {
        self.is_held_up |= is_exhausted && self.preferred == Some(address);
        if !is_exhausted || self.failed.as_ref().is_none_or(|(_, is_local)| *is_local) {
            self.failed = Some((why, is_exhausted));
        }
    }

    /// Whether nothing came of it for want of something on this machine: of the address that is usually taken, or of all.
    /// An address of a kind that this machine has none of fails alike, and says nothing of the others.
    pub(super) fn is_exhausted(&self) -> bool {
        self.is_held_up || self.failed.as_ref().is_some_and(|(_, is_local)| *is_local)
    }

    /// Why it came to nothing.
    pub(super) fn into_failure(self) -> String {
        self.failed.map_or_else(|| "the target has no address".to_owned(), |(why, _)| why)
    }

    /// Whether this address is not the one that everybody would start with.
    pub(super) fn is_news(&self, winner: IpAddr) -> bool {
        self.addresses.first() != Some(&winner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Arc<[IpAddr]> {
        [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]].map(IpAddr::from).into()
    }

    #[test]
    fn every_address_is_tried_once_and_the_preferred_one_first() {
        let all = addresses();
        let mut race = Race::new(Arc::clone(&all), Some(all[2]), MonoUs(9_000_000));
        let tried: Vec<IpAddr> = std::iter::from_fn(|| race.start_next(MonoUs(0))).collect();
        assert_eq!(tried, [all[2], all[0], all[1]]);
        // One that the name no longer has is nobody's preference.
        let mut race = Race::new(Arc::clone(&all), Some([10, 0, 0, 9].into()), MonoUs(0));
        assert_eq!(race.start_next(MonoUs(0)), Some(all[0]));
    }

    #[test]
    fn what_a_target_did_says_more_than_what_this_machine_lacks() {
        let [first, second, third] = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]].map(IpAddr::from);
        let race = |preferred| Race { links: vec![7], ..Race::new(addresses(), preferred, MonoUs(0)) };
        // The first one refused; the second is of a kind that there is none of here.
        let mut refused = race(None);
        refused.note_failed(7, "refused".to_owned());
        refused.note_unopened(second, "no address".to_owned(), true);
        assert_eq!((refused.is_exhausted(), refused.into_failure().as_str()), (false, "refused"));
        let mut unreachable = race(Some(second));
        unreachable.note_unopened(first, "no address".to_owned(), true);
        unreachable.note_unopened(second, "unreachable".to_owned(), false);
        unreachable.note_unopened(third, "no address".to_owned(), true);
        assert_eq!((unreachable.is_exhausted(), unreachable.into_failure().as_str()), (false, "unreachable"));
        // Nothing could be tried, or not the one that is usually taken.
        let mut all = race(None);
        [first, second, third].into_iter().for_each(|address| all.note_unopened(address, "no port".to_owned(), true));
        assert!(all.is_exhausted());
        let mut usual = race(Some(first));
        usual.note_unopened(first, "no port".to_owned(), true);
        usual.note_failed(7, "refused".to_owned());
        assert!(usual.is_exhausted());
        assert!(!race(Some(first)).is_exhausted());
    }

    #[test]
    fn the_next_address_is_due_after_a_head_start_and_the_end_comes_for_all() {
        let mut race = Race::new(addresses(), None, MonoUs(600_000));
        race.start_next(MonoUs(100_000));
        assert_eq!(race.deadline(), MonoUs(350_000));
        race.start_next(MonoUs(350_000));
        assert_eq!(race.deadline(), MonoUs(600_000), "before the next one could start");
        race.start_next(MonoUs(360_000));
        assert_eq!(race.deadline(), MonoUs(600_000), "there is no next one");
    }
}
