//! Owns what programs read of messages: the JSON of a webhook, as Standard Webhooks has it.
//! It must not send it.

use serde::Serialize;

use super::line::Waiting;
use crate::core::{Event, Incident, JobLabel, Message, Subject};
use crate::limits::DIGEST_SHOWN_MAX;
use crate::time::WallUs;

/// The body of a POST.
#[derive(Serialize)]
struct Body<D> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Digest<'a> {
    message_ids: Vec<String>,
    count: usize,
    messages: Vec<Single<'a>>,
}

#[derive(Serialize)]
struct Test<'a> {
    channel: &'a str,
    text: &'static str,
}

/// A message with its incident.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Single<'a> {
    message_id: String,
    number: u32,
    event: &'static str,
    incident_id: String,
    cause: &'static str,
    state: &'static str,
    summary: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_id: Option<String>,
    opened_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_because: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<Known<'a>>,
    told: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_told_at: Option<String>,
    message_count: u32,
}

#[derive(Serialize)]
struct Known<'a> {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// What names a message on a channel.
pub(super) fn message_id(message: &Message, channel: &str) -> String {
    format!("{}.{}.{channel}", message.incident.id, message.number)
}

/// The same of one, or of those of a digest.
pub(super) fn parcel_key(messages: &[Waiting], channel: &str) -> String {
    match messages {
        [] => String::new(),
        [one] => message_id(&one.message, channel),
        [first, ..] => format!("digest.{}.{}", message_id(&first.message, channel), messages.len()),
    }
}

/// What a webhook is told of these messages.
pub(super) fn json(messages: &[Waiting], channel: &str) -> String {
    let newest = messages.iter().map(|waiting| waiting.message.at).max().unwrap_or(WallUs(0));
    match messages {
        [one] => {
            let kind = match one.message.event {
                Event::Opened => "incident.opened",
                Event::Reminded => "incident.reminded",
                Event::Closed => "incident.closed",
            };
            body(kind, newest, single(&one.message, channel))
        }
        many => {
            let message_ids = many.iter().map(|waiting| message_id(&waiting.message, channel)).collect();
            let shown = many.iter().take(DIGEST_SHOWN_MAX).map(|waiting| single(&waiting.message, channel));
            let digest = Digest { message_ids, count: many.len(), messages: shown.collect() };
            body("incident.digest", newest, digest)
        }
    }
}

/// What it is told to show that it works.
pub(super) fn test_json(channel: &str, now: WallUs) -> String {
    body("channel.test", now, Test { channel, text: "It works: alerts of Punctual arrive here." })
}

fn body(kind: &'static str, at: WallUs, data: impl Serialize) -> String {
    let body = Body { kind, timestamp: at.to_string(), data };
    serde_json::to_string(&body).expect("texts and numbers can be written as JSON")
}

fn single<'a>(message: &'a Message, channel: &str) -> Single<'a> {
    let Message { incident, number, event, at: _, channels: _ } = message;
    let Incident {
        id,
        cause,
        subject,
        label,
        summary,
        execution,
        opened_at,
        closed,
        acknowledged,
        messages,
        told,
        told_at,
    } = &**incident;
    let (job_id, target) = match subject {
        Subject::Job(id) => (Some(id.to_string()), None),
        Subject::Target(name) => (None, Some(&**name)),
        Subject::Server => (None, None),
    };
    let label: Option<&JobLabel> = label.as_deref();
    let known = acknowledged.as_deref();
    Single {
        message_id: message_id(message, channel),
        number: *number,
        event: event.name(),
        incident_id: id.to_string(),
        cause: cause.name(),
        state: if closed.is_some() { "CLOSED" } else { "OPEN" },
        summary,
        job_id,
        job_name: label.and_then(|label| label.name.as_deref()),
        api: label.map(|label| &*label.api),
        schedule: label.map(|label| &*label.schedule),
        target,
        execution_id: execution.as_ref().map(ToString::to_string),
        opened_at: opened_at.to_string(),
        closed_at: closed.as_ref().map(|closed| closed.at.to_string()),
        closed_because: closed.as_ref().map(|closed| &*closed.why),
        acknowledged: known.map(|known| Known {
            at: known.at.to_string(),
            by: known.by.as_deref(),
            note: known.note.as_deref(),
        }),
        told: *told,
        last_told_at: told_at.map(|at| at.to_string()),
        message_count: *messages,
    }
}
