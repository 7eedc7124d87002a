//! Owns who may ask: which hosts this server answers to, and which web pages may change something.
//! It must not know what a request means beyond its method: a page that may read may read everything.
//!
//! There is no login, so a browser on a machine that reaches the server is all that a foreign web page needs: it can
//! send a form anywhere, and a name that it owns can be made to resolve to this machine. So `Host` must be a name that no
//! stranger owns, and what changes something must come from this server's own pages, or be no page at all.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::peer::Peer;
use super::proxies::{self, Seen};
use crate::access::Who;
use crate::api::{self, ApiError};
use crate::http::{Method, Request, Status};

/// What is let in.
#[derive(Debug)]
pub struct Gate {
    /// Names beside addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// The origin whose pages may change something, beside this server's own. `*` is none: it is for reading.
    pub cors_origin: Option<String>,
    /// Who is believed when it speaks of the client.
    pub trusted_proxies: Vec<IpNet>,
}

impl Gate {
    /// Whether somebody connected speaks for others.
    pub fn trusts(&self, peer: Peer) -> bool {
        proxies::is_trusted(&self.trusted_proxies, peer.address)
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// Says what it lacks: 421, 403 or 415.
    pub fn check(&self, seen: &Seen<'_>, request: &Request, who: Who) -> Result<(), ApiError> {
        // A page that gives this machine a name of its own has no token, and browsers add none.
        let shows_token = who.token.is_some() && !who.by_cookie;
        if !shows_token {
            self.check_host(seen, request)?;
        }
        self.check_page(seen, request, who)
    }

    /// A request as its client sees it.
    pub fn see<'a>(&self, peer: Peer, request: &'a Request) -> Seen<'a> {
        proxies::see(&self.trusted_proxies, peer, &request.headers)
    }

    /// A page that calls this machine by a name of its own is held off by its name, as browsers send it.
    fn check_host(&self, seen: &Seen<'_>, request: &Request) -> Result<(), ApiError> {
        // Probes call servers by whatever they find them by; and what health says helps nobody.
        if is_safe(request.method) && matches!(&*request.path, "/livez" | "/readyz" | "/api/health") {
            return Ok(());
        }
        let text = match seen.host {
            Some(text) => text,
            // No browser speaks HTTP/1.0, and with HTTP/1.1 it would have been refused before.
            None => return Ok(()),
        };
        let is_allowed = |host: Host<'_>| match host {
            Host::Address(_) => true,
            Host::Name(name) => {
                let is_same = |allowed: &String| without_root(allowed).eq_ignore_ascii_case(name);
                is_localhost(name) || self.allowed_hosts.iter().any(is_same)
            }
        };
        if Authority::parse(text).is_some_and(|authority| is_allowed(authority.host)) {
            return Ok(());
        }
        let message =
            format!("Host: expected an IP address, localhost or a name given by --allowed-host, got {:?}", short(text));
        Err(ApiError::new(Status::MISDIRECTED_REQUEST, message))
    }

    fn check_page(&self, seen: &Seen<'_>, request: &Request, who: Who) -> Result<(), ApiError> {
        let headers = &request.headers;
        let (origin, site) = (headers.origin.as_deref(), headers.sec_fetch_site.as_deref());
        if who.by_cookie && origin.is_none() && site.is_none() && !is_safe(request.method) {
            let message = "Origin: expected it, or Sec-Fetch-Site, with a change by a session; use a token";
            return Err(ApiError::new(Status::FORBIDDEN, message));
        }
        // Without these it is no page of a browser that is worth the name.
        if (origin.is_none() && site.is_none()) || is_safe(request.method) {
            return Ok(());
        }
        let named = origin.is_some_and(|origin| self.is_named(origin));
        if let Some(origin) = origin.filter(|origin| !named && !is_own(origin, seen)) {
            let message = format!(
                "Origin: expected this server's own ({}), or the one given by --cors-origin, got {:?}",
                Own(seen),
                short(origin)
            );
            return Err(ApiError::new(Status::FORBIDDEN, message));
        }
        if let Some(site) = site.filter(|site| !named && !matches!(*site, "same-origin" | "none")) {
            let message = format!("Sec-Fetch-Site: expected same-origin or none, got {:?}", short(site));
            return Err(ApiError::new(Status::FORBIDDEN, message));
        }
        // Forms can send three types, and none at all. Whoever sends JSON had to ask first.
        let media_type = headers.content_type.as_deref();
        let says_nothing = request.body.is_empty() && media_type.is_none();
        if says_nothing || media_type.is_some_and(|text| api::is_json(text) || api::is_lines(text)) {
            return Ok(());
        }
        let message =
            format!("Content-Type: expected application/json, got {:?}", short(media_type.unwrap_or_default()));
        Err(ApiError::new(Status::UNSUPPORTED_MEDIA_TYPE, message))
    }

    fn is_named(&self, origin: &str) -> bool {
        let named = self.cors_origin.as_deref().filter(|named| *named != "*").and_then(Origin::parse);
        named.is_some_and(|named| Origin::parse(origin) == Some(named))
    }
}

