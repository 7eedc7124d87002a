//! Owns what waits for the writer, and what is known of its health.
//! It must not drop anything: the core bounds what it asks for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::access::TokenChange;
use crate::core::{Persist, RequestId};
use crate::limits::{BATCH_LEN_MAX, BATCHES_PENDING_MAX, OUTCOME_WAIT_MAX, STORE_STALL_MAX};
use crate::store::{AlertUpdate, AuditRow, Batch, ChannelHealth, Delivery, KeyedAnswer, Writer, WriterEvent};
use crate::telemetry::{Recorder, StoreLatency};
use crate::time::MonoUs;

/// Items that are worth a commit of their own before the turn is over.
const EARLY_LEN: usize = 16;

/// Items on their way to the writer.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    items: VecDeque<(u64, Persist)>,
    alerts: Vec<AlertUpdate>,
    deliveries: Vec<Delivery>,
    channels: Vec<(Arc<str>, ChannelHealth)>,
    /// Answers that are kept with items that wait.
    answers: VecDeque<(u64, KeyedAnswer)>,
    /// Changes of tokens, each with the request that waits for it.
    tokens: Vec<(Option<RequestId>, TokenChange)>,
    /// What is written down with an item that waits, or by itself.
    audits: Vec<(Option<u64>, AuditRow)>,
    /// Changes of tokens that are with the writer, as it will answer.
    unanswered_tokens: VecDeque<Vec<(Option<RequestId>, TokenChange)>>,
    /// Those that are on disk.
    written_tokens: Vec<(Option<RequestId>, TokenChange)>,
    /// Who waits for answers that are kept with no item: before these are with the writer, meanwhile, and once they are on disk.
    alone: Vec<RequestId>,
    unanswered_alone: VecDeque<Vec<RequestId>>,
    kept_alone: Vec<RequestId>,
    /// Numbers of items that must be one transaction, first and last.
    together: VecDeque<(u64, u64)>,
    /// When each batch that is not answered was handed over, oldest first.
    unanswered: VecDeque<MonoUs>,
    /// Whether somebody waits for one of the items to be on disk.
    urgent: bool,
    /// Until when the items may wait for others; None: there are none.
    flush_by: Option<MonoUs>,
    failing: Option<String>,
    /// Items up to this number are on disk.
    through: u64,
    /// The newest item that came.
    newest: u64,
    /// When the newest batch was sent that is on disk, until somebody asks.
    acknowledged: Option<MonoUs>,
    /// Whether a batch was handed over, until somebody asks.
    has_sent: bool,
    /// Whether others took this server for dead.
    is_fenced: bool,
    /// Whether the writer has not said yet that it is done with all that it was given before that was forgotten.
    is_away: bool,
    commits: Recorder,
    held_up: Recorder,
    writes: Recorder,
}

impl Outbox {
    pub(super) fn push(&mut self, number: u64, item: Persist, mono: MonoUs) {
        self.urgent |= item.is_awaited();
        self.flush_by.get_or_insert(mono.plus(OUTCOME_WAIT_MAX));
        self.newest = number;
        self.items.push_back((number, item));
    }

    /// The newest item that came.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Items up to this number are on disk.
    pub(super) fn through(&self) -> u64 {
        self.through
    }

    /// When the newest batch was sent that is on disk since this was asked last.
    pub(super) fn take_acknowledged(&mut self) -> Option<MonoUs> {
        self.acknowledged.take()
    }

    /// Whether a batch was handed over since this was asked last.
    pub(super) fn take_sent(&mut self) -> bool {
        std::mem::take(&mut self.has_sent)
    }

    /// Whether others took this server for dead, so that nothing that was handed over is written.
    pub(super) fn is_fenced(&self) -> bool {
        self.is_fenced
    }

    /// Forgets what waits and what was handed over, as others have all it is about. Nothing more is handed over until the
    /// writer has joined them anew: until then it tells of what was forgotten. Who waits for changes of tokens.
    pub(super) fn forget(&mut self) -> Vec<RequestId> {
        let given = std::mem::take(&mut self.unanswered_tokens).into_iter().flatten();
        let tokens: Vec<_> = given.chain(std::mem::take(&mut self.tokens)).collect();
        let (commits, held_up, writes) =
            (std::mem::take(&mut self.commits), std::mem::take(&mut self.held_up), std::mem::take(&mut self.writes));
        let (newest, failing) = (self.newest, self.failing.take());
        let mut kept_alone = std::mem::take(&mut self.kept_alone);
        kept_alone.extend(std::mem::take(&mut self.unanswered_alone).into_iter().flatten().chain(self.alone.drain(..)));
        *self = Outbox {
            newest,
            through: newest,
            failing,
            is_away: true,
            kept_alone,
            commits,
            held_up,
            writes,
            ..Outbox::default()
        };
        tokens.into_iter().filter_map(|(request, _)| request).collect()
    }

