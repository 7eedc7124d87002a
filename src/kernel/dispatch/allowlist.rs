//! Owns which addresses the operator lets requests go to: everywhere, public ones, those nearby, or networks of a list.
//! It must not know what is refused to everybody: the `guard` does, and it asks here for what is left.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What is not public in IPv4: the special-purpose registry of IANA (RFC 6890) and multicast.
///
/// Two exceptions of the registry are left out, 192.0.0.9 and 192.0.0.10: they are public by name, but lead to a
/// gateway nearby, and nobody serves HTTP there.
const NOT_PUBLIC_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),       // this network (RFC 791)
    v4([10, 0, 0, 0], 8),      // private (RFC 1918)
    v4([100, 64, 0, 0], 10),   // shared behind the NAT of a provider (RFC 6598)
    v4([127, 0, 0, 0], 8),     // loopback (RFC 1122)
    v4([169, 254, 0, 0], 16),  // link-local (RFC 3927)
    v4([172, 16, 0, 0], 12),   // private (RFC 1918)
    v4([192, 0, 0, 0], 24),    // assigned to protocols (RFC 6890)
    v4([192, 0, 2, 0], 24),    // documentation (RFC 5737)
    v4([192, 88, 99, 0], 24),  // once the gateway to 6to4 (RFC 7526)
    v4([192, 168, 0, 0], 16),  // private (RFC 1918)
    v4([198, 18, 0, 0], 15),   // benchmarks (RFC 2544)
    v4([198, 51, 100, 0], 24), // documentation (RFC 5737)
    v4([203, 0, 113, 0], 24),  // documentation (RFC 5737)
    v4([224, 0, 0, 0], 4),     // multicast (RFC 5771)
    v4([240, 0, 0, 0], 4),     // reserved (RFC 1112), broadcast among them
];

/// What IANA hands out of IPv6 to be reached from everywhere (RFC 4291). All else is special or nobody's yet.
const PUBLIC_V6: Ipv6Net = v6([0x2000, 0, 0], 3);

/// What of it is not public: the special-purpose registry of IANA for IPv6 (RFC 6890).
const NOT_PUBLIC_V6: [Ipv6Net; 4] = [
    v6([0x2001, 0, 0], 23),     // assigned to protocols (RFC 2928): Teredo, benchmarks, ORCHID
    v6([0x2001, 0xdb8, 0], 32), // documentation (RFC 3849)
    v6([0x2002, 0, 0], 16),     // 6to4 (RFC 3056); judged by the address that it carries
    v6([0x3fff, 0, 0], 20),     // documentation (RFC 9637)
];

/// What is nearby: private networks, those behind the NAT of a provider (which virtual private networks use, too), and
/// this machine.
const LAN_V4: [Ipv4Net; 5] = [
    v4([10, 0, 0, 0], 8),
    v4([172, 16, 0, 0], 12),
    v4([192, 168, 0, 0], 16),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
];
const LAN_V6: [Ipv6Net; 2] = [
    v6([0xfc00, 0, 0], 7), // unique local (RFC 4193)
    Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
];

/// Where requests may go, as an operator writes it: words and networks, with commas between. What one of them allows is
/// allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowlist {
    written: Arc<str>,
    entries: Arc<[Entry]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Any,
    Public,
    Lan,
    Network(IpNet),
}

impl Allowlist {
    /// Whether requests may go to this address. One of IPv6 that carries one of IPv4 is asked for by the latter.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Any => true,
            Entry::Public => is_public(address),
            Entry::Lan => is_nearby(address),
            Entry::Network(network) => network.contains(&address),
        })
    }
}

impl Default for Allowlist {
    /// Everywhere.
    fn default() -> Allowlist {
        Allowlist { written: "any".into(), entries: [Entry::Any].into() }
    }
}

impl FromStr for Allowlist {
    type Err = MalformedAllowlist;

    fn from_str(text: &str) -> Result<Allowlist, MalformedAllowlist> {
        let entries = text.split(',').map(|word| entry(word.trim())).collect::<Option<_>>();
        entries.map(|entries| Allowlist { written: text.into(), entries }).ok_or(MalformedAllowlist)
    }
}

impl fmt::Display for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// The text is no list of words and networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedAllowlist;

impl fmt::Display for MalformedAllowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any, public, lan or networks such as 10.0.0.0/8, with commas between")
    }
}

