//! Punctual is an HTTP cron: a client registers a schedule and a URL, and Punctual POSTs to that URL on the second,
//! at least once, records what happened, and raises an alert when it failed. One binary, one SQLite file, one thread
//! that decides, a fixed pool of OS threads that send, one thread that writes. There is no async runtime.
//!
//! # Three promises, in this order
//!
//! 1. **Nothing is lost.** No POST leaves before its row is on disk; no row stays unfinished because the process died;
//!    no create, update or delete is answered before it is on disk. `kill -9` costs at most a repeated POST with the
//!    same execution id.
//! 2. **On the second.** Never early. Late by microseconds when idle, by the drain time of the burst when loaded, and
//!    never because of the disk, a slow target, a big query or a chatty client.
//! 3. **Small.** Its cost per execution does not grow with the jobs it holds or the history it keeps.
//!
//! # The picture
//!
//! ```text
//!               HTTP clients       <--- thread for TLS <--- HTTPS clients
//!                    |  bytes
//!    +---------------v-----------------------------------------+     attempts      +-----------+
//!    |  loop (main thread, mio)                                | --- crossbeam --> | workers   |---> POST
//!    |  sockets -> http -> api -> CORE -> outputs              | <-- reports ----- | N threads |     targets,
//!    |  timer, signals, alerts                                 |                   +-----------+     webhook
//!    +----+-------------------^--------------------+-----------+
//!         | batches           | events             | queries          ^ answers
//!         v                   |                    v                  |
//!    +----+-------------------+--+          +------+------------------+--+
//!    | writer: the only          |          | readers: 2 read-only       |
//!    | read-write connection     |          | connections                |
//!    +---------------------------+          +----------------------------+
//! ```
//!
//! # The code, from the ground up
//!
//! Each room may name only those above it in this list; its `mod.rs` says what is in it, in reading order. Both are
//! held by `tests/layers.rs`. They are grouped in packages, so that the compiler holds the large steps, and builds for
//! speed what every execution and every request passes, and for size what is called seldom or waits for a disk: the
//! binary became 0.6 MB smaller by it, and no slower. With all but the kernel built for size it would be 0.65 MB less again,
//! and answer a tenth fewer reads.
//!
//! What every execution passes, in `kernel/`:
//!
//! - [`time`]: what a moment is. [`limits`]: every bound, with the relations between them. [`mix`]: numbers that look
//!   like chance. [`clock`]: the machine's clocks.
//! - [`http`]: bytes to requests, answers to bytes. Pure.
//! - [`schedule`]: when a schedule is due. Pure.
//! - [`job`]: what a client says a job is: the one list of members, and what they mean. Pure.
//! - [`channel`]: what a channel is over which somebody is told: four kinds, and secrets that follow to no other server. Pure.
//! - [`core`]: the pure state machine that takes every decision. Start at [`core::Scheduler`].
//! - [`cluster`]: what a node does about others: whom it takes for dead, which shards it takes and gives away. Pure.
//! - [`dispatch`]: the workers that send: few threads, each with thousands of connections.
//!
//! Where things are kept, in `storage/`:
//!
//! - [`background`]: threads that give way to the loop and the workers. [`durable`]: files that are there as a whole.
//!   [`vault`]: what secrets are sealed with.
//! - [`access`]: who may do what: scopes and tokens. Pure.
//! - [`postgres`]: one connection to a PostgreSQL server; it knows nothing of what is kept there.
//! - [`store`]: what is kept, behind one door for writing and one for reading.
//!
//! What is served, in `service/`:
//!
//! - [`telemetry`]: figures and logs. [`mail`]: letters to mail servers, each by a thread of its own.
//! - [`alert`]: what somebody is told of a failure, and when. [`api`]: requests to calls, results to JSON. Both pure.
//! - [`web`]: the page that people look at, as files that are served. Pure.
//! - [`config`]: what the server runs with. [`server`]: the loop and all wiring.
//!
//! What is typed, here:
//!
//! - [`doctor`]: what a machine lacks, and what to do about it.
//! - [`bench`](mod@bench): the instrument that measures a server from outside. [`cli`]: the command line. `client/` is a
//!   package of its own: the commands that talk to a server.
//!
//! # The flows
//!
//! - **A job**: body -> [`job::Definition`] -> [`job::JobSpec::compile`] -> core -> the writer stores the definition
//!   that the spec gives back, as one JSON column, from which the columns that everybody looks for first are generated.
//!   The same definition is part of every answer.
//! - **An execution**: [`core::ExecutionKey`] says which one it is, [`core::Record`] what became of it: the same in the
//!   ledger's row, in history, and in an answer. Its public id, [`core::ExecutionId`], holds the job's.
//! - **What a client asks to be run**: body -> [`core::Run`] -> rows of their own kind, in one persist item -> on disk, and
//!   answered -> sent like any other.
//! - **A request with an idempotency key**: looked up by a reader -> carried out -> the core says what it will answer
//!   ([`core::Output::Planned`]) -> that goes to the disk with the change.
//! - **A secret**: body -> [`job::SecretDefinition`] -> core ([`job::JobSpec::inherit_secrets`]: kept, dropped or new) ->
//!   part of what is sent, [`job::Post`], and sealed by the writer into a table of its own. The definition says `{"set":true}`.
//! - **A message**: core -> disk, with its incident -> [`core::Output::Tell`] -> [`alert::Channels`] -> a worker, or a thread of
//!   [`mail`] -> [`store::Delivery`] and [`store::ChannelHealth`] back to the writer.
//! - **An attempt** carries an `Arc` of [`job::Post`], what is to be sent, and nothing of the job.
//!
//! # What a member of a job costs
//!
//! Four files, as the commit that added `misfire` shows: `job/definition.rs` (its name, meaning and default),
//! `job/spec.rs` (both conversions take the other side apart, so that they do not compile without it), a file of its own
//! for its policy (`job/misfire.rs`: text, compiled form, pure decision), and the line of the core that decides by it
//! (`core/arming.rs`). So it held for those that came after it:
//!
//! | policy | beside `definition` and `spec` |
//! |---|---|
//! | `overlap` | `job/overlap.rs`, `core/admission.rs` |
//! | `retry` | `job/retry.rs`, `core/sending.rs` |
//! | `concurrencyKey` | `job/concurrency.rs`, `core/keys.rs` (a table of its own), `core/admission.rs` |
//! | `maxRuns`, `autoPauseAfter`, `pauseOn` | `core/pausing.rs` |
//! | `alerts` | `job/alerting.rs`, `core/alerting.rs` (whose counts), `core/watching.rs` (what follows) |
//! | when: zone, spread, bounds, exclusions | `job/timing.rs`, `schedule/terms.rs` and `schedule/rare.rs` |
//! | what is sent: method, headers, body, secrets | a file each in `job/`, `dispatch/head.rs` |
//!
//! A member that few jobs have lives behind one pointer, so that the others pay a word. Nothing in `store`, `api` or the
//! migrations lists members; what executions tell beside their record is one text ([`core::Details`]).
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | job | what the client registered: a schedule, a target, policies; each change raises its revision |
//! | instant | a whole second (UTC) at which a schedule is due |
//! | execution | one run of a job; its identity is (job, instant, kind, number), and its public id encodes that |
//! | attempt | one POST of an execution; 1 is the first |
//! | arm | write the execution's PENDING row ahead of its instant |
//! | fire | hand an armed execution to the workers at its instant |
//! | ledger | the rows of what is armed, in flight, or just finished, in the order in which they were armed |
//! | history | finished executions, folded out of the ledger |
//! | rollup | what the finished executions of a job, or of all, in an hour or a day come to |
//! | dispatch | the worker's wall clock just before the first byte of the request, on a ready connection; without a byte, when it gave up |
//! | drift | first dispatch minus the instant; recovered, catch-up and manual runs are counted apart |
//! | missed | an instant that passed while nobody could fire it |
//! | target | scheme, host and port of a URL: what is slow or down as a whole |
//! | incident | something that is wrong, from when it is noticed until it is over: one of a cause and a subject at a time |
//! | message | what is told of an incident: that it was opened, is still open, is over |
//! | channel | over which messages go to people |
//! | policy (of alerts) | when somebody is told, of a job, a tag or the server |
//! | silence | nothing is told of a job, a tag or a target until then |
//! | outcome | what an attempt came to: a status, a timeout, a connection error |
//!
//! # How an execution comes about
//!
//! One and a half seconds before an instant the core *arms* it: it asks for a PENDING row, the writer commits it, the
//! acknowledgement comes back. At the instant it is *fired* with no database between clock and socket. Its *report*
//! leads to a final row, or to a row with a later due time and a deadline in the retry heap. So durability costs no
//! drift, and neither does a disk that stalls for less than the lead. The lead ends on a half second so that arming
//! and firing do not meet.
//!
//! A client's change, the removal of the armed rows it invalidates and the arming of its own near instants are one
//! persist item, and so one transaction. From the moment the core accepts it the old revision's future instants are
//! withheld; if it cannot be written they fire late and the client gets 503.
//!
//! After a crash fired and unfired rows look alike: a row without outcome whose due time has passed is *in doubt*. Its
//! next attempt number is written, then it is sent, outside the retry budget and behind due work. What lies between a
//! job's newest row and now is a *gap*: the misfire policy turns it into rows without walking it (the latest instant by
//! halving, the count exact up to [`limits::MISSED_COUNT_MAX`]).
//!
//! # What is decided here and not elsewhere
//!
//! What each of these brought is in the README ("Measured"), beside the command that shows it.
//!
//! - **Maximum lateness and misfire.** The maximum lateness closes executions that waited too long to be sent, for
//!   their target or for the disk. An armed instant that is overdue by more than it when the loop looks again (suspend,
//!   clock step) is a missed instant like those after it that have no row yet; under `once` only the latest of them all
//!   runs, however old: a daily job must not be dropped because the machine slept for an hour.
//! - **Due but unsent executions survive a drain** as PENDING rows and are sent at the next start with their own id;
//!   only rows whose instant lies ahead are taken back. Taking the others back too would turn single runs into a gap.
//! - **The public id of a job is a UUID (version 8) that holds the job's key**, random bits first, the key last. No index
//!   leads from one to the other, and the beginning, which clients show, differs. An execution's id is its job's id and
//!   its instant: readable, reversible, the same over restarts.
//! - **What is last is what has the highest instant**, for memory and for the store alike ([`core::Tally`]): the order in
//!   which executions finish does not outlive a restart.
//! - **Adoption.** What a start finds on disk is adopted: it does nothing and nobody sees it until all of it is there
//!   and judged. That is legal while running, too, so that a node can take jobs over from another.
//! - **A single node is one that owns all shards** ([`core::Shard`]). There is no second way of doing anything: a node among
//!   others owns some, acquires more while running, gives some away, and may be taken for dead. Alone the lease lasts for
//!   ever, the lead is 1.5 s, and a clock that is behind what it wrote doubts everything; among others
//!   ([`core::Settings::skew_us`]) the lead is 4.5 s, as what becomes due during a takeover needs rows, and what a dead node
//!   left is in doubt if it was due by any clock.
//! - **The shard of a job follows from its revision**: from its concurrency key, so that one node counts what runs under it,
//!   else from the end of its key. New keys end like a shard that the node owns: so a create is a matter of one node, and no
//!   two draw the same. A change that would move a job to another node's shard is refused: half of its rows would be here.
//! - **A number in the ledger begins with the incarnation that drew it.** Rows of others do not raise it, or two nodes would
//!   come to draw the same. Whatever is named by the end of such a number, or by a microsecond (incidents, silences), has a
//!   part of the incarnation in it.
//! - **Nothing is sent behind the end of a lease** (`core/sending.rs`), and a worker looks once more right before the first
//!   byte ([`dispatch::Lease`]): what it does not begin is no attempt. All else goes on, as the fence of the store refuses
//!   what is not this node's any more.
//! - **What is in flight when its job goes ends where it began, and how it ended is handed over**, finished or not. So what
//!   follows from an end is decided by one node: what counts, alerts, incidents, pauses. Meanwhile the next owner knows that
//!   it is in flight ([`core::Known::InFlight`]): it runs as far as overlap, `maxRuns` and the concurrency key go, and its
//!   instant is no gap.
//! - **What was handed over is known**, and so is sent even if it is to be sent at most once. That holds for one adoption: the
//!   store forgets it as the row is taken over, as from then on it may be sent.
//! - **Who was taken for dead forgets everything** ([`core::Input::Lost`]) and says of changes under way that nobody knows.
//!   It trusts nothing until it is told anew.
//! - **Dead is who told nothing for long, while it could** (`cluster/membership.rs`): no clock of another machine counts, no
//!   time in which the store did not answer, and none in which who judges could not tell anything itself.
//! - **What an idle job takes is counted in bytes.** Its slot has 72, its revision 160, a short URL 32 to 48, its places in the heap of what is
//!   to be armed 12 (seconds of four bytes: schedules end in 2099), in the index of keys 5. What few have is a box of its own, what
//!   its executions come to lies in the newest of them, and a link between tables is a slot or none in the room of a slot. So a million take 291 MiB.
//! - **What waits says so on disk, and so is known not to be sent.** An execution that is due while another one of its
//!   job or its concurrency key comes first is written with what it waits for, and written once more, without that,
//!   before it is sent. So a start can tell who runs from who waits: lines survive a crash, and what is to be sent at
//!   most once is not given up because it waited. It costs two more rows for an execution that waits, and nothing for others.
//! - **One execution of several in doubt may run already**: the first. The others, which cannot have been sent while it
//!   ran, wait for it. What is in doubt goes before what was missed, and that before what waits since.
//! - **An execution that ends makes room once its end is on disk**, and no earlier: otherwise a crash would make two run.
//!   Whoever waits for that has it written at once ([`core::Output::Hurry`]).
//! - **A permit of a key is held from admission to report**, while it is queued for its target, too. A rate is a spacing
//!   between admissions, without bursts: so no window of time holds more than it says.
//! - **Another policy judges anew what has not left.** What was sent under the one before ends in its own time.
//! - **A release begins an era.** Instants that a job fired while the clock was ahead have rows; fired again they have
//!   the era as their number, and so other ids. Cursors of the era before do not count any more.
//! - **What a client asked for was due when it asked.** Runs, replays and backfills are no missed instants, whatever they
//!   wait for, and give way to no next one. Their due time tells the time at a start, as the row of a schedule's instant
//!   does not: that is written ahead of it.
//! - **The number of what was asked for is the end of its number in the ledger**: no counter is kept, and no two rows of a
//!   job and an instant have the same.
//! - **A backfill runs one after the other and takes turns** with what is due: behind it, but a job that never rests comes
//!   to it all the same.
//! - **A pause that ends by itself is a job that owes nothing before its end** ([`job::Revision::since`]): nothing has to
//!   wake up for it, and a start finds it. The same cursor, set back, is a job that catches up with its pause.
//! - **A name is claimed when a change is accepted**, and given back when that is settled: two changes on their way to the
//!   disk never have the same.
//! - **A patch is made over what is in force** and says which revision that was; if another change came first, it is made
//!   again. So the core needs to know nothing of JSON.
//! - **Which jobs are on a page is known before it begins.** Memory is looked through in pieces of a turn, one page at a time
//!   a turn, or a reader finds them by what only the disk has in order; how a job stands only memory knows.
//! - **The API is one table.** A route says its parameters, its body's type and what it answers; routing, 405, OPTIONS, the
//!   README's table and the OpenAPI description go by that. Types of what is taken and of what is answered have schemas of
//!   their own, as they differ in what may be left out.
//! - **Trials are errands of the workers** like alerts, outside what the core counts, and so few that this does not matter.
//! - **A calendar's change counts for what is not armed.** Its jobs follow it within the budget of arming, whether or not there is
//!   room to arm them: what comes due meanwhile is judged by the dates of its time.
//! - **Dates that are passed over are work.** A calendar may leave out every Monday of this century: finding what follows
//!   costs a millisecond. It counts in the budget of arming, and whoever asks about a stretch of time looks at no date
//!   behind it ([`schedule::Schedule::next_in`]).
//! - **A pause by policy is a change like a client's**, with nobody to answer. If a client is just changing the job, the
//!   next failure decides again.
//! - **Failing targets.** A target that timed out or refused [`limits::FAILING_AFTER`] times in a row may hold a tenth
//!   of what may be in flight instead of half, all failing ones together half, and it is served after healthy ones.
//! - **Who holds few goes first.** Until a silent target counts as failing its time limit has to pass. What tells it
//!   from a healthy one before that is how much it holds in flight: due work of targets that hold more than
//!   [`limits::FEW_PER_CENT`] goes out behind that of the others.
//! - **A worker's turn does first what is ready, then what takes long.** Opening a connection costs several times what a
//!   request on a resting one does. A turn opens a few, for targets that answer before silent ones, and gives up a few
//!   of the attempts whose time is over: a thousand that were sent together end together, right at a full second.
//! - **Not many connections are being made at once.** Most listeners keep 128 connections that are not accepted yet.
//!   What overflows is dropped, and sent again by the system a second later. So 64, or a quarter of those that are ready.
//! - **Outcomes that nobody waits for are gathered** for [`limits::OUTCOME_WAIT_MAX`], and a worker holds reports back for
//!   [`limits::REPORT_WAIT_MAX`] while a burst drains. Loop and writer otherwise work on the same cores as the workers just
//!   then, in small portions. The cost: a crash repeats the POSTs whose outcome is younger than that. What a client, a
//!   retry or an alert waits for is written at once.
//! - **Threads that give way.** Writer, checkpointer, readers and the one for TLS never take a core from a running thread
//!   when they wake up ([`background`]). The receiver of `punctual bench` is such a thread, too: on two cores it otherwise
//!   interrupts the sending thread for every second POST, which no target on another machine does.
//! - **History's index on job and time** is the clustering of `job_executions` itself; `idx_job_executions_job_id`
//!   would repeat it and does not exist. `idx_job_executions_scheduled_time` and `idx_jobs_active` do.
//! - **Deleting a job** closes its waiting executions as FAILED without an alert: a client asked for it.
//! - **Driven workers.** The workers in [`dispatch`] drive all their connections from one poll; the first ones sent one POST
//!   at a time with ureq. A slow target costs a socket instead of a thread. One worker for every two cores: on two cores a
//!   second one made the big burst slower.
//! - **A request is written, not prepared.** Its bytes are put together straight from what the job says, into one buffer of the
//!   worker: some four tenths of a microsecond, much of it waiting for the job's URL to come from memory. Bytes that are made once
//!   would have to come from memory, too, and be kept for each job.
//! - **A plain answer is read where it lies** (`dispatch/plain.rs`): a success with a length or without a body whose head is
//!   there in one piece. It takes no memory of its own. Whatever else comes (pieces, chunks, interim answers, failures that are
//!   listened to, anything odd) ureq-proto reads, which is made for it when the first bytes are there; so no rule of HTTP stands
//!   here twice but these. A test holds both readings against each other.
//! - **What is due is taken up in pieces** ([`limits::DUE_PER_TICK`]): workers send the first while the loop takes up the rest. But
//!   while something is in flight, or a target fails, all that is due is known before any of it is sent: healthy targets go
//!   before silent ones.
//! - **Memory is asked once for many.** With thousands of jobs what each is to send is in no cache. Loop and workers look at what
//!   comes next one right behind the other, so that their waits overlap, before they do anything with it.
//! - **A job is small.** What few jobs have is apart and costs the others a word: of a URL only its text and the places of its parts
//!   are kept, the POST lies in its revision, which attempts in flight share, and a tally is made when the first execution ends.
//! - **An incident is decided where its cause is**: how an execution ended opens and closes one in the row that says so
//!   ([`core::RowNews`]), so no crash comes between. What no row decides (a pause, a target, time that passes) is an item of
//!   its own, asked for before whatever makes it come again, and looked at anew at each start: so a crash repeats it, and loses nothing.
//! - **Its id is the microsecond of its opening**, or the next one that is free: unique without a counter, so that what is told while
//!   the store fails, and may never be written, has the id of nothing else.
//! - **What comes by time alone is waited for on the monotonic clock** (`core/watching.rs`): no success for too long, and a due execution
//!   that does not begin. A wall clock that stepped back, which holds jobs, hides neither. Whether there was a success meanwhile is
//!   told by their number, so a success costs nothing.
//! - **Policies are merged when they are asked for**, member by member, and kept nowhere: of an execution that ends well only two small
//!   members of its job are looked at. When a policy changes all jobs are looked at, some in each turn.
//! - **Who was not told is told later**: an open incident of which nobody heard, as a silence covered it or there was no channel, is told
//!   when that ends. So a silence hides nothing that lasts longer.
//! - **A message is a row for each channel**, written in the transaction of what it tells of. Writing it again leaves what became of
//!   it, and what was delivered stays delivered: so all that is persisted may be written twice.
//! - **What is told before it can be written** (the store fails) may be delivered before it is a row: the delivery is kept, and the row
//!   comes to it. What is left of such at a start belongs to nobody and is forgotten.
//! - **An incident goes behind its last message**, and a message only once it is delivered or given up. Messages of what is open
//!   age, too: an incident that is told every minute for a year must not keep them all.
//! - **Pages of incidents name their index**: SQLite has no statistics here, and the wrong one walks over all that are over. A
//!   test holds the plan of each.
//! - **That an incident is open only once is checked, not enforced**: a constraint that a write breaks would stop the writer for good.
//! - **Each channel has one parcel under way at most**, on top of `--max-in-flight`: no channel takes a place from a job or from
//!   another channel.
//! - **A digest is made when it is sent**, of whatever waits then: nothing of it is stored, so a crash in between costs a repeated
//!   message and no bookkeeping.
//! - **Letters go by a thread each**, for a bounded time: SMTP is a conversation of turns that few servers are worth an event loop for, and
//!   a name lookup blocks anyway. The SMTP client is our own: it bounds a delivery as a whole, connects to no address that `--targets`
//!   leaves out, and shares the pool's trust; the smallest library brought some 25 crates. STARTTLS drops the conversation and begins
//!   another: what came in clear behind the reply fails the delivery.
//! - **A channel's figures are not among those of alerts.** Names of channels are the client's, and one may be called like the plain webhook.
//! - **A channel is made over the one in force, and one change of it at a time.** So a secret that is left out is the one that counts.
//! - **Which silence covers an incident is asked of memory when it is shown**, and kept nowhere.
//! - **Who made a silence or acknowledged is put in where tokens are known**: routing is pure, and knows an id at most.
//! - **Alerts are attempts like any other**: the same pool, the same resolver, the same trusted roots. What they need
//!   beside that, a queue, backoff and an age, is a state machine that the loop drives.
//! - **The status decides.** Once the head of a final answer is read, that is the outcome, and it is reported. The body
//!   is read on, within [`limits::ANSWER_DRAIN_TIME_MAX`], only so that the connection can be used again.
//! - **A failure is listened to.** Of an answer that is no success the first KiB is kept, so its report waits for that much,
//!   its end, or [`limits::ANSWER_DRAIN_TIME_MAX`]. Its status is the outcome all the same, whatever happens meanwhile.
//! - **At most once has a connection of its own.** A resting one may be closing as the request meets it, and that cannot be
//!   told from a target that broke off. Attempts that must not use one wait in a queue of their own ([`dispatch`]).
//! - **A secret is no part of a POST before it is known which one is meant.** The API reads a definition without the job
//!   that it changes; what it says of secrets waits in the spec, and whoever defines the job to a client or the store before
//!   the core has resolved it fails an assertion. Errors of such members do not repeat what was written.
//! - **Secrets follow a job to no other host**, or whoever may change a job could have them sent to himself.
//! - **A sealed secret opens in its place only** ([`vault`]): the job's id and its name are sealed with it. Rows that are
//!   moved by hand end the start as damage does.
//! - **What is told apart by a digest is told apart by the key** ([`vault::Blind`]): requests under an idempotency key may
//!   have secrets in them, and whoever has the database could try passwords until a plain digest fits.
//! - **Another key is for a server at rest** (`store/sqlite/reseal.rs`): one transaction seals all, or nothing, and who
//!   does it again goes on where it was broken off. `VACUUM` follows, as free pages keep what the old key opens.
//! - **A backup is a copy by SQLite itself, out of one read transaction** (`store/sqlite/backup.rs`), by another process or a
//!   thread of its own. Without the transaction a copy begins anew with each commit; `VACUUM INTO` cannot rest, and costs the
//!   cores several times as much. The price is that the log cannot begin anew meanwhile: its length is bounded, and the writer tries to truncate it
//!   once a second only, as each try waits for whoever reads.
//! - **What waits to be written holds up whoever commits next**, on file systems that order data before their journal. So a copy
//!   is put on disk every [`limits::BACKUP_SYNC_LEN`] bytes, and rests as long as it worked.
//! - **A backup is no database** (`store/sqlite/seal.rs`): it has another mark, so that nobody serves it and fires what the original
//!   fires, and behind its last page a digest. SQLite finds structure that is damaged, and no text that is.
//! - **What a start would do is asked of the core** (`server/prospect.rs`), with what the store has and a disk that writes at once.
//!   Nothing else can know it, and nothing else has to change when a policy does.
//! - **An exchange of files is one step** (`store/sqlite/restore.rs`): the old database takes in its log first, as the new one must not meet that,
//!   and is held so that nobody writes to it until its name is the new one's. Whoever locks a file looks afterwards whether it still has the name.
//! - **Traces are derived, not drawn**: the same attempt has the same ids over restarts, and the core needs no randomness.
//! - **Addresses race** (RFC 8305): the next one joins after [`limits::ADDRESS_HEAD_START`], the first to connect wins
//!   and is remembered.
//! - **A duration contains the connecting, a drift all that came before the first byte.** A slow name or handshake would
//!   otherwise show in neither. So the time limits of a dead target show in the drift, too.
//! - **A lookup waits for no other** while a thread may be started; names that were slow have threads of their own;
//!   addresses serve on while they are looked up anew.
//! - **Some addresses are never POSTed to**, for jobs, trials and alerts alike: those behind which clouds keep credentials,
//!   those that are nobody's or everybody's (`dispatch/guard.rs`), and those that `--targets` leaves out
//!   (`dispatch/allowlist.rs`). The address is judged that a connection goes to: a name says nothing about where it leads.
//! - **Waking before the time.** An idle virtual machine wakes a thread some time after its timer. The loop is woken
//!   [`limits::WAKE_AHEAD_US`] before a deadline and looks at the clock until it has come. It never acts before: that
//!   is checked where the deadline is, against the clock.
//! - **The index that the ledger does not have is in memory.** New rows touch only its last page. The writer notes each
//!   row in twelve bytes (whose, of which instant, how it stands), the fold makes its plan from that, and readers look
//!   through it: it only says where a row may be. No read walks the ledger, and none holds the log for long.
//! - **The fold** moves a minute's finished rows, sorted by job, in slices of [`limits::FOLD_SLICE_ROWS`] spread over
//!   half a minute; counters per job are written with it, so an execution dirties no page of its job.
//! - **Series are made by the fold**, in the transaction that moves a row: whoever reads sees it in the ledger or in a
//!   rollup, and never in both. A rollup has [`limits::SERIES_JOB_LEN_MAX`] bytes at most: counts and highest values are
//!   exact, percentiles within 12 %, coarser where that does not fit. Its table is ordered by time, then job, so that a
//!   fold of all jobs writes pages that lie together. What was folded before there were series is in none.
//! - **A day becomes one as a whole**, and is kept by hour until then: so a point is hours or days, and nothing overlaps.
//!   First the edge moves, then the hours behind it, in slices; a reader adds what is still on its way to its day.
//! - **Rollups only age out.** Those of a deleted job lie on as many pages as it has hours and days. Nobody can ask for
//!   them once its tombstone is gone, its key is not used again, and the sum keeps what happened. Retention by size counts
//!   their bytes and takes history in their place: figures stay longer than what they were made of.
//! - **A figure holds up no record.** A rollup that cannot be read is told of and left alone; on a damaged page, the slice
//!   that meets it moves without figures, as SQLite commits nothing that met one.
//! - **A checkpointer beside the writer.** A thread of its own copies pages from the write-ahead log into the database
//!   (PASSIVE), so that no batch waits for that; the writer still does it when the log grows beyond
//!   [`limits::WAL_LEN_MAX`]. How long batches wait for housekeeping of any kind is in the metrics (`store.heldUp`). It
//!   goes on until nothing is left to copy, so that the log begins anew.
//! - **After a sync of the database that failed, nothing is copied.** The system forgets what such a sync was for, and SQLite
//!   does not copy again what earlier checkpoints had copied and not synced: with the log begun anew, both copies would be
//!   gone. So the process leaves the log as it is, however long it grows, and the next start copies it as a whole.
//! - **Who is deleted during a sweep of tombstones is of the next one.** The sweep knows whose rows the ledger held when it
//!   began; a job that fired and was deleted since may have one that it does not know of.
//! - **What fails beside the writing stays beside it.** A fold or a sweep that meets a damaged page or a full disk is
//!   told, rests, passes over what it cannot read, and refuses nobody anything.
//! - **A change is refused only if it cannot come back.** If a commit fails before its last frame is in the log, the
//!   changes in it are given up, and their clients hear that nothing has changed. If only the sync failed, a crash would
//!   bring it to light: such a batch is written again until it is on disk, and its clients hear nothing else.
//! - **In doubt, but not early.** A row in doubt whose instant lies ahead (the clock was ahead once) waits for it under
//!   its new attempt number. Nothing that may have been sent is taken back or counted as missed.
//! - **Due once more.** What was due when the clock stepped back behind its instant, and has not begun, waits for the instant
//!   again. It is not taken back meanwhile: rows behind it may be finished. Nor is what lies before an instant of its job that was
//!   due, or the next start would take it for settled. What has begun goes on by the monotonic clock.
//! - **Bounds are a value** ([`core::Bounds`]): a server runs with those of [`limits`], and a simulation makes them so small that
//!   each is reached within seconds.
//! - **Housekeeping's intervals are a value** ([`store::Housekeeping`]) for the same reason: a test lets a store fold, delete and
//!   checkpoint all the time, and then kills it or cuts its power.
//! - **Overload keeps the target busy.** With [`limits::TARGET_BACKLOG_MAX`] waiting for a target, retries included, its
//!   jobs are stalled; what is sent makes room for as many instants of those that have waited longest. So the backlog
//!   stays full while there is too much, every job gets its share, and what is passed over is in a row.
//! - **What the disk can take is dealt out by target** (`core/arm_queue.rs`): jobs whose time has come are armed one of each target in turn,
//!   and stalled ones behind all of them. First come, first served, or stalled ones first as they were, made jobs of idle targets miss
//!   their instants while another target had more due than the disk takes.
//! - **What goes by age goes by a clock that is not believed for a day when it jumps ahead** ([`time::Steady`]): one set to another year
//!   erases nothing, also while jobs fire by it, and where nothing fires any more things age all the same. An execution
//!   is as old as its first attempt: a backfill of last year was made today. Alerts
//!   are swept before history and have a share of the database; beyond it each job may keep equally many.
//! - **Retention looks at the size every ten seconds** and takes a little from each job. Rows of one job that go together
//!   lie apart in the index on time: the more of them at once, the more pages for each. A slice rests only briefly, so
//!   that many fast jobs do not outrun it.
//! - **A pace is a policy.** A schedule with `*` or a step in its second, minute or hour is due whenever its zone's clock
//!   shows a matching time: just as fixed times that skip gaps and take both sides of an overlap. So one walk over
//!   stretches of constant offset serves both, and a time is never looked for in both directions.
//! - **Zones are tables.** jiff reads the rules once, into a few hundred stretches that all jobs in a zone share. Two zones
//!   are equal if their names are, as one process has one edition of the rules.
//! - **What is stored names its zone** unless it is UTC, so that another `--time-zone` moves no job.
//! - **What a schedule leaves open is chosen by a seed** that belongs to the job, not by its id: a job that is exported
//!   and created elsewhere keeps its times. A seed that was drawn is kept by updates that say none.
//! - **A herd is estimated**: some evenly spread jobs are looked at, each only at the second in question, so that the
//!   answer to a change costs the same with a million jobs, whatever these leave out.
//! - **The next hour is walked, in pieces**: jobs that share a schedule go one way together, some evenly spread jobs stand
//!   for all where there are many, and there is an end to how many instants are looked at. What was not looked at is left
//!   out of what the rest is inferred from. One forecast grows at a time, as each holds what it has met.
//! - **The last hour is counted where everything ends**: what the core's counts gained in an input belongs to its minute.
//! - **A smaller SQLite.** `.cargo/config.toml` leaves out what is not used here (full-text search, rectangles,
//!   extensions) and the sum of memory in use, which costs a lock with each allocation. A build elsewhere, without that
//!   file, works the same.
//! - **A filtered page may be short.** A page by status walks history in order of time; when its time is up it returns
//!   what it found and a `nextCursor` at the last row it saw.
//! - **Clients have a budget of time.** All of them together are served for [`limits::CLIENT_TIME_PER_TURN`] in a turn, in
//!   rotation; between two requests a clock is read, and what is due is fired before going on. That is the one exception
//!   to reading the clocks once a turn.
//! - **A request has a number of its own.** An answer that comes after its deadline finds nobody, although the connection
//!   goes on.
//! - **A full house makes room by what is dubious**: half a request, an answer to somebody who left, before what is at
//!   rest. Changes that wait for the disk never take all connections.
//! - **The table of routes says what a request needs**, and it is checked before its body is looked at. Who asks is
//!   known before that: a token in a header, or a cookie, looked up in memory by the beginning of its SHA-256 and compared in
//!   constant time. Whoever shows a good one is let in however many wrong ones come from his address.
//! - **The first token closes the door for good**: an API that was open as long as there was none does not open again when the
//!   last one is revoked.
//! - **A session is a token** with a parent, whose text a browser keeps: so it outlives a restart, is seen and revoked like any
//!   other, and works on any node that reads the same table.
//! - **Tokens are changed by whoever has the file.** The loop looks once a second whether another process did; what it changes
//!   itself goes to the writer and counts once it is on disk.
//! - **What is written down of a change goes to the disk in its transaction**: the core says what will be answered before it is
//!   written ([`core::Output::Planned`]), and the writer, not the loop, finds out in which members two revisions differ.
//! - **What a last instant needs is kept**: a change is read before it is accepted, and may wait. If what it is due for passes
//!   meanwhile and nothing follows, it is owed all the same ([`core::Command::read_at`]).
//! - **The browser is the other door**: `Host` must be a name no stranger owns, and a page that changes
//!   something must be our own or named. A proxy is believed only if it is trusted.
//! - **A foreign page learns not even what there is.** Constant bytes in every head (`http/response.rs`) keep answers out of
//!   its scripts, pictures and frames, where it would tell one that is there from one that is not, and could hold a stream
//!   open. `tests/browser.rs` tries that in a real browser.
//! - **Each address says whether it is plain.** With a certificate an address speaks TLS unless it begins with `http://`, so
//!   that nobody who forgets something sends in clear, and probes on loopback need no certificate.
//! - **TLS is a thread beside the loop** (`server/tls`): it hands the loop the plain end of a pair of sockets, so that a
//!   connection over TLS is one like any other there, and a handshake costs the loop nothing. It holds a record for each
//!   direction; what a client does not read fills the pair, and then the loop's own bounds. Whoever is silent for longest
//!   makes room for the next handshake; of those behind it the loop decides. It gives way like the writer.
//! - **What was inherited is not ours**: a socket that systemd listens on outlives the server, so its file, mode and queue are left
//!   alone, and from the drain on whoever comes there is left in its queue to the next server instead of being told 503. Who is
//!   connected already is answered, and asked by `Connection: close` to come again.
//! - **The watchdog is fed by the turn of the loop**, and by nothing else ([`server`], `supervisor`): a thread for it would tell that
//!   the process is there. Its socket never blocks; what it does not take is told in a later turn. Thirty lines of ours, as
//!   the crates for it block.
//! - **A unix socket is this machine**: its clients have the address of loopback and no cap. `Host` is checked there, too, as
//!   a proxy may pass on what a browser said.
//! - **Long answers are made in pieces**: one in a turn of the loop for all clients together, and none while a client
//!   leaves [`limits::STREAM_UNSENT_MAX`] unread. A stream is a small value that its connection carries, so it ends with it.
//!   Events are made already: of them there are as many pieces in a turn as there is time for.
//!   Behind a burst they rest for [`limits::REST_TIME`].
//! - **An event is told when it is on disk**: how an execution ended and what a job is now. Only that an attempt was sent
//!   is told at once, as its row is there already, and that a target fails, which is on no disk. What is only armed or
//!   planned is not told. So whoever looks up what it was told finds it.
//! - **Events cost nothing while nobody listens**, and little else: what happens is noted as a small value, gathered for
//!   [`limits::EVENT_WAIT_MAX`], made into text once for all, some at a time and behind what is due; then all are woken
//!   together, so that they cost ten writes a second each and not a thousand. Right behind an instant the cores belong to
//!   the burst.
//! - **Too many events are left out by rank**: what was only sent before what ended well, that before what failed, that
//!   before jobs and targets. Each rank has a ceiling on the same count, so that none is left out while a lower one is
//!   told. How many were is an event, once the second is over.
//! - **An event's id names its process**, so nobody goes on by number behind events of another one. A client that left
//!   less than [`limits::EVENTS_KEPT_TIME`] ago finds what it missed; otherwise it is told of a gap, with a count if there
//!   is one. What breaks a silence carries an id, too: a filter is no gap.
//! - **Who listens counts in no limit of others**: neither among all connections nor among those of its address; there may
//!   be [`limits::EVENT_CLIENTS_MAX`]. One whose socket says that no more comes from it is sent a comment at once, which
//!   tells who is gone from who only has no more to say.
//! - **A rejected change is answered at once**, before the rest of its batch could be written: the acknowledgement of a
//!   rejection may overtake those of earlier items.
//! - **Writer batches.** At most [`limits::BATCHES_PENDING_MAX`] are with the writer; the rest gathers on the loop. So
//!   the channel never overflows, and group commit is what falls out of taking all that is there. While it rests, changes go
//!   to it in the middle of a turn (`server/outbox.rs`): clients that wait for each other's commits made it and the loop take turns.
//!
//! - **A batch** is accepted change by change, each as it would be alone (`core/gathering.rs`), and written as a stretch of
//!   items that no transaction divides. Its lines are hashed, read, accepted and printed for half a millisecond a turn
//!   (`server/batches.rs`), and the core hears of them [`limits::SETTLED_AT_ONCE_MAX`] at a time
//!   (`server/together.rs`): an acknowledgement may name any item of a transaction, so that took nothing new. What was
//!   written behind a batch is heard of after it, which nothing due notices, as rows are armed ahead. Until it is
//!   written each of its jobs stands as one that is changing; so there is one batch at a time, and a job is in one line
//!   of it. It is read before anything is accepted: what takes long happens before any job is touched.
//! - **What is declared is compared here**, by who has the secrets: with what is in force, in the order of the lines, by
//!   what it means ([`job::JobSpec::plain`]), and nothing is written where it says the same (`core/applying.rs`). A job is
//!   known by its name; only the core knows which that is just now, and whether another line means it.
//! - **A dry run asks the same questions and touches nothing** ([`core::Rehearsal`]): accepting and giving up would withhold
//!   what is due meanwhile. It keeps which jobs and names would be taken, and the core lends itself to be read; a test
//!   holds both against each other.
//! - **A metric is a figure under another name** ([`telemetry::Shown`]): `/api/metrics` and `/metrics` show one list, so
//!   neither counts anything for itself. What is there by kind, by outcome or in buckets is counted that way as it happens
//!   (`core/counts.rs`, [`telemetry::Recorder`]); how long the oldest due execution waits is known from how many became due
//!   in which second (`core/overdue.rs`). Jobs have metrics only for whoever names them: a label for each would cost memory
//!   here and more in what reads it. `prometheus-client` writes the text and counts nothing; `contrib/` is held against
//!   it by `tests/metrics.rs`.
//! - **A large body** is received from [`limits::LARGE_BODIES_MAX`] clients at a time; whoever comes then is told so.
//! - **The description of the API** (`GET /api/openapi.json`) is made from what answers requests: paths, parameters, header
//!   fields and statuses from the table in `api/routes.rs`, bodies from the types that are read and written, their
//!   texts from the comments on these, their bounds from the constants that are checked. It takes milliseconds and is
//!   made once, before the loop begins; its text, some 110 KB, stays in memory. `tests/openapi.rs` fuzzes the real
//!   binary by it; the few things that it cannot say stand in `tests/openapi/hooks.py`.
//!
//! - **The page is a client** ([`web`]): files in the program that ask the public API and its events, so that whatever it shows
//!   can be had without it. It may load only what the server itself sends and puts text into the page as text, so that
//!   the name of a job is nothing but a name. All its files have one folder named after what is in them, which a browser keeps
//!   for good; they are compressed when it is built. `GET /` tells people from programs by whether `Accept` names HTML.
//!   What it needed and the API lacked became API: strips, the timeline, targets, and two states of jobs.
//!
//! - **The flags of `serve` are the only list of settings** (`cli/serve.rs`): variables and keys of the configuration file are
//!   their names, what a key takes is what the flag takes, and what stands in the file is typed where nothing else was said
//!   (`cli/settings.rs`). `contrib/punctual.toml` is made of them by a test.
//! - **A configuration counts as a whole** (`server/reload.rs`): on SIGHUP a thread reads and checks it with all that it names;
//!   the loop takes over what can be changed, or nothing. What threads were started with stays: how many they are, their
//!   time limits, their trust, where they may connect to. The core hears of its defaults as of anything else
//!   ([`core::Input::Defaults`]) and holds none of what follows from them.
//!
//! - **The doctor holds the machine against this server**, not against advice in general ([`doctor`]): each limit it goes by
//!   is one of [`limits`], and it asks the server's own code what a start would find. What nobody can say is a WARN that says
//!   so: whether the clock is synchronised only the kernel knows (adjtimex(2)), for which there is no safe wrapper, so those
//!   are asked who set it. When a certificate ends is what the verifier says of a time long after it, as nothing else in the
//!   tree reads X.509.
//!
//! - **The client of PostgreSQL is our own socket under a codec** ([`postgres`]), as the clients there are bring an async
//!   runtime along and have no deadline for everything. A call that is late costs its connection: what comes next on it
//!   nobody knows. Whether something can have been carried out follows from how much of it had left ([`postgres::Sent`]).
//!   A pooler is refused: it hands one session's statements to several. So is a server with another system identifier than the
//!   one used before, or on an older timeline (`postgres/origin.rs`): where several hosts are named, the one that was left behind by a
//!   failover may be up again, and takes writes.
//! - **The schema says which builds can work with it** (`store/postgres/schema.rs`), not only which one made it: nodes get a newer build one
//!   after the other. What moves a whole database has to know all of it.
//!
//! - **Two databases, one set of tables** (`store`). What is written row by row is said once, in what SQLite and PostgreSQL have in
//!   common (`store/sql.rs`, `store/tables`); only executions, which there are many of, are said in each one's own way. SQLite has a
//!   fold, as a row costs it a page wherever it belongs; PostgreSQL takes an execution out of the ledger and into the newest of
//!   history's tables in one batch, as arrays of columns. Its tables begin one after the other, in the order in which executions end, not by
//!   their instants: a replay of last year is written where all else is, and each table says between which instants it lies.
//! - **A batch ends with a fence** (`migrations/postgres`, `store/postgres/batch.rs`): it raises the node's number of batches by one, or the whole
//!   batch is refused. So a batch whose answer was lost can be sent again and counts once, and one of a node that was
//!   declared dead never counts. A node shows that it lives by that number; nobody compares clocks. What has the next number and may have got
//!   there stays in doubt until an answer is heard (`Doubt` in `store/postgres/writer.rs`): a beat is sent once more, and again from now on; a batch that is
//!   refused meanwhile has its number taken, together with the next one, by which that is told from the batch itself.
//! - **Membership is turned by the loop** (`server/nodes`): what it hears are events of the writer, which beats and takes over, and of
//!   the lookout, which asks how the others are; what it wants are inputs of the core and orders to those two. So a node whose loop stands still falls silent
//!   by itself, and what counts for one core counts for several: the simulation of nodes turns the same membership. Who was taken for dead gives up
//!   all that its workers have, as others send that again, and joins anew when nothing of it is out.
//! - **A takeover is two steps** (`store/postgres/taking.rs`, `loader.rs`): a short transaction that ends in the taker's fence claims shards and rows and says of
//!   each row what is known of it; then another thread reads the jobs, which nobody else changes any more, while the node goes on beating. A million jobs are
//!   read while others see it live. If the answer of the first step is lost, what was claimed is lost, and the node becomes another one.
//! - **Requests travel through the database** (`store/postgres/requests.rs`, `server/forwarding.rs`): the node that has the job plays them through its own API, as
//!   if the client had come there, and the answer comes back as it is. What belongs to no job is changed by whoever has the first shard, and learnt by the
//!   others when its version goes up. Requests that could meet (the same `Idempotency-Key`, the same name) go to the same node; what two nodes did at the same
//!   moment all the same, a constraint of the database refuses.
//! - **What ended is counted later, and exactly once** (`store/postgres/counts.rs`): totals and series are written every ten seconds, not with each
//!   execution, and the node's row says through which batch. History has the batch of each row, so that whoever comes after a
//!   node that died finds what it had not counted.
//! - **Changes of many jobs are dealt out** (`core/dealing.rs`, `server/parts.rs`): what the core lacks is looked up once, for all lines, and each goes to whoever
//!   has its job. What others have of it goes to them as the same request with fewer lines, with the shards that they must have for it: one that is on
//!   its way elsewhere makes those lines fail, as its node would take its jobs for none. They are told first, and waited for beside the queue, or two
//!   nodes that ask each other would wait for ever; this node's own lines come last, so that the answer that is kept under a key is the whole one, written with
//!   them or, if there are none, by itself. Two batches with one key meet at whoever has the shard of the key. If that dies before the key is
//!   written, a repeated request does once more what others have done: a create that has no name is there twice then. A key for each part would not help, as
//!   the jobs have other homes by then, and to write the key first would make a repeated request useless.
//! - **Jobs that are not this node's are read where all nodes write** (`store/tables/views.rs`, `server/views.rs`): what was
//!   acknowledged is there, so a client reads its writes on any node. Whoever asks for a job that is in memory is answered
//!   from there; lists are of all jobs, and so of one place, and a reader makes each page from one state of the database.
//!   Memory and database go by the same rules, over the same view ([`core::Listing`], [`core::JobFilter`]). What of a job is
//!   under way, and whether a clock holds it, knows only who has it. No secret is opened for that: the definition
//!   says which are set, and something else stands in the place of each.
//!
//! - **What moves between the databases is a list of tables** (`store/migration/tables.rs`), which a test holds against both schemas, and one piece of code
//!   for all of them: rows are read in the order of their keys and put behind those that are there, a slice in a transaction. So nothing is kept of how far
//!   it is but the rows themselves. Before that the old database counts what it has not counted, as its next start would: then its tables say all
//!   there is to say, and are copied as they are. History goes in the order in which the other side keeps it: by job into a
//!   file, by time into PostgreSQL's tables. What is there in part has a mark that is made of what was to be moved, so that it is
//!   noticed if that has changed. What is moved is said to be written by a node that is dead: its unfinished executions are taken over as those of any other,
//!   and numbers begin above those that were drawn before, on either side.
//!
//! - **The command line is a client, too** (`src/client`, the package `punctual-client`): it knows what the API says and cannot
//!   name anything of the server. Being a package it is compiled for size, which the hot path is not. What it prints as JSON is the text of the answer; YAML is made of that text as it is read, so that members keep their order. Whether two jobs
//!   are the same only the server can tell, secrets included: so `apply` sends what there is to be and hears what differs,
//!   first without changing anything. A member that is refused is looked for in what was typed, and underlined there.
//!
//! # What must not be there
//!
//! - Architecture invariant: `job`, `core`, `schedule`, `http`, `alert` and `api` touch no clock, socket, thread, channel,
//!   SQL or log.
//! - Architecture invariant: nobody but `core/executions.rs` sets a state, nobody but `core/jobs.rs` moves a cursor.
//! - Architecture invariant: what a route is stands only in `api/routes.rs`, what a figure is only in
//!   `telemetry/figures.rs`.
//! - Architecture invariant: SQL is known in `store` only; everybody else speaks to it in messages, and does not know which
//!   database there is.
//! - Architecture invariant: no `match` on [`core::Input`] or [`core::Output`] has a catch-all arm.
//! - Architecture invariant: nothing on the loop blocks but the poll: no SQL, DNS, file or TLS work, no log write.
//! - Architecture invariant: an arrow between modules points only downwards; `tests/layers.rs` holds this.
//! - Architecture invariant: a row is on disk before its POST leaves; [`core::Scheduler::check`] asserts it.
//! - Architecture invariant: no order of a hash map reaches an output.
//! - Architecture invariant: bytes from outside never panic. An `expect` states why it cannot be reached.
//!
//! # Where the next things go
//!
//! A policy of a job: see above. A term of when a job is due is a member of [`schedule::Terms`] and of `job/timing.rs`. A
//! policy about which execution may run beside which is asked in `core/admission.rs`. A table that both databases have
//! goes into `store/tables`. An endpoint is a
//! line in `api/routes.rs` and a file for its resource.

pub use punctual_kernel::{channel, clock, cluster, core, dispatch, http, job, limits, mix, schedule, time};
pub use punctual_service::{alert, api, config, mail, server, telemetry, web};
pub use punctual_storage::{access, background, durable, postgres, store, vault};

pub mod bench;
pub mod cli;
pub mod doctor;
