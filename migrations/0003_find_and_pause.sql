-- What jobs are found by, and how they are paused.

-- From when on a job owes instants, in seconds: strictly after this.
ALTER TABLE jobs ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET since = updated_at / 1000000;

-- Why and for how long a job is paused, as JSON: job/revision.rs.
ALTER TABLE jobs ADD COLUMN pause TEXT;
UPDATE jobs SET pause = json_object('since', updated_at / 1000000, 'reason', paused) WHERE paused IS NOT NULL;
UPDATE jobs SET pause = json_object('since', updated_at / 1000000) WHERE paused IS NULL AND NOT active;
ALTER TABLE jobs DROP COLUMN paused;

-- What was answered to requests with an Idempotency-Key.
CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    -- SHA-256 of method, path and body.
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    -- Names and values, as a JSON list.
    headers TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys (created_at);

ALTER TABLE jobs ADD COLUMN name TEXT GENERATED ALWAYS AS (definition ->> '$.name') VIRTUAL;
CREATE INDEX idx_jobs_name ON jobs (name) WHERE name IS NOT NULL;

-- Tags of jobs that are not deleted.
CREATE TABLE job_tags (
    job_id INTEGER NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (job_id, tag)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_job_tags_tag ON job_tags (tag, job_id);
