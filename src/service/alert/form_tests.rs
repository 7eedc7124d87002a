//! Owns the tests of what channels get: golden texts, bounds, and that no text of somebody's becomes more than a text.
//! It must not send anything.

use std::sync::Arc;

use super::*;
use crate::channel::ChannelDefinition;
use crate::core::{Acknowledged, Cause, Closed, ExecutionId, Incident, IncidentId, JobLabel, Kind, Message, Subject};
use crate::job::{Content, JobId, JobKey};
use crate::limits::TITLE_LEN_MAX;
use crate::time::Instant;

const AT: WallUs = WallUs(1_764_421_200_123_456);

fn job() -> JobId {
    JobId::new(JobKey(7), [1; 10])
}

fn incident(name: &str) -> Incident {
    let label = JobLabel { name: Some(name.into()), api: "http://a.test/?b&c".into(), schedule: "0 3 * * *".into() };
    let instant = Instant::from_secs(1_764_421_200);
    Incident {
        id: IncidentId(1_764_421_200_123_456),
        cause: Cause::Failing,
        subject: Subject::Job(job()),
        label: Some(Box::new(label)),
        summary: "3 executions in a row failed: the target answered <b>500</b>".into(),
        execution: Some(ExecutionId { job: job(), instant, kind: Kind::Scheduled, number: 0 }),
        opened_at: AT,
        closed: None,
        acknowledged: None,
        messages: 1,
        told: true,
        told_at: Some(AT),
    }
}

fn waiting(incident: Incident, number: u32, event: Event) -> Waiting {
    let message = Message { incident: Arc::new(incident), number, event, at: AT, channels: ["ops".into()].into() };
    Waiting { message: Arc::new(message), attempts: 0 }
}

fn opened(name: &str) -> Waiting {
    waiting(incident(name), 1, Event::Opened)
}

fn over() -> Waiting {
    let closed = Closed { at: AT.plus_us(60_000_000), why: "an execution succeeded".into() };
    let known = Acknowledged { at: AT.plus_us(1_000_000), by: Some("anna".into()), note: Some("on it".into()) };
    let known = Some(Box::new(known));
    waiting(
        Incident { closed: Some(closed), acknowledged: known, messages: 3, ..incident("nightly") },
        3,
        Event::Closed,
    )
}

fn channel(text: &str) -> Channel {
    let definition: ChannelDefinition = serde_json::from_str(text).expect(text);
    Channel::compile(&definition, None, true).expect(text)
}

const WEBHOOK: &str =
    r#"{"kind":"webhook","url":"http://a.test/hook","signingSecret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#;
const SLACK: &str = r#"{"kind":"slack","url":"http://a.test/services/x"}"#;
const NTFY: &str = r#"{"kind":"ntfy","url":"http://a.test/topic","token":"tk_1"}"#;
const EMAIL: &str = r#"{"kind":"email","url":"smtp://localhost","from":"p@a.test","to":["a@b.test"]}"#;

fn posted(definition: &str, messages: &[Waiting]) -> MessageAttempt {
    match parcel(ParcelId::Queued(1), "ops", &channel(definition), messages) {
        Parcel::Post(attempt) => attempt,
        Parcel::Mail(attempt) => panic!("{attempt:?}"),
    }
}

fn mailed(messages: &[Waiting]) -> Letter {
    match parcel(ParcelId::Queued(1), "ops", &channel(EMAIL), messages) {
        Parcel::Mail(attempt) => attempt.letter,
        Parcel::Post(attempt) => panic!("{attempt:?}"),
    }
}

fn body(attempt: &MessageAttempt) -> String {
    assert_eq!(attempt.post.timeout(), Some(ALERT_TIMEOUT));
    match attempt.post.content() {
        Content::Fixed(body, _) => str::from_utf8(body).expect("text").to_owned(),
        other => panic!("{other:?}"),
    }
}

