//! Owns the fake store: nodes, shards, jobs, the ledger with whose each row is, and history; batches with the fence, takeover
//! in its two steps, release and handing over. It must not judge what a batch says, but whether it may be there at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use punctual::cluster::{NodeSeen, Seen};
use punctual::core::{Change, JobChange};
use punctual::core::{
    ExecutionKey, Known, LedgerRow, NodeId, Persist, Restored, Seq, Shard, Shards, Status, StoredJob, Totals,
};
use punctual::job::{JobKey, Revision};
use punctual::time::{MonoUs, WallUs};

/// An incarnation.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) beat: u64,
    batch: u64,
    pub(crate) is_dead: bool,
    is_leaving: bool,
}

pub(crate) struct Job {
    pub(crate) revision: Arc<Revision>,
    pub(crate) deleted: Option<WallUs>,
}

/// A row that is not finished, or whose end its owner does not know.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) row: LedgerRow,
    pub(crate) node: NodeId,
    pub(crate) known: bool,
}

#[derive(Default)]
pub(crate) struct Store {
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    owners: BTreeMap<Shard, (NodeId, u32)>,
    pub(crate) jobs: BTreeMap<JobKey, Job>,
    pub(crate) ledger: BTreeMap<Seq, Row>,
    pub(crate) history: BTreeMap<Seq, LedgerRow>,
    by_identity: BTreeMap<ExecutionKey, Seq>,
    seqs: BTreeSet<Seq>,
    pub(crate) alerts: BTreeSet<Seq>,
}

/// What a batch came to.
pub(crate) enum Committed {
    /// It is there, but for these items.
    Written { rejected: Vec<u64> },
    /// It was there already.
    Already,
    /// Its node is dead.
    Fenced,
}

/// What was taken over.
pub(crate) struct Taken {
    pub(crate) jobs: Vec<StoredJob>,
    pub(crate) rows: Vec<(LedgerRow, Known)>,
    pub(crate) restored: Restored,
}

impl Store {
    pub(crate) fn register(&mut self) -> NodeId {
        let id = NodeId(self.nodes.len() as u64 + 1);
        self.nodes.insert(id, Node::default());
        id
    }

    /// The end of a transaction: nothing of a dead node's counts, nor anything twice.
    fn fence(&mut self, me: NodeId, batch: u64) -> Result<(), Committed> {
        let node = self.nodes.get_mut(&me).expect("it was registered");
        if node.is_dead {
            return Err(Committed::Fenced);
        }
        if node.batch >= batch {
            return Err(Committed::Already);
        }
        assert_eq!(node.batch + 1, batch, "batches are numbered without gaps");
        (node.batch, node.beat) = (batch, node.beat + 1);
        Ok(())
    }

    pub(crate) fn commit(
        &mut self,
        me: NodeId,
        batch: u64,
        is_leaving: bool,
        items: &[(u64, Persist)],
        rejects: &dyn Fn(u64) -> bool,
    ) -> Committed {
        if let Err(refused) = self.fence(me, batch) {
            return refused;
        }
        assert!(!self.nodes[&me].is_dead, "a batch of a dead node is there");
        self.nodes.get_mut(&me).expect("there").is_leaving |= is_leaving;
        let mut rejected = Vec::new();
        for (number, item) in items {
            match item {
                Persist::Change(_) | Persist::Runs(_) if rejects(*number) => rejected.push(*number),
                Persist::Change(change) => self.change(me, change),
                Persist::Runs(rows) => rows.iter().for_each(|row| self.put(me, row)),
                Persist::Row(row, news) => {
                    if news.as_ref().is_some_and(|news| news.alert.is_some()) {
                        assert!(self.alerts.insert(row.seq), "a failure raises one alert");
                    }
                    self.put(me, row);
                }
                Persist::Remove(seq) => self.remove(me, *seq),
                Persist::Release { shards, to, except } => self.release(me, shards, *to, except),
                Persist::HandOver(row) => self.hand_over(me, row),
                Persist::Incident(_) | Persist::Setting(_) | Persist::Calendar(_) => {}
            }
        }
        Committed::Written { rejected }
    }

