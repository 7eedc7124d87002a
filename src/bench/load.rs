//! Owns what is asked of an API: jobs created, read and deleted, at once or at a set pace.
//! It must not open connections: `client` drives it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::client::{Answer, Next, Source};
use super::identity::print_instant;

/// A wait that the timer's own coarseness explains; a longer one counts as time the answer took.
const TIMER_SLOP: Duration = Duration::from_millis(2);
/// How long a refused creation (429, 503) rests until it is tried again.
const REFUSED_REST: Duration = Duration::from_millis(20);
/// Latencies are kept up to this, in microseconds.
const HIGHEST_US: u64 = 60_000_000;

/// When jobs are due.
#[derive(Clone, Debug)]
pub(super) struct When {
    pub(super) schedule: String,
    /// Only from the first of these Unix seconds on, and before the second.
    pub(super) between: Option<(u32, u32)>,
}

impl When {
    /// By this schedule, always.
    pub(super) fn by(schedule: &str) -> When {
        When { schedule: schedule.to_owned(), between: None }
    }
}

/// Creates jobs, each once, as fast as the API takes them.
pub(super) struct Create<'a> {
    host: &'a str,
    when: &'a When,
    url: &'a dyn Fn(u32) -> String,
    count: u32,
    /// How many with one request.
    batch: u32,
    given: u32,
    refused: Vec<u32>,
    rest_until: Option<Instant>,
    /// The ids of the jobs created, by their numbers.
    pub(super) ids: BTreeMap<u32, String>,
    /// The first answer that was neither of success nor a refusal for now.
    pub(super) failure: Option<String>,
}

impl<'a> Create<'a> {
    /// So many jobs that are due then, so many with one request; `url` says where job n POSTs to.
    pub(super) fn new(
        host: &'a str,
        when: &'a When,
        (count, batch): (u32, u32),
        url: &'a dyn Fn(u32) -> String,
    ) -> Create<'a> {
        let ids = BTreeMap::new();
        Create { host, when, url, count, batch, given: 0, refused: Vec::new(), rest_until: None, ids, failure: None }
    }

    /// How many jobs are created with the request that begins with this one.
    fn length(&self, first: u32) -> u32 {
        self.batch.min(self.count - first)
    }

    fn write(&self, out: &mut Vec<u8>, first: u32) {
        if self.batch == 1 {
            return write_create(out, self.host, self.when, &(self.url)(first));
        }
        let lines = (first..first + self.length(first)).map(|job| {
            let mut line = json!({ "create": definition(self.when, &(self.url)(job)) }).to_string();
            line.push('\n');
            line
        });
        write_post(out, self.host, ("/api/jobs/batch", "application/x-ndjson"), &lines.collect::<String>());
    }
}

impl Source for Create<'_> {
    fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        if self.failure.is_some() {
            return Next::Done;
        }
        let job = if self.given < self.count {
            let first = self.given;
            self.given += self.length(first);
            first
        } else {
            match self.rest_until {
                Some(until) if until > now && !self.refused.is_empty() => return Next::Wait(until),
                Some(_) | None => {}
            }
            match self.refused.pop() {
                Some(job) => job,
                None => return Next::Done,
            }
        };
        self.write(out, job);
        Next::Send { tag: job.into() }
    }

    fn answered(&mut self, answer: &Answer<'_>) {
        let job = u32::try_from(answer.tag).expect("it is the number of a job");
        match answer.status {
            200 | 201 => {
                let length = self.length(job);
                self.ids.extend((job..job + length).zip(ids_in(answer.body)));
                if !self.ids.contains_key(&(job + length - 1)) {
                    let text = String::from_utf8_lossy(answer.body);
                    self.failure.get_or_insert(format!("less than {length} jobs: {text}"));
                }
            }
            429 | 503 => {
                self.refused.push(job);
                self.rest_until = Some(answer.at + REFUSED_REST);
            }
            status => {
                let text = String::from_utf8_lossy(answer.body);
                self.failure.get_or_insert(format!("{status} {text}"));
            }
        }
    }
}

/// Deletes jobs.
pub(super) struct Delete<'a> {
    host: &'a str,
    ids: std::slice::Iter<'a, String>,
    /// Answers other than 204.
    pub(super) failures: u64,
}

impl<'a> Delete<'a> {
    /// These jobs.
    pub(super) fn new(host: &'a str, ids: &'a [String]) -> Delete<'a> {
        Delete { host, ids: ids.iter(), failures: 0 }
    }
}

