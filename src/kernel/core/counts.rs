//! Owns what happened so far, as numbers that only grow: what ended how, and what attempts came to.
//! It must not know when anything happened, or how it is shown.

use super::key::Kind;
use super::record::Status;
use crate::job::Failure;

/// What happened since the start, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows armed.
    pub armed: u64,
    /// Attempts handed to workers.
    pub fired: u64,
    /// Attempts among them that were not begun, as this node could not trust any more that their jobs are its own.
    pub withheld: u64,
    /// Attempts after the first of an execution.
    pub retried: u64,
    /// Executions that ended.
    pub ended: EndedCounts,
    /// Attempts that ended.
    pub attempts: AttemptCounts,
    /// Missed instants, as far as they were counted.
    pub missed: u64,
    /// Executions in doubt after a crash that were sent again.
    pub recovered: u64,
    /// Executions sent for missed instants.
    pub caught_up: u64,
    /// Executions that clients asked for.
    pub asked_for: u64,
    /// Reports and acknowledgements nobody waited for.
    pub stale: u64,
    /// Changes refused.
    pub refused: u64,
    /// Steps of the wall clock.
    pub clock_steps: u64,
    /// Incidents that were opened.
    pub incidents_opened: u64,
    /// Incidents that were closed.
    pub incidents_closed: u64,
    /// Incidents that were not opened, as too many are open.
    pub incidents_passed_over: u64,
}

/// Executions that ended, by kind and status. None ends PENDING.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedCounts([[u64; 4]; 4]);

impl EndedCounts {
    /// One more.
    pub(super) fn note(&mut self, kind: Kind, status: Status) {
        self.0[usize::from(kind.code())][usize::from(status.code())] += 1;
    }

    /// How many of this kind ended like this.
    pub fn of(&self, kind: Kind, status: Status) -> u64 {
        self.0[usize::from(kind.code())][usize::from(status.code())]
    }

    /// How many of any kind ended like this.
    pub fn all(&self, status: Status) -> u64 {
        self.0.iter().map(|kind| kind[usize::from(status.code())]).sum()
    }
}

/// Attempts of executions that ended, by what they came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// Answered with a success, as the job has it.
    pub success: u64,
    /// Answered 3xx, and that is no success.
    pub answered_3xx: u64,
    /// Answered 4xx, and that is no success.
    pub answered_4xx: u64,
    /// Answered 5xx, and that is no success.
    pub answered_5xx: u64,
    /// Answered with another status that is no success.
    pub answered_other: u64,
    /// Not answered in time.
    pub timeout: u64,
    /// The connection failed.
    pub connection: u64,
    /// The worker could not carry it out.
    pub worker: u64,
}

impl AttemptCounts {
    /// One more; None: it was a success.
    pub(super) fn note(&mut self, failure: Option<Failure>) {
        let count = match failure {
            None => &mut self.success,
            Some(Failure::Status(300..=399)) => &mut self.answered_3xx,
            Some(Failure::Status(400..=499)) => &mut self.answered_4xx,
            Some(Failure::Status(500..=599)) => &mut self.answered_5xx,
            Some(Failure::Status(_)) => &mut self.answered_other,
            Some(Failure::Timeout) => &mut self.timeout,
            Some(Failure::Connection) => &mut self.connection,
            Some(Failure::Worker) => &mut self.worker,
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_counts_for_its_kind_and_its_status() {
        let mut ended = EndedCounts::default();
        let kinds = [Kind::Scheduled, Kind::Manual, Kind::Replay, Kind::Backfill];
        let statuses = [Status::Success, Status::Failed, Status::Skipped];
        let every = kinds.into_iter().flat_map(|kind| statuses.map(|status| (kind, status)));
        for (number, (kind, status)) in every.clone().enumerate() {
            (0..=number).for_each(|_| ended.note(kind, status));
        }
        for (number, (kind, status)) in every.enumerate() {
            assert_eq!(ended.of(kind, status), number as u64 + 1, "{kind:?} {status:?}");
        }
        assert_eq!(statuses.map(|status| ended.all(status)), [1 + 4 + 7 + 10, 2 + 5 + 8 + 11, 3 + 6 + 9 + 12]);
    }

    #[test]
    fn each_attempt_counts_once_for_what_it_came_to() {
        let mut attempts = AttemptCounts::default();
        let status = |status| Some(Failure::Status(status));
        let outcomes = [None, status(301), status(404), status(503), status(204), Some(Failure::Timeout)];
        outcomes.into_iter().chain([Some(Failure::Connection), Some(Failure::Worker)]).for_each(|it| attempts.note(it));
        let expected = AttemptCounts {
            success: 1,
            answered_3xx: 1,
            answered_4xx: 1,
            answered_5xx: 1,
            answered_other: 1,
            timeout: 1,
            connection: 1,
            worker: 1,
        };
        assert_eq!(attempts, expected);
    }
}
