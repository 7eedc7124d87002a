//! Owns every bound of the server, in one place; their `relations` are checked at compile time. Those of a
//! connection to PostgreSQL are its room's.
//! It must not hold what a user can set: that is `config`.

mod relations;

use std::time::Duration;

// --- The core ---

/// How far ahead of its instant an execution is armed. Half a second off the full second, so that writing
/// rows and firing do not meet; long enough for a disk that stalls for a second.
pub const ARM_LEAD_US: i64 = 1_500_000;
/// The same for a node among others: longer than it takes them to take over from one that died, so that what becomes due
/// meanwhile has rows.
pub const CLUSTER_LEAD_US: i64 = 4_500_000;
/// How far the clocks of nodes may be apart. What was due that long from now at a node that died may have been sent.
pub const SKEW_MAX: Duration = Duration::from_millis(500);
/// How often a node tells the store that it lives, if it has nothing else to write.
pub const BEAT_EVERY: Duration = Duration::from_millis(500);
/// How often it looks how the others are.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long it waits for the answer until it asks anew.
pub const LOOK_TIME_MAX: Duration = Duration::from_secs(1);
/// How far answers may be apart for what the others did not tell to count.
pub const LOOK_GAP_MAX: Duration = Duration::from_millis(750);
/// For how long a node trusts that its shards are its own, from when it sent what was acknowledged.
pub const TRUST_TIME: Duration = Duration::from_secs(2);
/// For how long a node has told nothing that others take for dead.
pub const REVOKE_AFTER: Duration = Duration::from_millis(2_500);
/// How many shards change hands at once where that is not urgent.
pub const SHARDS_AT_ONCE: usize = 8;
/// While so many rows wait for the disk, nothing more is armed: instants are missed, which is recorded, rather
/// than memory used up.
pub const UNWRITTEN_ARM_MAX: usize = 200_000;
/// While so many changes wait for the disk, further ones are refused.
pub const CHANGES_PENDING_MAX: usize = 65_536;
/// How many changes of one job may wait for each other.
pub const CHANGES_PER_JOB_MAX: usize = 64;
/// How deep the objects of a patch may nest: each level is read once for each above it.
pub const PATCH_DEPTH_MAX: usize = 64;
/// How deep a JSON body may nest: what reads it elsewhere has limits of its own, SQLite 1,000 and many others 128.
pub const JSON_DEPTH_MAX: usize = 100;
/// How many executions of one job may be asked for and not have ended. Each end looks through all of them.
pub const ASKED_PER_JOB_MAX: usize = 2 * BACKFILL_MAX;
/// How many executions of one target may wait: to be sent, or for a retry. Beyond, nothing is armed for it. Each takes
/// up about a quarter of a KiB.
pub const TARGET_BACKLOG_MAX: usize = 100_000;
/// How many executions there may be in all, of whatever state. Beyond, nothing is armed.
pub const EXECUTIONS_MAX: usize = 1_000_000;
/// How many characters a name, a tag or an owner of a job may have.
pub const LABEL_LEN_MAX: usize = 100;
/// How many tags a job may have.
pub const TAGS_MAX: usize = 20;
/// How long it is known what was answered under an idempotency key.
pub const KEY_KEPT: Duration = Duration::from_secs(86_400);
/// How many characters an idempotency key may have.
pub const KEY_LEN_MAX: usize = 255;
/// Tokens that count at once, and sessions that do.
pub const TOKENS_MAX: usize = 1_000;
/// How many characters the name of a token may have.
pub const TOKEN_NAME_LEN_MAX: usize = 100;
/// How often somebody may show a wrong token before that is refused more shortly.
pub const GUESSES_AT_ONCE_MAX: u32 = 60;
/// How long it takes until there may be one more.
pub const GUESS_EVERY: Duration = Duration::from_secs(1);
/// Addresses whose wrong tokens are counted.
pub const GUESSES_ADDRESSES_MAX: usize = 4_096;
/// How often it is looked whether tokens have changed on the disk: what another process did counts after that long.
pub const TOKENS_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How soon it is looked again if readers had too much to do.
pub const TOKENS_LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Sessions that began with one token and count at once; the oldest makes room.
pub const SESSIONS_OF_TOKEN_MAX: usize = 20;
/// Changes of tokens that wait for the disk.
pub const TOKEN_CHANGES_PENDING_MAX: usize = 256;
/// How often at most it is written that a token was used.
pub const TOKEN_USED_EVERY: Duration = Duration::from_secs(60);
/// How long a session of a browser lasts.
pub const SESSION_TIME: Duration = Duration::from_secs(12 * 3_600);
/// How long what changed may be in a page of the audit log before it ends, in bytes.
pub const AUDIT_PAGE_LEN_MAX: usize = 1024 * 1024;
/// How long a value may be that is told in the audit log, in bytes of JSON; of a longer one its length is told.
pub const AUDIT_VALUE_LEN_MAX: usize = 512;
/// Of how many jobs the audit log names those of a batch; of others it tells how many.
pub const AUDIT_BATCH_IDS_MAX: usize = 100;
/// The part of the database that the audit log may take up.
pub const AUDIT_SHARE_PER_CENT: u64 = 10;
/// How many rows the audit log may have.
pub const AUDIT_ROWS_MAX: u64 = 1_000_000;
/// Lines of a batch or an import.
pub const BATCH_ITEMS_MAX: usize = 10_000;
/// A batch or an import, in bytes.
pub const BATCH_BODY_LEN_MAX: usize = 8 * 1024 * 1024;
/// A line of it, in bytes: a job with the largest body that a job may have, with room around it.
pub const BATCH_LINE_LEN_MAX: usize = 160 * 1024;
/// Batches and imports that are there and not answered. Only one of them is worked on.
pub const BATCHES_MAX: usize = 4;
/// How long a batch waits for what other nodes have of it.
pub const PARTS_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a batch is read, or accepted, in one turn.
pub const BATCH_TIME_PER_TURN: Duration = Duration::from_micros(500);
/// Results of a batch that are printed in one turn.
pub const BATCH_PRINTED_AT_ONCE: usize = 500;
/// Bytes of a batch that are hashed and split into lines in one turn.
pub const BATCH_SPLIT_AT_ONCE: usize = 128 * 1024;
/// What the answer to a batch says of what is wrong with its lines, in bytes.
pub const BATCH_PROBLEMS_LEN_MAX: usize = 512 * 1024;
/// What the answer to a batch says of what differs, in bytes. Of what comes behind that it says only which members.
pub const BATCH_TOLD_LEN_MAX: usize = 2 * 1024 * 1024;
/// Changes that were written together of which the core hears in one turn.
pub const SETTLED_AT_ONCE_MAX: u64 = 64;
/// How many jobs are looked at in a turn for a page of them.
pub const LISTING_LOOKS_MAX: usize = 2_000;
/// How many targets are looked at in a turn for those that matter most. Each costs more than a job: they are met by name.
pub const RANKING_LOOKS_MAX: usize = 1_000;
/// How many jobs are looked at to tell what is due in the next hour. Of more, so many are evenly spread over all.
pub const FORECAST_JOBS_MAX: usize = 10_000;
/// How many steps that takes at most: an instant that a schedule has is one.
pub const FORECAST_STEPS_MAX: usize = 400_000;
/// How many of them are taken in a turn.
pub const FORECAST_STEPS_PER_TURN: usize = 1_000;
/// How many seconds are told in which most jobs are due together.
pub const FORECAST_PEAKS_MAX: usize = 10;
/// How many characters a note may have.
pub const NOTE_LEN_MAX: usize = 500;
/// How many instants of the past a client may ask for at once.
pub const BACKFILL_MAX: usize = 1_000;
/// How many clients may wait for an execution to end.
pub const RUN_WAITERS_MAX: usize = 128;
/// How long a client waits for an execution to end.
pub const RUN_WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a job that is stalled at an overloaded target is left alone before what it missed is recorded.
pub const OVERLOAD_PAUSE_S: i64 = 10;
/// How many instants of stalled jobs are armed at once for a target that nothing waits for.
pub const STALLED_AT_ONCE: i64 = 1_000;
/// How often overload is told, while it lasts, in microseconds.
pub const OVERLOAD_NOTICE_US: u64 = 1_000_000;
/// The share of what may be in flight that one target may hold, in per cent.
pub const TARGET_SHARE_PER_CENT: u32 = 50;
/// The share that one failing target may hold, in per cent.
pub const FAILING_TARGET_SHARE_PER_CENT: u32 = 10;
/// The share that all failing targets together may hold, in per cent.
pub const FAILING_SHARE_PER_CENT: u32 = 50;
/// The share that is kept for targets that hold few in flight, in per cent.
pub const RESERVE_PER_CENT: u32 = 10;
/// How much is few, in per cent of what may be in flight.
pub const FEW_PER_CENT: u32 = 1;
/// The share that recovered and catch-up executions together may hold, in per cent.
pub const RECOVERY_SHARE_PER_CENT: u32 = 25;
/// After so many timeouts or connection errors in a row a target counts as failing.
pub const FAILING_AFTER: u32 = 3;
/// How many missed instants are counted exactly.
pub const MISSED_COUNT_MAX: u32 = 1_000;
/// How many missed instants the policy `all` runs for one gap.
pub const MISFIRE_ALL_MAX: u32 = 100;
/// Compiled schedules that are kept for the next job that has one of them.
pub const SCHEDULES_REMEMBERED_MAX: usize = 256;
/// Executions whose instant has come that are taken up, and handed to workers, at once: they begin with these, while the
/// others are taken up.
pub const DUE_PER_TICK: usize = 128;
/// How much schedule walking arming does in one turn of the loop, in next-instant steps.
pub const ARM_STEPS_PER_TURN: u32 = 20_000;
/// How long the name of a concurrency key may be, in characters.
pub const CONCURRENCY_KEY_LEN_MAX: usize = 128;
/// The longest wait that a target may ask for by `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(86_400);
/// Attempts of one execution before the last that are told of; of more, the latest.
pub const ATTEMPTS_TOLD_MAX: usize = 20;
/// How long a stored error message may be.
pub const ERROR_LEN_MAX: usize = 300;

