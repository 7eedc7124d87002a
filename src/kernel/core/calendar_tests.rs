//! Owns tests of named calendars: what is in force, who follows it and when, and what only tries a change of one.
//! It must not look into the core: inputs and outputs only.

use super::stage_tests::{START, Stage, id, put, spec};
use super::*;
use crate::schedule::Dates;
use crate::time::Now;

const TODAY: &str = "2026-01-01";
const DAILY: &str = r#""schedule":"0 0 12 * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#;
const NOON: i64 = 12 * 3_600;
const TOMORROW: i64 = NOON + 86_400;

/// When a job is due next, in seconds after the start.
fn next(stage: &Stage, key: u64) -> Option<i64> {
    let view = stage.core.job(id(key), stage.now.wall)?;
    view.next.map(|next| next.as_secs() - START)
}

fn gathered(action: Action) -> Command {
    let read_at = crate::time::Instant::from_secs(START);
    Command { request: RequestId(7), action, plans: false, read_at }
}

/// A job that follows a calendar without dates, as which it was read.
fn create(stage: &Stage) -> Action {
    let mut calendars = stage.core.calendars().clone();
    calendars.insert("closed", Default::default()).expect("a calendar");
    Action::Create { spec: spec(DAILY, &calendars), entropy: [0; 10], pause: None }
}

#[test]
fn what_another_node_says_of_a_calendar_counts_unless_a_job_would_lose_its_dates() {
    let found = |dates: Option<&[&str]>| {
        let dates = dates.map(|dates| Dates::parse(dates.iter().copied(), 10).expect("dates").into());
        Input::RestoreCalendar(CalendarChange { name: "closed".into(), dates })
    };
    let mut stage = Stage::of(&[DAILY], Vec::new());
    for (dates, due) in
        [(Some(&[TODAY][..]), TOMORROW), (Some(&[]), NOON), (Some(&[TODAY]), TOMORROW), (None, TOMORROW)]
    {
        stage.feed(found(dates));
        stage.pass(1);
        assert_eq!((next(&stage, 1), stage.core.calendars().len()), (Some(due), 1), "{dates:?}");
    }
    stage.ask(Action::Delete { id: id(1), expected: None });
    stage.feed(found(None));
    assert_eq!(stage.core.calendars().len(), 0, "nobody follows it");
}

#[test]
fn of_two_calendars_on_their_way_that_which_cannot_be_written_is_refused() {
    let mut stage = Stage::of(&[], Vec::new());
    stage.begin(put("one", &[TODAY]));
    stage.begin(put("two", &[TODAY]));
    let through = stage.asked;
    stage.feed(Input::Committed { through, rejected: vec![through] });
    let is_there = ["one", "two"].map(|name| stage.core.calendars().get(name).is_some());
    assert_eq!((is_there, stage.refused, stage.core.counts().refused), ([true, false], 1, 1));
}

#[test]
fn a_calendar_goes_once_no_job_follows_it_whatever_is_in_flight() {
    let often = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#;
    let mut stage = Stage::of(&[often], Vec::new());
    stage.ask(put("closed", &[]));
    stage.pass(1);
    assert_eq!(stage.fired.len(), 1);
    let delete = || Action::DeleteCalendar { name: "closed".into() };
    assert_eq!(stage.conflict(delete()), 1, "a job follows it");
    stage.ask(Action::Delete { id: id(1), expected: None });
    assert_eq!((stage.conflict(delete()), stage.core.load(stage.now.wall).in_flight), (0, 1));
    stage.settle();
    assert_eq!(stage.core.calendars().len(), 0);
}

/// Five jobs follow a calendar that has changed, of whom a turn has steps for three. The disk is slow, so none may be armed.
fn changed_for_many() -> Stage {
    let bounds = Bounds { missed_count_max: 1, misfire_all_max: 1, unwritten_max: 1, ..Bounds::default() };
    let bounds = Bounds { arm_steps_per_turn: 3 * 18, ..bounds };
    let mut stage = Stage::bounded(bounds, START, &[DAILY; 5], Vec::new());
    stage.pass(1);
    stage.begin(put("closed", &[TODAY]));
    let through = stage.asked;
    stage.begin(put("other", &[]));
    stage.feed(Input::Committed { through, rejected: Vec::new() });
    assert_eq!(followed(&stage), 3);
    stage
}

