//! Owns what a request is once it has been read: method, target, the header fields in use, body.
//! It must not parse a head or judge a request; the decoder has done that before one of these exists.

use std::fmt;

/// A request method (RFC 9110, section 9). Names are case-sensitive, so `get` is [`Method::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`: answered like `GET`, but without the body.
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH` (RFC 5789)
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// Any other well-formed name, except `CONNECT`, which is refused.
    Other,
}

impl Method {
    /// Reads the name as it stands on the request line.
    pub(super) fn from_name(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            _ => Method::Other,
        }
    }

    /// The name on the request line, or `OTHER`. From a small fixed set, so it can label a metric.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Other => "OTHER",
        }
    }

    /// True when the method is about its body, so that a request without a stated length is a
    /// mistake.
    pub const fn needs_length(self) -> bool {
        match self {
            Method::Post | Method::Put => true,
            Method::Get | Method::Head | Method::Patch | Method::Delete | Method::Options | Method::Other => false,
        }
    }
}

/// One complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// The path as sent: not decoded, without the query. Starts with `/`, or is `*` for `OPTIONS`.
    /// ASCII only.
    pub path: String,
    /// What follows the first `?`, as sent; empty when there is none. See [`super::query::pairs`].
    pub query: String,
    /// True when the connection may carry another request after this one (RFC 9112, section 9.3).
    pub keep_alive: bool,
    /// True when the client speaks HTTP/1.0, which changes how [`super::encode`] announces
    /// `keep_alive`.
    pub http_10: bool,
    /// The header fields that the product uses.
    pub headers: Headers,
    /// The body with its framing removed; empty when there is none. At most
    /// as long as [`super::Limits::body_len_max`] says.
    ///
    /// May be there for any method: a body with no meaning, as with `GET`, is left to the caller to
    /// ignore.
    pub body: Vec<u8>,
}

/// The header fields that the product uses beyond framing, each `None` when the request has no such
/// field.
///
/// To use another one, add a member and a line in `slot`, if it is a field that a request may have once (a second line
/// is a refusal), or in `list`, if its lines are joined (RFC 9110, section 5.3). A secret such as `Authorization` needs
/// a type that `Debug` does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Content-Type`, with its parameters.
    pub content_type: Option<String>,
    /// `Host`, or the target's authority when the target is in absolute form (RFC 9112, section
    /// 3.2.2).
    pub host: Option<String>,
    /// `Origin`: the web page's origin, when a browser sent the request.
    pub origin: Option<String>,
    /// `Sec-Fetch-Site`: how a browser says that the page and this server belong together.
    pub sec_fetch_site: Option<String>,
    /// Who the client says it is.
    pub credentials: Option<Box<Credentials>>,
    /// What few requests say of how they are to be taken.
    pub rare: Option<Box<RareHeaders>>,
    /// What proxies say of the client, if they do. Anybody can send it.
    pub proxied: Option<Box<Proxied>>,
}

/// The header fields that say who a client is. `Debug` does not show them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Cookie`.
    pub cookie: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// Header fields that few requests have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RareHeaders {
    /// `If-Match`.
    pub if_match: Option<String>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// `Last-Event-ID`.
    pub last_event_id: Option<String>,
}

/// The header fields with which proxies speak of a client. All are lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxied {
    /// `Forwarded` (RFC 7239).
    pub forwarded: Option<String>,
    /// `X-Forwarded-For`.
    pub x_forwarded_for: Option<String>,
    /// `X-Forwarded-Host`.
    pub x_forwarded_host: Option<String>,
    /// `X-Forwarded-Proto`.
    pub x_forwarded_proto: Option<String>,
}

impl Headers {
    /// Where the value of a field of this name goes; `None` when the product has no use for it.
    pub(super) fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        let slots = [
            ("content-type", &mut self.content_type),
            ("host", &mut self.host),
            ("origin", &mut self.origin),
            ("sec-fetch-site", &mut self.sec_fetch_site),
        ];
        if let Some((_, slot)) = slots.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Some(slot);
        }
        if name.eq_ignore_ascii_case("authorization") {
            return Some(&mut self.credentials.get_or_insert_default().authorization);
        }
        if name.eq_ignore_ascii_case("cookie") {
            return Some(&mut self.credentials.get_or_insert_default().cookie);
        }
        let rare: fn(&mut RareHeaders) -> &mut Option<String> = match name {
            name if name.eq_ignore_ascii_case("if-match") => |rare| &mut rare.if_match,
            name if name.eq_ignore_ascii_case("idempotency-key") => |rare| &mut rare.idempotency_key,
            name if name.eq_ignore_ascii_case("last-event-id") => |rare| &mut rare.last_event_id,
            _ => return None,
        };
        Some(rare(self.rare.get_or_insert_default()))
    }

    /// The same for a field that is a list, and may stand in several lines.
    pub(super) fn list(&mut self, name: &str) -> Option<&mut Option<String>> {
        let list: fn(&mut Proxied) -> &mut Option<String> = match name {
            name if name.eq_ignore_ascii_case("forwarded") => |proxied| &mut proxied.forwarded,
            name if name.eq_ignore_ascii_case("x-forwarded-for") => |proxied| &mut proxied.x_forwarded_for,
            name if name.eq_ignore_ascii_case("x-forwarded-host") => |proxied| &mut proxied.x_forwarded_host,
            name if name.eq_ignore_ascii_case("x-forwarded-proto") => |proxied| &mut proxied.x_forwarded_proto,
            _ => return None,
        };
        Some(list(self.proxied.get_or_insert_default()))
    }
}