// --- Schedules ---

/// The text of a schedule, in bytes.
pub const SCHEDULE_LEN_MAX: usize = 1_024;
/// Named calendars of dates.
pub const CALENDARS_MAX: usize = 1_000;
/// Dates in one calendar.
pub const CALENDAR_DATES_MAX: usize = 4_000;
/// The name of a calendar, in bytes.
pub const CALENDAR_NAME_LEN_MAX: usize = 64;
/// Dates that one job leaves out by itself.
pub const OWN_DATES_MAX: usize = 400;
/// Calendars that one job follows.
pub const JOB_CALENDARS_MAX: usize = 8;
/// How far a schedule's instants may be moved to spread a herd, in seconds.
pub const SPREAD_MAX_S: u32 = 86_400;
/// How far from the request `runAfterMs` may lead.
pub const RUN_AFTER_MAX: Duration = Duration::from_secs(366 * 86_400);
/// A seed of a schedule lies below this: what every JSON number can hold.
pub const SEED_END: u64 = 1 << 53;

/// Instants that a preview shows.
pub const PREVIEW_INSTANTS_MAX: usize = 1_000;
/// Excluded dates that a preview looks at, from the first on, to tell on which of them something would have been due.
pub const PREVIEW_DATES_MAX: usize = 1_000;
/// Jobs that are looked at to tell how many are due at the same second as a schedule that somebody asks about. Each may
/// cost half a microsecond, and together they must not keep the loop from what is due.
pub const HERD_LOOKS_MAX: usize = 1_024;
/// The same for the answer to a change, of which there are many.
pub const HERD_LOOKS_OF_CHANGE: usize = 128;
/// From so many other jobs on it is told.
pub const HERD_JOBS_MIN: usize = 100;

