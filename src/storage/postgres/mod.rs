//! Owns the connection to a PostgreSQL server: statements and their parameters in, rows and errors out, each before its
//! deadline.
//! It must not know what is stored there, nor why.
//!
//! In reading order: what can go wrong is an `error`, how long and how much anything may be stands in `bounds`. A `url` says where a database is, `password` looks one up for it.
//! Bytes go over a `socket`, encrypted as `tls` says, in and out of a `wire`; `connecting` finds a server that is usable, and of the `origin` that is meant,
//! `startup` logs in. A `connection` knows its `statements`; those of a `pipeline` are sent together, with `values`, of `any` type if need be, and
//! give `rows`; many rows at once are a `copy`. What takes too long somebody else may `cancel`.
//!
//! The messages are those of `postgres-protocol`, which does no IO. The clients that are made of it bring an async runtime
//! along, and none has a deadline for everything; what is here is one thread and one socket. Every call says until when it
//! may take; one that takes longer costs the connection, as nobody knows what comes next on it. How much of a call had left
//! by then tells whether it can have been carried out ([`Sent`]).

mod any;
pub mod bounds;
mod cancel;
mod connecting;
mod connection;
mod copy;
mod error;
mod origin;
mod password;
mod pipeline;
mod rows;
mod socket;
mod startup;
mod statements;
mod tls;
mod url;
mod values;
mod wire;

pub use any::Any;
pub use cancel::Canceller;
pub use connection::{Connection, Notification, Transaction};
pub use copy::CopyRows;
pub use error::{Error, Sent, ServerError};
pub use pipeline::{Done, Pipeline};
pub use rows::{Row, Rows};
pub use socket::Stream;
pub use startup::Privacy;
pub use url::Url;
pub use values::{Element, Param, Unfit, Value};

#[cfg(test)]
mod server_login_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
#[path = "../../../tests/support/postgres.rs"]
pub(crate) mod support;
#[cfg(test)]
mod tests;
