//! Many jobs and a long history: the first page of everything is there soon, by few and small answers, and goes on.
//! It must not fill its store through the API, which would take longer than what it is about.

use std::path::Path;
use std::time::Instant as Clock;

use punctual::core::{Class, Counters, ExecutionKey, LastOutcome, Record, Status, Tally, Totals};
use punctual::job::{Context, Definition, JobId, JobKey, JobSpec, Revision};
use punctual::store;
use punctual::time::{Instant, WallUs};
use serde_json::json;

use super::{Person, Setup};
use crate::support::browser::Browser;
use crate::support::receiver::Receiver;
use crate::support::wall_us;

/// No answer is larger, unpacked.
const ANSWER_LEN_MAX: u64 = 1_000_000;
/// A first page asks no more than so many times until it can be used, its own files apart.
const ASKED_MAX: u64 = 45;
const DURATION_US: u64 = 900;

/// A number that a variable may say.
fn number(variable: &str, otherwise: u64) -> u64 {
    let said = std::env::var(variable).ok();
    said.map_or(otherwise, |text| text.parse().unwrap_or_else(|why| panic!("{variable}: {why}")))
}

/// Makes a database with so many jobs, one of a hundred of them failing, and so many executions of them altogether.
fn fill(db: &Path, jobs: u64, rows: u64) {
    let each = rows.div_ceil(jobs);
    let last = Instant::from_secs(wall_us() / 1_000_000 / 3600 * 3600);
    let instant = |back: u64| Instant::from_secs(last.as_secs() - i64::try_from(back).expect("it is small") * 3600);
    let since = instant(each + 1);
    let status = |job: u64| if job % 100 == 7 { Status::Failed } else { Status::Success };
    let owners = (1..=jobs).map(|job| {
        let definition = Definition {
            name: Some(format!("job {job}")),
            tags: Some(vec![format!("group {}", job % 50)]),
            // All within the hour, none in the first minutes of it, as the others are due in the test.
            ..Definition::plain(
                &format!("{} {} * * * *", job % 60, 5 + job % 50),
                &format!("http://127.0.0.1:9/{}", job % 10),
            )
        };
        let spec = JobSpec::compile(&definition, &Context::at(since)).expect("it is a job");
        let id = JobId::new(JobKey(job), [5; 10]);
        let is_failed = status(job) == Status::Failed;
        let (success, failed) = if is_failed { (0, each) } else { (each, 0) };
        let counters = Counters {
            success,
            failed,
            timed: each,
            duration_us: each * DURATION_US,
            runs: each,
            ..Counters::default()
        };
        let outcome = LastOutcome { instant: last, status: status(job), http_status: Some(200) };
        let tally = Tally { counters, last: Some(outcome), failures_in_row: u32::from(is_failed), last_success: None };
        // Whatever else it was due for is over.
        let through = Instant::from_secs(wall_us() / 1_000_000);
        (Revision::first(id, spec, WallUs::of(since)), Totals { tally, finished_through: Some((0, through)) })
    });
    let executions = (0..rows).map(|row| {
        let (job, back) = (row / each + 1, each - 1 - row % each);
        let executed = Some(WallUs::of(instant(back)).plus_us(350));
        let record = Record {
            status: status(job),
            executed,
            http_status: Some(if status(job) == Status::Failed { 500 } else { 200 }),
            duration_us: Some(DURATION_US),
            error: (status(job) == Status::Failed).then(|| "HTTP 500".into()),
            ..Record::pending(Class::OnTime)
        };
        (ExecutionKey::scheduled(JobKey(job), instant(back)), record)
    });
    store::fill(db, owners, executions).expect("it is filled");
}

/// Of what was asked of the API: how much, and the size of the largest answer.
const ASKED: &str = "const asked = performance.getEntriesByType('resource').filter(one => new URL(one.name).pathname.startsWith('/api/')
        && !one.name.includes('/api/events'));
    return [asked.length, Math.max(...asked.map(one => one.decodedBodySize))]";