// --- The API ---

/// How long a URL may be.
pub const URL_LEN_MAX: usize = 2_048;
/// The head of a request, in bytes.
pub const HEAD_LEN_MAX: usize = 8 * 1024;
/// The number of headers of a request.
pub const HEADERS_MAX: usize = 64;
/// The body of a request, in bytes.
pub const BODY_LEN_MAX: usize = 64 * 1024;
/// Connections of clients that are open at once.
pub const CONNECTIONS_MAX: usize = 1_024;
/// Clients that send a body above [`BODY_LEN_MAX`] at once.
pub const LARGE_BODIES_MAX: usize = 4;
/// Addresses and unix sockets that the API listens on.
pub const LISTENERS_MAX: usize = 8;
/// Clients that are connected and not accepted yet.
pub const CLIENTS_QUEUED_MAX: i32 = 1_024;
/// How long a client may take to send one request.
pub const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// Connections that clients of one address may have, of IPv6 one network of 64 bits.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;
/// Connections accepted in one turn of the loop.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
/// Connections looked at in one turn of the loop because a time limit of theirs was reached.
pub const EXPIRIES_PER_TURN_MAX: usize = 64;
/// How long requests are answered in one turn of the loop, all clients together. After each it is looked whether
/// something is due, so one answer is what a client can delay it by.
pub const CLIENT_TIME_PER_TURN: Duration = Duration::from_millis(1);
/// Requests of one connection answered before it is the turn of the others.
pub const REQUESTS_AT_ONCE_MAX: usize = 32;
/// Changes that clients wait for at once; beyond, they are refused. When the disk stalls, and each of them holds its
/// connection, there are others left for health and for reading.
pub const CLIENT_CHANGES_PENDING_MAX: usize = 512;
/// How long a client waits for the core or a reader until it is told that nothing is known yet.
pub const REPLY_TIME_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take that its client has left alone, by sending that nothing more will come.
pub const LEFT_TIME_MAX: Duration = Duration::from_secs(1);
/// When there is no room for another client, one that has been behind for so long is closed for it.
pub const BEHIND_MIN: Duration = Duration::from_secs(5);
/// But not if it takes so many bytes a second.
pub const BEHIND_PACE_MIN: u64 = 64 * 1024;
/// How many bytes a second a client must read while there is something for it.
pub const ANSWER_PACE_MIN: usize = 1024;
/// The time over which that is measured. Systems pass large amounts on at once, and nothing in between.
pub const ANSWER_PACE_WINDOW: Duration = Duration::from_secs(30);
/// How long a kept-alive connection may rest between requests.
pub const IDLE_TIME_MAX: Duration = Duration::from_secs(75);
/// Bytes read from one connection before it is the turn of the others.
pub const READ_AT_ONCE_MAX: usize = 64 * 1024;
/// Unsent answer bytes of one connection above which no further request of it is taken up.
pub const UNSENT_MAX: usize = 256 * 1024;
/// Answers to requests that came together are sent together, up to so many bytes.
pub const GATHERED_MAX: usize = 16 * 1024;
/// Unsent answer bytes of all connections above which only one that has none is given an answer.
pub const OUTPUT_MAX: usize = 32 * 1024 * 1024;
/// Items on one page.
pub const PAGE_MAX: u32 = 1_000;
/// Jobs that may have metrics of their own in one text: each has a handful of lines.
pub const METRICS_JOBS_MAX: usize = 100;
/// Jobs whose last executions may be asked for at once.
pub const STRIPS_MAX: usize = 50;
/// Executions of each of them.
pub const STRIP_LEN_MAX: u32 = 100;
/// Jobs in one piece of a page. A page with more is streamed: made at once, it would keep the loop from what is due.
pub const PIECE_JOBS_MAX: usize = 100;
/// Bytes of a piece from which on no further job is added to it.
pub const PIECE_LEN_MAX: usize = 64 * 1024;
/// How long the definitions of jobs on a page from the database may be together before the page ends, in bytes.
pub const SHOWN_JOBS_LEN_MAX: usize = 4 * 1024 * 1024;
/// Pieces of streamed answers made in one turn of the loop, for all clients together.
pub const PIECES_PER_TURN_MAX: u32 = 1;
/// So many attempts fired at once are a burst: the cores belong to it for a while.
pub const BURST_MIN: usize = 100;
/// How long no further piece of a streamed answer is made behind a burst, and memory is not looked through for a page.
pub const REST_TIME: Duration = Duration::from_millis(30);
/// How long at least they go on between two such rests.
pub const REST_GAP: Duration = Duration::from_millis(100);
/// Unsent bytes of a streamed answer above which no further piece of it is made.
pub const STREAM_UNSENT_MAX: usize = 64 * 1024;

// --- TLS of the API ---

/// Handshakes under way at once; beyond, the oldest one makes room.
pub const TLS_HANDSHAKES_MAX: usize = 512;
/// Connections over TLS: as many as the loop has, so that it is the loop that decides who makes room, and those that are
/// not or no longer with it.
pub const TLS_CONNECTIONS_MAX: usize = CONNECTIONS_MAX + EVENT_CLIENTS_MAX + TLS_HANDSHAKES_MAX;
/// Open files of each beside that of the loop: the client's, and the other end of a pair.
pub const FILES_PER_TLS_CONNECTION: u64 = 2;
/// The share of the files that are not reserved which TLS may take, in per cent. Where few may be open, POSTs come first.
pub const FILES_TLS_PER_CENT: u64 = 25;
/// How long a handshake may take.
pub const TLS_HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes on their way between the loop and the thread that encrypts, of one connection in one direction.
pub const TLS_PAIR_LEN: usize = 64 * 1024;
/// Bytes of one connection that are encrypted and decrypted before it is the turn of the others.
pub const TLS_AT_ONCE_MAX: usize = 64 * 1024;
/// Unsent encrypted bytes above which nothing more is read from a client.
pub const TLS_UNSENT_MAX: usize = 64 * 1024;
/// How long nobody is accepted once the system has no file for another client.
pub const TLS_ACCEPT_REST: Duration = Duration::from_millis(100);
/// How long a stop waits until clients have read what is left for them.
pub const TLS_END_TIME_MAX: Duration = Duration::from_secs(1);

