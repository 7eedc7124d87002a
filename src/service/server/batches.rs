//! Owns requests that change many jobs: one of them at a time, split, read, accepted and printed bit by bit.
//! It must not keep the loop for longer than anything else that a client asks for.
//!
//! What they change is one transaction; that it is on disk is heard bit by bit, too (`together`). Until that is asked
//! for, a client that leaves, or a server that stops, has changed no job. The calendars of an import are changed one by
//! one before: the jobs behind them may follow them.

use std::collections::{BTreeMap, VecDeque};

use super::audits::Asking;
use super::calls::{Calls, refuse};
use super::connection::Given;
use super::engine::Engine;
use super::keys::Digest;
use super::parts::Share;
use crate::api::{ApiError, Batch, Call, Deed, Lines, Part, Wanted};
use crate::clock;
use crate::core::{
    Accepted, Action, Apply, Command, Input, Refusal, Rehearsal, Reply, RequestId, Scheduler, Shard, Shards,
};
use crate::http::{Request, Response, Status};
use crate::job::{Context, JobId};
use crate::limits::{BATCH_PRINTED_AT_ONCE, BATCH_SPLIT_AT_ONCE, BATCH_TIME_PER_TURN, BATCHES_MAX};
use crate::store::{AuditRow, Difference, Query};
use crate::time::{Instant, MonoUs, Now};

/// Requests that change many jobs, in their order. The first one is worked on.
#[derive(Debug, Default)]
pub(super) struct Batches {
    pub(super) queue: VecDeque<UnderWay>,
    /// Those that wait for what other nodes have of them. Meanwhile others are worked on: nodes wait for each other.
    pub(super) away: BTreeMap<RequestId, UnderWay>,
    /// Which parts of requests other nodes were asked for, under their numbers.
    pub(super) parts: BTreeMap<RequestId, RequestId>,
    /// How many parts there were.
    pub(super) parts_asked: u64,
    /// What is known of parts that other nodes ask this one for, until they are taken up.
    arriving: BTreeMap<RequestId, Part>,
}

#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) request: RequestId,
    pub(super) batch: Batch,
    /// Changes that were read.
    pub(super) ready: VecDeque<Ready>,
    /// The shards that this node must have, if it is a part of what another one was asked.
    needs: Shards,
    /// What other nodes have of it; None: nothing, or that is not asked.
    pub(super) share: Option<Box<Share>>,
    /// Whether calendars in it were put, which are in force at once.
    has_put: bool,
    /// The places of what the core has accepted.
    accepted: Vec<u32>,
    /// Which jobs, by what was done.
    done: BTreeMap<&'static str, Vec<JobId>>,
    answer: Option<Response>,
    /// What was tried so far, if nothing is to be done.
    rehearsal: Option<Rehearsal>,
    pub(super) stage: Stage,
}

/// A change that was read.
#[derive(Debug)]
pub(super) struct Ready {
    /// The place of its result.
    pub(super) place: u32,
    pub(super) action: Action,
    /// When it was read.
    pub(super) read_at: Instant,
    /// The shard that it is about, if that is known: it is this node's to carry out as long as that is.
    pub(super) shard: Option<Shard>,
}

/// What is done next.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its text is split into lines from here on, and hashed if it has a key to be looked up under.
    Split {
        digest: Option<Box<Digest>>,
        from: usize,
    },
    /// It is being looked up.
    AwaitKey,
    Read,
    /// A calendar is being written, whose result has this place.
    AwaitCalendar(u32),
    /// Who has the jobs is being looked up.
    AwaitPlacing,
    /// Each change is dealt to whoever has its job.
    Deal,
    /// Other nodes are asked for what they have.
    Ask,
    Gather,
    Print,
    /// The transaction is being written.
    AwaitWriter,
}

impl Batches {
    /// Whether something can be done without waiting for anybody.
    pub(super) fn has_work(&self) -> bool {
        self.queue.front().is_some_and(|first| match first.stage {
            Stage::Split { .. } | Stage::Read | Stage::Deal | Stage::Ask | Stage::Gather | Stage::Print => true,
            Stage::AwaitKey | Stage::AwaitCalendar(_) | Stage::AwaitPlacing | Stage::AwaitWriter => false,
        })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.away.is_empty()
    }

    /// Whether there are as many as may be. A part of what waits at another node must not wait for what waits for that.
    fn is_full(&self, is_part: bool) -> bool {
        self.queue.len() + if is_part { 0 } else { self.away.len() } >= BATCHES_MAX
    }

    /// Another node asks for a part, under this number.
    pub(super) fn expect(&mut self, request: RequestId, part: Option<Part>) {
        self.arriving.clear();
        self.arriving.extend(part.map(|part| (request, part)));
    }

