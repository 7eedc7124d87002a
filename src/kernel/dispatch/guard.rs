//! Owns which addresses are never POSTed to: those behind which a cloud keeps its credentials, those that are nobody's or
//! everybody's, and those that the operator's list leaves out.
//! It must not look names up: whoever has an address asks, after every lookup, for jobs, trials and alerts alike.
//!
//! Unless the operator says otherwise private networks and loopback are allowed: that is where most targets are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::allowlist::Allowlist;

/// Where one cloud keeps its credentials for IPv6; for IPv4 that is a link-local address.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Whether requests may go to this address. No list allows what is refused to everybody.
///
/// # Errors
/// Says why they may not.
pub fn check(address: IpAddr, targets: &Allowlist) -> Result<(), String> {
    // An IPv6 address that carries one of IPv4 leads there, by way of the system or of a gateway.
    let leads_to = match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => carried(v6).map_or(address, IpAddr::V4),
    };
    let why = match (address, leads_to) {
        (IpAddr::V6(v6), IpAddr::V4(v4)) => of_v6(v6).or_else(|| of_v4(v4)),
        (_, IpAddr::V4(v4)) => of_v4(v4),
        (_, IpAddr::V6(v6)) => of_v6(v6),
    };
    match why {
        Some(why) => Err(format!("the address {address} is refused: {why}")),
        None if targets.allows(leads_to) => Ok(()),
        None => Err(format!("the address {address} is refused: --targets {targets} does not allow it")),
    }
}

fn of_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address == METADATA_V4 {
        Some("a cloud keeps its credentials there")
    } else if address.is_link_local() {
        Some("it is link-local")
    } else if address.octets()[0] == 0 {
        Some("it is nobody's")
    } else if address.is_multicast() {
        Some("it is multicast")
    } else if address.is_broadcast() {
        Some("it is broadcast")
    } else {
        None
    }
}

fn of_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address == METADATA_V6 {
        Some("a cloud keeps its credentials there")
    } else if address.is_unicast_link_local() {
        Some("it is link-local")
    } else if address.is_unspecified() {
        Some("it is nobody's")
    } else if address.is_multicast() {
        Some("it is multicast")
    } else {
        None
    }
}

/// The IPv4 address that an IPv6 address carries, if it is of a form that carries one.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        // Loopback only looks as if it carried one.
        [0, 0, 0, 0, 0, 0, 0, 1] => None,
        // Mapped (::ffff:a.b.c.d), translated (::ffff:0:a.b.c.d) and compatible (::a.b.c.d).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0, 0, 0, 0, 0, 0, high, low]
        // NAT64, with the prefix everybody knows.
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4.
        | [0x2002, high, low, _, _, _, _, _] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_what_is_nobodys_or_everybodys_are_refused_in_every_form() {
        for (address, why) in [
            ("169.254.169.254", "credentials"),
            ("fd00:ec2::254", "credentials"),
            ("169.254.0.1", "link-local"),
            ("fe80::1", "link-local"),
            ("febf::1", "link-local"),
            ("0.0.0.0", "nobody's"),
            ("0.1.2.3", "nobody's"),
            ("::", "nobody's"),
            ("224.0.0.1", "multicast"),
            ("239.255.255.255", "multicast"),
            ("ff02::1", "multicast"),
            ("255.255.255.255", "broadcast"),
            ("::ffff:169.254.169.254", "credentials"),
            ("::ffff:0:169.254.169.254", "credentials"),
            ("::169.254.169.254", "credentials"),
            ("64:ff9b::169.254.169.254", "credentials"),
            ("2002:a9fe:a9fe::1", "credentials"),
            ("::ffff:0.0.0.0", "nobody's"),
            ("64:ff9b::224.0.0.1", "multicast"),
            ("2002:ffff:ffff::", "broadcast"),
        ] {
            for targets in ["any", "public,lan", "0.0.0.0/0,::/0"] {
                let refused = check(address.parse().unwrap(), &targets.parse().unwrap()).expect_err(address);
                assert!(refused.starts_with("the address ") && refused.contains(why), "{address}: {refused}");
            }
        }
    }

    #[test]
    fn what_the_list_leaves_out_is_refused_also_where_it_is_carried() {
        for (targets, allowed, refused) in [
            (
                "public",
                &["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2606:4700::1"][..],
                &["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::1", "::ffff:0:192.168.0.1"]
                    [..],
            ),
            (
                "lan",
                &["127.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "fd00::1"],
                &["8.8.8.8", "::ffff:8.8.8.8", "2606:4700::1"],
            ),
            ("10.0.0.0/8", &["10.0.0.1", "::ffff:10.0.0.1"], &["11.0.0.1", "::ffff:11.0.0.1"]),
            // Everything of IPv6 is not everything of IPv4.
            ("::/0", &["::1", "2606:4700::1"], &["::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "127.0.0.1"]),
        ] {
            let list = targets.parse().unwrap();
            for address in allowed {
                assert_eq!(check(address.parse().unwrap(), &list), Ok(()), "{targets}: {address}");
            }
            for address in refused {
                let why = check(address.parse().unwrap(), &list).expect_err(address);
                assert!(why.ends_with(&format!(" is refused: --targets {targets} does not allow it")), "{why}");
            }
        }
    }

    #[test]
    fn private_networks_and_loopback_are_allowed_unless_a_list_leaves_them_out() {
        for address in [
            "127.0.0.1",
            "127.255.0.1",
            "::1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "1.0.0.0",
            "223.255.255.255",
            "fd00::1",
            "fd00:ec2::253",
            "fec0::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "64:ff9b::8.8.8.8",
            "2002:a00:1::1",
        ] {
            assert_eq!(check(address.parse().unwrap(), &Allowlist::default()), Ok(()), "{address}");
        }
    }
}
