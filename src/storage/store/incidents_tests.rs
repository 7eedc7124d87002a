//! Owns what a store must do with incidents and their messages: keep them until they are over and told, whatever is
//! written twice, and find them again.
//! It must not know how they are kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::subject::{Subject, also_on_postgres};
use super::{AlertState, Answer, Delivery, IncidentQuery, Keep, Query, SentMessage};
use crate::clock;
use crate::core::{
    Acknowledged, Cause, Class, Closed, Event, ExecutionKey, Incident, IncidentChange, IncidentId, JobLabel, LedgerRow,
    Message, Persist, RowNews, Seq, Status, Subject as About,
};
use crate::job::{JobId, JobKey};
use crate::limits::{INCIDENT_MESSAGES_SHOWN_MAX, RETENTION_SLICE_ROWS};
use crate::time::{Instant, WallUs};

const EVERYTHING: Keep = Keep {
    age: Duration::from_secs(u32::MAX as u64),
    rows_per_job: u64::MAX,
    bytes: u64::MAX,
    audit_age: Duration::from_secs(u32::MAX as u64),
};

fn job(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

/// An incident with something in every member.
fn incident(id: u64, key: u64) -> Incident {
    Incident {
        id: IncidentId(id),
        cause: Cause::Failing,
        subject: About::Job(job(key)),
        label: Some(Box::new(JobLabel {
            name: Some("nightly".into()),
            api: "http://localhost/".into(),
            schedule: "@daily".into(),
        })),
        summary: "3 executions in a row failed".into(),
        execution: Some(ExecutionKey::scheduled(JobKey(key), Instant::from_secs(5)).of(job(key))),
        opened_at: WallUs(id.cast_signed()),
        closed: None,
        acknowledged: Some(Box::new(Acknowledged { at: WallUs(7), by: Some("ann".into()), note: None })),
        messages: 1,
        told: true,
        told_at: Some(WallUs(id.cast_signed() + 1)),
    }
}

fn of_server(id: u64, cause: Cause) -> Incident {
    let subject = if cause == Cause::TargetFailing { About::Target("http://a:80".into()) } else { About::Server };
    let (label, execution, acknowledged) = (None, None, None);
    Incident { cause, subject, label, execution, acknowledged, ..incident(id, 1) }
}

fn closed(incident: &Incident, at: i64) -> Incident {
    Incident { closed: Some(Closed { at: WallUs(at), why: "an execution succeeded".into() }), ..incident.clone() }
}

/// The change to this, with a message over these channels.
fn change(incident: &Incident, number: u32, event: Event, channels: &[&str]) -> IncidentChange {
    let incident = Arc::new(Incident { messages: number, ..incident.clone() });
    let at = incident.opened_at.plus_us(i64::from(number));
    let channels: Box<[Box<str>]> = channels.iter().map(|channel| Box::from(*channel)).collect();
    let message = Message { incident: Arc::clone(&incident), number, event, at, channels };
    IncidentChange { incident, message: Some(message) }
}

fn put(change: IncidentChange) -> Persist {
    Persist::Incident(Box::new(change))
}

fn quietly(incident: &Incident) -> Persist {
    put(IncidentChange { incident: Arc::new(incident.clone()), message: None })
}

fn delivery(id: u64, number: u32, channel: &str, state: AlertState) -> Delivery {
    let delivered_at = (state == AlertState::Delivered).then_some(WallUs(50));
    let error = (state != AlertState::Delivered).then(|| "refused".to_owned());
    Delivery { incident: IncidentId(id), number, channel: channel.into(), state, delivered_at, attempts: 2, error }
}

fn one(store: &mut Subject, id: u64) -> Option<(Incident, Vec<SentMessage>)> {
    match store.ask(&Query::Incident(IncidentId(id))) {
        Answer::Incident(found) => found.map(|found| *found),
        other => panic!("an incident was asked for: {other:?}"),
    }
}

/// The ids of all pages of a query, one after the other.
fn pages(store: &mut Subject, query: &IncidentQuery) -> Vec<u64> {
    let mut query = query.clone();
    let mut all = Vec::new();
    loop {
        let Answer::Incidents(page) = store.ask(&Query::Incidents(query.clone())) else {
            panic!("incidents were asked for")
        };
        assert!(page.incidents.len() <= query.limit);
        all.extend(page.incidents.iter().map(|incident| incident.id.0));
        if !page.more {
            return all;
        }
        query.before = page.incidents.last().map(|incident| incident.id);
    }
}

/// What is still to be sent, as (id, number, channel, attempts).
fn undelivered(store: &mut Subject) -> Vec<(u64, u32, String, u32)> {
    let messages = store.load().2.messages;
    let named = messages.iter().map(|one| {
        assert_eq!(*one.message.channels, [Box::from(&*one.channel)]);
        (one.message.incident.id.0, one.message.number, one.channel.to_string(), one.attempts)
    });
    named.collect()
}

#[test]
fn an_incident_comes_back_as_it_was_and_a_start_finds_those_that_are_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let bare = Incident {
        label: Some(Box::new(JobLabel { name: None, api: "http://a/".into(), schedule: "* * * * *".into() })),
        execution: None,
        acknowledged: None,
        told: false,
        told_at: None,
        messages: 0,
        ..incident(2, 9)
    };
    let mut open: Vec<Incident> = vec![incident(1, 9), bare, of_server(3, Cause::TargetFailing)];
    open.extend([Cause::StoreFailing, Cause::DiskNearlyFull].iter().zip(4..).map(|(&cause, id)| of_server(id, cause)));
    let over = closed(&incident(6, 9), 8);
    store.write(open.iter().chain([&over]).map(quietly));
    for _ in 0..2 {
        assert_eq!(store.load().2.incidents, open, "oldest first");
        for incident in open.iter().chain([&over]) {
            assert_eq!(one(&mut store, incident.id.0), Some((incident.clone(), Vec::new())));
        }
        store.reopen();
    }
    assert_eq!(one(&mut store, 7), None);
    // Whole: what it no longer has is gone.
    let changed = closed(&Incident { acknowledged: None, label: None, ..open[0].clone() }, 9);
    store.write([quietly(&changed)]);
    assert_eq!(one(&mut store, 1), Some((changed, Vec::new())));
    assert_eq!(store.load().2.incidents, open[1..]);
}

