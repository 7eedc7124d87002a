//! Owns which job POSTs to which target, and which of them hang.
//! It must not know what a target is.

/// How jobs are spread over targets: those that hang, counted from 0, get the first jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// How many targets there are.
    pub targets: u32,
    /// How many of the targets, from the first, accept and never answer.
    pub hang: u32,
    /// How many jobs belong to those.
    pub hung_jobs: u32,
}

impl Spread {
    /// One target that answers.
    pub(super) const PLAIN: Spread = Spread { targets: 1, hang: 0, hung_jobs: 0 };

    /// The target of a job.
    pub(super) fn target_of(self, job: u32) -> u32 {
        if self.hangs(job) { job % self.hang } else { self.hang + job % (self.targets - self.hang) }
    }

    /// Whether a job's target never answers.
    pub(super) fn hangs(self, job: u32) -> bool {
        job < self.hung_jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_gets_its_kind_of_jobs() {
        let spread = Spread { targets: 5, hang: 2, hung_jobs: 4 };
        let targets: Vec<u32> = (0..10).map(|job| spread.target_of(job)).collect();
        assert_eq!(targets, [0, 1, 0, 1, 3, 4, 2, 3, 4, 2]);
        assert!(targets.iter().zip(0..).all(|(target, job)| (*target < 2) == spread.hangs(job)));
        assert_eq!((Spread::PLAIN.target_of(7), Spread::PLAIN.hangs(0)), (0, false));
    }
}
