//! Owns the thread that reads what was taken over, beside the writer: with many jobs that takes longer than a node may be silent.
//! It must not change what it reads: from the takeover on, its node is the only one that does.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::homes::Homes;
use super::load;
use super::open::connect;
use super::session::Session;
use super::taking::Claim;
use super::writer::lock;
use crate::background;
use crate::clock;
use crate::core::{NodeId, StoredJob};
use crate::job::Context;
use crate::limits::{STORE_LOAD_TIME_MAX, TAKEN_AT_ONCE};
use crate::postgres::{Connection, Error, Url};
use crate::schedule::Zones;
use crate::store::Taken;
use crate::store::sharing::{SharedEvent, SharedTeller};
use crate::store::sql::Sql;
use crate::store::tables::secrets::Unopened;
use crate::vault::Vault;

/// The rest after what failed.
const RETRY_WAIT: Duration = Duration::from_millis(200);

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
            // It goes on until all is there: nobody else has it, as long as this server is that node.
            while self.me.load(Ordering::Relaxed) == node.unsigned_abs() {
                match self.read(&mut connection, node, &claim) {
                    Ok(taken) => {
                        self.teller.tell(SharedEvent::Taken(NodeId(node.unsigned_abs()), Box::new(taken)));
                        break;
                    }
                    Err(why) => {
                        connection = None;
                        if !self.teller.tell(SharedEvent::Failed { what: "reading what was taken over", why }) {
                            return;
                        }
                        self.teller.tell(SharedEvent::Again(NodeId(node.unsigned_abs())));
                        std::thread::sleep(RETRY_WAIT);
                    }
                }
            }
        }
    }

    fn read(&self, kept: &mut Option<Connection>, node: i64, claim: &Claim) -> Result<Taken, String> {
        let told = |why: Error| why.to_string();
        if kept.as_ref().is_none_or(Connection::is_lost) {
            *kept = Some(connect(&self.url).map_err(told)?);
        }
        let connection = kept.as_mut().expect("it was just made");
        let session = Session::new(connection, clock::mono().plus(STORE_LOAD_TIME_MAX));
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ", &[]).map_err(told)?;
        let opened = load::secrets_in(&session, &claim.new, self.vault.as_deref()).map_err(|why| match why {
            Unopened::Unread(why) => why.to_string(),
            Unopened::Sealed => "it holds secrets, and no key was given".to_owned(),
            Unopened::OtherKey => "it holds secrets that were sealed with another key".to_owned(),
            Unopened::Damaged(why) => why,
        })?;
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
        let taken = load::taken(&session, node, claim, &opened, &context, &mut hand_on).map_err(told)?;
        session.run("COMMIT", &[]).and_then(|()| session.flush()).map_err(told)?;
        self.teller.tell(SharedEvent::Jobs(NodeId(node.unsigned_abs()), jobs));
        Ok(taken)
    }
}
