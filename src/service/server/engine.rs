//! Owns the core and everything its outputs go to: writer, workers, alerts, listeners, measurements, log.
//! It must not decide: it carries outputs out, and messages in.

use std::sync::Arc;
use std::time::Duration;

use crate::access::TokenChange;
use crate::alert::Alerts;
use crate::core::{
    Accepted, Attempt, Class, Errand, ErrandReport, Input, NodeId, Notice, Output, Reply, Report, RequestId, Scheduler,
    Shard, Shards, Status,
};
use crate::dispatch::{Pool, PoolStats};
use crate::job::{JobKey, TargetUrl};
use crate::limits::{BURST_MIN, REPORTS_PER_TURN_MAX, REST_GAP, REST_TIME};
use crate::store::{
    AlertState, AlertUpdate, AuditRow, ChannelHealth, Keep, KeyedAnswer, Sharing, UndeliveredMessage, Writer,
};
use crate::telemetry::{Ended, Minutes, Percentiles, Recorder, StoreLatency};
use crate::time::{Deadline, MonoUs, Now, WallUs};

use super::events::Events;
use super::nodes::Nodes;
use super::outbox::Outbox;
use super::telling::Telling;
use super::together::{Heard, Together};

/// What became of alerts since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AlertCounts {
    pub(super) delivered: u64,
    /// Given up.
    pub(super) failed: u64,
    /// Attempts that failed and are followed by another one.
    pub(super) retries: u64,
    /// There is nobody to deliver them to.
    pub(super) logged: u64,
}

impl AlertCounts {
    fn note(&mut self, state: AlertState) {
        let count = match state {
            AlertState::Delivered => &mut self.delivered,
            AlertState::Failed => &mut self.failed,
            AlertState::Pending => &mut self.retries,
            AlertState::Logged => &mut self.logged,
        };
        *count += 1;
    }
}

/// The core with its surroundings.
#[derive(Debug)]
pub(super) struct Engine {
    core: Scheduler,
    outbox: Outbox,
    writer: Writer,
    pool: Pool,
    alerts: Alerts,
    telling: Telling,
    pub(super) events: Events,
    /// None: the database is this server's alone.
    pub(super) nodes: Option<Box<Nodes>>,
    drift: Recorder,
    late: Recorder,
    durations: Recorder,
    alert_counts: AlertCounts,
    minutes: Minutes,
    fires: Vec<Errand>,
    reports: Vec<ErrandReport>,
    replies: Vec<(RequestId, Reply)>,
    planned: Vec<(u64, RequestId, Reply)>,
    trials: Vec<Report>,
    /// Changes that are written together, until the core has heard that they are.
    together: Option<Together>,
    /// Whether it is just hearing it.
    is_settling: bool,
    gathered: Option<Accepted>,
    /// For whom changes were written together, or will never be.
    settled: Option<(RequestId, Option<bool>)>,
    /// Until when long answers rest, or did last.
    rest_until: MonoUs,
    draining: bool,
    /// Attempts that workers have.
    out: usize,
    /// Whether they have some of which nothing is wanted any more.
    drops_reports: bool,
    /// Who waited for changes of tokens that nobody hears of any more.
    unheard_tokens: Vec<RequestId>,
}

impl Engine {
    pub(super) fn new(
        core: Scheduler,
        writer: Writer,
        pool: Pool,
        (alerts, telling): (Alerts, Telling),
        events: Events,
        began: WallUs,
    ) -> Engine {
        Engine {
            core,
            outbox: Outbox::default(),
            writer,
            pool,
            alerts,
            telling,
            events,
            nodes: None,
            drift: Recorder::default(),
            late: Recorder::default(),
            durations: Recorder::default(),
            alert_counts: AlertCounts::default(),
            minutes: Minutes::new(began),
            fires: Vec::new(),
            reports: Vec::new(),
            replies: Vec::new(),
            planned: Vec::new(),
            trials: Vec::new(),
            together: None,
            is_settling: false,
            gathered: None,
            settled: None,
            rest_until: MonoUs(0),
            draining: false,
            out: 0,
            drops_reports: false,
            unheard_tokens: Vec::new(),
        }
    }