impl Person {
    /// Opens an address and waits until this is true; how long that took in milliseconds, by the browser's clock from the
    /// moment it began to go there, and how often and how much it asked until then.
    fn times(&self, path: &str, what: &str, is_usable: &str) -> [u64; 3] {
        let begin = Clock::now();
        self.opens(path);
        // Watched within the page, so that looking costs nothing.
        let script = format!(
            "const isUsable = () => {{ {is_usable} }};
            while (!isUsable()) await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            return performance.now()"
        );
        let took = self.browser.run_async(&script, &[]).as_f64().expect("it is a number");
        let asked = self.run(ASKED, &[]);
        let member = |place: usize| asked[place].as_u64().expect("it is a number");
        let (asked, largest) = (member(0), member(1));
        println!(
            "{path}: {what} after {took:.0} ms ({} ms with the browser's own), {asked} requests, the largest answer {largest} bytes",
            begin.elapsed().as_millis()
        );
        assert!(largest <= ANSWER_LEN_MAX, "{path}: an answer of {largest} bytes");
        assert!(asked <= ASKED_MAX, "{path}: {asked} requests");
        [took as u64, asked, largest]
    }
}

#[test]
fn the_first_pages_of_many_jobs_and_a_long_history_are_there_soon() {
    let (jobs, rows) = (number("PUNCTUAL_PAGE_JOBS", 5_000), number("PUNCTUAL_PAGE_ROWS", 50_000));
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    fill(&folder.path().join("p.db"), jobs, rows);
    let test = Setup::with(browser, folder, Receiver::start());
    assert_eq!(test.api().get("/api/metrics")["scheduler"]["totalJobs"], json!(jobs));
    let person = &test.person;
    println!("{jobs} jobs, {rows} rows");
    let rows = "return document.querySelectorAll('main tbody tr').length >= 20";
    let lists = [
        (
            "/jobs",
            "25 jobs with their strips and words",
            "return document.querySelectorAll('main svg.strip rect').length >= 25",
        ),
        ("/jobs?sort=name", "25 jobs", "return document.querySelectorAll('main svg.strip').length === 25"),
        ("/jobs?sort=next", "25 jobs", "return document.querySelectorAll('main svg.strip').length === 25"),
        ("/jobs?q=job+1", "25 jobs", "return document.querySelectorAll('main svg.strip').length === 25"),
        ("/jobs?state=failing", "25 jobs", "return document.querySelectorAll('main svg.strip').length >= 25"),
        ("/executions", "50 executions", rows),
        ("/executions?status=FAILED", "50 executions", rows),
    ];
    person.times("/", "its tiles, strip and lists", "return document.querySelectorAll('main tbody tr').length >= 20 && document.querySelectorAll('.tile').length > 3");
    for (path, what, is_usable) in lists {
        person.times(path, what, is_usable);
        let next = person.run("return document.querySelector('nav.pager a.next')?.search ?? ''", &[]);
        assert!(next.as_str().is_some_and(|query| query.contains("cursor=")), "{path} ends without a cursor");
    }
    person.times(
        "/timeline",
        "the minutes and thirty lanes",
        "return document.querySelectorAll('main svg.lane').length >= 30",
    );
    person.times("/alerts", "incidents and channels", "return document.querySelectorAll('main table').length > 3");
    person.times("/alerts/log", "the alerts", "return document.querySelector('main table') !== null");
    person.times("/system", "the figures", "return document.querySelectorAll('.tile').length > 3");
    let id = JobId::new(JobKey(7), [5; 10]);
    person.times(
        &format!("/jobs/{id}"),
        "its charts and ten instants",
        "return document.querySelector('svg.plot') !== null
        && document.querySelectorAll('main table').length >= 2",
    );

    // Whoever turns a page keeps going, also at the end of what is shown first.
    person.opens("/executions");
    for _ in 0..3 {
        let before = person.rows("Executions");
        person.presses("next page");
        person.reads_rows("Executions", "another page", |now| now.len() == 50 && now.first() != before.first());
    }
    person.complains_of_nothing(&[]);
}
