//! Owns how much of everything there may be in the core at once, or in one turn: the bounds that its decisions go by.
//! It must not make up a bound: [`limits`](crate::limits) has them all, and the relations that are checked there hold here.

use std::time::Duration;

use crate::limits;

/// The bounds of the core. A server runs with those of [`limits`](crate::limits), which are the default; others show
/// within seconds what comes of a bound that is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Items on their way to the disk, beyond which nothing is armed.
    pub unwritten_max: usize,
    /// Executions of whatever state, beyond which nothing is armed or asked for.
    pub executions_max: usize,
    /// Steps of arming in a turn.
    pub arm_steps_per_turn: u32,
    /// Executions whose instant has come that one tick takes up.
    pub due_per_tick: usize,
    /// Missed instants that are counted exactly.
    pub missed_count_max: u32,
    /// Missed instants of one gap that are run.
    pub misfire_all_max: u32,
    /// Changes on their way to the disk.
    pub changes_pending_max: usize,
    /// Changes of one job that wait for each other.
    pub changes_per_job_max: usize,
    /// Executions of one job that were asked for and have not ended.
    pub asked_per_job_max: usize,
    /// Instants of one backfill.
    pub backfill_max: usize,
    /// Clients that wait for an execution to end.
    pub run_waiters_max: usize,
    /// Executions that wait for one target, beyond which nothing is armed for it.
    pub target_backlog_max: usize,
    /// Instants of stalled jobs that are armed at once for a target that nothing waits for.
    pub stalled_at_once: i64,
    /// Failures in a row to reach a target, from which on it counts as failing.
    pub failing_after: u32,
    /// What one target may hold of what may be in flight, in per cent.
    pub target_share_per_cent: u32,
    /// What one failing target may hold.
    pub failing_target_share_per_cent: u32,
    /// What all failing targets may hold together.
    pub failing_share_per_cent: u32,
    /// What is kept for targets that hold few.
    pub reserve_per_cent: u32,
    /// How much is few.
    pub few_per_cent: u32,
    /// What is recovered or caught up may hold together.
    pub recovery_share_per_cent: u32,
    /// The longest wait that a target may ask for.
    pub retry_after_max: Duration,
    /// Attempts of an execution that are told of, beside the last.
    pub attempts_told_max: usize,
    /// The length of what is kept of an error, in bytes.
    pub error_len_max: usize,
    /// Named calendars.
    pub calendars_max: usize,
    /// Channels.
    pub channels_max: usize,
    /// Channels of e-mail among them.
    pub mail_channels_max: usize,
    /// Silences.
    pub silences_max: usize,
    /// Tags with a policy.
    pub tag_policies_max: usize,
    /// Open incidents, beyond which none of a job is opened.
    pub incidents_open_max: usize,
    /// Incidents that are told or told again in a turn.
    pub incidents_per_turn: usize,
    /// Jobs that are looked at in a turn after a policy has changed.
    pub reconsidered_per_turn: usize,
    /// Jobs that a forecast looks at.
    pub forecast_jobs_max: usize,
    /// Steps that a forecast takes.
    pub forecast_steps_max: usize,
    /// Seconds that a forecast names.
    pub forecast_peaks_max: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            unwritten_max: limits::UNWRITTEN_ARM_MAX,
            executions_max: limits::EXECUTIONS_MAX,
            arm_steps_per_turn: limits::ARM_STEPS_PER_TURN,
            due_per_tick: limits::DUE_PER_TICK,
            missed_count_max: limits::MISSED_COUNT_MAX,
            misfire_all_max: limits::MISFIRE_ALL_MAX,
            changes_pending_max: limits::CHANGES_PENDING_MAX,
            changes_per_job_max: limits::CHANGES_PER_JOB_MAX,
            asked_per_job_max: limits::ASKED_PER_JOB_MAX,
            backfill_max: limits::BACKFILL_MAX,
            run_waiters_max: limits::RUN_WAITERS_MAX,
            target_backlog_max: limits::TARGET_BACKLOG_MAX,
            stalled_at_once: limits::STALLED_AT_ONCE,
            failing_after: limits::FAILING_AFTER,
            target_share_per_cent: limits::TARGET_SHARE_PER_CENT,
            failing_target_share_per_cent: limits::FAILING_TARGET_SHARE_PER_CENT,
            failing_share_per_cent: limits::FAILING_SHARE_PER_CENT,
            reserve_per_cent: limits::RESERVE_PER_CENT,
            few_per_cent: limits::FEW_PER_CENT,
            recovery_share_per_cent: limits::RECOVERY_SHARE_PER_CENT,
            retry_after_max: limits::RETRY_AFTER_MAX,
            attempts_told_max: limits::ATTEMPTS_TOLD_MAX,
            error_len_max: limits::ERROR_LEN_MAX,
            calendars_max: limits::CALENDARS_MAX,
            channels_max: limits::CHANNELS_MAX,
            mail_channels_max: limits::MAIL_CHANNELS_MAX,
            silences_max: limits::SILENCES_MAX,
            tag_policies_max: limits::TAG_POLICIES_MAX,
            incidents_open_max: limits::INCIDENTS_OPEN_MAX,
            incidents_per_turn: limits::INCIDENTS_PER_TURN,
            reconsidered_per_turn: limits::RECONSIDERED_PER_TURN,
            forecast_jobs_max: limits::FORECAST_JOBS_MAX,
            forecast_steps_max: limits::FORECAST_STEPS_MAX,
            forecast_peaks_max: limits::FORECAST_PEAKS_MAX,
        }
    }
}

impl Bounds {
    /// Fails for bounds that do not go together, as those of [`limits`](crate::limits) fail to compile.
    pub(super) fn assert_sound(&self) {
        assert!(self.misfire_all_max <= self.missed_count_max, "what is run must have been counted");
        assert!(self.missed_count_max < self.arm_steps_per_turn, "one gap must fit into one turn");
        assert!(self.backfill_max <= self.asked_per_job_max, "a backfill must have room at a job that has none");
        assert!(self.target_share_per_cent < 100, "one target must not hold all that may be in flight");
        assert!(self.failing_target_share_per_cent <= self.failing_share_per_cent);
        let of_failing = self.failing_target_share_per_cent;
        assert!(of_failing <= self.target_share_per_cent, "who fails holds no more than who does not");
        assert!(self.failing_share_per_cent < 100, "failing targets must leave room for healthy ones");
        assert!(self.few_per_cent < self.reserve_per_cent && self.reserve_per_cent < self.target_share_per_cent);
        assert!(self.mail_channels_max <= self.channels_max, "a channel of e-mail is a channel");
        let least = [
            self.unwritten_max,
            self.executions_max,
            self.misfire_all_max as usize,
            self.changes_pending_max,
            self.changes_per_job_max,
            self.backfill_max,
            self.target_backlog_max,
            self.failing_after as usize,
            self.attempts_told_max,
            self.due_per_tick,
            self.incidents_per_turn,
            self.reconsidered_per_turn,
            self.forecast_steps_max,
        ];
        assert!(least.into_iter().all(|bound| bound > 0) && self.stalled_at_once > 0, "nothing would ever go on");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_a_server_go_together() {
        Bounds::default().assert_sound();
    }

    #[test]
    #[should_panic(expected = "one gap must fit into one turn")]
    fn a_gap_that_fits_into_no_turn_is_refused() {
        Bounds { arm_steps_per_turn: limits::MISSED_COUNT_MAX, ..Bounds::default() }.assert_sound();
    }
}
