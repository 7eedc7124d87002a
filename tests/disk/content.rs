//! Owns what a store holds, as far as anybody can see it through its doors: what a start loads and what queries answer.
//! It must not know how any of it is kept: what is folded and what is not yet are the same here.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, bounded};
use punctual::access::TokenId;
use punctual::core::{Cause, ExecutionId, ExecutionKey, Incident, IncidentId, Record, Status, StoredJob};
use punctual::job::{Context, JobId};
use punctual::schedule::Zones;
use punctual::store::{Answer, AuditQuery, Filter, IncidentQuery, Loaded, Query, ReadError, Readers, Store};
use punctual::time::{Instant, WallUs};
use punctual::vault::Vault;

use super::child::opened;

/// What is asked for at once.
const PAGE: usize = 200;
/// Before everything, and after it.
const EVER: (i64, i64) = (0, 4_000_000_000);
const LATER: WallUs = WallUs(EVER.1 * 1_000_000);

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Everything but finished executions, by its name.
    pub(crate) things: BTreeMap<String, String>,
    /// Of each job its executions, newest first.
    pub(crate) executions: BTreeMap<JobId, Vec<String>>,
}

/// Somebody who asks a store.
struct Asking {
    readers: Readers<(), Result<Answer, ReadError>>,
    woken: Receiver<()>,
}

impl Asking {
    fn of(store: &Store) -> Result<Asking, String> {
        let (say, woken) = bounded(16);
        let notify = Arc::new(move || say.try_send(()).unwrap_or(()));
        let readers =
            Readers::start(store, 1, &Zones::bundled(), |(), answer| answer, notify).map_err(|why| why.to_string())?;
        Ok(Asking { readers, woken })
    }

    fn ask(&self, query: Query) -> Answer {
        self.readers.ask((), query).expect("nothing else is asked");
        loop {
            self.woken.recv().expect("readers answer");
            if let Some(((), answer)) = self.readers.try_answer() {
                return answer.expect("it can be read");
            }
        }
    }
}

/// A store that a server had, and somebody who asks it.
pub(crate) struct Served {
    /// Of each job what is sent: its URL, and what its `Authorization` says, or `-`.
    pub(crate) jobs: BTreeMap<JobId, String>,
    asking: Asking,
    _store: Store,
}

impl Served {
    /// The database at this path, whose secrets this key opens.
    pub(crate) fn open(path: &Path, vault: Vault) -> Result<Served, String> {
        let mut store = opened(path).map_err(|why| why.to_string())?.with_vault(Some(vault));
        let mut jobs = BTreeMap::new();
        let take = |job: StoredJob| {
            let post = &job.revision.spec.post;
            let auth = post.headers().find(|(name, _)| *name == "authorization").map(|(_, value)| value);
            let auth = auth.map_or("-", |value| value.to_str().expect("it is ASCII"));
            jobs.insert(job.revision.id, format!("{} {auth}", post.url));
        };
        store.load(&Context::at(Instant::FIRST), take, drop).map_err(|why| why.to_string())?;
        Ok(Served { jobs, asking: Asking::of(&store)?, _store: store })
    }

    /// What is known of an execution.
    pub(crate) fn record(&self, id: ExecutionId) -> Option<Record> {
        match self.asking.ask(Query::One { id, now: LATER }) {
            Answer::One(found) => found.map(|found| found.record),
            other => panic!("that was not asked for: {other:?}"),
        }
    }

    /// What is known of an incident.
    pub(crate) fn incident(&self, id: IncidentId) -> Option<Incident> {
        match self.asking.ask(Query::Incident(id)) {
            Answer::Incident(found) => found.map(|found| found.0),
            other => panic!("that was not asked for: {other:?}"),
        }
    }

