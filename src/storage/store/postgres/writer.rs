//! Owns the writer thread of a node: it takes a batch, commits it with its fence, and says so; it shows that the node lives, and
//! takes over what others left.
//! It must not decide or reorder: a batch that fails is written again until it is in the database, but for the changes in
//! it, whose clients are told that they did not happen.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, never, select};

use super::batch::{self, FENCE, Place, Written};
use super::columns::WrittenAs;
use super::counts::Recent;
use super::homes::Homes;
use super::keeper::{Keeper, Told};
use super::open::{Store, connect_to_write, soon};
use super::session::Session;
use super::taking::{self, Claim};
use super::{moving, partitions, retention};
use crate::clock;
use crate::core::{LedgerRow, Persist, Shards};
use crate::limits::{COUNT_EVERY, COUNT_ROWS_MAX, PARTITION_ROWS_MAX, STORE_WRITE_TIME_MAX};
use crate::postgres::{Error, Rows, Sent, Transaction};
use crate::store::sharing::{Order, SharedEvent, SharedTeller};
use crate::store::writing::{Work, Writer};
use crate::store::{Batch, Housekeeping, Keep, WriterEvent};
use crate::time::{Instant as Second, MonoUs};

/// The SQLSTATE of a table that is not there (`undefined_table`).
const NO_TABLE: &str = "42P01";
/// After how long it is said once more that writing fails: by then it may be for another reason.
const FAILING_TOLD_EVERY: Duration = Duration::from_secs(10);
/// What the fence says when it refuses a batch: see `migrations/postgres`.
const FENCED: &str = "PU001";

/// What a writer is given beside its door.
pub(super) struct Beside {
    pub(super) orders: Receiver<Order>,
    pub(super) teller: SharedTeller,
    /// Where what was taken over is read.
    pub(super) claims: Sender<(i64, Claim)>,
    pub(super) homes: Arc<Mutex<Homes>>,
}

/// Starts the writer of a node; `notify` is called after each event.
///
/// # Errors
/// When a thread cannot be started.
pub(super) fn start(
    store: Store,
    keep: Keep,
    housekeeping: Housekeeping,
    beside: Beside,
    notify: Arc<dyn Fn() + Send + Sync>,
) -> io::Result<Writer> {
    Writer::spawn(notify, move |work| {
        let whose = (store.url.clone(), store.node);
        let keeper = match Keeper::start(whose, keep, housekeeping, work.teller.clone()) {
            Ok(keeper) => keeper,
            Err(why) => {
                let why = format!("failed to start the thread that keeps house: {why}");
                work.tell(WriterEvent::Failing { why, rejected: Vec::new() });
                return;
            }
        };
        let Beside { orders, teller, claims, homes } = beside;
        let mut writing = Writing::new(store, homes);
        writing.partition_rows = retention::partition_rows(&keep);
        Thread {
            writing,
            keeper,
            joined: None,
            keep: None,
            begun: None,
            count_next: Instant::now() + COUNT_EVERY,
            failing: None,
            is_over: false,
            retry_wait: housekeeping.write_retry_wait,
            work,
            orders,
            teller,
            claims,
        }
        .run();
    })
}

/// Why a batch is not known to be in the database.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// It is not. Nothing keeps it from being tried again.
    Refused(String),
    /// It may be.
    Unknown(String),
    /// It is not, and no other one will be: the node was declared dead.
    Fenced,
}

/// What a node writes with.
#[derive(Debug)]
pub(super) struct Writing {
    store: Store,
    /// The number of the last batch that is in the database.
    number: i64,
    /// Where finished executions go; None until that is known.
    partition: Option<Current>,
    /// How many rows a partition may have.
    pub(super) partition_rows: u64,
    homes: Arc<Mutex<Homes>>,
    doubt: Doubt,
    /// What is history and not counted.
    recent: Recent,
}

/// What has the next number and may be in the database, or get there yet. It stays in doubt until an answer is heard: that of
/// the same once more, or of something else that takes its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    Nothing,
    Beat,
    Batch,
}

