//! Owns the comparison of the three ledgers, through the API of a server started for it.
//! It must not repair or forgive: what does not fit is named with its category.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::asked::Asked;
use crate::ledgers::{Deletion, Posts, Spec, Tracked, outcome_of};
use crate::support::aged::Aged;
use crate::support::api::Api;
use crate::support::history::{instant_of, span_of};
use crate::support::second_of;

/// How many of a category are named.
const NAMED_MAX: usize = 5;
/// How often a job is looked at that goes on meanwhile.
const TRIES: u32 = 50;

/// What history holds.
#[derive(Debug, Default)]
pub struct Rows {
    total: u64,
    success: u64,
    failed: u64,
    skipped: u64,
    pending: u64,
    covering: u64,
    covered: i64,
    late: u64,
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rows { total, success, failed, skipped, pending, covering, covered, late } = self;
        write!(
            f,
            "{total} rows: {success} SUCCESS, {failed} FAILED, {skipped} SKIPPED, {pending} PENDING (not due); "
        )?;
        write!(f, "{late} of them late, {covering} of them cover {covered} instants")
    }
}

/// What does not fit, by category.
#[derive(Debug, Default)]
pub struct Lost {
    pub rows: Rows,
    categories: Vec<(&'static str, u64, Vec<String>)>,
}

const CATEGORIES: [&str; 16] = [
    AGED,
    COUNTED,
    ASKED_FOR,
    JOB_MISSING,
    JOB_BACK,
    JOB_UNKNOWN,
    INSTANT_MISSING,
    INSTANT_TWICE,
    UNSEEN_OUTCOME,
    UNRECORDED_POST,
    STILL_PENDING,
    TWO_OUTCOMES,
    WRONG_COVERS,
    WRONG_ID,
    SENT_AGAIN,
    OVERLAP,
];
const AGED: &str = "old jobs that are not as they were";
const COUNTED: &str = "jobs whose counters, last outcome or series differ from their history";
const ASKED_FOR: &str = "runs, replays and backfills that are not as they were acknowledged";
const JOB_MISSING: &str = "acknowledged jobs missing or different";
const JOB_BACK: &str = "acknowledged deletions undone";
const JOB_UNKNOWN: &str = "jobs nobody asked for, or there twice";
const INSTANT_MISSING: &str = "due instants without a row";
const INSTANT_TWICE: &str = "instants in two rows";
const UNSEEN_OUTCOME: &str = "outcomes the receiver never gave";
const UNRECORDED_POST: &str = "POSTs without a row";
const STILL_PENDING: &str = "rows still PENDING";
const TWO_OUTCOMES: &str = "execution ids with two outcomes";
const WRONG_COVERS: &str = "rows whose count of covered instants is wrong";
const WRONG_ID: &str = "POSTs with another id than their instant's, or early";

const SENT_AGAIN: &str = "executions sent again that are to be sent at most once";
const OVERLAP: &str = "executions that ran beside another one of their job, and must not";

impl Lost {
    fn add(&mut self, category: &'static str, what: impl FnOnce() -> String) {
        let found = self.categories.iter_mut().find(|(name, ..)| *name == category).expect("it is listed");
        found.1 += 1;
        if found.2.len() < NAMED_MAX {
            found.2.push(what());
        }
    }

