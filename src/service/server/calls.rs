//! Owns a request's way: routed, then asked of the core, of its memory, or of a reader, and answered.
//! It must not format JSON: `api` does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::access::{Access, OWN_REQUEST};
use super::audits::{Asking, Audits};
use super::backups::Backups;
use super::batches::Batches;
use super::connection::{Given, Overdue};
use super::connections::{Asked, Clients};
use super::engine::Engine;
use super::figures;
use super::gate::Gate;
use super::keys::{Digest, Keys};
use super::looks::{Look, Looks, TooMany};
use super::peer::Peer;
use super::replays::Replays;
use super::usage::UsageBoard;
use crate::access::Who;
use crate::api::{self, ApiError, Call, Cors, Export, Found, JobsPage, ListOf, Patch, Piece, Read, Routed, Stream};
use crate::core::{
    Action, Attempt, Class, Command, Concerns, ExecutionId, Forecast, Handle, Herd, Incident, Input, JobFilter,
    JobView, Kind, Refusal, Reply, Report, RequestId, Run, Scheduler, Seq,
};
use crate::http::{Request, Response, Status};
use crate::job::{Compiled, Context, JobId, JobKey, Post, SharedPost};
use crate::limits::{
    CLIENT_CHANGES_PENDING_MAX, EVENT_CLIENTS_MAX, HERD_LOOKS_MAX, HERD_LOOKS_OF_CHANGE, JSON_DEPTH_MAX, OUTPUT_MAX,
    PIECE_JOBS_MAX, SEED_END, TRIALS_MAX,
};
use crate::schedule::{Zone, Zones};
use crate::store::{ExecutionRecord, Filter, Query, Readers};
use crate::telemetry::Logs;
use crate::time::{Instant, Now};
use crate::web;

/// What is to be done with what a reader finds.
#[derive(Debug)]
pub(super) enum Then {
    /// Run it again.
    Run(Box<Run>),
    /// Run all of them again, or only say which they are.
    RunAll {
        /// Only say.
        dry_run: bool,
        /// What they were found by.
        filter: Filter,
    },
    /// Show those jobs that this lets through.
    Show(JobFilter),
    /// Read this, of jobs that are not in memory.
    Read(Read),
    /// Say why this came of a second of a job that is not in memory.
    Explain(JobId, Instant, Vec<ExecutionRecord>),
    /// Go on with an export behind this job.
    Export(Option<JobKey>),
    /// Change this, unless a job of another node is in the way.
    Change(Box<Action>),
}

/// What is needed to answer requests, beside the engine.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) gate: Gate,
    pub(super) cors: Cors,
    /// Whether secrets of jobs can be sealed.
    pub(super) seals: bool,
    pub(super) readers: Readers<RequestId, Found>,
    /// Whether other nodes have jobs, too: then readers know more of them than memory.
    pub(super) shared: bool,
    /// What is to be done with what is being looked up.
    pub(super) then: BTreeMap<RequestId, Then>,
    /// Schedules that clients named a moment ago.
    pub(super) compiled: Compiled,
    /// What is being tried out.
    pub(super) trials: BTreeMap<RequestId, Arc<Post>>,
    /// Who waits for what comes of a test of a channel.
    pub(super) channel_tests: BTreeSet<RequestId>,
    /// Channels whose change the core has not answered.
    pub(super) channels_changing: BTreeMap<RequestId, Arc<str>>,
    /// Which lists pages are of that come later.
    pub(super) lists: BTreeMap<RequestId, ListOf>,
    /// What memory is being looked through for.
    pub(super) looks: Looks,
    pub(super) logs: Logs,
    /// The description of the API.
    pub(super) description: Box<[u8]>,
    /// What the server takes of its machine.
    pub(super) usage: UsageBoard,
    /// The zones that jobs may name.
    pub(super) zones: Zones,
    /// The zone of jobs that name none.
    pub(super) zone: Zone,
    pub(super) in_flight_max: u32,
    /// Requests with an idempotency key.
    pub(super) keys: Keys,
    /// Requests that change many jobs.
    pub(super) batches: Batches,
    /// Executions that other nodes do again.
    pub(super) replays: Replays,
    /// Who is let in.
    pub(super) access: Access,
    /// Requests that are written down.
    pub(super) audits: Audits,
    /// The thread that makes backups.
    pub(super) backups: Option<Backups>,
    /// What is to be made again if the job changes meanwhile.
    pub(super) patches: BTreeMap<RequestId, Box<Patch>>,
    /// Changes that the core has not answered.
    pub(super) changes_pending: usize,
    /// Changes refused because too many were waiting.
    pub(super) changes_refused: u64,
    /// Reads refused because too many were waiting.
    pub(super) reads_refused: u64,
    /// Requests refused because of their `Host`, or the web page they came from.
    pub(super) strangers: u64,
    /// Clients that wanted to listen to events and were one too many.
    pub(super) listeners_refused: u64,
}

