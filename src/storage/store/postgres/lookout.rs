//! Owns the thread that looks how the cluster is, and does what else a node has to do with the others beside its batches.
//! It must not conclude anything from what it sees.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::load::Unread;
use super::open::connect;
use super::requests::NOW;
use super::session::Session;
use super::{load, requests};
use crate::background;
use crate::clock;
use crate::cluster::{NodeSeen, Seen};
use crate::core::{NodeId, RequestId};
use crate::limits::{ASKS_PENDING_MAX, FORWARD_TIME_MAX, LOOK_TIME_MAX, REVOKE_PATIENCE, STORE_LOAD_TIME_MAX};
use crate::postgres::{Connection, Done, Error, Sent, Url};
use crate::store::sharing::{Ask, NodeInfo, Owner, SharedEvent, SharedTeller, Sight, Unplaced};
use crate::store::sql::{Bad, Row, Sql, bad, integer, values};
use crate::store::tables::secrets::{self, Unopened};
use crate::store::{SharedConfig, StoredAnswer};
use crate::time::{MonoUs, WallUs};
use crate::vault::Vault;

/// The SQLSTATE of a lock that was not to be had in time (`lock_not_available`).
const NO_LOCK: &str = "55P03";
/// The rest after the server could not be reached.
const RETRY_WAIT: Duration = Duration::from_millis(50);

/// What it looks with.
pub(super) struct Lookout {
    url: Url,
    vault: Option<Arc<Vault>>,
    teller: SharedTeller,
    connection: Option<Connection>,
    /// How far the clock of the database is ahead of this machine's monotonic one, at least, in microseconds.
    ahead_us: i64,
    /// Answers to others that could not be given yet.
    owed: VecDeque<Owed>,
    /// Whether it was said that something fails.
    is_failing: bool,
}

/// An answer to another node that could not be given.
struct Owed {
    /// Who took up the request.
    node: NodeId,
    id: u64,
    answer: Option<StoredAnswer>,
    /// How often it is tried yet: what is too large for the line must not hold up all else for ever.
    tries: u32,
}

/// How often an answer is tried for which the time is not enough.
const ANSWER_TRIES: u32 = 3;

/// Until when a call may take of which the next one need not know.
fn shortly() -> MonoUs {
    clock::mono().plus(LOOK_TIME_MAX)
}

impl Lookout {
    pub(super) fn new(url: Url, vault: Option<Arc<Vault>>, teller: SharedTeller) -> Lookout {
        Lookout { url, vault, teller, connection: None, ahead_us: 0, owed: VecDeque::new(), is_failing: false }
    }