/// When something came to be in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// By this try.
    Now,
    /// By one before, whose answer was lost.
    Before,
}

/// The partition that executions are added to.
#[derive(Clone, Copy, Debug)]
struct Current {
    number: i64,
    span: Option<(Second, Second)>,
    rows: u64,
}

impl Writing {
    pub(super) fn new(store: Store, homes: Arc<Mutex<Homes>>) -> Writing {
        Writing {
            store,
            number: 0,
            partition: None,
            partition_rows: PARTITION_ROWS_MAX,
            homes,
            doubt: Doubt::Nothing,
            recent: Recent::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn homes(&self) -> &Arc<Mutex<Homes>> {
        &self.homes
    }

    pub(super) fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Sends a batch, and loses the answer.
    #[cfg(test)]
    pub(super) fn write_unheard(&mut self, batch: &Batch) {
        let current = self.current().expect("it can be known");
        self.send(self.number + 1, current, batch).map(drop).expect("it is there");
        self.doubt = if batch.items.is_empty() { Doubt::Beat } else { Doubt::Batch };
    }

    /// Its number is taken by others, and nobody hears.
    #[cfg(test)]
    pub(super) fn supersede_unheard(&mut self) {
        let number = self.number;
        self.doubt = Doubt::Batch;
        self.supersede(&Batch::default(), &Error::Value("for a test".to_owned())).expect_err("it is refused");
        (self.number, self.doubt) = (number, Doubt::Batch);
    }

    /// A batch is on its way, and may get there yet or never.
    #[cfg(test)]
    pub(super) fn lose_sight(&mut self) {
        self.doubt = Doubt::Batch;
    }

    /// Whether the fence refuses the last batch when it comes once more.
    #[cfg(test)]
    pub(super) fn is_refused_again(&mut self, batch: &Batch) -> bool {
        let current = self.partition.expect("there was a batch");
        self.send(self.number, current, batch).is_err_and(|why| why.sqlstate() == Some(FENCED))
    }

    fn reconnect(&mut self) -> Result<(), Error> {
        // In a transaction that something left behind nothing that follows would be carried out, or committed.
        if !self.store.connection.is_lost() && self.store.connection.transaction() != Transaction::None {
            Session::new(&mut self.store.connection, writing_until()).end()?;
        }
        if self.store.connection.is_lost() {
            let mut connection = connect_to_write(&self.store.url)?;
            // It has its share of the lock that keeps migrations off.
            moving::admit(&mut connection, writing_until()).map_err(|why| Error::Value(why.to_string()))?;
            // Whoever takes this node for dead ends the session that may be in the middle of something. And a commit waits for
            // the standby, if there is to be one: so what is found behind it of earlier ones is not on this server alone.
            let note = "UPDATE nodes SET pid = pg_backend_pid() WHERE id = $1";
            connection.execute(note, &[&self.store.node], writing_until())?;
            self.store.connection = connection;
        }
        Ok(())
    }

    /// Is another node from now on, as the one before is dead. What that had not counted others count.
    pub(super) fn join(&mut self) -> Result<(), Error> {
        self.reconnect()?;
        self.store.join_anew(writing_until())?;
        (self.number, self.doubt, self.recent) = (0, Doubt::Nothing, Recent::default());
        Ok(())
    }

    /// Takes over what is there for this node, which has these shards. If the answer is lost, so is what was taken: nobody
    /// knows what it was, and the node has to be another one.
    pub(super) fn take(&mut self, most: usize, held: &Shards) -> Result<Claim, Unwritten> {
        self.end_doubt()?;
        self.reconnect().map_err(|why| Unwritten::Refused(why.to_string()))?;
        let session = Session::new(&mut self.store.connection, writing_until());
        let taken = taking::take(&session, self.store.node, self.number + 1, most, held);
        match taken {
            Ok(claim) => {
                self.number += 1;
                Ok(claim)
            }
            Err(why) if why.is_lost() => Err(Unwritten::Unknown(why.to_string())),
            Err(why) => {
                // It is in one piece, and so is the connection.
                session.end().ok();
                let is_fenced = why.sqlstate() == Some(FENCED);
                Err(if is_fenced { Unwritten::Fenced } else { Unwritten::Refused(why.to_string()) })
            }
        }
    }

    /// Shows that the node lives, from now on: that it lived when a beat was sent whose answer was lost says less.
    pub(super) fn beat(&mut self) -> Result<(), Unwritten> {
        let beaten = self.attempt(&Batch::default(), Doubt::Beat)?;
        if beaten == Found::Before { self.attempt(&Batch::default(), Doubt::Beat).map(drop) } else { Ok(()) }
    }

    /// Writes a batch, if it is not there already.
    pub(super) fn write(&mut self, batch: &Batch) -> Result<(), Unwritten> {
        self.end_doubt()?;
        self.attempt(batch, Doubt::Batch).map(drop)
    }

    /// What became of a beat is to be known before something else has its number.
    fn end_doubt(&mut self) -> Result<(), Unwritten> {
        if self.doubt != Doubt::Beat {
            return Ok(());
        }
        let beaten = self.attempt(&Batch::default(), Doubt::Beat);
        beaten.map(drop).map_err(|why| match why {
            // Nothing of what comes behind it was sent.
            Unwritten::Unknown(why) | Unwritten::Refused(why) => Unwritten::Refused(why),
            Unwritten::Fenced => Unwritten::Fenced,
        })
    }

    /// Whether a batch was tried that may be in the database.
    pub(super) fn is_batch_in_doubt(&self) -> bool {
        self.doubt == Doubt::Batch
    }

    fn attempt(&mut self, batch: &Batch, doubt: Doubt) -> Result<Found, Unwritten> {
        let tried = self.try_once(batch);
        match &tried {
            Ok(_) => self.doubt = Doubt::Nothing,
            Err(Unwritten::Unknown(_)) => self.doubt = doubt,
            // Nothing came of this try. What was before it is as it was.
            Err(Unwritten::Refused(_) | Unwritten::Fenced) => {}
        }
        tried
    }

    fn try_once(&mut self, batch: &Batch) -> Result<Found, Unwritten> {
        let refused = |why: Error| Unwritten::Refused(why.to_string());
        self.reconnect().map_err(refused)?;
        let current = self.current().map_err(refused)?;
        match self.send(self.number + 1, current, batch) {
            Ok(Written { finished, span }) => {
                self.note(&finished, span);
                Ok(Found::Now)
            }
            Err(why) if why.sqlstate() == Some(FENCED) => self.look(batch),
            // The partition was dropped meanwhile: there is another one.
            Err(why) if why.sqlstate() == Some(NO_TABLE) && self.partition.take().is_some() => self.try_once(batch),
            // The whole of it had left, and nobody knows what became of it.
            Err(why) if why.sent() == Some(Sent::Whole) => Err(Unwritten::Unknown(why.to_string())),
            Err(why @ Error::Server(_)) if self.doubt == Doubt::Batch => self.supersede(batch, &why),
            // What was sent in part is nothing to the server.
            Err(why) => Err(refused(why)),
        }
    }

    /// The server refuses a batch of which an earlier try may be in the database, or get there yet: its number is taken, so that
    /// from then on it cannot. Together with the next one, by which that is told from the batch itself.
    fn supersede(&mut self, batch: &Batch, why: &Error) -> Result<Found, Unwritten> {
        let (node, one, two) = (self.store.node, self.number + 1, self.number + 2);
        let session = Session::new(&mut self.store.connection, writing_until());
        let taken = session.flush_with(|pipeline| {
            pipeline.run(FENCE, &[&node, &one]);
            pipeline.run(FENCE, &[&node, &two]);
        });
        match taken {
            Ok(_) => Err(self.superseded(why.to_string())),
            Err(other) if other.sqlstate() == Some(FENCED) => self.look(batch),
            Err(_) => Err(Unwritten::Unknown(why.to_string())),
        }
    }

    fn superseded(&mut self, why: String) -> Unwritten {
        (self.number, self.doubt) = (self.number + 2, Doubt::Nothing);
        Unwritten::Refused(why)
    }

    /// Whether others have taken this node for dead, as far as that can be known.
    pub(super) fn is_dead(&mut self) -> bool {
        let find = "SELECT dead FROM nodes WHERE id = $1";
        let is_dead = |found: Rows| found.get(0).is_none_or(|row| row.bool(0) != Ok(false));
        let node = self.store.node;
        self.reconnect().and_then(|()| self.store.connection.query(find, &[&node], writing_until())).is_ok_and(is_dead)
    }

    /// Sends a batch with this number.
    fn send<'b>(&mut self, number: i64, current: Current, batch: &'b Batch) -> Result<Written<'b>, Error> {
        let written = WrittenAs { at: clock::wall().0, node: self.store.node, batch: number };
        let place = Place { written, partition: current.number, span: current.span };
        let mut homes = lock(&self.homes);
        let moved = homes.expect(batch.items.iter().map(|(_, item)| item));
        let session = Session::new(&mut self.store.connection, writing_until());
        let sent = batch::write(&session, self.store.vault.as_deref(), (&homes, &moved), batch, &place);
        if sent.is_err() {
            homes.take_back(moved);
        }
        sent
    }