impl Calls {
    /// The answer, or that it comes later under the same request.
    pub(super) fn answer(
        &mut self,
        engine: &mut Engine,
        clients: Clients,
        now: Now,
        request: RequestId,
        peer: Peer,
        asked: Asked,
    ) -> Given {
        match asked {
            Asked::Refused(refusal) => Given::Answer(self.cors.mark(ApiError::from(refusal).response())),
            Asked::Crowded => {
                let error = ApiError::unavailable("too many clients send large bodies; nothing has changed, try again");
                Given::Answer(self.cors.mark(error.response()))
            }
            Asked::Piece(Stream::Events(listening)) if !self.access.still_may(listening.who, now.wall) => {
                Given::Piece(Piece { bytes: Vec::new(), rest: None })
            }
            Asked::Piece(Stream::Export(Export::Jobs(after))) if self.shared => self.ask_for_piece(request, after, now),
            Asked::Piece(stream) => piece(engine, now, stream),
            Asked::Request(mut asked) => self.let_in(engine, clients, now, request, peer, &mut asked),
        }
    }

    fn let_in(
        &mut self,
        engine: &mut Engine,
        clients: Clients,
        now: Now,
        request: RequestId,
        peer: Peer,
        asked: &mut Request,
    ) -> Given {
        let seen = self.gate.see(peer, asked);
        let (client, is_secure) = (seen.client, seen.https);
        let admitted = self.access.admit(client, asked, now);
        let who = admitted.as_ref().copied().unwrap_or(Who::without_token(None));
        if let Err(error) = self.gate.check(&seen, asked, who) {
            self.strangers += 1;
            tracing::info!(%client, unix_socket = peer.is_local_socket, why = %error.message, "a request was not let in");
            return Given::Answer(self.cors.mark(error.response()));
        }
        if self.cors.is_preflight(asked) {
            return Given::Answer(self.cors.preflight());
        }
        // Nothing of the page is secret, and it is where a browser signs in.
        if let Some(response) = web::answer(asked, api::knows) {
            return Given::Answer(response);
        }
        let asking = Asking { who, client, is_secure, operation: "authenticate", subject: Box::default() };
        if let Err(stranger) = admitted {
            self.note_stranger(engine, &asking, &stranger, now);
            return Given::Answer(self.cors.mark(stranger.error.response()));
        }
        self.access.note_use(engine, who, now);
        match self.call(engine, clients, now, request, asking, asked) {
            Given::Answer(response) => Given::Answer(self.cors.mark(response)),
            Given::Streamed(head, stream) => Given::Streamed(self.cors.mark(head), stream),
            given @ (Given::Later | Given::MuchLater | Given::Piece(_) | Given::Nothing(_)) => given,
        }
    }

