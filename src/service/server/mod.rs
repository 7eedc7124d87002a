//! Owns the loop and all wiring: sockets, timer, signals, threads, start and stop.
//! It must not decide anything about a job: an `if` about one here is a fault in the layering.
//!
//! In reading order: `start` (from configuration to a running loop, with as many open `files` as the system gives, and
//! newer zone data if the machine has some: `zones`; `check` looks at what the
//! configuration names), `turn` (one turn of it), `engine` (the core and what its outputs
//! go to), `outbox` (what waits for the writer), `together` (changes that are written together, as the core hears of
//! them), `events` (what is to be told to clients that listen) and their `ring` (what was told last), `listeners` (where
//! clients come in, with the file of a `unix_socket`, and what was `inherited`), `connections`, `connection` and its `output` (the API's clients,
//! each with its `socket` and as a `peer`, of which `addresses` counts whose they are), `calls` (a request's way to its
//! answer, past the `gate`, which believes some `proxies`, and with its idempotency key in `keys`), `looks` (what memory
//! is looked through for), the `nodes` that share the database, and `forwarding` of what another one has to carry out, `views` (what is asked about jobs that other nodes have) and the `obstacles` that these may be, `batches` (that of a request which changes many jobs, and the `parts` of it that other nodes have), `replays` (what they have of executions that are done again), `access` (who is let in; the first one
//! by `bootstrap`), `steering` (requests about channels), `telling` (what is told over channels), `audits` (what is written down), `troubles` (how store and disk are), `figures` (what is measured, collected, with `usage`: memory and
//! disk), `timer`, `reload` (the configuration once more), `supervisor` (what whoever started the server hears of it), `finish`
//! (the wait for the writer at the end), `backups` (a thread that makes them). `prospect` works out what a start would do.
//! Beside it all `tls/`, a thread that encrypts.

mod access;
mod addresses;
mod audits;
mod backups;
mod batches;
mod bootstrap;
mod calls;
mod check;
mod connection;
mod connections;
#[cfg(test)]
mod connections_tests;
mod engine;
mod events;
mod figures;
mod files;
mod finish;
mod forwarding;
mod gate;
mod inherited;
mod keys;
mod listeners;
#[cfg(test)]
mod listening_tests;
mod looks;
mod nodes;
mod obstacles;
mod outbox;
mod output;
mod parts;
mod peer;
mod prospect;
mod proxies;
mod reload;
mod replays;
mod ring;
mod socket;
mod start;
mod steering;
mod supervisor;
mod telling;
mod timer;
mod tls;
mod together;
mod troubles;
mod turn;
mod unix_socket;
mod usage;
mod views;
mod zones;

pub use access::new_token;
pub use check::check;
pub use files::{files_needed, room_in_flight};
pub use gate::Gate;
pub use peer::Peer;
pub use prospect::{Missed, Prospect, Told, prospect};
pub use proxies::Seen;
pub use reload::Reread;
pub use start::{ServeError, run};
pub use tls::{certificate_times, speaks_tls};
pub use zones::system_zones;
