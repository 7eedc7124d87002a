//! Owns the thread that reads what was taken over, beside the writer: with many jobs that takes longer than a node may be silent.
//! It must not change what it reads: from the takeover on, its node is the only one that does.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::homes::Homes;
use super::load::{self, Unread};
use super::open::connect;
use super::session::Session;
use super::taking::Claim;
use super::writer::lock;
use crate::background;
use crate::clock;
use crate::core::{NodeId, StoredJob};
use crate::job::Context;
use crate::limits::{STORE_LOAD_TIME_MAX, TAKEN_AT_ONCE};
use crate::postgres::{Connection, Url};
use crate::schedule::Zones;
use crate::store::Taken;
use crate::store::sharing::{SharedEvent, SharedTeller};
use crate::store::sql::Sql;
use crate::vault::Vault;

/// The rest after what failed first; it doubles each time.
const RETRY_WAIT: Duration = Duration::from_millis(200);
/// And the longest.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(10);

/// What is read with.
pub(super) struct Loader {
    pub(super) url: Url,
    pub(super) vault: Option<Arc<Vault>>,
    pub(super) zones: Zones,
    /// Where jobs are that say it themselves.
    pub(super) homes: Arc<Mutex<Homes>>,
    /// Which node this server is; 0: none.
    pub(super) me: Arc<AtomicU64>,
    pub(super) teller: SharedTeller,
}

impl Loader {
    /// Starts it. What was taken over by a node is given to it; it ends with whoever gives.
    ///
    /// # Errors
    /// When a thread cannot be had.
    pub(super) fn start(self) -> io::Result<Sender<(i64, Claim)>> {
        // A node takes over one thing at a time; whoever gives must never wait, as it also shows that the node lives.
        let (claims, claimed) = unbounded();
        std::thread::Builder::new().name("loader".to_owned()).spawn(move || {
            background::give_way();
            self.run(&claimed);
        })?;
        Ok(claims)
    }

    fn run(self, claimed: &Receiver<(i64, Claim)>) {
        let mut connection: Option<Connection> = None;
        for (node, claim) in claimed {
            let (id, mut rest) = (NodeId(node.unsigned_abs()), RETRY_WAIT);
            // It goes on until all is there: nobody else has it, as long as this server is that node.
            while self.me.load(Ordering::Relaxed) == id.0 {
                match self.read(&mut connection, node, &claim) {
                    Ok(taken) => {
                        self.teller.tell(SharedEvent::Taken(id, Box::new(taken)));
                        break;
                    }
                    Err(why) => {
                        // Of what cannot be read as it is the next try says the same; a database comes back at any time.
                        rest = match &connection {
                            Some(answering) if !answering.is_lost() => (rest * 2).min(RETRY_WAIT_MAX),
                            Some(_) | None => RETRY_WAIT,
                        };
                        connection = None;
                        if !self.teller.tell(why.told(id)) {
                            return;
                        }
                        std::thread::sleep(rest);
                    }
                }
            }
        }
    }

    fn read(&self, kept: &mut Option<Connection>, node: i64, claim: &Claim) -> Result<Taken, Unread> {
        if kept.as_ref().is_none_or(Connection::is_lost) {
            *kept = Some(connect(&self.url)?);
        }
        let connection = kept.as_mut().expect("it was just made");
        let session = Session::new(connection, clock::mono().plus(STORE_LOAD_TIME_MAX));
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ", &[])?;
        let opened = load::secrets_in(&session, &claim.new, self.vault.as_deref())?;
        let context = Context { zones: Some(&self.zones), ..Context::at(clock::wall().floor()) };
        let mut jobs: Vec<StoredJob> = Vec::new();
        let mut hand_on = |job: StoredJob| {
            lock(&self.homes).note(&job.revision);
            jobs.push(job);
            if jobs.len() >= TAKEN_AT_ONCE {
                let jobs = std::mem::take(&mut jobs);
                self.teller.tell(SharedEvent::Jobs(NodeId(node.unsigned_abs()), jobs));
            }
        };
        let taken = load::taken(&session, node, claim, &opened, &context, &mut hand_on)?;
        session.run("COMMIT", &[]).and_then(|()| session.flush())?;
        self.teller.tell(SharedEvent::Jobs(NodeId(node.unsigned_abs()), jobs));
        Ok(taken)
    }
}
