//! Owns what every POST says: its head, and the values an errand gives it.
//! It must not send anything.
//!
//! It is written as bytes, straight from what a job says: that takes less time than to look up what was written before,
//! and no memory of its own.

use std::fmt::Write;

use http::HeaderValue;
use http::header::{CONTENT_TYPE, USER_AGENT};

use super::trace::Parent;
use crate::clock;
use crate::core::{Attempt, Errand};
use crate::job::{Delivery, Placeholder, Post, Signing, TargetUrl, Template};
use crate::time::{Instant, WallUs};

/// How long the text of a job id is.
const JOB_ID_LEN: usize = 36;

/// Writes requests. Texts that rarely differ from one attempt to the next are kept.
#[derive(Debug)]
pub(super) struct Heads {
    user_agent: HeaderValue,
    /// The instant last written, and its text.
    instant: Option<(Instant, String)>,
    text: String,
}

impl Heads {
    pub(super) fn new(user_agent: HeaderValue) -> Heads {
        Heads { user_agent, instant: None, text: String::new() }
    }

    /// Writes the request that an errand makes of this host, with a body of this type.
    pub(super) fn write(
        &mut self,
        errand: &Errand,
        host: &HeaderValue,
        body: Option<(&'static str, &[u8])>,
        to: &mut Vec<u8>,
    ) {
        let post = errand.post();
        to.extend_from_slice(post.method().as_str().as_bytes());
        // The path is all that is sent of the URL: the host goes into its header.
        to.push(b' ');
        to.extend_from_slice(post.url.path().as_bytes());
        to.extend_from_slice(b" HTTP/1.1\r\n");
        line(to, "host", host.as_bytes());
        if !post.headers().any(|(name, _)| *name == USER_AGENT) {
            line(to, "user-agent", self.user_agent.as_bytes());
        }
        if let Some((content_type, body)) = body {
            if !post.headers().any(|(name, _)| *name == CONTENT_TYPE) {
                line(to, "content-type", content_type.as_bytes());
            }
            number(to, "content-length", body.len() as u64);
        }
        match errand {
            Errand::Execution(attempt) | Errand::Trial(attempt) => {
                self.execution(attempt, to);
                // Told where there are several nodes. One that was taken for dead and does not know it sends an older one.
                if attempt.epoch > 0 {
                    number(to, "punctual-epoch", attempt.epoch.into());
                }
                if let Some(signing) = post.signing() {
                    let body = body.map(|(_, body)| body).unwrap_or_default();
                    sign(&attempt.id.to_string(), signing, body, clock::now().wall, to);
                }
            }
            Errand::Message(message) => {
                line(to, "idempotency-key", message.key.as_bytes());
                if let Some(signing) = post.signing() {
                    let body = body.map(|(_, body)| body).unwrap_or_default();
                    sign(&message.key, signing, body, clock::now().wall, to);
                }
            }
            // What an alert tells stands in its body.
            Errand::Alert(_) => {}
        }
        if closes(post) {
            line(to, "connection", b"close");
        }
        post.headers().for_each(|(name, value)| line(to, name.as_str(), value.as_bytes()));
        to.extend_from_slice(b"\r\n");
        to.extend_from_slice(body.map(|(_, body)| body).unwrap_or_default());
    }

    /// Fills in what differs from one attempt to the next.
    pub(super) fn fill(&mut self, errand: &Errand, template: &Template, into: &mut String) {
        let (Errand::Execution(attempt) | Errand::Trial(attempt)) = errand else { return };
        template.fill(into, |into, placeholder| {
            let written = match placeholder {
                Placeholder::ExecutionId => write!(into, "{}", attempt.id),
                Placeholder::JobId => write!(into, "{}", attempt.id.job),
                Placeholder::ScheduledTime => write!(into, "{}", WallUs::of(attempt.id.instant)),
                Placeholder::Attempt => write!(into, "{}", attempt.number),
            };
            written.expect("a string takes any text");
        });
    }

    /// What a target is told of an execution.
    fn execution(&mut self, attempt: &Attempt, to: &mut Vec<u8>) {
        self.text.clear();
        write!(self.text, "{}", attempt.id).expect("a string takes any text");
        line(to, "idempotency-key", self.text.as_bytes());
        // An execution's id begins with its job's.
        line(to, "punctual-job-id", &self.text.as_bytes()[..JOB_ID_LEN]);
        let instant = self.instant.take().filter(|(known, _)| *known == attempt.id.instant);
        let instant = instant.unwrap_or_else(|| (attempt.id.instant, WallUs::of(attempt.id.instant).to_string()));
        line(to, "punctual-scheduled-time", instant.1.as_bytes());
        self.instant = Some(instant);
        number(to, "punctual-attempt", attempt.number.into());
        line(to, "punctual-late", if attempt.is_late() { b"true" } else { b"false" });
        self.text.clear();
        Parent { id: &attempt.id, attempt: attempt.number }.append(&mut self.text);
        line(to, "traceparent", self.text.as_bytes());
    }
}

/// Whether the connection that carries it is closed behind it: the next one would not use it.
pub(super) fn closes(post: &Post) -> bool {
    post.delivery == Delivery::AtMostOnce
}

/// Writes by what a target knows that a request is ours.
fn sign(id: &str, signing: &Signing, body: &[u8], now: WallUs, to: &mut Vec<u8>) {
    let second = now.floor().as_secs();
    line(to, "webhook-id", id.as_bytes());
    line(to, "webhook-timestamp", second.to_string().as_bytes());
    line(to, "webhook-signature", signing.sign(id, second, body).as_bytes());
}

/// Writes a header.
fn line(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        to.extend_from_slice(part);
    }
}

