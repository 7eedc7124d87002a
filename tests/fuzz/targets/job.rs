//! Owns the properties of what clients say a job is: what is accepted reads back equal, from an answer, from the store and
//! from an export, and a patch changes what it names.
//! It must not keep anything.

use std::collections::BTreeMap;

use punctual::api::{Batch, Call, Lines, Wanted, job};
use punctual::core::{Action, JobView};
use punctual::http::Method;
use punctual::job::{Context, Definition, JobSpec, Secret};
use punctual::schedule::Zone;
use serde_json::Value;
use serde_json::value::RawValue;

use super::support::{LEN_MAX, body, context, job_id, request, routed, view, view_of};

/// A body; behind a line of `---` patches, each up to the next such line.
pub fn check(data: &[u8]) {
    let data = &data[..data.len().min(LEN_MAX)];
    let mut parts = split(data).into_iter();
    let text = parts.next().unwrap_or_default();
    let created = create(text);
    check_batch(text, created.as_ref());
    let Some(mut spec) = created else { return };
    if spec.inherit_secrets(None).is_err() {
        return;
    }
    let view = view_of(spec);
    check_kept(&view);
    check_answer(text, &view);
    check_put(&view);
    let same = patch(&view, b"{}").expect("to change nothing is no mistake");
    assert!(same.revision.spec.says_what(&view.revision.spec), "{view:?}");
    for text in parts.take(4) {
        let Some(patched) = patch(&view, text) else { continue };
        check_kept(&patched);
        check_put(&patched);
        // What it is to be does not depend on how often that is said; but what is drawn or counted from now.
        let again = patch(&patched, text).expect("what was right is right again");
        assert!(again.revision.spec.says_what(&patched.revision.spec), "{}: {patched:?}, {again:?}", show(text));
    }
}

fn show(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// The parts between lines of `---`.
fn split(data: &[u8]) -> Vec<&[u8]> {
    let (mut parts, mut rest) = (Vec::new(), data);
    while let Some(place) = rest.windows(5).position(|window| window == b"\n---\n") {
        parts.push(&rest[..place]);
        rest = &rest[place + 5..];
    }
    parts.push(rest);
    parts
}

/// What a body makes, if it is accepted.
fn create(text: &[u8]) -> Option<JobSpec> {
    match routed(&request(Method::Post, "/api/jobs", "", text.to_vec())).map(|routed| routed.call) {
        Ok(Call::Create(spec)) => Some(spec),
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert_eq!(error.status.code(), 400, "{}: {}", show(text), error.message);
            None
        }
    }
}

/// In a line of a batch it is the same.
fn check_batch(text: &[u8], created: Option<&JobSpec>) {
    // Line ends stand between tokens, or it is no JSON.
    let line: Vec<u8> = text.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect();
    let is_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok();
    if created.is_none() && is_json(&line) != is_json(text) {
        return;
    }
    let mut batch = Batch::new(Lines::Changes, false, [b"{\"create\":", &line[..], b"}"].concat());
    batch.split(usize::MAX).and_then(|()| batch.end_split()).expect("there is a line");
    let read = batch.read(&context()).and_then(|(_, wanted)| wanted);
    match (read, created) {
        (None, None) => {}
        (Some(Wanted::Job(spec, None)), Some(created)) => assert_eq!(&*spec, created, "{}", show(text)),
        // What is no object by itself may become one there.
        (Some(Wanted::Job(..)), None) if !is_json(text) => {}
        (read, created) => panic!("{}: {created:?}, in a batch {read:?}", show(text)),
    }
}

/// The store gives back what it was given: a definition as text, and secrets by their names.
fn check_kept(view: &JobView) {
    let spec = &view.revision.spec;
    let text = serde_json::to_string(&Definition::from(spec)).expect("a definition has string keys");
    let secrets: BTreeMap<String, String> =
        spec.secrets().map(|(name, secret)| (name, secret.expose().to_owned())).collect();
    let definition: Definition = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
    let context = Context { zone: None, seed: None, anchor: view.revision.anchor, ..context() };
    let mut again = JobSpec::compile(&definition, &context).unwrap_or_else(|why| panic!("{text}: {why}"));
    let found = again.find_secrets(|name| secrets.get(name).map(|text| Secret::new(text.clone())));
    found.unwrap_or_else(|why| panic!("{text}: {why}"));
    assert!(again.says_what(spec) && again.plain().says_what(spec), "{text}: {again:?}, {spec:?}");
    assert_eq!(again.schedule, spec.schedule, "{text}");
    assert_eq!(again.post, spec.post, "{text}");
    assert_eq!(Definition::from(&again), definition, "{text}");
    assert!(context.zones.is_some() && spec.schedule.zone() == Zone::UTC || definition.time_zone.is_some(), "{text}");
}

/// Members that are answered in one form, however they were written.
const FORMED: [&str; 13] = [
    "alerts",
    "runAt",
    "runAfterMs",
    "schedule",
    "startsAt",
    "endsAt",
    "excludeDates",
    "excludeCalendars",
    "dst",
    "active",
    "api",
    "timeZone",
    "success",
];
/// Members with secrets in them.
const SECRET: [&str; 3] = ["auth", "secretHeaders", "signingSecret"];