#[test]
fn writing_again_changes_nothing_of_what_was_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let opened = change(&incident(10, 1), 1, Event::Opened, &["mail", "ops", "pager"]);
    // With the row that it follows from, as the core does it.
    let mut row = LedgerRow::pending(Seq(1), ExecutionKey::scheduled(JobKey(1), Instant::from_secs(5)), Class::OnTime);
    row.record.status = Status::Failed;
    let news = RowNews { alert: None, incidents: vec![opened.clone()] };
    let row = Persist::Row(row, Some(Box::new(news)));
    store.write([row.clone()]);
    let all = ["mail", "ops", "pager"].map(|channel| (10, 1, channel.to_owned(), 0));
    assert_eq!(undelivered(&mut store), all);
    store.note(
        [
            delivery(10, 1, "mail", AlertState::Pending),
            delivery(10, 1, "ops", AlertState::Delivered),
            delivery(10, 1, "pager", AlertState::Failed),
        ],
        [],
    );
    for _ in 0..2 {
        assert_eq!(undelivered(&mut store), [(10, 1, "mail".to_owned(), 2)]);
        let (_, messages) = one(&mut store, 10).expect("it is there");
        let sent = |channel, state| SentMessage {
            event: Event::Opened,
            at: WallUs(11),
            delivery: delivery(10, 1, channel, state),
        };
        let expected =
            [sent("mail", AlertState::Pending), sent("ops", AlertState::Delivered), sent("pager", AlertState::Failed)];
        assert_eq!(messages, expected);
        // All of it twice, also what came in between.
        store.write([row.clone(), put(opened.clone())]);
        store.note([delivery(10, 1, "ops", AlertState::Pending)], []);
        store.reopen();
    }
}

#[test]
fn what_is_heard_of_a_message_before_its_row_comes_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let opened = change(&of_server(10, Cause::StoreFailing), 1, Event::Opened, &["mail", "ops"]);
    store.note([delivery(10, 1, "mail", AlertState::Pending), delivery(10, 1, "ops", AlertState::Delivered)], []);
    assert_eq!(one(&mut store, 10), None);
    store.sweep_once(Keep { age: Duration::ZERO, ..EVERYTHING });
    store.write([put(opened.clone())]);
    assert_eq!(undelivered(&mut store), [(10, 1, "mail".to_owned(), 2)]);
    let (_, messages) = one(&mut store, 10).expect("it is there");
    let states: Vec<AlertState> = messages.iter().map(|message| message.delivery.state).collect();
    assert_eq!((states, messages[0].at), (vec![AlertState::Pending, AlertState::Delivered], WallUs(11)));
}

