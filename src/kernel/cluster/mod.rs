//! Owns what a node does about other nodes: when it tells that it lives, whom it takes for dead, which shards it takes and
//! gives away. It must not touch anything: no clock, socket, thread, SQL or log; nor decide about jobs, as the core does.
//!
//! `membership` is all of it: give it what was heard of the others and the time, and do what it says.

mod membership;

pub use membership::{Deed, Heard, Membership, NodeSeen, Seen};