    /// Items with these numbers are to be one transaction. All of them come at once.
    pub(super) fn join(&mut self, first: u64, last: u64) {
        self.together.push_back((first, last));
    }

    /// How many items are one transaction: as many as it may have, and no part of what belongs together.
    fn length(&mut self) -> usize {
        let mut rows = 0;
        let fits = self.items.iter().take_while(|(_, item)| {
            rows += item.rows();
            rows <= BATCH_LEN_MAX
        });
        let length = fits.count();
        let Some(&(number, _)) = length.checked_sub(1).and_then(|at| self.items.get(at)) else { return length };
        while self.together.pop_front_if(|(_, last)| *last <= number).is_some() {}
        match self.together.pop_front_if(|(first, _)| *first <= number) {
            Some((_, last)) => self.items.iter().take_while(|(number, _)| *number <= last).count(),
            None => length,
        }
    }

    /// Somebody waits for what is there already.
    pub(super) fn hurry(&mut self) {
        self.urgent |= !self.items.is_empty();
    }

    /// An answer is kept with an item that waits.
    pub(super) fn keep(&mut self, number: u64, answer: KeyedAnswer) {
        let behind = self.answers.partition_point(|(other, _)| *other <= number);
        self.answers.insert(behind, (number, answer));
    }

    /// An answer is kept with no item. A request waits for that.
    pub(super) fn keep_alone(&mut self, request: RequestId, answer: KeyedAnswer, mono: MonoUs) {
        self.urgent = true;
        self.flush_by.get_or_insert(mono);
        self.alone.push(request);
        self.keep(0, answer);
    }