    /// The first step of a takeover.
    pub(crate) fn revoke(&mut self, node: NodeId, beat: u64) -> bool {
        let node = self.nodes.get_mut(&node).expect("it was seen");
        let dies = !node.is_dead && node.beat == beat;
        node.is_dead |= dies;
        dies
    }

    /// The second step.
    pub(crate) fn take(&mut self, me: NodeId, batch: u64, held: &Shards, most: usize) -> Result<Taken, Committed> {
        self.fence(me, batch)?;
        let is_live = |store: &Store, id: NodeId| !store.nodes[&id].is_dead;
        let mut left = most;
        for shard in Shard::all() {
            let owner = self.owners.get(&shard).copied();
            if left > 0 && owner.is_none_or(|(owner, _)| !is_live(self, owner)) {
                self.owners.insert(shard, (me, owner.map_or(0, |(_, epoch)| epoch) + 1));
                left -= 1;
            }
        }
        let mine: Shards = self.owned_by(me);
        let new = mine.without(held);
        let mut rows = Vec::new();
        let seqs: Vec<Seq> = self.ledger.keys().copied().collect();
        for seq in seqs {
            let shard = self.shard_of(self.ledger[&seq].row.key.job);
            let Row { node, known, .. } = self.ledger[&seq];
            if !mine.contains(shard) {
                continue;
            }
            let is_mine = node == me && known;
            if is_mine || !is_live(self, node) {
                let row = self.ledger.get_mut(&seq).expect("there");
                (row.node, row.known) = (me, false);
                rows.push((row.row.clone(), if known { Known::Unsent } else { Known::Nothing }));
            } else if new.contains(shard) {
                rows.push((self.ledger[&seq].row.clone(), Known::InFlight));
            }
        }
        let of_new = |key: &&JobKey| new.contains(self.shard_of(**key));
        let jobs = self.jobs.keys().filter(of_new).filter(|key| self.jobs[key].deleted.is_none());
        let jobs = jobs.map(|key| self.stored(*key)).collect();
        let key_above = self.jobs.keys().filter(|key| new.contains(Shard::of_key(**key))).map(|key| key.0 + 1).max();
        let restored = Restored {
            shards: new,
            epochs: new.iter().map(|shard| (shard, self.owners[&shard].1)).collect(),
            next_seq: me.0 << 40 | 1,
            next_job: key_above.unwrap_or(1),
            next_incident: 1,
            newest: None,
        };
        Ok(Taken { jobs, rows, restored })
    }

    pub(crate) fn see(&self, me: NodeId, asked: MonoUs) -> Seen {
        let owns = |id: NodeId| self.owners.values().any(|(owner, _)| *owner == id);
        let shown = self.nodes.iter().filter(|(id, node)| !node.is_dead || owns(**id));
        let nodes = shown.map(|(id, node)| NodeSeen {
            id: *id,
            beat: node.beat,
            is_dead: node.is_dead,
            is_leaving: node.is_leaving,
        });
        let has_rows_for_me = self.ledger.values().any(|row| {
            let shard = self.shard_of(row.row.key.job);
            let is_mine = self.owners.get(&shard).is_some_and(|(owner, _)| *owner == me);
            is_mine && ((row.node == me && row.known) || self.nodes[&row.node].is_dead)
        });
        let owners = Shard::all().map(|shard| self.owners.get(&shard).map(|(owner, _)| *owner)).collect();
        Seen { asked, nodes: nodes.collect(), owners, has_rows_for_me }
    }

    pub(crate) fn owned_by(&self, me: NodeId) -> Shards {
        self.owners.iter().filter(|(_, (owner, _))| *owner == me).map(|(shard, _)| *shard).collect()
    }

    /// Who owns a shard, and how often it was taken from a node that died.
    pub(crate) fn owner_of(&self, shard: Shard) -> Option<(NodeId, u32)> {
        self.owners.get(&shard).copied()
    }

    pub(crate) fn shard_of(&self, job: JobKey) -> Shard {
        self.jobs.get(&job).map_or_else(|| Shard::of_key(job), |job| Shard::of(&job.revision))
    }

