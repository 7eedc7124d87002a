//! Owns the properties of who is let in past the gate, and of what proxies say of a client: nobody is believed who is not
//! trusted, and no stranger's name or page gets through.
//! It must not look at what a request asks for beyond its method.

use std::net::IpAddr;

use punctual::access::{Scope, TokenId, Who};
use punctual::http::{Headers, Method, Proxied, Request};
use punctual::server::{Gate, Peer, Seen};

use super::support::asked;

/// An error is read by people.
const MESSAGE_LEN_MAX: usize = 3_000;

/// A line with an address that is connected, trusted networks, allowed hosts and the origin that may change something, the
/// lists with commas; behind it a request.
pub fn check(data: &[u8]) {
    let Some((words, request)) = asked(data) else { return };
    let word = |place: usize| words.get(place).copied().unwrap_or_default();
    let list = |place: usize| word(place).split(',').filter(|text| !text.is_empty());
    let Ok(address) = word(0).parse::<IpAddr>() else { return };
    let gate = Gate {
        trusted_proxies: list(1).filter_map(|text| text.parse().ok()).collect(),
        allowed_hosts: list(2).map(str::to_owned).collect(),
        cors_origin: Some(word(3).to_owned()).filter(|origin| !origin.is_empty()),
    };
    for peer in [Peer::tcp(address), Peer::tls(address)] {
        check_seen(&gate, peer, address, &request);
        check_gate(&gate, &gate.see(peer, &request), &request);
    }
}

fn check_seen(gate: &Gate, peer: Peer, address: IpAddr, request: &Request) {
    let seen = gate.see(peer, request);
    let bare = Request { headers: Headers { proxied: None, ..request.headers.clone() }, ..request.clone() };
    let own = gate.see(peer, &bare);
    assert_eq!((own.client, own.host), (address.to_canonical(), request.headers.host.as_deref()));
    let Some(proxied) = request.headers.proxied.as_deref() else { return assert_eq!(seen, own) };
    if !gate.trusts(peer) {
        return assert_eq!(seen, own, "nobody else is believed");
    }
    // Names and addresses are what somebody has said.
    let fields = [&proxied.forwarded, &proxied.x_forwarded_for, &proxied.x_forwarded_host, &proxied.x_forwarded_proto];
    let is_said = |text: &str| fields.into_iter().flatten().any(|field| field.contains(text));
    assert!(seen.host == own.host || seen.host.is_none_or(is_said), "{seen:?}: {request:?}");
    assert!(seen.client == own.client || fields.into_iter().any(Option::is_some));
    // One more proxy that is trusted and says who came to it changes nothing.
    if proxied.forwarded.is_none() {
        let said = proxied.x_forwarded_for.as_deref().map(|said| format!("{said}, ")).unwrap_or_default();
        let x_forwarded_for = Some(format!("{said}{address}"));
        assert_eq!(gate.see(peer, &with(request, Proxied { x_forwarded_for, ..proxied.clone() })), seen, "{request:?}");
    }
    // What a client says of itself, before what its proxy has added, counts for nothing.
    if !gate.trusts(Peer::tcp(seen.client)) {
        for lie in ["127.0.0.1, ", "for=127.0.0.1;host=lie;proto=https, ", ", ", "\"x;host=lie, "] {
            let before = |field: &Option<String>| field.as_ref().map(|said| format!("{lie}{said}"));
            let lied = Proxied {
                forwarded: before(&proxied.forwarded),
                x_forwarded_for: before(&proxied.x_forwarded_for),
                x_forwarded_host: before(&proxied.x_forwarded_host),
                x_forwarded_proto: before(&proxied.x_forwarded_proto),
            };
            assert_eq!(gate.see(peer, &with(request, lied)), seen, "{lie}: {request:?}");
        }
    }
}

fn with(request: &Request, proxied: Proxied) -> Request {
    let headers = Headers { proxied: Some(Box::new(proxied)), ..request.headers.clone() };
    Request { headers, ..request.clone() }
}

