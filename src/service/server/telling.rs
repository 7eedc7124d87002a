//! Owns the telling of incidents: the queues in front of channels, and the hands that send what comes out of them.
//! It must not make a job wait: what it sends goes behind all else, and letters go by threads of their own.

use std::sync::Arc;
use std::time::Duration;

use super::engine::AlertCounts;
use super::outbox::Outbox;
use crate::alert::{Channels, MessageCounts, Parcel};
use crate::core::{Errand, Message, MessageReport, Reply, RequestId, Scheduler, Setting};
use crate::dispatch::{Allowlist, Notify, Trust};
use crate::job::JobKey;
use crate::mail::{MailSettings, Office};
use crate::store::{AlertState, ChannelHealth, Delivery, UndeliveredMessage};
use crate::time::{MonoUs, Now};

/// Channels with their queues, and what sends.
#[derive(Debug)]
pub(super) struct Telling {
    channels: Channels,
    office: Office,
    /// Tests for which nothing was sent.
    refused: Vec<(RequestId, Result<Duration, String>)>,
}

impl Telling {
    /// Letters go where requests may go, to servers that targets are trusted like; `notify` is called when one is done.
    pub(super) fn new(targets: Allowlist, trust: Arc<Trust>, notify: Notify) -> Telling {
        let office = Office::new(MailSettings::new(targets, trust), notify);
        Telling { channels: Channels::default(), office, refused: Vec::new() }
    }

    /// At the start: how channels fared, and what was not delivered.
    pub(super) fn restore(&mut self, healths: Vec<(Arc<str>, ChannelHealth)>, left: Vec<UndeliveredMessage>, now: Now) {
        for (name, health) in healths {
            self.channels.restore_health(&name, health);
        }
        for message in left {
            self.channels.resume(message, now);
        }
    }

    /// Jobs are another node's from now on, and what is to be told of them.
    pub(super) fn give_away(&mut self, is_given: impl Fn(JobKey) -> bool) {
        self.channels.give_away(is_given);
    }

    /// A message is to be told.
    pub(super) fn tell(&mut self, message: &Message, mono: MonoUs) {
        self.channels.tell(message, mono);
    }

    /// A client is answered: that may be that a channel is another one now, or gone.
    pub(super) fn note_reply(&mut self, reply: &Reply, mono: MonoUs) {
        if let Reply::Set(Setting::Channel(name, channel)) = reply {
            self.channels.note_changed(name, channel.is_some(), mono);
        }
    }

    /// Takes what is to be sent now. Letters are handed over; what workers send is put behind `fires`.
    pub(super) fn flush(&mut self, core: &Scheduler, fires: &mut Vec<Errand>, mono: MonoUs) {
        while let Some(parcel) = self.channels.next_parcel(mono, |name| core.settings().channel(name).cloned()) {
            self.hand_over(parcel, fires);
        }
    }

    fn hand_over(&mut self, parcel: Parcel, fires: &mut Vec<Errand>) {
        match parcel {
            Parcel::Post(attempt) => fires.push(Errand::Message(attempt)),
            Parcel::Mail(attempt) => self.office.send(attempt),
        }
    }

    /// A worker is done with a message.
    pub(super) fn report(&mut self, report: MessageReport, now: Now) {
        self.channels.report(report, now);
    }

    /// Takes in what became of letters.
    pub(super) fn take_letters(&mut self, now: Now) {
        for report in self.office.receive() {
            self.channels.report_mail(report, now);
        }
    }

    /// Has written down what became of messages, and how channels fare.
    pub(super) fn write_down(&mut self, outbox: &mut Outbox) {
        for delivery in self.channels.take_deliveries() {
            log(&delivery);
            outbox.push_delivery(delivery);
        }
        for (name, health) in self.channels.take_healths() {
            if let Some(why) = &health.error {
                tracing::warn!(channel = &*name, why, "a channel fails, or did not take all");
            }
            outbox.push_channel(name, health);
        }
    }

    /// Sends a test over a channel.
    pub(super) fn test(&mut self, core: &Scheduler, fires: &mut Vec<Errand>, request: RequestId, name: &str, now: Now) {
        let channel = core.settings().channel(name).ok_or_else(|| "the channel is gone".to_owned());
        let parcel = channel.and_then(|channel| self.channels.test(request, name, channel, now.wall));
        match parcel {
            Ok(parcel) => self.hand_over(parcel, fires),
            Err(why) => self.refused.push((request, Err(why))),
        }
    }

    /// What became of tests.
    pub(super) fn take_tests(&mut self) -> Vec<(RequestId, Result<Duration, String>)> {
        let mut tests = std::mem::take(&mut self.refused);
        tests.extend(self.channels.take_tests());
        tests
    }

    /// When `flush` is to be called at the latest.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        self.channels.deadline()
    }

    /// How a channel fared last.
    pub(super) fn health(&self, name: &str) -> ChannelHealth {
        self.channels.health(name)
    }

    /// How many messages wait for a channel.
    pub(super) fn waiting(&self, name: &str) -> usize {
        self.channels.waiting(name)
    }

    /// What became of messages over a channel since the start.
    pub(super) fn counts(&self, name: &str) -> AlertCounts {
        let MessageCounts { delivered, failed, retried } = self.channels.counts(name);
        AlertCounts { delivered, failed, retries: retried, logged: 0 }
    }
}

fn log(delivery: &Delivery) {
    let Delivery { incident, number, channel, state, attempts, error, .. } = delivery;
    match state {
        AlertState::Failed => {
            let error = error.as_deref();
            tracing::error!(%incident, number, channel = &**channel, attempts, error, "a message was given up");
        }
        // The channel's own line in the log says why.
        AlertState::Pending | AlertState::Delivered | AlertState::Logged => {}
    }
}
