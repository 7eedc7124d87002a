//! Owns tests of what can be read of the core: which jobs are found, in which order, and what is said of them.
//! It must not look into the core: inputs and what is read only.

use super::stage_tests::{START, Stage, id, stored};
use super::*;
use crate::job::{JobId, JobKey, Target};
use crate::time::{Instant, WallUs};

/// One of every kind, a few seconds after one of them failed and another was paused for that.
fn stage() -> Stage {
    let often = r#""schedule":"*/10 * * * * *","type":"ATLEAST_ONCE""#;
    let hourly = r#""schedule":"@hourly","type":"ATLEAST_ONCE""#;
    let jobs = [
        often,
        &format!(r#"{hourly},"active":false"#),
        r#""schedule":"0 0 0 1 1 * 2026","type":"ATLEAST_ONCE""#,
        hourly,
        r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE""#,
        &format!(r#"{often},"autoPauseAfter":1"#),
    ];
    let mut stage = Stage::of(&jobs, Vec::new());
    stage.pass(10);
    for attempt in std::mem::take(&mut stage.fired) {
        stage.answer(&attempt, Outcome::Answered(500), true);
    }
    stage
}

/// The pages of a listing, so many jobs each, with so many looks at a time.
fn pages(stage: &Stage, order: JobOrder, filter: &JobFilter, limit: usize, looks: usize) -> Vec<Vec<u64>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let mut listing = Listing::new(order, filter.clone(), after, limit);
        let turns = (0..100).take_while(|_| !listing.advance(&stage.core, looks, stage.now.wall)).count();
        assert!(turns <= 6 / looks, "{turns} turns");
        let (found, next) = listing.end();
        pages.push(found.into_iter().map(|key| key.0).collect());
        let Some(next) = next else { return pages };
        after = Some(next);
    }
}

#[test]
fn jobs_are_found_in_order_and_once_whatever_a_page_and_a_look_hold() {
    let stage = stage();
    let all = JobFilter::default();
    assert!(all.is_none());
    for looks in [1, 2, 5, 100] {
        let created = |limit| pages(&stage, JobOrder::Created, &all, limit, looks);
        assert_eq!(created(10), [[1, 2, 3, 4, 5, 6]]);
        assert_eq!(created(6), [[1, 2, 3, 4, 5, 6]], "there is no more");
        assert_eq!(created(4), [vec![1, 2, 3, 4], vec![5, 6]]);
        assert_eq!(created(3), [[1, 2, 3], [4, 5, 6]]);
        let next = |limit| pages(&stage, JobOrder::Next, &all, limit, looks);
        assert_eq!(next(10), [[1, 5, 4, 2, 3, 6]], "those that are never due again come last");
        assert_eq!(next(2), [[1, 5], [4, 2], [3, 6]]);
        assert_eq!(next(4), [vec![1, 5, 4, 2], vec![3, 6]]);
    }
}

#[test]
fn jobs_are_found_by_how_they_stand_and_where_they_post_to() {
    let mut stage = stage();
    let found = |stage: &Stage, filter: &JobFilter| pages(stage, JobOrder::Created, filter, 10, 100).concat();
    let standing = |stage: &Stage, state| {
        let filter = JobFilter { state: Some(state), target: None };
        assert!(!filter.is_none());
        let keys = found(stage, &filter);
        let listed = stage.core.visible_of([9, 6, 5, 4, 3, 2, 1].map(JobKey).to_vec(), &filter, stage.now.wall);
        assert!(listed.iter().rev().map(|key| key.0).eq(keys.iter().copied()), "{state:?}");
        keys
    };
    for (state, keys) in [
        (JobState::Active, &[1, 4, 5][..]),
        (JobState::Paused, &[2, 6]),
        (JobState::Ended, &[3]),
        (JobState::Held, &[]),
        (JobState::Failing, &[1]),
        (JobState::AutoPaused, &[6]),
    ] {
        assert_eq!(standing(&stage, state), keys, "{state:?}");
    }
    let to = |target| found(&stage, &JobFilter { state: Some(JobState::Active), target: Some(target) });
    let exactly = |port| TargetFilter::Exactly(Target { https: false, host: "a".into(), port });
    assert_eq!(to(TargetFilter::Host("a".into())), [1, 4, 5]);
    assert_eq!(to(TargetFilter::Host("b".into())), [0; 0]);
    assert_eq!((to(exactly(80)), to(exactly(81))), (vec![1, 4, 5], vec![]));
    // A clock that steps back holds whatever would fire again.
    stage.now.wall = stage.now.wall.plus_us(-60_000_000);
    assert_eq!((standing(&stage, JobState::Held), standing(&stage, JobState::Active)), (vec![1, 3, 4, 5], vec![]));
}