    /// Starts it; it ends with whoever asks.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub(super) fn start(mut self, asks: Receiver<(NodeId, Ask)>) -> io::Result<()> {
        std::thread::Builder::new().name("lookout".to_owned()).spawn(move || {
            background::give_way();
            for (node, ask) in asks {
                self.do_one(node, &ask);
            }
        })?;
        Ok(())
    }

    /// Does one thing. What fails is told, or is asked for again in time.
    pub(super) fn do_one(&mut self, node: NodeId, ask: &Ask) {
        let done = self.tell_owed().and_then(|()| self.try_one(node, ask));
        match done {
            Ok(()) => self.is_failing = false,
            Err(why) => {
                if let Some(answer) = answer_to(ask, &why) {
                    self.teller.tell(SharedEvent::Answered(vec![answer]));
                }
                if matches!(ask, Ask::Config) {
                    self.teller.tell(SharedEvent::ConfigUnread);
                }
                // What was begun is given up.
                if let Some(connection) = &mut self.connection {
                    Session::new(connection, shortly()).end().ok();
                }
                if !std::mem::replace(&mut self.is_failing, true) {
                    let why = why.to_string();
                    self.teller.tell(SharedEvent::Failed { what: "looking how the other nodes are", why });
                }
                // Somebody waits for it, whatever fails meanwhile.
                if let Ask::Answer { id, answer } = ask
                    && self.owed.len() < ASKS_PENDING_MAX
                {
                    self.owed.push_back(Owed { node, id: *id, answer: answer.clone(), tries: ANSWER_TRIES });
                }
                std::thread::sleep(RETRY_WAIT);
            }
        }
    }

    /// Gives the answers that could not be given before.
    fn tell_owed(&mut self) -> Result<(), Error> {
        while let Some(mut owed) = self.owed.pop_front() {
            let told = self.connect().and_then(|()| self.answer(owed.node, owed.id, owed.answer.as_ref()));
            if let Err(why) = told {
                // A server that cannot be reached says nothing about what is sent there.
                owed.tries -= u32::from(matches!(why, Error::Timeout { .. }));
                if owed.tries > 0 {
                    self.owed.push_front(owed);
                }
                return Err(why);
            }
        }
        Ok(())
    }

    fn connect(&mut self) -> Result<(), Error> {
        if self.connection.as_ref().is_none_or(Connection::is_lost) {
            let mut connection = connect(&self.url)?;
            let now = connection.query(&format!("SELECT {NOW}"), &[], shortly())?.first()?.i64(0)?;
            self.note_their_time(now);
            self.connection = Some(connection);
        }
        Ok(())
    }

    /// The database has just said what time it is: a moment ago, so that a request is taken to be rather too old than too
    /// young.
    fn note_their_time(&mut self, theirs: i64) {
        self.ahead_us = theirs - integer(clock::mono().0);
    }

    fn answer(&mut self, node: NodeId, id: u64, answer: Option<&StoredAnswer>) -> Result<(), Error> {
        let me = integer(node.0);
        match answer {
            Some(answer) => requests::answer(&self.session(), me, id, answer),
            None => requests::give_back(&self.session(), me, id),
        }
    }

    fn try_one(&mut self, node: NodeId, ask: &Ask) -> Result<(), Error> {
        self.connect()?;
        let me = integer(node.0);
        match ask {
            Ask::Look { asked } => self.look(node, *asked),
            Ask::Revoke { node, beat } => self.revoke(integer(node.0), integer(*beat)),
            Ask::Leave(None) => {
                let session = self.session();
                session.run("UPDATE nodes SET leaving = true WHERE id = ?1", values![me])?;
                session.flush()
            }
            Ask::Leave(Some((request, name))) => {
                let leave = "UPDATE nodes SET leaving = true WHERE name = ?1 AND NOT dead";
                let left = self.session().count(leave, values![&**name])?;
                let answer = if left > 0 { Ok(done()) } else { Err(Unplaced::NoNode) };
                self.teller.tell(SharedEvent::Answered(vec![(*request, answer)]));
                Ok(())
            }
            Ask::Config => {
                let config = self.config()?;
                self.teller.tell(SharedEvent::Config(Box::new(config)));
                Ok(())
            }
            Ask::Forward { request, asked, to, text } => {
                if clock::mono() > asked.plus(FORWARD_TIME_MAX) {
                    self.teller.tell(SharedEvent::Answered(vec![(*request, Err(Unplaced::Late))]));
                    return Ok(());
                }
                let (vault, asked_at) = (self.vault.clone(), self.ahead_us + integer(asked.0));
                if !requests::forward(&self.session(), vault.as_deref(), me, (*request, asked_at), to, text)? {
                    self.teller.tell(SharedEvent::Answered(vec![(*request, Err(nobody(to)))]));
                }
                Ok(())
            }
            Ask::Answer { id, answer } => self.answer(node, *id, answer.as_ref()),
        }
    }

    fn session(&mut self) -> Session<'_> {
        Session::new(self.connection.as_mut().expect("it was just made"), shortly())
    }

    fn look(&mut self, node: NodeId, asked: MonoUs) -> Result<(), Error> {
        let (me, wall) = (integer(node.0), clock::wall());
        let mut seen = self.session().flush_with(|pipeline| {
            pipeline.run(
                "SELECT id, beat, dead, leaving, name, version, started_at, fenced FROM nodes n WHERE NOT dead \
                 OR EXISTS (SELECT 1 FROM shards s WHERE s.owner = n.id) ORDER BY id",
                &[],
            );
            pipeline.run("SELECT owner FROM shards ORDER BY shard", &[]);
            // Only while something is left of a dead node the ledger is looked through.
            pipeline.run(
                "SELECT EXISTS (SELECT 1 FROM ledger l JOIN shards s ON s.shard = l.shard \
                 WHERE l.node = $1 AND l.known AND s.owner = $1) \
                 OR CASE WHEN EXISTS (SELECT 1 FROM nodes WHERE dead AND NOT settled) THEN EXISTS (SELECT 1 FROM ledger l \
                 JOIN shards s ON s.shard = l.shard LEFT JOIN nodes n ON n.id = l.node \
                 WHERE s.owner = $1 AND (n.id IS NULL OR n.dead)) ELSE false END",
                &[&me],
            );
            pipeline.run(
                "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS int8), \
                 (SELECT value FROM config_version), current_setting('synchronous_commit') = 'off'",
                &[],
            );
            requests::look(pipeline, &me);
        })?;
        let took_us = i64::try_from(clock::mono().0.saturating_sub(asked.0)).unwrap_or(0);
        let unanswered = seen.pop().map(|done| requests::unanswered(&done)).transpose()?.unwrap_or_default();
        let mut answered = seen.pop().map(|done| requests::answered(&done)).transpose()?.unwrap_or_default();
        answered.extend(unanswered);
        let vault = self.vault.as_deref();
        let taken = seen.pop().map(|done| requests::asked(&done, vault)).transpose()?.unwrap_or_default();
        let (sight, theirs) = sight(asked, wall, took_us, &seen)?;
        self.note_their_time(theirs);
        self.teller.tell(SharedEvent::Seen(node, Box::new(sight)));
        if !taken.is_empty() {
            self.teller.tell(SharedEvent::Asked(taken));
        }
        if !answered.is_empty() {
            self.teller.tell(SharedEvent::Answered(answered));
        }
        Ok(())
    }

    /// Marks a node as dead if its beat is still this one. Its session is ended, also if it holds that up: it may be in the
    /// middle of a batch that will never be sent as a whole, and have locked what others are to take over.
    fn revoke(&mut self, other: i64, beat: i64) -> Result<(), Error> {
        let revoke = format!(
            "BEGIN; SET LOCAL lock_timeout TO '{}ms'; UPDATE nodes SET dead = true WHERE id = {other} AND NOT dead \
             AND beat = {beat}; COMMIT",
            REVOKE_PATIENCE.as_millis()
        );
        let connection = self.connection.as_mut().expect("it was just made");
        match connection.batch(&revoke, shortly()) {
            Err(why) if why.sqlstate() == Some(NO_LOCK) => self.session().end()?,
            done => done?,
        }
        // Its number may be another's by now.
        let end = "SELECT pg_terminate_backend(a.pid) FROM nodes n JOIN pg_stat_activity a ON a.pid = n.pid \
                   WHERE n.id = ?1 AND n.beat = ?2 AND a.datname = current_database() AND a.usename = current_user \
                   AND a.pid <> pg_backend_pid() AND NOT EXISTS \
                   (SELECT 1 FROM nodes other WHERE other.pid = n.pid AND other.id > n.id AND NOT other.dead)";
        let session = self.session();
        session.run(end, values![other, beat])?;
        session.flush()
    }

    fn config(&mut self) -> Result<SharedConfig, Error> {
        let vault = self.vault.clone();
        let connection = self.connection.as_mut().expect("it was just made");
        let session = Session::new(connection, clock::mono().plus(STORE_LOAD_TIME_MAX));
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", &[])?;
        let secrets = secrets::open_of_channels(&session, vault.as_deref());
        let secrets = secrets.map_err(|why| match why {
            Unopened::Unread(why) => why,
            why => match Unread::from(why) {
                Unread::Now(why) => Error::Value(why),
                Unread::Here(why) => {
                    self.teller.tell(SharedEvent::Unfit(why.clone()));
                    Error::Value(why)
                }
            },
        })?;
        let config = load::config(&session, &secrets)?;
        session.end()?;
        Ok(config)
    }
}

