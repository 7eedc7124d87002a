//! Owns requests that change many jobs: one of them at a time, split, read, accepted and printed bit by bit.
//! It must not keep the loop for longer than anything else that a client asks for.
//!
//! What they change is one transaction; that it is on disk is heard bit by bit, too (`together`). Until that is asked
//! for, a client that leaves, or a server that stops, has changed no job. The calendars of an import are changed one by
//! one before: the jobs behind them may follow them.

use std::collections::{BTreeMap, VecDeque};

use super::calls::{Calls, refuse};
use super::connection::Given;
use super::engine::Engine;
use super::keys::Digest;
use crate::api::{ApiError, Batch, Call, Deed, Lines, Wanted};
use crate::clock;
use crate::core::{Accepted, Action, Apply, Command, Input, Refusal, Rehearsal, Reply, RequestId, Scheduler};
use crate::http::{Request, Response, Status};
use crate::job::{Context, JobId};
use crate::limits::{BATCH_PRINTED_AT_ONCE, BATCH_SPLIT_AT_ONCE, BATCH_TIME_PER_TURN, BATCHES_MAX};
use crate::store::{AuditRow, Difference, Query};
use crate::time::{Instant, MonoUs, Now};

/// Requests that change many jobs, in their order. The first one is worked on.
#[derive(Debug, Default)]
pub(super) struct Batches {
    queue: VecDeque<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    request: RequestId,
    batch: Batch,
    /// Changes that were read, each with the place of its result, and when it was.
    ready: VecDeque<(u32, Action, Instant)>,
    accepted: usize,
    /// Which jobs, by what was done.
    done: BTreeMap<&'static str, Vec<JobId>>,
    answer: Option<Response>,
    /// What was tried so far, if nothing is to be done.
    rehearsal: Option<Rehearsal>,
    stage: Stage,
}

/// What is done next.
#[derive(Debug)]
enum Stage {
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
    Gather,
    Print,
    /// The transaction is being written.
    AwaitWriter,
}

impl Batches {
    /// Whether something can be done without waiting for anybody.
    pub(super) fn has_work(&self) -> bool {
        self.queue.front().is_some_and(|first| match first.stage {
            Stage::Split { .. } | Stage::Read | Stage::Gather | Stage::Print => true,
            Stage::AwaitKey | Stage::AwaitCalendar(_) | Stage::AwaitWriter => false,
        })
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn first_of(&mut self, request: RequestId) -> Option<&mut UnderWay> {
        self.queue.front_mut().filter(|first| first.request == request)
    }

    /// A request is over. What it was to be answered, if it came that far.
    pub(super) fn end(&mut self, request: RequestId) -> Option<Response> {
        self.queue.pop_front_if(|first| first.request == request)?.answer
    }

    /// The core's answer to what a batch asks for by itself. False if there is no such.
    pub(super) fn note(&mut self, request: RequestId, reply: &Reply) -> bool {
        let Some(first) = self.first_of(request) else { return false };
        if let Stage::AwaitCalendar(place) = first.stage {
            first.batch.note(place, reply);
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
        asked: &mut Request,
        lines: Lines,
        dry_run: bool,
        key: Option<&str>,
        now: Now,
    ) -> Given {
        if self.batches.queue.len() >= BATCHES_MAX {
            return refuse(&ApiError::too_many("too many batches are waiting; nothing has changed"));
        }
        if let Some(key) = key
            && let Err(error) = self.keys.begin(request, None, key, Call::Batch { lines, dry_run }, now.wall)
        {
            return refuse(&error);
        }
        let stage = Stage::Split { digest: key.map(|_| Box::new(Digest::of_head(asked))), from: 0 };
        let batch = Batch::new(lines, dry_run, std::mem::take(&mut asked.body));
        let (ready, accepted, done, answer) = (VecDeque::new(), 0, BTreeMap::new(), None);
        let rehearsal = dry_run.then(Rehearsal::default);
        self.batches.queue.push_back(UnderWay { request, batch, ready, accepted, done, answer, rehearsal, stage });
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
        let first = self.batches.queue.front()?;
        let request = first.request;
        let asks_for_nothing = matches!(first.stage, Stage::Split { .. } | Stage::Read);
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
            Stage::Gather => self.gather(engine, request, now),
            Stage::Print => self.print(engine, request, now),
            Stage::AwaitKey | Stage::AwaitCalendar(_) | Stage::AwaitWriter => None,
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
            if !matches!(self.batches.queue.front()?.stage, Stage::Read) {
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
            let Some((place, mut action, read_at)) = first.ready.pop_front() else {
                first.stage = Stage::Print;
                return None;
            };
            if let Action::Apply(apply) = &mut action {
                apply.beside = first.batch.meant();
            }
            let deed = Deed::of(&action);
            match first.ask(engine, Command { request, action, plans: false, read_at }, now) {
                Ok(accepted) => {
                    let deed = deed.known(&accepted);
                    first.batch.accept(place, deed, &accepted);
                    if first.rehearsal.is_none() {
                        first.accepted += 1;
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
        let (is_dry, accepted) = (first.rehearsal.is_some(), first.accepted);
        let done = std::mem::take(&mut first.done);
        if !is_dry {
            engine.input(Input::WriteGathered(request), now);
        }
        if accepted == 0 {
            return Some(self.end_batch(request, true));
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

    /// The transaction of a batch is on disk, or never will be.
    fn end_batch(&mut self, request: RequestId, written: bool) -> Given {
        self.keys.end(request);
        self.audits.end(request);
        let answer = self.batches.end(request).filter(|_| written);
        let response = answer.unwrap_or_else(|| ApiError::from(Refusal::NotWritten).response());
        Given::Answer(self.cors.mark(response))
    }

    fn refuse_batch(&mut self, request: RequestId, error: &ApiError) -> Given {
        self.keys.end(request);
        self.batches.end(request);
        self.audits.end(request);
        Given::Answer(self.cors.mark(error.response()))
    }
}

impl UnderWay {
    /// Lets the core accept a change, or only say what it would make of it.
    fn ask(&mut self, engine: &mut Engine, command: Command, now: Now) -> Result<Accepted, Reply> {
        if let Some(rehearsal) = &mut self.rehearsal {
            return rehearsal.gather(engine.core(), command, now);
        }
        let request = command.request;
        engine.input(Input::Gather(Box::new(command)), now);
        let accepted = engine.take_gathered();
        accepted.ok_or_else(|| engine.take_reply_to(request).expect("what is not accepted is answered at once"))
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
            None => self.stage = Stage::Gather,
            Some((_, None)) => {}
            Some((place, Some(Wanted::Change(action)))) => self.ready.push_back((place, action, read_at)),
            Some((place, Some(Wanted::Job(spec, pause)))) => {
                self.ready.push_back((place, Action::Create { spec: *spec, entropy: drawn()?, pause }, read_at));
            }
            Some((place, Some(Wanted::Declared(apply)))) => {
                let apply = Apply { entropy: drawn()?, ..*apply };
                self.ready.push_back((place, Action::Apply(Box::new(apply)), read_at));
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
fn until() -> MonoUs {
    clock::mono().plus(BATCH_TIME_PER_TURN)
}