    /// Whose answers are on disk that are kept with no item, or never will be, since this was asked last.
    pub(super) fn take_kept_alone(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.kept_alone)
    }

    /// A token changes. If somebody waits for that, it is written at once.
    pub(super) fn push_token(&mut self, request: Option<RequestId>, change: TokenChange, mono: MonoUs) {
        self.urgent |= request.is_some();
        self.flush_by.get_or_insert(mono.plus(OUTCOME_WAIT_MAX));
        self.tokens.push((request, change));
    }

    /// Changes of tokens that are on disk since this was asked last, each with the request that waits for it.
    pub(super) fn take_written_tokens(&mut self) -> Vec<(Option<RequestId>, TokenChange)> {
        std::mem::take(&mut self.written_tokens)
    }

    /// Something is written down: with the item that has this number, or by itself.
    pub(super) fn push_audit(&mut self, number: Option<u64>, row: AuditRow, mono: MonoUs) {
        self.flush_by.get_or_insert(mono.plus(OUTCOME_WAIT_MAX));
        self.audits.push((number, row));
    }

    /// Whether there is nothing that could be handed over.
    fn is_handed_over(&self) -> bool {
        let is_alone = |(number, _): &(Option<u64>, AuditRow)| number.is_none();
        let is_idle = self.alerts.is_empty() && self.deliveries.is_empty() && self.channels.is_empty();
        let is_idle = is_idle && self.answers.front().is_none_or(|(number, _)| *number != 0);
        is_idle && self.items.is_empty() && self.tokens.is_empty() && !self.audits.iter().any(is_alone)
    }

    pub(super) fn push_alert(&mut self, update: AlertUpdate) {
        self.urgent = true;
        self.alerts.push(update);
    }

    /// What became of a message on one of its channels.
    pub(super) fn push_delivery(&mut self, delivery: Delivery) {
        self.urgent = true;
        self.deliveries.push(delivery);
    }

    /// How a channel fared.
    pub(super) fn push_channel(&mut self, name: Arc<str>, health: ChannelHealth) {
        self.urgent = true;
        self.channels.push((name, health));
    }

    /// When `flush` is to be called at the latest.
    pub(super) fn deadline(&self) -> Option<MonoUs> {
        // While the writer has enough, its answer comes first.
        self.flush_by.filter(|_| self.unanswered.len() < BATCHES_PENDING_MAX && !self.is_away)
    }

    /// Hands over what there is, unless the writer has enough: so batches grow with the load. Outcomes that nobody
    /// waits for are gathered for a moment: writing them would take the cores from the burst that they come from.
    pub(super) fn flush(&mut self, writer: &Writer, mono: MonoUs, all: bool) {
        if self.is_away || (!all && !self.is_due(mono)) {
            return;
        }
        while self.unanswered.len() < BATCHES_PENDING_MAX && !self.is_handed_over() {
            let length = self.length();
            let items: Vec<(u64, Persist)> = self.items.drain(..length).collect();
            let through = items.last().map_or(0, |(number, _)| *number);
            let answers = self.answers.iter().take_while(|(number, _)| *number <= through).count();
            let answers = self.answers.drain(..answers).collect();
            let is_of_batch = |(number, _): &mut (Option<u64>, _)| number.is_none_or(|number| number <= through);
            let audits = self.audits.extract_if(.., is_of_batch).collect();
            let (alerts, waiting) = (std::mem::take(&mut self.alerts), std::mem::take(&mut self.tokens));
            let tokens = waiting.iter().map(|(_, change)| change.clone()).collect();
            let (deliveries, channels) = (std::mem::take(&mut self.deliveries), std::mem::take(&mut self.channels));
            writer.send(Batch { items, alerts, deliveries, channels, answers, tokens, audits });
            self.has_sent = true;
            self.unanswered.push_back(mono);
            self.unanswered_tokens.push_back(waiting);
            self.unanswered_alone.push_back(std::mem::take(&mut self.alone));
        }
        if self.is_handed_over() {
            (self.urgent, self.flush_by) = (false, None);
        }
    }

    /// Whether the writer rests while some changes wait for it that somebody waits for: they need not wait until the turn is
    /// over. So it writes while the rest of the turn is done, and the loop and it do not take turns.
    pub(super) fn is_wanted(&self) -> bool {
        self.urgent && self.unanswered.is_empty() && self.items.len() >= EARLY_LEN && !self.is_away
    }

    fn is_due(&self, mono: MonoUs) -> bool {
        self.urgent || self.items.len() >= BATCH_LEN_MAX || self.flush_by.is_some_and(|by| by <= mono)
    }

    /// Takes note of an event: what the core is to hear, as (through, rejected).
    pub(super) fn note(&mut self, event: WriterEvent, mono: MonoUs) -> Option<(u64, Vec<u64>)> {
        match event {
            WriterEvent::Committed { .. } | WriterEvent::Fenced if self.is_away => None,
            WriterEvent::Joined => {
                self.is_away = false;
                None
            }
            WriterEvent::Committed { through, held_up, wrote, sent } => {
                self.acknowledged = Some(sent);
                let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
                self.held_up.record(us(held_up));
                self.writes.record(us(wrote));
                let given = self.unanswered.pop_front().expect("the writer answers each batch once");
                self.written_tokens.extend(self.unanswered_tokens.pop_front().into_iter().flatten());
                self.kept_alone.extend(self.unanswered_alone.pop_front().into_iter().flatten());
                self.commits.record(i64::try_from(mono.0.saturating_sub(given.0)).unwrap_or(i64::MAX));
                self.through = through?;
                Some((self.through, Vec::new()))
            }
            WriterEvent::Failing { why, rejected } => {
                tracing::error!(reason = %why, rejected = rejected.len(), "the store cannot be written");
                self.failing = Some(why);
                (!self.is_away).then_some((self.through, rejected))
            }
            WriterEvent::Fenced => {
                self.is_fenced = true;
                None
            }
            WriterEvent::ChoreFailed { chore, why } => {
                tracing::error!(chore, reason = %why, "housekeeping of the store fails");
                None
            }
            WriterEvent::Working => {
                tracing::info!("the store can be written again");
                self.failing = None;
                None
            }
        }
    }

    /// Why changes cannot be written now, if so.
    pub(super) fn trouble(&self, mono: MonoUs) -> Option<String> {
        if let Some(why) = &self.failing {
            return Some(format!("the store cannot be written: {why}"));
        }
        let since = self.unanswered.front()?;
        let waited_ms = mono.0.saturating_sub(since.0) / 1000;
        let stalled = u128::from(waited_ms) >= STORE_STALL_MAX.as_millis();
        stalled.then(|| format!("the store has not answered for {waited_ms} ms"))
    }

    /// Whether writing fails.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Whether nothing waits and everything was answered.
    pub(super) fn is_empty(&self) -> bool {
        self.is_handed_over() && self.unanswered.is_empty()
    }

    /// Items that were not handed over.
    pub(super) fn waiting(&self) -> usize {
        self.items.len()
    }

    /// How long batches took.
    pub(super) fn latency(&self) -> StoreLatency {
        StoreLatency {
            commit: self.commits.percentiles(),
            held_up: self.held_up.percentiles(),
            write: self.writes.percentiles(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Class, ExecutionKey, LedgerRow, Seq, Status};
    use crate::job::JobKey;
    use crate::time::Instant;

    fn row(status: Status) -> Persist {
        let key = ExecutionKey::scheduled(JobKey(1), Instant::from_secs(10));
        let mut row = LedgerRow::pending(Seq(1), key, Class::OnTime);
        row.record.status = status;
        Persist::Row(row, None)
    }

    #[test]
    fn outcomes_are_gathered_until_their_time_is_up_or_somebody_waits() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.deadline(), None);
        let later = MonoUs(5).plus(OUTCOME_WAIT_MAX);
        outbox.push(1, row(Status::Success), MonoUs(5));
        outbox.push(2, row(Status::Skipped), MonoUs(9));
        assert_eq!(outbox.deadline(), Some(later), "the oldest counts");
        assert!(!outbox.is_due(MonoUs(later.0 - 1)));
        assert!(outbox.is_due(later));
        outbox.push(3, row(Status::Pending), MonoUs(10));
        assert!(outbox.is_due(MonoUs(10)), "a POST waits for this row");
    }

    #[test]
    fn nothing_is_heard_of_what_was_forgotten_and_nothing_handed_over_until_the_writer_has_joined() {
        let mut outbox = Outbox::default();
        outbox.push(1, row(Status::Pending), MonoUs(5));
        outbox.unanswered.push_back(MonoUs(5));
        outbox.forget();
        // Both were under way.
        let (held_up, wrote) = (Duration::ZERO, Duration::ZERO);
        let committed = WriterEvent::Committed { through: Some(1), held_up, wrote, sent: MonoUs(5) };
        for event in [committed, WriterEvent::Fenced] {
            assert_eq!(outbox.note(event, MonoUs(6)), None);
        }
        assert!(!outbox.is_fenced() && outbox.take_acknowledged().is_none(), "that was another node");
        let failing = WriterEvent::Failing { why: "away".to_owned(), rejected: vec![1] };
        assert_eq!(outbox.note(failing, MonoUs(6)), None);
        assert!(outbox.is_failing());
        outbox.push(2, row(Status::Pending), MonoUs(7));
        assert_eq!(outbox.deadline(), None);
        assert_eq!(outbox.note(WriterEvent::Joined, MonoUs(8)), None);
        assert!(outbox.deadline().is_some() && !outbox.is_empty());
    }

    #[test]
    fn an_answer_that_is_kept_alone_waits_for_no_item() {
        let answer = |key: &str| KeyedAnswer {
            key: key.into(),
            digest: [0; 32],
            at: crate::time::WallUs(1),
            answer: crate::store::StoredAnswer { status: 200, headers: Vec::new(), body: Vec::new() },
        };
        let mut outbox = Outbox::default();
        outbox.keep(7, answer("with an item that is to come"));
        assert!(outbox.is_empty());
        outbox.keep_alone(RequestId(3), answer("alone"), MonoUs(5));
        assert!(!outbox.is_empty() && outbox.is_due(MonoUs(5)));
        assert_eq!(outbox.answers.iter().take_while(|(number, _)| *number == 0).count(), 1, "it is the first to go");
        assert_eq!(outbox.take_kept_alone(), []);
        outbox.forget();
        assert_eq!(outbox.take_kept_alone(), [RequestId(3)], "nobody waits for what never comes");
    }

    #[test]
    fn what_belongs_together_is_one_transaction() {
        let mut outbox = Outbox::default();
        let most = BATCH_LEN_MAX as u64;
        outbox.join(most - 1, most + 5);
        for number in 1..=3 * most {
            outbox.push(number, row(Status::Success), MonoUs(0));
        }
        outbox.join(most + 10, most + 12);
        for length in [BATCH_LEN_MAX + 5, BATCH_LEN_MAX] {
            assert_eq!(outbox.length(), length);
            outbox.items.drain(..length);
        }
        assert!(outbox.together.is_empty());
    }

    #[test]
    fn some_that_are_waited_for_go_before_the_turn_is_over_if_the_writer_rests() {
        let mut outbox = Outbox::default();
        for number in 1..=EARLY_LEN as u64 {
            outbox.push(number, row(Status::Success), MonoUs(0));
        }
        assert!(!outbox.is_wanted(), "nobody waits for them");
        outbox.push(1_000, row(Status::Pending), MonoUs(0));
        assert!(outbox.is_wanted());
        outbox.unanswered.push_back(MonoUs(0));
        assert!(!outbox.is_wanted(), "it has enough to do");
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let mut outbox = Outbox::default();
        for number in 1..BATCH_LEN_MAX as u64 {
            outbox.push(number, row(Status::Success), MonoUs(0));
        }
        assert!(!outbox.is_due(MonoUs(0)));
        outbox.push(BATCH_LEN_MAX as u64, row(Status::Success), MonoUs(0));
        assert!(outbox.is_due(MonoUs(0)));
    }
}
