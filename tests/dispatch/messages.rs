//! Messages of channels on their way over real connections: what receivers get and can verify, what is told of refusals,
//! and that a channel that hangs, one that refuses and one that floods cost nobody else anything.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use punctual::alert::{Channels, Parcel};
use punctual::channel::Channel;
use punctual::core::{Cause, Errand, ErrandReport, Event, Incident, IncidentId, Message, Outcome, RequestId, Subject};
use punctual::dispatch::DispatchSettings;
use punctual::store::AlertState;
use punctual::time::{MonoUs, Now, WallUs};
use sha2::Sha256;

use super::support::{OK, Sending, Target, attempt, settings};

const AT: Now = Now { wall: WallUs(1_767_229_831_000_000), mono: MonoUs(0) };

fn message(id: u64, channels: &[&str]) -> Message {
    let incident = Incident {
        id: IncidentId(id),
        cause: Cause::StoreFailing,
        subject: Subject::Server,
        label: None,
        summary: "the disk is full".into(),
        execution: None,
        opened_at: AT.wall,
        closed: None,
        acknowledged: None,
        messages: 1,
        told: true,
        told_at: Some(AT.wall),
    };
    let channels = channels.iter().map(|&name| name.into()).collect();
    Message { incident: Arc::new(incident), number: 1, event: Event::Opened, at: AT.wall, channels }
}

fn channel(kind: &str, url: &str, members: &str) -> Arc<Channel> {
    let definition = format!(r#"{{"kind":"{kind}","url":"{url}"{members}}}"#);
    let definition = serde_json::from_str(&definition).expect(&definition);
    Arc::new(Channel::compile(&definition, None, true).expect("a channel"))
}

/// Channels with their queues, sent by a pool.
struct Telling {
    sending: Sending,
    queues: Channels,
    channels: Vec<(&'static str, Arc<Channel>)>,
}

impl Telling {
    fn new(settings: DispatchSettings, channels: Vec<(&'static str, Arc<Channel>)>) -> Telling {
        Telling { sending: Sending::new(settings), queues: Channels::default(), channels }
    }

    /// Hands over what is due; how much that is.
    fn flush(&mut self) -> usize {
        let mut errands = Vec::new();
        let find = |name: &str| self.channels.iter().find(|(known, _)| *known == name).map(|(_, of)| Arc::clone(of));
        while let Some(parcel) = self.queues.next_parcel(AT.mono, find) {
            match parcel {
                Parcel::Post(attempt) => errands.push(Errand::Message(attempt)),
                Parcel::Mail(attempt) => panic!("{attempt:?}"),
            }
        }
        let count = errands.len();
        self.sending.pool.send(errands);
        count
    }

    /// Takes in so many reports. Those of jobs are returned.
    fn take(&mut self, count: usize) -> Vec<Outcome> {
        let mut of_jobs = Vec::new();
        for report in self.sending.any_reports(count) {
            match report {
                ErrandReport::Message(report) => self.queues.report(report, AT),
                ErrandReport::Execution(report) => of_jobs.push(report.outcome),
                other @ (ErrandReport::Alert(_) | ErrandReport::Trial(_)) => panic!("{other:?}"),
            }
        }
        of_jobs
    }
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = request.split_once("\r\n\r\n").expect("a head");
    head.lines().find_map(|line| line.split_once(": ").filter(|(other, _)| *other == name)).map(|(_, value)| value)
}

#[test]
fn a_receiver_knows_a_message_by_its_id_and_can_verify_whose_it_is() {
    const KEY: &[u8] =
        b"\x31\xf2\x90\xf6\xbf\x06\x29\x8a\x93\xab\x4b\xa6\x2d\x2c\x8f\x4d\xd8\x7f\x3a\x51\x10\x44\x92\x07";
    let secret = r#","signingSecret":"whsec_MfKQ9r8GKYqTq0umLSyPTdh/OlEQRJIH""#;
    let target = Target::answering(OK);
    let channels =
        vec![("ops", channel("webhook", &target.url(), secret)), ("bare", channel("slack", &target.url(), ""))];
    let mut telling = Telling::new(settings(), channels);
    telling.queues.tell(&message(17, &["ops", "bare"]), AT.mono);
    assert_eq!(telling.flush(), 2);
    telling.take(2);
    let requests: Vec<String> = target.requests.iter().take(2).collect();
    let (signed, bare) = if requests[0].contains("webhook-id") { (0, 1) } else { (1, 0) };
    let (signed, bare) = (&requests[signed], &requests[bare]);
    for name in ["idempotency-key", "webhook-id"] {
        assert_eq!(header(signed, name), Some("17.1.ops"));
    }
    let (_, body) = signed.split_once("\r\n\r\n").expect("a body");
    assert!(body.starts_with("{\"type\":\"incident.opened\","), "{body}");
    let second = header(signed, "webhook-timestamp").expect("a time");
    let given = header(signed, "webhook-signature").and_then(|text| text.strip_prefix("v1,")).expect("a signature");
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).expect("any length will do");
    mac.update(format!("17.1.ops.{second}.{body}").as_bytes());
    assert_eq!(decoded(given), mac.finalize().into_bytes().to_vec());
    assert_eq!((header(bare, "idempotency-key"), header(bare, "webhook-id")), (Some("17.1.bare"), None));
    assert!(bare.ends_with("{\"text\":\"*STORE_FAILING: this server*\\nthe disk is full\\nSince: 2026-01-01T01:10:31.000Z\\nIncident: 17\"}"), "{bare}");
    assert!(telling.queues.take_deliveries().iter().all(|of| of.state == AlertState::Delivered));
}

/// Base64, by another implementation than the server's.
fn decoded(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=').bytes();
    let bits = digits.map(|byte| alphabet.iter().position(|&other| other == byte).expect("a digit") as u32);
    let bits: Vec<bool> = bits.flat_map(|digit| (0..6).rev().map(move |place| digit >> place & 1 == 1)).collect();
    bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, &bit| sum << 1 | u8::from(bit))).collect()
}

