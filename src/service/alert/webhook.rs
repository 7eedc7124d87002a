//! Owns the alerts on their way to the webhook: which is POSTed next, when it is tried again, when it is given up.
//! It must not send, wait or read a clock: the loop hands its attempts to the workers, and tells it what time it is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use super::payload::Payload;
use crate::core::{AlertAttempt, AlertRecord, AlertReport, Outcome, Seq};
use crate::job::{JobKey, Post, RetryPolicy, TargetUrl};
use crate::limits::{ALERT_AGE_MAX, ALERT_TIMEOUT, ALERTS_IN_FLIGHT_MAX, ALERTS_PENDING_MAX};
use crate::store::{AlertState, AlertUpdate, StoredAlert};
use crate::time::{DeadlineHeap, MonoUs, Now, WallUs};

/// The waits between deliveries of one alert; it ends by age.
const BACKOFF: RetryPolicy = RetryPolicy::doubling(u32::MAX, Duration::from_secs(1));

const _: () = assert!(ALERTS_IN_FLIGHT_MAX == 1, "what is kept of those in flight is one slot");

/// The alerts that are not delivered. One at a time is in flight.
#[derive(Debug)]
pub struct Alerts {
    /// None: the log and the alert log only.
    webhook: Option<TargetUrl>,
    alerts: Slab<Alert>,
    /// Those that were not tried by this process, in the order they came.
    fresh: VecDeque<u32>,
    /// Those that are tried again, by when.
    retries: DeadlineHeap<MonoUs>,
    in_flight: Option<u32>,
}

/// An alert that is not delivered.
#[derive(Debug)]
struct Alert {
    seq: Seq,
    job: JobKey,
    created_at: WallUs,
    attempts: u32,
    /// The same for all its attempts.
    post: Arc<Post>,
}

impl Alerts {
    /// Alerts go to this webhook; without one they are only logged.
    pub fn new(webhook: Option<TargetUrl>) -> Alerts {
        Alerts {
            webhook,
            alerts: Slab::new(),
            fresh: VecDeque::new(),
            retries: DeadlineHeap::default(),
            in_flight: None,
        }
    }

    /// From now on alerts go to this webhook; those that wait keep theirs.
    pub fn redirect(&mut self, webhook: Option<TargetUrl>) {
        self.webhook = webhook;
    }

    /// Tells of a failure. What became of it at once, if it will not be delivered.
    pub fn tell(&mut self, record: &AlertRecord) -> Option<AlertUpdate> {
        self.enqueue((record.seq, record.execution.job.key()), record.at, 0, record, record.at)
    }

    /// Goes on with an alert that an earlier process left.
    pub fn resume(&mut self, stored: &StoredAlert, now: WallUs) -> Option<AlertUpdate> {
        if is_too_old(stored.at, now) {
            let why = "given up: it is too old".to_owned();
            return Some(update(stored.seq, AlertState::Failed, now, stored.attempts, Some(why)));
        }
        self.enqueue((stored.seq, stored.job.key()), stored.at, stored.attempts, stored, now)
    }

    /// The attempt that is to be made now, if any: a retry whose time has come, before those that were never tried.
    pub fn next_attempt(&mut self, now: MonoUs) -> Option<AlertAttempt> {
        if self.in_flight.is_some() {
            return None;
        }
        let slot = self.retries.pop_due(now).or_else(|| self.fresh.pop_front())?;
        self.in_flight = Some(slot);
        let alert = &mut self.alerts[slot as usize];
        alert.attempts += 1;
        Some(AlertAttempt { seq: alert.seq, number: alert.attempts, post: Arc::clone(&alert.post) })
    }

    /// When [`Alerts::next_attempt`] is to be called at the latest. While one is in flight, its report comes first.
    pub fn deadline(&self) -> Option<MonoUs> {
        if self.in_flight.is_some() {
            return None;
        }
        if self.fresh.is_empty() { self.retries.peek().map(|(due, _)| due) } else { Some(MonoUs(0)) }
    }

