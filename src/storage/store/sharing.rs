//! Owns the door of a server that shares its database with others: what it asks beside its batches, and what it hears of them.
//! It must not decide who is to have what: `cluster` does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::messages::{StoredAlert, StoredAnswer};
use super::{ChannelHealth, UndeliveredMessage};
use crate::cluster::Seen;
use crate::core::{
    CalendarChange, Incident, IncidentId, Known, LedgerRow, NodeId, RequestId, Restored, Setting, Shard, Shards,
    StoredJob,
};
use crate::job::JobKey;
use crate::limits::{ASKS_PENDING_MAX, SHARED_EVENTS_PENDING_MAX};
use crate::time::{MonoUs, WallUs};

/// What the writer is asked beside batches; it answers each but the first, in their order.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// To be another node, as the one before is dead.
    Join,
    /// To show that the node lives.
    Beat,
    /// To take over what is there for it.
    Take {
        /// So many shards at most that are nobody's.
        most: usize,
        /// Those that it has already.
        held: Shards,
    },
}

/// What is asked beside the writer's way.
#[derive(Clone, Debug)]
pub enum Ask {
    /// How the cluster is.
    Look {
        /// When that is asked.
        asked: MonoUs,
    },
    /// To mark a node as dead, if its beat is still this one.
    Revoke {
        /// Which.
        node: NodeId,
        /// The beat that was seen.
        beat: u64,
    },
    /// To mark this node, or one that is called like this, as one that gives away all it has.
    Leave(Option<(RequestId, Box<str>)>),
    /// What every node must know.
    Config,
    /// To pass a request on to whoever can carry it out.
    Forward {
        /// Whose answer it waits for.
        request: RequestId,
        /// When that client asked.
        asked: MonoUs,
        /// Who that is.
        to: Owner,
        /// What is asked.
        text: Vec<u8>,
    },
    /// What is answered to a request that another node passed on.
    Answer {
        /// Which.
        id: u64,
        /// The answer; None: it is another node's to carry out, and nothing was done.
        answer: Option<StoredAnswer>,
    },
}

/// Who can carry a request out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Who has this shard.
    Shard(Shard),
    /// Who has this job.
    Job(JobKey),
    /// The same, or who has its shard if there is no such job any more: what was answered under an idempotency key counts.
    PastJob(JobKey),
    /// Who has the job of this incident, or noticed it.
    Incident(IncidentId),
    /// This node, and nobody else.
    Node(NodeId),
}

/// What is heard.
#[derive(Debug)]
pub enum SharedEvent {
    /// This server is this node from now on.
    Joined(NodeId),
    /// A beat or a takeover is in the database, which was sent then.
    Acknowledged(MonoUs),
    /// A beat was not, as far as is known.
    NotBeaten,
    /// Nothing was taken over.
    NotTaken,
    /// Some of the jobs that are being taken over by this node.
    Jobs(NodeId, Vec<StoredJob>),
    /// What is being taken over by this node cannot be read, for this reason. It comes once more, from the first.
    Unread(NodeId, String),
    /// All else that is; the jobs have come before.
    Taken(NodeId, Box<Taken>),
    /// How the cluster is.
    Seen(NodeId, Box<Sight>),
    /// What every node must know.
    Config(Box<SharedConfig>),
    /// That was asked for, and could not be read.
    ConfigUnread,
    /// Somebody has told this node something: it should look.
    Rung,
    /// Requests that others passed on, to be carried out here.
    Asked(Vec<Forwarded>),
    /// What requests are answered that were passed on.
    Answered(Vec<(RequestId, Result<StoredAnswer, Unplaced>)>),
    /// This server can be no node, for this reason: it lacks what others may have. What it takes over comes once more.
    Unfit(String),
    /// Something fails, and is tried again.
    Failed {
        /// Which part.
        what: &'static str,
        /// What the database said.
        why: String,
    },
}

/// Why a request was not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// There is no such job.
    NoJob,
    /// There is no such incident.
    NoIncident,
    /// No such node lives.
    NoNode,
    /// It could not be passed on in time, and so nothing was done.
    Late,
    /// The database does not answer.
    Failed,
}

/// A request that another node passed on.
#[derive(Debug)]
pub struct Forwarded {
    /// Its number.
    pub id: u64,
    /// Whoever has this has to carry it out; None: this node.
    pub shard: Option<Shard>,
    /// What is asked.
    pub text: Vec<u8>,
}