// --- The machine ---

/// How often it is looked what the server takes of its machine.
pub const USAGE_LOOK_EVERY: Duration = Duration::from_secs(5);

// --- Events ---

/// Clients that listen to events at once, beside [`CONNECTIONS_MAX`].
pub const EVENT_CLIENTS_MAX: usize = 64;
/// Events that are kept for clients that are behind, or come back.
pub const EVENTS_KEPT_MAX: usize = 4_096;
/// The bytes of their texts.
pub const EVENTS_KEPT_LEN_MAX: usize = 2 * 1024 * 1024;
/// How long events are kept for clients that come back, once nobody listens.
pub const EVENTS_KEPT_TIME: Duration = Duration::from_secs(60);
/// Events in one second. Beyond, some are left out.
pub const EVENTS_PER_SECOND_MAX: u32 = 1_000;
/// Of these, so many for all but changes of jobs and of targets.
pub const EVENTS_PER_SECOND_OF_EXECUTIONS: u32 = 900;
/// Of these, so many for all but what failed.
pub const EVENTS_PER_SECOND_OF_SUCCESSES: u32 = 700;
/// Of these, so many for what was only sent. Half, so that as many can be told how they ended.
pub const EVENTS_PER_SECOND_OF_FIRES: u32 = 350;
/// Events that wait for what they tell of to be on disk. Beyond, they are left out.
pub const EVENTS_UNWRITTEN_MAX: usize = 4_096;
/// How long events are gathered before they are told: each time costs a write for each client, and right behind an
/// instant the cores belong to the burst.
pub const EVENT_WAIT_MAX: Duration = Duration::from_millis(100);
/// Events made into text between two looks at the clock.
pub const EVENTS_AT_ONCE: usize = 16;
/// How long a stream of events is silent before a comment says that it goes on.
pub const EVENT_SILENCE_MAX: Duration = Duration::from_secs(15);
/// How long a client that lost a stream of events waits before it comes back.
pub const EVENT_RETRY_WAIT: Duration = Duration::from_secs(2);

// --- Channels ---

/// Worker reports taken up in one turn of the loop.
pub const REPORTS_PER_TURN_MAX: usize = 4_096;
/// Rows and changes in one transaction.
pub const BATCH_LEN_MAX: usize = 8_192;
/// Batches handed to the writer that it has not answered.
pub const BATCHES_PENDING_MAX: usize = 2;
/// How long outcomes that nobody waits for are gathered before they are written. A crash within that time repeats their
/// POSTs.
pub const OUTCOME_WAIT_MAX: Duration = Duration::from_millis(100);
/// Reads of history that wait for a reader.
pub const READS_PENDING_MAX: usize = 256;
/// Log lines that wait for the log thread; beyond, they are dropped and counted.
pub const LOG_LINES_PENDING_MAX: usize = 2_048;

// --- Dispatch ---