    /// The fence refused a batch: it was written before and nobody heard, or the node is dead.
    fn look(&mut self, batch: &Batch) -> Result<Found, Unwritten> {
        let find = "SELECT batch FROM nodes WHERE id = $1 AND NOT dead";
        let found = self.store.connection.query(find, &[&self.store.node], writing_until());
        let found = found.map_err(|why| Unwritten::Unknown(why.to_string()))?;
        let last = found.get(0).map(|row| row.i64(0)).transpose();
        match last.map_err(|why| Unwritten::Unknown(why.to_string()))? {
            Some(last) if last == self.number + 1 && self.doubt != Doubt::Nothing => {
                lock(&self.homes).expect(batch.items.iter().map(|(_, item)| item));
                self.note(&batch::finished(batch), None);
                Ok(Found::Before)
            }
            Some(last) if last == self.number + 2 && self.doubt == Doubt::Batch => {
                Err(self.superseded("what may have become of it is known: nothing".to_owned()))
            }
            Some(_) | None => Err(Unwritten::Fenced),
        }
    }

    /// The next batch is in the database.
    fn note(&mut self, finished: &[&LedgerRow], span: Option<(Second, Second)>) {
        self.number += 1;
        if let Some(current) = &mut self.partition {
            current.span = span.or(current.span);
            for row in finished {
                self.recent.add_to(current.number, row);
                current.rows += 1;
            }
        }
    }