#[test]
fn what_was_heard_of_a_message_that_never_came_says_nothing_of_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    store.note([delivery(10, 1, "ops", AlertState::Delivered)], []);
    // The process ends before the row is written; the next one may use the name for something else.
    store.reopen();
    store.write([put(change(&of_server(10, Cause::StoreFailing), 1, Event::Opened, &["ops"]))]);
    assert_eq!(undelivered(&mut store), [(10, 1, "ops".to_owned(), 0)]);
}

#[test]
fn messages_come_back_in_the_order_in_which_they_were_made_with_the_incident_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let (first, second) = (incident(100, 1), incident(101, 2));
    store.write([put(change(&first, 1, Event::Opened, &["ops"])), put(change(&second, 1, Event::Opened, &["ops"]))]);
    store.write([put(change(&closed(&first, 400), 3, Event::Closed, &["ops", "mail"]))]);
    store.reopen();
    let loaded = store.load().2;
    let order: Vec<_> =
        loaded.messages.iter().map(|one| (one.message.incident.id.0, one.message.number, &*one.channel)).collect();
    assert_eq!(order, [(100, 1, "ops"), (101, 1, "ops"), (100, 3, "mail"), (100, 3, "ops")]);
    assert!(loaded.messages[0].message.incident.closed.is_some(), "it is over by now");
    let events: Vec<Event> = loaded.messages.iter().map(|one| one.message.event).collect();
    assert_eq!(events, [Event::Opened, Event::Opened, Event::Closed, Event::Closed]);
    assert_eq!(loaded.incidents.iter().map(|incident| incident.id.0).collect::<Vec<_>>(), [101]);
}

#[test]
fn a_page_shows_each_incident_once_newest_first_whatever_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let all: Vec<Incident> = (1..=60)
        .map(|id| {
            let cause = [Cause::Failing, Cause::Late, Cause::NoSuccess][id as usize % 3];
            let made = Incident { cause, ..incident(id, 1 + id % 4) };
            if id % 5 == 0 { made } else { closed(&made, 1_000) }
        })
        .collect();
    store.write(all.iter().map(quietly));
    for open in [None, Some(true), Some(false)] {
        for of in [None, Some(2), Some(9)] {
            for cause in [None, Some(Cause::Late), Some(Cause::StoreFailing)] {
                let is_wanted = |incident: &&Incident| {
                    open.is_none_or(|open| open == incident.closed.is_none())
                        && of.is_none_or(|key| incident.subject == About::Job(job(key)))
                        && cause.is_none_or(|cause| cause == incident.cause)
                };
                let wanted: Vec<u64> = all.iter().rev().filter(is_wanted).map(|incident| incident.id.0).collect();
                for limit in [1, 7, 100] {
                    let query = IncidentQuery { limit, before: None, open, job: of.map(JobKey), cause };
                    assert_eq!(pages(&mut store, &query), wanted, "{query:?}");
                }
            }
        }
    }
}

#[test]
fn the_newest_messages_of_an_incident_that_was_told_often_are_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let many = u32::try_from(INCIDENT_MESSAGES_SHOWN_MAX).expect("small") + 10;
    let told = |number| put(change(&incident(10, 1), number, Event::Reminded, &["ops"]));
    store.write((1..=many).map(told));
    let (incident, messages) = one(&mut store, 10).expect("it is there");
    assert_eq!((incident.messages, messages.len()), (many, INCIDENT_MESSAGES_SHOWN_MAX));
    let numbers: Vec<u32> = messages.iter().map(|message| message.delivery.number).collect();
    assert!(numbers.is_sorted() && numbers.last() == Some(&many), "oldest first, to the newest");
}

