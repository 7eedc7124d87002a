//! Owns what jobs read from the database must be, whatever the backend: what the memory of a node that has them says.
//! It must not know more of the store than its messages.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::subject::{Subject, also_on_postgres};
use super::{Answer, FoundJobs, JobSearch, JobsAsked, JobsFound, NextJobs, Query};
use crate::core::{
    Bounds, CalendarChange, Change, Class, ExecutionKey, Input, JobChange, JobFilter, JobOrder, JobState, JobView,
    Known, LedgerRow, Listing, Persist, Place, Scheduler, Seq, Settings, Status, TargetFilter,
};
use crate::job::{Context, Definition, JobId, JobKey, JobSpec, Misfire, Pause, RetryPolicy, Revision, TargetUrl};
use crate::limits::{PIECE_JOBS_MAX, SHOWN_JOBS_LEN_MAX};
use crate::schedule::{Calendars, Dates};
use crate::time::{Instant, MonoUs, Now, WallUs};

/// The first second of 2026, and a while.
const NOW: WallUs = WallUs(1_767_225_600_000_000 + 500_000);
const PLANTED: &str = "planted-token";

fn second(after: i64) -> Instant {
    Instant::from_secs(NOW.floor().as_secs() + after)
}

fn id(key: u64) -> JobId {
    JobId::new(JobKey(key), [7; 10])
}

