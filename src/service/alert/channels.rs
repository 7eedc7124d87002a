//! Owns the messages on their way to channels: a line in front of each, what becomes of each message, how channels fare.
//! It must not send, wait or read a clock: the loop hands its parcels to the workers, and tells it what time it is.
//!
//! Nothing here waits for a channel: each has one parcel under way at most, and none of them knows of another.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use super::form::{self, Parcel};
use super::line::{Line, Waiting};
use crate::channel::Channel;
use crate::core::{MailReport, Message, MessageReport, Outcome, ParcelId, RequestId, Subject};
use crate::job::JobKey;
use crate::limits::{
    ALERT_AGE_MAX, ALERTS_PENDING_MAX, CHANNEL_TESTS_MAX, CHANNELS_MAX, DIGEST_SHOWN_MAX, ERROR_LEN_MAX,
};
use crate::store::{AlertState, ChannelHealth, Delivery, UndeliveredMessage};
use crate::time::{MonoUs, Now, WallUs};

/// The queues in front of all channels.
#[derive(Debug, Default)]
pub struct Channels {
    lines: BTreeMap<Arc<str>, Lane>,
    /// Parcels that this process sent.
    sent: u64,
    /// Of which channel each of those under way is.
    under_way: BTreeMap<ParcelId, Arc<str>>,
    deliveries: Vec<Delivery>,
    healths: Vec<(Arc<str>, ChannelHealth)>,
    tests: Vec<(RequestId, Result<Duration, String>)>,
}

/// A channel as it is known here.
#[derive(Debug, Default)]
struct Lane {
    line: Line,
    health: ChannelHealth,
    counts: MessageCounts,
    /// Whether only what is under way keeps it here.
    is_gone: bool,
}

/// What became of messages over a channel since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// Delivered.
    pub delivered: u64,
    /// Given up.
    pub failed: u64,
    /// Not delivered by a try that is followed by another one.
    pub retried: u64,
}

impl Channels {
    /// A message is to be told over each of its channels.
    pub fn tell(&mut self, message: &Message, now: MonoUs) {
        let message = Arc::new(message.clone());
        for channel in &message.channels {
            let name = self.name(channel);
            self.enqueue(name, Waiting { message: Arc::clone(&message), attempts: 0 }, now);
        }
    }

    /// Goes on with a message that an earlier process left.
    pub fn resume(&mut self, left: UndeliveredMessage, now: Now) {
        let UndeliveredMessage { message, channel, attempts } = left;
        let waiting = Waiting { message: Arc::new(message), attempts };
        if is_too_old(waiting.message.at, now.wall) {
            return self.give_up(&channel, &waiting, "given up: it is too old");
        }
        self.enqueue(channel, waiting, now.mono);
    }

    /// Forgets what waits of jobs that another node has from now on: it finds that in the database.
    pub fn give_away(&mut self, is_given: impl Fn(JobKey) -> bool) {
        for lane in self.lines.values_mut() {
            lane.line.retain(|message| !matches!(message.incident.subject, Subject::Job(job) if is_given(job.key())));
        }
    }

    /// At the start: how a channel fared before.
    pub fn restore_health(&mut self, name: &Arc<str>, health: ChannelHealth) {
        self.lines.entry(Arc::clone(name)).or_default().health = health;
    }

    /// A channel was set, so that it may work now; or it is gone, and so is what waits for it.
    pub fn note_changed(&mut self, name: &str, exists: bool, now: MonoUs) {
        let name = self.name(name);
        if !exists {
            return self.drop_line(&name);
        }
        if let Some(lane) = self.lines.get_mut(&name) {
            lane.line.hurry(now);
            lane.is_gone = false;
        }
    }

    /// What is to be sent now, if anything. To be asked until there is nothing. `find` knows channels by their names.
    pub fn next_parcel(&mut self, now: MonoUs, find: impl Fn(&str) -> Option<Arc<Channel>>) -> Option<Parcel> {
        loop {
            if self.is_full() {
                return None;
            }
            let is_due = |(_, lane): &(&Arc<str>, &Lane)| lane.line.due().is_some_and(|due| due <= now);
            let name = Arc::clone(self.lines.iter().find(is_due)?.0);
            let Some(channel) = find(&name) else {
                self.drop_line(&name);
                continue;
            };
            let line = &mut self.lines.get_mut(&name)?.line;
            let messages = line.take(now)?;
            self.sent += 1;
            let id = ParcelId::Queued(self.sent);
            let parcel = form::parcel(id, &name, &channel, &messages);
            line.begin(self.sent, messages);
            self.under_way.insert(id, name);
            return Some(parcel);
        }
    }