    /// Where finished executions go.
    fn current(&mut self) -> Result<Current, Error> {
        let is_full = self.partition.is_some_and(|current| current.rows >= self.partition_rows);
        if let Some(current) = self.partition.filter(|_| !is_full) {
            return Ok(current);
        }
        let connection = &mut self.store.connection;
        let newest = partitions::newest(connection, writing_until())?;
        let is_known = newest.is_some() && newest == self.partition.map(|current| current.number);
        let number = match newest {
            Some(newest) if !is_known => newest,
            Some(_) | None => match partitions::begin(connection, newest, soon()) {
                Ok(number) => number,
                Err(why) => {
                    Session::new(connection, soon()).end().ok();
                    return Err(why);
                }
            },
        };
        let known = "SELECT rows FROM partitions WHERE number = $1";
        let rows = connection.query(known, &[&number], writing_until())?.first()?.i64(0)?.unsigned_abs();
        let current = Current { number, span: None, rows };
        self.partition = Some(current);
        Ok(current)
    }

    /// What is history and was not given to be counted, and through which batch that is.
    pub(super) fn take_recent(&mut self) -> Option<(Recent, i64)> {
        (!self.recent.is_empty()).then(|| (std::mem::take(&mut self.recent), self.number))
    }

    /// It could not be given: it comes before what follows.
    fn give_back(&mut self, recent: Recent) {
        self.recent = Recent::after(Some(recent), std::mem::take(&mut self.recent));
    }
}

