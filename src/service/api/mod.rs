//! Owns the REST API: requests to calls, results to JSON, errors a client can act on.
//! It must not touch sockets, threads or the store, and never decides what the core decides.
//!
//! In reading order: `routes` (the one table of what can be asked for), `route` (what a line of it says), `matching`
//! (which line is meant), `call` (what a request asks for), then a file for each resource with its request, its
//! parameters and its answer: `jobs` and `jobs_page`, `patch`, `pauses`, `schedules`, `executions`, `strips`, `runs`, `why`,
//! `series`, `trials`, `incidents`, `silences`, `channels`, `policies`, `batch` (with the `parts` of it that other nodes carry out, what is declared, `apply`, and what is told of a `difference`), `export` and `import`, `calendars`, `alerts`, `metrics` and the `exposition` of the same as text, `targets`, `timeline`, `nodes`, `status`, `tokens` and `sessions`, `audit`, and `events`, which tell the `news` as
//! `event_text`; `openapi` describes them all from the table, their types and `examples`. They share `parameters`, `headers`, `links`, `body`, `json`, `errors` and
//! `cors`; `answers` is the readers' way to them, `passed` that of answers between nodes, and `stream` is for answers that are made in pieces.

mod alerts;
mod answers;
mod apply;
mod audit;
mod batch;
mod body;
mod calendars;
mod call;
mod channels;
mod cors;
mod difference;
mod errors;
mod event_text;
mod events;
mod examples;
mod executions;
mod export;
mod exposition;
mod headers;
mod import;
mod incidents;
mod jobs;
mod jobs_page;
mod json;
mod links;
mod matching;
mod metrics;
mod news;
mod nodes;
mod openapi;
mod parameters;
mod parts;
mod passed;
mod patch;
mod pauses;
mod policies;
mod route;
mod routes;
mod runs;
mod schedules;
mod series;
mod sessions;
mod silences;
mod status;
mod stream;
mod strips;
mod targets;
mod timeline;
mod tokens;
mod trials;
mod why;

pub use answers::{Found, answer, stored};
pub use batch::{Batch, Deed, Lines, Wanted};
pub use body::{is_json, is_lines};
pub use calendars::{calendar, calendars};
pub use call::{Call, Read, TokenCall};
pub use channels::{ChannelFigures, channel, channel_tested, channels, over as channel_over};
pub use cors::Cors;
pub use errors::ApiError;
pub use event_text::gap_text;
pub use events::{EventId, Listening, Since, opening_text, silence_text};
pub use executions::one as execution;
pub use export::Export;
pub use exposition::{Format, exposition};
pub use incidents::{incident, incidents};
pub use jobs::{Beside, job, reply};
pub use jobs_page::JobsPage;
pub use links::ListOf;
pub use matching::{Routed, body_limit, knows, route};
pub use metrics::metrics;
pub use news::{About, News, Rank};
pub use nodes::{NodeView, Nodes, nodes};
pub use openapi::{described, openapi};
pub use parts::Part;
pub use passed::{Passed, passed, passed_back};
pub use patch::Patch;
pub use policies::{is_of_policy, policies, policy_of};
pub use runs::{Elsewhere, past, replay_all_of, replay_of, replays, replays_of};
pub use schedules::{PreviewCall, preview};
pub use sessions::{shown, signed_in, signed_out, who};
pub use silences::{silence, silences};
pub use status::{Health, health, info, live, ready};
pub use stream::{Piece, Stream};
pub use targets::targets;
pub use timeline::timeline;
pub use tokens::{check_name as check_token_name, no_such_token, token_created, token_text, tokens, tokens_text};
pub use trials::tried;
pub use why::why;
