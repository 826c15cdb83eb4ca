-- +goose Up

-- What waits or runs is asked for with each job that comes, is handed out or
-- ends, and must not cost more with every job that there ever was.
DROP INDEX provisioner_jobs_pending;
CREATE INDEX provisioner_jobs_open ON provisioner_jobs (organization_id, initiator_id, status) WHERE completed_at IS NULL;
CREATE INDEX job_attempts_open ON job_attempts (organization_id) WHERE ended_at IS NULL;

-- +goose Down
DROP INDEX job_attempts_open;
DROP INDEX provisioner_jobs_open;
CREATE INDEX provisioner_jobs_pending ON provisioner_jobs (organization_id, created_at) WHERE status = 'pending';
