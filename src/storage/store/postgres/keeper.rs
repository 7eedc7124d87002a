//! Owns what a node does beside writing batches, on a thread and a connection of its own: counting what ended, retention, the
//! ageing of series.
//! It must not hold up a batch, nor count anything that is not in the database.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::counts::Recent;
use super::open::{connect_to_write, soon};
use super::session::Session;
use super::{ageing, counts, partitions, retention, taking};
use crate::background;
use crate::clock;
use crate::limits::{BEAT_EVERY, FORWARDED_KEPT};
use crate::postgres::{Connection, Error, Url};
use crate::store::sql::{Sql, values};
use crate::store::writing::Teller;
use crate::store::{Housekeeping, Keep, WriterEvent};
use crate::time::{Steady, WallUs};

/// The rest between two slices.
const PACE: Duration = Duration::from_millis(20);
/// What is told to fail if the view of partitions cannot be made.
const SHOWING: &str = "the view of history";
/// For how long a node that is no more is still known, in microseconds.
const NODE_KEPT_US: i64 = 86_400_000_000;
/// What may wait for the thread.
const WAITING_MAX: usize = 4;

/// What it is told.
#[derive(Debug)]
pub(super) enum Told {
    /// This is history, through this batch, and is to be counted.
    Ended(Recent, i64),
    /// From now on so much is kept.
    Keep(Keep),
    /// There is another partition.
    Begun,
    /// It keeps house for this node from now on. What the one before had not counted is counted by whoever finds that.
    Joined(i64),
}

/// The running keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    tell: Option<Sender<Told>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts it for a node.
    pub(super) fn start(
        (url, node): (Url, i64),
        keep: Keep,
        housekeeping: Housekeeping,
        teller: Teller,
    ) -> io::Result<Keeper> {
        let (tell, told) = bounded(WAITING_MAX);
        let now = Instant::now();
        let thread = Thread {
            url,
            connection: None,
            node,
            keep,
            counting: None,
            uncounted: None,
            shown: Vec::new(),
            retain_next: now + housekeeping.retain_look_every.min(housekeeping.retain_every / 10),
            age_next: now + housekeeping.series_look_every / 10,
            housekeeping,
            steady: None,
            teller,
        };
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            background::give_way();
            thread.run(&told);
        })?;
        Ok(Keeper { tell: Some(tell), thread: Some(thread) })
    }

    /// Tells it something; gives it back while it has not come to what it was told before.
    pub(super) fn tell(&self, told: Told) -> Result<(), Told> {
        let tell = self.tell.as_ref().expect("it runs until it is ended");
        tell.try_send(told).map_err(|refused| refused.into_inner())
    }

    /// Ends it after what it was told, and after this: which node it keeps house for, and what ended last.
    pub(super) fn end(&mut self, joined: Option<i64>, last: Option<(Recent, i64)>) {
        if let Some(tell) = self.tell.take() {
            let joined = joined.map(Told::Joined);
            let last = last.map(|(recent, batch)| Told::Ended(recent, batch));
            // It is gone if it panicked.
            joined.into_iter().chain(last).for_each(|told| drop(tell.send(told)));
        }
        if let Some(thread) = self.thread.take() {
            // It panicked: that was printed, and the next start counts what was not counted.
            drop(thread.join());
        }
    }
}

struct Thread {
    url: Url,
    connection: Option<Connection>,
    node: i64,
    keep: Keep,
    housekeeping: Housekeeping,
    /// What is being counted, and through which batch that is. A try may have been carried out, so nothing is added to it.
    counting: Option<(Recent, i64)>,
    /// What is to be counted then.
    uncounted: Option<(Recent, i64)>,
    /// The partitions that the view shows, as far as that is known.
    shown: Vec<i64>,
    retain_next: Instant,
    age_next: Instant,
    /// What age counts from.
    steady: Option<Steady>,
    teller: Teller,
}