#[test]
fn what_is_over_ages_out_with_its_messages_and_what_is_not_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let now = clock::wall().0.unsigned_abs();
    let old = now - 3_600_000_000;
    let told = |incident: &Incident| put(change(incident, 1, Event::Opened, &["ops", "mail"]));
    let over = |id: u64| closed(&incident(id, 1), id.cast_signed() + 10);
    // Over and told; over with a message to be delivered; open; over just now.
    let kinds = [over(old), over(old + 1), incident(old + 2, 1), over(now)];
    store.write(kinds.iter().map(told));
    let messages = kinds.iter().flat_map(|kind| ["ops", "mail"].map(|channel| (kind.id.0, channel)));
    let state = |id| if id == old + 1 { AlertState::Pending } else { AlertState::Delivered };
    store.note(messages.map(|(id, channel)| delivery(id, 1, channel, state(id))), []);
    // Many, so that it takes several slices.
    let many = u64::from(RETENTION_SLICE_ROWS) * 2;
    store.write((1..=many).map(|id| told(&over(old - id))));
    store.note((1..=many).flat_map(|id| ["ops", "mail"].map(|on| delivery(old - id, 1, on, AlertState::Failed))), []);
    let keep = Keep { age: Duration::from_secs(600), ..EVERYTHING };
    store.sweep_once(EVERYTHING);
    assert_eq!(pages(&mut store, &IncidentQuery { limit: 500, ..Default::default() }).len() as u64, many + 4);
    store.sweep_once(keep);
    let left = pages(&mut store, &IncidentQuery { limit: 500, ..Default::default() });
    assert_eq!(left, [now, old + 2, old + 1]);
    let shown = |store: &mut Subject, id| one(store, id).expect("it is there").1.len();
    assert_eq!((shown(&mut store, now), shown(&mut store, old + 1)), (2, 2));
    assert_eq!(store.count("SELECT count(*) FROM messages"), 4);
    // Once it is delivered, it goes, too.
    store.note(["ops", "mail"].map(|channel| delivery(old + 1, 1, channel, AlertState::Delivered)), []);
    store.sweep_once(keep);
    assert_eq!(pages(&mut store, &IncidentQuery { limit: 500, ..Default::default() }), [now, old + 2]);
}

#[test]
fn too_many_that_are_over_go_oldest_first_but_none_that_is_still_to_be_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = Subject::open(folder.path());
    let told = |incident: &Incident| put(change(incident, 1, Event::Closed, &["ops"]));
    store.write((1..=3_000).map(|id| told(&closed(&incident(id, 1), id.cast_signed() + 5))));
    store.note((2..=3_000).map(|id| delivery(id, 1, "ops", AlertState::Delivered)), []);
    store.write([told(&incident(0, 1))]);
    // A tenth of this is room for about 700 of them.
    store.sweep_once(Keep { bytes: 10 << 20, ..EVERYTHING });
    let left = pages(&mut store, &IncidentQuery { limit: 500, ..Default::default() });
    assert!((500..1_000).contains(&left.len()), "{} are left", left.len());
    let ids: BTreeSet<u64> = left.iter().copied().collect();
    assert!(ids.contains(&0) && ids.contains(&1), "it is open, and it is still to be told");
    let newest = left.len() as u64 - 2;
    assert_eq!(left[..left.len() - 2], (3_001 - newest..=3_000).rev().collect::<Vec<_>>());
    assert_eq!(store.count("SELECT count(*) FROM messages"), left.len() as i64);
}

#[test]
fn a_damaged_row_is_refused_at_a_start() {
    for (sql, why) in [
        ("UPDATE incidents SET cause = 'TIRED'", "unknown cause"),
        ("UPDATE incidents SET job_id = 2", "no job, no target"),
        ("UPDATE incidents SET target = 'http://a:80'", "no job, no target"),
        ("UPDATE incidents SET execution = 'x'", "not an execution id"),
        ("UPDATE incidents SET schedule = NULL", "half of what a job was called"),
        ("UPDATE incidents SET closed_why = 'x'", "half of an end"),
        ("UPDATE messages SET event = 'SHOUTED'", "unknown name"),
        ("DELETE FROM incidents", "a message of an incident that is not there"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut store = Subject::open(folder.path());
        store.write([put(change(&incident(10, 1), 1, Event::Opened, &["ops"]))]);
        store.try_reopen().expect("it is as it was written");
        store.meddle(sql);
        let said = store.try_reopen().expect_err(sql);
        assert!(said.starts_with("failed to open ") && said.contains(why), "{sql}: {said}");
    }
}

also_on_postgres!(
    an_incident_comes_back_as_it_was_and_a_start_finds_those_that_are_open,
    writing_again_changes_nothing_of_what_was_delivered,
    what_is_heard_of_a_message_before_its_row_comes_is_kept,
    what_was_heard_of_a_message_that_never_came_says_nothing_of_another,
    messages_come_back_in_the_order_in_which_they_were_made_with_the_incident_as_it_is,
    a_page_shows_each_incident_once_newest_first_whatever_is_asked_for,
    the_newest_messages_of_an_incident_that_was_told_often_are_shown,
    what_is_over_ages_out_with_its_messages_and_what_is_not_stays,
    too_many_that_are_over_go_oldest_first_but_none_that_is_still_to_be_told,
);