#[test]
fn what_a_channel_refuses_is_told_in_its_words_without_the_token_it_repeats() {
    let answer =
        b"HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: 25\r\n\r\nno: tk_planted is unknown";
    let target = Target::closing_after(answer);
    let channels = vec![("phone", channel("ntfy", &target.url(), r#","token":"tk_planted""#))];
    let mut telling = Telling::new(settings(), channels);
    telling.queues.tell(&message(17, &["phone"]), AT.mono);
    telling.flush();
    telling.take(1);
    let request = target.requests.recv().expect("a request");
    for (name, value) in [
        ("title", "STORE_FAILING: this server"),
        ("priority", "5"),
        ("content-type", "text/plain; charset=utf-8"),
        ("authorization", "Bearer tk_planted"),
    ] {
        assert_eq!(header(&request, name), Some(value));
    }
    let told = telling.queues.take_deliveries().remove(0);
    assert_eq!((told.state, told.attempts), (AlertState::Pending, 1));
    assert_eq!(told.error.as_deref(), Some("the channel answered 403: no: *** is unknown"));
}

#[test]
fn channels_lead_where_requests_may_go_and_nowhere_else() {
    let target = Target::answering(OK);
    let ops = channel("webhook", &target.url(), "");
    let settings = DispatchSettings { targets: "public".parse().expect("a list"), ..settings() };
    let mut telling = Telling::new(settings, vec![("ops", Arc::clone(&ops))]);
    telling.queues.tell(&message(17, &["ops"]), AT.mono);
    telling.flush();
    telling.take(1);
    let why = telling.queues.health("ops").error.expect("it is refused");
    assert!(why.contains("--targets public does not allow it"), "{why}");
    // A test is refused the same way.
    let parcel = telling.queues.test(RequestId(5), "ops", &ops, AT.wall).expect("there is room");
    let Parcel::Post(attempt) = parcel else { panic!("{parcel:?}") };
    telling.sending.pool.send([attempt]);
    telling.take(1);
    assert_eq!(telling.queues.take_tests(), [(RequestId(5), Err(why))]);
    assert!(target.requests.is_empty());
}

#[test]
fn a_channel_that_hangs_one_that_refuses_and_one_that_floods_cost_nobody_else_anything() {
    let hanging = Target::new(|_, connection| {
        connection.request();
        // It answers nothing, until the other side gives it up.
        while connection.request() {}
    });
    let refusing = Target::answering(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
    let good = Target::answering(OK);
    let channels = vec![
        ("hangs", channel("webhook", &hanging.url(), "")),
        ("refuses", channel("slack", &refusing.url(), "")),
        ("floods", channel("webhook", &good.url(), "")),
        ("good", channel("ntfy", &good.url(), "")),
    ];
    let mut telling = Telling::new(settings(), channels);
    for id in 0..1_000 {
        telling.queues.tell(&message(id, &["hangs", "refuses", "floods"]), AT.mono);
    }
    telling.queues.tell(&message(1_000, &["hangs", "refuses", "floods", "good"]), AT.mono);
    // What hangs is under way all the time. Everything else comes to its end, jobs among it.
    assert_eq!(telling.flush(), 4);
    telling.sending.pool.send((0..100).map(|number| attempt(&good.url(), number)).collect::<Vec<_>>());
    let mut of_jobs = Vec::new();
    while of_jobs.len() < 100
        || telling.queues.counts("floods").delivered < 5
        || telling.queues.counts("good").delivered < 1
        || telling.queues.counts("refuses").retried < 1
    {
        of_jobs.extend(telling.take(1));
        telling.flush();
    }
    assert!(of_jobs.iter().all(|outcome| *outcome == Outcome::Answered(200)), "{of_jobs:?}");
    assert_eq!(telling.flush(), 0, "the rest of the flood gathers");
    let waiting = ["hangs", "refuses", "floods", "good"].map(|name| telling.queues.waiting(name));
    assert_eq!(waiting, [1_001, 1_001, 996, 0]);
    assert_eq!(telling.queues.health("refuses").error.as_deref(), Some("the channel answered 500"));
    assert!(
        telling.queues.deadline().is_some_and(|by| by <= AT.mono.plus(Duration::from_secs(2))),
        "it is tried again"
    );
}
