-- The full job model: what a job may say beside its schedule and its URL, and what its executions tell.

-- What few executions have to tell, as JSON: src/core/details.rs.
ALTER TABLE ledger ADD COLUMN details TEXT;
ALTER TABLE job_executions ADD COLUMN details TEXT;
