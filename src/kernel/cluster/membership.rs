//! Owns one incarnation's standing among others: its beat, its trust in itself, its view of who is dead, and its share.
//! It must not read a clock: times are those at which something was sent or came, on this machine's monotonic clock.
//!
//! # Why nobody else sends what this node still trusts to be its own
//!
//! A beat is a number in the store that each batch raises. This node trusts itself until [`TRUST_TIME`] after it *sent* the
//! newest batch that was acknowledged. Others take it for dead if they saw one number for [`REVOKE_AFTER`]: from the moment
//! at which an answer with it *came* until the one at which the last question was *asked*. The batch that made the number
//! was sent before the first answer, so trust ends first, by the difference of the two, which is what clocks that differ in
//! pace, and a worker between its look and its first byte, may use up. Whoever revokes names the number it saw, so a beat
//! that came in between counts, and one that comes after it is refused with its batch.
//!
//! Time counts only while questions are answered, and while this node trusts itself. While the store is away, or takes no
//! commits (its standby hangs, its disk is full), nobody can beat, and nobody is dead for that: when that is over all counting
//! begins anew.
//!
//! # One thing at a time
//!
//! While shards are being taken none are given away, and the other way round, and neither is decided by a view that was
//! asked for before the last of it had ended. So a row that is taken over never meets a job that is just leaving.

use std::collections::{BTreeMap, VecDeque};

use crate::core::{NodeId, Shard, Shards};
use crate::limits::{BEAT_EVERY, LOOK_EVERY, LOOK_GAP_MAX, LOOK_TIME_MAX, REVOKE_AFTER, SHARDS_AT_ONCE, TRUST_TIME};
use crate::time::{MonoUs, Now};

/// What a node hears.
#[derive(Clone, Debug)]
pub enum Heard {
    /// The answer to a look.
    Seen(Box<Seen>),
    /// A batch was sent, and with it a beat.
    Sent,
    /// The batch that was sent then is on disk.
    Acknowledged {
        /// When that was.
        sent: MonoUs,
    },
    /// A beat was not, as far as is known: it is sent again in time.
    NotBeaten,
    /// Somebody has something for this node: it need not wait for its next look.
    Rung,
    /// What was to be taken has been, and is the core's by now; these are all shards that it has.
    Taken(Shards),
    /// What was to be released is, on disk; these are all shards that are left.
    Released(Shards),
    /// A batch was refused, as this incarnation is dead.
    Fenced,
    /// This node is to stop, and gives away all it has.
    Drain,
}

/// How the store has the cluster at one moment.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When that was asked for.
    pub asked: MonoUs,
    /// All incarnations that are alive, or still own something.
    pub nodes: Vec<NodeSeen>,
    /// Who owns each shard, in their order.
    pub owners: Vec<Option<NodeId>>,
    /// Whether there are rows for this node: handed over to it, or a dead node's in its own shards.
    pub has_rows_for_me: bool,
}

impl Seen {
    /// Whether this node is alive.
    pub fn lives(&self, id: NodeId) -> bool {
        self.nodes.iter().any(|node| node.id == id && !node.is_dead)
    }

    /// The shards of a node.
    pub fn owned_by(&self, id: NodeId) -> Shards {
        let owners = Shard::all().zip(&self.owners);
        owners.filter(|(_, owner)| **owner == Some(id)).map(|(shard, _)| shard).collect()
    }

    /// How many shards are nobody's, or a dead node's.
    pub fn unowned(&self) -> usize {
        self.owners.iter().filter(|owner| !owner.is_some_and(|id| self.lives(id))).count()
    }
}