fn slack_text(messages: &[Waiting]) -> String {
    let body: serde_json::Value = serde_json::from_str(&body(&posted(SLACK, messages))).expect("JSON");
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1));
    body["text"].as_str().expect("a text").to_owned()
}

fn header(attempt: &MessageAttempt, name: &str) -> String {
    let (_, value) = attempt.post.headers().find(|(other, _)| *other == name).expect(name);
    value.to_str().expect("ASCII").to_owned()
}

#[test]
fn a_webhook_gets_the_whole_incident_as_a_standard_webhook() {
    let attempt = posted(WEBHOOK, &[over()]);
    assert_eq!(&*attempt.key, "1764421200123456.3.ops");
    assert!(attempt.post.signing().is_some());
    let execution = incident("nightly").execution.expect("it has one");
    let job = job();
    let expected = format!(
        "{{\"type\":\"incident.closed\",\"timestamp\":\"2025-11-29T13:00:00.123Z\",\"data\":{{\
         \"messageId\":\"1764421200123456.3.ops\",\"number\":3,\"event\":\"CLOSED\",\"incidentId\":\"1764421200123456\",\
         \"cause\":\"FAILING\",\"state\":\"CLOSED\",\
         \"summary\":\"3 executions in a row failed: the target answered <b>500</b>\",\
         \"jobId\":\"{job}\",\"jobName\":\"nightly\",\"api\":\"http://a.test/?b&c\",\"schedule\":\"0 3 * * *\",\
         \"executionId\":\"{execution}\",\"openedAt\":\"2025-11-29T13:00:00.123Z\",\
         \"closedAt\":\"2025-11-29T13:01:00.123Z\",\"closedBecause\":\"an execution succeeded\",\
         \"acknowledged\":{{\"at\":\"2025-11-29T13:00:01.123Z\",\"by\":\"anna\",\"note\":\"on it\"}},\
         \"told\":true,\"lastToldAt\":\"2025-11-29T13:00:00.123Z\",\"messageCount\":3}}}}"
    );
    assert_eq!(body(&attempt), expected);
    let target =
        Incident { subject: Subject::Target("http://a.test:80".into()), label: None, execution: None, ..incident("") };
    let body = body(&posted(WEBHOOK, &[waiting(target, 2, Event::Reminded)]));
    assert!(
        body.starts_with("{\"type\":\"incident.reminded\",") && body.contains("\"target\":\"http://a.test:80\""),
        "{body}"
    );
    assert!(!body.contains("jobId") && !body.contains("null"), "{body}");
}

#[test]
fn people_read_what_is_wrong_with_what_since_when() {
    let text = format!(
        "3 executions in a row failed: the target answered <b>500</b>\nJob: {}\nURL: http://a.test/?b&c\n\
         Schedule: 0 3 * * *\nExecution: {}\nSince: 2025-11-29T13:00:00.123Z\n\
         Over since: 2025-11-29T13:01:00.123Z: an execution succeeded\n\
         Acknowledged: 2025-11-29T13:00:01.123Z by anna: on it\nIncident: 1764421200123456",
        job(),
        incident("").execution.expect("it has one")
    );
    let letter = mailed(&[over()]);
    assert_eq!((letter.subject.as_str(), letter.text.as_str()), ("Over: FAILING: nightly", text.as_str()));
    assert_eq!(letter.follows.as_deref(), Some("1764421200123456.1.ops"));
    assert_eq!((&*mailed(&[opened("x")]).key, mailed(&[opened("x")]).follows), ("1764421200123456.1.ops", None));
    let escaped = text.replace("&c", "&amp;c").replace("<b>500</b>", "&lt;b&gt;500&lt;/b&gt;");
    assert_eq!(slack_text(&[over()]), format!("*Over: FAILING: nightly*\n{escaped}"));
    let ntfy = posted(NTFY, &[over()]);
    assert_eq!(body(&ntfy), text);
    assert!(matches!(ntfy.post.content(), Content::Fixed(_, "text/plain; charset=utf-8")));
    let told = ["title", "priority", "tags", "authorization"].map(|name| header(&ntfy, name));
    assert_eq!(told, ["Over: FAILING: nightly", "3", "information_source", "Bearer tk_1"]);
    assert_eq!(header(&posted(NTFY, &[opened("x")]), "priority"), "5");
}

