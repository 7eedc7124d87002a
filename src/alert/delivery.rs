//! Owns the thread that POSTs alerts to the webhook, one at a time, and tries again with backoff.
//! It must not keep more than a bounded number: what is beyond is given back and logged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use ureq::Agent;

use super::payload::Alert;
use crate::clock;
use crate::core::AlertRecord;
use crate::job::{RetryPolicy, TargetUrl};
use crate::limits::{ALERT_AGE_MAX, ALERT_TIMEOUT, ALERTS_PENDING_MAX};
use crate::store::{AlertState, AlertUpdate, StoredAlert};
use crate::time::WallUs;

/// The waits between deliveries of one alert; it ends by age.
const BACKOFF: RetryPolicy = RetryPolicy { retries: u32::MAX, delay: Duration::from_secs(1) };
/// Updates that wait for the loop.
const UPDATES_PENDING_MAX: usize = 64;

/// Where alerts go.
#[derive(Clone, Debug)]
pub struct AlertsSettings {
    /// The webhook; None: the log and the alert log only.
    pub webhook: Option<TargetUrl>,
    /// The `User-Agent` of every POST.
    pub user_agent: String,
}

/// The running delivery.
#[derive(Debug)]
pub struct Alerts {
    queue: Option<Sender<Alert>>,
    updates: Receiver<AlertUpdate>,
}

impl Alerts {
    /// Starts the thread, if there is a webhook. `notify` is called after each update.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(settings: AlertsSettings, notify: Arc<dyn Fn() + Send + Sync>) -> io::Result<Alerts> {
        let (say, updates) = bounded(UPDATES_PENDING_MAX);
        let Some(webhook) = settings.webhook else { return Ok(Alerts { queue: None, updates }) };
        let (queue, work) = bounded(ALERTS_PENDING_MAX);
        let config = Agent::config_builder()
            .timeout_global(Some(ALERT_TIMEOUT))
            .user_agent(settings.user_agent)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .build();
        let agent = Agent::new_with_config(config);
        std::thread::Builder::new().name("alerts".to_owned()).spawn(move || {
            Thread { agent, webhook, say, notify, waiting: BinaryHeap::new() }.run(&work);
        })?;
        Ok(Alerts { queue: Some(queue), updates })
    }

    /// Tells of a failure. What became of it at once, if it will not be delivered.
    pub fn tell(&self, record: &AlertRecord) -> Option<AlertUpdate> {
        self.enqueue(record.into(), record.at)
    }

    /// Goes on with an alert that an earlier process left.
    pub fn resume(&self, stored: &StoredAlert, now: WallUs) -> Option<AlertUpdate> {
        if older_than(stored.at, now, ALERT_AGE_MAX) {
            let alert = Alert::from(stored);
            return Some(update(&alert, AlertState::Failed, now, Some("given up: it is too old".to_owned())));
        }
        self.enqueue(stored.into(), now)
    }

    /// What became of an alert since the last call, if anything.
    pub fn try_update(&self) -> Option<AlertUpdate> {
        self.updates.try_recv().ok()
    }

    /// Alerts that wait.
    pub fn waiting(&self) -> usize {
        self.queue.as_ref().map_or(0, Sender::len)
    }

    fn enqueue(&self, alert: Alert, now: WallUs) -> Option<AlertUpdate> {
        let Some(queue) = &self.queue else { return Some(update(&alert, AlertState::Logged, now, None)) };
        match queue.try_send(alert) {
            Ok(()) => None,
            Err(TrySendError::Full(alert) | TrySendError::Disconnected(alert)) => {
                let why = format!("given up: {ALERTS_PENDING_MAX} alerts already wait");
                Some(update(&alert, AlertState::Failed, now, Some(why)))
            }
        }
    }
}

struct Thread {
    agent: Agent,
    webhook: TargetUrl,
    say: Sender<AlertUpdate>,
    notify: Arc<dyn Fn() + Send + Sync>,
    /// Alerts that wait for their next try.
    waiting: BinaryHeap<Reverse<Later>>,
}

impl Thread {
    fn run(mut self, work: &Receiver<Alert>) {
        loop {
            let wait = self.waiting.peek().map(|Reverse(later)| later.due.saturating_duration_since(Instant::now()));
            let alert = match wait {
                Some(Duration::ZERO) => self.waiting.pop().map(|Reverse(later)| later.alert),
                // Full of alerts that wait for their retry: new ones stay in the channel.
                Some(wait) if self.waiting.len() >= ALERTS_PENDING_MAX => {
                    std::thread::sleep(wait);
                    continue;
                }
                Some(wait) => match work.recv_timeout(wait) {
                    Ok(alert) => Some(alert),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                },
                None => match work.recv() {
                    Ok(alert) => Some(alert),
                    Err(_) => return,
                },
            };
            if let Some(alert) = alert {
                self.deliver(alert);
            }
        }
    }

    fn deliver(&mut self, mut alert: Alert) {
        alert.attempts += 1;
        let (state, error) = match self.post(&alert) {
            Ok(()) => (AlertState::Delivered, None),
            Err(why) if older_than(alert.created_at, clock::wall(), ALERT_AGE_MAX) => (AlertState::Failed, Some(why)),
            Err(why) => (AlertState::Pending, Some(why)),
        };
        drop(self.say.send(update(&alert, state, clock::wall(), error)));
        (self.notify)();
        if state == AlertState::Pending {
            let noise = alert.seq.0 ^ (u64::from(alert.attempts) << 48);
            let due = Instant::now() + BACKOFF.wait(alert.attempts, noise);
            self.waiting.push(Reverse(Later { due, alert }));
        }
    }

    fn post(&self, alert: &Alert) -> Result<(), String> {
        let body = serde_json::to_vec(&alert.payload).map_err(|why| why.to_string())?;
        let call = self.agent.post(self.webhook.uri()).content_type("application/json");
        let answer = call.send(&body[..]).map_err(|why| format!("the webhook could not be reached: {why}"))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("the webhook answered {}", answer.status())) }
    }
}

/// An alert and when it is tried again; ordered by that.
struct Later {
    due: Instant,
    alert: Alert,
}

impl Later {
    fn key(&self) -> (Instant, u64) {
        (self.due, self.alert.seq.0)
    }
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

fn update(alert: &Alert, state: AlertState, at: WallUs, error: Option<String>) -> AlertUpdate {
    AlertUpdate { seq: alert.seq, state, at, attempts: alert.attempts, error }
}

fn older_than(at: WallUs, now: WallUs, age: Duration) -> bool {
    u128::try_from(now.since_us(at)).is_ok_and(|us| us > age.as_micros())
}
