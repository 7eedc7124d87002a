//! Owns two of the three ledgers: what the API said of each job, and what the receiver got.
//! It must not judge them.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::support::receiver::{Receiver, overlaps};
use crate::support::wall_us;

/// What clients change of a job: where it is sent, and its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub url: String,
    pub tag: String,
}

/// A change of one of both.
#[derive(Clone, Debug)]
pub enum Change {
    Url(String),
    Tag(String),
}

impl Form {
    pub fn with(&self, change: &Change) -> Form {
        match change {
            Change::Url(url) => Form { url: url.clone(), ..self.clone() },
            Change::Tag(tag) => Form { tag: tag.clone(), ..self.clone() },
        }
    }
}

/// Since when a job is there, or gone, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    No,
    /// The answer did not tell, or did not come. It was asked for then.
    Unknown(i64),
    /// It was asked for then.
    Done(i64),
}

/// A job that a client asked for.
#[derive(Debug)]
pub struct Tracked {
    /// None: its creation was not acknowledged.
    pub id: Option<String>,
    /// How it may be: one way, unless the answer to a change did not tell.
    pub forms: Vec<Form>,
    /// Whether each second needs a row that says what became of it, and not more.
    pub is_strict: bool,
    /// Every second after this one is owed.
    pub since: i64,
    pub deletion: Told,
    /// URLs of what was refused: nothing is ever sent there.
    pub refused: Vec<String>,
    /// URLs that were acknowledged, each with when the answer was there.
    pub urls: Vec<(i64, String)>,
    /// Executions that were acknowledged.
    pub runs: BTreeSet<String>,
    /// How many more there may be.
    pub maybe_runs: usize,
    /// What was done with it, and what was answered.
    pub story: Vec<String>,
}

impl Tracked {
    pub fn new(id: Option<String>, form: Form) -> Tracked {
        let now = wall_us();
        let urls = vec![(now, form.url.clone())];
        let since = now / 1_000_000;
        let (refused, runs, story) = (Vec::new(), BTreeSet::new(), Vec::new());
        Tracked {
            id,
            forms: vec![form],
            is_strict: false,
            since,
            deletion: Told::No,
            refused,
            urls,
            runs,
            maybe_runs: 0,
            story,
        }
    }

    /// A change was acknowledged.
    pub fn has_changed(&mut self, change: &Change) {
        self.forms = self.forms.iter().map(|form| form.with(change)).collect();
        self.forms.dedup();
        if let Change::Url(url) = change {
            self.urls.push((wall_us(), url.clone()));
        }
    }

    /// A change may have happened.
    pub fn may_have_changed(&mut self, change: &Change) {
        let changed: Vec<Form> = self.forms.iter().map(|form| form.with(change)).collect();
        self.forms.extend(changed);
    }

    /// The last second that is certainly owed, if all is settled through `settled`.
    pub fn until(&self, settled: i64) -> i64 {
        match self.deletion {
            Told::No => settled,
            Told::Unknown(at_us) | Told::Done(at_us) => (at_us / 1_000_000).min(settled),
        }
    }
}

/// The paths of jobs that are to be sent at most once, and of those whose executions must not overlap.
pub const ONCE: &str = "/once/";
pub const ALONE: &str = "/alone/";
/// How long the target takes for one of the latter, in milliseconds.
pub const ALONE_MS: u64 = 1_300;

/// A POST that came.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at_us: i64,
    pub attempt: u32,
    pub epoch: u64,
}

/// What the receiver got.
#[derive(Default)]
pub struct Posts {
    /// By their keys.
    pub sent: HashMap<String, Vec<Sent>>,
    /// When they came, by path.
    pub times: HashMap<String, Vec<i64>>,
    /// The latest second of each path.
    pub latest: HashMap<String, i64>,
    /// How late each first POST was that waits for nothing, with when it came, in microseconds.
    pub late: Vec<(i64, i64)>,
    /// When those came whose executions must not overlap, and of which execution, by path.
    alone: HashMap<String, Vec<(i64, String)>>,
    /// Executions that are to be sent at most once and came again.
    pub again: Vec<String>,
    /// Those that came under a key that is not of their job and instant, or early.
    pub wrong: Vec<String>,
}

impl Posts {
    /// Takes over what came since the last call.
    pub fn take(&mut self, receiver: &Receiver) {
        for post in receiver.take_posts() {
            let job = post.headers.get("punctual-job-id").map_or("", String::as_str);
            let of_schedule = format!("{job}-{}", post.second);
            if !post.key.starts_with(&of_schedule) || post.at_us < post.second * 1_000_000 {
                self.wrong.push(format!("{} at {} us for {job} and {}", post.key, post.at_us, post.second));
            }
            let epoch = post.headers.get("punctual-epoch").and_then(|text| text.parse().ok()).unwrap_or(0);
            let latest = self.latest.entry(post.path.clone()).or_default();
            *latest = post.second.max(*latest);
            self.times.entry(post.path.clone()).or_default().push(post.at_us);
            let is_scheduled = post.key == of_schedule && !post.path.starts_with(ALONE);
            if post.path.starts_with(ALONE) {
                self.alone.entry(post.path.clone()).or_default().push((post.at_us, post.key.clone()));
            }
            if post.path.starts_with(ONCE) && self.sent.contains_key(&post.key) {
                self.again.push(format!("{}, again at {} us", post.key, post.at_us));
            }
            let sent = self.sent.entry(post.key).or_default();
            if sent.is_empty() && is_scheduled {
                self.late.push((post.at_us - post.second * 1_000_000, post.at_us));
            }
            sent.push(Sent { at_us: post.at_us, attempt: post.attempt, epoch });
        }
    }

    /// Executions that came while another one of their job was not answered yet.
    pub fn overlaps(&self) -> Vec<String> {
        overlaps(&self.alone, Duration::from_millis(ALONE_MS))
    }

    pub fn count(&self) -> usize {
        self.sent.values().map(Vec::len).sum()
    }
}
