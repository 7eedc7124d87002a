//! Owns tests of looking ahead: which jobs count, what a look costs, and what is inferred of those that there were no steps for.
//! It must not look into the core: inputs and what is read only.

use super::stage_tests::{START, Stage, id, spec};
use super::*;
use crate::schedule::Calendars;
use crate::time::{Instant, WallUs};

const OFTEN: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#;
const OTHER: &str = r#""schedule":"0-59 * * * * *","type":"ATLEAST_ONCE""#;
const RESTS: &str = r#""schedule":"* * * * * *","type":"ATLEAST_ONCE","active":false"#;
const MINUTELY: &str = r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE""#;
const HOUR: u64 = 3_600;

/// What is ahead at 20 seconds before a full minute.
fn ahead_of(stage: &Stage) -> Ahead {
    let mut forecast = Forecast::new(&stage.core, stage.now.wall);
    while !forecast.advance(&stage.core, 50, stage.now.wall) {}
    forecast.end()
}

fn ahead(bounds: Bounds, jobs: &[&str]) -> Ahead {
    ahead_of(&Stage::bounded(bounds, START + 40, jobs, Vec::new()))
}

fn all_due(ahead: &Ahead) -> u64 {
    ahead.minutes.iter().map(|(_, due)| due).sum()
}

#[test]
fn a_look_costs_eight_steps_an_instant_one_and_a_hundred_that_were_met_before_one() {
    let of = |steps: u64, jobs: &[&str]| {
        let forecast_steps_max = usize::try_from(steps).expect("few");
        let found = ahead(Bounds { forecast_steps_max, ..Bounds::default() }, jobs);
        (found.looked_at, all_due(&found))
    };
    let walk = 8 + HOUR + 1;
    // Of those that are not due nothing is looked for.
    assert_eq!((of(3 * 8, &[RESTS; 10]), of(3 * 8 + 1, &[RESTS; 10])), ((3, 0), (4, 0)));
    // What could not be looked through counts as not looked at.
    assert_eq!((of(walk - 1, &[OFTEN]), of(walk, &[OFTEN])), ((0, 0), (1, HOUR)));
    assert_eq!(of(walk + 8 + HOUR / 2, &[OFTEN, OTHER]), (1, 2 * HOUR));
    assert_eq!(of(2 * walk, &[OFTEN, OTHER]), (2, 2 * HOUR));
    let shared = 8 + HOUR / 100;
    assert_eq!(of(walk + 4 * shared, &[OFTEN; 9]), (5, 9 * HOUR));
    assert_eq!(of(walk + 4 * shared + 1, &[OFTEN; 9]), (6, 9 * HOUR));
}

#[test]
fn of_too_many_jobs_so_many_are_looked_at_from_the_first_on_and_the_rest_is_inferred() {
    let bounds = Bounds { forecast_jobs_max: 2, ..Bounds::default() };
    let once = r#""schedule":"30 5 * * * *","type":"ATLEAST_ONCE""#;
    let found = ahead(bounds, &[once, RESTS, RESTS, RESTS, RESTS, RESTS, RESTS]);
    assert_eq!((found.looked_at, found.jobs), (2, 7));
    let due: Vec<(i64, u64)> =
        found.minutes.iter().filter(|(_, due)| *due > 0).map(|(at, due)| (at.as_secs() - START, *due)).collect();
    assert_eq!(due, [(300, 4)], "three and a half");
    assert_eq!(found.peaks, [], "one that was looked at is no crowd");
    assert_eq!(found.minutes[1].0, Instant::from_secs(START + 120));
}

#[test]
fn only_what_is_in_force_and_not_held_counts() {
    let mut stage = Stage::at(START + 40, &[MINUTELY], Vec::new());
    stage.settle();
    let create = Action::Create { spec: spec(MINUTELY, &Calendars::default()), entropy: [0; 10], pause: None };
    stage.begin(create);
    assert_eq!(all_due(&ahead_of(&stage)), 60, "the other one is on its way to the disk");
    stage.settle();
    assert_eq!(all_due(&ahead_of(&stage)), 120);
    stage.pass(30);
    stage.now.wall = stage.now.wall.plus_us(-25_000_000);
    stage.feed(Input::ClockStep(-25_000_000));
    assert_eq!(all_due(&ahead_of(&stage)), 0, "the clock stepped back behind what was fired");
}

#[test]
fn jobs_that_pause_until_different_times_go_each_their_own_way() {
    let mut stage = Stage::at(START + 40, &[MINUTELY; 4], Vec::new());
    stage.settle();
    for (key, minutes) in [(1, 11), (2, 31)] {
        let until = Some(Instant::from_secs(START + minutes * 60));
        stage.ask(Action::Pause { id: id(key), until, note: None, expected: None });
    }
    let due: Vec<u64> = ahead_of(&stage).minutes.iter().map(|(_, due)| *due).collect();
    let expected: Vec<u64> = (1..=60).map(|minute| 2 + u64::from(minute > 11) + u64::from(minute > 31)).collect();
    assert_eq!(due, expected);
}

#[test]
fn of_a_job_that_has_so_many_runs_what_is_armed_counts_and_what_is_withheld_does_not() {
    let job = format!(r#"{MINUTELY},"maxRuns":2"#);
    // One is armed just before the first minute that counts, and one at its beginning.
    let before = r#""schedule":"59 * * * * *","type":"ATLEAST_ONCE","maxRuns":2"#;
    let mut stage = Stage::at(START + 40, &[&job, before], Vec::new());
    stage.settle();
    stage.now.wall = WallUs::of(Instant::from_secs(START + 58)).plus_us(700_000);
    stage.feed(Input::Tick);
    stage.settle();
    assert_eq!(stage.unfinished().len(), 2, "both are armed");
    assert_eq!(all_due(&ahead_of(&stage)), 2 + 1);
    let active = false;
    let update = spec(&format!(r#"{job},"active":{active}"#), &Calendars::default());
    stage.begin(Action::Update { id: id(1), spec: update, keep_active: false, expected: None });
    assert_eq!(all_due(&ahead_of(&stage)), 2 + 1, "those that follow");
}