/// Until when a call may take by which something is written.
fn writing_until() -> MonoUs {
    clock::mono().plus(STORE_WRITE_TIME_MAX)
}

/// Nobody panics while it is locked; what is in it is right between any two steps.
pub(super) fn lock(homes: &Mutex<Homes>) -> MutexGuard<'_, Homes> {
    homes.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Thread {
    writing: Writing,
    keeper: Keeper,
    /// Which node this is, and how much is to be kept, until the keeper has heard it.
    joined: Option<i64>,
    keep: Option<Keep>,
    /// The partition that it knows of.
    begun: Option<i64>,
    count_next: Instant,
    /// When it was said last that writing fails.
    failing: Option<Instant>,
    /// Whether the node is dead: what comes is dropped until it is another one.
    is_over: bool,
    /// The wait between two tries of a batch.
    retry_wait: Duration,
    work: Work,
    orders: Receiver<Order>,
    teller: SharedTeller,
    claims: Sender<(i64, Claim)>,
}

impl Thread {
    fn run(mut self) {
        loop {
            let rest = self.count_next.saturating_duration_since(Instant::now());
            select! {
                recv(self.work.batches) -> batch => match batch {
                    Ok((_, batch)) => self.write(batch),
                    Err(_) => break,
                },
                recv(self.orders) -> order => match order {
                    Ok(order) => self.follow(order),
                    Err(_) => self.orders = never(),
                },
                default(rest) => {}
            }
            self.look_around();
        }
        self.keeper.end(self.joined, self.writing.take_recent());
        // Others need not wait then; if this fails, they do.
        drop(self.writing.store().leave());
    }

    fn follow(&mut self, order: Order) {
        if self.is_over && !matches!(order, Order::Join) {
            return;
        }
        let sent = clock::mono();
        match order {
            Order::Join => self.join(),
            Order::Beat => match self.writing.beat() {
                Ok(()) => self.acknowledge(sent),
                Err(Unwritten::Fenced) => self.end_node(),
                // It is asked for again by whoever waits for it in vain.
                Err(Unwritten::Refused(why) | Unwritten::Unknown(why)) => {
                    self.teller.tell(SharedEvent::NotBeaten);
                    self.say_failing(why, Vec::new());
                }
            },
            Order::Take { most, held } => match self.writing.take(most, &held) {
                Ok(claim) => {
                    self.acknowledge(sent);
                    // It ends when this does.
                    drop(self.claims.send((self.writing.store.node, claim)));
                }
                Err(Unwritten::Refused(why)) => {
                    self.teller.tell(SharedEvent::NotTaken);
                    self.teller.tell(SharedEvent::Failed { what: "taking over", why });
                }
                Err(Unwritten::Unknown(_) | Unwritten::Fenced) => self.end_node(),
            },
        }
    }

    fn acknowledge(&mut self, sent: MonoUs) {
        self.say_working();
        self.teller.tell(SharedEvent::Acknowledged(sent));
    }

    /// The node is dead, or is to be.
    fn end_node(&mut self) {
        self.is_over = true;
        self.work.tell(WriterEvent::Fenced);
    }

    /// Becomes another node, for as long as that takes.
    fn join(&mut self) {
        while let Err(why) = self.writing.join() {
            self.say_failing(format!("joining the others anew: {why}"), Vec::new());
            std::thread::sleep(self.retry_wait);
            if self.drop_batches() {
                return;
            }
        }
        self.drop_batches();
        self.is_over = false;
        self.joined = Some(self.writing.store.node);
        self.say_working();
        self.work.tell(WriterEvent::Joined);
        let node = self.writing.store.node();
        self.teller.tell(SharedEvent::Joined(node));
    }

    /// What came for the node before. Whether no more will come.
    fn drop_batches(&self) -> bool {
        loop {
            match self.work.batches.try_recv() {
                Ok(_) => {}
                Err(why) => return why == TryRecvError::Disconnected,
            }
        }
    }