    pub(super) fn call(
        &mut self,
        engine: &mut Engine,
        clients: Clients,
        now: Now,
        request: RequestId,
        asking: Asking,
        asked: &mut Request,
    ) -> Given {
        let asker = Asking { operation: "", subject: Box::default(), ..asking };
        let routed = api::route(asked, &self.context(engine.core(), now, !asked.body.is_empty()), asking.who);
        let (call, key) = match routed {
            Err(error) => {
                if error.status == Status::FORBIDDEN {
                    self.note_trespass(engine, &asking, asked, now);
                }
                return refuse(&error);
            }
            Ok(Routed { call, key, operation, subject }) => {
                let asking = || Asking { operation, subject: subject.as_ref().into(), ..asking };
                if let Call::Token(call) = call {
                    return self.about_tokens(engine, now, request, &asking(), call);
                }
                if let Call::Try(post) = call {
                    let row = asking().row(Some(post.url.target().to_string().into()), Status::OK, now.wall);
                    let given = self.try_once(engine, now, request, post);
                    if let Given::MuchLater = given {
                        engine.write_down(None, row, now.mono);
                    }
                    return given;
                }
                if let Call::TestChannel(name) = call {
                    let row = asking().row(None, Status::OK, now.wall);
                    let given = self.test_channel(engine, now, request, &name);
                    if let Given::MuchLater = given {
                        engine.write_down(None, row, now.mono);
                    }
                    return given;
                }
                if let Call::DrainNode(name) = call {
                    return self.drain_node(engine, now, request, &asking(), name);
                }
                if call.changes()
                    && let Some(owner) = self.owner_elsewhere(engine, request, &call, key)
                {
                    return self.pass_on(engine, (request, &call), &asking(), asked, (owner, now));
                }
                if call.changes() {
                    self.audits.begin(request, asking());
                }
                let call = call.by(|| self.access.name_of(asking().who));
                (call, key)
            }
        };
        match (call, key) {
            (Call::Batch { .. }, _) if clients.unsent >= OUTPUT_MAX => {
                let why = "too many answers wait to be read by their clients; nothing has changed";
                self.end_unless_later(request, refuse(&ApiError::unavailable(why)))
            }
            (Call::Batch { lines, dry_run }, key) => {
                let key = key.map(str::to_owned);
                let given = self.begin_batch(request, &asker, asked, (lines, dry_run), key.as_deref(), now);
                self.end_unless_later(request, given)
            }
            (call, None) => {
                if let Call::Query(_) | Call::Jobs(_) | Call::Search(..) = &call {
                    self.lists.insert(request, ListOf::asked(asked));
                }
                match self.carry_out(engine, clients, now, request, call) {
                    given @ (Given::Later | Given::MuchLater) => given,
                    given => {
                        self.audits.end(request);
                        self.link(request, given)
                    }
                }
            }
            (call, Some(key)) => match self.keys.begin(request, Some(Digest::of(asked)), key, call, now.wall) {
                Ok(()) => {
                    let given = self.query(request, Query::Key { key: key.into(), now: now.wall });
                    self.end_unless_later(request, given)
                }
                Err(error) => {
                    self.audits.end(request);
                    refuse(&error)
                }
            },
        }
    }

    /// A page of a list names the next one.
    fn link(&mut self, request: RequestId, given: Given) -> Given {
        let Some(list) = self.lists.remove(&request) else { return given };
        match given {
            Given::Answer(response) => Given::Answer(list.complete(response)),
            Given::Streamed(head, stream) => Given::Streamed(list.complete(head), stream),
            given @ (Given::Later | Given::MuchLater | Given::Piece(_) | Given::Nothing(_)) => given,
        }
    }

