//! Owns what a client says a job is: read, checked, and made compact.
//! It must not touch anything, know what becomes of a job, or how its text is encoded.
//!
//! In reading order: `definition` is the list of members as clients write them; `spec` is what they mean, compiled with a
//! `context`; then one policy a file: `target` (where to), `delivery` (how often at most), `misfire` (what becomes of missed
//! instants), `retry` (how long between attempts), with
//! `statuses` that several of them name. `post` is what of it a worker sends, `id` is how a job is named.

mod context;
mod definition;
mod delivery;
mod id;
mod misfire;
mod post;
mod retry;
mod spec;
mod statuses;
mod target;

pub use context::Context;
pub use definition::{Definition, FieldError};
pub use delivery::Delivery;
pub use id::{JOB_KEY_MAX, JobId, JobKey, MalformedId};
pub use misfire::Misfire;
pub use post::Post;
pub use retry::RetryPolicy;
pub use spec::{JobSpec, Revision};
pub use statuses::{StatusDefinition, Statuses};
pub use target::{MalformedUrl, Target, TargetUrl};
