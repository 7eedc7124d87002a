//! Owns the comparison of the three ledgers: what clients were told, what the receiver got, what history says.
//! It must not repair or forgive: what does not fit is named with its category.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use crate::ledgers::{Form, Posts, Told, Tracked};
use crate::support::api::Api;
use crate::support::history::{instant_of, span_of};

/// How many of a category are named.
const NAMED_MAX: usize = 6;
/// How long what was changed may still be on its way to the receiver as it was.
const ON_ITS_WAY_US: i64 = 500_000;

/// When something was wrong, in microseconds since 1970, until all was well again.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub from_us: i64,
    pub to_us: i64,
}

/// What does not fit, by category, and what is only counted.
#[derive(Default)]
pub struct Verdict {
    lost: BTreeMap<&'static str, Vec<String>>,
    pub rows: u64,
    pub repeats: u64,
    pub of_another_epoch: u64,
    /// Those that came from an older owner after a newer one had sent it.
    pub of_an_older_epoch: u64,
    /// POSTs to where a job was sent before an acknowledged change.
    pub outdated: u64,
}

impl Verdict {
    pub fn add(&mut self, category: &'static str, what: String) {
        self.lost.entry(category).or_default().push(what);
    }

    pub fn is_clean(&self) -> bool {
        self.lost.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  lost or wrong: {}", self.lost.values().map(Vec::len).sum::<usize>())?;
        for (category, found) in &self.lost {
            write!(f, "\n    {} {category}", found.len())?;
            for what in found.iter().take(NAMED_MAX) {
                write!(f, "\n      {what}")?;
            }
        }
        Ok(())
    }
}

/// All that is known at the end.
pub struct Known<'a> {
    pub apis: &'a [Api],
    pub jobs: &'a [Tracked],
    pub posts: &'a Posts,
    pub windows: &'a [Window],
    /// Instants up to this one have come to their end.
    pub settled: i64,
}