    /// Writes a batch, for as long as it takes.
    fn write(&mut self, mut batch: Batch) {
        if self.is_over {
            return;
        }
        let (began, mut sent) = (Instant::now(), clock::mono());
        let through = batch.items.last().map(|&(number, _)| number);
        loop {
            match self.writing.write(&batch) {
                Ok(()) => break,
                Err(Unwritten::Fenced) => return self.end_node(),
                Err(Unwritten::Refused(why) | Unwritten::Unknown(why)) => self.fail(why, &mut batch),
            }
            std::thread::sleep(self.retry_wait);
            // A batch that is refused before it comes to its fence does not hear of that by it.
            if self.writing.is_dead() {
                return self.end_node();
            }
            if !self.writing.is_batch_in_doubt() {
                sent = clock::mono();
            }
        }
        self.say_working();
        self.work.tell(WriterEvent::Committed { through, held_up: Duration::ZERO, wrote: began.elapsed(), sent });
    }

    /// Says that writing fails. If nothing of the batch can be in the database, the changes in it are given up: their
    /// clients hear at once that nothing has changed. If it may be there, it is tried again as it is until that is known.
    fn fail(&mut self, why: String, batch: &mut Batch) {
        let rejected = if self.writing.is_batch_in_doubt() { Vec::new() } else { give_up_changes(batch) };
        self.say_failing(why, rejected);
    }

    /// Says that writing fails, and once in a while that it still does.
    fn say_failing(&mut self, why: String, rejected: Vec<u64>) {
        if self.failing.is_none_or(|told| told.elapsed() >= FAILING_TOLD_EVERY) || !rejected.is_empty() {
            self.failing = Some(Instant::now());
            self.work.tell(WriterEvent::Failing { why, rejected });
        }
    }

    fn say_working(&mut self) {
        if self.failing.take().is_some() {
            self.work.tell(WriterEvent::Working);
        }
    }

    /// Gives what ended to be counted, and passes on how much is kept.
    fn look_around(&mut self) {
        let now = Instant::now();
        if let Ok(keep) = self.work.keeps.try_recv() {
            self.writing.partition_rows = retention::partition_rows(&keep);
            self.keep = Some(keep);
        }
        if let Some(node) = self.joined.take()
            && self.keeper.tell(Told::Joined(node)).is_err()
        {
            // It may be in the middle of something that takes long. What ended since comes behind this.
            self.joined = Some(node);
            return;
        }
        if let Some(keep) = self.keep.take()
            && self.keeper.tell(Told::Keep(keep)).is_err()
        {
            self.keep = Some(keep);
        }
        let partition = self.writing.partition.map(|current| current.number);
        if partition != self.begun && self.keeper.tell(Told::Begun).is_ok() {
            self.begun = partition;
        }
        if self.count_next <= now || self.writing.recent.rows >= COUNT_ROWS_MAX {
            self.count_next = now + COUNT_EVERY;
            if let Some((recent, batch)) = self.writing.take_recent()
                && let Err(Told::Ended(recent, _)) = self.keeper.tell(Told::Ended(recent, batch))
            {
                self.writing.give_back(recent);
            }
        }
    }
}

/// Takes the changes out of a batch of which nothing is in the database: their numbers.
fn give_up_changes(batch: &mut Batch) -> Vec<u64> {
    let mut rejected = Vec::new();
    batch.items.retain(|(number, item)| {
        let stays = match item {
            Persist::Change(_) | Persist::Calendar(_) | Persist::Setting(_) | Persist::Runs(_) => false,
            Persist::Row(..) | Persist::Remove(_) | Persist::Incident(_) => true,
            Persist::Release { .. } | Persist::HandOver(_) => true,
        };
        rejected.extend((!stays).then_some(*number));
        stays
    });
    batch.answers.retain(|(number, _)| rejected.binary_search(number).is_err());
    batch.audits.retain(|(number, _)| number.is_none_or(|number| rejected.binary_search(&number).is_err()));
    rejected
}