fn entry(word: &str) -> Option<Entry> {
    match word {
        "any" => Some(Entry::Any),
        "public" => Some(Entry::Public),
        "lan" => Some(Entry::Lan),
        network => {
            let address = || network.parse::<IpAddr>().map(IpNet::from);
            network.parse().or_else(|_| address()).ok().map(Entry::Network)
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !NOT_PUBLIC_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            PUBLIC_V6.contains(&address) && !NOT_PUBLIC_V6.iter().any(|network| network.contains(&address))
        }
    }
}

fn is_nearby(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => LAN_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => LAN_V6.iter().any(|network| network.contains(&address)),
    }
}

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b, c]: [u16; 3], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses with what they are, as the IANA registries of special-purpose addresses for IPv4 and IPv6 have it, and
    /// those next to the edges of what these list.
    const PUBLIC: &[&str] = &[
        "1.0.0.0",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.31.196.1", // AS112-v4 (RFC 7535)
        "192.52.193.1", // AMT (RFC 7450)
        "192.88.98.255",
        "192.167.255.255",
        "192.169.0.0",
        "192.175.48.1", // AS112 (RFC 7534)
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7::1",
        "2001:db9::1",
        "2003::1",
        "2606:4700:4700::1111",
        "2620:4f:8000::1", // AS112 (RFC 7534)
        "2a00::1",
        "3ffe:ffff::1",
        "3fff:1000::1",
    ];
    const NEARBY: &[&str] = &[
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.0.0",
        "192.168.255.255",
        "::1",
        "fc00::1",
        "fdff:ffff::1",
    ];
    const NEITHER: &[&str] = &[
        "0.0.0.0",
        "0.255.255.255",
        "169.254.0.1",
        "192.0.0.0",
        "192.0.0.8",   // dummy (RFC 7600)
        "192.0.0.9",   // PCP, a gateway nearby (RFC 7723)
        "192.0.0.170", // where DNS64 is found (RFC 8880)
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.255",
        "203.0.113.0",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        "::",
        "::2",
        "64:ff9b:1::1", // NAT64 of one's own (RFC 8215)
        "100::1",       // discarded (RFC 6666)
        "1fff::1",
        "2001::1",    // Teredo (RFC 4380)
        "2001:2::1",  // benchmarks (RFC 5180)
        "2001:10::1", // ORCHID (RFC 4843)
        "2001:20::1", // ORCHIDv2 (RFC 7343), which names and reaches nothing
        "2001:1ff::1",
        "2001:db8::1",
        "2002:808:808::1",
        "3fff::1",
        "3fff:fff::1",
        "4000::1",
        "5f00::1", // segment routing (RFC 9602)
        "fbff::1",
        "fe80::1",
        "fec0::1", // once site-local (RFC 3879)
        "ff02::1",
    ];

    fn list(text: &str) -> Allowlist {
        text.parse().unwrap_or_else(|_| panic!("{text}"))
    }

    fn check(text: &str, allowed: &[&[&str]], refused: &[&[&str]]) {
        for (addresses, expected) in [(allowed, true), (refused, false)] {
            for address in addresses.concat() {
                assert_eq!(list(text).allows(address.parse().unwrap()), expected, "{text}: {address}");
            }
        }
    }

    #[test]
    fn each_word_allows_its_addresses_and_several_allow_what_one_of_them_does() {
        check("public", &[PUBLIC], &[NEARBY, NEITHER]);
        check("lan", &[NEARBY], &[PUBLIC, NEITHER]);
        check("public,lan", &[PUBLIC, NEARBY], &[NEITHER]);
        check("any", &[PUBLIC, NEARBY, NEITHER], &[]);
        assert_eq!(Allowlist::default(), list("any"));
    }

    #[test]
    fn networks_and_single_addresses_are_allowed_alone_or_beside_words() {
        check("10.0.0.0/8", &[&["10.1.2.3"]], &[PUBLIC, &["127.0.0.1", "::1", "11.0.0.0"]]);
        check("public, 10.0.0.0/8 ,::1", &[PUBLIC, &["10.1.2.3", "::1"]], &[&["127.0.0.1", "192.168.0.1"], NEITHER]);
        check("fd00::/8,192.168.7.9", &[&["fd12::1", "192.168.7.9"]], &[PUBLIC, &["192.168.7.8", "fc00::1"]]);
        // What stands behind the length plays no part.
        check("192.168.7.9/24", &[&["192.168.7.1"]], &[&["192.168.8.1"]]);
        assert_eq!(list("public,10.0.0.0/8").to_string(), "public,10.0.0.0/8");
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in ["", "none", "Public", "public,", ",lan", "10.0.0.0/33", "10.0.0", "localhost", "public lan"] {
            assert_eq!(text.parse::<Allowlist>(), Err(MalformedAllowlist), "{text}");
        }
    }
}
