-- +goose Up
-- The plan of the attempt's engine has been told in full, with its log: else
-- anything that the template has may have been made when a provisioner is lost.
ALTER TABLE job_attempts ADD COLUMN plan_told BOOLEAN NOT NULL DEFAULT FALSE;

-- +goose Down
ALTER TABLE job_attempts DROP COLUMN plan_told;
