//! Owns how many connections each address has.
//! It must not judge an address by anything else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use crate::limits::CONNECTIONS_PER_ADDRESS_MAX;

/// Connections by address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    counts: HashMap<IpAddr, usize>,
}

impl Addresses {
    /// Whether an address has as many connections as it may.
    pub(super) fn is_full(&self, address: IpAddr) -> bool {
        let owner = owner_of(address);
        // Everybody on this machine has this address: load balancers, tunnels, tests. A cap would let one shut out all.
        !owner.is_loopback() && self.counts.get(&owner).is_some_and(|&count| count >= CONNECTIONS_PER_ADDRESS_MAX)
    }

    /// There is one more.
    pub(super) fn add(&mut self, address: IpAddr) {
        *self.counts.entry(owner_of(address)).or_default() += 1;
    }

    /// There is one less.
    pub(super) fn remove(&mut self, address: IpAddr) {
        let owner = owner_of(address);
        let count = self.counts.get_mut(&owner).expect("it was added");
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&owner);
        }
    }
}

/// The address that stands for all that one client has: of IPv6, a network of 64 bits.
fn owner_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn an_address_has_a_share_and_a_network_is_one_address() {
        for (one, same, other) in
            [("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::ffff:0:0:2", "2001:db8:0:1::1")]
        {
            let mut addresses = Addresses::default();
            for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
                assert!(!addresses.is_full(address(one)));
                addresses.add(address(one));
            }
            assert!(addresses.is_full(address(one)) && addresses.is_full(address(same)), "{same}");
            assert!(!addresses.is_full(address(other)), "{other}");
            addresses.remove(address(same));
            assert!(!addresses.is_full(address(one)));
            for _ in 1..CONNECTIONS_PER_ADDRESS_MAX {
                addresses.remove(address(one));
            }
            assert!(addresses.counts.is_empty(), "nothing is kept of who left");
        }
    }

    #[test]
    fn this_machine_has_no_cap() {
        for text in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            let mut addresses = Addresses::default();
            for _ in 0..=CONNECTIONS_PER_ADDRESS_MAX {
                addresses.add(address(text));
            }
            assert!(!addresses.is_full(address(text)), "{text}");
        }
    }
}