    fn carry_out(&mut self, engine: &mut Engine, clients: Clients, now: Now, request: RequestId, call: Call) -> Given {
        if let Some(asked) = self.list_in_store(&call) {
            return self.ask_for_jobs(request, asked, now);
        }
        match call {
            Call::Ready(response) => Given::Answer(response),
            Call::Jobs(listing) => self.look(engine, now, request, Look::Jobs(listing)),
            Call::Timeline => {
                let forecast = Forecast::new(engine.core(), now.wall);
                self.look(engine, now, request, Look::Ahead(Box::new(forecast)))
            }
            Call::Targets(ranking) => self.look(engine, now, request, Look::Targets(ranking)),
            Call::Search(search, filter) => {
                self.then.insert(request, Then::Show(filter));
                self.query(request, Query::Jobs(search))
            }
            Call::Read(read) => self.read_here_or_there(engine, clients, now, request, read),
            Call::Preview(call) => {
                let herd = call.first().map(|first| engine.core().herd(first, None, HERD_LOOKS_MAX));
                Given::Answer(api::preview(&call, herd))
            }
            Call::Stream(stream) if stream.is_endless() && clients.listeners >= EVENT_CLIENTS_MAX => {
                self.listeners_refused += 1;
                refuse(&ApiError::too_many("as many clients listen to events as may; ask for executions instead"))
            }
            Call::Stream(stream) => Given::Streamed(stream.head(), stream),
            Call::Query(query) => self.query(request, query),
            Call::Patch(patch) => self.patch(engine, now, request, patch),
            Call::ReplayAll { query, filter, dry_run } => {
                self.then.insert(request, Then::RunAll { dry_run, filter });
                self.query(request, query)
            }
            Call::Batch { .. } => self.go_on_with_batch(request),
            Call::Token(_) => unreachable!("what is asked of tokens has no key, and is carried out before"),
            Call::DrainNode(_) => unreachable!("a node that is to leave has no key, and is told before"),
            Call::Try(_) | Call::TestChannel(_) => unreachable!("a trial has no key, and is carried out before"),
            Call::Replay(id, run) => {
                self.then.insert(request, Then::Run(run));
                self.query(request, Query::One { id, now: now.wall })
            }
            Call::Create(spec) => {
                let mut entropy = [0; 10];
                if getrandom::fill(&mut entropy).is_err() {
                    return refuse(&ApiError::no_randomness());
                }
                self.change(engine, now, request, Action::Create { spec, entropy, pause: None })
            }
            Call::Change(action) => self.change(engine, now, request, action),
            Call::PutChannel(name, definition) => self.put_channel(engine, now, request, name, &definition),
        }
    }

    /// What is answered at once is the end of a request.
    pub(super) fn end_unless_later(&mut self, request: RequestId, given: Given) -> Given {
        match given {
            Given::Answer(_) | Given::Streamed(..) | Given::Piece(_) | Given::Nothing(_) => {
                self.keys.end(request);
                self.batches.end(request);
                self.audits.end(request);
                self.patches.remove(&request);
                self.channels_changing.remove(&request);
            }
            Given::Later | Given::MuchLater => {}
        }
        given
    }

    /// Keeps with what is about to be written what its clients will be answered, where they gave a key.
    pub(super) fn keep_planned(&mut self, engine: &mut Engine, now: Now) {
        for (number, request, reply) in engine.take_planned() {
            if let Some(row) = self.audits.plan(engine.core(), request, &reply, now.wall) {
                engine.write_down(Some(number), row, now.mono);
            }
            if !self.keys.has(request) {
                continue;
            }
            let beside = self.beside(engine.core(), request, &reply);
            if let Some(answer) = self.keys.plan(request, api::reply(&reply, beside), now.wall) {
                engine.keep(number, answer);
            }
        }
    }

    /// Makes a patch over the job as it is now. If it is another one when the core comes to it, that is done again.
    fn patch(&mut self, engine: &mut Engine, now: Now, request: RequestId, patch: Box<Patch>) -> Given {
        let Some(job) = engine.core().job(patch.id(), now.wall) else {
            let has_left = self.may_have_left(engine, request, Concerns::Job(patch.id()));
            return refuse(&if has_left { Refusal::NotOwned.into() } else { ApiError::no_such_job() });
        };
        match patch.over(&job, &self.context(engine.core(), now, true)) {
            Ok(action) => {
                let given = self.change(engine, now, request, action);
                if matches!(given, Given::Later) {
                    self.patches.insert(request, patch);
                }
                given
            }
            Err(error) => refuse(&error),
        }
    }