    pub(super) fn first_of(&mut self, request: RequestId) -> Option<&mut UnderWay> {
        self.queue.front_mut().filter(|first| first.request == request)
    }

    /// A request is over.
    pub(super) fn end(&mut self, request: RequestId) -> Option<UnderWay> {
        self.queue.pop_front_if(|first| first.request == request)
    }

    /// The core's answer to what a batch asks for by itself. False if there is no such.
    pub(super) fn note(&mut self, request: RequestId, reply: &Reply) -> bool {
        let Some(first) = self.first_of(request) else { return false };
        if let Stage::AwaitCalendar(place) = first.stage {
            first.batch.note(place, reply);
            first.has_put |= matches!(reply, Reply::CalendarPut { .. });
            first.stage = Stage::Read;
        }
        true
    }
}

impl Calls {
    /// A request that changes many jobs is taken up, and done later.
    pub(super) fn begin_batch(
        &mut self,
        request: RequestId,
        asking: &Asking,
        asked: &mut Request,
        (lines, dry_run): (Lines, bool),
        key: Option<&str>,
        now: Now,
    ) -> Given {
        let part = self.batches.arriving.remove(&request);
        if self.batches.is_full(part.is_some()) {
            return refuse(&ApiError::too_many("too many batches are waiting; nothing has changed"));
        }
        if let Some(key) = key
            && let Err(error) = self.keys.begin(request, None, key, Call::Batch { lines, dry_run }, now.wall)
        {
            return refuse(&error);
        }
        let stage = Stage::Split { digest: key.map(|_| Box::new(Digest::of_head(asked))), from: 0 };
        let mut batch = Batch::new(lines, dry_run, std::mem::take(&mut asked.body));
        // A part is not divided once more.
        let share = if self.shared && part.is_none() { Share::new(asking, asked) } else { None };
        let needs = part.as_ref().map_or(Shards::NONE, Part::shards);
        part.into_iter().for_each(|part| batch.is_part(part));
        let (ready, accepted, done, answer) = (VecDeque::new(), Vec::new(), BTreeMap::new(), None);
        let rehearsal = dry_run.then(Rehearsal::default);
        let has_put = false;
        let under_way =
            UnderWay { request, batch, ready, needs, share, has_put, accepted, done, answer, rehearsal, stage };
        self.batches.queue.push_back(under_way);
        Given::MuchLater
    }

    /// The key of a batch was not used before: it goes on.
    pub(super) fn go_on_with_batch(&mut self, request: RequestId) -> Given {
        if let Some(first) = self.batches.first_of(request) {
            first.stage = Stage::Read;
        }
        Given::MuchLater
    }

    /// Goes on with the first batch. What its client is given, once it is done.
    pub(super) fn advance_batch(
        &mut self,
        engine: &mut Engine,
        now: Now,
        is_awaited: impl Fn(RequestId) -> bool,
    ) -> Option<(RequestId, Given)> {
        if let Some((request, written)) = engine.take_settled() {
            return Some((request, self.end_batch(request, written)));
        }
        self.give_up_waiting(engine, now);
        let first = self.batches.queue.front()?;
        let request = first.request;
        let asks_for_nothing = matches!(first.stage, Stage::Split { .. } | Stage::Read | Stage::Deal);
        if asks_for_nothing && !is_awaited(request) {
            self.batches.end(request);
            self.keys.end(request);
            self.audits.end(request);
            return None;
        }
        // What the core had accepted it gave up when the stop began.
        let is_open = asks_for_nothing || matches!(first.stage, Stage::Gather | Stage::Print);
        let refused = match is_open {
            true if engine.is_draining() => Some(Refusal::Draining),
            true if asks_for_nothing && engine.is_failing() => Some(Refusal::NotWritten),
            true | false => None,
        };
        if let Some(refusal) = refused {
            return Some((request, self.refuse_batch(request, &refusal.into())));
        }
        let given = match first.stage {
            Stage::Split { .. } => self.split(request, now),
            Stage::Read => self.read_batch(engine, request, now),
            Stage::Deal => self.deal(engine, request),
            Stage::Ask => self.ask_others(engine, request, now),
            Stage::Gather => self.gather(engine, request, now),
            Stage::Print => self.print(engine, request, now),
            Stage::AwaitKey | Stage::AwaitCalendar(_) | Stage::AwaitPlacing | Stage::AwaitWriter => None,
        };
        given.map(|given| (request, given))
    }

