//! Owns executions that clients ask for: which, what was answered, and what that obliges to.
//! It must not look into the core.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use punctual::core::{Attempt, ExecutionId, Kind, LedgerRow, Record, Run, RunOf, Status, Wait};
use punctual::job::{Content, JobId, OwnBody};
use punctual::time::{Instant, WallUs};

use super::coverage::Coverage;
use super::disk::Disk;
use super::rng::Rng;

/// What a client asked for.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) id: JobId,
    of: RunOf,
    waits: bool,
}

#[derive(Default)]
pub(crate) struct Runs {
    /// Executions of which it was answered that their rows are on disk.
    begun: BTreeSet<ExecutionId>,
    /// Jobs of which some were to run whatever else runs.
    forced: BTreeSet<JobId>,
    bodies: u64,
    /// How many instants a backfill may have.
    backfill_max: usize,
}

impl Runs {
    pub(crate) fn new(backfill_max: usize) -> Runs {
        Runs { backfill_max, ..Runs::default() }
    }

    pub(crate) fn ask(&mut self, id: JobId, disk: &Disk, rng: &mut Rng, wall: WallUs) -> (Wanted, Run) {
        let now = wall.floor().as_secs();
        let finished: Vec<&LedgerRow> = disk
            .rows
            .values()
            .rev()
            .filter(|row| row.key.job == id.key() && row.record.status != Status::Pending)
            .take(20)
            .collect();
        let of = match rng.within(0..=3) {
            0 if !finished.is_empty() => RunOf::Again(rng.pick(&finished).key.of(id)),
            1 => {
                let to = now - rng.signed(-1..=5);
                RunOf::Past { from: Instant::from_secs(to - rng.signed(0..=20)), to: Instant::from_secs(to) }
            }
            _ => RunOf::Now,
        };
        let force = rng.per_cent(20);
        if force {
            self.forced.insert(id);
        }
        self.bodies += 1;
        let text = format!("own {}", self.bodies);
        let own_body = rng.per_cent(30).then(|| OwnBody::compile(Some(&text), None).expect("a body")).flatten();
        let wait = rng.per_cent(30).then(|| Duration::from_millis(rng.within(0..=20_000)));
        (
            Wanted { id, of, waits: wait.is_some() && !matches!(of, RunOf::Past { .. }) },
            Run { id, of, own_body, force, wait },
        )
    }

    /// Executions of several jobs, some of which may be gone.
    pub(crate) fn ask_all(&self, disk: &Disk, rng: &mut Rng) -> Vec<(ExecutionId, Option<OwnBody>)> {
        let ended = disk.rows.values().rev().filter(|row| row.record.status != Status::Pending);
        let most = usize::try_from(rng.within(1..=6)).expect("small");
        let some = ended.step_by(3).take(most);
        some.map(|row| (row.key.of(disk.jobs[&row.key.job].revision.id), None)).collect()
    }

    /// It was answered which of these were begun.
    pub(crate) fn started_all(
        &mut self,
        asked: &[ExecutionId],
        ids: &[ExecutionId],
        passed_over: usize,
        disk: &Disk,
        coverage: &mut Coverage,
    ) {
        assert_eq!(asked.len(), ids.len() + passed_over, "each is begun or passed over");
        for id in ids {
            let row = disk.row_of(&id.key()).expect("an execution was answered that is not on disk");
            let origin = row.record.details.as_ref().and_then(|details| details.origin);
            assert!(id.kind == Kind::Replay && origin.is_some_and(|origin| asked.contains(&origin)), "{row:?}");
            self.begun.insert(*id);
        }
        coverage.hit_if(ids.len() > 1, "several done again");
        coverage.hit_if(passed_over > 0, "passed over when all were done again");
    }