/// The beginning of what somebody said: whoever is refused hears no more of it than is needed to find it.
fn short(text: &str) -> &str {
    text.char_indices().nth(200).map_or(text, |(end, _)| &text[..end])
}

/// Whether a method changes nothing.
fn is_safe(method: Method) -> bool {
    match method {
        Method::Get | Method::Head | Method::Options => true,
        Method::Post | Method::Put | Method::Patch | Method::Delete | Method::Other => false,
    }
}

/// Whether an origin is that of the server as the client sees it.
fn is_own(origin: &str, seen: &Seen<'_>) -> bool {
    let Some(authority) = seen.host.and_then(Authority::parse) else { return false };
    Origin::parse(origin) == Some(Origin { https: seen.https, authority: authority.with_port(seen.https) })
}

/// The server's own origin, for people.
struct Own<'a>(&'a Seen<'a>);

impl fmt::Display for Own<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.0.https { "https" } else { "http" };
        write!(f, "{scheme}://{:.200}", self.0.host.unwrap_or_default())
    }
}

/// What browsers send as `Origin` (RFC 6454, section 6.2), the port never left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Origin<'a> {
    https: bool,
    authority: Authority<'a>,
}

impl Origin<'_> {
    /// None for `null`, for other schemes, and for what is no origin.
    fn parse(text: &str) -> Option<Origin<'_>> {
        let (scheme, rest) = text.split_once("://")?;
        let https = match () {
            () if scheme.eq_ignore_ascii_case("https") => true,
            () if scheme.eq_ignore_ascii_case("http") => false,
            () => return None,
        };
        Some(Origin { https, authority: Authority::parse(rest)?.with_port(https) })
    }
}

/// A host with an optional port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Host::Address(one), Host::Address(two)) => one == two,
            (Host::Name(one), Host::Name(two)) => one.eq_ignore_ascii_case(two),
            (Host::Address(_), Host::Name(_)) | (Host::Name(_), Host::Address(_)) => false,
        }
    }
}

impl Eq for Host<'_> {}

impl Authority<'_> {
    fn parse(text: &str) -> Option<Authority<'_>> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (Host::Address(address.parse::<Ipv6Addr>().ok()?.into()), port)
            }
            None => {
                let (host, port) = text.split_at(text.find(':').unwrap_or(text.len()));
                let name = without_root(host);
                let address = host.parse().map(Host::Address).ok();
                (address.or_else(|| (!name.is_empty()).then_some(Host::Name(name)))?, port)
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Some(digits.parse().ok()?),
            None | Some(_) => return None,
        };
        Some(Authority { host, port })
    }

    fn with_port(self, https: bool) -> Self {
        Authority { port: self.port.or(Some(if https { 443 } else { 80 })), ..self }
    }
}

/// Browsers never ask anybody else for these names (RFC 6761, section 6.3).
fn is_localhost(name: &str) -> bool {
    let mut labels = name.rsplit('.');
    labels.next().is_some_and(|last| last.eq_ignore_ascii_case("localhost")) && labels.all(|label| !label.is_empty())
}