    /// When [`Channels::next_parcel`] is to be asked at the latest.
    pub fn deadline(&self) -> Option<MonoUs> {
        if self.is_full() {
            // A report comes first.
            return None;
        }
        self.lines.values().filter_map(|lane| lane.line.due()).min()
    }

    /// A parcel that only shows whether a channel works. What becomes of it comes with [`Channels::take_tests`].
    ///
    /// # Errors
    /// When too many are under way.
    pub fn test(&mut self, request: RequestId, name: &str, channel: &Channel, now: WallUs) -> Result<Parcel, String> {
        let tests = self.under_way.keys().filter(|id| matches!(id, ParcelId::Test(_))).count();
        if tests >= CHANNEL_TESTS_MAX {
            return Err(format!("{CHANNEL_TESTS_MAX} tests of channels are already under way"));
        }
        let id = ParcelId::Test(request);
        let name = self.name(name);
        let parcel = form::test(id, &name, channel, now);
        self.lines.entry(Arc::clone(&name)).or_default();
        self.under_way.insert(id, name);
        Ok(parcel)
    }

    /// A POST has come to its end.
    pub fn report(&mut self, report: MessageReport, now: Now) {
        let MessageReport { id, outcome, response, retry_after_s, duration_us } = report;
        let asked = Duration::from_secs(retry_after_s.unwrap_or(0).into());
        let result = judge(outcome, response.as_deref()).map(|()| None);
        self.settle(id, result, asked, Duration::from_micros(duration_us), now);
    }

    /// A letter has come to its end.
    pub fn report_mail(&mut self, report: MailReport, now: Now) {
        let MailReport { id, taken, duration_us } = report;
        self.settle(id, taken, Duration::ZERO, Duration::from_micros(duration_us), now);
    }