    /// It was answered that these were begun.
    pub(crate) fn started(&mut self, wanted: Wanted, ids: &[ExecutionId], disk: &Disk, coverage: &mut Coverage) {
        assert!(!ids.is_empty(), "nothing was begun");
        let is_backfill = matches!(wanted.of, RunOf::Past { .. });
        assert!(!is_backfill || ids.len() <= self.backfill_max, "{} instants of one backfill", ids.len());
        for id in ids {
            self.assert_asked(wanted, *id, disk);
            self.begun.insert(*id);
        }
        match wanted.of {
            RunOf::Now => coverage.hit("run"),
            RunOf::Again(_) => coverage.hit("replay"),
            RunOf::Past { .. } => coverage.hit("backfill"),
        }
        coverage.hit_if(ids.len() > 1, "backfill of several");
        coverage.hit_if(wanted.waits, "waited too long for an end");
    }

    /// It was answered how one ended.
    pub(crate) fn ended(
        &mut self,
        wanted: Wanted,
        id: ExecutionId,
        record: &Record,
        disk: &Disk,
        coverage: &mut Coverage,
    ) {
        let row = self.assert_asked(wanted, id, disk);
        assert!(wanted.waits && record.status != Status::Pending, "nobody waited for this: {row:?}");
        assert_eq!(row.record, *record, "an end was answered that is not on disk");
        self.begun.insert(id);
        coverage.hit("waited for an end");
    }

    fn assert_asked<'a>(&self, wanted: Wanted, id: ExecutionId, disk: &'a Disk) -> &'a LedgerRow {
        assert_eq!(id.job, wanted.id, "another job's execution was begun");
        let row = disk.row_of(&id.key()).expect("an execution was answered that is not on disk");
        let origin = row.record.details.as_ref().and_then(|details| details.origin);
        match wanted.of {
            RunOf::Now => assert_eq!((id.kind, origin), (Kind::Manual, None)),
            RunOf::Again(of) => assert_eq!((id.kind, id.instant, origin), (Kind::Replay, of.instant, Some(of))),
            RunOf::Past { from, to } => {
                assert_eq!((id.kind, origin), (Kind::Backfill, None));
                assert!((from..=to).contains(&id.instant), "a backfill of another time: {row:?}");
            }
        }
        row
    }

    /// Whether executions of a job may run beside others although its policy does not say so.
    pub(crate) fn may_be_forced(&self, id: JobId) -> bool {
        self.forced.contains(&id)
    }

    /// An attempt sends the body that its row says, if it says one.
    pub(crate) fn assert_body(&self, attempt: &Attempt, row: &LedgerRow) {
        let own = row.record.details.as_ref().and_then(|details| details.own_body.as_ref());
        let sent = match attempt.post.content() {
            Content::Fixed(bytes, _) => bytes,
            Content::None | Content::Filled(..) => panic!("jobs here send a fixed body"),
        };
        let kept = own.map(|own| serde_json::to_value(own).expect("JSON"));
        let expected = kept.as_ref().and_then(|kept| kept["body"].as_str()).unwrap_or("{}");
        assert_eq!(sent, expected.as_bytes(), "another body than its row has: {row:?}");
    }

    /// What was answered is there, and all that was asked for before this moment has ended.
    pub(crate) fn judge(&self, disk: &Disk, end: Instant) {
        for id in &self.begun {
            let row = disk.row_of(&id.key()).unwrap_or_else(|| panic!("{id} was begun and is lost"));
            let finished = row.record.status != Status::Pending;
            assert!(finished || id.instant > end, "not finished long after all healed: {row:?}");
        }
        let mut numbers: BTreeMap<_, u64> = BTreeMap::new();
        for row in disk.rows.values().filter(|row| row.key.kind != Kind::Scheduled) {
            assert_ne!(row.record.status, Status::Skipped, "what a client asks for is not skipped: {row:?}");
            assert!(row.record.covers.is_none(), "what a client asks for is one execution: {row:?}");
            *numbers.entry((row.key.job, row.key.instant, row.key.kind, row.key.number)).or_default() += 1;
        }
        assert!(numbers.values().all(|&count| count == 1), "two executions with one identity");
    }
}

/// Whether a row says that it waits for others of its job.
pub(crate) fn is_in_line(row: &LedgerRow) -> bool {
    row.record.details.as_ref().is_some_and(|details| details.waits_for == Some(Wait::Overlap))
}