/// A name without the dot of the root, which means nothing; two of them are no name.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Headers;

    const LOCAL: &str = "127.0.0.1";
    const PROXY: &str = "10.0.0.1";

    fn gate(cors_origin: Option<&str>) -> Gate {
        Gate {
            allowed_hosts: vec!["cron.example".to_owned()],
            cors_origin: cors_origin.map(str::to_owned),
            trusted_proxies: vec!["10.0.0.0/8".parse().expect("it is a network")],
        }
    }

    /// A request by its method and its header lines.
    fn request(method: Method, lines: &[(&str, &str)], body: &str) -> Request {
        let mut headers = Headers::default();
        for &(name, value) in lines {
            let value = Some(value.to_owned());
            match name {
                "host" => headers.host = value,
                "origin" => headers.origin = value,
                "site" => headers.sec_fetch_site = value,
                "type" => headers.content_type = value,
                "proto" => headers.proxied.get_or_insert_default().x_forwarded_proto = value,
                "by-host" => headers.proxied.get_or_insert_default().x_forwarded_host = value,
                "forwarded" => headers.proxied.get_or_insert_default().forwarded = value,
                other => panic!("{other}"),
            }
        }
        Request {
            method,
            path: "/api/jobs".to_owned(),
            query: String::new(),
            keep_alive: true,
            http_10: false,
            accepts: Default::default(),
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    fn status(gate: &Gate, peer: &str, request: &Request) -> u16 {
        let seen = gate.see(Peer::tcp(peer.parse().expect("it is an address")), request);
        let checked = gate.check(&seen, request, Who::without_token(None));
        checked.map_or_else(|error| error.status.code(), |()| 200)
    }

    #[test]
    fn only_hosts_that_no_stranger_owns_are_answered_to() {
        let gate = gate(None);
        for (host, expected) in [
            ("127.0.0.1", 200),
            ("127.0.0.1:3000", 200),
            ("192.0.2.7:80", 200),
            ("[::1]:3000", 200),
            ("[2001:db8::1]", 200),
            ("localhost:3000", 200),
            ("LocalHost.", 200),
            ("punctual.localhost", 200),
            ("cron.example", 200),
            ("CRON.example.:8080", 200),
            ("evil.example:3000", 421),
            ("localhost.evil.example", 421),
            ("notlocalhost", 421),
            (".localhost", 421),
            ("cron.example.evil", 421),
            ("127.0.0.1.evil.example", 421),
            ("127.1", 421),
            ("0x7f000001", 421),
            ("[::1", 421),
            ("[::1]x", 421),
            ("localhost:x", 421),
            ("localhost:99999", 421),
            ("", 421),
        ] {
            for method in [Method::Get, Method::Head, Method::Options, Method::Post, Method::Delete] {
                assert_eq!(status(&gate, LOCAL, &request(method, &[("host", host)], "")), expected, "{host}");
            }
        }
        assert_eq!(status(&gate, LOCAL, &request(Method::Get, &[], "")), 200, "HTTP/1.0 has none");
        let mut health = request(Method::Get, &[("host", "evil.example")], "");
        health.path = "/api/health".to_owned();
        assert_eq!(status(&gate, LOCAL, &health), 200, "probes may call the server anything");
        health.method = Method::Post;
        assert_eq!(status(&gate, LOCAL, &health), 421);
        let stranger = request(Method::Get, &[("host", "a.b")], "");
        let seen = gate.see(Peer::local(), &stranger);
        let refused = gate.check(&seen, &stranger, Who::without_token(None)).expect_err("421");
        assert!(refused.message.contains("--allowed-host"), "{}", refused.message);
        let long = request(Method::Get, &[("host", &"\u{e4}".repeat(5_000))], "");
        let refused = gate.check(&gate.see(Peer::local(), &long), &long, Who::without_token(None)).expect_err("421");
        assert!(refused.message.chars().count() < 300, "{}", refused.message);
    }

    #[test]
    fn foreign_pages_change_nothing() {
        const JSON: (&str, &str) = ("type", "application/json");
        let own = ("host", "localhost:3000");
        let (none, named, any) = (gate(None), gate(Some("https://ui.example")), gate(Some("*")));
        for (gate, lines, expected) in [
            // No browser.
            (&none, &[own][..], 200),
            (&none, &[own, ("type", "application/x-www-form-urlencoded")], 200),
            // The server's own pages.
            (&none, &[own, JSON, ("origin", "http://localhost:3000")], 200),
            (&none, &[own, JSON, ("origin", "HTTP://LOCALHOST:3000")], 200),
            (&none, &[own, JSON, ("origin", "http://localhost:3000"), ("site", "same-origin")], 200),
            (&none, &[("host", "localhost"), JSON, ("origin", "http://localhost")], 200),
            (&none, &[("host", "localhost:80"), JSON, ("origin", "http://localhost")], 200),
            (&none, &[own, JSON, ("site", "none")], 200),
            // Others.
            (&none, &[own, JSON, ("origin", "https://localhost:3000")], 403),
            (&none, &[own, JSON, ("origin", "http://localhost:3001")], 403),
            (&none, &[own, JSON, ("origin", "http://localhost")], 403),
            (&none, &[own, JSON, ("origin", "http://127.0.0.1:3000")], 403),
            (&none, &[own, JSON, ("origin", "http://evil.example")], 403),
            (&none, &[own, JSON, ("origin", "null")], 403),
            (&none, &[own, JSON, ("origin", "")], 403),
            (&none, &[own, JSON, ("origin", "file://")], 403),
            (&none, &[own, JSON, ("site", "cross-site")], 403),
            (&none, &[own, JSON, ("site", "same-site")], 403),
            (&none, &[own, JSON, ("site", "")], 403),
            (&none, &[own, JSON, ("origin", "http://localhost:3000"), ("site", "cross-site")], 403),
            // An origin that is named may, and one that is not named by `*` may not.
            (&named, &[own, JSON, ("origin", "https://ui.example"), ("site", "cross-site")], 200),
            (&named, &[own, JSON, ("origin", "https://ui.example:443")], 200),
            (&named, &[own, JSON, ("origin", "http://ui.example")], 403),
            (&named, &[own, JSON, ("origin", "https://evil.example")], 403),
            (&any, &[own, JSON, ("origin", "https://ui.example"), ("site", "cross-site")], 403),
            (&any, &[own, JSON, ("origin", "*")], 403),
            // What forms can send.
            (&none, &[own, ("origin", "http://localhost:3000")], 415),
            (&none, &[own, ("site", "same-origin"), ("type", "text/plain")], 415),
            (&none, &[own, ("site", "none"), ("type", "application/x-www-form-urlencoded")], 415),
            (&none, &[own, ("site", "none"), ("type", "multipart/form-data; boundary=application/json")], 415),
            (&named, &[own, ("origin", "https://ui.example"), ("type", "text/plain")], 415),
            (&none, &[own, ("site", "none"), ("type", "application/merge-patch+json; charset=utf-8")], 200),
            (&none, &[own, ("site", "none"), ("type", "Application/JSON;charset=utf-8")], 200),
            (&none, &[own, ("site", "none"), ("type", "application/x-ndjson")], 200),
        ] {
            for method in [Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Other] {
                assert_eq!(status(gate, LOCAL, &request(method, lines, "{}")), expected, "{lines:?}");
            }
            let reading = status(gate, LOCAL, &request(Method::Get, lines, ""));
            assert_eq!(reading, 200, "reading is a matter of CORS: {lines:?}");
        }
        // Nothing needs no type.
        let delete = request(Method::Delete, &[own, ("origin", "http://localhost:3000")], "");
        assert_eq!(status(&none, LOCAL, &delete), 200);
    }

    #[test]
    fn a_trusted_proxy_says_how_the_client_sees_the_server() {
        const JSON: (&str, &str) = ("type", "application/json");
        let gate = gate(None);
        let upstream = ("host", "10.0.0.9:3000");
        for (peer, lines, expected) in [
            (
                PROXY,
                &[upstream, JSON, ("origin", "https://cron.example"), ("proto", "https"), ("by-host", "cron.example")]
                    [..],
                200,
            ),
            (PROXY, &[("host", "cron.example"), JSON, ("origin", "https://cron.example"), ("proto", "https")], 200),
            (
                PROXY,
                &[upstream, JSON, ("origin", "https://cron.example"), ("forwarded", "host=cron.example;proto=https")],
                200,
            ),
            (
                PROXY,
                &[upstream, JSON, ("origin", "http://cron.example"), ("proto", "https"), ("by-host", "cron.example")],
                403,
            ),
            // A name that a stranger owns, by way of the proxy.
            (PROXY, &[upstream, JSON, ("origin", "http://evil.example"), ("by-host", "evil.example")], 421),
            // Whoever is not trusted is not listened to.
            (
                LOCAL,
                &[upstream, JSON, ("origin", "https://cron.example"), ("proto", "https"), ("by-host", "cron.example")],
                403,
            ),
            (LOCAL, &[("host", "cron.example"), JSON, ("origin", "https://cron.example"), ("proto", "https")], 403),
            (LOCAL, &[("host", "evil.example"), JSON, ("by-host", "cron.example")], 421),
        ] {
            assert_eq!(status(&gate, peer, &request(Method::Post, lines, "{}")), expected, "{peer}: {lines:?}");
        }
    }
}