    /// Sends something once. Its answer is waited for like the end of an execution.
    fn try_once(&mut self, engine: &mut Engine, now: Now, request: RequestId, post: Arc<Post>) -> Given {
        if self.trials.len() >= TRIALS_MAX {
            return refuse(&ApiError::too_many("too many trials are under way; try again"));
        }
        // No job has this key, and no row this number.
        let (job, seq) = (JobId::new(JobKey(0), [0; 10]), Seq(request.0));
        let id = ExecutionId { job, instant: now.wall.floor(), kind: Kind::Manual, number: 0 };
        self.trials.insert(request, Arc::clone(&post));
        engine.try_once(Attempt {
            handle: Handle { slot: 0, seq },
            number: 1,
            id,
            class: Class::Manual,
            epoch: 0,
            post: SharedPost::Own(post),
        });
        Given::MuchLater
    }

    /// What came of a trial.
    pub(super) fn tried(&mut self, report: Report) -> Option<(RequestId, Given)> {
        let request = RequestId(report.handle.seq.0);
        let post = self.trials.remove(&request)?;
        Some((request, Given::Answer(self.cors.mark(api::tried(&post, report)))))
    }

    pub(super) fn query(&mut self, request: RequestId, query: Query) -> Given {
        if self.readers.ask(request, query).is_ok() {
            return Given::Later;
        }
        self.then.remove(&request);
        self.too_many_reads()
    }

    /// Most is found at the first look.
    fn look(&mut self, engine: &Engine, now: Now, request: RequestId, mut look: Look) -> Given {
        if look.advance(engine.core(), now) {
            return seen(engine, now, look);
        }
        match self.looks.push(request, look) {
            Ok(()) => Given::Later,
            Err(TooMany) => self.too_many_reads(),
        }
    }

    fn too_many_reads(&mut self) -> Given {
        self.reads_refused += 1;
        refuse(&ApiError::unavailable("too many reads are waiting; try again"))
    }

    /// Hands a change to the core, whose answer comes later, unless it could not be written.
    pub(super) fn change(&mut self, engine: &mut Engine, now: Now, request: RequestId, action: Action) -> Given {
        match self.obstacle_elsewhere(engine.core(), &action) {
            Some(obstacle) => {
                self.then.insert(request, Then::Change(Box::new(action)));
                self.query(request, Query::InTheWay(obstacle))
            }
            None => self.submit(engine, now, request, action),
        }
    }

    /// The same of what nothing is in the way of at other nodes.
    pub(super) fn submit(&mut self, engine: &mut Engine, now: Now, request: RequestId, action: Action) -> Given {
        if engine.is_failing() {
            return refuse(&ApiError::unavailable("the store cannot be written; nothing has changed"));
        }
        if self.changes_pending >= CLIENT_CHANGES_PENDING_MAX {
            self.changes_refused += 1;
            return refuse(&ApiError::unavailable("too many changes are waiting to be written; nothing has changed"));
        }
        if self.may_have_left(engine, request, action.concerns()) {
            return refuse(&Refusal::NotOwned.into());
        }
        self.changes_pending += 1;
        let read_at = self.keys.read_at(request).unwrap_or(now.wall).floor();
        // What it will be answered is written down with it.
        let (waits, plans) = (matches!(&action, Action::Run(run) if run.wait.is_some()), true);
        engine.input(Input::Command(Box::new(Command { request, action, plans, read_at })), now);
        if waits { Given::MuchLater } else { Given::Later }
    }

    /// What jobs and schedules in a request are read with.
    pub(super) fn context<'a>(&'a self, core: &'a Scheduler, now: Now, has_body: bool) -> Context<'a> {
        // Without random numbers a schedule that needs a seed is refused, with the reason.
        let seed = if !has_body { None } else { getrandom::u64().ok().map(|drawn| drawn % SEED_END) };
        Context {
            seals: self.seals,
            now: now.wall,
            zones: Some(&self.zones),
            zone: Some(&self.zone),
            calendars: Some(core.calendars()),
            seed,
            json_depth_max: JSON_DEPTH_MAX,
            compiled: Some(&self.compiled),
            ..Context::at(now.wall.floor())
        }
    }