    /// Whether the newest execution of a job that ended well or badly did the latter, and whether an incident says so.
    pub(crate) fn fails(&self, job: JobId) -> (bool, bool) {
        let newest = match self.asking.ask(Query::OfJob { job, limit: PAGE, before: None, now: LATER }) {
            Answer::OfJob(_, page) => {
                let mut ended = page.executions.into_iter().map(|execution| execution.record.status);
                ended.find(|status| matches!(status, Status::Success | Status::Failed))
            }
            Answer::NoSuchJob => None,
            other => panic!("that was not asked for: {other:?}"),
        };
        let cause = Some(Cause::Failing);
        let query = IncidentQuery { limit: PAGE, before: None, open: Some(true), job: Some(job.key()), cause };
        let Answer::Incidents(page) = self.asking.ask(Query::Incidents(query)) else { panic!("not asked for") };
        (newest == Some(Status::Failed), !page.incidents.is_empty())
    }
}

impl Content {
    /// Of the database at this path, which is opened as a server does it.
    pub(crate) fn of(path: &Path, jobs: &[JobId]) -> Result<Content, String> {
        let mut store = opened(path).map_err(|why| why.to_string())?;
        let mut content = Content::default();
        let (mut loaded_jobs, mut rows) = (Vec::new(), Vec::new());
        let context = Context::at(Instant::FIRST);
        let loaded =
            store.load(&context, |job| loaded_jobs.push(job), |row| rows.push(row)).map_err(|why| why.to_string())?;
        for mut job in loaded_jobs {
            let id = job.revision.id;
            // What ended between two folds is counted in the order of the ledger: calls that fail move the folds.
            job.totals.tally.failures_in_row = 0;
            content.note(format!("job {id}"), &format!("{job:?}"));
        }
        for row in rows {
            content.note(format!("pending {}", row.seq.0), &format!("{row:?}"));
        }
        content.note_loaded(loaded);
        let asking = Asking::of(&store)?;
        for &job in jobs {
            content.ask_job(&asking, job);
        }
        content.ask_lists(&asking);
        for number in 1..=jobs.len() {
            let key: Arc<str> = format!("key {number}").into();
            if let Answer::Key(Some(kept)) = asking.ask(Query::Key { key, now: WallUs(0) }) {
                content.note(format!("key {number}"), &format!("{kept:?}"));
            }
        }
        Ok(content)
    }

    fn note(&mut self, name: String, what: &str) {
        let before = self.things.insert(name, what.to_owned());
        assert!(before.is_none(), "it is there once: {before:?} and {what}");
    }

    fn note_loaded(&mut self, loaded: Loaded) {
        let Loaded { restored, alerts, calendars, settings, channels, incidents, messages, tokens, jobs } = loaded;
        let numbers = (restored.next_seq, restored.next_job, restored.next_incident, jobs);
        self.note("numbers".to_owned(), &format!("{numbers:?}"));
        self.note("undelivered alerts".to_owned(), &format!("{alerts:?}"));
        self.note("calendars".to_owned(), &format!("{calendars:?}"));
        self.note("settings".to_owned(), &format!("{settings:?}"));
        self.note("channels".to_owned(), &format!("{channels:?}"));
        self.note("open incidents".to_owned(), &format!("{incidents:?}"));
        self.note("undelivered messages".to_owned(), &format!("{messages:?}"));
        self.note("tokens".to_owned(), &format!("{tokens:?}"));
    }

    fn ask_job(&mut self, asking: &Asking, job: JobId) {
        let (mut executions, mut before) = (Vec::new(), None);
        loop {
            match asking.ask(Query::OfJob { job, limit: PAGE, before, now: LATER }) {
                Answer::OfJob(_, page) => {
                    executions.extend(page.executions.iter().map(|record| format!("{record:?}")));
                    before = page.next;
                }
                Answer::NoSuchJob => return,
                other => panic!("that was not asked for: {other:?}"),
            }
            if before.is_none() {
                break;
            }
        }
        self.executions.insert(job, executions);
        self.ask_series(asking, Some(job));
    }

