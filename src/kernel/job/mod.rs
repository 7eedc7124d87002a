//! Owns what a client says a job is: read, checked, and made compact.
//! It must not touch anything, know what becomes of a job, or how its text is encoded.
//!
//! In reading order: `definition` is the list of members as clients write them; `spec` is what they mean, compiled with a
//! `context` (with schedules that were `compiled` before), and a `revision` is what holds from some moment on; then one policy a file: `labels` (what it is called), `timing` (when), `target` (where to), `delivery` (how often at most), `misfire` (what becomes of missed
//! instants), `retry` (whether and when there is another attempt), `overlap` (what becomes of one that is due while
//! another runs), `concurrency` (what several jobs share), with `statuses` that several of them name, and `alerting` (when somebody is told). What is asked of
//! the target is `request`, with its `headers` and its `body`, a `template`. A `secret` is never shown: `secrets` are all
//! of a job's, in headers, in `auth`, and for `signing`. `named`, `given`, `object`, `number` and `json` are how clients write
//! members, and `shapes` how the description of the API has them. `post` is what of it a worker sends, `id` is how a job is named.

mod alerting;
mod auth;
mod body;
mod compiled;
mod concurrency;
mod context;
mod definition;
mod delivery;
mod given;
mod headers;
mod id;
mod json;
mod labels;
mod misfire;
mod named;
mod number;
mod object;
mod overlap;
mod post;
mod request;
mod retry;
mod revision;
mod secret;
mod secrets;
mod shapes;
mod signing;
mod spec;
#[cfg(test)]
mod spec_tests;
mod statuses;
mod target;
mod template;
mod timing;

pub use alerting::{AlertDefinition, AlertPolicy, JobAlerts, Term, channel_name};
pub use auth::AuthDefinition;
pub use body::OwnBody;
pub use compiled::Compiled;
pub use concurrency::{ConcurrencyKey, Rate};
pub use context::Context;
pub use definition::{Definition, FieldError};
pub use delivery::Delivery;
pub use given::Given;
pub use id::{JOB_KEY_MAX, JobId, JobKey, MalformedId};
pub use json::Json;
pub use labels::{Labels, label};
pub use misfire::{Misfire, MisfireRule};
pub use named::Named;
pub use number::whole;
pub use object::object;
pub use overlap::Overlap;
pub use post::{Content, Post, SharedPost};
pub use retry::{Failure, RetryPolicy};
pub use revision::{Pause, Revision};
pub use secret::{Secret, SecretDefinition, UNSEALABLE};
pub use secrets::choose_secret;
pub use shapes::{
    CalendarName, ChannelName, Day, KnownCalendar, Label, Period, ScheduleText, Second, ZoneName, any_of, body_or_json,
    one_of,
};
pub use signing::Signing;
pub use spec::JobSpec;
pub use statuses::{StatusDefinition, Statuses};
pub use target::{MalformedUrl, Target, TargetUrl};
pub use template::{Placeholder, Template};
pub use timing::{DstDefinition, Timing, instant};

/// A number of a member within bounds, both included.
fn bounded(member: &'static str, given: u64, least: u64, most: u64) -> Result<u64, FieldError> {
    if (least..=most).contains(&given) {
        return Ok(given);
    }
    Err(FieldError::new(member, format_args!("expected a number from {least} to {most}, got {given}")))
}