fn check_gate(gate: &Gate, seen: &Seen<'_>, request: &Request) {
    let id = TokenId::new(u64::MAX);
    let nobody = Who::without_token(None);
    let by_token = Who { token: Some(id), principal: Some(id), scope: Some(Scope::Read), by_cookie: false };
    let by_cookie = Who { by_cookie: true, ..by_token };
    let status = |who: Who, seen: &Seen<'_>, request: &Request| match gate.check(seen, request, who) {
        Ok(()) => 200,
        Err(error) => {
            assert!(error.message.len() <= MESSAGE_LEN_MAX, "{} bytes of an error", error.message.len());
            error.status.code()
        }
    };
    let is_safe = matches!(request.method, Method::Get | Method::Head | Method::Options);
    let headers = &request.headers;
    let is_page = headers.origin.is_some() || headers.sec_fetch_site.is_some();
    let is_probe = is_safe && ["/livez", "/readyz", "/api/health"].contains(&&*request.path);
    for who in [nobody, by_token, by_cookie] {
        let told = status(who, seen, request);
        assert!([200, 421, 403, 415].contains(&told));
        assert!(
            told != 421 || (who != by_token && !is_probe),
            "a page that calls this machine by its own name has no token"
        );
        assert!(told != 403 || !is_safe, "reading is a matter of CORS: {request:?}");
        assert!(told != 415 || (is_page && !is_safe), "{request:?}");
        // Neither is a matter of case.
        let upper = |text: &Option<String>| text.as_ref().map(|text| text.to_ascii_uppercase());
        let loud = Headers { origin: upper(&headers.origin), ..headers.clone() };
        let host = seen.host.map(str::to_ascii_uppercase);
        let again = Seen { host: host.as_deref(), ..*seen };
        assert_eq!(status(who, &again, &Request { headers: loud, ..request.clone() }), told, "{seen:?} {request:?}");
        if told != 200 {
            continue;
        }
        if let Some(host) = seen.host.filter(|_| who != by_token && !is_probe) {
            assert!(is_nobodys(host, &gate.allowed_hosts), "{host} may be a stranger's");
        }
        if is_safe {
            continue;
        }
        if let Some(origin) = &headers.origin {
            let scheme = if seen.https { "https" } else { "http" };
            let own = seen.host.map(|host| format!("{scheme}://{host}"));
            let named = gate.cors_origin.clone().filter(|named| named != "*");
            let may = [own, named].into_iter().flatten().any(|may| plain(&may) == plain(origin));
            assert!(may, "{origin} changes something at {seen:?}");
        } else if let Some(site) = &headers.sec_fetch_site {
            assert!(site == "same-origin" || site == "none", "{site}");
        } else {
            assert!(who != by_cookie, "a session that no browser vouches for: {request:?}");
        }
    }
}

/// Whether a host is an address, `localhost` or one of those names; written anew, so that it is not what it is to judge.
fn is_nobodys(host: &str, allowed: &[String]) -> bool {
    let host = host.to_ascii_lowercase();
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    }
    let name = host.split(':').next().unwrap_or_default();
    let rootless = name.strip_suffix('.').unwrap_or(name);
    let is_local = rootless == "localhost" || rootless.ends_with(".localhost");
    let is_allowed = |allowed: &String| {
        let allowed = allowed.to_ascii_lowercase();
        allowed.strip_suffix('.').unwrap_or(&allowed) == rootless
    };
    name.parse::<IpAddr>().is_ok() || is_local || allowed.iter().any(is_allowed)
}

/// An origin with nothing in it that means nothing: case, the port that goes without saying, the dot of the root.
fn plain(origin: &str) -> String {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://").unwrap_or(("", &origin));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    };
    let usual = if scheme == "https" { 443 } else { 80 };
    let port = if port.is_empty() { usual } else { port.parse::<u32>().unwrap_or(u32::MAX) };
    let host = host.strip_suffix('.').unwrap_or(host);
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let host = address.map_or(host.to_owned(), |address| address.to_string());
    format!("{scheme}://{host}:{port}")
}
