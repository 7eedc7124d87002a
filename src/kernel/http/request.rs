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
    pub fn from_name(name: &str) -> Method {
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

    /// True when the method is about its body, which ends with the connection if a client of HTTP/1.0 does not say how long it
    /// is.
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
    /// What the client likes to be answered with.
    pub accepts: Accepts,
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

/// What a client says it likes to be answered with (RFC 9110, section 12.5), as far as anything goes by it. Nothing is
/// kept of the text, as nearly every request has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepts {
    /// `Accept` names `text/html`, as that of a browser does for a page. That it takes anything is not enough.
    pub html: bool,
    /// `Accept-Encoding` names `gzip`.
    pub gzip: bool,
    /// How much `Accept` likes `application/openmetrics-text`, in hundredths; 0: it does not name it.
    pub open_metrics: u8,
    /// The same of `text/plain`.
    pub plain_text: u8,
}

impl Accepts {
    /// Whether OpenMetrics is wanted, and nothing plainer more than that.
    pub fn likes_open_metrics(self) -> bool {
        self.open_metrics > 0 && self.open_metrics >= self.plain_text
    }

    /// Takes note of a field; of one that says nothing of this, no note.
    pub(super) fn note(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("accept") {
            self.html |= weight(value, b"text/html") > 0;
            self.open_metrics = self.open_metrics.max(weight(value, b"application/openmetrics-text"));
            self.plain_text = self.plain_text.max(weight(value, b"text/plain"));
        } else if name.eq_ignore_ascii_case("accept-encoding") {
            self.gzip |= weight(value, b"gzip") > 0;
        }
    }
}

/// The most that a list likes this, in hundredths; 0: it does not name it, or only to say that it is not wanted.
fn weight(list: &[u8], wanted: &[u8]) -> u8 {
    let items = list.split(|byte| *byte == b',').filter_map(|item| {
        let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        parts.next().filter(|name| name.eq_ignore_ascii_case(wanted))?;
        let given = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
        Some(given.map_or(100, hundredths))
    });
    items.max().unwrap_or(0)
}

/// A weight (RFC 9110, section 12.4.2); its thousandths are rounded up, as whatever is not 0 is wanted. What is no weight
/// counts as if it had not been given.
fn hundredths(text: &[u8]) -> u8 {
    let digits = match text {
        [b'0'] => return 0,
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => digits,
        _ => return 100,
    };
    let digit = |place: usize| digits.get(place).map_or(0, |digit| digit - b'0');
    digit(0) * 10 + digit(1) + u8::from(digit(2) > 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_likes_is_named_and_not_refused() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        let cases = [
            ("Accept", chromium, (true, false)),
            ("accept", "application/json, TEXT/HTML ;q=0.1", (true, false)),
            ("accept", "*/*", (false, false)),
            ("accept", "text/*", (false, false)),
            ("accept", "text/html;q=0", (false, false)),
            ("accept", "text/html; level=1; q=0.000", (false, false)),
            ("accept", "text/html;q=", (true, false)),
            ("accept", "text/htmlx, xtext/html", (false, false)),
            ("accept", "", (false, false)),
            ("Accept-Encoding", "gzip, deflate, br, zstd", (false, true)),
            ("accept-encoding", "br;q=1, GZIP;q=0.5", (false, true)),
            ("accept-encoding", "gzip;Q=0.0, *", (false, false)),
            ("accept-encoding", "identity", (false, false)),
            ("x-accept", "text/html, gzip", (false, false)),
        ];
        for (name, value, (html, gzip)) in cases {
            let mut accepts = Accepts::default();
            accepts.note(name, value.as_bytes());
            assert_eq!((accepts.html, accepts.gzip), (html, gzip), "{name}: {value}");
        }
    }
    #[test]
    fn open_metrics_are_liked_as_much_as_anything_plainer() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (values, liked) in [
            (vec![prometheus], true),
            (vec!["text/plain;version=0.0.4;q=0.5", "application/openmetrics-text; q=0.6"], true),
            (vec!["application/OpenMetrics-Text"], true),
            (vec!["application/openmetrics-text;q=0.5, text/plain;q=0.5"], true),
            (vec!["application/openmetrics-text;q=0.5, text/plain;q=0.51"], false),
            (vec!["application/openmetrics-text;q=0.001"], true),
            (vec!["application/openmetrics-text;q=0.05, text/plain;q=0.1"], false),
            (vec!["application/openmetrics-text;q=0, */*"], false),
            (vec!["text/plain"], false),
            (vec!["*/*"], false),
            (vec!["application/openmetrics-text+x"], false),
            (vec![], false),
        ] {
            let mut accepts = Accepts::default();
            values.iter().for_each(|value| accepts.note("accept", value.as_bytes()));
            assert_eq!(accepts.likes_open_metrics(), liked, "{values:?}");
        }
    }
}