/// What is to be told of something that failed by this to who waits for its answer.
fn answer_to(ask: &Ask, why: &Error) -> Option<(RequestId, Result<StoredAnswer, Unplaced>)> {
    match ask {
        // It may arrive yet, and be answered: until it is too old whoever asked must not go on as if it were over.
        Ask::Forward { .. } if why.sent() == Some(Sent::Whole) => None,
        Ask::Forward { request, .. } => Some((*request, Err(Unplaced::Late))),
        Ask::Leave(Some((request, _))) => Some((*request, Err(Unplaced::Failed))),
        Ask::Look { .. } | Ask::Revoke { .. } | Ask::Leave(None) | Ask::Config | Ask::Answer { .. } => None,
    }
}

/// What there is none of.
fn nobody(to: &Owner) -> Unplaced {
    match to {
        // There are always all of them.
        Owner::Shard(_) | Owner::PastJob(_) => Unplaced::Failed,
        Owner::Job(_) => Unplaced::NoJob,
        Owner::Incident(_) => Unplaced::NoIncident,
        Owner::Node(_) => Unplaced::NoNode,
    }
}

/// It was done, and there is nothing to say about it.
fn done() -> StoredAnswer {
    StoredAnswer { status: 204, headers: Vec::new(), body: Vec::new() }
}

