//! Owns the way to the store and back: what is sent, what arrives, what is answered, and what nobody hears of.
//! It must not decide what is asked.

use punctual::cluster::Heard;
use punctual::core::{Input, Known, NodeId, Persist, Shards};
use punctual::time::MonoUs;

use super::super::rng::Rng;
use super::node::{Node, Request};
use super::plan::SECOND_US;
use super::store::{Committed, Taken};
use super::world::{Answer, Event, World};

/// The way to the store and back.
impl World {
    fn delay_us(&mut self) -> u64 {
        let is_slow = !self.healed && self.rng.per_cent(self.plan.slow_per_cent);
        if is_slow { self.rng.within(20_000..=5 * SECOND_US) } else { self.rng.within(200..=6_000) }
    }

    pub(crate) fn send(&mut self, node: usize, request: Request) {
        let (sent, wait_us) = (self.nodes[node].clock.now(self.true_us).mono, self.delay_us());
        let me = self.nodes[node].me.expect("whoever asks is somebody");
        self.after(wait_us, node, Event::Arrive { me, request, sent });
    }

    pub(crate) fn send_out(&mut self, node: usize, request: Request) {
        let me = self.nodes[node].me.expect("whoever writes is somebody");
        let (number, tries) = self.nodes[node].out.as_ref().map_or((0, 0), |out| (out.number, out.tries));
        self.send(node, request);
        self.after(SECOND_US, node, Event::TimeOut { me, number, tries });
    }

    pub(crate) fn arrive(&mut self, node: usize, process: Option<u64>, me: NodeId, request: Request, sent: MonoUs) {
        let number = match &request {
            Request::Batch { number, .. } | Request::Take { number, .. } => Some(*number),
            Request::Look { .. } | Request::Revoke { .. } => None,
        };
        if self.is_out_of_reach(node) {
            self.coverage.hit("store down");
            // Half of them hear so, the others nothing.
            if let Some(number) = number.filter(|_| self.rng.per_cent(50)) {
                self.at(self.true_us + 1_000, node, process, Event::Answer { me, answer: Answer::Refused { number } });
            }
            return;
        }
        let (seed, rejected) = (self.plan.seed, self.plan.rejected_per_cent);
        let answer = match request {
            Request::Batch { number, items, is_leaving } => {
                let rejects = |item: u64| Rng::new(seed ^ (me.0 << 32) ^ item).per_cent(rejected);
                let committed = self.store.commit(me, number, is_leaving, &items, &rejects);
                self.coverage.hit_if(matches!(committed, Committed::Fenced), "batch of a dead node refused");
                let committed = match committed {
                    Committed::Already => {
                        self.coverage.hit("batch resent and already there");
                        let changes =
                            items.iter().filter(|(_, item)| matches!(item, Persist::Change(_) | Persist::Runs(_)));
                        let rejected = changes.map(|(item, _)| *item).filter(|&item| rejects(item)).collect();
                        // What was sent first is what is there.
                        let sent = self.nodes[node].out.as_ref().map_or(sent, |out| out.first_sent);
                        let committed = Committed::Written { rejected };
                        return self.give_answer(node, process, me, Answer::Batch { number, sent, committed });
                    }
                    committed => committed,
                };
                Answer::Batch { number, sent, committed }
            }
            Request::Take { number, held, most } => {
                let taken = self.store.take(me, number, &held, most).map(Box::new);
                Answer::Take { number, sent, taken }
            }
            Request::Look { asked } => Answer::Seen(Box::new(self.store.see(me, asked))),
            Request::Revoke { node: other, beat } => {
                let revoked = self.store.revoke(other, beat);
                self.say(|| format!("revoke {other:?} at {beat}: {revoked}"));
                if revoked {
                    self.coverage.hit("revoked");
                    self.assert_was_hindered(other);
                }
                return;
            }
        };
        self.give_answer(node, process, me, answer);
    }

    /// Nobody is taken for dead who could tell that it lives. Where answers get lost or take long that cannot be said.
    fn assert_was_hindered(&self, other: NodeId) {
        let lives = self.nodes.iter().find(|node| node.me == Some(other) && node.core.is_some());
        let was_hindered = lives.is_none_or(|node| self.true_us < node.hindered_until + 3 * SECOND_US);
        let may_be = self.plan.slow_per_cent + self.plan.lost_per_cent > 0;
        assert!(was_hindered || may_be, "{other:?} is taken for dead, and nothing kept it from telling that it lives");
    }