/// An incarnation as the store has it.
#[derive(Clone, Copy, Debug)]
pub struct NodeSeen {
    /// Which.
    pub id: NodeId,
    /// Rises with each batch.
    pub beat: u64,
    /// Whether it was revoked.
    pub is_dead: bool,
    /// Whether it gives away all it has.
    pub is_leaving: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Ask the store how the cluster is.
    Look,
    /// Send a batch, be it empty.
    Beat,
    /// Let the core and the workers trust until then.
    Trust(MonoUs),
    /// Mark a node as dead, if its beat is still this one.
    Revoke {
        /// Which.
        node: NodeId,
        /// The beat that was seen.
        beat: u64,
    },
    /// Take over what is there for this node: shards that are its own and not the core's yet, so many at most that are
    /// nobody's or a dead node's, and rows.
    Take {
        /// How many at most.
        most: usize,
    },
    /// Let the core release these.
    Release {
        /// Which.
        shards: Shards,
        /// To whom.
        to: NodeId,
    },
    /// This incarnation is over.
    Lost,
}

/// One incarnation among others. Whoever is lost begins as another one.
#[derive(Debug)]
pub struct Membership {
    me: NodeId,
    /// What each other node told last, and since when that is so.
    observed: BTreeMap<NodeId, (u64, MonoUs)>,
    /// When the last look was asked for, and whether it is still to be answered.
    looked_at: Option<(MonoUs, bool)>,
    /// Whether the next look is due at once.
    is_rung: bool,
    /// When the last answer came.
    seen_at: Option<MonoUs>,
    /// When the last beat was sent, and whether it is still to be acknowledged.
    beaten_at: Option<(MonoUs, bool)>,
    trusted_until: MonoUs,
    /// What the core has.
    held: Shards,
    /// Whether something is being taken or released.
    is_moving: bool,
    /// When the last of that ended.
    moved_at: MonoUs,
    is_leaving: bool,
    is_over: bool,
    deeds: VecDeque<Deed>,
}

impl Membership {
    /// An incarnation that was just registered, and owns nothing.
    pub fn new(me: NodeId) -> Membership {
        Membership {
            me,
            observed: BTreeMap::new(),
            looked_at: None,
            is_rung: false,
            seen_at: None,
            beaten_at: None,
            trusted_until: MonoUs(0),
            held: Shards::NONE,
            is_moving: false,
            moved_at: MonoUs(0),
            is_leaving: false,
            is_over: false,
            deeds: VecDeque::from([Deed::Trust(MonoUs(0))]),
        }
    }

    /// Takes what was heard. What is to be done follows from `poll`.
    pub fn hear(&mut self, heard: Heard, now: Now) {
        if self.is_over {
            return;
        }
        match heard {
            Heard::Seen(seen) => self.see(&seen, now.mono),
            Heard::Sent => self.beaten_at = Some((now.mono, true)),
            Heard::Acknowledged { sent } => {
                self.beaten_at = self.beaten_at.map(|(at, _)| (at, false));
                // Answers do not overtake each other, but what was trusted stays trusted.
                self.trusted_until = self.trusted_until.max(sent.plus(TRUST_TIME));
                self.deeds.push_back(Deed::Trust(self.trusted_until));
            }
            Heard::NotBeaten => self.beaten_at = Some((now.mono, false)),
            Heard::Rung => self.is_rung = true,
            Heard::Taken(held) | Heard::Released(held) => {
                (self.held, self.is_moving, self.moved_at) = (held, false, now.mono);
                // There may be more to move.
                self.is_rung = true;
            }
            Heard::Fenced => self.end(),
            Heard::Drain => self.is_leaving = true,
        }
    }

    /// What is to be done by now, one after the other until there is nothing.
    pub fn poll(&mut self, now: Now) -> Option<Deed> {
        if let Some(deed) = self.deeds.pop_front() {
            return Some(deed);
        }
        if self.is_over {
            return None;
        }
        if self.next_look() <= now.mono {
            (self.looked_at, self.is_rung) = (Some((now.mono, true)), false);
            return Some(Deed::Look);
        }
        if self.next_beat().is_some_and(|at| at <= now.mono) {
            // Whoever sends it says so, too; until then it is not asked for again.
            self.beaten_at = Some((now.mono, true));
            return Some(Deed::Beat);
        }
        None
    }