impl Source for Delete<'_> {
    fn next(&mut self, _: Instant, out: &mut Vec<u8>) -> Next {
        let Some(id) = self.ids.next() else { return Next::Done };
        out.extend_from_slice(format!("DELETE /api/jobs/{id} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).as_bytes());
        Next::Send { tag: 0 }
    }

    fn answered(&mut self, answer: &Answer<'_>) {
        self.failures += u64::from(answer.status != 204);
    }
}

/// Creates and reads at a set pace. What is late because no connection was free counts as time the answer took.
pub(super) struct Paced {
    host: String,
    when: When,
    known: Vec<String>,
    creates: Pace,
    gets: Pace,
    /// The ids of the jobs created.
    pub(super) created: Vec<String>,
}

/// One kind of request at a set pace.
struct Pace {
    start: Instant,
    per_second: u32,
    given: u64,
    /// Intended times of requests under way, by place.
    meant: Vec<Instant>,
    answered: u64,
    failed: u64,
    took: Histogram<u64>,
}

/// What became of one kind of request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PaceResult {
    pub(super) asked_per_second: u32,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

impl Paced {
    /// From `start` on; reads are of the `known` jobs, created ones are due when it says.
    pub(super) fn new(
        host: &str,
        when: When,
        known: Vec<String>,
        (creates, gets): (u32, u32),
        start: Instant,
    ) -> Paced {
        let (creates, gets) = (Pace::new(start, creates), Pace::new(start, gets));
        Paced { host: host.to_owned(), when, known, creates, gets, created: Vec::new() }
    }

    /// Creations, then reads.
    pub(super) fn results(&self) -> [PaceResult; 2] {
        [self.creates.result(), self.gets.result()]
    }
}

impl Source for Paced {
    fn next(&mut self, now: Instant, out: &mut Vec<u8>) -> Next {
        let (create_at, get_at) = (self.creates.next_at(), self.gets.next_at());
        let (is_create, at) = match (create_at, get_at) {
            (None, None) => return Next::Done,
            (Some(create), Some(get)) => (create <= get, create.min(get)),
            (Some(create), None) => (true, create),
            (None, Some(get)) => (false, get),
        };
        if at > now {
            return Next::Wait(at);
        }
        let meant = if now - at < TIMER_SLOP { now } else { at };
        let place = if is_create {
            write_create(out, &self.host, &self.when, "http://127.0.0.1:9/created-beside");
            self.creates.begin(meant)
        } else {
            let which = usize::try_from(self.gets.given.wrapping_mul(7_919)).unwrap_or(0) % self.known.len().max(1);
            let id = self.known.get(which).map_or("none", String::as_str);
            out.extend_from_slice(format!("GET /api/jobs/{id} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host).as_bytes());
            self.gets.begin(meant)
        };
        Next::Send { tag: place << 1 | u64::from(is_create) }
    }

    fn answered(&mut self, answer: &Answer<'_>) {
        let place = answer.tag >> 1;
        if answer.tag & 1 == 1 {
            self.creates.end(place, answer, 201);
            if answer.status == 201 {
                self.created.extend(ids_in(answer.body).next());
            }
        } else {
            self.gets.end(place, answer, 200);
        }
    }
}

impl Pace {
    fn new(start: Instant, per_second: u32) -> Pace {
        let took = Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("the bounds are in order");
        Pace { start, per_second, given: 0, meant: Vec::new(), answered: 0, failed: 0, took }
    }

    fn next_at(&self) -> Option<Instant> {
        (self.per_second > 0)
            .then(|| self.start + Duration::from_secs_f64(self.given as f64 / f64::from(self.per_second)))
    }

    fn begin(&mut self, meant: Instant) -> u64 {
        self.given += 1;
        self.meant.push(meant);
        self.meant.len() as u64 - 1
    }

    fn end(&mut self, place: u64, answer: &Answer<'_>, good: u16) {
        let meant = usize::try_from(place).ok().and_then(|place| self.meant.get(place).copied());
        let took = answer.at.saturating_duration_since(meant.unwrap_or(answer.sent));
        self.answered += 1;
        self.failed += u64::from(answer.status != good);
        self.took.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn result(&self) -> PaceResult {
        let at = |quantile| if self.answered == 0 { 0 } else { self.took.value_at_quantile(quantile) };
        PaceResult {
            asked_per_second: self.per_second,
            answered: self.answered,
            failed: self.failed,
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: if self.answered == 0 { 0 } else { self.took.max() },
        }
    }
}

fn write_create(out: &mut Vec<u8>, host: &str, when: &When, url: &str) {
    write_post(out, host, ("/api/jobs", "application/json"), &definition(when, url).to_string());
}

fn definition(when: &When, url: &str) -> Value {
    let mut definition = json!({ "schedule": when.schedule, "api": url, "type": "ATLEAST_ONCE" });
    if let Some((from, until)) = when.between {
        definition["startsAt"] = print_instant(from).into();
        // Its last second still counts.
        definition["endsAt"] = print_instant(until - 1).into();
    }
    definition
}

fn write_post(out: &mut Vec<u8>, host: &str, (path, kind): (&str, &str), body: &str) {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(body.as_bytes());
}

/// The members `jobId` in order, found without reading the rest: thousands of answers come in a second. That of a single job
/// comes first, before the job with its own.
fn ids_in(body: &[u8]) -> impl Iterator<Item = String> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    let ids = text.split("\"jobId\":\"").skip(1).filter_map(|rest| rest.split_once('"'));
    ids.map(|(id, _)| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_creation_is_tried_again_and_a_failed_one_ends_the_rest() {
        let url = |job| format!("http://127.0.0.1:1/job/{job}");
        let daily = When::by("@daily");
        let mut create = Create::new("h", &daily, (2, 1), &url);
        let (now, mut out) = (Instant::now(), Vec::new());
        let answer = |tag, status, body| Answer { tag, status, body, sent: now, at: now };
        assert_eq!(create.next(now, &mut out), Next::Send { tag: 0 });
        assert_eq!(create.next(now, &mut out), Next::Send { tag: 1 });
        create.answered(&answer(0, 503, b""));
        create.answered(&answer(1, 201, br#"{"jobId":"abc","job":{}}"#));
        assert_eq!(create.ids, BTreeMap::from([(1, "abc".to_owned())]));
        assert_eq!(create.next(now, &mut out), Next::Wait(now + REFUSED_REST));
        assert_eq!(create.next(now + REFUSED_REST, &mut out), Next::Send { tag: 0 });
        create.answered(&answer(0, 400, b"no"));
        assert_eq!(create.failure.as_deref(), Some("400 no"));
        assert_eq!(create.next(now, &mut out), Next::Done);
    }

    #[test]
    fn jobs_are_created_together_and_each_has_its_id() {
        let (url, daily) = (|job| format!("http://127.0.0.1:1/job/{job}"), When::by("@daily"));
        let mut create = Create::new("h", &daily, (3, 2), &url);
        let (now, mut out) = (Instant::now(), Vec::new());
        let answer = |tag, body| Answer { tag, status: 200, body, sent: now, at: now };
        assert_eq!(create.next(now, &mut out), Next::Send { tag: 0 });
        let sent = String::from_utf8(std::mem::take(&mut out)).expect("text");
        assert!(sent.starts_with("POST /api/jobs/batch ") && sent.ends_with("}}\n"), "{sent}");
        assert_eq!(sent.matches("{\"create\":{").count(), 2);
        assert_eq!(create.next(now, &mut out), Next::Send { tag: 2 });
        create.answered(&answer(0, br#"{"results":[{"jobId":"a"},{"jobId":"b"}]}"#));
        create.answered(&answer(2, br#"{"results":[{"status":400}]}"#));
        assert_eq!(create.ids, BTreeMap::from([(0, "a".to_owned()), (1, "b".to_owned())]));
        assert!(create.failure.is_some_and(|why| why.starts_with("less than 1 jobs: ")));
    }

    #[test]
    fn a_paced_request_that_had_to_wait_counts_from_when_it_was_meant() {
        let start = Instant::now();
        let mut paced = Paced::new("h", When::by("@daily"), vec!["a".to_owned()], (0, 10), start);
        let mut out = Vec::new();
        let sent = start + Duration::from_millis(500);
        let Next::Send { tag } = paced.next(sent, &mut out) else { panic!("it is due") };
        paced.answered(&Answer { tag, status: 200, body: b"", sent, at: sent + Duration::from_millis(1) });
        let [_, gets] = paced.results();
        assert!(gets.p50_us >= 500_000, "{gets:?}");
        assert_eq!(paced.next(start, &mut out), Next::Wait(start + Duration::from_millis(100)));
    }
}