fn followed(stage: &Stage) -> usize {
    (1..=5).filter(|&key| next(stage, key) == Some(TOMORROW)).count()
}

#[test]
fn more_jobs_than_follow_a_calendar_in_a_turn_follow_it_in_the_next() {
    let mut stage = changed_for_many();
    stage.now.mono = stage.core.poll_timeout().mono.expect("it goes on");
    stage.feed(Input::Tick);
    assert_eq!(followed(&stage), 5);
}

#[test]
fn a_job_that_goes_before_it_could_follow_a_calendar_is_not_looked_at() {
    let mut stage = changed_for_many();
    for key in 1..=5 {
        if next(&stage, key) == Some(NOON) {
            stage.begin(Action::Delete { id: id(key), expected: None });
        }
    }
    stage.settle();
    stage.pass(1);
    assert_eq!((followed(&stage), stage.core.load(stage.now.wall).jobs), (3, 3));
}

#[test]
fn what_was_read_before_a_calendar_changed_follows_it_as_it_is() {
    let mut stage = Stage::of(&[], Vec::new());
    let read = create(&stage);
    stage.ask(put("closed", &[TODAY]));
    stage.feed(Input::Gather(Box::new(gathered(read))));
    stage.feed(Input::WriteGathered(RequestId(7)));
    stage.settle();
    let jobs = stage.core.jobs_after(None, 10, stage.now.wall);
    let due = jobs.iter().map(|job| job.next.map(|next| next.as_secs() - START));
    assert_eq!(due.collect::<Vec<_>>(), [Some(TOMORROW)]);
}

#[test]
fn a_job_cannot_come_to_follow_a_calendar_that_is_gone_but_one_that_is_put_before_it() {
    let bounds = Bounds { calendars_max: 1, ..Bounds::default() };
    let mut stage = Stage::bounded(bounds, START, &[], Vec::new());
    stage.core.handle_input(Input::Gather(Box::new(gathered(create(&stage)))), stage.now);
    let said = stage.core.poll_output();
    assert!(matches!(said, Some(Output::Reply(_, Reply::Conflict(_)))), "{said:?}");
    assert!(stage.core.poll_output().is_none());

    let mut rehearsal = Rehearsal::default();
    let tried = |rehearsal: &mut Rehearsal| rehearsal.gather(&stage.core, gathered(create(&stage)), stage.now);
    assert!(matches!(tried(&mut rehearsal), Err(Reply::Conflict(_))));
    let dates = || Dates::parse([TODAY].into_iter(), 10).expect("dates").into();
    let put = rehearsal.put_calendar(&stage.core, "closed", dates());
    assert!(put.is_ok(), "{put:?}");
    assert!(rehearsal.calendars(&stage.core).get("closed").is_some() && stage.core.calendars().is_empty());
    assert!(tried(&mut rehearsal).is_ok());
    let more = rehearsal.put_calendar(&stage.core, "more", dates());
    assert!(matches!(more, Err(Reply::TooMany(_))), "{more:?}");

    stage.ask(super::stage_tests::put("closed", &[TODAY]));
    assert!(Rehearsal::default().calendars(&stage.core).get("closed").is_some(), "those that there are");
}

#[test]
fn what_passes_while_a_change_is_written_is_sent_once_though_a_calendar_changes() {
    let often = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","excludeCalendars":["closed"]"#;
    let mut stage = Stage::of(&[often], Vec::new());
    stage.ask(put("closed", &[]));
    stage.pass(1);
    stage.begin(put("closed", &["2027-01-01"]));
    let through = stage.asked;
    let spec = spec(&format!(r#"{often},"api":"http://b/""#), stage.core.calendars());
    stage.begin(Action::Update { id: id(1), spec, keep_active: false, expected: None });
    for _ in 0..5 {
        stage.now = Now { wall: stage.now.wall.plus_us(1_000_000), mono: stage.now.mono.plus_us(1_000_000) };
        stage.feed(Input::Tick);
    }
    stage.feed(Input::Committed { through, rejected: Vec::new() });
    stage.settle();
    stage.pass(2);
    let fired = stage.fired();
    let instants: std::collections::BTreeSet<i64> = fired.iter().map(|(_, second)| *second).collect();
    assert_eq!(instants.len(), fired.len(), "{fired:?}");
    assert!(instants.contains(&8), "{fired:?}");
}
