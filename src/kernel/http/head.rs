//! Owns the reading of one complete request head: request line and field lines become a request and its framing.
//! It must not search for the head's end or touch the body; it alone names the parsing crate.

use std::mem::MaybeUninit;

use super::decode::HEADERS_MAX_CEILING;
use super::framing::{Framing, Lengths, list_items};
use super::{Accepts, Headers, Limits, Method, Refusal, Request, target};

/// What a head says.
#[derive(Debug)]
pub(super) struct Head {
    /// The request, still without its body.
    pub request: Request,
    /// How the end of the body is known.
    pub framing: Framing,
    /// True when the client may wait for an interim response before it sends the body.
    pub expects_continue: bool,
}

/// Reads a head, given from the request line's first byte up to and including the blank line.
///
/// # Errors
///
/// Every [`Refusal`] but those about size in bytes and about chunks.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Head, Refusal> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX_CEILING];
    let mut raw = httparse::Request::new(&mut []);
    match raw.parse_with_uninit_headers(bytes, &mut lines[..limits.headers_max]) {
        // A shorter head than the one that was found would mean that two readers see two different
        // requests here.
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Ok(httparse::Status::Complete(_) | httparse::Status::Partial) => {
            return Err(Refusal::HeadMalformed);
        }
        Err(error) => return Err(refusal_of(error, bytes)),
    }
    let (Some(method), Some(target), Some(minor)) = (raw.method, raw.path, raw.version) else {
        return Err(Refusal::HeadMalformed);
    };
    if method == "CONNECT" {
        return Err(Refusal::MethodConnect);
    }
    let mut fields = Fields::default();
    for line in raw.headers.iter() {
        fields.add(line.name, line.value)?;
    }
    fields.into_head(Method::from_name(method), target, minor == 0, limits)
}

/// The field lines that mean something here, gathered one at a time.
#[derive(Default)]
struct Fields {
    lengths: Lengths,
    connection_close: bool,
    connection_keep_alive: bool,
    expects_continue: bool,
    accepts: Accepts,
    headers: Headers,
}

impl Fields {
    fn add(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case("content-length") {
            self.lengths.add_content_length(value)
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            self.lengths.add_transfer_encoding(value);
            Ok(())
        } else if name.eq_ignore_ascii_case("connection") {
            self.add_connection(value);
            Ok(())
        } else if name.eq_ignore_ascii_case("expect") {
            self.add_expectation(value)
        } else {
            self.add_known(name, value)
        }
    }

    fn add_connection(&mut self, value: &[u8]) {
        for option in list_items(value) {
            self.connection_close |= option.eq_ignore_ascii_case(b"close");
            self.connection_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    fn add_expectation(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::ExpectationUnknown);
        }
        self.expects_continue = true;
        Ok(())
    }

    fn add_known(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let Some(slot) = self.headers.slot(name) else {
            self.accepts.note(name, value);
            self.add_to_list(name, value);
            return Ok(());
        };
        let text = str::from_utf8(value).map_err(|_| Refusal::HeaderNotText)?;
        if slot.replace(text.to_owned()).is_some() {
            return Err(Refusal::HeaderRepeated);
        }
        Ok(())
    }

    /// Lines of one list are joined. What is no text is kept as such: whoever reads the list must not believe it anyway.
    fn add_to_list(&mut self, name: &str, value: &[u8]) {
        let Some(list) = self.headers.list(name) else { return };
        let text = String::from_utf8_lossy(value);
        match list {
            Some(before) => {
                before.push_str(", ");
                before.push_str(&text);
            }
            None => *list = Some(text.into_owned()),
        }
    }

    /// Applies the rules that need more than one line.
    fn into_head(self, method: Method, target: &str, http_10: bool, limits: &Limits) -> Result<Head, Refusal> {
        let mut headers = self.headers;
        match headers.host.as_deref() {
            Some(host) if !target::is_host(host) => return Err(Refusal::HostInvalid),
            Some(_) => {}
            None if http_10 => {}
            None => return Err(Refusal::HostMissing),
        }
        let target = target::parse(target, method)?;
        if target.authority.is_some() {
            headers.host = target.authority;
        }
        let framing = self.lengths.decide(method, http_10, || (limits.body_len_max)(method, &target.path))?;
        let request = Request {
            method,
            path: target.path,
            query: target.query,
            // RFC 9112, section 9.3: `close` wins, and only HTTP/1.1 stays open without being asked
            // to.
            keep_alive: !self.connection_close && (!http_10 || self.connection_keep_alive),
            http_10,
            accepts: self.accepts,
            headers,
            body: Vec::new(),
        };
        Ok(Head {
            request,
            framing,
            // HTTP/1.0 has no interim responses (RFC 9110, section 10.1.1), and without a body
            // nobody waits for one.
            expects_continue: self.expects_continue && !http_10 && framing != Framing::Length(0),
        })
    }
}

fn refusal_of(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadersTooMany,
        httparse::Error::Version if names_a_version(bytes) => Refusal::VersionUnsupported,
        httparse::Error::Version
        | httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => Refusal::HeadMalformed,
    }
}

/// True when the request line ends in some version of HTTP: the client is sound but speaks another
/// one.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let word = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    word.strip_prefix(b"HTTP/").is_some_and(|version| {
        version.first().is_some_and(u8::is_ascii_digit)
            && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    })
}
