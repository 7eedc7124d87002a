-- The full job model: what a job may say beside its schedule and its URL, and what its executions tell.

-- What few executions have to tell, as JSON: core/details.rs.
ALTER TABLE ledger ADD COLUMN details TEXT;
ALTER TABLE job_executions ADD COLUMN details TEXT;

-- Dates with a name that schedules of several jobs leave out, as a JSON list.
CREATE TABLE calendars (
    name TEXT PRIMARY KEY,
    dates TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Raised when a job is released that a clock held which stepped back: the number of its scheduled executions.
ALTER TABLE jobs ADD COLUMN era INTEGER NOT NULL DEFAULT 0;
-- Why it was paused, if its own policy did it.
ALTER TABLE jobs ADD COLUMN paused TEXT;

-- The era that finished_through belongs to.
ALTER TABLE job_totals ADD COLUMN finished_era INTEGER NOT NULL DEFAULT 0;
-- Scheduled executions that were not skipped. Until now there were no others.
ALTER TABLE job_totals ADD COLUMN runs INTEGER NOT NULL DEFAULT 0;
UPDATE job_totals SET runs = success + failed;
-- How many ended FAILED since the last that ended SUCCESS.
ALTER TABLE job_totals ADD COLUMN failures_in_row INTEGER NOT NULL DEFAULT 0;

-- Secrets of jobs, sealed (vault.rs). The definition says only that they are set.
CREATE TABLE secrets (
    job_id INTEGER NOT NULL,
    -- The member that it stands in, such as auth.bearer.
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (job_id, name)
) STRICT, WITHOUT ROWID;
