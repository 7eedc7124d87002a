//! Owns what a draft demands beside its beat: at most once, retries, overlap, misfires, a key, a number of runs, pauses.
//! It must not ask the core what that means.

use punctual::core::Settings;
use punctual::job::{Definition, Misfire};
use serde_json::{Map, Value};

use super::rng::Rng;

/// What a draft demands. All of it is kept as numbers, for the oracle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policies {
    pub(crate) at_most_once: bool,
    pub(crate) overlap: Lap,
    /// Attempts in all.
    pub(crate) attempts: Option<u32>,
    pub(crate) until_next: bool,
    pub(crate) elapsed_ms: Option<u64>,
    /// Only timeouts and this status are repeated.
    pub(crate) on_503: bool,
    pub(crate) misfire: Option<Misfire>,
    pub(crate) lateness_ms: Option<i64>,
    pub(crate) catch_up: Option<u32>,
    /// Which of the keys.
    pub(crate) key: Option<usize>,
    pub(crate) max_runs: Option<u64>,
    pub(crate) auto_pause: Option<u32>,
    pub(crate) pause_on_410: bool,
}

/// What becomes of an execution that is due while another runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Lap {
    #[default]
    Allow,
    Skip,
    QueueOne,
}

/// A key: its name, its limit, and the spacing of beginnings in microseconds with its text.
type Key = (&'static str, Option<u32>, Option<(u64, &'static str)>);

/// The keys there are.
pub(crate) const KEYS: [Key; 3] =
    [("one", Some(1), None), ("slow", None, Some((500_000, "2/s"))), ("both", Some(2), Some((200_000, "5/s")))];

impl Policies {
    /// Some or none of everything.
    pub(crate) fn random(rng: &mut Rng) -> Policies {
        let mut some = |share: u64| rng.per_cent(share);
        let (at_most_once, until_next, on_503) = (some(25), some(25), some(15));
        let (has_attempts, has_elapsed, has_lateness, has_catch_up) = (some(35), some(15), some(15), some(15));
        let (has_key, has_runs, has_pause, pause_on_410, has_misfire) =
            (some(30), some(12), some(15), some(15), some(30));
        Policies {
            at_most_once,
            overlap: *rng.pick(&[Lap::Allow, Lap::Allow, Lap::Skip, Lap::QueueOne]),
            attempts: has_attempts.then(|| u32::try_from(rng.within(1..=5)).expect("small")),
            until_next,
            elapsed_ms: has_elapsed.then(|| rng.within(0..=6_000)),
            on_503,
            misfire: has_misfire.then(|| *rng.pick(&[Misfire::Once, Misfire::All, Misfire::Skip])),
            lateness_ms: has_lateness.then(|| i64::try_from(rng.within(1_000..=20_000)).expect("small")),
            catch_up: has_catch_up.then(|| u32::try_from(rng.within(1..=20)).expect("small")),
            key: has_key.then(|| usize::try_from(rng.within(0..=2)).expect("small")),
            max_runs: has_runs.then(|| rng.within(1..=12)),
            auto_pause: has_pause.then(|| u32::try_from(rng.within(1..=4)).expect("small")),
            pause_on_410,
        }
    }

    /// The definition of a job that demands this, and is due as `timing` says.
    pub(crate) fn define(self, timing: Map<String, Value>, api: &str, active: Option<bool>) -> Definition {
        let mut members = serde_json::json!({
            "api": api,
            "type": if self.at_most_once { "ATMOST_ONCE" } else { "ATLEAST_ONCE" },
        });
        let mut retry = serde_json::Map::new();
        let mut misfire = serde_json::Map::new();
        let all = members.as_object_mut().expect("it is one");
        all.extend(timing);
        if let Some(active) = active {
            all.insert("active".to_owned(), active.into());
        }
        match self.overlap {
            Lap::Allow => {}
            Lap::Skip => drop(all.insert("overlap".to_owned(), "skip".into())),
            Lap::QueueOne => drop(all.insert("overlap".to_owned(), "queue_one".into())),
        }
        if let Some(attempts) = self.attempts {
            retry.insert("maxAttempts".to_owned(), attempts.into());
        }
        if self.until_next {
            retry.insert("untilNext".to_owned(), true.into());
        }
        if let Some(elapsed_ms) = self.elapsed_ms {
            retry.insert("maxElapsedMs".to_owned(), elapsed_ms.into());
        }
        if self.on_503 {
            retry.insert("on".to_owned(), serde_json::json!(["timeout", 503]));
        }
        if let Some(policy) = self.misfire {
            misfire.insert("policy".to_owned(), policy.name().into());
        }
        if let Some(lateness_ms) = self.lateness_ms {
            misfire.insert("maxLatenessMs".to_owned(), lateness_ms.into());
        }
        if let Some(catch_up) = self.catch_up {
            misfire.insert("maxCatchUp".to_owned(), catch_up.into());
        }
        if let Some((name, limit, rate)) = self.key.map(|key| KEYS[key]) {
            let mut key = serde_json::json!({"name": name});
            let members = key.as_object_mut().expect("it is one");
            limit.into_iter().for_each(|limit| drop(members.insert("limit".to_owned(), limit.into())));
            rate.into_iter().for_each(|(_, text)| drop(members.insert("rate".to_owned(), text.into())));
            all.insert("concurrencyKey".to_owned(), key);
        }
        if let Some(max_runs) = self.max_runs {
            all.insert("maxRuns".to_owned(), max_runs.into());
        }
        if let Some(auto_pause) = self.auto_pause {
            all.insert("autoPauseAfter".to_owned(), auto_pause.into());
        }
        if self.pause_on_410 {
            all.insert("pauseOn".to_owned(), serde_json::json!([410]));
        }
        for (name, object) in [("retry", retry), ("misfire", misfire)] {
            if !object.is_empty() {
                all.insert(name.to_owned(), object.into());
            }
        }
        serde_json::from_value(members).expect("a definition")
    }

    /// How many retries there may be at most.
    pub(crate) fn retries_max(self, settings: &Settings) -> u32 {
        self.attempts.map_or(settings.retry.retries, |attempts| attempts - 1)
    }

    /// Whether a failure may be final before the retries are used up.
    pub(crate) fn may_give_up(self) -> bool {
        self.at_most_once || self.until_next || self.elapsed_ms.is_some() || self.on_503 || self.pause_on_410
    }

    /// What the policy is about missed instants.
    pub(crate) fn misfire(self, settings: &Settings) -> Misfire {
        self.misfire.unwrap_or(settings.misfire)
    }
}