    pub fn is_nothing(&self) -> bool {
        self.categories.iter().all(|&(_, count, _)| count == 0)
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  lost = {}", self.categories.iter().map(|&(_, count, _)| count).sum::<u64>())?;
        for (name, count, examples) in &self.categories {
            write!(f, "\n    {count} {name}")?;
            for example in examples {
                write!(f, "\n      {example}")?;
            }
        }
        Ok(())
    }
}

/// Compares the ledgers; instants up to `settled` must have come to their end.
pub fn compare(api: &Api, jobs: &[Tracked], asked: &[Asked], posts: &Posts, aged: &Aged, settled: i64) -> Lost {
    let categories = CATEGORIES.iter().map(|&name| (name, 0, Vec::new())).collect();
    let mut lost = Lost { categories, ..Lost::default() };
    let mut shown = shown_jobs(api, &mut lost);
    shown.retain(|id, _| !aged.is_one(id) && !asked.iter().any(|asked| asked.is_of(id)));
    aged.compare(api).into_iter().for_each(|what| lost.add(AGED, || what));
    for id in shown.keys() {
        if let Err(what) = compare_counts(api, id) {
            lost.add(COUNTED, || what);
        }
    }
    compare_jobs(&shown, jobs, &mut lost);
    // A creation that was not answered may have happened: its history is read under the id the server shows.
    let by_url: HashMap<&str, &String> = shown.iter().map(|(id, spec)| (spec.1.as_str(), id)).collect();
    let mut recorded = HashSet::new();
    for job in jobs {
        let Some(id) = job.id.as_ref().or_else(|| by_url.get(job.spec.1.as_str()).copied()) else { continue };
        compare_history(api, id, job, posts, settled, &mut recorded, &mut lost);
    }
    for what in asked.iter().flat_map(|asked| asked.compare(api, posts, settled, &mut recorded)) {
        lost.add(ASKED_FOR, || what);
    }
    for id in posts.seen.keys().filter(|&id| !recorded.contains(id)) {
        lost.add(UNRECORDED_POST, || id.clone());
    }
    for what in &posts.wrong_ids {
        lost.add(WRONG_ID, || what.clone());
    }
    for id in &posts.again {
        lost.add(SENT_AGAIN, || id.clone());
    }
    for what in posts.overlaps() {
        lost.add(OVERLAP, || what);
    }
    for _ in 0..posts.early {
        lost.add(WRONG_ID, || "a POST came early".to_owned());
    }
    lost
}

/// Every job the server lists, by id.
fn shown_jobs(api: &Api, lost: &mut Lost) -> HashMap<String, Spec> {
    let mut shown = HashMap::new();
    for job in api.pages("/api/jobs?limit=1000", "jobs") {
        let text = |name: &str| job[name].as_str().expect("it is a text").to_owned();
        if shown.insert(text("jobId"), (text("schedule"), text("api"))).is_some() {
            lost.add(JOB_UNKNOWN, || job.to_string());
        }
    }
    shown
}

fn compare_jobs(shown: &HashMap<String, Spec>, jobs: &[Tracked], lost: &mut Lost) {
    let mut asked = HashSet::new();
    for job in jobs.iter() {
        let Some(id) = &job.id else { continue };
        asked.insert(id.as_str());
        match (shown.get(id), job.deletion) {
            (None, Deletion::Acknowledged(_) | Deletion::Unanswered(_)) => {}
            (Some(_), Deletion::Acknowledged(_)) => lost.add(JOB_BACK, || format!("{job:?}")),
            (Some(spec), Deletion::None | Deletion::Unanswered(_)) if job.allows(spec) => {}
            (found, Deletion::None | Deletion::Unanswered(_)) => {
                lost.add(JOB_MISSING, || format!("{found:?} instead of {job:?}"));
            }
        }
    }
    // What is left must come from creations without an answer, each of them once.
    let mut open: HashSet<&Spec> = jobs.iter().filter(|job| job.id.is_none()).map(|job| &job.spec).collect();
    for (id, spec) in shown.iter().filter(|(id, _)| !asked.contains(id.as_str())) {
        if !open.remove(spec) {
            lost.add(JOB_UNKNOWN, || format!("{id} {spec:?}"));
        }
    }
}

fn compare_history(
    api: &Api,
    id: &str,
    job: &Tracked,
    posts: &Posts,
    settled: i64,
    recorded: &mut HashSet<String>,
    lost: &mut Lost,
) {
    // Each instant with the row it is in.
    let mut instants: HashMap<i64, String> = HashMap::new();
    let path = format!("/api/jobs/{id}/executions?limit=1000");
    // A deleted job without a history leaves nothing behind, not even its name.
    let is_gone = job.deletion != Deletion::None && api.send("GET", &path, None).status == 404;
    let rows = if is_gone { Vec::new() } else { api.pages(&path, "executions") };
    for row in rows {
        let execution = row["executionId"].as_str().expect("it is a text").to_owned();
        let instant = instant_of(&row);
        count_row(&row, &mut lost.rows);
        if row["status"] == "PENDING" && instant <= settled {
            lost.add(STILL_PENDING, || row.to_string());
        }
        let seen = posts.seen.get(&execution);
        // This server fires, too, and nobody takes note of what it sends.
        let answered = instant <= settled && row["httpStatus"].is_u64();
        let accepted = instant <= settled && row["status"] == "SUCCESS";
        if (answered && seen.is_none()) || (accepted && seen.is_none_or(|seen| seen.accepted == 0)) {
            lost.add(UNSEEN_OUTCOME, || row.to_string());
        }
        if row["covers"]["more"] == false && row["covers"]["count"] != span_of(&row).count() {
            lost.add(WRONG_COVERS, || row.to_string());
        }
        for second in span_of(&row) {
            if let Some(other) = instants.insert(second, execution.clone()) {
                lost.add(INSTANT_TWICE, || format!("{second}: in {other} and in {row}"));
            }
        }
        let before = job.outcomes.get(&execution).cloned();
        let changed = before.is_some() && outcome_of(&row) != before;
        if !recorded.insert(execution) || changed {
            lost.add(TWO_OUTCOMES, || format!("{row}, before: {before:?}"));
        }
    }
    if job.id.is_none() {
        // Nobody promised this job anything.
        return;
    }
    for second in (job.since + 1..=job.until(settled)).filter(|second| !instants.contains_key(second)) {
        lost.add(INSTANT_MISSING, || {
            let near = [second - 1, second + 1].map(|near| instants.get(&near).cloned());
            format!("{second} of {job:?}, between {near:?}")
        });
    }
}

/// What is counted of a job is what its history has: its counters, how the latest ended, and its series.
fn compare_counts(api: &Api, id: &str) -> Result<(), String> {
    // The job goes on meanwhile, and what has ended is counted a moment before it is on disk.
    let mut looked = Ok(());
    for _ in 0..TRIES {
        looked = look_at_counts(api, id);
        if looked.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    looked
}

fn look_at_counts(api: &Api, id: &str) -> Result<(), String> {
    let rows = api.pages(&format!("/api/jobs/{id}/executions?limit=1000"), "executions");
    let series = api.get(&format!("/api/jobs/{id}/series?step=1d&from=2018-01-01T00:00:00Z"));
    let job = api.get(&format!("/api/jobs/{id}"));
    for status in ["SUCCESS", "FAILED", "SKIPPED"] {
        let count = rows.iter().filter(|row| row["status"] == status).count();
        let name = status.to_lowercase();
        let points = series["points"].as_array().expect("a list").iter();
        let summed: u64 = points.map(|point| point[&name].as_u64().expect("a number")).sum();
        if job["stats"][&name] != count || summed != count as u64 {
            return Err(format!("{id}: {count} {status}, counted {}, series {summed}", job["stats"][&name]));
        }
    }
    let latest = rows.iter().filter(|row| row["status"] != "PENDING").map(instant_of).max();
    let said = job["lastOutcome"]["scheduledTime"].as_str().map(second_of);
    if said == latest { Ok(()) } else { Err(format!("{id}: the last is {latest:?}, and said {said:?}")) }
}

fn count_row(row: &Value, rows: &mut Rows) {
    rows.total += 1;
    match row["status"].as_str() {
        Some("SUCCESS") => rows.success += 1,
        Some("FAILED") => rows.failed += 1,
        Some("SKIPPED") => rows.skipped += 1,
        _ => rows.pending += 1,
    }
    rows.late += u64::from(row["late"].is_string());
    if let Some(count) = row["covers"]["count"].as_i64() {
        rows.covering += 1;
        rows.covered += count;
    }
}