    /// The core's answer to a change.
    pub(super) fn settled(&mut self, engine: &mut Engine, now: Now, request: RequestId, reply: &Reply) -> Given {
        if self.batches.note(request, reply) {
            if let (Reply::CalendarPut { name, .. }, Some(asking)) = (reply, self.audits.get(request)) {
                engine.write_down(None, asking.row(Some(name.as_ref().into()), Status::OK, now.wall), now.mono);
            }
            return Given::Later;
        }
        self.changes_pending -= 1;
        self.channels_changing.remove(&request);
        let beside = self.beside(engine.core(), request, reply);
        let patch = self.patches.remove(&request);
        if let (Reply::Changed(number), Some(patch)) = (reply, patch)
            && patch.is_for(*number)
        {
            return match self.patch(engine, now, request, patch) {
                Given::Answer(response) => {
                    self.audits.end(request);
                    Given::Answer(self.cors.mark(response))
                }
                given @ (Given::Later
                | Given::MuchLater
                | Given::Streamed(..)
                | Given::Piece(_)
                | Given::Nothing(_)) => given,
            };
        }
        if let Some(row) = self.audits.settle(engine.core(), request, reply, now.wall) {
            engine.write_down(None, row, now.mono);
        }
        let elsewhere = self.replays.end(request);
        if elsewhere.is_some_and(|elsewhere| elsewhere.has_started())
            && matches!(reply, Reply::StartedAll(ids, _) if ids.is_empty())
        {
            // Nothing was written here that it could be kept with.
            if let Some(answer) = self.keys.plan(request, api::reply(reply, beside.clone()), now.wall) {
                engine.keep_alone(request, answer, now.mono);
                return Given::Later;
            }
        }
        let planned = self.keys.end(request);
        let response = match (planned, reply) {
            // What is on disk under its key is what it is answered.
            (Some(planned), Reply::Created(_) | Reply::Updated(_) | Reply::Started(_) | Reply::StartedAll(..)) => {
                planned
            }
            (Some(planned), Reply::Set(_) | Reply::Acknowledged(_)) => planned,
            _ => api::reply(reply, beside),
        };
        Given::Answer(self.cors.mark(response))
    }

    /// Looks further for one client that still waits for what memory is looked through for. What that is given, once all
    /// is found.
    pub(super) fn look_further(
        &mut self,
        engine: &Engine,
        now: Now,
        is_awaited: impl Fn(RequestId) -> bool,
    ) -> Option<(RequestId, Given)> {
        while let Some(request) = self.looks.pop_left(&is_awaited) {
            self.lists.remove(&request);
        }
        let (request, look) = self.looks.advance(engine.core(), now)?;
        match self.link(request, seen(engine, now, look)) {
            Given::Answer(response) => Some((request, Given::Answer(self.cors.mark(response)))),
            Given::Streamed(head, stream) => Some((request, Given::Streamed(self.cors.mark(head), stream))),
            given @ (Given::Later | Given::MuchLater | Given::Piece(_) | Given::Nothing(_)) => Some((request, given)),
        }
    }