impl Thread {
    fn run(mut self, told: &Receiver<Told>) {
        loop {
            match told.recv_timeout(self.rest()) {
                Ok(Told::Keep(keep)) => (self.keep, self.retain_next) = (keep, Instant::now()),
                Ok(Told::Begun) => {
                    let shown = self.show();
                    self.tell_failed(shown.err(), SHOWING);
                }
                Ok(Told::Joined(node)) => (self.node, self.counting, self.uncounted) = (node, None, None),
                Ok(Told::Ended(recent, batch)) => {
                    let before = self.uncounted.take().map(|(before, _)| before);
                    self.uncounted = Some((Recent::after(before, recent), batch));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.keep_house();
        }
        // If this fails, the next start counts it.
        drop(self.count());
    }

    fn rest(&self) -> Duration {
        let due = self.retain_next.min(self.age_next).saturating_duration_since(Instant::now());
        if self.counting.is_some() { due.min(BEAT_EVERY) } else { due }
    }

    fn connection(&mut self) -> Result<&mut Connection, Error> {
        if self.connection.as_ref().is_none_or(Connection::is_lost) {
            self.connection = Some(connect_to_write(&self.url)?);
        }
        Ok(self.connection.as_mut().expect("it was just made"))
    }

    /// At most one slice of each kind. What fails is told, and tried again later.
    fn keep_house(&mut self) {
        let counted = self.count();
        self.tell_failed(counted.err(), "the counts");
        let now = Instant::now();
        if self.retain_next > now && self.age_next > now {
            return;
        }
        // One node does this for all.
        let is_first = self.is_first();
        let Ok(true) = is_first else {
            let rest = if is_first.is_ok() { BEAT_EVERY * 4 } else { self.housekeeping.retain_look_every };
            (self.retain_next, self.age_next) = (self.retain_next.max(now + rest), self.age_next.max(now + rest));
            return self.tell_failed(is_first.err(), "retention");
        };
        if self.retain_next <= now {
            let shown = self.show();
            self.tell_failed(shown.err(), SHOWING);
            let keep = self.keep;
            let buried = self.connection().and_then(bury_nodes).and_then(|()| self.surely());
            let done = buried.and_then(|surely| retention::slice(self.connection()?, &keep, surely));
            let rest = if matches!(done, Ok(true)) { PACE } else { self.housekeeping.retain_look_every };
            self.retain_next = Instant::now() + rest;
            self.tell_failed(done.err(), "retention");
        }
        if self.age_next <= now {
            let surely = self.surely();
            let done = surely.and_then(|surely| ageing::slice(&Session::new(self.connection()?, soon()), surely));
            let rest = if matches!(done, Ok(true)) { PACE } else { self.housekeeping.series_look_every };
            self.age_next = Instant::now() + rest;
            self.tell_failed(done.err(), "the series");
        }
    }

    /// What time it surely is.
    fn surely(&mut self) -> Result<WallUs, Error> {
        let mut steady = self.steady;
        let surely = retention::surely(&Session::new(self.connection()?, soon()), &mut steady);
        self.steady = steady;
        surely
    }

    /// Whether the node has the first shard, and with it what belongs to none.
    fn is_first(&mut self) -> Result<bool, Error> {
        let node = self.node;
        let session = Session::new(self.connection()?, soon());
        let owner = session.first("SELECT owner FROM shards WHERE shard = 0", &[], |row| row.get::<Option<i64>>(0))?;
        Ok(owner.flatten() == Some(node))
    }

    fn count(&mut self) -> Result<(), Error> {
        let node = self.node;
        while let Some((recent, batch)) = self.counting.take().or_else(|| self.uncounted.take()) {
            let counted = self
                .connection()
                .and_then(|connection| recent.flush(&Session::new(connection, soon()), node, batch, clock::wall()));
            if counted.is_err() {
                self.counting = Some((recent, batch));
                return counted;
            }
        }
        Ok(())
    }

    /// Lets people see partitions that are new.
    fn show(&mut self) -> Result<(), Error> {
        let connection = self.connection()?;
        let there = partitions::all(&Session::new(connection, soon()))?;
        let there: Vec<i64> = there.iter().map(|partition| partition.number).collect();
        if there != self.shown {
            partitions::show(self.connection()?, soon())?;
            self.shown = there;
        }
        Ok(())
    }

    fn tell_failed(&mut self, why: Option<Error>, chore: &'static str) {
        if let Some(why) = why {
            // What was begun is given up.
            if let Some(connection) = &mut self.connection {
                Session::new(connection, soon()).end().ok();
            }
            self.teller.tell(WriterEvent::ChoreFailed { chore, why: format!("{why}; it is tried again later") });
        }
    }
}

/// Counts what dead nodes had not counted, and forgets those of which nothing is left. A number is never used again, so
/// nothing is lost with them.
pub(super) fn bury_nodes(connection: &mut Connection) -> Result<(), Error> {
    let session = Session::new(connection, soon());
    let uncounted = "SELECT id FROM nodes WHERE dead AND counted < batch ORDER BY id";
    for node in session.all(uncounted, &[], |row| row.get::<i64>(0))? {
        session.run("BEGIN", &[])?;
        counts::lock(&session, node)?;
        let is_open = "SELECT 1::int8 FROM nodes WHERE id = ?1 AND counted < batch";
        if session.first(is_open, values![node], |row| row.get::<i64>(0))?.is_some() {
            counts::uncounted(&session, Some(node))?.write(&session)?;
            session.run("UPDATE nodes SET counted = batch WHERE id = ?1", values![node])?;
        }
        session.run("COMMIT", &[])?;
    }
    taking::settle(&session)?;
    let now = clock::wall().0;
    let forget = "DELETE FROM nodes WHERE settled AND counted >= batch AND started_at < ?1";
    session.run(forget, values![now - NODE_KEPT_US])?;
    let kept_us = i64::try_from(FORWARDED_KEPT.as_micros()).unwrap_or(i64::MAX);
    session.run("DELETE FROM requests WHERE asked_at < ?1", values![now - kept_us])?;
    session.flush()
}
