//! Owns what is told of nodes: to clients that ask, and as figures.
//! It must not change anything.

use super::Nodes;
use crate::api::{self, NodeView};
use crate::cluster::NodeSeen;
use crate::store::NodeInfo;
use crate::time::{MonoUs, Now};

impl Nodes {
    /// All nodes as clients see them.
    pub(in crate::server) fn view(&self, now: Now) -> api::Nodes {
        let Some(sight) = self.sight() else { return api::Nodes::default() };
        let all = sight.seen.nodes.iter().zip(&sight.nodes);
        let views = all.map(|(seen, info)| self.view_of(seen, info, sight.seen.owned_by(seen.id).len(), now));
        api::Nodes {
            nodes: views.collect(),
            unowned_shards: sight.seen.unowned(),
            clock_ahead_us: Some(sight.skew_us),
            may_lose_commits: sight.may_lose_commits,
        }
    }

    fn view_of(&self, seen: &NodeSeen, info: &NodeInfo, owned: usize, now: Now) -> NodeView {
        let is_self = Some(seen.id) == self.me();
        let silent_since = self.member.as_ref().and_then(|member| member.silent_since(seen.id));
        let ms = |since: MonoUs| now.mono.0.saturating_sub(since.0) / 1000;
        let lease_ms = is_self.then(|| u64::try_from(self.lease_left(now.mono).as_millis()).unwrap_or(u64::MAX));
        NodeView {
            id: seen.id.0,
            name: info.name.clone(),
            version: info.version.clone(),
            started_at: info.started_at,
            is_self,
            is_dead: seen.is_dead,
            is_leaving: seen.is_leaving,
            shards: owned,
            silent_ms: silent_since.map(ms),
            lease_ms,
            fenced: info.fenced,
        }
    }

    /// How many nodes live.
    pub(in crate::server) fn living(&self) -> usize {
        self.sight().map_or(0, |sight| sight.seen.nodes.iter().filter(|node| !node.is_dead).count())
    }

    /// How many shards no node has that lives.
    pub(in crate::server) fn unowned(&self) -> usize {
        self.sight().map_or(0, |sight| sight.seen.unowned())
    }
}