    /// A reader's answer, which may be what a request goes on with.
    pub(super) fn found(
        &mut self,
        engine: &mut Engine,
        clients: Clients,
        now: Now,
        request: RequestId,
        found: Found,
    ) -> Given {
        let then = self.then.remove(&request);
        let given = match (found, then) {
            (Found::Tokens(found), _) => {
                self.tokens_looked_at();
                self.tokens_found(found);
                return Given::Later;
            }
            (Found::Response(_), _) if request == OWN_REQUEST => {
                // It could not be read. The next look tells.
                self.tokens_looked_at();
                return Given::Later;
            }
            // It cannot be read now: an answer that has begun is tried to be gone on with in a while.
            (Found::Response(_), Some(Then::Export(after))) => Given::Nothing(Stream::Export(Export::Jobs(after))),
            (Found::Response(response), _) => Given::Answer(response),
            (Found::Views(views), Some(then)) => self.found_jobs(engine, clients, now, &views, then),
            (Found::Placing(placing), _) => self.placing_found(request, *placing),
            (Found::Why(job, at, found), _) => self.explain(engine, now, request, (job, at), found),
            (Found::Key(stored), _) => match self.keys.found(request, stored) {
                Ok(call) => self.carry_out(engine, clients, now, request, *call),
                Err(response) => Given::Answer(response),
            },
            (Found::Incidents(page), _) => {
                Given::Answer(api::incidents(&page, |incident| engine.core().silence_of(incident)))
            }
            (Found::Incident(found), _) => {
                let silence_of = |incident: &Incident| engine.core().silence_of(incident);
                Given::Answer(api::incident(found.as_deref(), silence_of))
            }
            (Found::Execution(found), None) => Given::Answer(api::execution(found.map(|found| *found))),
            (Found::Jobs(found), Some(Then::Show(filter))) => {
                let shown = engine.core().visible_of(found.keys.clone(), &filter, now.wall);
                page(engine.core(), now, JobsPage::of_search(&found, shown))
            }
            (Found::Executions(found), Some(Then::RunAll { dry_run: true, .. })) => Given::Answer(api::replays(&found)),
            (Found::Executions(found), Some(Then::RunAll { dry_run: false, filter })) => {
                self.replay_all(engine, now, request, filter, found)
            }
            (Found::InTheWay(job), Some(Then::Change(action))) => self.go_on_with(engine, now, request, *action, job),
            (Found::Views(_), None)
            | (Found::InTheWay(_), _)
            | (Found::Jobs(_) | Found::Executions(_), _)
            | (Found::Execution(_), Some(Then::Show(_) | Then::RunAll { .. }))
            | (Found::Execution(_), Some(Then::Read(_) | Then::Explain(..) | Then::Export(_) | Then::Change(_))) => {
                unreachable!("what is done with an answer fits its question")
            }
            (Found::Execution(None), Some(Then::Run(_))) => refuse(&ApiError::no_such_execution()),
            (Found::Execution(Some(found)), Some(Then::Run(run))) => match api::replay_of(&found, run) {
                Ok(action) => self.change(engine, now, request, action),
                Err(error) => refuse(&error),
            },
        };
        let given = self.link(request, given);
        match self.end_unless_later(request, given) {
            Given::Answer(response) => Given::Answer(self.cors.mark(response)),
            Given::Streamed(head, stream) => Given::Streamed(self.cors.mark(head), stream),
            given @ (Given::Later | Given::MuchLater | Given::Piece(_) | Given::Nothing(_)) => given,
        }
    }

    /// What a client hears that waited, or let others wait, for too long.
    pub(super) fn overdue(&self, overdue: Overdue) -> Response {
        self.cors.mark(late(overdue).response())
    }

    /// What the loop has; `others` are jobs that are not in memory.
    pub(super) fn read(&self, engine: &Engine, clients: Clients, now: Now, read: Read, others: &[JobView]) -> Response {
        let core = engine.core();
        let other = |id: JobId| others.iter().find(|view| view.revision.id == id).cloned();
        let job = |id: JobId| core.job(id, now.wall).or_else(|| other(id));
        match read {
            Read::Job(id) => match job(id) {
                Some(view) => api::job(&view),
                None => ApiError::no_such_job().response(),
            },
            Read::Health => api::health(&api::Health {
                trouble: engine.trouble(now.mono),
                held_jobs: core.load(now.wall).held_jobs,
                now: now.wall,
            }),
            Read::Nodes => api::nodes(&engine.nodes.as_ref().map(|nodes| nodes.view(now)).unwrap_or_default()),
            Read::Live => api::live(),
            Read::Ready => api::ready(engine.is_ready(now.mono)),
            Read::Calendar(name) => api::calendar(core.calendars(), &name),
            Read::Past { id, from, to } => {
                let past = |view: JobView| core.past_instants(&view.revision.spec.schedule, from, to, now.wall);
                api::past(id, job(id).map(past))
            }
            Read::Calendars => api::calendars(core.calendars()),
            Read::Channels => api::channels(core.settings(), |name| figures::of_channel(engine, name)),
            Read::Channel(name) => api::channel(core.settings(), &name, |name| figures::of_channel(engine, name)),
            Read::Silences => api::silences(core.settings()),
            Read::Policies => api::policies(core.settings()),
            Read::Policy(id) => match job(id) {
                Some(view) => api::policy_of(&view.revision.spec, core.settings()),
                None => ApiError::no_such_job().response(),
            },
            Read::Info => api::info(&self.zones),
            Read::OpenApi => api::described(&self.description),
            Read::Exposition { jobs, format } => {
                let views = jobs.iter().filter_map(|id| job(*id)).collect();
                api::exposition(
                    &figures::collect(engine, self, clients, now),
                    figures::of_channels(engine),
                    views,
                    format,
                )
            }
            Read::Metrics { limit } => {
                let figures = figures::collect(engine, self, clients, now);
                api::metrics(&figures, &figures::of_channels(engine), &core.next_to_fire(limit, now.wall))
            }
        }
    }
}

