-- +goose Up
-- The largest number under which an attempt has handed in a state: versions are
-- pruned, and a late copy of one must not look like news.
ALTER TABLE job_attempts ADD COLUMN state_n BIGINT NOT NULL DEFAULT 0;
UPDATE job_attempts SET state_n = COALESCE((SELECT max(s.n) FROM workspace_states s WHERE s.attempt_id = job_attempts.id), 0);

-- +goose Down
ALTER TABLE job_attempts DROP COLUMN state_n;