    /// Splits the text for a while. Once that is done it is looked up, if it has a key.
    fn split(&mut self, request: RequestId, now: Now) -> Option<Given> {
        let first = self.batches.first_of(request)?;
        let Stage::Split { digest, from } = &mut first.stage else { return None };
        let text = first.batch.text();
        let (begin, length) = (*from, text.len());
        let to = length.min(begin + BATCH_SPLIT_AT_ONCE);
        if let Some(digest) = digest {
            digest.add(&text[begin..to]);
        }
        *from = to;
        let split = first.batch.split(to);
        let split = if to < length { split } else { split.and_then(|()| first.batch.end_split()) };
        if let Err(error) = split {
            return Some(self.refuse_batch(request, &error));
        }
        if to < length {
            return None;
        }
        let Stage::Split { digest: Some(digest), .. } = std::mem::replace(&mut first.stage, Stage::Read) else {
            return None;
        };
        first.stage = Stage::AwaitKey;
        let key = self.keys.tell_apart(request, digest.end())?;
        let given = self.query(request, Query::Key { key, now: now.wall });
        match self.end_unless_later(request, given) {
            Given::Later => None,
            Given::Answer(response) => Some(Given::Answer(self.cors.mark(response))),
            given => Some(given),
        }
    }

    /// Reads lines for a while.
    fn read_batch(&mut self, engine: &mut Engine, request: RequestId, now: Now) -> Option<Given> {
        let until = until();
        while clock::mono() < until {
            // The context borrows what a batch is read with, and the batch is beside it.
            let mut first = self.batches.queue.pop_front()?;
            let context = self.context(engine.core(), now, true);
            let calendars = first.rehearsal.as_ref().map(|rehearsal| rehearsal.calendars(engine.core()));
            let read = first.batch.read(&Context { calendars: calendars.or(context.calendars), ..context });
            let noted = first.note_read(engine.core(), read, now);
            self.batches.queue.push_front(first);
            match noted {
                Ok(None) => {}
                Ok(Some(action)) => {
                    let command = Command { request, action, plans: false, read_at: now.wall.floor() };
                    engine.input(Input::Command(Box::new(command)), now);
                    return None;
                }
                Err(error) => return Some(self.refuse_batch(request, &error)),
            }
            let stage = &self.batches.queue.front()?.stage;
            if matches!(stage, Stage::Deal) {
                return self.look_up(engine, request);
            }
            if !matches!(stage, Stage::Read) {
                return None;
            }
        }
        None
    }

    /// Lets the core accept changes for a while.
    fn gather(&mut self, engine: &mut Engine, request: RequestId, now: Now) -> Option<Given> {
        let first = self.batches.first_of(request)?;
        let until = until();
        while clock::mono() < until {
            let Some(Ready { place, mut action, read_at, shard }) = first.ready.pop_front() else {
                first.stage = Stage::Print;
                return None;
            };
            let core = engine.core();
            if shard.is_some_and(|shard| !core.owns(shard)) || !core.owns_all(&first.needs) {
                first.batch.note(place, &Reply::Refused(Refusal::NotOwned));
                continue;
            }
            if let Action::Apply(apply) = &mut action {
                apply.beside = first.batch.meant();
            }
            let deed = Deed::of(&action);
            match first.ask(engine, Command { request, action, plans: false, read_at }, now) {
                Ok(accepted) => {
                    let deed = deed.known(&accepted);
                    first.batch.accept(place, deed, &accepted);
                    if first.rehearsal.is_none() {
                        first.accepted.push(place);
                        first.done.entry(deed.name()).or_default().extend(accepted.job);
                    }
                }
                Err(reply) => first.batch.note(place, &reply),
            }
        }
        None
    }

    /// Prints results for a while, and lets all be written once they are printed.
    fn print(&mut self, engine: &mut Engine, request: RequestId, now: Now) -> Option<Given> {
        let first = self.batches.first_of(request)?;
        if !first.batch.print(BATCH_PRINTED_AT_ONCE) {
            return None;
        }
        let response = first.batch.take_response();
        let kept = self.keys.has(request).then(|| response.clone());
        first.answer = Some(response);
        let (is_dry, accepted) = (first.rehearsal.is_some(), first.accepted.len());
        let has_put = first.has_put;
        let others_did = first.share.as_ref().is_some_and(|share| share.has_done);
        let done = std::mem::take(&mut first.done);
        if !is_dry {
            engine.input(Input::WriteGathered(request), now);
        }
        // Some of it has become another node's since it was accepted.
        if let Some(Reply::Refused(refusal)) = engine.take_reply_to(request) {
            return Some(self.refuse_batch(request, &refusal.into()));
        }
        if accepted == 0 {
            let kept = kept.filter(|_| !is_dry && (others_did || has_put));
            if let Some(answer) = kept.and_then(|response| self.keys.plan(request, response, now.wall)) {
                engine.keep_alone(request, answer, now.mono);
                self.batches.end(request);
                self.audits.end(request);
                return None;
            }
            return Some(self.end_batch(request, Some(true)));
        }
        self.batches.first_of(request)?.stage = Stage::AwaitWriter;
        if let Some(asking) = self.audits.take(request) {
            let row = asking.row(None, Status::OK, now.wall);
            engine.write_down_with_gathered(AuditRow { difference: Difference::Jobs(done), ..row }, now.mono);
        }
        if let Some(answer) = kept.and_then(|response| self.keys.plan(request, response, now.wall)) {
            engine.keep_with_gathered(answer);
        }
        None
    }

