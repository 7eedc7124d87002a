//! Owns what proxies say of a client: who it is, and how it sees this server.
//! It must not believe anybody but a trusted proxy, and of a chain only what trusted ones have added.

use std::net::IpAddr;

use ipnet::IpNet;

use super::peer::Peer;
use crate::http::{Headers, Proxied};

/// A request as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// Who it is.
    pub client: IpAddr,
    /// Whether it speaks HTTPS, to this server or to a proxy.
    pub https: bool,
    /// What it calls this server.
    pub host: Option<&'a str>,
}

/// What one proxy has added.
#[derive(Clone, Copy, Debug, Default)]
struct Hop<'a> {
    client: Option<&'a str>,
    proto: Option<&'a str>,
    host: Option<&'a str>,
}

/// Whether an address belongs to a trusted proxy.
pub(super) fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(&address.to_canonical()))
}

/// The request as the client sees it, by what trusted proxies say.
pub(super) fn see<'a>(trusted: &[IpNet], peer: Peer, headers: &'a Headers) -> Seen<'a> {
    let host = headers.host.as_deref();
    let mut seen = Seen { client: peer.address.to_canonical(), https: peer.over_tls, host };
    let is_trusted = is_trusted(trusted, peer.address);
    let Some(proxied) = headers.proxied.as_deref().filter(|_| is_trusted) else { return seen };
    // Most proxies add to the older fields and pass on a `Forwarded` that the client made up.
    let is_older = [&proxied.x_forwarded_for, &proxied.x_forwarded_host, &proxied.x_forwarded_proto];
    match proxied.forwarded.as_deref() {
        Some(forwarded) if is_older.iter().all(|field| field.is_none()) => {
            follow(trusted, &mut seen, forwarded.rsplit(',').map(hop));
        }
        Some(_) | None => follow(trusted, &mut seen, old_hops(proxied)),
    }
    seen
}

/// Goes back from this server towards the client, for as long as trusted proxies speak.
fn follow<'a>(trusted: &[IpNet], seen: &mut Seen<'a>, hops: impl Iterator<Item = Hop<'a>>) {
    for hop in hops {
        if let Some(proto) = hop.proto {
            seen.https = proto.eq_ignore_ascii_case("https");
        }
        seen.host = hop.host.or(seen.host);
        // A client that hides, or has no address, is nobody that could be trusted.
        let Some(client) = hop.client.and_then(address) else { return };
        seen.client = client;
        if !is_trusted(trusted, client) {
            return;
        }
    }
}

/// One element of `Forwarded` (RFC 7239, section 4). Commas and semicolons within quotes do not come in what proxies
/// write; a client that writes them harms its own element alone.
fn hop(element: &str) -> Hop<'_> {
    let mut hop = Hop::default();
    for pair in element.split(';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = Some(value.trim().trim_matches('"'));
        match name.trim() {
            name if name.eq_ignore_ascii_case("for") => hop.client = value,
            name if name.eq_ignore_ascii_case("proto") => hop.proto = value,
            name if name.eq_ignore_ascii_case("host") => hop.host = value,
            _ => {}
        }
    }
    hop
}

/// The three older fields. Each proxy adds to the list of addresses; the two others tell of the last one only.
fn old_hops(proxied: &Proxied) -> impl Iterator<Item = Hop<'_>> {
    let proto = proxied.x_forwarded_proto.as_deref().map(last);
    let host = proxied.x_forwarded_host.as_deref().map(last);
    let first = Hop { client: None, proto, host };
    let clients = proxied.x_forwarded_for.as_deref().unwrap_or_default().rsplit(',').map(str::trim);
    clients.enumerate().map(move |(place, client)| {
        let client = Some(client);
        if place == 0 { Hop { client, ..first } } else { Hop { client, ..Hop::default() } }
    })
}

fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or_default().trim()
}

/// An address as proxies write it: with a port or without, IPv6 in brackets or not.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => match text.split_once(':') {
            Some((v4, port)) if !port.contains(':') => v4,
            Some(_) | None => text,
        },
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, headers: &Headers) -> (String, bool, String) {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().expect(text)).collect();
        let seen = see(&trusted, Peer::tcp(peer.parse().expect(peer)), headers);
        (seen.client.to_string(), seen.https, seen.host.unwrap_or_default().to_owned())
    }

    fn old(client: &str, proto: &str, host: &str) -> Headers {
        Headers {
            host: Some("own".to_owned()),
            proxied: Some(Box::new(Proxied {
                x_forwarded_for: Some(client.to_owned()),
                x_forwarded_proto: Some(proto.to_owned()),
                x_forwarded_host: Some(host.to_owned()),
                forwarded: None,
            })),
            ..Headers::default()
        }
    }

    fn new(forwarded: &str) -> Headers {
        let proxied = Proxied { forwarded: Some(forwarded.to_owned()), ..Proxied::default() };
        Headers { host: Some("own".to_owned()), proxied: Some(Box::new(proxied)), ..Headers::default() }
    }

    #[test]
    fn only_trusted_proxies_are_believed_and_of_a_chain_only_their_part() {
        for (peer, headers, client, https, host) in [
            ("192.0.2.9", old("1.1.1.1", "https", "a"), "192.0.2.9", false, "own"),
            ("192.0.2.9", new("for=1.1.1.1;proto=https;host=a"), "192.0.2.9", false, "own"),
            ("10.0.0.1", Headers::default(), "10.0.0.1", false, ""),
            ("10.0.0.1", old("1.1.1.1", "https", "a"), "1.1.1.1", true, "a"),
            ("::ffff:10.0.0.1", old("1.1.1.1", "https", "a"), "1.1.1.1", true, "a"),
            ("fd00::1", old("2001:db8::1", "http", "a"), "2001:db8::1", false, "a"),
            ("10.0.0.1", old("6.6.6.6, 1.1.1.1:55, 10.0.0.2", "http, https", "b, a"), "1.1.1.1", true, "a"),
            ("10.0.0.1", old("", "HTTPS", "a"), "10.0.0.1", true, "a"),
            ("10.0.0.1", new("for=1.1.1.1;proto=https;host=a"), "1.1.1.1", true, "a"),
            ("10.0.0.1", new("for=6.6.6.6;host=evil, For=\"[2001:db8::7]:9\";Proto=https"), "2001:db8::7", true, "own"),
            ("10.0.0.1", new("for=1.1.1.1;host=a;proto=https, for=10.0.0.2;proto=http"), "1.1.1.1", true, "a"),
            ("10.0.0.1", new("for=_hidden;proto=https, for=unknown"), "10.0.0.1", false, "own"),
            ("10.0.0.1", new("nonsense"), "10.0.0.1", false, "own"),
        ] {
            assert_eq!(seen(peer, &headers), (client.to_owned(), https, host.to_owned()), "{peer}: {headers:?}");
        }
    }
}