    fn ask_series(&mut self, asking: &Asking, job: Option<JobId>) {
        let (from, to) = (Instant::from_secs(EVER.0), Instant::from_secs(EVER.1));
        let Answer::Series(_, series) = asking.ask(Query::Series { job, from, to, step_s: 86_400 }) else {
            panic!("that was not asked for")
        };
        // Percentiles are as near as the room allows; counts and what is highest are exact.
        let points = series.points.iter().map(|point| {
            let [drift, duration] =
                [&point.drift, &point.duration].map(|known| known.as_ref().map(|known| (known.count, known.max_us)));
            (point.start, point.success, point.failed, point.skipped, drift, duration)
        });
        let points: Vec<_> = points.collect();
        if points.is_empty() {
            return;
        }
        let name = job.map_or_else(|| "series".to_owned(), |job| format!("series of {job}"));
        self.note(name, &format!("{points:?}"));
    }

    fn ask_lists(&mut self, asking: &Asking) {
        self.ask_series(asking, None);
        let mut before = None;
        loop {
            let Answer::Alerts(page) = asking.ask(Query::Alerts { limit: PAGE, before }) else {
                panic!("not asked for")
            };
            for alert in &page.alerts {
                self.note(format!("alert {}", alert.seq.0), &format!("{alert:?}"));
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let mut before = None;
        loop {
            let query = AuditQuery { limit: PAGE, before, token: None::<TokenId>, subject: None, from: None, to: None };
            let Answer::Audit(page) = asking.ask(Query::Audit(query)) else { panic!("not asked for") };
            for row in &page.rows {
                self.note(format!("audit {}", row.id), &format!("{row:?}"));
            }
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let query = IncidentQuery { limit: PAGE, before: None, open: None, job: None, cause: None };
        let Answer::Incidents(page) = asking.ask(Query::Incidents(query)) else { panic!("not asked for") };
        for incident in page.incidents {
            let Answer::Incident(Some(whole)) = asking.ask(Query::Incident(incident.id)) else {
                panic!("it is listed")
            };
            self.note(format!("incident {}", incident.id.0), &format!("{whole:?}"));
        }
        let (mut all, mut before): (Vec<String>, Option<ExecutionKey>) = (Vec::new(), None);
        loop {
            let query = Query::OfAll { limit: PAGE, before, filter: Filter::default(), now: LATER };
            let Answer::OfAll(page) = asking.ask(query) else { panic!("not asked for") };
            all.extend(page.executions.iter().map(|record| format!("{record:?}")));
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        let of_jobs: usize = self.executions.values().map(Vec::len).sum();
        assert_eq!(all.len(), of_jobs, "the list of all executions has those of each job");
    }

    /// How this differs from what is expected, where of each job at least so many executions are kept; None: not at all.
    pub(crate) fn difference(&self, expected: &Content, kept: usize) -> Option<String> {
        for (name, what) in &expected.things {
            match self.things.get(name) {
                Some(found) if found == what => {}
                found => return Some(format!("{name}: {}", apart(what, found.map_or("nothing", String::as_str)))),
            }
        }
        if let Some(more) = self.things.keys().find(|name| !expected.things.contains_key(*name)) {
            return Some(format!("{more} is there, and should not be: {}", self.things[more]));
        }
        for (job, expected) in &expected.executions {
            let found = self.executions.get(job).map_or(&[][..], Vec::as_slice);
            let is_kept = found.len() >= expected.len().min(kept) && expected.starts_with(found);
            if !is_kept {
                let differs = expected.iter().zip(found).position(|(expected, found)| expected != found);
                let place = differs.unwrap_or(found.len().min(expected.len()));
                return Some(format!(
                    "executions of {job}: expected {} and got {}; they differ at {place}: {:?} {:?}",
                    expected.len(),
                    found.len(),
                    expected.get(place),
                    found.get(place)
                ));
            }
        }
        None
    }
}

/// Where two texts begin to differ.
fn apart(expected: &str, found: &str) -> String {
    let same = expected.bytes().zip(found.bytes()).take_while(|(one, other)| one == other).count();
    let from = same.saturating_sub(60);
    let piece = |text: &str| text.chars().skip(from).take(160).collect::<String>();
    format!("expected ...{}, got ...{}", piece(expected), piece(found))
}