    pub(super) fn core(&self) -> &Scheduler {
        &self.core
    }

    /// Gives the core an input and carries out all that follows; what is to be sent waits for `send_fired`.
    pub(super) fn input(&mut self, input: Input, now: Now) {
        self.core.handle_input(input, now);
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Persist(number, item) => {
                    self.events.note_item(number, &item, &self.core, now);
                    self.outbox.push(number, item, now.mono);
                }
                Output::Reply(request, reply) => {
                    self.telling.note_reply(&reply, now.mono);
                    self.replies.push((request, reply));
                }
                Output::Planned(number, request, reply) => self.planned.push((number, request, reply)),
                Output::Gathered(_, accepted) => self.gathered = Some(accepted),
                Output::Together(request, numbers) => {
                    let (first, last) = numbers.into_inner();
                    self.outbox.join(first, last);
                    self.together = Some(Together::new(request, first, last));
                }
                Output::Fire(attempt) => {
                    self.events.note_attempt(&attempt, now.mono);
                    self.fires.push(Errand::Execution(attempt));
                }
                Output::Dispatched(class, drift_us) => match class {
                    Class::OnTime => {
                        self.drift.record(drift_us);
                        self.minutes.note_drift(now.wall, drift_us);
                    }
                    Class::Recovered | Class::CatchUp | Class::Waited => self.late.record(drift_us),
                    // It belongs to no moment at which it should have begun.
                    Class::Manual => {}
                },
                Output::Alert(record) => {
                    tracing::warn!(job = %record.execution.job, execution = %record.execution, api = %record.api,
                        error = %record.error, "an execution failed");
                    let update = self.alerts.tell(&record);
                    self.note_alert(update);
                }
                Output::Tell(message) => self.telling.tell(&message, now.mono),
                Output::Hurry => self.outbox.hurry(),
                Output::Notice(notice) => {
                    self.events.note_notice(&notice, now);
                    log(&notice);
                }
            }
        }
        let ended = self.core.counts().ended;
        let [success, failed, skipped] =
            [Status::Success, Status::Failed, Status::Skipped].map(|status| ended.all(status));
        let ended = Ended { success, failed, skipped };
        self.minutes.note_totals(now.wall, ended);
    }

    /// Hands to the workers all that was fired since: many attempts, one batch.
    pub(super) fn send_fired(&mut self) {
        if !self.fires.is_empty() {
            self.out += self.fires.iter().filter(|errand| matches!(errand, Errand::Execution(_))).count();
            self.pool.send(std::mem::take(&mut self.fires));
        }
    }

    /// Due work: a tick, if the core wants one.
    pub(super) fn tick(&mut self, now: Now) {
        let mut fired = 0;
        while self.core.poll_timeout().is_reached(now) {
            self.input(Input::Tick, now);
            fired += self.fires.len();
            self.send_fired();
        }
        if fired >= BURST_MIN && now.mono >= self.rest_until.plus(REST_GAP) {
            self.rest_until = now.mono.plus(REST_TIME);
        }
    }

    /// Takes in what threads have sent: a bounded number of messages. True if there may be more.
    pub(super) fn take_messages(&mut self, now: Now) -> bool {
        self.settle(now);
        while !self.is_settling
            && let Some(event) = self.writer.try_event()
        {
            if let Some((through, rejected)) = self.outbox.note(event, now.mono) {
                self.events.note_written(through, &rejected, now.mono);
                self.committed(through, rejected, now);
            }
        }
        if let Some(why) = self.pool.take_news_of_roots() {
            tracing::warn!(why, "root certificates of this machine could not be read; they are tried again");
        }
        self.pool.receive(REPORTS_PER_TURN_MAX, &mut self.reports);
        let more = self.reports.len() >= REPORTS_PER_TURN_MAX || self.is_settling;
        let mut reports = std::mem::take(&mut self.reports);
        for report in reports.drain(..) {
            match report {
                ErrandReport::Execution(_) if self.drops_reports => self.out -= 1,
                ErrandReport::Execution(report) => {
                    self.out -= 1;
                    self.durations.record(i64::try_from(report.duration_us).unwrap_or(i64::MAX));
                    self.input(Input::Report(report), now);
                }
                ErrandReport::Trial(report) => self.trials.push(report),
                ErrandReport::Message(report) => self.telling.report(report, now),
                ErrandReport::Alert(report) => {
                    let update = self.alerts.report(report, now);
                    self.note_alert(update);
                }
            }
        }
        self.reports = reports;
        self.drops_reports &= self.out > 0;
        self.telling.take_letters(now);
        self.send_fired();
        more
    }

    fn committed(&mut self, through: u64, mut rejected: Vec<u64>, now: Now) {
        if self.together.as_mut().is_some_and(|together| together.note_rejected(through, &mut rejected)) {
            if !rejected.is_empty() {
                self.input(Input::Committed { through, rejected }, now);
            }
            self.is_settling = true;
            return self.settle(now);
        }
        if self.together.as_mut().is_some_and(|together| together.note_written(through)) {
            debug_assert!(rejected.is_empty(), "what is on disk was not rejected in the same breath");
            self.is_settling = true;
            return self.settle(now);
        }
        self.input(Input::Committed { through, rejected }, now);
    }

    /// Tells the core what became of some of the changes that were to be written together. What was written after them
    /// waits for that.
    fn settle(&mut self, now: Now) {
        let Some(heard) = self.together.as_mut().and_then(Together::advance) else { return };
        let Heard { through, rejected, written } = heard;
        if let Some(written) = written {
            self.is_settling = false;
            self.settled = self.together.take().map(|together| (together.request, Some(written)));
        }
        self.input(Input::Committed { through, rejected }, now);
    }

    /// What was accepted just now, to be written together with other changes.
    pub(super) fn take_gathered(&mut self) -> Option<Accepted> {
        self.gathered.take()
    }

    /// The answer that the core gave at once.
    pub(super) fn take_reply_to(&mut self, request: RequestId) -> Option<Reply> {
        let place = self.replies.iter().position(|(other, _)| *other == request)?;
        Some(self.replies.remove(place).1)
    }

    /// An answer is kept with changes that are written together.
    pub(super) fn keep_with_gathered(&mut self, answer: KeyedAnswer) {
        if let Some(together) = &self.together {
            self.outbox.keep(together.last(), answer);
        }
    }

    /// An answer is kept by itself. A request waits for that.
    pub(super) fn keep_alone(&mut self, request: RequestId, answer: KeyedAnswer, mono: MonoUs) {
        self.outbox.keep_alone(request, answer, mono);
    }

    /// Whose answers are on disk that are kept by themselves, or never will be, since this was asked last.
    pub(super) fn take_kept_alone(&mut self) -> Vec<RequestId> {
        self.outbox.take_kept_alone()
    }

    /// For whom changes were written together (true), or will never be (false), or nobody knows.
    pub(super) fn take_settled(&mut self) -> Option<(RequestId, Option<bool>)> {
        self.settled.take()
    }

    /// Hands to the writer what it can take, and to the workers what is left to be sent: alerts behind all else.
    /// Whether the writer was given something.
    pub(super) fn flush(&mut self, mono: MonoUs) -> bool {
        while let Some(attempt) = self.alerts.next_attempt(mono) {
            self.fires.push(Errand::Alert(attempt));
        }
        self.telling.flush(&self.core, &mut self.fires, mono);
        self.telling.write_down(&mut self.outbox);
        self.send_fired();
        self.outbox.flush(&self.writer, mono, self.draining);
        self.outbox.take_sent()
    }

    /// Whether the writer rests while there is something for it that somebody waits for.
    pub(super) fn is_writer_wanted(&self) -> bool {
        self.outbox.is_wanted()
    }

    /// Sends something that belongs to no job. Its report comes with `take_trials`.
    pub(super) fn try_once(&mut self, attempt: Attempt) {
        self.fires.push(Errand::Trial(attempt));
        self.send_fired();
    }

    pub(super) fn take_trials(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.trials)
    }

    /// What clients will be answered once it is on disk, to be kept with it. To be asked for before anything is flushed.
    pub(super) fn take_planned(&mut self) -> Vec<(u64, RequestId, Reply)> {
        std::mem::take(&mut self.planned)
    }

    /// An answer is kept with what it answers.
    pub(super) fn keep(&mut self, number: u64, answer: KeyedAnswer) {
        self.outbox.keep(number, answer);
    }

    /// A token changes. If a request waits for that, it is written at once.
    pub(super) fn change_token(&mut self, request: Option<RequestId>, change: TokenChange, mono: MonoUs) {
        self.outbox.push_token(request, change, mono);
    }

    /// Changes of tokens that are on disk since this was asked last.
    pub(super) fn take_written_tokens(&mut self) -> Vec<(Option<RequestId>, TokenChange)> {
        self.outbox.take_written_tokens()
    }

    /// Something is written down: with the item that has this number, or by itself.
    pub(super) fn write_down(&mut self, number: Option<u64>, row: AuditRow, mono: MonoUs) {
        self.outbox.push_audit(number, row, mono);
    }

    /// Something is written down with changes that are written together.
    pub(super) fn write_down_with_gathered(&mut self, row: AuditRow, mono: MonoUs) {
        let number = self.together.as_ref().map(Together::last);
        self.outbox.push_audit(number, row, mono);
    }

    pub(super) fn take_replies(&mut self) -> Vec<(RequestId, Reply)> {
        std::mem::take(&mut self.replies)
    }

    pub(super) fn deadline(&self) -> Deadline {
        let core = self.core.poll_timeout();
        let nodes = self.nodes.as_ref().and_then(|nodes| nodes.deadline());
        let own = [self.outbox.deadline(), self.alerts.deadline(), self.telling.deadline(), nodes];
        let mono = own.into_iter().chain([core.mono]).flatten().min();
        Deadline { mono, ..core }
    }

    /// Until when long answers rest: right behind a burst, but for that of a drain.
    pub(super) fn rest_until(&self, mono: MonoUs) -> Option<MonoUs> {
        Some(self.rest_until).filter(|&until| mono < until && !self.draining)
    }

    pub(super) fn drain(&mut self, now: Now) {
        self.draining = true;
        self.input(Input::Drain, now);
    }

    /// This server is one of several nodes from now on, and owns nothing yet.
    pub(super) fn share(&mut self, sharing: Sharing, now: Now) {
        self.nodes = Some(Box::new(Nodes::new(sharing, self.pool.lease())));
        self.input(Input::Lease(MonoUs(0)), now);
    }

    /// This server is one of several nodes. What was said of them is carried out; true if there is more.
    pub(super) fn turn_nodes(&mut self, now: Now) -> bool {
        let Some(mut nodes) = self.nodes.take() else { return false };
        let more = nodes.turn(self, now);
        self.nodes = Some(nodes);
        more
    }

    /// Gives shards to another node.
    pub(super) fn release(&mut self, shards: Shards, to: NodeId, now: Now) {
        let (core, alerts, telling) = (&self.core, &mut self.alerts, &mut self.telling);
        let is_given = |job: JobKey| {
            let shard = core.revision_of(job).map_or(Shard::of_key(job), |revision| Shard::of(revision));
            shards.contains(shard)
        };
        alerts.give_away(is_given);
        telling.give_away(is_given);
        self.input(Input::Release { shards, to }, now);
        self.outbox.hurry();
    }

    /// Others have all that was this server's: what it asked for may be on disk or not.
    pub(super) fn lose(&mut self, now: Now) {
        self.input(Input::Lost, now);
        self.fires.retain(|errand| !matches!(errand, Errand::Execution(_)));
        self.alerts.give_away(|_| true);
        self.telling.give_away(|_| true);
        self.drops_reports = self.out > 0;
        // Others send them again, and it joins anew only when nothing of before is out.
        self.pool.give_up();
        self.unheard_tokens.extend(self.outbox.forget());
        self.events.forget_unwritten();
        self.planned.clear();
        (self.gathered, self.is_settling) = (None, false);
        if let Some(together) = self.together.take() {
            self.settled = Some((together.request, together.written()));
        }
    }

    /// Whether workers have nothing of this server's jobs.
    pub(super) fn has_nothing_out(&self) -> bool {
        self.out == 0
    }

    /// Whether others took this server for dead, so that nothing of what it handed over is written.
    pub(super) fn is_fenced(&self) -> bool {
        self.outbox.is_fenced()
    }

    /// When the newest batch was sent that is on disk since this was asked last.
    pub(super) fn take_acknowledged(&mut self) -> Option<MonoUs> {
        self.outbox.take_acknowledged()
    }

    /// Items up to this number are on disk.
    pub(super) fn through(&self) -> u64 {
        self.outbox.through()
    }

    /// The newest item that the core asked for.
    pub(super) fn newest(&self) -> u64 {
        self.outbox.newest()
    }

    /// Who waited for changes of tokens that nobody hears of any more.
    pub(super) fn take_unheard_tokens(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.unheard_tokens)
    }

    /// Whether a drain is complete: nothing in flight, everything on disk.
    pub(super) fn is_drained(&self) -> bool {
        self.core.is_drained() && self.outbox.is_empty()
    }

    /// Whether everything asked for is on disk.
    pub(super) fn is_written(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Lets the writer end after what it was given.
    pub(super) fn finish_writer(&mut self) {
        self.writer.finish();
    }

    /// Whether the writer thread is gone: nothing can be promised any more.
    pub(super) fn is_writer_dead(&self) -> bool {
        self.writer.is_dead()
    }

    /// Goes on with alerts that an earlier process left.
    pub(super) fn resume_alerts(&mut self, stored: &[crate::store::StoredAlert], now: Now) {
        for alert in stored {
            let update = self.alerts.resume(alert, now.wall);
            self.note_alert(update);
        }
    }

    /// Goes on telling what an earlier process left.
    pub(super) fn resume_telling(
        &mut self,
        healths: Vec<(Arc<str>, ChannelHealth)>,
        left: Vec<UndeliveredMessage>,
        now: Now,
    ) {
        self.telling.restore(healths, left, now);
    }

    /// Sends a test over a channel. What becomes of it comes with `take_channel_tests`.
    pub(super) fn test_channel(&mut self, request: RequestId, name: &str, now: Now) {
        self.telling.test(&self.core, &mut self.fires, request, name, now);
        self.send_fired();
    }

    pub(super) fn take_channel_tests(&mut self) -> Vec<(RequestId, Result<Duration, String>)> {
        self.telling.take_tests()
    }

    pub(super) fn channel_health(&self, name: &str) -> ChannelHealth {
        self.telling.health(name)
    }

    pub(super) fn channel_waiting(&self, name: &str) -> usize {
        self.telling.waiting(name)
    }

    pub(super) fn channel_counts(&self, name: &str) -> AlertCounts {
        self.telling.counts(name)
    }

    fn note_alert(&mut self, update: Option<AlertUpdate>) {
        let Some(update) = update else { return };
        self.alert_counts.note(update.state);
        match update.state {
            AlertState::Pending => {
                tracing::warn!(
                    alert = update.seq.0,
                    attempts = update.attempts,
                    error = update.error.as_deref(),
                    "an alert could not be delivered; it will be tried again"
                );
            }
            AlertState::Failed => {
                tracing::error!(
                    alert = update.seq.0,
                    attempts = update.attempts,
                    error = update.error.as_deref(),
                    "an alert was given up"
                );
            }
            AlertState::Delivered | AlertState::Logged => {}
        }
        self.outbox.push_alert(update);
    }

    /// From now on so much history is kept.
    pub(super) fn keep_history(&self, keep: Keep) {
        self.writer.keep(keep);
    }

    /// From now on alerts go here.
    pub(super) fn redirect_alerts(&mut self, webhook: Option<TargetUrl>) {
        self.alerts.redirect(webhook);
    }

    /// Why the server is not healthy, if so.
    pub(super) fn trouble(&self, mono: MonoUs) -> Option<String> {
        self.closed(mono).or_else(|| self.nodes.as_ref().and_then(|nodes| nodes.unread()))
    }

    /// Why clients had better ask elsewhere, if so.
    fn closed(&self, mono: MonoUs) -> Option<String> {
        if self.draining {
            return Some("the server is stopping".to_owned());
        }
        self.outbox.trouble(mono).or_else(|| self.nodes.as_ref().and_then(|nodes| nodes.trouble(mono)))
    }

    /// Why the store cannot be written, or does not answer, if so.
    pub(super) fn store_trouble(&self, mono: MonoUs) -> Option<String> {
        self.outbox.trouble(mono)
    }

    /// Whether the store cannot be written, or does not answer.
    pub(super) fn is_store_in_trouble(&self, mono: MonoUs) -> bool {
        self.store_trouble(mono).is_some()
    }

    /// How things stand, in a line.
    pub(super) fn summary(&self, now: Now) -> String {
        if let Some(why) = self.trouble(now.mono) {
            return format!("unhealthy: {why}");
        }
        let load = self.core.load(now.wall);
        let (jobs, active, in_flight) = (load.jobs, load.active_jobs, load.in_flight + load.queued);
        format!("{jobs} {}, {active} active; {in_flight} executions in flight", if jobs == 1 { "job" } else { "jobs" })
    }

    /// Whether clients may come: all is well, and this server is not about to be gone.
    pub(super) fn is_ready(&self, mono: MonoUs) -> bool {
        self.closed(mono).is_none() && !self.nodes.as_ref().is_some_and(|nodes| nodes.is_leaving())
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    pub(super) fn is_failing(&self) -> bool {
        self.outbox.is_failing()
    }

    pub(super) fn drift(&self) -> Percentiles {
        self.drift.percentiles()
    }

    pub(super) fn minutes(&self) -> &Minutes {
        &self.minutes
    }

    pub(super) fn late(&self) -> Percentiles {
        self.late.percentiles()
    }

    /// How long attempts took.
    pub(super) fn durations(&self) -> Percentiles {
        self.durations.percentiles()
    }

    pub(super) fn alert_counts(&self) -> AlertCounts {
        self.alert_counts
    }

    pub(super) fn store_latency(&self) -> StoreLatency {
        self.outbox.latency()
    }

    pub(super) fn pool(&self) -> PoolStats {
        self.pool.stats()
    }

    pub(super) fn write_queue(&self) -> usize {
        self.outbox.waiting()
    }

    pub(super) fn alert_queue(&self) -> usize {
        self.alerts.waiting()
    }
}

fn log(notice: &Notice) {
    match notice {
        Notice::InDoubt { rows } => {
            tracing::warn!(rows, "executions were in doubt after an unclean stop; they are sent again");
        }
        Notice::Missed { job, count, more, reason } => {
            tracing::warn!(%job, count, more, reason, "instants were missed")
        }
        Notice::Overload { jobs, instants } => {
            tracing::warn!(jobs, instants, "more is due than the targets take: instants were passed over");
        }
        Notice::ClockStep { by_us, held_jobs } => {
            tracing::warn!(by_ms = by_us / 1000, held_jobs, "the wall clock stepped");
        }
        Notice::Paused { job, reason } => tracing::warn!(%job, %reason, "a job was paused by its own policy"),
        Notice::Target { name, failing: true } => tracing::warn!(target_name = %name, "a target fails"),
        Notice::Target { name, failing: false } => tracing::info!(target_name = %name, "a target answers again"),
    }
}
