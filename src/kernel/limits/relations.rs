//! Owns how bounds relate to each other, checked at compile time.
//! It must not hold one.

use super::*;

const _: () = {
    assert!(ARM_LEAD_US > 1_000_000 && ARM_LEAD_US < 2_000_000, "an execution is armed 1-2 s ahead");
    assert!(ARM_LEAD_US % 1_000_000 == 500_000 && CLUSTER_LEAD_US % 1_000_000 == 500_000, "off the full second");
    assert!(CLUSTER_LEAD_US > ARM_LEAD_US && CLUSTER_LEAD_US < 10_000_000);
    assert!(TRUST_TIME.as_millis() * 10 / 9 < REVOKE_AFTER.as_millis(), "trust ends first, by clocks of any pace");
    assert!(BEAT_EVERY.as_millis() * 3 < TRUST_TIME.as_millis(), "a beat may be late");
    assert!(
        LOOK_EVERY.as_millis() * 2 < LOOK_GAP_MAX.as_millis() && LOOK_GAP_MAX.as_millis() < LOOK_TIME_MAX.as_millis()
    );
    assert!(SKEW_MAX.as_micros() * 2 < ARM_LEAD_US as u128, "what is armed lies ahead on every clock");
    assert!(TARGET_SHARE_PER_CENT < 100, "one target must not hold all that may be in flight");
    assert!(FAILING_TARGET_SHARE_PER_CENT <= FAILING_SHARE_PER_CENT);
    assert!(FAILING_TARGET_SHARE_PER_CENT <= TARGET_SHARE_PER_CENT, "who fails holds no more than who does not");
    assert!(FEW_PER_CENT < RESERVE_PER_CENT && RESERVE_PER_CENT < TARGET_SHARE_PER_CENT);
    assert!(FAILING_SHARE_PER_CENT < 100, "failing targets must leave room for healthy ones");
    assert!(BACKFILL_MAX <= ASKED_PER_JOB_MAX, "a backfill must have room at a job that has none");
    assert!(MAIL_CHANNELS_MAX <= CHANNELS_MAX, "a channel of e-mail is a channel");
    assert!(MISFIRE_ALL_MAX <= MISSED_COUNT_MAX, "what is run must have been counted");
    assert!(MISSED_COUNT_MAX < ARM_STEPS_PER_TURN, "one gap must fit into one turn");
    assert!(OPENINGS_PER_BUSY_TURN <= OPENINGS_PER_TURN && EXPIRIES_PER_BUSY_TURN <= EXPIRIES_PER_TURN);
    assert!(REPORT_WAIT_MAX.as_millis() < OUTCOME_WAIT_MAX.as_millis(), "reports come before what they lead to");
    assert!(RETENTION_LOOK_EVERY.as_millis() < RETENTION_EVERY.as_millis());
    assert!(SERIES_HOURS_KEPT.as_secs() < SERIES_DAYS_KEPT.as_secs());
    assert!(SERIES_JOB_LEN_MAX < SERIES_ALL_LEN_MAX && SERIES_POINTS_MAX > 1);
    assert!(ADDRESS_HEAD_START.as_millis() * (ADDRESSES_MAX as u128) < CONNECT_TIME_MAX.as_millis(), "all get a try");
    assert!(FILES_IN_FLIGHT_PER_CENT < 100, "some connections may rest");
    assert!(NAME_FRESH_TIME.as_millis() < NAME_TIME_MAX.as_millis());
    assert!(NAME_FAILED_TIME_MIN.as_millis() < NAME_FAILED_TIME_MAX.as_millis());
    assert!(GROWTH_TICK.as_millis() < DRAIN_TIME.as_millis());
    assert!(CHECKPOINT_WAL_MIN < WAL_LEN_MAX, "the checkpointer comes before the writer");
    assert!(PIECE_JOBS_MAX > 0 && PIECES_PER_TURN_MAX > 0, "a stream must come to its end");
    assert!(STREAM_UNSENT_MAX < UNSENT_MAX, "what a stream leaves unsent must not hold up the next request");
    assert!(EVENTS_PER_SECOND_OF_FIRES < EVENTS_PER_SECOND_OF_SUCCESSES);
    assert!(EVENTS_PER_SECOND_OF_SUCCESSES < EVENTS_PER_SECOND_OF_EXECUTIONS, "what failed is left out last");
    assert!(EVENTS_PER_SECOND_OF_EXECUTIONS < EVENTS_PER_SECOND_MAX);
    assert!(EVENTS_KEPT_MAX > EVENTS_PER_SECOND_MAX as usize, "a client may be a second behind");
    assert!(EVENTS_KEPT_LEN_MAX > STREAM_UNSENT_MAX + PIECE_LEN_MAX, "what is behind is more than a piece");
    assert!(EVENT_SILENCE_MAX.as_secs() * 2 < EVENTS_KEPT_TIME.as_secs(), "whoever listens asks often enough");
    assert!(UNSENT_MAX > BODY_LEN_MAX, "one answer to one request must not stop a connection");
    assert!(GATHERED_MAX < STREAM_UNSENT_MAX);
    assert!(OUTPUT_MAX > UNSENT_MAX, "one connection must not use up what all may");
    assert!(
        CLIENT_CHANGES_PENDING_MAX + READS_PENDING_MAX + READERS + 128 <= CONNECTIONS_MAX,
        "whoever waits for the disk must leave room for health"
    );
    assert!(CLIENT_CHANGES_PENDING_MAX < CHANGES_PENDING_MAX);
    assert!(2 * RUN_WAITERS_MAX < CLIENT_CHANGES_PENDING_MAX, "who waits for an execution must not stop all changes");
    assert!(PARTS_WAIT_MAX.as_millis() < RUN_WAIT_MAX.as_millis(), "its client still waits then");
    assert!(READ_TIME_MAX.as_millis() < REPLY_TIME_MAX.as_millis(), "a slow read is answered by who knows why");
    assert!(LEFT_TIME_MAX.as_millis() < REPLY_TIME_MAX.as_millis());
    assert!(
        FORWARD_TIME_MAX.as_millis() + REVOKE_AFTER.as_millis() < REPLY_TIME_MAX.as_millis(),
        "nothing begins once nobody waits, although whoever took it up stood still"
    );
    assert!(LAST_REQUESTS_TIME_MAX.as_millis() < LAST_ANSWERS_TIME_MAX.as_millis(), "nobody is late for its instant");
    assert!(WAL_LEN_MAX < BACKUP_WAL_HURRY && BACKUP_WAL_HURRY < BACKUP_WAL_MAX);
    assert!(BACKUP_QUIET_AHEAD_US < BACKUP_AHEAD_MAX_US);
    assert!(BACKUP_AHEAD_MAX_US + BACKUP_QUIET_AFTER_US <= 500_000, "half of a second is left to copy in");
    assert!(REST_TIME.as_millis() < REST_GAP.as_millis(), "long answers rest for less time than they are made in");
    assert!(CONNECTIONS_PER_ADDRESS_MAX < TLS_HANDSHAKES_MAX, "one address must not hold all handshakes");
};
