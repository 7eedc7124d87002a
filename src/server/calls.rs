//! Owns a request's way: routed, then asked of the core, of its memory, or of a reader, and answered.
//! It must not format JSON: `api` does.

use super::connections::Asked;
use super::engine::Engine;
use crate::api::{self, ApiError, Call, Cors, Read};
use crate::core::{Action, Command, Input, RequestId};
use crate::dispatch::{PoolStats, WorkerStats};
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
    /// The answer, or None if it comes later under the same name.
    pub(super) fn answer(
        &mut self,
        engine: &mut Engine,
        connections: Clients,
        now: Now,
        name: RequestId,
        asked: Asked,
    ) -> Option<Response> {
        match asked {
            Asked::Refused(refusal) => Some(self.cors.mark(ApiError::from(refusal).response())),
            Asked::Request(request) => {
                if self.cors.is_preflight(&request) {
                    return Some(self.cors.preflight());
                }
                self.call(engine, connections, now, name, &request).map(|response| self.cors.mark(response))
            }
        }
    }

    fn call(
        &mut self,
        engine: &mut Engine,
        connections: Clients,
        now: Now,
        name: RequestId,
        request: &Request,
    ) -> Option<Response> {
        match api::route(request, now.wall) {
            Err(error) => Some(error.response()),
            Ok(Call::Ready(response)) => Some(response),
            Ok(Call::Read(read)) => Some(self.read(engine, connections, now, read)),
            Ok(Call::Query(query)) => {
                self.readers.ask(name, query).err()?;
                self.reads_refused += 1;
                Some(ApiError::unavailable("too many reads are waiting; try again").response())
            }
            Ok(Call::Create(spec)) => {
                let mut entropy = [0; 10];
                if getrandom::fill(&mut entropy).is_err() {
                    let error = ApiError::new(Status::INTERNAL_SERVER_ERROR, "the system gave no random numbers");
                    return Some(error.response());
                }
                change(engine, now, name, Action::Create { spec, entropy })
            }
            Ok(Call::Change(action)) => change(engine, now, name, action),
        }
    }

    fn read(&self, engine: &Engine, connections: Clients, now: Now, read: Read) -> Response {
        let core = engine.core();
        match read {
            Read::Job(id) => match core.job(id, now.wall) {
                Some(view) => api::job(&view),
                None => ApiError::no_such_job().response(),
            },
            Read::Jobs { after, limit } => api::jobs(&core.jobs_after(after, limit + 1, now.wall), limit),
            Read::Health => api::health(&api::Health {
                trouble: engine.trouble(now.mono),
                held_jobs: core.load(now.wall).held_jobs,
                now: now.wall,
            }),
            Read::Info => api::info(),
            Read::Metrics { limit } => api::metrics(&api::Metrics {
                is_running: core.is_running(),
                load: core.load(now.wall),
                counts: core.counts(),
                drift: engine.drift(),
                late: engine.late(),
                store: engine.store_latency(),
                uptime_s: now.mono.0 / 1_000_000,
                in_flight_max: self.in_flight_max,
                sending: sending(&engine.pool()),
                write_queue: engine.write_queue(),
                read_queue: self.readers.waiting(),
                alert_queue: engine.alert_queue(),
                connections: connections.open,
                connections_evicted: connections.evicted,
                reads_refused: self.reads_refused,
                log_lines_dropped: self.logs.dropped(),
                next: core.next_to_fire(limit, now.wall),
            }),
        }
    }
}

/// Hands a change to the core, whose answer comes later, unless it could not be written.
fn change(engine: &mut Engine, now: Now, name: RequestId, action: Action) -> Option<Response> {
    if engine.is_failing() {
        return Some(ApiError::unavailable("the store cannot be written; nothing has changed").response());
    }
    engine.input(Input::Command(Box::new(Command { request: name, action })), now);
    None
}

/// The workers' figures, summed up.
fn sending(pool: &PoolStats) -> api::Sending {
    let sum = |of: fn(&WorkerStats) -> u64| pool.workers.iter().map(of).sum();
    api::Sending {
        threads: pool.workers.len(),
        waiting: sum(|worker| worker.waiting),
        connections: sum(|worker| worker.connections),
        opened: sum(|worker| worker.opened),
        reused: sum(|worker| worker.reused),
        repeated: sum(|worker| worker.repeated),
        faults: sum(|worker| worker.faults),
        lookups: pool.lookups,
    }
}

/// What a client hears that sent half a request.
pub(super) fn timed_out() -> Response {
    ApiError::new(Status::REQUEST_TIMEOUT, "the request did not arrive in time").response()
}
