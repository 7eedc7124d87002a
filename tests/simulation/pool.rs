//! Owns the fake workers and targets: what is in flight, and what each attempt comes to, and when.
//! It must not know why an attempt is made.

use std::collections::{BTreeMap, HashMap};

use punctual::core::{Answer, Attempt, Outcome, Report, Seq, Settings};
use punctual::job::Target;

use super::bounds::is_recovery;
use super::policies::{KEYS, Policies};
use punctual::time::{MonoUs, Now};

use super::plan::{Manner, SECOND_US};
use super::rng::Rng;

pub(crate) struct Pool {
    in_flight_max: u32,
    /// How many of them one target may hold.
    share: u32,
    in_flight: HashMap<(Seq, u32), (Target, Option<usize>, bool)>,
    per_target: BTreeMap<Target, u32>,
    /// Attempts in flight of each key, how many it had in this process, and when the first of them left.
    per_key: [(u32, u64, Option<MonoUs>); KEYS.len()],
    /// Attempts that come to no end before the faults heal.
    hanging: BTreeMap<(Seq, u32), Report>,
}

/// How long before it is sent an execution may have been let in by its key, at most.
const LET_IN_BEFORE_US: u64 = 600 * SECOND_US;

impl Pool {
    pub(crate) fn new(settings: &Settings) -> Pool {
        let in_flight_max = settings.in_flight_max;
        Pool {
            in_flight_max,
            share: (in_flight_max * settings.bounds.target_share_per_cent / 100).max(1),
            in_flight: HashMap::new(),
            per_target: BTreeMap::new(),
            per_key: Default::default(),
            hanging: BTreeMap::new(),
        }
    }

    /// Takes an attempt. Gives the report that will come of it and after how long, unless it hangs.
    pub(crate) fn take(
        &mut self,
        attempt: &Attempt,
        policies: Policies,
        manner: Manner,
        now: Now,
        rng: &mut Rng,
    ) -> Option<(u64, Report)> {
        let key = (attempt.handle.seq, attempt.number);
        let target = attempt.post.url.target();
        let other = self.in_flight.insert(key, (target.clone(), policies.key, is_recovery(attempt)));
        assert!(other.is_none(), "an attempt was handed out twice");
        let held = self.per_target.entry(target).or_default();
        *held += 1;
        assert!(*held <= self.share, "a target holds {held} in flight, its share is {}", self.share);
        assert!(self.len() <= self.in_flight_max, "more in flight than may be");

        policies.key.into_iter().for_each(|key| self.count_key(key, now));

        let (outcome, latency_us) = outcome(manner, now, rng);
        let dispatched = now.wall.plus_us(i64::try_from(rng.within(0..=300)).expect("small"));
        let number = attempt.number;
        match outcome {
            Some(outcome) => {
                let duration_us = latency_us - latency_us / 10;
                let was_sent = match outcome {
                    Outcome::Answered(_) => true,
                    Outcome::Withheld => false,
                    Outcome::TimedOut(_) => rng.per_cent(70),
                    Outcome::ConnectionFailed(_) | Outcome::WorkerFailed(_) => rng.per_cent(40),
                };
                let asks = outcome == Outcome::Answered(503) && rng.per_cent(40);
                let retry_after_s = asks.then(|| u32::try_from(rng.within(0..=6)).expect("small"));
                let answer = asks.then(|| Box::new(Answer { retry_after_s, ..Answer::default() }));
                let handle = attempt.handle;
                let report = Report { handle, attempt: number, outcome, dispatched, duration_us, was_sent, answer };
                Some((latency_us, report))
            }
            None => {
                let outcome = Outcome::TimedOut("no answer".to_owned());
                let (handle, duration_us, was_sent) = (attempt.handle, SECOND_US, true);
                let report =
                    Report { handle, attempt: number, outcome, dispatched, duration_us, was_sent, answer: None };
                self.hanging.insert(key, report);
                None
            }
        }
    }

    /// Promise: a key has no more under way than it may, and they begin no faster than it says.
    fn count_key(&mut self, key: usize, now: Now) {
        let (_, limit, rate) = KEYS[key];
        let (under_way, begun, first) = &mut self.per_key[key];
        (*under_way, *begun) = (*under_way + 1, *begun + 1);
        assert!(
            limit.is_none_or(|limit| *under_way <= limit),
            "{under_way} attempts under a key that may have {limit:?}"
        );
        let since_us = now.mono.0 - first.get_or_insert(now.mono).0;
        if let Some((spacing_us, _)) = rate {
            // They may have been let in long before they left: until their target, which was silent, had room.
            let most = (since_us + LET_IN_BEFORE_US) / spacing_us;
            assert!(*begun <= most, "{begun} attempts in {since_us} us under a key with one in {spacing_us}");
        }
    }

    /// Notes that a report reached the core; whether it was the first of its attempt.
    pub(crate) fn reported(&mut self, report: &Report) -> bool {
        let Some((target, key, _)) = self.in_flight.remove(&(report.handle.seq, report.attempt)) else { return false };
        key.into_iter().for_each(|key| self.per_key[key].0 -= 1);
        *self.per_target.get_mut(&target).expect("it holds one") -= 1;
        true
    }

    /// The targets of what is in flight, and whether it goes behind what is due.
    pub(crate) fn holders(&self) -> impl Iterator<Item = (&Target, bool)> {
        self.in_flight.values().map(|(target, _, is_recovery)| (target, *is_recovery))
    }

    /// The process died, and the workers with it.
    pub(crate) fn die(&mut self) {
        self.in_flight.clear();
        self.per_target.clear();
        self.per_key = Default::default();
        self.hanging.clear();
    }

    /// What hung runs into its time limit.
    pub(crate) fn heal(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.hanging).into_values().collect()
    }

    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.in_flight.len()).expect("bounded by the settings")
    }
}

fn outcome(manner: Manner, now: Now, rng: &mut Rng) -> (Option<Outcome>, u64) {
    let quick_us = rng.within(200..=20_000);
    let answered = |status: u16| Some(Outcome::Answered(status));
    let failure = match rng.within(0..=4) {
        0 => Outcome::Answered(503),
        4 => Outcome::Answered(410),
        1 => Outcome::TimedOut("no answer within the time limit".to_owned()),
        2 => Outcome::ConnectionFailed("connection refused".to_owned()),
        _ => Outcome::WorkerFailed("no such host can be asked for".to_owned()),
    };
    match manner {
        Manner::Well => (answered(200), quick_us),
        Manner::Flaky if rng.per_cent(33) => (Some(failure), quick_us * 10),
        Manner::Flaky => (answered(204), quick_us),
        Manner::Broken => (answered(500), quick_us),
        // Up for five seconds in fifteen.
        Manner::Dead if now.wall.floor().as_secs() % 15 < 5 => (answered(201), quick_us),
        Manner::Dead => (Some(Outcome::ConnectionFailed("connection refused".to_owned())), quick_us),
        Manner::Slow if rng.per_cent(40) => (Some(failure), rng.within(100_000..=4 * SECOND_US)),
        Manner::Slow => (answered(200), rng.within(100_000..=4 * SECOND_US)),
        Manner::Hanging if rng.per_cent(60) => (None, 0),
        Manner::Hanging => (answered(200), quick_us),
    }
}