#[test]
fn a_digest_names_some_and_counts_all_within_what_each_channel_takes() {
    let long = "\u{fc}<&".repeat(400);
    let mut many: Vec<Waiting> = (0..120).map(|_| opened(&long)).collect();
    many.push(over());
    let letter = mailed(&many);
    assert_eq!(letter.subject, "121 alerts: 120 opened, 1 over");
    assert_eq!(letter.text.lines().count(), 51);
    assert!(letter.text.ends_with("\n... and 71 more"));
    let slack = slack_text(&many);
    assert!(slack.chars().count() <= 2_000, "{}", slack.chars().count());
    let shown = slack.lines().count() - 2;
    assert!(shown > 0 && slack.ends_with(&format!("... and {} more", 121 - shown)), "{slack}");
    let ntfy = body(&posted(NTFY, &many));
    assert!(ntfy.len() <= 4_096 && ntfy.contains(" more"), "{}", ntfy.len());
    let webhook = posted(WEBHOOK, &many);
    assert_eq!(&*webhook.key, "digest.1764421200123456.1.ops.121");
}

#[test]
fn a_text_of_somebodys_becomes_no_header_no_link_no_call_and_no_line() {
    let evil = "a\r\nX-Evil: 1\n\n<!channel> <http://evil.test|click> @everyone *x*\u{2028}\0";
    let mut bad = incident(evil);
    bad.summary = evil.into();
    let one = waiting(bad, 1, Event::Opened);
    for messages in [vec![one.clone()], vec![one.clone(), one]] {
        let ntfy = posted(NTFY, &messages);
        let title = header(&ntfy, "title");
        assert!(!title.contains(['\r', '\n']), "{title}");
        assert_eq!(ntfy.post.headers().count(), 4);
        let letter = mailed(&messages);
        assert!(!letter.subject.contains(['\r', '\n', '\0', '\u{2028}']), "{:?}", letter.subject);
        let slack = slack_text(&messages);
        assert!(!slack.contains('<') && !slack.contains('>') && !slack.contains("@everyone"), "{slack}");
        for text in [&letter.text, &slack, &body(&ntfy)] {
            assert!(text.lines().all(|line| !line.starts_with("X-Evil") && !line.is_empty()), "{text}");
        }
    }
    // What is not ASCII is said in words that are.
    let title = header(&posted(NTFY, &[opened("f\u{fc}r")]), "title");
    assert_eq!(title, "=?UTF-8?B?RkFJTElORzogZsO8cg==?=");
    let long = mailed(&[opened(&"x".repeat(1_000))]).subject;
    assert_eq!(long.chars().count(), TITLE_LEN_MAX);
}

#[test]
fn a_test_says_that_it_works_in_every_form() {
    for (definition, shown) in [
        (
            WEBHOOK,
            r#"{"type":"channel.test","timestamp":"2025-11-29T13:00:00.123Z","data":{"channel":"ops","text":"It works: alerts of Punctual arrive here."}}"#,
        ),
        (SLACK, r#"{"text":"*Test of the channel ops*\nIt works: alerts of Punctual arrive here."}"#),
        (NTFY, "It works: alerts of Punctual arrive here."),
    ] {
        let parcel = test(ParcelId::Queued(1), "ops", &channel(definition), AT);
        let Parcel::Post(attempt) = parcel else { panic!("{parcel:?}") };
        assert_eq!((body(&attempt).as_str(), &*attempt.key), (shown, "test.1764421200123456.ops"));
    }
    let parcel = test(ParcelId::Queued(1), "ops", &channel(EMAIL), AT);
    let Parcel::Mail(MailAttempt { letter, .. }) = parcel else { panic!("{parcel:?}") };
    assert_eq!(letter.subject, "Test of the channel ops");
}