impl Known<'_> {
    pub fn compare(&self) -> Verdict {
        let mut verdict = Verdict::default();
        self.posts.wrong.iter().for_each(|what| verdict.add("POSTs early, or under a wrong key", what.clone()));
        for what in &self.posts.again {
            verdict.add("executions sent again that are to be sent at most once", what.clone());
        }
        for what in self.posts.overlaps() {
            verdict.add("executions that ran beside another one of their job, and must not", what);
        }
        let shown: Vec<HashMap<String, Form>> = self.apis.iter().map(shown_jobs).collect();
        for other in &shown[1..] {
            if *other != shown[0] {
                let differ = shown[0].iter().find(|(id, form)| other.get(*id) != Some(form));
                verdict
                    .add("nodes that list other jobs", format!("{} and {}: {differ:?}", shown[0].len(), other.len()));
            }
        }
        self.compare_jobs(&shown[0], &mut verdict);
        let mut recorded = HashSet::new();
        for (place, job) in self.jobs.iter().enumerate() {
            let api = &self.apis[place % self.apis.len()];
            let by_url = || shown[0].iter().find(|(_, form)| job.forms.contains(form)).map(|(id, _)| id);
            if let Some(id) = job.id.as_ref().or_else(by_url) {
                self.compare_history(api, id, job, &mut recorded, &mut verdict);
            }
            self.look_for_refused(job, &mut verdict);
            self.look_for_outdated(job, &mut verdict);
        }
        for (key, sent) in &self.posts.sent {
            let is_due = sent.iter().all(|sent| sent.at_us <= self.settled * 1_000_000);
            if is_due && !recorded.contains(key) {
                verdict.add("POSTs without a row", format!("{key}: {sent:?}"));
            }
        }
        self.look_for_repeats(&mut verdict);
        verdict
    }

    fn compare_jobs(&self, shown: &HashMap<String, Form>, verdict: &mut Verdict) {
        let mut known = HashSet::new();
        for job in self.jobs {
            let Some(id) = &job.id else { continue };
            known.insert(id);
            match (shown.get(id), job.deletion) {
                (None, Told::Done(_) | Told::Unknown(_)) => {}
                (Some(_), Told::Done(_)) => verdict.add("acknowledged deletions undone", format!("{job:?}")),
                (Some(form), _) if job.forms.contains(form) => {}
                (found, _) => verdict.add("acknowledged jobs missing or different", format!("{found:?} of {job:?}")),
            }
        }
        // What is left must come from creations of which nobody knew, each of them once.
        let mut open: Vec<&Form> = self.jobs.iter().filter(|job| job.id.is_none()).flat_map(|job| &job.forms).collect();
        for (id, form) in shown.iter().filter(|(id, _)| !known.contains(id)) {
            match open.iter().position(|other| *other == form) {
                Some(place) => drop(open.swap_remove(place)),
                None => verdict.add("jobs nobody asked for, or there twice", format!("{id}: {form:?}")),
            }
        }
    }

    fn compare_history(
        &self,
        api: &Api,
        id: &str,
        job: &Tracked,
        recorded: &mut HashSet<String>,
        verdict: &mut Verdict,
    ) {
        let path = format!("/api/jobs/{id}/executions?limit=1000");
        // A deleted job without a history leaves nothing behind, not even its name.
        let is_gone = job.deletion != Told::No && api.send("GET", &path, None).status == 404;
        let rows = if is_gone { Vec::new() } else { api.pages(&path, "executions") };
        let (mut instants, mut manual) = (HashMap::new(), HashMap::new());
        for row in rows {
            verdict.rows += 1;
            let key = row["executionId"].as_str().expect("it is a text").to_owned();
            let is_due = instant_of(&row) <= self.settled;
            if is_due && row["status"] == "PENDING" {
                verdict.add("rows still PENDING", row.to_string());
            }
            let sent = self.posts.sent.get(&key);
            if is_due && row["status"] == "SUCCESS" && sent.is_none() {
                verdict.add("SUCCESS of what never came", row.to_string());
            }
            if !recorded.insert(key.clone()) {
                verdict.add("executions in two rows", row.to_string());
            }
            if row["kind"] == "manual" {
                manual.insert(key, row);
                continue;
            }
            for second in span_of(&row) {
                if let Some(other) = instants.insert(second, row.clone()) {
                    verdict.add("instants in two rows", format!("{second}: {other} and {row}"));
                }
            }
        }
        self.compare_runs(job, &manual, verdict);
        if job.id.is_none() {
            // Nobody promised this job anything.
            return;
        }
        for second in job.since + 1..=job.until(self.settled) {
            let row = instants.get(&second);
            // The row of what is deleted while it is on its way says so.
            let says_why =
                row.is_some_and(|row| job.is_strict || row["status"] == "SUCCESS" || is_of_deletion(row, job));
            if !says_why {
                let near = [second - 1, second + 1].map(|near| instants.get(&near));
                verdict.add("instants that were not sent", format!("{second}: {row:?} between {near:?} of {job:?}"));
            }
        }
    }

    fn compare_runs(&self, job: &Tracked, manual: &HashMap<String, Value>, verdict: &mut Verdict) {
        for id in &job.runs {
            match manual.get(id) {
                Some(row) if row["status"] == "SUCCESS" || is_of_deletion(row, job) => {}
                found => verdict.add("acknowledged runs missing or not sent", format!("{id}: {found:?}")),
            }
        }
        if manual.len() > job.runs.len() + job.maybe_runs {
            let found: Vec<&String> = manual.keys().filter(|id| !job.runs.contains(*id)).collect();
            verdict.add(
                "runs nobody asked for, or refused",
                format!("{found:?} beside {} maybe: {job:?}", job.maybe_runs),
            );
        }
    }

    /// What was refused did not happen.
    fn look_for_refused(&self, job: &Tracked, verdict: &mut Verdict) {
        for url in &job.refused {
            if self.posts.times.contains_key(path_of(url)) {
                verdict.add("POSTs by what was refused", format!("{url}: {job:?}"));
            }
        }
    }

    /// What was acknowledged counts.
    fn look_for_outdated(&self, job: &Tracked, verdict: &mut Verdict) {
        for pair in job.urls.windows(2) {
            let ((_, before), (at_us, _)) = (&pair[0], &pair[1]);
            for came in self.posts.times.get(path_of(before)).into_iter().flatten() {
                if *came > at_us + ON_ITS_WAY_US {
                    verdict.outdated += 1;
                    if !self.is_within_a_fault(*came) {
                        verdict
                            .add("POSTs by what an acknowledged change ended", format!("{before} at {came}: {job:?}"));
                    }
                }
            }
        }
    }

    fn look_for_repeats(&self, verdict: &mut Verdict) {
        let mut same = Vec::new();
        for (key, sent) in &self.posts.sent {
            let mut newest = 0;
            for pair in sent.windows(2) {
                let [before, after] = pair else { continue };
                newest = before.epoch.max(newest);
                verdict.repeats += 1;
                verdict.of_another_epoch += u64::from(after.epoch != before.epoch);
                verdict.of_an_older_epoch += u64::from(after.epoch < newest);
                if after.attempt == before.attempt {
                    same.push(format!("{key}: {pair:?}"));
                }
                if !self.is_within_a_fault(after.at_us) {
                    verdict.add("repeats while nothing was wrong", format!("{key}: {pair:?}"));
                }
            }
        }
        // Whoever sends it again says so, and it is on disk before: nobody else has it by then.
        for what in same {
            verdict.add("attempts that were sent twice, as if by two owners", what);
        }
    }

    fn is_within_a_fault(&self, at_us: i64) -> bool {
        self.windows.iter().any(|window| (window.from_us..=window.to_us).contains(&at_us))
    }
}

/// Whether something was not sent as its job was deleted.
fn is_of_deletion(row: &Value, job: &Tracked) -> bool {
    job.deletion != Told::No && row["errorMessage"].as_str().is_some_and(|text| text.contains("deleted"))
}

fn path_of(url: &str) -> &str {
    let path = url.match_indices('/').nth(2).expect("a URL has a path").0;
    &url[path..]
}

/// Every job that a node lists.
fn shown_jobs(api: &Api) -> HashMap<String, Form> {
    let jobs = api.pages("/api/jobs?limit=1000", "jobs");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    jobs.iter().map(|job| (text(&job["jobId"]), Form { url: text(&job["api"]), tag: text(&job["tags"][0]) })).collect()
}
