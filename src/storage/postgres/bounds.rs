//! Owns the bounds of a connection: how long anything may take, and how much of anything is taken.
//! It must not know what is sent over it.

use std::time::Duration;

/// The oldest version of PostgreSQL that will do.
pub const VERSION_MIN: u32 = 13;
/// How many hosts a URL may name.
pub const HOSTS_MAX: usize = 16;
/// How many addresses of a host are tried.
pub const ADDRESSES_MAX: usize = 8;
/// How long connecting to a host may take, unless its URL says otherwise.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long a URL may allow for that.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(300);
/// How long a connection rests before it asks again for room in the queue of a unix socket.
pub const CONNECT_REST: Duration = Duration::from_millis(10);
/// After how much silence a server is asked whether it is there, how often then, and how many times in vain.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(5);
/// See [`KEEPALIVE_IDLE`].
pub const KEEPALIVE_PROBES: u32 = 3;
/// How long what was sent may go unacknowledged before the connection counts as lost.
pub const UNHEARD_MAX: Duration = Duration::from_secs(20);
/// How much is read at once.
pub const READ_LEN: usize = 64 * 1024;
/// A message of a server that has not let us in yet.
pub const LOGIN_MESSAGE_LEN_MAX: usize = 32 * 1024;
/// A message of a server.
pub const MESSAGE_LEN_MAX: usize = 64 * 1024 * 1024;
/// The rows of a statement that are kept at once, in bytes; more are to be read one by one.
pub const ROWS_LEN_MAX: usize = 256 * 1024 * 1024;
/// What is sent before anything is answered, in bytes.
pub const PIPELINE_LEN_MAX: usize = 256 * 1024 * 1024;
/// How large a piece of a copy becomes before the next one begins.
pub const COPY_PIECE_LEN: usize = 32 * 1024;
/// How many statements a connection keeps prepared.
pub const STATEMENTS_MAX: usize = 256;
/// How many notifications wait to be read; more are counted only.
pub const NOTIFICATIONS_MAX: usize = 1_024;
/// How much of each text of an error is kept, in characters.
pub const TEXT_LEN_MAX: usize = 500;
/// What a file of passwords may have.
pub const PASSWORD_FILE_LEN_MAX: u64 = 64 * 1024;

const _: () = {
    assert!(LOGIN_MESSAGE_LEN_MAX < MESSAGE_LEN_MAX);
    assert!(MESSAGE_LEN_MAX <= ROWS_LEN_MAX, "one row must fit");
    assert!(ROWS_LEN_MAX < u32::MAX as usize, "places of fields have 32 bits");
    assert!(CONNECT_TIME.as_secs() <= CONNECT_TIME_MAX.as_secs());
};