    /// The transaction of a batch is on disk, or never will be, or nobody knows.
    fn end_batch(&mut self, request: RequestId, written: Option<bool>) -> Given {
        self.keys.end(request);
        self.audits.end(request);
        let refusal = if written == Some(false) { Refusal::NotWritten } else { Refusal::Unknown };
        let (ended, not_written) = (self.batches.end(request), ApiError::from(refusal));
        let response = match ended {
            Some(UnderWay { answer: Some(answer), .. }) if written == Some(true) => answer,
            Some(mut ended) => ended.fail(&not_written),
            None => not_written.response(),
        };
        Given::Answer(self.cors.mark(response))
    }

    pub(super) fn refuse_batch(&mut self, request: RequestId, error: &ApiError) -> Given {
        self.keys.end(request);
        self.audits.end(request);
        let response = self.batches.end(request).map_or_else(|| error.response(), |mut ended| ended.fail(error));
        Given::Answer(self.cors.mark(response))
    }
}

impl UnderWay {
    /// Lets the core accept a change, or only say what it would make of it.
    fn ask(&mut self, engine: &mut Engine, command: Command, now: Now) -> Result<Accepted, Box<Reply>> {
        if let Some(rehearsal) = &mut self.rehearsal {
            return rehearsal.gather(engine.core(), command, now).map_err(Box::new);
        }
        let request = command.request;
        engine.input(Input::Gather(Box::new(command)), now);
        let accepted = engine.take_gathered();
        let mut refused = || engine.take_reply_to(request).expect("what is not accepted is answered at once");
        accepted.ok_or_else(|| Box::new(refused()))
    }

    /// Nothing comes of what is this node's. That is the whole answer, unless others have done something.
    fn fail(&mut self, error: &ApiError) -> Response {
        if !self.share.as_ref().is_some_and(|share| share.has_asked) {
            return if self.has_put { error.but("only calendars in it have").response() } else { error.response() };
        }
        let left = self.ready.drain(..).map(|ready| ready.place);
        self.accepted.drain(..).chain(left).for_each(|place| self.batch.refuse(place, error));
        while !self.batch.print(BATCH_PRINTED_AT_ONCE) {}
        self.batch.take_response()
    }

    /// A change was read.
    fn push(&mut self, core: &Scheduler, place: u32, action: Action, read_at: Instant) {
        if let Some(share) = &mut self.share {
            share.dealing.note(core, &action);
        }
        self.ready.push_back(Ready { place, action, read_at, shard: None });
    }

    /// What was read is to be done later, but for a change of a calendar, which is to be done now.
    fn note_read(
        &mut self,
        core: &Scheduler,
        read: Option<(u32, Option<Wanted>)>,
        now: Now,
    ) -> Result<Option<Action>, ApiError> {
        let read_at = now.wall.floor();
        match read {
            None if self.share.is_some() => self.stage = Stage::Deal,
            None => {
                self.batch.forget_text();
                self.stage = Stage::Gather;
            }
            Some((_, None)) => {}
            Some((place, Some(Wanted::Change(action)))) => self.push(core, place, action, read_at),
            Some((place, Some(Wanted::Job(spec, pause)))) => {
                self.push(core, place, Action::Create { spec: *spec, entropy: drawn()?, pause }, read_at);
            }
            Some((place, Some(Wanted::Declared(apply)))) => {
                let apply = Apply { entropy: drawn()?, ..*apply };
                self.push(core, place, Action::Apply(Box::new(apply)), read_at);
            }
            Some((place, Some(Wanted::Calendar(name, dates)))) => {
                if let Some(rehearsal) = &mut self.rehearsal {
                    if let Err(reply) = rehearsal.put_calendar(core, &name, dates) {
                        self.batch.note(place, &reply);
                    }
                    return Ok(None);
                }
                self.stage = Stage::AwaitCalendar(place);
                return Ok(Some(Action::PutCalendar { name, dates }));
            }
        }
        Ok(None)
    }
}

/// What makes an id unique.
fn drawn() -> Result<[u8; 10], ApiError> {
    let mut entropy = [0; 10];
    getrandom::fill(&mut entropy).map_err(|_| ApiError::no_randomness())?;
    Ok(entropy)
}

/// Until when a batch may be worked on in this turn.
pub(super) fn until() -> MonoUs {
    clock::mono().plus(BATCH_TIME_PER_TURN)
}
