//! Nodes that share a PostgreSQL database, as clients see them while all is well: whichever is asked, the answer is that of
//! one server. `clients` ask about one thing at a time, `parts` are of requests that change many jobs, `views` show jobs that
//! are in no memory of who is asked.

mod clients;
mod parts;
#[path = "../support/mod.rs"]
mod support;
mod views;