/// How long a connection to a target may take until it can carry a request.
pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// The head of an answer of a target, interim answers included, in bytes.
pub const ANSWER_HEAD_LEN_MAX: usize = 32 * 1024;
/// How much of an answer's body is read, framing included, for the sake of using the connection again. Beyond, it is
/// closed; the status counts in any case.
pub const ANSWER_BODY_LEN_MAX: usize = 64 * 1024;
/// How long the rest of an answer is read after its head, for the same reason.
pub const ANSWER_DRAIN_TIME_MAX: Duration = Duration::from_secs(1);
/// Connections of one worker on which the rest of an answer is read. Beyond, the oldest one is closed.
pub const DRAINING_MAX: usize = 256;
/// Bytes that chunked framing may leave undecided, which is a size line or a trailer.
pub const ANSWER_FRAMING_LEN_MAX: usize = 4 * 1024;
/// Bytes read from one connection at once, into a buffer that a worker's connections share.
pub const ANSWER_READ_LEN: usize = 32 * 1024;
/// Headers that a job sends beside those of every request.
pub const TARGET_HEADERS_MAX: usize = 50;
/// The bytes of their names and values.
pub const TARGET_HEADERS_LEN_MAX: usize = 8 * 1024;
/// The body that a job sends, in bytes, as it was written.
pub const TARGET_BODY_LEN_MAX: usize = 64 * 1024;
/// One secret of a job, in bytes.
pub const SECRET_LEN_MAX: usize = 4 * 1024;
/// The longest time limit that a job may have of its own.
pub const TARGET_TIME_MAX: Duration = Duration::from_secs(3_600);
/// What is kept of the body of an answer that is no success, in bytes.
pub const RESPONSE_LEN_MAX: usize = 1_024;
/// The same of the answer to a trial, which is shown and not kept.
pub const TRIAL_RESPONSE_LEN_MAX: usize = 16 * 1_024;
/// How many trials may be under way at once.
pub const TRIALS_MAX: usize = 16;
/// Attempts a worker takes up before it looks at its sockets again.
pub const ATTEMPTS_PER_TURN_MAX: usize = 128;
/// Socket events a worker takes up before it looks at its channel again.
pub const EVENTS_PER_TURN_MAX: usize = 256;
/// Reports that a worker holds back while a burst drains; with so many it gives them back.
pub const REPORTS_TOGETHER: usize = 1_024;
/// How long a worker holds reports back while a burst drains.
pub const REPORT_WAIT_MAX: Duration = Duration::from_millis(5);
/// Connections that a worker opens in one turn, of targets that answer; and of silent ones, if it has nothing else to do.
pub const OPENINGS_PER_TURN: u32 = 16;
/// Connections to silent targets that a worker opens in a turn in which it had something else to do.
pub const OPENINGS_PER_BUSY_TURN: u32 = 1;
/// Attempts that a worker gives up in one turn because their time is over.
pub const EXPIRIES_PER_TURN: usize = 16;
/// The same in a turn in which it had something else to do.
pub const EXPIRIES_PER_BUSY_TURN: usize = 2;
/// Connections that a worker opens to one target without asking whether they are needed.
pub const CONNECTIONS_FREE: u32 = 64;
/// Beyond [`CONNECTIONS_FREE`] so many connections of one target must be ready for each that is being opened.
pub const CONNECTING_SHARE: u32 = 4;
/// Within this time the attempts that wait for one target should all be sent; as many connections are opened as
/// that takes at the target's pace.
pub const DRAIN_TIME: Duration = Duration::from_millis(50);
/// How long a target that answered before may be silent until it counts as slow.
pub const SILENCE_GRACE: Duration = Duration::from_millis(50);
/// How often it is asked again whether a target needs more connections.
pub const GROWTH_TICK: Duration = Duration::from_millis(10);
/// How long a kept-alive connection to a target may rest.
pub const IDLE_CONNECTION_TIME_MAX: Duration = Duration::from_secs(20);
/// Kept-alive connections of one worker to one target. Many, as each that is closed and opened again every second
/// holds 60 local ports.
pub const IDLE_PER_TARGET_MAX: usize = 4_096;
/// Kept-alive connections over all targets and workers. Each costs memory here and at its target.
pub const IDLE_CONNECTIONS_MAX: u32 = 16_384;
/// How old a connection may become, so that targets that moved are found again.
pub const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);
/// How long a resolved name is believed without asking again.
pub const NAME_FRESH_TIME: Duration = Duration::from_secs(15);
/// How long its addresses serve on while it is looked up anew, or cannot be.
pub const NAME_TIME_MAX: Duration = Duration::from_secs(300);
/// How long it is believed at first that a name could not be resolved; twice as long each time it fails again.
pub const NAME_FAILED_TIME_MIN: Duration = Duration::from_secs(1);
/// How long it is believed at most.
pub const NAME_FAILED_TIME_MAX: Duration = Duration::from_secs(30);
/// A name whose last lookup took this long waits behind others of its kind only.
pub const NAME_SLOW_MIN: Duration = Duration::from_secs(1);
/// Names remembered at once.
pub const NAMES_MAX: usize = 10_000;
/// Lookups of either kind that wait for a resolver thread; beyond, they fail.
pub const LOOKUPS_PENDING_MAX: usize = 4_096;
/// Lookups made at once, of names that are new or were quick; threads are started as they are needed.
pub const RESOLVER_THREADS_MAX: usize = 32;
/// Lookups made at once of names that took long the last time.
pub const RESOLVER_SLOW_THREADS_MAX: usize = 8;
/// How long a resolver thread rests before it ends, if it is not the last one.
pub const RESOLVER_IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// How long it is until root certificates are read again of which some could not be.
pub const ROOTS_RETRY_WAIT: Duration = Duration::from_secs(60);
/// Addresses of one name that are tried.
pub const ADDRESSES_MAX: usize = 16;
/// How long one address of a name is tried alone before the next one joins in.
pub const ADDRESS_HEAD_START: Duration = Duration::from_millis(250);
/// Batches of attempts that one worker has not taken. Beyond, they become one batch: room for as many as may be in
/// flight would cost a megabyte up front.
pub const ATTEMPT_BATCHES_PENDING_MAX: usize = 256;
/// Batches of reports, of all workers together, that the loop has not taken. Beyond, a worker keeps its reports.
pub const REPORT_BATCHES_PENDING_MAX: usize = 256;

// --- The store ---

