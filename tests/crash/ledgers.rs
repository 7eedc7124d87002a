//! Owns two of the three ledgers: what the API acknowledged of each job, and what the receivers got.
//! It must not judge them, and keeps little of each POST: a long run makes hundreds of thousands.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::asked::ASKED;
use crate::support::receiver::{Receiver, overlaps};
use crate::support::wall_us;

/// Schedule and URL.
pub type Spec = (String, String);

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    None,
    /// Sent in this second; the answer never came.
    Unanswered(i64),
    /// Sent in this second, and acknowledged.
    Acknowledged(i64),
}

/// A job that a client asked for.
#[derive(Debug)]
pub struct Tracked {
    /// None: the creation was not answered.
    pub id: Option<String>,
    /// What was acknowledged last.
    pub spec: Spec,
    /// What was asked for since then, without an answer.
    pub maybe: Vec<Spec>,
    /// Every second after this one is owed.
    pub since: i64,
    pub deletion: Deletion,
    /// How many changes were asked for, for unique URLs.
    pub changes: u32,
    /// Outcomes the API showed, by execution id.
    pub outcomes: HashMap<String, String>,
}

/// How an execution ended, as the API shows it; None while it is PENDING.
pub fn outcome_of(row: &serde_json::Value) -> Option<String> {
    (row["status"] != "PENDING").then(|| format!("{} {} {}", row["status"], row["httpStatus"], row["retryCount"]))
}

impl Tracked {
    /// A job whose creation was acknowledged just now.
    pub fn acknowledged(id: String, spec: Spec) -> Tracked {
        Tracked { id: Some(id), ..Tracked::unanswered(spec) }
    }

    /// A job whose creation may or may not have happened.
    pub fn unanswered(spec: Spec) -> Tracked {
        let since = wall_us() / 1_000_000;
        Tracked {
            id: None,
            spec,
            maybe: Vec::new(),
            since,
            deletion: Deletion::None,
            changes: 0,
            outcomes: HashMap::new(),
        }
    }

    /// Whether the job may be as a server shows it.
    pub fn allows(&self, shown: &Spec) -> bool {
        *shown == self.spec || self.maybe.contains(shown)
    }

    /// The last second that is certainly owed, if all is settled through `settled`.
    pub fn until(&self, settled: i64) -> i64 {
        match self.deletion {
            Deletion::None => settled,
            Deletion::Unanswered(at) | Deletion::Acknowledged(at) => at.min(settled),
        }
    }
}

/// What the receivers got of one execution.
#[derive(Debug, Default)]
pub struct Seen {
    pub posts: u32,
    /// POSTs that were answered 2xx.
    pub accepted: u32,
    /// POSTs that came although one had been answered 2xx before.
    pub repeats: u32,
    /// POSTs that carried an attempt number another one carried before.
    pub same_attempt: u32,
    attempts: Vec<u32>,
}

/// What the receivers got, by execution id.
#[derive(Debug, Default)]
pub struct Posts {
    pub seen: HashMap<String, Seen>,
    /// Job and second that came under an id that does not say so.
    pub wrong_ids: Vec<String>,
    /// POSTs that came before their second.
    pub early: u64,
    /// Executions that are to be sent at most once and came again.
    pub again: Vec<String>,
    /// When POSTs of jobs came whose executions must not overlap, and of which execution, by path.
    alone: HashMap<String, Vec<(i64, String)>>,
}

/// The paths of jobs that are to be sent at most once, and of those whose executions must not overlap.
pub const ONCE: &str = "/once/";
pub const ALONE: &str = "/alone/";
/// How long the target takes for one of the latter, in milliseconds.
pub const ALONE_MS: u64 = 1_300;

impl Posts {
    /// Takes over what came to a receiver since the last call.
    pub fn take(&mut self, receiver: &Receiver) {
        for post in receiver.take_posts() {
            let job = post.headers.get("punctual-job-id").map_or("", String::as_str);
            // Every repeat must carry the same id, and the id is made of these two.
            let id = format!("{job}-{}", post.second);
            let is_asked_for = post.path.starts_with(ASKED) && post.key.starts_with(&id);
            if post.key != id && !is_asked_for {
                self.wrong_ids.push(format!("{} for {job} at {}", post.key, post.second));
            }
            self.early += u64::from(post.at_us < post.second * 1_000_000);
            let key = post.key;
            let seen = self.seen.entry(key.clone()).or_default();
            seen.posts += 1;
            if post.path.starts_with(ONCE) && seen.posts > 1 {
                self.again.push(key.clone());
            }
            if post.path.starts_with(ALONE) {
                self.alone.entry(post.path).or_default().push((post.at_us, key));
            }
            seen.repeats += u32::from(seen.accepted > 0);
            seen.accepted += u32::from(post.status.is_some_and(|status| (200..300).contains(&status)));
            seen.same_attempt += u32::from(seen.attempts.contains(&post.attempt));
            seen.attempts.push(post.attempt);
        }
    }

    /// Executions that came while another one of their job was not answered yet. What is sent again after a crash is
    /// the same execution.
    pub fn overlaps(&self) -> Vec<String> {
        overlaps(&self.alone, Duration::from_millis(ALONE_MS))
    }

    pub fn count(&self) -> u64 {
        self.sum(|seen| seen.posts)
    }

    fn sum(&self, part: impl Fn(&Seen) -> u32) -> u64 {
        self.seen.values().map(|seen| u64::from(part(seen))).sum()
    }
}

impl fmt::Display for Posts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ids, repeats) = (self.seen.len(), self.sum(|seen| seen.repeats));
        let same = self.sum(|seen| seen.same_attempt);
        write!(f, "{} POSTs of {ids} executions, {repeats} repeats after a 2xx (same id)", self.count())?;
        write!(f, ", {same} with an attempt number seen before, {} early", self.early)
    }
}
