-- What was wrong, who was told, and what steers that. Times in microseconds since 1970 (UTC).
-- Names (cause, event, delivery) stand in core/incident.rs and store/messages.rs; released ones never change.

-- Something that was wrong, from when it was noticed until it was over. Its id is the microsecond of its opening.
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    cause TEXT NOT NULL,
    -- With what: a job, which may be gone, or a target; NULL: this server.
    job_id INTEGER,
    public_id BLOB,
    target TEXT,
    -- What the job was called then.
    name TEXT,
    api TEXT,
    schedule TEXT,
    summary TEXT NOT NULL,
    -- The execution that it was opened by.
    execution TEXT,
    opened_at INTEGER NOT NULL,
    -- NULL: it is open.
    closed_at INTEGER,
    closed_why TEXT,
    acknowledged_at INTEGER,
    acknowledged_by TEXT,
    acknowledged_note TEXT,
    -- How many messages there were of it; those that are kept may be fewer.
    messages INTEGER NOT NULL,
    told INTEGER NOT NULL,
    told_at INTEGER
) STRICT;

-- Pages, newest first.
CREATE INDEX idx_incidents_open ON incidents (id) WHERE closed_at IS NULL;
CREATE INDEX idx_incidents_open_of_job ON incidents (job_id, id) WHERE closed_at IS NULL AND job_id IS NOT NULL;
CREATE INDEX idx_incidents_closed ON incidents (id) WHERE closed_at IS NOT NULL;
CREATE INDEX idx_incidents_job ON incidents (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX idx_incidents_cause ON incidents (cause, id);
-- What is too old.
CREATE INDEX idx_incidents_closed_at ON incidents (closed_at) WHERE closed_at IS NOT NULL;

-- A message of an incident, once for each channel that it goes over.
CREATE TABLE messages (
    incident INTEGER NOT NULL,
    -- Counts the messages of the incident, from 1.
    number INTEGER NOT NULL,
    channel TEXT NOT NULL,
    -- NULL, both: it was sent before it could be written, and its row comes.
    event TEXT,
    created_at INTEGER,
    -- PENDING, DELIVERED, FAILED (given up).
    delivery TEXT NOT NULL,
    delivered_at INTEGER,
    attempts INTEGER NOT NULL,
    error TEXT,
    PRIMARY KEY (incident, number, channel)
) STRICT, WITHOUT ROWID;

CREATE INDEX idx_messages_undelivered ON messages (created_at) WHERE delivery = 'PENDING' AND event IS NOT NULL;
CREATE INDEX idx_messages_done ON messages (created_at) WHERE delivery <> 'PENDING';
CREATE INDEX idx_messages_unwritten ON messages (incident) WHERE event IS NULL;

-- Where messages go, and how that went last.
CREATE TABLE channels (
    name TEXT PRIMARY KEY,
    -- What the client said, as JSON: the members are listed in channel/mod.rs. Secrets are not in it.
    definition TEXT NOT NULL,
    delivered_at INTEGER,
    failed_at INTEGER,
    -- NULL: it delivered since.
    error TEXT
) STRICT, WITHOUT ROWID;

-- Secrets of channels, sealed (vault.rs). The definition says only that they are set.
CREATE TABLE channel_secrets (
    channel TEXT NOT NULL,
    -- The member that it stands in.
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (channel, name)
) STRICT, WITHOUT ROWID;

-- When somebody is told: `server`, or `tag:` and a tag. Those of jobs stand in their definitions.
CREATE TABLE policies (
    scope TEXT PRIMARY KEY,
    -- As JSON: the members are listed in job/alerting.rs.
    definition TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Of what nothing is told: a job, a tag or a target.
CREATE TABLE silences (
    -- The microsecond in which it began.
    id INTEGER PRIMARY KEY,
    job BLOB,
    tag TEXT,
    target TEXT,
    note TEXT NOT NULL,
    -- In whole seconds.
    ends_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- The name of the token, if one was shown.
    created_by TEXT
) STRICT;

-- The latest second in which one was sent that ended SUCCESS, of those that are folded.
ALTER TABLE job_totals ADD COLUMN last_success INTEGER;
-- Of those before this it is looked for in history, but not through all of it for a job that has failed for long.
UPDATE job_totals SET last_success = ifnull((
    SELECT sent FROM (
        SELECT status, scheduled_time + ifnull(executed_after, 0) / 1000000 AS sent FROM job_executions e
        WHERE e.job_id = job_totals.job_id ORDER BY scheduled_time DESC LIMIT 1000
    ) WHERE status = 0 LIMIT 1
), iif(last_status = 0, last_scheduled_time, NULL));