#[test]
fn what_fires_next_is_told_in_that_order_and_once() {
    let mut stage = stage();
    let next = |stage: &Stage, limit| -> Vec<u64> {
        stage.core.next_to_fire(limit, stage.now.wall).iter().map(|view| view.revision.id.key().0).collect()
    };
    assert_eq!(next(&stage, 10), [1, 5, 4]);
    stage.pass(9);
    assert_eq!(stage.core.load(stage.now.wall).armed, 1);
    assert_eq!(next(&stage, 10), [1, 5, 4], "one is armed, and will be again");
    assert_eq!((next(&stage, 2), next(&stage, 0)), (vec![1, 5], vec![]));
    let views = stage.core.views_of([4, 9, 1].map(JobKey).into_iter(), stage.now.wall);
    let told = |view: JobView| (view.revision.id.key().0, view.next.map(|next| next.as_secs() - START));
    assert_eq!(
        views.into_iter().map(|view| view.map(told)).collect::<Vec<_>>(),
        [Some((4, Some(3_600))), None, Some((1, Some(20)))]
    );
}

#[test]
fn what_is_armed_comes_before_what_fires_later() {
    let job = |schedule: &str| format!(r#""schedule":"{schedule}","type":"ATLEAST_ONCE""#);
    let jobs = [job("@hourly"), job("0 * * * * *")];
    let mut stage = Stage::at(START + 3_595, &jobs.each_ref().map(String::as_str), Vec::new());
    stage.pass(4);
    assert_eq!(stage.core.load(stage.now.wall).armed, 2);
    // Both fire in a second; the second one is armed again long before the first.
    let next = stage.core.next_to_fire(10, stage.now.wall);
    assert_eq!(next.iter().map(|view| view.revision.id.key().0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn it_runs_from_its_start_to_its_drain() {
    let mut stage = stage();
    assert!(stage.core.is_running());
    stage.feed(Input::Drain);
    assert!(!stage.core.is_running());
    assert_eq!((stage.core.counts().fired, stage.core.counts().retried), (2, 0));
}

#[test]
fn what_the_store_keeps_as_a_number_comes_back() {
    for code in 0..=u8::MAX {
        assert_eq!(Kind::from_code(code).map(Kind::code), (code < 4).then_some(code));
        assert_eq!(Status::from_code(code).map(Status::code), (code < 4).then_some(code));
        assert_eq!(Class::from_code(code).map(Class::code), (code < 5).then_some(code));
    }
}

#[test]
fn a_target_is_told_of_what_does_not_come_at_its_time() {
    let attempt = stage_attempt();
    let late = |class| Attempt { class, ..attempt.clone() }.is_late();
    assert!(!late(Class::OnTime) && !late(Class::Manual));
    assert!(late(Class::Recovered) && late(Class::CatchUp) && late(Class::Waited));
}

fn stage_attempt() -> Attempt {
    let mut stage = Stage::of(&[r#""schedule":"* * * * * *","type":"ATLEAST_ONCE""#], Vec::new());
    stage.pass(1);
    stage.fired.remove(0)
}

#[test]
fn what_is_to_be_written_says_whether_anybody_waits_for_it_and_how_much_it_is() {
    let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(START));
    let pending = LedgerRow::pending(Seq(1), key, Class::OnTime);
    let mut ended = pending.clone();
    ended.record.status = Status::Success;
    let row = |row: &LedgerRow, news: Option<RowNews>| Persist::Row(row.clone(), news.map(Box::new));
    assert!(row(&pending, None).is_awaited());
    assert!(!row(&ended, None).is_awaited(), "a crash costs a repeated POST");
    assert!(row(&ended, Some(RowNews::default())).is_awaited());
    assert!(Persist::Remove(Seq(1)).is_awaited());
    let runs = Persist::Runs(vec![pending.clone(); 3]);
    assert_eq!((row(&ended, None).rows(), Persist::Remove(Seq(1)).rows(), runs.rows()), (1, 1, 3));
    for (attempt, retries) in [(0, 0), (1, 0), (2, 1), (5, 4)] {
        ended.record.attempt = attempt;
        assert_eq!(ended.record.retry_count(), retries);
    }
}

#[test]
fn a_look_that_is_cut_short_goes_on_behind_what_it_looked_at_if_the_order_allows_that() {
    let stage = stage();
    let looking = |order| {
        let failing = JobFilter { state: Some(JobState::Paused), target: None };
        let mut listing = Listing::new(order, failing, None, 10);
        assert!(!listing.advance(&stage.core, 4, stage.now.wall));
        listing.cut_short()
    };
    let (found, next) = looking(JobOrder::Created).expect("what comes is known");
    assert_eq!(found, [JobKey(2)]);
    assert_eq!(next, Some(Place { next: Instant::FIRST, job: JobKey(4) }));
    assert_eq!(looking(JobOrder::Next), None, "any of the others may be due before");
}

#[test]
fn a_listing_says_what_whoever_else_looks_must_know() {
    let standing = |state| JobFilter { state: Some(state), target: None };
    let after = Place { next: Instant::FIRST, job: JobKey(7) };
    for (order, filter, by_views, of_memory) in [
        (JobOrder::Created, JobFilter::default(), false, false),
        (JobOrder::Next, JobFilter::default(), true, false),
        (JobOrder::Created, standing(JobState::Paused), true, false),
        (JobOrder::Created, standing(JobState::Held), true, true),
    ] {
        let listing = Listing::new(order, filter.clone(), Some(after), 25);
        let told = (listing.order(), listing.limit(), listing.goes_by_views(), listing.is_of_memory());
        assert_eq!(told, (order, 25, by_views, of_memory));
        assert_eq!(filter.is_of_memory(), of_memory);
        assert_eq!(listing.reached(), (order == JobOrder::Created).then_some(JobKey(7)), "where all are looked at");
    }
    let mut listing = Listing::new(JobOrder::Created, JobFilter::default(), None, 2);
    assert_eq!([1, 2, 3].map(|key| listing.note(JobKey(key))), [false, false, true], "there is one more");
    assert_eq!(listing.reached(), Some(JobKey(3)));
}

#[test]
fn a_job_of_elsewhere_goes_on_as_its_totals_tell() {
    let job = r#""schedule":"0 * * * * *","type":"ATLEAST_ONCE""#;
    let now = WallUs::of(Instant::from_secs(START + 90));
    let next = |members: &str, runs: u64, finished: (u32, i64)| {
        let mut stored = stored(1, &format!("{job}{members}"));
        stored.totals.tally.counters.runs = runs;
        stored.totals.finished_through = Some((finished.0, Instant::from_secs(START + finished.1)));
        let view = stored.view(now);
        assert!(!view.held);
        view.next.map(|next| next.as_secs() - START)
    };
    assert_eq!(next("", 0, (0, 60)), Some(120));
    assert_eq!(next("", 0, (0, 600)), Some(660), "its clock was ahead");
    assert_eq!(next("", 0, (1, 600)), Some(120), "that was before a release, or comes after one");
    let of_two = [0, 1, 2, 3].map(|runs| next(r#","maxRuns":2"#, runs, (0, 60)));
    assert_eq!(of_two, [Some(120), Some(120), None, None]);
    assert_eq!(next(r#","active":false"#, 0, (0, 60)), None);
    assert_eq!(next(r#","active":false,"maxRuns":2"#, 0, (0, 60)), None);
}

#[test]
fn a_herd_is_counted_over_jobs_that_share_a_schedule_and_jobs_that_do_not() {
    let (hourly, daily) =
        (r#""schedule":"@hourly","type":"ATLEAST_ONCE""#, r#""schedule":"@daily","type":"ATLEAST_ONCE""#);
    let rests = format!(r#"{hourly},"active":false"#);
    let stage = Stage::of(&[hourly, hourly, daily, hourly, &rests, daily], Vec::new());
    let herd =
        |second, except: Option<u64>| stage.core.herd(Instant::from_secs(START + second), except.map(id), 100).jobs;
    assert_eq!((herd(3_600, None), herd(3_600, Some(1)), herd(86_400, None), herd(60, None)), (3, 2, 5, 0));
}

#[test]
fn targets_are_looked_at_some_at_a_time() {
    let job = r#""schedule":"@hourly","type":"ATLEAST_ONCE""#;
    let stage = Stage::of(&[job, &format!(r#"{job},"api":"http://b/""#)], Vec::new());
    let mut ranking = Ranking::new(10);
    assert_eq!([1, 1].map(|looks| ranking.advance(&stage.core, looks)), [false, true]);
    let (found, total) = ranking.end();
    let hosts: Vec<&str> = found.iter().map(|view| &*view.target.host).collect();
    assert_eq!((hosts, total), (vec!["a", "b"], 2));
}

#[test]
fn a_job_is_there_by_its_whole_id() {
    let stage = stage();
    let ids = [id(1), id(9), JobId::new(JobKey(1), [0; 10])];
    assert_eq!(ids.map(|id| stage.core.has_job(id)), [true, false, false]);
}