/// Writes a header that is a number; small ones cost no memory.
fn number(to: &mut Vec<u8>, name: &str, number: u64) {
    match u8::try_from(number) {
        Ok(digit @ 0..=9) => line(to, name, &[b'0' + digit]),
        Ok(_) | Err(_) => line(to, name, number.to_string().as_bytes()),
    }
}

/// What a target wants to hear as `Host`: the port only where it is not the scheme's own.
pub(super) fn host_value(url: &TargetUrl) -> Result<HeaderValue, String> {
    let (host, own_port) = (url.host(), if url.is_https() { 443 } else { 80 });
    let text = match url.port() {
        port if port != own_port => format!("{host}:{port}"),
        _ => host.to_owned(),
    };
    HeaderValue::from_str(&text).map_err(|_| format!("the host {host:?} cannot be sent as a header"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Class, ExecutionId, Handle, Kind, Seq};
    use crate::job::{Content, JobId, JobKey, SharedPost};

    #[test]
    fn an_execution_id_begins_with_its_job_id() {
        let job = JobId::new(JobKey(42), [0xab; 10]);
        let id = ExecutionId { job, instant: Instant::from_secs(10), kind: Kind::Manual, number: 7 };
        assert_eq!(id.to_string().get(..JOB_ID_LEN), Some(job.to_string().as_str()));
    }

    #[test]
    fn what_is_written_is_what_the_protocol_core_writes() {
        let job = JobId::new(JobKey(42), [0xab; 10]);
        let id = ExecutionId { job, instant: Instant::from_secs(1_767_229_831), kind: Kind::Scheduled, number: 0 };
        let mut heads = Heads::new(HeaderValue::from_static("Punctual/test"));
        for (path, members) in [
            ("/a?b=c", r#""type":"ATLEAST_ONCE""#),
            ("?b", r#""type":"ATMOST_ONCE""#),
            ("", r#""type":"ATLEAST_ONCE","method":"GET""#),
            ("/", r#""type":"ATLEAST_ONCE","method":"PATCH","headers":{"User-Agent":"mine","X-A":"b c"},"body":"x""#),
            ("/", r#""type":"ATLEAST_ONCE","method":"DELETE","headers":{"Content-Type":"a/b"},"body":"<a/>""#),
        ] {
            let text = format!(r#"{{"schedule":"* * * * * *","api":"http://localhost:81{path}",{members}}}"#);
            let definition = serde_json::from_str(&text).unwrap();
            let spec =
                crate::job::JobSpec::compile(&definition, &crate::job::Context::at(Instant::from_secs(0))).unwrap();
            let attempt = Attempt {
                handle: Handle { slot: 0, seq: Seq(1) },
                number: 12,
                id,
                class: Class::Recovered,
                epoch: 77,
                post: SharedPost::Own(std::sync::Arc::new(spec.post)),
            };
            let (errand, mut written) = (Errand::Execution(attempt), Vec::new());
            let body = match errand.post().content() {
                Content::None => None,
                Content::Fixed(body, content_type) => Some((content_type, body)),
                Content::Filled(..) => panic!("nothing is filled in"),
            };
            heads.write(&errand, &HeaderValue::from_static("localhost:81"), body, &mut written);
            assert_eq!(String::from_utf8_lossy(&written), by_the_core(&written, errand.post()));
        }
    }

    /// What the protocol core writes if it is told the headers that are in this.
    fn by_the_core(written: &[u8], post: &Post) -> String {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut read = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head_len) = read.parse(written).unwrap() else { panic!("it is whole") };
        let mut request = http::Request::new(());
        *request.method_mut() = post.method();
        *request.uri_mut() = post.url.path().parse().unwrap();
        let mut call = ureq_proto::client::Call::new(request).unwrap();
        read.headers.iter().for_each(|header| call.header(header.name, header.value).unwrap());
        let mut output = [0; 4_096];
        if head_len < written.len() {
            call.force_send_body();
        }
        let mut call = call.proceed();
        let mut len = call.write(&mut output).unwrap();
        if let Some(ureq_proto::client::SendRequestResult::SendBody(mut call)) = call.proceed().unwrap() {
            len += call.write(&written[head_len..], &mut output[len..]).unwrap().1;
        }
        String::from_utf8_lossy(&output[..len]).into_owned()
    }

    #[test]
    fn the_port_is_named_where_it_is_not_the_schemes_own() {
        for (url, host) in [
            ("http://example.com/a", "example.com"),
            ("http://example.com:80/a", "example.com"),
            ("https://example.com:443", "example.com"),
            ("https://example.com:80", "example.com:80"),
            ("http://[::1]:8080/", "[::1]:8080"),
        ] {
            assert_eq!(host_value(&TargetUrl::parse(url).unwrap()).unwrap(), host, "{url}");
        }
    }
}
