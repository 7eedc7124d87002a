//! Owns who may do what: what a token is and looks like, which there are, and how often somebody may be wrong.
//! It must not know a request, a table or a clock: it is given what it judges.
//!
//! `scope` (what may be done), `token` (the text that somebody shows, and what is kept of it), `tokens` (those that
//! there are), `guesses` (how often an address may show a wrong one), `who` (what came of it).

mod guesses;
mod scope;
mod token;
mod tokens;
mod who;

pub use guesses::Guesses;
pub use scope::Scope;
pub use token::{Digest, TokenText};
pub use tokens::{Token, TokenChange, TokenId, Tokens};
pub use who::Who;