/// How long one read of history may take.
pub const READ_TIME_MAX: Duration = Duration::from_secs(2);
/// Finished rows that one slice of the fold moves. With many jobs a slice touches a page for each second it spans, in
/// the ledger and in the time index, however few rows it has: larger ones write less, and take longer.
pub const FOLD_SLICE_ROWS: u32 = 4_000;
/// How long finished rows rest in the ledger before they are folded.
pub const FOLD_EVERY: Duration = Duration::from_secs(60);
/// Rows that one slice of retention deletes at most. With [`RETENTION_PACE`] it followed 40,000
/// new rows a second.
pub const RETENTION_SLICE_ROWS: u32 = 1_000;
/// Jobs that one slice of retention looks at.
pub const RETENTION_SLICE_JOBS: u32 = 200;
/// The rest between two sweeps of retention.
pub const RETENTION_EVERY: Duration = Duration::from_secs(600);
/// How often it is looked whether the database is larger than it may be.
pub const RETENTION_LOOK_EVERY: Duration = Duration::from_secs(10);
/// The rest between the end of a slice of a sweep and the next.
pub const RETENTION_PACE: Duration = Duration::from_millis(10);
/// How long a slice of the fold or of retention may take before it ends where it is.
pub const FOLD_SLICE_TIME: Duration = Duration::from_millis(20);
/// The same for retention, which more often waits for the disk.
pub const RETENTION_SLICE_TIME: Duration = Duration::from_millis(10);
/// How often deleted jobs that no row needs are looked for.
pub const TOMBSTONES_EVERY: Duration = Duration::from_secs(60);
/// So many finished rows found at a start are folded at once: a process that ends again and again would never fold.
pub const FOLD_EARLY_ROWS: usize = 100_000;
/// The rest of a chore that failed before it is tried again; it doubles up to the longest.
pub const CHORE_REST: Duration = Duration::from_secs(1);
/// The longest rest of a chore that fails.
pub const CHORE_REST_MAX: Duration = Duration::from_secs(600);
/// Alerts that are kept, whatever their age.
pub const ALERTS_KEPT_MAX: u64 = 100_000;
/// The share of the database that alerts may take up, in per cent.
pub const ALERTS_SHARE_PER_CENT: u64 = 10;
/// What is kept of one job's executions of an hour or a day, in bytes.
pub const SERIES_JOB_LEN_MAX: usize = 64;
/// What is kept of all jobs' executions of an hour or a day, in bytes.
pub const SERIES_ALL_LEN_MAX: usize = 512;
/// How long series are kept by hour, at least; they become days a day at a time.
pub const SERIES_HOURS_KEPT: Duration = Duration::from_secs(7 * 86_400);
/// How long series are kept by day.
pub const SERIES_DAYS_KEPT: Duration = Duration::from_secs(400 * 86_400);
/// How often it is looked whether hours are to become days.
pub const SERIES_LOOK_EVERY: Duration = Duration::from_secs(600);
/// Hours that become days, or days that are deleted, in one slice.
pub const SERIES_SLICE_ROWS: u32 = 500;
/// How long such a slice may take before it ends where it is.
pub const SERIES_SLICE_TIME: Duration = Duration::from_millis(10);
/// The rest between the end of such a slice and the next.
pub const SERIES_PACE: Duration = Duration::from_millis(20);
/// Steps of a series that are told at once. A longer stretch of time has longer steps.
pub const SERIES_POINTS_MAX: usize = 1_000;
/// Executions that are not folded yet which one read of the series of all jobs looks at.
pub const SERIES_UNFOLDED_MAX: usize = 100_000;
/// How often the checkpointer looks at the write-ahead log.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// How often the checkpointer goes on at once if more was written while it copied.
pub const CHECKPOINT_ROUNDS: u32 = 4;
/// The size of the write-ahead log from which it is worth a checkpoint, in bytes.
pub const CHECKPOINT_WAL_MIN: u64 = 4 * 1024 * 1024;
/// The size of the write-ahead log above which the writer truncates it itself, in bytes.
pub const WAL_LEN_MAX: u64 = 48 * 1024 * 1024;
/// How long it lets that be after it could not.
pub const WAL_TRUNCATE_EVERY: Duration = Duration::from_secs(1);
/// The wait between two tries of a batch that failed.
pub const WRITE_RETRY_WAIT: Duration = Duration::from_millis(250);

/// How long a batch may go unanswered before health says so.
pub const STORE_STALL_MAX: Duration = Duration::from_secs(5);

// --- Backups ---

/// Pages that are copied at once, for a fraction of a millisecond.
pub const BACKUP_SLICE_PAGES: i32 = 64;
/// How long a copy goes on before it rests for as long.
pub const BACKUP_SLICE_TIME: Duration = Duration::from_millis(4);
/// How long it rests at most.
pub const BACKUP_REST_MAX: Duration = Duration::from_secs(1);
/// How long before a full second a copy rests, in microseconds.
pub const BACKUP_QUIET_AHEAD_US: i64 = 20_000;
/// The same for what keeps the disk busy for longer, at most: else nothing would ever be done on a slow one.
pub const BACKUP_AHEAD_MAX_US: i64 = 400_000;
/// How long after a full second it does, in microseconds: what is due then goes out meanwhile.
pub const BACKUP_QUIET_AFTER_US: i64 = 100_000;
/// Bytes of a copy that may wait to be put on disk. More would hold up the next commit, which waits for them, too.
pub const BACKUP_SYNC_LEN: u64 = 1024 * 1024;
/// The size of the write-ahead log from which a copy does not rest any more, in bytes.
pub const BACKUP_WAL_HURRY: u64 = 128 * 1024 * 1024;
/// The size of the write-ahead log above which a backup is given up, in bytes.
pub const BACKUP_WAL_MAX: u64 = 1024 * 1024 * 1024;
/// What a copy leaves of its disk, in bytes: a server may be writing to the same one.
pub const BACKUP_ROOM_MIN: u64 = 64 * 1024 * 1024;
/// How long after a start the server makes a backup at the earliest: a start has better things to do.
pub const BACKUP_START_WAIT: Duration = Duration::from_secs(10);
/// How long after one that failed it is tried again.
pub const BACKUP_RETRY_WAIT: Duration = Duration::from_secs(60);
/// How often the server looks whether a backup is due.
pub const BACKUP_LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows of one kind that are wrong and counted.
pub const FINDINGS_MAX: u32 = 1_000;
/// Rows of one kind that are wrong and named.
pub const FINDINGS_NAMED_MAX: usize = 3;
/// How long it is worked out what a start would do, in time that passes there.
pub const PROSPECT_TIME_MAX: Duration = Duration::from_secs(60);

// --- The loop ---

