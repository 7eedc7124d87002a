-- Who may do what, and who did.

-- Tokens, and sessions of browsers, which have a parent.
CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    -- SHA-256 of the token.
    digest BLOB NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    parent INTEGER,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;

-- What was done, oldest first. Rows are only added, and age out.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    -- Who: NULL without a token.
    token INTEGER,
    -- From where.
    client TEXT NOT NULL,
    -- What: an operation of the API, or of the command line.
    operation TEXT NOT NULL,
    -- To what: a job's id, mostly.
    subject TEXT,
    -- The members that changed: their old and new values, as JSON; secrets are not in it.
    difference TEXT,
    -- What it was answered.
    status INTEGER NOT NULL
) STRICT;

CREATE INDEX idx_audit_at ON audit (at);
CREATE INDEX idx_audit_subject ON audit (subject, at) WHERE subject IS NOT NULL;
CREATE INDEX idx_audit_token ON audit (token, at) WHERE token IS NOT NULL;

-- Goes up with each change of the tokens, by whatever process.
INSERT INTO marks VALUES ('tokens', 0);
