-- Times: *_at, *_time in microseconds since 1970 (UTC) unless said otherwise; instants in whole seconds.
-- Codes (status, kind, class) stand in core/record.rs and core/key.rs; released ones never change.
-- Tables that are written row by row have numbers of 64 bits throughout, as SQLite has.

-- Servers that share this database, and shared it once. A number is an incarnation: it is never used again.
CREATE TABLE nodes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    started_at bigint NOT NULL,
    -- Goes up with each batch, and while there is nothing to write: whoever watches it sees that the node lives.
    beat bigint NOT NULL DEFAULT 0,
    -- The number of its last batch.
    batch bigint NOT NULL DEFAULT 0,
    -- The last batch whose finished executions are in job_totals and in the series, and when that was.
    counted bigint NOT NULL DEFAULT 0,
    counted_at bigint NOT NULL,
    -- How often its process was taken for dead before, and went on as another node.
    fenced bigint NOT NULL DEFAULT 0,
    -- The session that writes for it.
    pid integer,
    -- Whether it gives away all it has, as it is to stop.
    leaving boolean NOT NULL DEFAULT false,
    dead boolean NOT NULL DEFAULT false,
    -- Whether nothing is left of it that others have to take over.
    settled boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);

-- Who owns what: jobs are in a shard.
CREATE TABLE shards (
    shard smallint PRIMARY KEY,
    owner bigint,
    -- Goes up whenever it is taken from a node that died, or left.
    epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO shards (shard) SELECT generate_series(0, 255);

-- The end of every batch: refuses it as a whole if its node was declared dead, or if it was written before.
CREATE FUNCTION fence(node bigint, number bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE nodes SET beat = beat + 1, batch = number WHERE id = node AND NOT dead AND batch = number - 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'node % may not write batch % any more', node, number USING ERRCODE = 'PU001';
    END IF;
END $$;

-- Goes up with each change of calendars, channels, policies and silences: every node has them in memory.
CREATE TABLE config_version (value bigint NOT NULL);
INSERT INTO config_version VALUES (0);

-- Requests that a node took in and another one carries out. Gone as soon as they are answered.
CREATE TABLE requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Who has this carries it out, or this node.
    shard smallint NOT NULL,
    node bigint,
    -- Who took it in, and under which number it waits for an answer there.
    origin bigint NOT NULL,
    number bigint NOT NULL,
    asked_at bigint NOT NULL,
    -- What is asked: server/nodes. Sealed (vault.rs) where secrets are.
    request bytea NOT NULL,
    -- Who carries it out.
    taken bigint,
    -- The answer, once there is one: its headers as a JSON list of names and values.
    status integer,
    headers text,
    body bytea
) WITH (fillfactor = 50);

-- What clients registered. A deleted job stays as a tombstone while there is history of it.
CREATE TABLE jobs (
    id bigint PRIMARY KEY,
    shard smallint NOT NULL DEFAULT 0,
    public_id bytea NOT NULL,
    revision bigint NOT NULL,
    -- All that the client said: the members are listed in job/definition.rs.
    definition json NOT NULL,
    -- Where @every counts from, in seconds.
    anchor bigint NOT NULL,
    -- From when on it owes instants, in seconds: strictly after this.
    since bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    deleted_at bigint,
    -- The number of its scheduled executions: raised when a clock that stepped back held it.
    era bigint NOT NULL,
    -- Why and for how long it is paused, as JSON: job/revision.rs.
    pause text,
    -- What everybody looks for first.
    schedule text GENERATED ALWAYS AS (definition ->> 'schedule') STORED,
    api text GENERATED ALWAYS AS (definition ->> 'api') STORED,
    type text GENERATED ALWAYS AS (definition ->> 'type') STORED,
    name text COLLATE "C" GENERATED ALWAYS AS (definition ->> 'name') STORED,
    active boolean GENERATED ALWAYS AS (deleted_at IS NULL AND (definition ->> 'active')::boolean) STORED
);
CREATE INDEX idx_jobs_active ON jobs (id) WHERE active;
CREATE INDEX idx_jobs_deleted ON jobs (deleted_at, id) WHERE deleted_at IS NOT NULL;
CREATE INDEX idx_jobs_name ON jobs (name, id) WHERE name IS NOT NULL;
-- At the end of a transaction no two have one name, whichever nodes changed them; within it they may change names.
ALTER TABLE jobs ADD CONSTRAINT jobs_have_names EXCLUDE USING btree (name WITH =)
    WHERE (name IS NOT NULL AND deleted_at IS NULL) DEFERRABLE INITIALLY DEFERRED;

-- Secrets of jobs, sealed (vault.rs). The definition says only that they are set.
CREATE TABLE secrets (
    job_id bigint NOT NULL,
    -- The member that it stands in, such as auth.bearer.
    name text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (job_id, name)
);

-- Tags of jobs that are not deleted.
CREATE TABLE job_tags (
    job_id bigint NOT NULL,
    tag text COLLATE "C" NOT NULL,
    PRIMARY KEY (job_id, tag)
);
CREATE INDEX idx_job_tags_tag ON job_tags (tag, job_id);

-- Dates with a name that schedules of several jobs leave out, as a JSON list.
CREATE TABLE calendars (
    name text COLLATE "C" PRIMARY KEY,
    dates text NOT NULL
);

-- Executions that are not finished, each with the node that decides about it; also those that ended at another node than
-- that which has their job by now.
CREATE TABLE ledger (
    seq bigint PRIMARY KEY,
    node bigint NOT NULL,
    -- Whether it was given to that node by one that lived: the attempt that is next was not sent.
    known boolean NOT NULL DEFAULT false,
    shard smallint NOT NULL,
    status smallint NOT NULL,
    kind smallint NOT NULL,
    class smallint NOT NULL,
    job_id bigint NOT NULL,
    -- The instant, in seconds.
    scheduled_time bigint NOT NULL,
    number bigint NOT NULL,
    due_time bigint NOT NULL,
    attempt integer NOT NULL,
    recoveries integer NOT NULL,
    executed_time bigint,
    -- Microseconds.
    duration bigint,
    http_status integer,
    -- The missed instants the row stands for: the earliest (seconds), how many, whether there are more.
    covers_more boolean,
    covers_from bigint,
    covers_count bigint,
    error_message text,
    -- What few executions have to tell, as JSON: core/details.rs.
    details text
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
CREATE INDEX idx_ledger_known ON ledger (node) WHERE known;

-- History is in tables of this form that begin one after the other; executions are added to the last one.
CREATE TABLE executions_model (
    job_id bigint NOT NULL,
    scheduled_time bigint NOT NULL,
    number bigint NOT NULL,
    kind smallint NOT NULL,
    status smallint NOT NULL,
    class smallint NOT NULL,
    attempt integer NOT NULL,
    recoveries integer NOT NULL,
    http_status integer,
    -- The first dispatch, in microseconds after the instant.
    executed_after bigint,
    duration bigint,
    covers_more boolean,
    covers_from bigint,
    covers_count bigint,
    error_message text,
    details text,
    -- When it was written, in which batch of which node: what is not counted yet is found by that.
    written_at bigint NOT NULL,
    node bigint NOT NULL,
    batch bigint NOT NULL
);

-- All of them, for people: made anew whenever one begins or goes.
CREATE VIEW job_executions AS
SELECT job_id, scheduled_time, kind, number, status, scheduled_time * 1000000 + executed_after AS executed_time,
       http_status, duration, error_message, attempt
FROM executions_model;

-- History as people read it, in any shell.
CREATE VIEW execution_history AS
SELECT job_id, scheduled_time, kind, number, status, executed_time, http_status, duration, error_message,
       greatest(attempt - 1, 0) AS retry_count
FROM job_executions
UNION ALL
SELECT job_id, scheduled_time, kind, number, status, executed_time, http_status, duration, error_message,
       greatest(attempt - 1, 0)
FROM ledger;

-- Which of them there are, and the instants that each has at most, in seconds.
CREATE TABLE partitions (
    number bigint PRIMARY KEY,
    earliest bigint NOT NULL,
    latest bigint NOT NULL,
    -- About how many rows.
    rows bigint NOT NULL
);

-- What became of each job's finished executions, so that nothing is counted by a scan of history.
CREATE TABLE job_totals (
    job_id bigint PRIMARY KEY,
    -- The highest instant of a finished scheduled execution, in seconds, and the era that it belongs to.
    finished_through bigint,
    finished_era bigint NOT NULL,
    success bigint NOT NULL,
    failed bigint NOT NULL,
    skipped bigint NOT NULL,
    duration bigint NOT NULL,
    timed bigint NOT NULL,
    -- Scheduled executions that were not skipped.
    runs bigint NOT NULL,
    -- How many ended FAILED since the last that ended SUCCESS.
    failures_in_row bigint NOT NULL,
    -- The latest second in which one was sent that ended SUCCESS.
    last_success bigint,
    -- Rows of the job in history now.
    kept bigint NOT NULL,
    last_scheduled_time bigint NOT NULL,
    last_status bigint NOT NULL,
    last_http_status bigint
) WITH (fillfactor = 70);

-- Time series: what finished executions come to, by hour and by day. job_id 0 is the sum over all jobs. The bytes of a
-- rollup: store/rollup.rs.
CREATE TABLE series_hours (
    start bigint NOT NULL,
    job_id bigint NOT NULL,
    rollup bytea NOT NULL,
    PRIMARY KEY (start, job_id)
) WITH (fillfactor = 70);
CREATE TABLE series_days (
    start bigint NOT NULL,
    job_id bigint NOT NULL,
    rollup bytea NOT NULL,
    PRIMARY KEY (start, job_id)
) WITH (fillfactor = 70);

-- The alert log. An alert has the number of the execution that failed.
CREATE TABLE alerts (
    seq bigint PRIMARY KEY,
    job_id bigint NOT NULL,
    execution text NOT NULL,
    api text NOT NULL,
    schedule text NOT NULL,
    error_message text NOT NULL,
    created_at bigint NOT NULL,
    -- PENDING, DELIVERED, FAILED (given up), LOGGED (no webhook was set).
    delivery text NOT NULL,
    delivered_at bigint,
    attempts bigint NOT NULL,
    delivery_error text
);
CREATE INDEX idx_alerts_job_id ON alerts (job_id, seq);
CREATE INDEX idx_alerts_created_at ON alerts (created_at);
CREATE INDEX idx_alerts_undelivered ON alerts (seq) WHERE delivery = 'PENDING';

-- What was answered to requests with an Idempotency-Key.
CREATE TABLE idempotency_keys (
    key text COLLATE "C" PRIMARY KEY,
    -- SHA-256 of method, path and body.
    digest bytea NOT NULL,
    created_at bigint NOT NULL,
    status bigint NOT NULL,
    -- Names and values, as a JSON list.
    headers text NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX idx_idempotency_keys_created_at ON idempotency_keys (created_at);

-- Tokens, and sessions of browsers, which have a parent.
CREATE TABLE tokens (
    id bigint PRIMARY KEY,
    -- SHA-256 of the token.
    digest bytea NOT NULL UNIQUE,
    scope text NOT NULL,
    name text NOT NULL,
    parent bigint,
    created_at bigint NOT NULL,
    expires_at bigint,
    last_used_at bigint,
    revoked_at bigint
);

-- What was done, oldest first. Rows are only added, and age out.
CREATE TABLE audit (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    -- Who: NULL without a token.
    token bigint,
    -- From where.
    client text NOT NULL,
    -- What: an operation of the API, or of the command line.
    operation text NOT NULL,
    -- To what: a job's id, mostly.
    subject text,
    -- The members that changed: their old and new values, as JSON; secrets are not in it.
    difference text,
    -- What it was answered.
    status bigint NOT NULL
);
CREATE INDEX idx_audit_at ON audit (at, id);
CREATE INDEX idx_audit_subject ON audit (subject, at) WHERE subject IS NOT NULL;
CREATE INDEX idx_audit_token ON audit (token, at) WHERE token IS NOT NULL;

-- Something that was wrong, from when it was noticed until it was over. Its id is the microsecond of its opening.
-- Names (cause, event, delivery) stand in core/incident.rs and store/messages.rs; released ones never change.
CREATE TABLE incidents (
    id bigint PRIMARY KEY,
    cause text NOT NULL,
    -- With what: a job, which may be gone, or a target; NULL: this server.
    job_id bigint,
    public_id bytea,
    target text,
    -- What the job was called then.
    name text,
    api text,
    schedule text,
    summary text NOT NULL,
    -- The execution that it was opened by.
    execution text,
    opened_at bigint NOT NULL,
    -- NULL: it is open.
    closed_at bigint,
    closed_why text,
    acknowledged_at bigint,
    acknowledged_by text,
    acknowledged_note text,
    -- How many messages there were of it; those that are kept may be fewer.
    messages bigint NOT NULL,
    told bigint NOT NULL,
    told_at bigint,
    -- The node that has it, where that does not go by its job.
    node bigint
);
CREATE INDEX idx_incidents_open ON incidents (id) WHERE closed_at IS NULL;
CREATE INDEX idx_incidents_open_of_job ON incidents (job_id, id) WHERE closed_at IS NULL AND job_id IS NOT NULL;
CREATE INDEX idx_incidents_closed ON incidents (id) WHERE closed_at IS NOT NULL;
CREATE INDEX idx_incidents_job ON incidents (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX idx_incidents_cause ON incidents (cause, id);
CREATE INDEX idx_incidents_closed_at ON incidents (closed_at) WHERE closed_at IS NOT NULL;

-- A message of an incident, once for each channel that it goes over.
CREATE TABLE messages (
    incident bigint NOT NULL,
    -- Counts the messages of the incident, from 1.
    number bigint NOT NULL,
    channel text COLLATE "C" NOT NULL,
    -- NULL, both: it was sent before it could be written, and its row comes.
    event text,
    created_at bigint,
    -- PENDING, DELIVERED, FAILED (given up).
    delivery text NOT NULL,
    delivered_at bigint,
    attempts bigint NOT NULL,
    error text,
    PRIMARY KEY (incident, number, channel)
);
CREATE INDEX idx_messages_undelivered ON messages (created_at) WHERE delivery = 'PENDING' AND event IS NOT NULL;
CREATE INDEX idx_messages_done ON messages (created_at) WHERE delivery <> 'PENDING';
CREATE INDEX idx_messages_unwritten ON messages (incident) WHERE event IS NULL;

-- Where messages go, and how that went last.
CREATE TABLE channels (
    name text COLLATE "C" PRIMARY KEY,
    -- What the client said, as JSON: the members are listed in channel/mod.rs. Secrets are not in it.
    definition text NOT NULL,
    delivered_at bigint,
    failed_at bigint,
    -- NULL: it delivered since.
    error text
);

-- Secrets of channels, sealed (vault.rs). The definition says only that they are set.
CREATE TABLE channel_secrets (
    channel text COLLATE "C" NOT NULL,
    -- The member that it stands in.
    name text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (channel, name)
);

-- When somebody is told: `server`, or `tag:` and a tag. Those of jobs stand in their definitions.
CREATE TABLE policies (
    scope text COLLATE "C" PRIMARY KEY,
    -- As JSON: the members are listed in job/alerting.rs.
    definition text NOT NULL
);

-- Of what nothing is told: a job, a tag or a target.
CREATE TABLE silences (
    -- The microsecond in which it began.
    id bigint PRIMARY KEY,
    job bytea,
    tag text,
    target text,
    note text NOT NULL,
    -- In whole seconds.
    ends_at bigint NOT NULL,
    created_at bigint NOT NULL,
    -- The name of the token, if one was shown.
    created_by text
);

-- Numbers that must survive the rows they were taken from.
CREATE TABLE marks (
    name text COLLATE "C" PRIMARY KEY,
    value bigint NOT NULL
);
-- Goes up with each change of the tokens, by whatever process.
INSERT INTO marks VALUES ('tokens', 0);