    fn stored(&self, key: JobKey) -> StoredJob {
        let mut totals = Totals::default();
        self.history.values().filter(|row| row.key.job == key).for_each(|row| totals.add(row));
        StoredJob { revision: (*self.jobs[&key].revision).clone(), totals }
    }

    /// Whoever writes of a shard owns it.
    fn assert_owner(&self, me: NodeId, job: JobKey) {
        let owner = self.owners.get(&self.shard_of(job)).map(|(owner, _)| *owner);
        assert_eq!(owner, Some(me), "a stale commit: {job:?} is another node's");
    }

    fn change(&mut self, me: NodeId, change: &Change) {
        change.remove.iter().for_each(|seq| self.remove(me, *seq));
        match &change.job {
            JobChange::Put(revision) => {
                let key = revision.id.key();
                let owner = self.owners.get(&Shard::of(revision)).map(|(owner, _)| *owner);
                assert_eq!(owner, Some(me), "a stale commit: {key:?} comes to be another node's");
                if let Some(job) = self.jobs.get(&key) {
                    assert!(
                        job.revision.id == revision.id && job.revision.number + 1 == revision.number,
                        "{key:?} twice"
                    );
                }
                self.jobs.insert(key, Job { revision: Arc::clone(revision), deleted: None });
            }
            JobChange::Delete(key, at) => {
                self.assert_owner(me, *key);
                self.jobs.get_mut(key).expect("a tombstone is put over a job").deleted = Some(*at);
            }
        }
        change.rows.iter().for_each(|row| self.put(me, row));
    }

    fn put(&mut self, me: NodeId, row: &LedgerRow) {
        let is_new = self.seqs.insert(row.seq);
        let other = *self.by_identity.entry(row.key).or_insert(row.seq);
        assert_eq!(other, row.seq, "one execution has two rows: {row:?}");
        match self.ledger.get(&row.seq) {
            Some(before) => {
                assert_eq!(before.node, me, "a stale commit: this row is another node's: {row:?}");
                assert!(!before.known, "a row is written that was not taken over: {row:?}");
                assert_eq!(before.row.key, row.key, "a number in the ledger is used twice");
                assert!(before.row.record.attempt <= row.record.attempt || row.record.status == Status::Skipped);
            }
            None if is_new => self.assert_owner(me, row.key.job),
            None => panic!("a row comes back that was finished or taken back: {row:?}"),
        }
        if row.record.status == Status::Pending {
            self.ledger.insert(row.seq, Row { row: row.clone(), node: me, known: false });
        } else {
            self.ledger.remove(&row.seq);
            self.history.insert(row.seq, row.clone());
        }
    }

    fn remove(&mut self, me: NodeId, seq: Seq) {
        if let Some(row) = self.ledger.remove(&seq) {
            assert_eq!(row.node, me, "a stale commit: this row is another node's: {row:?}");
            self.by_identity.remove(&row.row.key);
        }
    }

    fn release(&mut self, me: NodeId, shards: &Shards, to: NodeId, except: &[Seq]) {
        assert_eq!(self.owned_by(me).intersection(shards), *shards, "who owns it gives it away");
        for shard in shards.iter() {
            let epoch = self.owners[&shard].1;
            self.owners.insert(shard, (to, epoch));
        }
        let rows: Vec<Seq> = self.ledger.keys().copied().filter(|seq| !except.contains(seq)).collect();
        for seq in rows {
            let shard = self.shard_of(self.ledger[&seq].row.key.job);
            let row = self.ledger.get_mut(&seq).expect("there");
            if row.node == me && shards.contains(shard) {
                (row.node, row.known) = (to, true);
            }
        }
    }

    fn hand_over(&mut self, me: NodeId, row: &LedgerRow) {
        let before =
            self.ledger.get(&row.seq).unwrap_or_else(|| panic!("a row is handed over that is not there: {row:?}"));
        assert_eq!(before.node, me, "a stale commit: this row is another node's: {row:?}");
        let shard = self.shard_of(row.key.job);
        let (node, _) = self.owners[&shard];
        self.ledger.insert(row.seq, Row { row: row.clone(), node, known: true });
    }
}
