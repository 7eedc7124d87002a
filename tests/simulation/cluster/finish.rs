//! Owns the end of a run: all heals, all settles, and then what must have been is compared with what was.
//! It must not ask the core what a job owed: it counts seconds.

use std::collections::BTreeMap;

use punctual::core::{Kind, LedgerRow, Status};
use punctual::job::JobKey;
use punctual::time::WallUs;

use super::clock::BASE_US;
use super::plan::SECOND_US;
use super::store::Job;
use super::world::{Event, World};

impl World {
    pub(crate) fn finish(&mut self) {
        self.healed = true;
        for node in &mut self.nodes {
            node.pauses_at_look = None;
            (node.cut_off_until, node.paused_until) = (0, node.paused_until.min(self.true_us + SECOND_US));
        }
        let (begun_us, nodes) = (self.true_us, self.nodes.len());
        for node in 0..nodes {
            if self.nodes[node].core.is_none() {
                self.at(begun_us + 1, node, None, Event::Start);
            }
        }
        self.run_until(begun_us + 25 * SECOND_US);
        let end = WallUs(BASE_US + i64::try_from(self.true_us - 3 * SECOND_US).expect("short")).floor();
        let limit_us = self.true_us + 120 * SECOND_US;
        let is_settled = |world: &World| {
            let left = world.store.ledger.values().find(|row| row.row.key.instant <= end);
            left.is_none() && world.open.is_empty()
        };
        while !is_settled(self) {
            self.run_until(self.true_us + SECOND_US / 4);
            let left = self.store.ledger.values().find(|row| row.row.key.instant <= end);
            assert!(self.true_us < limit_us, "not settled: {left:?}, {:?} open", self.open);
        }
        let owned: usize = self.nodes.iter().filter_map(|node| Some(node.core.as_ref()?.shards().len())).sum();
        assert_eq!(owned, 256, "a shard is nobody's long after all has healed");
        self.judge_rows(end.as_secs());
    }

    /// Every instant up to `end` has one final row, or is covered by one; nothing else has any.
    fn judge_rows(&self, end: i64) {
        let mut rows: BTreeMap<JobKey, Vec<&LedgerRow>> = BTreeMap::new();
        for row in self.store.history.values() {
            rows.entry(row.key.job).or_default().push(row);
            let id = row.key.of(self.store.jobs[&row.key.job].revision.id);
            let is_sent = row.record.executed.is_some() && row.record.error.is_none();
            assert!(!is_sent || self.judge.was_sent(&id), "a success that nobody sent: {row:?}");
            let is_failed = row.record.status == Status::Failed && self.store.jobs[&row.key.job].deleted.is_none();
            assert!(!is_failed || self.store.alerts.contains(&row.seq), "nobody is told of a failure: {row:?}");
        }
        for (key, job) in &self.store.jobs {
            self.judge_job(job, &rows.remove(key).unwrap_or_default(), end);
        }
        assert!(rows.is_empty(), "rows of no job: {rows:?}");
    }

    fn judge_job(&self, job: &Job, rows: &[&LedgerRow], end: i64) {
        let path = job.revision.spec.post.url.to_string();
        let mut numbers = path.rsplit('/').map(|text| text.parse::<i64>().expect("the URL says what the job is"));
        let (most, step) = (numbers.next().expect("there"), numbers.next().expect("there"));
        let since = job.revision.created_at.floor().as_secs();
        let is_due = |second: i64| second > since && second.rem_euclid(60) % step == 0;
        let mut told: BTreeMap<i64, u32> = BTreeMap::new();
        let scheduled = rows.iter().filter(|row| row.key.kind == Kind::Scheduled);
        for row in scheduled.clone() {
            let last = row.key.instant.as_secs();
            let first = row.record.covers.map_or(last, |covers| covers.from.as_secs());
            assert!(is_due(last), "a row for an instant nobody owed: {row:?}");
            (first..=last).filter(|&second| is_due(second)).for_each(|second| *told.entry(second).or_default() += 1);
        }
        for (second, count) in &told {
            assert_eq!(*count, 1, "instant {second} has {count} records: {rows:#?}");
        }
        let runs = scheduled.filter(|row| row.record.status != Status::Skipped).count();
        if most > 0 {
            assert!(
                runs <= usize::try_from(most).expect("few"),
                "{runs} runs of a job that may have {most}: {rows:#?}"
            );
            return;
        }
        let until = job.deleted.map_or(end, |at| end.min(at.floor().as_secs() - 1));
        for second in (since + 1..=until).filter(|&second| is_due(second)) {
            assert!(told.contains_key(&second), "instant {second} was lost: {:?}, {rows:#?}", job.revision);
        }
    }
}
