//! Owns how often an address may show a token that is none: so that guessing costs nobody else anything.
//! It must not keep out who shows a good one: many may stand behind one address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limits::{GUESS_EVERY, GUESSES_ADDRESSES_MAX, GUESSES_AT_ONCE_MAX};
use crate::time::MonoUs;

/// The wrong tokens of late, by address: when each would have had so many, had they come one by one (a virtual
/// schedule, as in ITU-T I.371).
#[derive(Debug, Default)]
pub struct Guesses {
    due: BTreeMap<IpAddr, MonoUs>,
}

impl Guesses {
    /// Somebody showed a token that is none. Whether that was once too often.
    pub fn note(&mut self, address: IpAddr, now: MonoUs) -> bool {
        let network = network_of(address);
        if !self.due.contains_key(&network) && self.due.len() >= GUESSES_ADDRESSES_MAX {
            self.due.retain(|_, due| *due > now);
            if self.due.len() >= GUESSES_ADDRESSES_MAX {
                // So many at once are one attack.
                return true;
            }
        }
        let due = self.due.entry(network).or_insert(now);
        let next = (*due).max(now).plus(GUESS_EVERY);
        if next > now.plus(GUESS_EVERY * GUESSES_AT_ONCE_MAX) {
            return true;
        }
        *due = next;
        false
    }

    /// How long an address has to wait that has guessed too often.
    pub fn wait() -> Duration {
        GUESS_EVERY
    }
}

/// Who has one IPv6 address has all of a network (RFC 6177).
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_may_be_wrong_a_few_times_and_then_now_and_again() {
        let mut guesses = Guesses::default();
        let start = MonoUs(1);
        let wrong = |guesses: &mut Guesses, from: &str, at: MonoUs, count: u32| {
            (0..count).filter(|_| !guesses.note(address(from), at)).count()
        };
        let most = GUESSES_AT_ONCE_MAX as usize;
        assert_eq!(wrong(&mut guesses, "192.0.2.1", start, 100_000), most);
        assert_eq!(wrong(&mut guesses, "192.0.2.2", start, 5), 5, "another one");
        assert_eq!(wrong(&mut guesses, "192.0.2.1", start.plus(GUESS_EVERY), 5), 1);
        assert_eq!(wrong(&mut guesses, "192.0.2.1", start.plus(GUESS_EVERY * 1_000), 100_000), most);
        assert_eq!(wrong(&mut guesses, "::ffff:192.0.2.3", start, 100), most);
        assert_eq!(wrong(&mut guesses, "192.0.2.3", start, 5), 0, "the same one");
        assert_eq!(wrong(&mut guesses, "2001:db8::1", start, 100), most);
        assert_eq!(wrong(&mut guesses, "2001:db8::ffff:0:0:1", start, 5), 0, "a network is one");
    }

    #[test]
    fn many_addresses_take_no_more_memory() {
        let mut guesses = Guesses::default();
        let many = u32::try_from(GUESSES_ADDRESSES_MAX).expect("few");
        let from = |number: u32| IpAddr::from(std::net::Ipv4Addr::from_bits(number));
        assert!((0..many).all(|number| !guesses.note(from(number), MonoUs(1))));
        assert!(guesses.note(from(many), MonoUs(1)), "there is no room for it");
        assert!(!guesses.note(from(many), MonoUs(1).plus(GUESS_EVERY * 2)), "the others have been forgotten");
        assert_eq!(guesses.due.len(), 1);
    }
}
