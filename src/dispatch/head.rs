//! Owns what every POST says in its head: its headers, and the values an errand gives them.
//! It must not send anything.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Uri};
use ureq_proto::client::Call;
use ureq_proto::client::state::Prepare;

use super::trace::Parent;
use crate::clock;
use crate::core::{Attempt, Errand};
use crate::job::{Delivery, Placeholder, Post, Signing, Template};
use crate::limits::POST_LEN_MAX;
use crate::time::{Instant, WallUs};

/// How long the text of a job id is.
const JOB_ID_LEN: usize = 36;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const JOB_ID: HeaderName = HeaderName::from_static("punctual-job-id");
const SCHEDULED_TIME: HeaderName = HeaderName::from_static("punctual-scheduled-time");
const ATTEMPT: HeaderName = HeaderName::from_static("punctual-attempt");
const LATE: HeaderName = HeaderName::from_static("punctual-late");
/// Told where there are several nodes. One that was taken for dead and does not know it sends an older one.
const EPOCH: HeaderName = HeaderName::from_static("punctual-epoch");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes requests. Values that rarely differ from one attempt to the next are kept.
#[derive(Debug)]
pub(super) struct Heads {
    user_agent: HeaderValue,
    /// The instant last written, and its text.
    instant: Option<(Instant, HeaderValue)>,
    text: String,
}

impl Heads {
    pub(super) fn new(user_agent: HeaderValue) -> Heads {
        Heads { user_agent, instant: None, text: String::new() }
    }

