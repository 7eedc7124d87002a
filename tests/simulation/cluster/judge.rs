//! Owns what must never be: an early POST, a repeated one without a reason, two nodes that trust to have one shard, an epoch
//! that goes back. It must not know why something is sent.

use std::collections::BTreeMap;

use punctual::core::{Attempt, ExecutionId, NodeId, Report, Shard};
use punctual::job::{Delivery, JobKey};
use punctual::time::{Now, WallUs};

use super::super::coverage::Coverage;
use super::node::Node;
use super::store::Store;

/// A POST as its target saw it.
#[derive(Clone, Debug)]
struct Post {
    by: NodeId,
    number: u32,
    /// Whether whoever sent it has heard that it failed.
    has_failed: bool,
}

/// Everything that was ever sent.
#[derive(Default)]
pub(crate) struct Judge {
    posts: BTreeMap<ExecutionId, Vec<Post>>,
    epochs: BTreeMap<(JobKey, Shard), u32>,
}

impl Judge {
    /// A core hands an attempt to a worker.
    pub(crate) fn fired(&mut self, attempt: &Attempt, now: Now, coverage: &mut Coverage) {
        let late_us = now.wall.since_us(WallUs::of(attempt.id.instant));
        assert!(late_us >= 0, "sent {late_us} us early: {attempt:?}");
        coverage.hit_if(late_us > 2_000_000, "fired late");
    }

    /// A worker writes a request. `is_stale`: its node did not trust any more, as it was paused since the worker looked.
    pub(crate) fn sent(
        &mut self,
        attempt: &Attempt,
        by: NodeId,
        is_stale: bool,
        store: &Store,
        coverage: &mut Coverage,
    ) {
        let posts = self.posts.entry(attempt.id).or_default();
        for before in posts.iter().filter(|post| !post.has_failed) {
            assert!(before.by != by, "{by:?} repeats what it sent: {attempt:?}, {posts:?}");
            let (is_over, is_late) = (store.nodes[&before.by].is_dead, is_stale && store.nodes[&by].is_dead);
            assert!(is_over || is_late, "repeated although {:?} lives: {attempt:?}, {posts:?}", before.by);
            assert!(attempt.post.delivery != Delivery::AtMostOnce, "sent twice: {attempt:?}, {posts:?}");
            coverage.hit("repeated after takeover");
        }
        coverage.hit_if(is_stale, "late POST of a node that was paused");
        posts.push(Post { by, number: attempt.number, has_failed: false });
        let shard = store.shard_of(attempt.id.job.key());
        let epoch = self.epochs.entry((attempt.id.job.key(), shard)).or_default();
        // It was in flight when its node gave the job away, and a third one died that had something of it, too.
        let was_given_away = !store.nodes[&by].is_dead && !store.owned_by(by).contains(shard);
        coverage.hit_if(attempt.epoch < *epoch && was_given_away, "epoch of before a release");
        assert!(
            attempt.epoch >= *epoch || is_stale || was_given_away,
            "epoch {} after {epoch}: {attempt:?}",
            attempt.epoch
        );
        *epoch = (*epoch).max(attempt.epoch);
    }

    /// Whoever sent it hears what it came to.
    pub(crate) fn reported(&mut self, id: ExecutionId, by: NodeId, report: &Report, has_failed: bool) {
        let posts = self.posts.get_mut(&id).into_iter().flatten();
        for post in posts.filter(|post| post.by == by && post.number == report.attempt) {
            post.has_failed |= has_failed;
        }
    }

    pub(crate) fn was_sent(&self, id: &ExecutionId) -> bool {
        self.posts.contains_key(id)
    }
}

/// No shard is trusted by two cores.
pub(crate) fn assert_one_trusts(nodes: &[Node], true_us: u64) {
    for (place, node) in nodes.iter().enumerate() {
        let Some(core) = node.trusting(true_us) else { continue };
        for other in &nodes[place + 1..] {
            let Some(theirs) = other.trusting(true_us) else { continue };
            let both = core.shards().intersection(theirs.shards());
            assert!(both.is_empty(), "{:?} and {:?} both trust to own {both:?}", node.me, other.me);
        }
    }
}