/// What is taken over beside jobs.
#[derive(Debug)]
pub struct Taken {
    /// Rows of the ledger.
    pub rows: Vec<(LedgerRow, Known)>,
    /// Shards, and what is above all of them.
    pub restored: Restored,
    /// Incidents that are open.
    pub incidents: Vec<Incident>,
    /// Alerts that were not delivered, oldest first.
    pub alerts: Vec<StoredAlert>,
    /// Messages that were not delivered, in the order in which they were made.
    pub messages: Vec<UndeliveredMessage>,
}

/// How the cluster is, as people want to see it, too.
#[derive(Debug)]
pub struct Sight {
    /// What follows from it.
    pub seen: Seen,
    /// Every node in it, in the order of its nodes.
    pub nodes: Vec<NodeInfo>,
    /// How far this machine's clock is ahead of the database's, in microseconds, as far as that can be told.
    pub skew_us: i64,
    /// The version of what every node must know.
    pub config: u64,
    /// Whether what the database acknowledges may be lost if its machine fails.
    pub may_lose_commits: bool,
}

/// A node as people see it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    /// Its name.
    pub name: Box<str>,
    /// The version that it runs.
    pub version: Box<str>,
    /// When it started.
    pub started_at: WallUs,
    /// How often it was refused something after it had been taken for dead.
    pub fenced: u64,
}

/// What every node must know.
#[derive(Debug)]
pub struct SharedConfig {
    /// Its version.
    pub version: u64,
    /// The calendars.
    pub calendars: Vec<CalendarChange>,
    /// Channels, policies and silences.
    pub settings: Vec<Setting>,
    /// How channels fared.
    pub channels: Vec<(Arc<str>, ChannelHealth)>,
}

/// The door.
#[derive(Debug)]
pub struct Sharing {
    orders: Sender<Order>,
    asks: Sender<(NodeId, Ask)>,
    events: Receiver<SharedEvent>,
    /// Which node this server is; 0: none.
    me: Arc<AtomicU64>,
}

/// The other side of the door, for each thread behind it.
pub(super) struct Shared {
    pub(super) orders: Receiver<Order>,
    pub(super) asks: Receiver<(NodeId, Ask)>,
    /// Which node this server is; 0: none.
    pub(super) me: Arc<AtomicU64>,
    pub(super) teller: SharedTeller,
}

/// Through which the loop hears of events.
#[derive(Clone)]
pub(super) struct SharedTeller {
    say: Sender<SharedEvent>,
    notify: Arc<dyn Fn() + Send + Sync>,
}

impl SharedTeller {
    /// Waits while the loop has much to hear. False: it is gone.
    pub(super) fn tell(&self, event: SharedEvent) -> bool {
        let told = self.say.send(event).is_ok();
        (self.notify)();
        told
    }
}

impl Sharing {
    /// A door of this node, and what is behind it; `notify` is called after each event.
    pub(super) fn new(me: NodeId, notify: Arc<dyn Fn() + Send + Sync>) -> (Sharing, Shared) {
        // There is one takeover at a time, and one beat.
        let (orders, ordered) = unbounded();
        let (asks, asked) = bounded(ASKS_PENDING_MAX);
        let (say, events) = bounded(SHARED_EVENTS_PENDING_MAX);
        let me = Arc::new(AtomicU64::new(me.0));
        let shared = Shared { orders: ordered, asks: asked, me: Arc::clone(&me), teller: SharedTeller { say, notify } };
        (Sharing { orders, asks, events, me }, shared)
    }

    /// Which node this server is; None: it is none any more.
    pub fn me(&self) -> Option<NodeId> {
        Some(NodeId(self.me.load(Ordering::Relaxed))).filter(|node| node.0 > 0)
    }

    /// To become another node. What the writer was given until it says which is dropped.
    pub fn join(&self) {
        self.me.store(0, Ordering::Relaxed);
        self.order(Order::Join);
    }

    /// To show that the node lives.
    pub fn beat(&self) {
        self.order(Order::Beat);
    }

    /// To take over what is there for it.
    pub fn take(&self, most: usize, held: Shards) {
        self.order(Order::Take { most, held });
    }

    fn order(&self, order: Order) {
        // If the writer has ended, the loop finds out by its door.
        drop(self.orders.send(order));
    }

    /// Asks; false: as much is asked as may be, and nobody has answered.
    #[must_use]
    pub fn ask(&self, ask: Ask) -> bool {
        self.me().is_some_and(|me| self.asks.try_send((me, ask)).is_ok())
    }

    /// The next event, if there is one.
    pub fn try_event(&self) -> Option<SharedEvent> {
        let event = self.events.try_recv().ok()?;
        if let SharedEvent::Joined(node) = &event {
            self.me.store(node.0, Ordering::Relaxed);
        }
        Some(event)
    }
}