    /// What became of messages since this was asked last, to be written down.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        mem::take(&mut self.deliveries)
    }

    /// How channels fared since this was asked last, to be written down.
    pub fn take_healths(&mut self) -> Vec<(Arc<str>, ChannelHealth)> {
        mem::take(&mut self.healths)
    }

    /// What became of tests since this was asked last: how long a delivery took, or why there was none.
    pub fn take_tests(&mut self) -> Vec<(RequestId, Result<Duration, String>)> {
        mem::take(&mut self.tests)
    }

    /// How many messages are not delivered over a channel, and may still be.
    pub fn waiting(&self, name: &str) -> usize {
        self.lines.get(name).map_or(0, |lane| lane.line.len())
    }

    /// How a channel fared last.
    pub fn health(&self, name: &str) -> ChannelHealth {
        self.lines.get(name).map(|lane| lane.health.clone()).unwrap_or_default()
    }

    /// What became of messages over a channel.
    pub fn counts(&self, name: &str) -> MessageCounts {
        self.lines.get(name).map(|lane| lane.counts).unwrap_or_default()
    }

    /// Whether as much is under way as there may be channels: some of it is of those that are gone.
    fn is_full(&self) -> bool {
        self.under_way.keys().filter(|id| matches!(id, ParcelId::Queued(_))).count() >= CHANNELS_MAX
    }

    /// The name as all that is known of this channel has it.
    fn name(&self, name: &str) -> Arc<str> {
        self.lines.get_key_value(name).map_or_else(|| name.into(), |(known, _)| Arc::clone(known))
    }

    fn enqueue(&mut self, name: Arc<str>, waiting: Waiting, now: MonoUs) {
        let lane = self.lines.entry(Arc::clone(&name)).or_default();
        lane.is_gone = false;
        let line = &mut lane.line;
        if line.len() >= ALERTS_PENDING_MAX {
            let why = format!("given up: {ALERTS_PENDING_MAX} messages already wait");
            return self.give_up(&name, &waiting, &why);
        }
        line.push(waiting, now);
    }

    /// The channel is gone. What is under way comes to its end all the same.
    fn drop_line(&mut self, name: &Arc<str>) {
        let Some(lane) = self.lines.get_mut(name) else { return };
        lane.is_gone = true;
        for waiting in lane.line.abandon() {
            self.give_up(name, &waiting, "given up: the channel is gone");
        }
        self.forget_if_gone(name);
    }

    fn forget_if_gone(&mut self, name: &str) {
        if self.lines.get(name).is_some_and(|lane| lane.is_gone && lane.line.len() == 0) {
            self.lines.remove(name);
        }
    }

    fn settle(
        &mut self,
        id: ParcelId,
        result: Result<Option<String>, String>,
        asked: Duration,
        took: Duration,
        now: Now,
    ) {
        // Nobody waits for a report that comes twice.
        let Some(name) = self.under_way.remove(&id) else { return };
        let result = result.map_err(shortened);
        match id {
            ParcelId::Queued(number) => self.settle_messages(&name, number, &result, asked, now),
            ParcelId::Test(request) => {
                if let (Ok(_), Some(lane)) = (&result, self.lines.get_mut(&name)) {
                    lane.line.hurry(now.mono);
                }
                self.tests.push((request, result.clone().map(|_| took)));
            }
        }
        let Some(lane) = self.lines.get_mut(&name).filter(|lane| !lane.is_gone) else {
            return self.forget_if_gone(&name);
        };
        match result {
            Ok(note) => (lane.health.delivered_at, lane.health.error) = (Some(now.wall), note.map(shortened)),
            Err(why) => (lane.health.failed_at, lane.health.error) = (Some(now.wall), Some(why)),
        }
        self.healths.push((name, lane.health.clone()));
    }

    fn settle_messages(
        &mut self,
        name: &Arc<str>,
        number: u64,
        result: &Result<Option<String>, String>,
        asked: Duration,
        now: Now,
    ) {
        let Some(lane) = self.lines.get_mut(name) else { return };
        let Some(messages) = lane.line.end(number) else { return };
        match result {
            Ok(note) => {
                lane.line.note_delivered();
                lane.counts.delivered += messages.len() as u64;
                // Whom it did not reach stands where the message does, as the channel will have other news.
                let told =
                    messages.iter().map(|of| delivery(name, of, AlertState::Delivered, Some(now.wall), note.clone()));
                self.deliveries.extend(told);
            }
            Err(why) => {
                let (old, again): (Vec<_>, Vec<_>) =
                    messages.into_iter().partition(|waiting| is_too_old(waiting.message.at, now.wall));
                let pending = |of: &Waiting| delivery(name, of, AlertState::Pending, None, Some(why.clone()));
                // Of many the first stand for all: the same is so of the others, and a dead channel must not fill the disk's queue.
                self.deliveries.extend(again.iter().take(DIGEST_SHOWN_MAX).map(pending));
                lane.counts.retried += again.len() as u64;
                let noise = again.first().map_or(0, |waiting| waiting.message.incident.id.0);
                lane.line.note_failed(again, asked, noise, now.mono);
                for waiting in &old {
                    self.give_up(name, waiting, why);
                }
            }
        }
    }

    fn give_up(&mut self, name: &Arc<str>, waiting: &Waiting, why: &str) {
        if let Some(lane) = self.lines.get_mut(name) {
            lane.counts.failed += 1;
        }
        self.deliveries.push(delivery(name, waiting, AlertState::Failed, None, Some(why.to_owned())));
    }
}

fn delivery(
    name: &Arc<str>,
    waiting: &Waiting,
    state: AlertState,
    delivered_at: Option<WallUs>,
    error: Option<String>,
) -> Delivery {
    let Waiting { message, attempts } = waiting;
    let (incident, number, channel) = (message.incident.id, message.number, Arc::clone(name));
    Delivery { incident, number, channel, state, delivered_at, attempts: *attempts, error }
}

/// Whether the channel took it; if not, why.
fn judge(outcome: Outcome, response: Option<&str>) -> Result<(), String> {
    match outcome {
        Outcome::Answered(200..=299) => Ok(()),
        Outcome::Answered(status) => {
            let said = response.map(super::words::line).filter(|said| !said.is_empty());
            Err(format!("the channel answered {status}{}", said.map(|said| format!(": {said}")).unwrap_or_default()))
        }
        Outcome::TimedOut(why) | Outcome::ConnectionFailed(why) | Outcome::WorkerFailed(why) => {
            Err(format!("the channel could not be reached: {why}"))
        }
        Outcome::Withheld => Err("the channel was not asked".to_owned()),
    }
}

fn shortened(mut why: String) -> String {
    why.truncate(why.floor_char_boundary(ERROR_LEN_MAX));
    why
}

fn is_too_old(made_at: WallUs, now: WallUs) -> bool {
    u128::try_from(now.since_us(made_at)).is_ok_and(|us| us > ALERT_AGE_MAX.as_micros())
}

#[cfg(test)]
#[path = "channels_tests.rs"]
mod tests;