    fn give_answer(&mut self, node: usize, process: Option<u64>, me: NodeId, answer: Answer) {
        if !self.healed && self.rng.per_cent(self.plan.lost_per_cent) {
            return self.coverage.hit("answer lost");
        }
        let wait_us = self.delay_us();
        self.at(self.true_us + wait_us, node, process, Event::Answer { me, answer });
    }

    pub(crate) fn answer(&mut self, node: usize, me: NodeId, answer: Answer) {
        if self.nodes[node].me != Some(me) {
            return;
        }
        let is_out = |number: u64, it: &Node| it.out.as_ref().is_some_and(|out| out.number == number);
        match answer {
            Answer::Seen(seen) => self.hear(node, Heard::Seen(seen)),
            Answer::Batch { number, sent, committed } if is_out(number, &self.nodes[node]) => {
                let out = self.nodes[node].out.take().expect("it is out");
                let Committed::Written { rejected } = committed else { return self.hear(node, Heard::Fenced) };
                self.nodes[node].next_batch += 1;
                self.hear(node, Heard::Acknowledged { sent });
                self.feed(node, Input::Committed { through: out.through, rejected });
                if self.nodes[node].releasing.is_some_and(|item| item <= out.through) {
                    self.nodes[node].releasing = None;
                    let held = self.held(node);
                    self.hear(node, Heard::Released(held));
                }
            }
            Answer::Take { number, sent, taken } if is_out(number, &self.nodes[node]) => {
                self.nodes[node].out = None;
                let Ok(taken) = taken else { return self.hear(node, Heard::Fenced) };
                self.nodes[node].next_batch += 1;
                self.hear(node, Heard::Acknowledged { sent });
                self.acquire(node, *taken);
            }
            Answer::Refused { number } if is_out(number, &self.nodes[node]) => self.retry(node),
            // Of a request that was sent again, and answered.
            Answer::Batch { .. } | Answer::Take { .. } | Answer::Refused { .. } => {}
        }
    }

    fn held(&self, node: usize) -> Shards {
        self.nodes[node].core.as_ref().map(|core| *core.shards()).unwrap_or_default()
    }

    fn acquire(&mut self, node: usize, taken: Taken) {
        let Taken { jobs, rows, restored } = taken;
        for job in jobs {
            self.feed(node, Input::RestoreJob(Box::new(job)));
        }
        for (row, known) in rows {
            self.coverage.hit(match known {
                Known::Nothing => "adopted in doubt",
                Known::Unsent => "adopted known",
                Known::InFlight => "adopted in flight",
            });
            if known == Known::Unsent {
                self.known.insert(row.seq, row.record.recoveries);
            }
            self.feed(node, Input::RestoreRow(Box::new(row), known));
        }
        self.feed(node, Input::Acquired(restored));
        self.known.clear();
        let held = self.held(node);
        self.hear(node, Heard::Taken(held));
    }

    /// A request came to nothing, for sure.
    fn retry(&mut self, node: usize) {
        let is_take = matches!(self.nodes[node].out.as_ref().map(|out| &out.request), Some(Request::Take { .. }));
        if is_take {
            // Unless it was sent before: then nobody knows.
            if self.nodes[node].out.as_ref().is_some_and(|out| out.tries > 1) {
                return self.lose(node);
            }
            self.nodes[node].out = None;
            let held = self.held(node);
            return self.hear(node, Heard::Taken(held));
        }
        self.resend(node);
    }

    fn resend(&mut self, node: usize) {
        self.coverage.hit("batch resent");
        let Some(out) = &mut self.nodes[node].out else { return };
        out.tries += 1;
        let request = out.request.clone();
        self.send_out(node, request);
    }

    /// Nothing was heard of a request. A batch says by its number whether it is there; what was taken would be lost.
    pub(crate) fn time_out(&mut self, node: usize, me: NodeId, number: u64, tries: u64) {
        let it = &self.nodes[node];
        let Some(out) = it.out.as_ref().filter(|_| it.me == Some(me)) else { return };
        if (out.number, out.tries) != (number, tries) {
            return;
        }
        if matches!(out.request, Request::Take { .. }) {
            return self.lose(node);
        }
        self.resend(node);
    }
}
