-- Times: *_at, *_time in microseconds since 1970 (UTC) unless said otherwise; instants in whole seconds.
-- Codes (status, kind, class) stand in core/record.rs and core/key.rs; released ones never change.

-- What clients registered. A deleted job stays as a tombstone while there is history of it.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY,
    public_id BLOB NOT NULL,
    revision INTEGER NOT NULL,
    -- All that the client said, as JSON: the members are listed in job/definition.rs.
    definition TEXT NOT NULL,
    -- Where @every counts from, in seconds.
    anchor INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    -- What everybody looks for first, readable in any SQLite shell.
    schedule TEXT GENERATED ALWAYS AS (definition ->> '$.schedule') VIRTUAL,
    api TEXT GENERATED ALWAYS AS (definition ->> '$.api') VIRTUAL,
    type TEXT GENERATED ALWAYS AS (definition ->> '$.type') VIRTUAL,
    active INTEGER GENERATED ALWAYS AS (deleted_at IS NULL AND definition ->> '$.active') VIRTUAL
) STRICT;

CREATE INDEX idx_jobs_active ON jobs (id) WHERE active = 1;
CREATE INDEX idx_jobs_deleted ON jobs (deleted_at) WHERE deleted_at IS NOT NULL;

-- What is armed, in flight, or just finished, in the order in which it was armed. Finished rows are folded into
-- job_executions in the background; no index is kept here, so a new row touches the last page only.
CREATE TABLE ledger (
    seq INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL,
    -- The instant, in seconds.
    scheduled_time INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    number INTEGER NOT NULL,
    status INTEGER NOT NULL,
    class INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    recoveries INTEGER NOT NULL,
    due_time INTEGER NOT NULL,
    executed_time INTEGER,
    http_status INTEGER,
    -- Microseconds.
    duration INTEGER,
    error_message TEXT,
    -- The missed instants the row stands for: the earliest (seconds), how many, whether there are more.
    covers_from INTEGER,
    covers_count INTEGER,
    covers_more INTEGER
) STRICT;

-- History: finished executions, clustered by job and time.
CREATE TABLE job_executions (
    job_id INTEGER NOT NULL,
    scheduled_time INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    number INTEGER NOT NULL,
    status INTEGER NOT NULL,
    class INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    recoveries INTEGER NOT NULL,
    -- The first dispatch, in microseconds after the instant: half the bytes of a time.
    executed_after INTEGER,
    http_status INTEGER,
    duration INTEGER,
    error_message TEXT,
    covers_from INTEGER,
    covers_count INTEGER,
    covers_more INTEGER,
    PRIMARY KEY (job_id, scheduled_time, kind, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_job_executions_scheduled_time ON job_executions (scheduled_time);
CREATE INDEX idx_job_executions_not_success ON job_executions (scheduled_time) WHERE status <> 0;

-- What became of each job's folded executions, so that nothing is counted by a scan of history.
CREATE TABLE job_totals (
    job_id INTEGER PRIMARY KEY,
    -- The highest instant of a folded scheduled execution, in seconds.
    finished_through INTEGER,
    success INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    timed INTEGER NOT NULL,
    -- Rows of the job in job_executions now; retention takes them away, and nothing else here.
    kept INTEGER NOT NULL,
    last_scheduled_time INTEGER NOT NULL,
    last_status INTEGER NOT NULL,
    last_http_status INTEGER
) STRICT;

-- The alert log. An alert has the number of the execution that failed.
CREATE TABLE alerts (
    seq INTEGER PRIMARY KEY,
    job_id INTEGER NOT NULL,
    execution TEXT NOT NULL,
    api TEXT NOT NULL,
    schedule TEXT NOT NULL,
    error_message TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- PENDING, DELIVERED, FAILED (given up), LOGGED (no webhook was set).
    delivery TEXT NOT NULL,
    delivered_at INTEGER,
    attempts INTEGER NOT NULL,
    delivery_error TEXT
) STRICT;

CREATE INDEX idx_alerts_job_id ON alerts (job_id);
CREATE INDEX idx_alerts_created_at ON alerts (created_at);
CREATE INDEX idx_alerts_undelivered ON alerts (seq) WHERE delivery = 'PENDING';

-- Numbers that must survive the rows they were taken from.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- History as people read it, in any SQLite shell.
CREATE VIEW execution_history AS
SELECT job_id, scheduled_time, kind, number, status, scheduled_time * 1000000 + executed_after AS executed_time,
       http_status, duration, error_message, max(attempt - 1, 0) AS retry_count
FROM job_executions
UNION ALL
SELECT job_id, scheduled_time, kind, number, status, executed_time,
       http_status, duration, error_message, max(attempt - 1, 0)
FROM ledger;
