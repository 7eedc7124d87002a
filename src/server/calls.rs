//! Owns a request's way: routed, then asked of the core, of its memory, or of a reader, and answered.
//! It must not format JSON: `api` does.

use super::connection::Given;
use super::connections::Asked;
use super::engine::Engine;
use super::figures;
use crate::api::{self, ApiError, Call, Cors, Piece, Read, Stream};
use crate::core::{Action, Command, Input, RequestId, Scheduler};
use crate::http::{Request, Response, Status};
use crate::store::Readers;
use crate::telemetry::Logs;
use crate::time::Now;

/// How many clients there are and were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clients {
    pub(super) open: usize,
    pub(super) evicted: u64,
}

/// What is needed to answer requests, beside the engine.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) cors: Cors,
    pub(super) readers: Readers<RequestId, Response>,
    pub(super) logs: Logs,
    pub(super) in_flight_max: u32,
    /// Reads refused because too many were waiting.
    pub(super) reads_refused: u64,
}

impl Calls {
    /// The answer, or that it comes later under the same request.
    pub(super) fn answer(
        &mut self,
        engine: &mut Engine,
        clients: Clients,
        now: Now,
        request: RequestId,
        asked: Asked,
    ) -> Given {
        match asked {
            Asked::Refused(refusal) => Given::Answer(self.cors.mark(ApiError::from(refusal).response())),
            Asked::Piece(stream) => Given::Piece(piece(engine.core(), now, stream)),
            Asked::Request(asked) if self.cors.is_preflight(&asked) => Given::Answer(self.cors.preflight()),
            Asked::Request(asked) => match self.call(engine, clients, now, request, &asked) {
                Given::Answer(response) => Given::Answer(self.cors.mark(response)),
                Given::Streamed(head, stream) => Given::Streamed(self.cors.mark(head), stream),
                given @ (Given::Later | Given::Piece(_)) => given,
            },
        }
    }

    fn call(&mut self, engine: &mut Engine, clients: Clients, now: Now, request: RequestId, asked: &Request) -> Given {
        match api::route(asked, now.wall) {
            Err(error) => refuse(&error),
            Ok(Call::Ready(response)) => Given::Answer(response),
            Ok(Call::Read(read)) => Given::Answer(self.read(engine, clients, now, read)),
            Ok(Call::Stream(stream)) => Given::Streamed(stream.head(), stream),
            Ok(Call::Query(query)) => match self.readers.ask(request, query) {
                Ok(()) => Given::Later,
                Err(_) => {
                    self.reads_refused += 1;
                    refuse(&ApiError::unavailable("too many reads are waiting; try again"))
                }
            },
            Ok(Call::Create(spec)) => {
                let mut entropy = [0; 10];
                if getrandom::fill(&mut entropy).is_err() {
                    let error = ApiError::new(Status::INTERNAL_SERVER_ERROR, "the system gave no random numbers");
                    return refuse(&error);
                }
                change(engine, now, request, Action::Create { spec, entropy })
            }
            Ok(Call::Change(action)) => change(engine, now, request, action),
        }
    }

    fn read(&self, engine: &Engine, clients: Clients, now: Now, read: Read) -> Response {
        let core = engine.core();
        match read {
            Read::Job(id) => match core.job(id, now.wall) {
                Some(view) => api::job(&view),
                None => ApiError::no_such_job().response(),
            },
            Read::Jobs(page) => api::jobs(page, &core.jobs_after(page.after(), page.views_wanted(), now.wall)),
            Read::Health => api::health(&api::Health {
                trouble: engine.trouble(now.mono),
                held_jobs: core.load(now.wall).held_jobs,
                now: now.wall,
            }),
            Read::Info => api::info(),
            Read::Metrics { limit } => {
                api::metrics(&figures::collect(engine, self, clients, now), &core.next_to_fire(limit, now.wall))
            }
        }
    }
}

/// Hands a change to the core, whose answer comes later, unless it could not be written.
fn change(engine: &mut Engine, now: Now, request: RequestId, action: Action) -> Given {
    if engine.is_failing() {
        return refuse(&ApiError::unavailable("the store cannot be written; nothing has changed"));
    }
    engine.input(Input::Command(Box::new(Command { request, action })), now);
    Given::Later
}

fn refuse(error: &ApiError) -> Given {
    Given::Answer(error.response())
}

/// Makes the next piece of an answer that is streamed.
fn piece(core: &Scheduler, now: Now, stream: Stream) -> Piece {
    match stream {
        Stream::Jobs(page) => api::jobs_piece(page, &core.jobs_after(page.after(), page.views_wanted(), now.wall)),
    }
}

/// What a client hears that sent half a request.
pub(super) fn timed_out() -> Response {
    ApiError::new(Status::REQUEST_TIMEOUT, "the request did not arrive in time").response()
}
