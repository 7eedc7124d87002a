//! Owns what clients want, and what goes wrong.
//! It must not judge what comes of it.

use std::time::Duration;

use punctual::cluster::Heard;
use punctual::core::{Action, Command, Input, RequestId, Run, RunOf};
use punctual::job::{Context, Definition, JobId, JobSpec};
use punctual::time::Instant;

use super::super::rng::Rng;
use super::plan::Fault;
use super::world::World;

/// Clients, and what goes wrong.
impl World {
    pub(crate) fn command(&mut self) {
        let node = usize::try_from(self.rng.within(0..=self.nodes.len() as u64 - 1)).expect("few");
        let it = &self.nodes[node];
        let now = it.clock.now(self.true_us);
        let Some(core) = it.core.as_ref().filter(|_| it.paused_until <= self.true_us && it.draining_since.is_none())
        else {
            return;
        };
        if core.shards().is_empty() {
            return;
        }
        let here: Vec<JobId> = core.jobs_after(None, 100, now.wall).iter().map(|view| view.revision.id).collect();
        let is_few = self.store.jobs.len() < 40;
        let action = match self.rng.within(0..=9) {
            0..=3 if is_few => self.create(now.wall.floor()),
            _ if here.is_empty() => self.create(now.wall.floor()),
            4 => Action::Delete { id: *self.rng.pick(&here), expected: None },
            5..=6 => {
                let id = *self.rng.pick(&here);
                let job = &self.store.jobs[&id.key()];
                // The same again: what is armed is armed anew.
                Action::Update { id, spec: job.revision.spec.clone(), keep_active: true, expected: None }
            }
            _ => {
                let (id, wait) = (*self.rng.pick(&here), self.rng.per_cent(50).then(|| Duration::from_secs(3)));
                Action::Run(Box::new(Run { id, of: RunOf::Now, own_body: None, force: false, wait }))
            }
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        self.open.insert(request, node);
        let command = Command { request, action, plans: false, read_at: now.wall.floor() };
        self.feed(node, Input::Command(Box::new(command)));
        self.turn(node);
    }

    /// A job whose URL says what it is.
    fn create(&mut self, at: Instant) -> Action {
        let step = *self.rng.pick(&[1, 1, 2, 3, 5, 10]);
        let delivery = *self.rng.pick(&["ATLEAST_ONCE", "ATLEAST_ONCE", "ATMOST_ONCE"]);
        let mut more = String::new();
        let most = *self.rng.pick(&[0, 0, 0, 0, 3, 6]);
        if most > 0 {
            more += &format!(r#","maxRuns":{most}"#);
        }
        if self.rng.per_cent(30) {
            let name = self.rng.within(0..=5);
            more += &format!(r#","concurrencyKey":{{"name":"key-{name}","limit":4}}"#);
        }
        if self.rng.per_cent(20) {
            more += r#","overlap":"skip""#;
        }
        let text = format!(
            r#"{{"schedule":"*/{step} * * * * *","api":"http://t{}/{step}/{most}","type":"{delivery}"{more}}}"#,
            self.rng.within(0..=2)
        );
        let definition: Definition = serde_json::from_str(&text).expect("a definition");
        let spec = JobSpec::compile(&definition, &Context::at(at)).expect("a job");
        let mut entropy = [0; 10];
        entropy[..8].copy_from_slice(&self.rng.next().to_le_bytes());
        Action::Create { spec, entropy, pause: None }
    }

    pub(crate) fn pause(&mut self, node: usize, for_us: u64) {
        let until_us = self.true_us + for_us;
        (self.nodes[node].paused_until, self.nodes[node].hindered_until) = (until_us, until_us);
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.say(|| format!("{fault:?}"));
        match fault {
            Fault::Crash { node, down_us } if self.nodes[node].core.is_some() => {
                self.coverage.hit("crash");
                self.nodes[node].down_us = down_us;
                self.end(node);
            }
            Fault::Pause { node, for_us } => {
                self.coverage.hit("pause");
                self.pause(node, for_us);
            }
            Fault::PauseAtLook { node, for_us } => self.nodes[node].pauses_at_look = Some(for_us),
            Fault::Drain { node, down_us } if self.nodes[node].core.is_some() => {
                if self.nodes[node].draining_since.is_none() {
                    (self.nodes[node].draining_since, self.nodes[node].down_us) = (Some(self.true_us), down_us);
                    self.hear(node, Heard::Drain);
                }
            }
            Fault::StoreDown { for_us } => self.down_until = self.true_us + for_us,
            Fault::CutOff { node, for_us } => {
                let until_us = self.true_us + for_us;
                (self.nodes[node].cut_off_until, self.nodes[node].hindered_until) = (until_us, until_us);
            }
            Fault::Step { node } => {
                self.coverage.hit("wall clock set");
                let mut rng = Rng::new(self.rng.next());
                self.nodes[node].clock.step(&mut rng);
            }
            Fault::Crash { .. } | Fault::Drain { .. } => {}
        }
    }
}