/// The answer has what was written, and no secret.
fn check_answer(text: &[u8], view: &JobView) {
    let answer = answered(view);
    let written: Members = serde_json::from_slice(text).expect("it was accepted");
    for (name, value) in &written {
        let is_null = value.get() == "null";
        if FORMED.contains(&name.as_str()) || SECRET.contains(&name.as_str()) || is_null && name != "json" {
            continue;
        }
        // A number may be one that this does not read.
        let Ok(value) = serde_json::from_str::<Value>(value.get()) else { continue };
        let told =
            answer.get(name).map(|told| serde_json::from_str(told.get()).expect("it was read as it was written"));
        let told: Value = told.unwrap_or_default();
        assert!(is_same(&value, &told), "{name} of {}: {told}", show(text));
    }
    let told = serde_json::to_string(&answer).expect("it has string keys");
    for (name, secret) in view.revision.spec.secrets() {
        let secret = secret.expose();
        // A short one, or one that stands elsewhere as well, is found by chance.
        if secret.len() >= 12 && show(text).matches(secret).count() == 1 {
            assert!(!told.contains(secret), "{name}: {told}");
        }
    }
}

/// Whether a value was taken over; what goes without saying may be left out, and an order that means nothing be another.
fn is_same(written: &Value, told: &Value) -> bool {
    match (written, told) {
        // Factors are kept in thousandths.
        (Value::Number(one), Value::Number(other)) => {
            let apart = |one: f64, other: f64| (one - other).abs();
            one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| apart(one, other) < 0.000_501)
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_there = |(name, value): (&String, &Value)| match other.get(name) {
                Some(told) => is_same(value, told),
                None => value.is_null() || other.keys().any(|known| known.eq_ignore_ascii_case(name)),
            };
            one.iter().all(is_there)
        }
        (Value::Array(one), Value::Array(other)) => {
            let is_told = |value: &Value| other.iter().any(|told| is_same(value, told) || is_within(value, told));
            other.len() <= one.len() && one.iter().all(is_told) || one.is_empty()
        }
        (Value::Object(one), Value::Null) => one.values().all(Value::is_null),
        (Value::Array(one), Value::Null) => one.is_empty(),
        // A rate may be written with zeros before its number.
        (Value::String(one), Value::String(other)) => {
            one == other || one.trim_start_matches('0') == other && other.contains('/')
        }
        // A status may be written as a text, and is answered as a number.
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        // What holds without being said is not said.
        (Value::String(text), Value::Null) => ["allow", "POST", "first", "run_after"].contains(&text.as_str()),
        (one, other) => one == other,
    }
}

/// Whether these are statuses, the first of them among the second: sets of them are told as ranges that do not touch.
fn is_within(one: &Value, other: &Value) -> bool {
    let range = |value: &Value| match value {
        Value::Number(status) => status.as_u64().map(|status| (status, status)),
        Value::String(text) => match text.to_ascii_lowercase().strip_suffix("xx") {
            Some(class) => class.parse().ok().map(|class: u64| (class * 100, class * 100 + 99)),
            None => {
                let (from, to) = text.split_once('-').unwrap_or((text, text));
                from.trim().parse().ok().zip(to.trim().parse().ok())
            }
        },
        _ => None,
    };
    range(one).zip(range(other)).is_some_and(|(one, other)| other.0 <= one.0 && one.1 <= other.1)
}

/// The members of an object, each as its text.
type Members = BTreeMap<String, Box<RawValue>>;

/// The answer with a job.
fn answered(view: &JobView) -> Members {
    serde_json::from_slice(body(&job(view))).expect("it is an object")
}

/// What an answer says of a job can be sent in its place, and changes nothing.
fn check_put(view: &JobView) {
    let mut written = answered(view);
    for told in ["jobId", "createdAt", "updatedAt", "nextExecution", "held", "paused", "stats", "lastOutcome"] {
        written.remove(told);
    }
    let spec = &view.revision.spec;
    let text = serde_json::to_string(&written).expect("it has string keys");
    let put = request(Method::Put, &format!("/api/jobs/{}", job_id()), "", text.clone().into_bytes());
    let call = routed(&put).map(|routed| routed.call);
    let Ok(Call::Change(Action::Update { spec: mut again, .. })) = call else {
        // One that is due no more cannot be asked for again.
        assert!(view.next.is_none(), "{text}: {call:?}");
        return;
    };
    again.inherit(spec);
    again.inherit_secrets(Some(spec)).unwrap_or_else(|why| panic!("{text}: {why}"));
    assert!(again.has_schedule_of(spec), "{text}: {again:?}, {spec:?}");
    // One that is due no more is answered as inactive.
    if spec.active == again.active {
        assert!(again.says_what(spec), "{text}: {again:?}, {spec:?}");
    }
}

/// The job after a patch, if that is accepted.
fn patch(view: &JobView, text: &[u8]) -> Option<JobView> {
    let asked = request(Method::Patch, &format!("/api/jobs/{}", job_id()), "", text.to_vec());
    let Ok(Call::Patch(patch)) = routed(&asked).map(|routed| routed.call) else { return None };
    let Ok(Action::Update { mut spec, .. }) = patch.over(view, &context()) else { return None };
    let old = &view.revision.spec;
    spec.inherit(old);
    spec.inherit_secrets(Some(old)).ok()?;
    Some(self::view(view.revision.next(spec, super::support::NOW)))
}