/// A turn lasts no longer than this, so that clocks are compared often enough to tell a step from a slew.
pub const TURN_MAX: Duration = Duration::from_secs(5);
/// How long before an instant the loop is awake, in microseconds. On an idle virtual machine a timer wakes a thread
/// 70-120 us late; looking at the clock for that long costs 0.02 % of a core while something is due every second.
pub const WAKE_AHEAD_US: i64 = 200;
/// Wall and monotonic time that move apart by more than this in one turn are a step, in microseconds.
pub const CLOCK_STEP_MIN_US: i64 = 500_000;
/// How long a stop, once everything is done, waits for clients to take the answers that are there.
pub const LAST_ANSWERS_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a stop waits for the requests of clients that are connected already, where another process goes on.
pub const LAST_REQUESTS_TIME_MAX: Duration = Duration::from_millis(200);
/// How long the rest of a refused request is read and thrown away, so that the client gets to see the answer.
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a stop waits for the writer to end once everything is on disk. What it then still does is housekeeping.
pub const WRITER_END_TIME_MAX: Duration = Duration::from_secs(5);
/// How often at most whoever started the server hears how things stand.
pub const SUPERVISOR_STATUS_EVERY: Duration = Duration::from_secs(10);
/// How soon it is told again what its queue did not take.
pub const SUPERVISOR_RETRY_WAIT: Duration = Duration::from_millis(50);
/// How often a stop looks whether the writer has ended, or a second signal has come.
pub const WRITER_END_LOOK_EVERY: Duration = Duration::from_millis(10);
/// Open files that are not connections to targets: clients, database, log, and up to four for each lookup under way.
pub const FILES_RESERVED: u64 =
    (CONNECTIONS_MAX + EVENT_CLIENTS_MAX) as u64 + 256 + 4 * (RESOLVER_THREADS_MAX + RESOLVER_SLOW_THREADS_MAX) as u64;
/// The share of the other files that POSTs in flight may take, in per cent. Connections that rest get what is left.
pub const FILES_IN_FLIGHT_PER_CENT: u64 = 75;
/// How long a configuration file may be, in bytes: many times all that can be set.
pub const CONFIG_FILE_LEN_MAX: u64 = 1 << 20;
/// Threads that read history.
pub const READERS: usize = 2;
/// Sessions that a node has on PostgreSQL at most: readers, and one each to write, to keep house, to look for the other nodes, to
/// hear them, and to read what it takes over.
pub const NODE_SESSIONS: usize = READERS + 5;

// --- What `punctual doctor` holds against what it finds ---

/// How long a program, a lookup or whoever listens somewhere has to answer.
pub const DOCTOR_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long syncs are tried, and how many: whichever comes first, but a few in any case.
pub const DOCTOR_SYNC_TIME: Duration = Duration::from_secs(2);
/// See [`DOCTOR_SYNC_TIME`].
pub const DOCTOR_SYNCS_MAX: usize = 200;
/// See [`DOCTOR_SYNC_TIME`].
pub const DOCTOR_SYNCS_MIN: usize = 5;
/// A sync or a commit that takes longer than this, by the median, makes changes slow.
pub const DISK_SYNC_GOOD: Duration = Duration::from_millis(50);
/// A sync that takes longer than this makes executions late: their rows are not there in time.
pub const DISK_SYNC_MAX: Duration = Duration::from_millis(1_500);
/// With less than this left on the disk, in bytes, it is as good as full: the write-ahead log alone may take as much.
pub const DISK_FREE_MIN: u64 = 64 << 20;
/// With less than this left on the disk, in bytes, somebody is told.
pub const DISK_LOW: u64 = 4 * DISK_FREE_MIN;
/// From this on all is well again.
pub const DISK_LOW_OVER: u64 = 2 * DISK_LOW;
/// How long the store must be in trouble before somebody is told.
pub const STORE_TROUBLE_MIN: Duration = Duration::from_secs(3);
/// A clock that is further off than this shows in what targets see.
pub const CLOCK_OFFSET_MAX: Duration = Duration::from_millis(100);
/// A lookup that takes longer than this shows in the first execution for a target.
pub const RESOLVER_TIME_GOOD: Duration = Duration::from_millis(500);
/// A certificate that ends within this is told of.
pub const CERTIFICATE_END_NEAR: Duration = Duration::from_secs(21 * 86_400);
/// Memory of a server with little to do, in bytes: twice what was measured.
pub const MEMORY_AT_REST: u64 = 24 << 20;
/// Memory that a POST in flight takes with its connection, in bytes: 10,000 of them were measured at 29 MiB.
pub const MEMORY_PER_IN_FLIGHT: u64 = 4 << 10;

const _: () = assert!(DISK_SYNC_MAX.as_micros() == ARM_LEAD_US as u128, "rows are armed as long before their instant");

// --- Alerts ---

/// Alerts that wait to be delivered to the plain webhook, and messages that wait for each channel; beyond, they are given
/// up, and the store alone has them.
pub const ALERTS_PENDING_MAX: usize = 10_000;
/// How long an alert is tried.
pub const ALERT_AGE_MAX: Duration = Duration::from_secs(24 * 3600);
/// How long one delivery of an alert may take.
pub const ALERT_TIMEOUT: Duration = Duration::from_secs(5);
/// Deliveries of the plain webhook under way at once, on top of what may be in flight of executions.
pub const ALERTS_IN_FLIGHT_MAX: u32 = 1;

// --- Incidents, silences, channels ---

