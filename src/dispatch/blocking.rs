//! Owns the blocking client of one worker: one POST at a time, over kept-alive connections.
//! It must not retry, redirect, or read settings from the environment.

use std::io::Read;
use std::time::{Duration, Instant};

use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Error};

use super::{DispatchSettings, request, resolver::Resolver};
use crate::clock;
use crate::core::{Attempt, Outcome, Report};

/// How much of an answer is read so that its connection can be used again.
const ANSWER_LEN_MAX: u64 = 64 * 1024;
/// Buffers for one connection; ureq's own would be 128 KiB each.
const INPUT_BUFFER: usize = 8 * 1024;
const OUTPUT_BUFFER: usize = 4 * 1024;

/// Sends one POST at a time.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    timeout: Duration,
}

impl Client {
    pub(super) fn new(settings: &DispatchSettings, resolver: Resolver) -> Client {
        let config = Agent::config_builder()
            .timeout_global(Some(settings.timeout))
            .user_agent(settings.user_agent.as_str())
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .input_buffer_size(INPUT_BUFFER)
            .output_buffer_size(OUTPUT_BUFFER)
            .max_idle_connections_per_host(1)
            .max_idle_connections(8)
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
        Client { agent, timeout: settings.timeout }
    }

    pub(super) fn post(&self, attempt: &Attempt) -> Report {
        let mut call = self.agent.post(attempt.spec.endpoint.uri()).content_type("application/json");
        for (name, value) in request::headers(attempt) {
            call = call.header(name, value);
        }
        let dispatched = clock::wall();
        let start = Instant::now();
        let outcome = match call.send(request::BODY) {
            Ok(answer) => self.finish(answer),
            Err(error) => self.explain(&error),
        };
        Report {
            handle: attempt.handle,
            attempt: attempt.number,
            outcome,
            dispatched,
            duration_us: u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// The status counts once the answer has been read to its end, or as far as anybody needs it.
    fn finish(&self, answer: ureq::http::Response<Body>) -> Outcome {
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut rest = body.as_reader().take(ANSWER_LEN_MAX);
        match std::io::copy(&mut rest, &mut std::io::sink()) {
            Ok(_) => Outcome::Answered(status),
            Err(error) => self.explain(&Error::from(error)),
        }
    }

    fn explain(&self, error: &Error) -> Outcome {
        match error {
            Error::Timeout(_) => Outcome::TimedOut(format!("no whole answer within {} ms", self.timeout.as_millis())),
            Error::HostNotFound => Outcome::ConnectionFailed("the host name was not found".to_owned()),
            Error::Io(why) => Outcome::ConnectionFailed(format!("connection failed: {why}")),
            other => Outcome::ConnectionFailed(format!("connection failed: {other}")),
        }
    }
}