/// By how much a clock that showed this when something was asked is ahead of that of who answered, at least: theirs is of some
/// moment between question and answer, which may be far apart.
pub(super) fn skew_us(asked: WallUs, took_us: i64, theirs_us: i64) -> i64 {
    0.clamp(asked.0 - theirs_us, asked.0 + took_us - theirs_us)
}

/// What was seen, and what time it was for the database.
fn sight(asked: MonoUs, wall: WallUs, took_us: i64, seen: &[Done]) -> Result<(Sight, i64), Bad> {
    let [nodes, shards, rows, now] = seen else { return Err(bad(0, "four answers are expected")) };
    let mut all = Vec::new();
    for row in nodes.rows.iter() {
        let row = Row(&row);
        let node =
            NodeSeen { id: NodeId(row.get(0)?), beat: row.get(1)?, is_dead: row.get(2)?, is_leaving: row.get(3)? };
        let info =
            NodeInfo { name: row.get(4)?, version: row.get(5)?, started_at: WallUs(row.get(6)?), fenced: row.get(7)? };
        all.push((node, info));
    }
    let mut owners = Vec::new();
    for row in shards.rows.iter() {
        let row = Row(&row);
        owners.push(row.get::<Option<u64>>(0)?.map(NodeId));
    }
    let has_rows_for_me = rows.rows.iter().next().map(|row| Row(&row).get(0)).transpose()?.unwrap_or_default();
    let (theirs, config, may_lose_commits) = match now.rows.iter().next().as_ref().map(|row| Row(row)) {
        Some(row) => (row.get::<i64>(0)?, row.get::<Option<u64>>(1)?.unwrap_or_default(), row.get::<bool>(2)?),
        None => return Err(bad(0, "the database does not tell its time")),
    };
    let (nodes, infos): (Vec<NodeSeen>, Vec<NodeInfo>) = all.into_iter().unzip();
    let skew_us = skew_us(wall, took_us, theirs);
    let seen = Seen { asked, nodes, owners, has_rows_for_me };
    Ok((Sight { seen, nodes: infos, skew_us, config, may_lose_commits }, theirs))
}