    /// When to poll again at the latest.
    pub fn poll_timeout(&self) -> Option<MonoUs> {
        let due = [Some(self.next_look()), self.next_beat()].into_iter().flatten().min();
        due.filter(|_| !self.is_over)
    }

    /// Whether it was to give away all it had, and has.
    pub fn has_left(&self) -> bool {
        self.is_leaving && self.held.is_empty() && !self.is_moving
    }

    /// Since when another node has told nothing new, as far as this one has seen.
    pub fn silent_since(&self, node: NodeId) -> Option<MonoUs> {
        self.observed.get(&node).map(|(_, since)| *since)
    }

    /// What the core has.
    pub fn held(&self) -> &Shards {
        &self.held
    }

    /// Until when this node trusts that what it has is its own.
    pub fn trusted_until(&self) -> MonoUs {
        self.trusted_until
    }

    /// Whether it gives away all it has: to be written with its beat.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    fn next_look(&self) -> MonoUs {
        match self.looked_at {
            None => MonoUs(0),
            Some((_, false)) if self.is_rung => MonoUs(0),
            Some((at, false)) => at.plus(LOOK_EVERY),
            Some((at, true)) => at.plus(LOOK_TIME_MAX),
        }
    }

    fn next_beat(&self) -> Option<MonoUs> {
        match self.beaten_at {
            None => Some(MonoUs(0)),
            Some((at, false)) => Some(at.plus(BEAT_EVERY)),
            // It is sent until it is acknowledged, or refused.
            Some((_, true)) => None,
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        self.deeds.push_back(Deed::Lost);
    }

    fn see(&mut self, seen: &Seen, now: MonoUs) {
        if let Some((at, waits)) = &mut self.looked_at
            && seen.asked >= *at
        {
            *waits = false;
        }
        if !seen.lives(self.me) {
            return self.end();
        }
        let is_settled = !self.is_moving && seen.asked >= self.moved_at;
        if is_settled && !self.held.without(&seen.owned_by(self.me)).is_empty() {
            // Nobody can have taken it from a node that lives. Whatever went wrong, its jobs are not sent twice for long.
            return self.end();
        }
        self.observe(seen, now);
        if is_settled && now < self.trusted_until {
            self.share(seen);
        }
    }

    /// Who has not told anything for how long.
    fn observe(&mut self, seen: &Seen, now: MonoUs) {
        let is_answered = self.seen_at.is_some_and(|at| now <= at.plus(LOOK_GAP_MAX));
        // Who cannot beat does not know whether anybody can.
        let went_on = is_answered && now < self.trusted_until;
        self.seen_at = Some(now);
        let before = std::mem::take(&mut self.observed);
        for node in seen.nodes.iter().filter(|node| node.id != self.me && !node.is_dead) {
            let same = before.get(&node.id).filter(|(beat, _)| *beat == node.beat && went_on);
            let since = same.map_or(now, |&(_, since)| since);
            self.observed.insert(node.id, (node.beat, since));
            if seen.asked >= since.plus(REVOKE_AFTER) {
                self.deeds.push_back(Deed::Revoke { node: node.id, beat: node.beat });
                // What it had is there to be taken as soon as that is done.
                self.is_rung = true;
            }
        }
    }

    /// Takes what is there for this node, or gives away what is too much.
    fn share(&mut self, seen: &Seen) {
        let mine = seen.owned_by(self.me);
        let sharing = seen.nodes.iter().filter(|node| {
            let is_leaving = if node.id == self.me { self.is_leaving } else { node.is_leaving };
            !node.is_dead && !is_leaving
        });
        let sharing: Vec<NodeId> = sharing.map(|node| node.id).collect();
        let whole = seen.owners.len();
        let share = if self.is_leaving { 0 } else { whole.div_ceil(sharing.len().max(1)) };
        let most = seen.unowned().min(share.saturating_sub(mine.len()));
        if most > 0 || seen.has_rows_for_me || !mine.without(&self.held).is_empty() {
            self.is_moving = true;
            return self.deeds.push_back(Deed::Take { most });
        }
        let others = sharing.iter().filter(|id| **id != self.me).map(|&id| (seen.owned_by(id).len(), id));
        let Some((theirs, to)) = others.min() else { return };
        let of_other = whole.div_ceil(sharing.len());
        let surplus = mine.len().saturating_sub(share).min(of_other.saturating_sub(theirs)).min(SHARDS_AT_ONCE);
        if surplus > 0 {
            let shards = mine.iter().take(surplus).collect();
            self.is_moving = true;
            self.deeds.push_back(Deed::Release { shards, to });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::WallUs;

    const ME: NodeId = NodeId(1);
    const OTHER: NodeId = NodeId(2);
    const SECOND: u64 = 1_000_000;

    fn at(us: u64) -> Now {
        Now { wall: WallUs(0), mono: MonoUs(us) }
    }

    fn node(id: NodeId, beat: u64) -> NodeSeen {
        NodeSeen { id, beat, is_dead: false, is_leaving: false }
    }

    fn seen(asked: u64, nodes: &[NodeSeen], mine: usize) -> Heard {
        let owners = (0..256).map(|shard| Some(if shard < mine { ME } else { OTHER })).collect();
        Heard::Seen(Box::new(Seen { asked: MonoUs(asked), nodes: nodes.to_vec(), owners, has_rows_for_me: false }))
    }

    fn deeds(member: &mut Membership, us: u64) -> Vec<Deed> {
        let all = std::iter::from_fn(|| member.poll(at(us)));
        all.filter(|deed| !matches!(deed, Deed::Look | Deed::Beat)).collect()
    }

    /// One that is trusted for long, and has these shards.
    fn trusted(mine: usize) -> Membership {
        let mut member = Membership::new(ME);
        member.hear(Heard::Acknowledged { sent: MonoUs(1_000 * SECOND) }, at(0));
        member.hear(Heard::Taken(Shard::all().take(mine).collect()), at(0));
        deeds(&mut member, 0);
        member
    }

    #[test]
    fn it_trusts_itself_from_when_the_beat_was_sent() {
        let mut member = Membership::new(ME);
        assert_eq!(deeds(&mut member, 10), [Deed::Trust(MonoUs(0))], "at first not at all");
        member.hear(Heard::Acknowledged { sent: MonoUs(10) }, at(900_000));
        assert_eq!(deeds(&mut member, 900_000), [Deed::Trust(MonoUs(10 + 2 * SECOND))]);
    }

    #[test]
    fn it_beats_and_looks_in_time_and_not_before_it_was_answered() {
        let mut member = Membership::new(ME);
        let all: Vec<Deed> = std::iter::from_fn(|| member.poll(at(0))).collect();
        assert_eq!(all[1..], [Deed::Look, Deed::Beat]);
        assert_eq!(member.poll_timeout(), Some(MonoUs(SECOND)), "an answer may be lost");
        member.hear(Heard::Acknowledged { sent: MonoUs(0) }, at(5_000));
        member.hear(seen(0, &[node(ME, 1)], 256), at(9_000));
        assert_eq!(member.poll_timeout(), Some(MonoUs(250_000)));
        assert!(std::iter::from_fn(|| member.poll(at(499_999))).all(|deed| deed != Deed::Beat));
        assert_eq!(member.poll(at(500_000)), Some(Deed::Beat));
    }

    #[test]
    fn who_tells_nothing_for_long_is_dead_unless_nobody_could() {
        let mut member = trusted(128);
        let mut revoked = None;
        for look in 0..20_u64 {
            let us = look * 250_000;
            member.hear(seen(us, &[node(ME, 1), node(OTHER, 7)], 128), at(us + 10_000));
            revoked = revoked.or(deeds(&mut member, us + 10_000).first().cloned().map(|deed| (us, deed)));
        }
        assert_eq!(
            revoked,
            Some((2_750_000, Deed::Revoke { node: OTHER, beat: 7 })),
            "counted from an answer to a question"
        );

        let mut member = trusted(128);
        for look in 0..40_u64 {
            // One look in eight is answered late.
            let us = look * 250_000;
            let waits = if look % 8 == 7 { 900_000 } else { 10_000 };
            member.hear(seen(us, &[node(ME, 1), node(OTHER, 7)], 128), at(us + waits));
            assert_eq!(deeds(&mut member, us + waits), []);
        }
    }

    #[test]
    fn who_cannot_beat_takes_nobody_for_dead_until_it_can_again() {
        let mut member = Membership::new(ME);
        let mut revoked = None;
        for look in 0..60_u64 {
            let us = look * 250_000;
            // Nothing is acknowledged from the second second to the eighth.
            if !(2 * SECOND..8 * SECOND).contains(&us) {
                member.hear(Heard::Acknowledged { sent: MonoUs(us) }, at(us + 5_000));
            }
            member.hear(seen(us, &[node(ME, 1), node(OTHER, look.min(7))], 128), at(us + 10_000));
            let is_revoke = |deed: &Deed| matches!(deed, Deed::Revoke { .. });
            revoked = revoked.or(deeds(&mut member, us + 10_000).into_iter().find(is_revoke).map(|_| us));
        }
        assert_eq!(revoked, Some(10_500_000), "counted from the last answer before it could again");
    }

    #[test]
    fn what_is_nobodys_is_taken_up_to_the_share_and_what_is_too_much_given_away() {
        let mut member = trusted(0);
        let dead = NodeSeen { is_dead: true, ..node(OTHER, 7) };
        member.hear(seen(0, &[node(ME, 1), dead, node(NodeId(3), 1)], 0), at(1));
        assert_eq!(deeds(&mut member, 1), [Deed::Take { most: 128 }]);
        member.hear(seen(2, &[node(ME, 1), dead], 0), at(3));
        assert_eq!(deeds(&mut member, 3), [], "one thing at a time");

        let mut member = trusted(256);
        member.hear(seen(0, &[node(ME, 1), node(OTHER, 1)], 256), at(1));
        let first_eight = Shard::all().take(8).collect();
        assert_eq!(deeds(&mut member, 1), [Deed::Release { shards: first_eight, to: OTHER }]);
        let mut member = trusted(128);
        member.hear(seen(0, &[node(ME, 1), node(OTHER, 1)], 128), at(1));
        assert_eq!(deeds(&mut member, 1), [], "both have their share");
        member.hear(Heard::Drain, at(1));
        member.hear(seen(2, &[node(ME, 1), node(OTHER, 1)], 128), at(3));
        assert_eq!(deeds(&mut member, 3), [Deed::Release { shards: first_eight, to: OTHER }]);
        assert!(!member.has_left());
        member.hear(Heard::Released(Shards::NONE), at(4));
        assert!(member.has_left());
    }

    #[test]
    fn who_holds_what_is_another_ones_is_lost() {
        let mut member = trusted(128);
        member.hear(seen(0, &[node(ME, 1), node(OTHER, 1)], 127), at(1));
        assert_eq!(deeds(&mut member, 1), [Deed::Lost]);
        // While something moves that is as it should be.
        let mut member = trusted(256);
        member.hear(seen(0, &[node(ME, 1), node(OTHER, 1)], 256), at(1));
        assert!(matches!(deeds(&mut member, 1)[..], [Deed::Release { .. }]));
        member.hear(seen(2, &[node(ME, 1), node(OTHER, 1)], 248), at(3));
        assert_eq!(deeds(&mut member, 3), []);
    }

    #[test]
    fn who_is_taken_for_dead_is_lost_once() {
        for heard in [Heard::Fenced, seen(0, &[NodeSeen { is_dead: true, ..node(ME, 1) }], 1), seen(0, &[], 1)] {
            let mut member = trusted(1);
            member.hear(heard, at(1));
            member.hear(Heard::Fenced, at(2));
            assert_eq!((deeds(&mut member, 9 * SECOND), member.poll_timeout()), (vec![Deed::Lost], None));
        }
    }
}