    /// The request that an errand makes of this host, with a body of this type.
    pub(super) fn request(
        &mut self,
        errand: &Errand,
        host: &HeaderValue,
        body: Option<(&'static str, &[u8])>,
    ) -> Result<Call<Prepare>, String> {
        let post = errand.post();
        let mut request = Request::new(());
        *request.method_mut() = post.method();
        // The path is all that is sent of the URL: the host goes into its header.
        let path = post.url.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        let mut call = Call::new(request).map_err(|error| error.to_string())?;
        let mut own = post.headers().map(|(name, _)| name);
        add(&mut call, [(HOST, host.clone())])?;
        if !own.any(|name| *name == USER_AGENT) {
            add(&mut call, [(USER_AGENT, self.user_agent.clone())])?;
        }
        if let Some((content_type, body)) = body {
            if !post.headers().any(|(name, _)| *name == CONTENT_TYPE) {
                add(&mut call, [(CONTENT_TYPE, HeaderValue::from_static(content_type))])?;
            }
            add(&mut call, [(CONTENT_LENGTH, count(body.len()))])?;
            // Some methods have none unless it is insisted on.
            call.force_send_body();
        }
        match errand {
            Errand::Execution(attempt) | Errand::Trial(attempt) => {
                add(&mut call, self.execution(attempt))?;
                if attempt.epoch > 0 {
                    add(&mut call, [(EPOCH, count(attempt.epoch as usize))])?;
                }
                if let Some(signing) = post.signing() {
                    let body = body.map(|(_, body)| body).unwrap_or_default();
                    add(&mut call, signature(&attempt.id.to_string(), signing, body, clock::now().wall)?)?;
                }
            }
            Errand::Message(message) => {
                add(&mut call, [(IDEMPOTENCY_KEY, header(&message.key)?)])?;
                if let Some(signing) = post.signing() {
                    let body = body.map(|(_, body)| body).unwrap_or_default();
                    add(&mut call, signature(&message.key, signing, body, clock::now().wall)?)?;
                }
            }
            // What an alert tells stands in its body.
            Errand::Alert(_) => {}
        }
        if post.delivery == Delivery::AtMostOnce {
            // The next one would not use this connection.
            add(&mut call, [(CONNECTION, HeaderValue::from_static("close"))])?;
        }
        post.headers().try_for_each(|(name, value)| add(&mut call, [(name.clone(), value.clone())]))?;
        Ok(call)
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
    fn execution(&mut self, attempt: &Attempt) -> [(HeaderName, HeaderValue); 6] {
        // All in one piece of memory.
        self.text.clear();
        write!(self.text, "{}", attempt.id).expect("a string takes any text");
        let id_len = self.text.len();
        Parent { id: &attempt.id, attempt: attempt.number }.append(&mut self.text);
        let text = Bytes::copy_from_slice(self.text.as_bytes());
        // An execution's id begins with its job's.
        let (key, job, trace) = (text.slice(..id_len), value(text.slice(..JOB_ID_LEN)), text.slice(id_len..));
        let late = HeaderValue::from_static(if attempt.is_late() { "true" } else { "false" });
        [
            (IDEMPOTENCY_KEY, value(key)),
            (JOB_ID, job),
            (SCHEDULED_TIME, self.instant(attempt.id.instant)),
            (ATTEMPT, count(attempt.number as usize)),
            (LATE, late),
            (TRACE_PARENT, value(trace)),
        ]
    }

    fn instant(&mut self, instant: Instant) -> HeaderValue {
        if let Some((known, value)) = &self.instant
            && *known == instant
        {
            return value.clone();
        }
        let value = value(self.text(&WallUs::of(instant)));
        self.instant = Some((instant, value.clone()));
        value
    }

    fn text(&mut self, shown: &impl std::fmt::Display) -> Bytes {
        self.text.clear();
        write!(self.text, "{shown}").expect("a string takes any text");
        Bytes::copy_from_slice(self.text.as_bytes())
    }
}

/// How long a head may become: the URL, what every request says, and what this job adds.
pub(super) fn len_max(post: &Post) -> usize {
    POST_LEN_MAX + post.headers().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>()
}

/// By which a target knows that a request is ours.
fn signature(id: &str, signing: &Signing, body: &[u8], now: WallUs) -> Result<[(HeaderName, HeaderValue); 3], String> {
    let second = now.floor().as_secs();
    let signature = signing.sign(id, second, body);
    Ok([(WEBHOOK_ID, header(id)?), (WEBHOOK_TIMESTAMP, second.into()), (WEBHOOK_SIGNATURE, header(&signature)?)])
}

fn header(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|error| error.to_string())
}

fn add<const N: usize>(call: &mut Call<Prepare>, headers: [(HeaderName, HeaderValue); N]) -> Result<(), String> {
    headers.into_iter().try_for_each(|(name, value)| call.header(name, value).map_err(|error| error.to_string()))
}

/// A number as a header; the usual ones cost no memory.
fn count(number: usize) -> HeaderValue {
    match number {
        1 => HeaderValue::from_static("1"),
        2 => HeaderValue::from_static("2"),
        other => other.into(),
    }
}

fn value(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("ids, traces and instants are printable ASCII")
}

/// What a target wants to hear as `Host`: the port only where it is not the scheme's own.
pub(super) fn host_value(uri: &Uri) -> Result<HeaderValue, String> {
    let host = uri.host().unwrap_or_default();
    let own_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let text = match uri.port_u16() {
        Some(port) if port != own_port => format!("{host}:{port}"),
        Some(_) | None => host.to_owned(),
    };
    HeaderValue::from_str(&text).map_err(|_| format!("the host {host:?} cannot be sent as a header"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ExecutionId, Kind};
    use crate::job::{JobId, JobKey};

    #[test]
    fn an_execution_id_begins_with_its_job_id() {
        let job = JobId::new(JobKey(42), [0xab; 10]);
        let id = ExecutionId { job, instant: Instant::from_secs(10), kind: Kind::Manual, number: 7 };
        assert_eq!(id.to_string().get(..JOB_ID_LEN), Some(job.to_string().as_str()));
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
            assert_eq!(host_value(&url.parse().unwrap()).unwrap(), host, "{url}");
        }
    }
}