/// What memory was looked through for.
fn seen(engine: &Engine, now: Now, look: Look) -> Given {
    match look {
        Look::Jobs(listing) => page(engine.core(), now, JobsPage::of_listing(listing)),
        Look::Targets(ranking) => Given::Answer(api::targets(ranking)),
        Look::Ahead(forecast) => Given::Answer(api::timeline(engine.minutes(), forecast.end())),
    }
}

/// A page of jobs that are known: at once if one piece is enough.
fn page(core: &Scheduler, now: Now, page: JobsPage) -> Given {
    let views = core.views_of(page.in_piece(), now.wall);
    let head = Stream::Jobs(Box::new(page.clone()));
    let Piece { bytes, rest } = page.clone().piece(&views);
    match rest {
        None => Given::Answer(page.with_next(Response::new(Status::OK, bytes))),
        Some(_) => Given::Streamed(page.with_next(head.head()), head),
    }
}

/// What else is due when a job that was changed is due next.
pub(super) fn herd_of(core: &Scheduler, reply: &Reply) -> Option<Herd> {
    match reply {
        Reply::Created(view) | Reply::Updated(view) => {
            view.next.map(|next| core.herd(next, Some(view.revision.id), HERD_LOOKS_OF_CHANGE))
        }
        Reply::Unchanged(_) | Reply::Nameless | Reply::OwnedElsewhere => None,
        Reply::Deleted | Reply::NotFound | Reply::Conflict(_) | Reply::Invalid(_) | Reply::Refused(_) => None,
        Reply::Started(_) | Reply::StartedAll(..) | Reply::Ended(..) | Reply::NameTaken(_) | Reply::Changed(_) => None,
        Reply::CalendarPut { .. } | Reply::CalendarDeleted | Reply::NoSuchCalendar | Reply::TooMany(_) => None,
        Reply::Set(_) | Reply::NoSuchSetting | Reply::Acknowledged(_) | Reply::NoSuchIncident => None,
    }
}

pub(super) fn refuse(error: &ApiError) -> Given {
    Given::Answer(error.response())
}

/// Makes the next piece of an answer that is streamed.
fn piece(engine: &mut Engine, now: Now, stream: Stream) -> Given {
    match stream {
        Stream::Export(export) => {
            let views = match export {
                Export::Calendars(_) => Vec::new(),
                Export::Jobs(after) => engine.core().jobs_after(after, PIECE_JOBS_MAX, now.wall),
            };
            Given::Piece(export.piece(engine.core().calendars(), &views))
        }
        Stream::Jobs(page) => {
            let views = engine.core().views_of(page.in_piece(), now.wall);
            Given::Piece(page.piece(&views))
        }
        Stream::Events(listening) => engine.events.piece(listening, now.mono),
    }
}

/// What is said when something was not there in time.
pub(super) fn late(overdue: Overdue) -> ApiError {
    match overdue {
        Overdue::Request => ApiError::new(Status::REQUEST_TIMEOUT, "the request did not arrive in time"),
        Overdue::Change => {
            ApiError::unavailable("the change is not on disk yet, and whether it will be is not known; GET tells")
        }
        Overdue::Reading => ApiError::unavailable("reading took too long; try again"),
    }
}
