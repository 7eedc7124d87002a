//! Owns what fuzzing and the ordinary tests have in common: the targets by name, each bytes in and a panic where a property
//! does not hold.
//! It must not know who calls it, nor depend on time, on chance or on the machine.
//!
//! In reading order: `support` (bytes in pieces, a job as the core shows it); `request` (bytes of a client), `answer` (bytes
//! of a job's target), `mail` (bytes of a mail server), `postgres` (bytes of a database), `schedule`, `job` (bodies and patches),
//! `query` (paths, queries, cursors, ids), `batch` (lines of changes and of an export), `crontab`, `files` (what `apply` reads),
//! `gate` (what proxies say of a client, hosts and origins), `access` (tokens, and who is wrong too often).

mod access;
mod answer;
mod batch;
mod crontab;
mod files;
mod gate;
mod job;
mod mail;
mod postgres;
mod query;
mod request;
mod schedule;
mod support;

/// What is done with bytes.
pub type Target = fn(&[u8]);

/// All of them.
pub const TARGETS: [(&str, Target); 12] = [
    ("request", request::check),
    ("answer", answer::check),
    ("mail", mail::check),
    ("postgres", postgres::check),
    ("schedule", schedule::check),
    ("job", job::check),
    ("query", query::check),
    ("batch", batch::check),
    ("crontab", crontab::check),
    ("files", files::check),
    ("gate", gate::check),
    ("access", access::check),
];