fn spec(members: &str) -> JobSpec {
    let api = if members.contains(r#""api""#) { "" } else { r#""api":"http://a/","# };
    let text = format!(r#"{{{api}"type":"ATLEAST_ONCE",{members}}}"#);
    let definition: Definition = serde_json::from_str(&text).expect(&text);
    let mut calendars = Calendars::default();
    calendars.insert("closed", Default::default()).expect("it is a name");
    let mut spec =
        JobSpec::compile(&definition, &Context { calendars: Some(&calendars), ..Context::sealing(second(0)) })
            .expect(&text);
    spec.inherit_secrets(None).expect("they are new");
    spec
}

fn revision(key: u64, members: &str) -> Revision {
    Revision::first(id(key), spec(members), NOW)
}

fn put(revision: Revision) -> Persist {
    change(JobChange::Put(Arc::new(revision)))
}

fn change(job: JobChange) -> Persist {
    Persist::Change(Box::new(Change { job, remove: Vec::new(), rows: Vec::new() }))
}

fn ended(seq: u64, key: u64, status: Status) -> Persist {
    let key = ExecutionKey::scheduled(JobKey(key), second(-60 + seq as i64));
    let mut row = LedgerRow::pending(Seq(seq), key, Class::OnTime);
    row.record.status = status;
    row.record.executed = Some(WallUs::of(key.instant).plus_us(250));
    row.record.duration_us = Some(1_000 * seq);
    Persist::Row(row, None)
}

fn open(folder: &Path) -> Subject {
    let mut store = Subject::open(folder);
    store.key = Some([7; 32]);
    store.reopen();
    store
}

/// One of every kind: some of what they did is in their totals, and some is not yet.
fn fill(store: &mut Subject) {
    let tomorrow = "2026-01-02".to_owned();
    let closed = Dates::parse([tomorrow.as_str()].into_iter(), 10).expect("it is a date");
    store.write([Persist::Calendar(Box::new(CalendarChange { name: "closed".into(), dates: Some(Arc::new(closed)) }))]);
    let paused = |key, reason: Option<&str>, until: Option<Instant>| {
        let mut job = revision(key, r#""schedule":"@hourly","tags":["resting"]"#);
        job.spec.active = until.is_some();
        job.since = until.unwrap_or(second(0));
        job.pause = Some(Box::new(Pause { reason: reason.map(Into::into), until, ..Pause::since(second(0)) }));
        job
    };
    let secret = format!(r#""schedule":"@daily","name":"b","auth":{{"bearer":"{PLANTED}"}}"#);
    let jobs = [
        revision(1, r#""schedule":"@daily","name":"c","owner":"somebody""#),
        revision(2, &secret),
        paused(3, None, None),
        paused(4, Some("it failed"), None),
        paused(5, None, Some(second(5_000))),
        // Never due again, by its schedule and by its runs.
        revision(6, r#""schedule":"@hourly","endsAt":"2025-12-31T00:00:00Z""#),
        revision(7, r#""schedule":"@hourly","maxRuns":2"#),
        revision(8, r#""schedule":"@hourly","maxRuns":3"#),
        revision(9, r#""schedule":"@daily","excludeCalendars":["closed"]"#),
        revision(10, r#""schedule":"@every 700s","api":"https://elsewhere:8443/x","tags":["resting"]"#),
        revision(11, r#""schedule":"@hourly","api":"http://elsewhere/","name":"a""#),
        revision(12, r#""schedule":"@hourly""#),
    ];
    store.write(jobs.map(put));
    store.write([ended(1, 7, Status::Success), ended(2, 10, Status::Failed), ended(3, 1, Status::Failed)]);
    store.fold();
    store.write([ended(4, 7, Status::Failed), ended(5, 8, Status::Skipped), ended(6, 1, Status::Success)]);
    store.write([ended(7, 11, Status::Failed), ended(8, 4, Status::Failed)]);
    store.write([change(JobChange::Delete(JobKey(12), NOW))]);
}

/// A node that has all jobs of a store in memory.
fn node(store: &mut Subject) -> Scheduler {
    let now = Now { wall: NOW, mono: MonoUs(1) };
    let (jobs, rows, loaded) = store.load();
    let mut core = Scheduler::new(Settings {
        in_flight_max: 10,
        retry: RetryPolicy::doubling(0, Duration::from_secs(1)),
        misfire: Misfire::Once,
        lateness_max: Duration::from_secs(1),
        lead_us: crate::limits::ARM_LEAD_US,
        skew_us: None,
        noise: 0,
        bounds: Bounds::default(),
    });
    let mut feed = |input| {
        core.handle_input(input, now);
        while core.poll_output().is_some() {}
    };
    jobs.into_iter().for_each(|job| feed(Input::RestoreJob(Box::new(job))));
    rows.into_iter().for_each(|row| feed(Input::RestoreRow(Box::new(row), Known::Nothing)));
    loaded.calendars.into_iter().for_each(|calendar| feed(Input::RestoreCalendar(calendar)));
    feed(Input::Acquired(loaded.restored));
    feed(Input::Tick);
    core
}

/// What of a job clients can see.
fn shown(view: &JobView) -> String {
    let JobView { revision, tally, next, paused, held } = view;
    let definition = serde_json::to_string(&Definition::from(&revision.spec)).expect("it is JSON");
    let (id, number) = (revision.id, revision.number);
    format!("{id} {number} {definition}, paused {paused}, held {held}, next {next:?}: {tally:?}")
}

fn ask(store: &mut Subject, asked: JobsAsked) -> JobsFound {
    match store.ask(&Query::Views { asked, now: NOW }) {
        Answer::Views(found) => found,
        other => panic!("jobs were asked for, not {other:?}"),
    }
}

fn some(store: &mut Subject, asked: JobsAsked) -> Vec<JobView> {
    match ask(store, asked) {
        JobsFound::Some(views) => views,
        other => panic!("some jobs were asked for, not {other:?}"),
    }
}

fn page(store: &mut Subject, listing: Listing) -> (Vec<JobView>, Option<Place>) {
    match ask(store, JobsAsked::Listed(listing)) {
        JobsFound::Page { views, next: None } => (views, None),
        JobsFound::Page { views, next: Some(NextJobs::Listed(_, place)) } => (views, Some(place)),
        other => panic!("a page was asked for, not {other:?}"),
    }
}

fn filters() -> Vec<JobFilter> {
    let states = [JobState::Active, JobState::Paused, JobState::Ended, JobState::Held];
    let states = states.into_iter().chain([JobState::Failing, JobState::AutoPaused]).map(Some).chain([None]);
    let exactly = TargetUrl::parse("https://elsewhere:8443/").expect("it is a URL").target();
    let targets = [None, Some(TargetFilter::Host("elsewhere".into())), Some(TargetFilter::Exactly(exactly))];
    states.flat_map(|state| targets.clone().map(|target| JobFilter { state, target })).collect()
}

#[test]
fn each_page_is_the_one_that_memory_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    fill(&mut store);
    let core = node(&mut store);
    let mut found = 0;
    for filter in filters() {
        for (order, limit) in
            [(JobOrder::Created, 3), (JobOrder::Next, 3), (JobOrder::Created, 100), (JobOrder::Next, 5)]
        {
            let mut after = None;
            loop {
                let listing = Listing::new(order, filter.clone(), after, limit);
                let mut in_memory = listing.clone();
                assert!(in_memory.advance(&core, 100, NOW));
                let (keys, next) = in_memory.end();
                let known: Vec<_> = core.views_of(keys.into_iter(), NOW).iter().flatten().map(shown).collect();
                let (views, there) = page(&mut store, listing);
                assert_eq!(views.iter().map(shown).collect::<Vec<_>>(), known, "{filter:?} {order:?} {after:?}");
                assert_eq!(there, next, "{filter:?} {order:?} {after:?}");
                found += views.len();
                after = next;
                if after.is_none() {
                    break;
                }
            }
        }
    }
    assert!(found > 100, "{found}");
    let all = page(&mut store, Listing::new(JobOrder::Created, JobFilter::default(), None, 100)).0;
    let of = |key: u64| all.iter().find(|view| view.revision.id == id(key)).expect("it is there");
    assert_eq!(all.len(), 11, "a deleted one is not shown");
    assert_eq!((of(7).next, of(8).next), (None, Some(second(3_600))), "runs count whether they are in totals or not");
    assert_eq!((of(1).next, of(9).next), (Some(second(86_400)), Some(second(2 * 86_400))), "one leaves a day out");
}

#[test]
fn what_is_searched_for_is_found_and_filtered_by_how_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    fill(&mut store);
    let core = node(&mut store);
    let searched =
        [(Some("resting"), None, false), (None, Some("els"), true), (None, None, true), (None, Some("some"), false)];
    let each = filters().into_iter().flat_map(|filter| searched.map(|search| (filter.clone(), search)));
    // With some of them a page ends with the last one that has a name.
    for (limit, (filter, (tag, text, by_name))) in
        each.flat_map(|each| [1, 2, 3, 4, 5].map(|limit| (limit, each.clone())))
    {
        let mut search =
            JobSearch { tag: tag.map(Into::into), text: text.map(Into::into), by_name, after: None, limit };
        loop {
            let Answer::Jobs(FoundJobs { keys, next }) = store.ask(&Query::Jobs(search.clone())) else {
                panic!("jobs were asked for")
            };
            assert!(keys.len() <= limit, "{search:?}: {keys:?}");
            let known = core.visible_of(keys, &filter, NOW);
            let known: Vec<_> = core.views_of(known.into_iter(), NOW).iter().flatten().map(shown).collect();
            let JobsFound::Page { views, next: there } =
                ask(&mut store, JobsAsked::Searched(search.clone(), filter.clone()))
            else {
                panic!("a page was asked for")
            };
            assert_eq!(views.iter().map(shown).collect::<Vec<_>>(), known, "{filter:?} {search:?}");
            assert_eq!(there, next.clone().map(NextJobs::Searched), "{filter:?} {search:?}");
            search.after = next;
            if search.after.is_none() {
                break;
            }
        }
    }
}

#[test]
fn single_jobs_are_found_by_their_ids_and_no_secret_is_in_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    fill(&mut store);
    let core = node(&mut store);
    let stranger = JobId::new(JobKey(1), [8; 10]);
    let found = some(&mut store, JobsAsked::These([id(9), id(2), stranger, id(12), id(99), id(7)].into()));
    let known = [id(9), id(2), id(7)].map(|id| shown(&core.job(id, NOW).expect("it is there")));
    assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), known, "neither deleted ones nor others with such a key");
    assert!(some(&mut store, JobsAsked::These([stranger].into())).is_empty());
    let secrets: Vec<_> = found[1].revision.spec.secrets().collect();
    assert!(shown(&found[1]).contains(r#""auth":{"bearer":{"set":true}}"#), "that there is one is told");
    assert!(secrets.len() == 1 && secrets[0].1.expose() != PLANTED, "it was not opened");
}

#[test]
fn jobs_with_large_bodies_end_a_page_and_none_is_left_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let body = "x".repeat(60_000);
    let large = |key| revision(key, &format!(r#""schedule":"0 0 {} * * *","name":"n{key}","body":"{body}""#, key % 24));
    let jobs = 2 * SHOWN_JOBS_LEN_MAX as u64 / 60_000;
    store.write((1..=jobs).map(|key| put(large(key))));
    for order in [JobOrder::Created, JobOrder::Next] {
        let (mut pages, mut seen, mut after) = (0, Vec::new(), None);
        loop {
            let (views, next) = page(&mut store, Listing::new(order, JobFilter::default(), after, 1_000));
            (pages, after) = (pages + 1, next);
            seen.extend(views.iter().map(|view| Place::of(view, order)));
            if next.is_none() {
                break;
            }
        }
        assert!(pages == 2 || pages == 3, "{pages}");
        assert!(seen.len() as u64 == jobs && seen.is_sorted(), "each once, in order");
    }
    let mut search = JobSearch { tag: None, text: None, by_name: true, after: None, limit: 1_000 };
    let mut seen = BTreeSet::new();
    while let JobsFound::Page { views, next: Some(NextJobs::Searched(next)) } =
        ask(&mut store, JobsAsked::Searched(search.clone(), JobFilter::default()))
    {
        assert!(views.iter().all(|view| seen.insert(view.revision.id)), "each once");
        search.after = Some(next);
    }
    assert!(seen.len() as u64 > jobs / 3, "it was more than a page");
}

#[test]
fn pieces_of_an_export_have_every_job_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = open(folder.path());
    let jobs = 2 * PIECE_JOBS_MAX as u64 + 10;
    store.write((1..=jobs).map(|key| put(revision(key, r#""schedule":"@hourly""#))));
    store.write([change(JobChange::Delete(JobKey(5), NOW))]);
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let views = some(&mut store, JobsAsked::Behind(after));
        let Some(last) = views.last() else { break };
        assert!(views.len() <= PIECE_JOBS_MAX);
        after = Some(last.revision.id.key());
        seen.extend(views.iter().map(|view| view.revision.id.key().0));
    }
    assert_eq!(seen, (1..=jobs).filter(|key| *key != 5).collect::<Vec<_>>());
}

also_on_postgres!(
    each_page_is_the_one_that_memory_has,
    what_is_searched_for_is_found_and_filtered_by_how_it_stands,
    single_jobs_are_found_by_their_ids_and_no_secret_is_in_them,
    jobs_with_large_bodies_end_a_page_and_none_is_left_out,
    pieces_of_an_export_have_every_job_once,
);