/// Failures in a row that a policy may ask for.
pub const FAILURES_MAX: u64 = 1_000_000;
/// The longest period of a policy.
pub const PERIOD_MAX: Duration = Duration::from_secs(366 * 86_400);
/// An open incident is told no more often than this.
pub const REMIND_MIN: Duration = Duration::from_secs(60);
/// Open incidents; beyond, what goes wrong stands in history and in the log only.
pub const INCIDENTS_OPEN_MAX: usize = 100_000;
/// How many of them are looked at in a turn, to be told or told again.
pub const INCIDENTS_PER_TURN: usize = 500;
/// How many jobs are looked at in a turn after a policy has changed that may be theirs.
pub const RECONSIDERED_PER_TURN: usize = 1_000;
/// Closed incidents that are kept, whatever their age.
pub const INCIDENTS_KEPT_MAX: u64 = 100_000;
/// Messages of an incident that are shown with it: the newest, each once for each of its channels.
pub const INCIDENT_MESSAGES_SHOWN_MAX: usize = 1_000;
/// Channels. Each has one delivery under way at most, on top of what may be in flight of executions.
pub const CHANNELS_MAX: usize = 32;
/// Channels of e-mail among them: each has a thread of its own while it has something to send.
pub const MAIL_CHANNELS_MAX: usize = 8;
/// How long a letter may take until a mail server has taken it, the lookup of the server's name included.
pub const MAIL_TIMEOUT: Duration = Duration::from_secs(30);
/// Threads that send letters: one for each channel of e-mail, and for tests of them. What comes beyond waits.
pub const MAIL_THREADS_MAX: usize = MAIL_CHANNELS_MAX + CHANNEL_TESTS_MAX;
/// Addresses that a channel of e-mail writes to.
pub const MAIL_ADDRESSES_MAX: usize = 10;
/// How long an address may be, in bytes (RFC 5321, section 4.5.3.1.3).
pub const MAIL_ADDRESS_LEN_MAX: usize = 254;
/// How long the name may be that a mail server is told, in bytes.
pub const MAIL_USERNAME_LEN_MAX: usize = 255;
/// How long a line of a mail server's reply may be, in bytes; four times of what it may by RFC 5321, section 4.5.3.1.5.
pub const MAIL_LINE_LEN_MAX: usize = 2_048;
/// Lines that a reply of a mail server may have.
pub const MAIL_REPLY_LINES_MAX: usize = 100;
/// Tests of channels under way at once, on top of what may be in flight of executions.
pub const CHANNEL_TESTS_MAX: usize = 4;
/// What workers send for channels at once, on top of what may be in flight of executions.
#[allow(clippy::cast_possible_truncation, reason = "both are small")]
pub const CHANNEL_PARCELS_MAX: u32 = (CHANNELS_MAX + CHANNEL_TESTS_MAX) as u32;
/// How long the name of a channel may be.
pub const CHANNEL_NAME_LEN_MAX: usize = 64;
/// Silences.
pub const SILENCES_MAX: usize = 1_000;
/// How long a silence may last.
pub const SILENCE_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Policies of tags.
pub const TAG_POLICIES_MAX: usize = 1_000;
/// Messages that a channel sends one by one within [`DIGEST_TIME`]; what comes beyond is sent together.
pub const DIGEST_AFTER: usize = 5;
/// See [`DIGEST_AFTER`].
pub const DIGEST_TIME: Duration = Duration::from_secs(30);
/// How many messages are in a digest; the rest is in the next one. Receivers bound what they read.
pub const DIGEST_MAX: usize = 1_000;
/// How many incidents a digest names; of the others it says how many there are.
pub const DIGEST_SHOWN_MAX: usize = 50;
/// How long a text in Slack's form may be, in characters: Discord takes no more than 2,000.
pub const SLACK_TEXT_LEN_MAX: usize = 1_900;
/// How long a text for ntfy may be, in bytes: of more than 4,096 it makes an attachment.
pub const NTFY_TEXT_LEN_MAX: usize = 4_000;
/// How long a title or a subject may be, in characters.
pub const TITLE_LEN_MAX: usize = 150;
/// How long a text in a letter may be, in bytes: more than any has.
pub const LETTER_TEXT_LEN_MAX: usize = 256 * 1024;

// --- A database that is shared on a PostgreSQL server ---

/// How long a call to the server may take: longer than any that goes well.
pub const STORE_CALL_TIME_MAX: Duration = Duration::from_secs(60);
/// How long reading everything at a start may take.
pub const STORE_LOAD_TIME_MAX: Duration = Duration::from_secs(1_800);
/// How long writing a batch may take. One that takes longer is sent again, and counts once.
pub const STORE_WRITE_TIME_MAX: Duration = Duration::from_secs(10);
/// What may be asked of the database beside batches, and not be answered.
pub const ASKS_PENDING_MAX: usize = 4_096;
/// What the loop may not have heard of what others do.
pub const SHARED_EVENTS_PENDING_MAX: usize = 64;
/// How much of that it hears in one turn.
pub const SHARED_EVENTS_PER_TURN_MAX: usize = 16;
/// How many jobs that were taken over it takes up in one turn.
pub const TAKEN_PER_TURN_MAX: usize = 1_000;
/// How long a server that starts waits with its greeting until all shards are some node's.
pub const GREETING_WAIT_MAX: Duration = Duration::from_secs(15);
/// How long a node that stops waits until all it has is given away.
pub const LEAVE_TIME_MAX: Duration = Duration::from_secs(10);
/// How many jobs that are taken over are handed to the loop at once.
pub const TAKEN_AT_ONCE: usize = 500;
/// How long it waits for a lock that somebody has whom it takes for dead, until it ends his session.
pub const REVOKE_PATIENCE: Duration = Duration::from_millis(200);
/// How long after a client asked another node may take up what was passed on to it: until the client is told that nobody
/// knows what became of it, that is known here.
pub const FORWARD_TIME_MAX: Duration = Duration::from_secs(7);
/// How long a request that was passed on to another node is kept.
pub const FORWARDED_KEPT: Duration = Duration::from_secs(300);
/// How long connecting may take.
pub const STORE_CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// How long the name of a node may be, in bytes: PostgreSQL shows as much of what connects to it.
pub const NODE_NAME_LEN_MAX: usize = 63;
/// What finished executions come to is added to totals and series this often.
pub const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Or when there are so many of them.
pub const COUNT_ROWS_MAX: u64 = 200_000;
/// Executions in one table of history, about.
pub const PARTITION_ROWS_MAX: u64 = 5_000_000;
/// Rows that are moved from one database to another as one transaction.
pub const MIGRATION_SLICE_ROWS: u64 = 5_000;
/// And about how many bytes of them.
pub const MIGRATION_SLICE_LEN: usize = 8 * 1024 * 1024;
/// Executions in one table of history that is made of a file. They are many at once, and go as a whole when they are too old.
pub const MIGRATION_PARTITION_ROWS: u64 = 500_000;
/// How long whoever moves a database waits for the connection of one that did so before, and was killed.
pub const MIGRATION_LOCK_WAIT: Duration = Duration::from_secs(5);