    /// An attempt has come to its end: what became of its alert. None: nobody waits for this report.
    pub fn report(&mut self, report: AlertReport, now: Now) -> Option<AlertUpdate> {
        let slot = self.in_flight?;
        let alert = &self.alerts[slot as usize];
        let (seq, attempts) = (alert.seq, alert.attempts);
        if (report.seq, report.attempt) != (seq, attempts) {
            return None;
        }
        self.in_flight = None;
        let (state, error) = match judge(report.outcome) {
            Ok(()) => (AlertState::Delivered, None),
            Err(why) if is_too_old(alert.created_at, now.wall) => (AlertState::Failed, Some(why)),
            Err(why) => (AlertState::Pending, Some(why)),
        };
        if state == AlertState::Pending {
            let noise = seq.0 ^ (u64::from(attempts) << 48);
            self.retries.set(slot, now.mono.plus(BACKOFF.wait(attempts, noise)));
        } else {
            self.alerts.remove(slot as usize);
        }
        Some(update(seq, state, now.wall, attempts, error))
    }

    /// Forgets what waits of jobs that another node has from now on: it finds that in the database.
    pub fn give_away(&mut self, is_given: impl Fn(JobKey) -> bool) {
        let slot_of = |slot: usize| u32::try_from(slot).expect("no more wait than a limit allows");
        let given = self.alerts.iter().filter(|(slot, alert)| {
            // What is in flight ends here.
            self.in_flight != Some(slot_of(*slot)) && is_given(alert.job)
        });
        for slot in given.map(|(slot, _)| slot_of(slot)).collect::<Vec<u32>>() {
            self.alerts.remove(slot as usize);
            self.retries.remove(slot);
            self.fresh.retain(|other| *other != slot);
        }
    }

    /// Alerts that wait: for their first attempt, or for another one.
    pub fn waiting(&self) -> usize {
        self.fresh.len() + self.retries.len()
    }

    fn enqueue(
        &mut self,
        (seq, job): (Seq, JobKey),
        created_at: WallUs,
        attempts: u32,
        payload: impl Into<Payload>,
        now: WallUs,
    ) -> Option<AlertUpdate> {
        let Some(webhook) = &self.webhook else {
            return Some(update(seq, AlertState::Logged, now, attempts, None));
        };
        if self.waiting() >= ALERTS_PENDING_MAX {
            let why = format!("given up: {ALERTS_PENDING_MAX} alerts already wait");
            return Some(update(seq, AlertState::Failed, now, attempts, Some(why)));
        }
        let post = Arc::new(Post::to(webhook.clone()).with(payload.into().json(), ALERT_TIMEOUT));
        let slot = self.alerts.insert(Alert { seq, job, created_at, attempts, post });
        self.fresh.push_back(u32::try_from(slot).expect("no more wait than a limit allows"));
        None
    }
}

/// Whether the webhook took it; if not, why.
fn judge(outcome: Outcome) -> Result<(), String> {
    match outcome {
        Outcome::Answered(200..=299) => Ok(()),
        Outcome::Answered(status) => Err(format!("the webhook answered {status}")),
        Outcome::TimedOut(why) | Outcome::ConnectionFailed(why) | Outcome::WorkerFailed(why) => {
            Err(format!("the webhook could not be reached: {why}"))
        }
        Outcome::Withheld => Err("the webhook was not asked".to_owned()),
    }
}

fn update(seq: Seq, state: AlertState, at: WallUs, attempts: u32, error: Option<String>) -> AlertUpdate {
    AlertUpdate { seq, state, at, attempts, error }
}

fn is_too_old(created_at: WallUs, now: WallUs) -> bool {
    u128::try_from(now.since_us(created_at)).is_ok_and(|us| us > ALERT_AGE_MAX.as_micros())
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
