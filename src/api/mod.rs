//! Owns the REST API: requests to calls, results to JSON, errors a client can act on.
//! It must not touch sockets, threads or the store, and never decides what the core decides.
//!
//! In reading order: `routes` (the one table of what can be asked for) and `route` (what a line of it says), `call` (what
//! a request asks for), then a file for each resource with its request, its parameters and its answer: `jobs` and
//! `jobs_page`, `patch`, `pauses`, `schedules`, `executions`, `runs`, `why`, `series`, `calendars`, `alerts`, `metrics`, `status`; `openapi` describes them all from
//! the table and their types. They share `parameters`, `headers`, `examples`, `links`, `body`, `json`, `errors` and `cors`; `answers` is the readers' way
//! to them, and `stream` is for answers that are made in pieces.

mod alerts;
mod answers;
mod body;
mod calendars;
mod call;
mod cors;
mod errors;
mod examples;
mod executions;
mod headers;
mod jobs;
mod jobs_page;
mod json;
mod links;
mod metrics;
mod openapi;
mod parameters;
mod patch;
mod pauses;
mod route;
mod routes;
mod runs;
mod schedules;
mod series;
mod status;
mod stream;
mod why;

pub use answers::{Found, answer, stored};
pub use body::is_json;
pub use calendars::{calendar, calendars};
pub use call::{Call, Read};
pub use cors::Cors;
pub use errors::ApiError;
pub use executions::one as execution;
pub use jobs::{job, reply};
pub use jobs_page::JobsPage;
pub use links::ListOf;
pub use metrics::metrics;
pub use openapi::{described, openapi};
pub use patch::Patch;
pub use routes::{body_limit, route};
pub use runs::{past, replay_of};
pub use schedules::{PreviewCall, preview};
pub use status::{Health, health, info};
pub use stream::{Piece, Stream};
pub use why::why;
