-- Time series: what finished executions come to, by hour and by day, so that no figure is made by a scan of history.
-- The fold adds to them. By time first: a fold of all jobs writes pages that lie together, not one for each job.
-- job_id 0 is the sum over all jobs. The bytes of a rollup: store/rollup.rs.

-- The last days, hour by hour. Those before the mark 'series_days_before' have become days, or are about to.
CREATE TABLE series_hours (
    -- The beginning of the hour, in seconds.
    start INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    rollup BLOB NOT NULL,
    PRIMARY KEY (start, job_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE series_days (
    -- The beginning of the day (UTC), in seconds.
    start INTEGER NOT NULL,
    job_id INTEGER NOT NULL,
    rollup BLOB NOT NULL,
    PRIMARY KEY (start, job_id)
) STRICT, WITHOUT ROWID;
