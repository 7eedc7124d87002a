//! Turns received bytes into HTTP/1.1 requests, and responses into bytes to send.
//! It must not know sockets, clocks, threads, routes or JSON: it is told everything and answers with values.
//!
//! In reading order:
//!
//! - `decode`: the decoder of one connection, from bytes to [`Request`]s;
//! - `head`, `target`, `framing`: the rules for a request head;
//! - `chunked`: the rules for a chunked body;
//! - `request`, `refusal`: what the decoder hands out;
//! - `response`, `status`: what the encoder takes in; `stream`: a body that comes in pieces;
//! - [`query`]: percent-decoding of query strings and path segments;
//! - `golden`, `fuzz`: tests of all of it, by a table of bytes and by chance.
//!
//! Architecture invariant: bytes from outside never panic here, and each of them is looked at a
//! bounded number of times. Memory held for a connection is bounded by [`Limits`].

mod chunked;
mod decode;
mod framing;
mod head;
pub mod query;
mod refusal;
mod request;
mod response;
mod status;
mod stream;
mod target;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;

pub use decode::{Decoded, Decoder, HEADERS_MAX_CEILING, Limits};
pub use refusal::Refusal;
pub use request::{Accepts, Credentials, Headers, Method, Proxied, RareHeaders, Request};
pub use response::{Body, CONTINUE, Response, encode, http_date};
pub use status::Status;
pub use stream::StreamFraming;
