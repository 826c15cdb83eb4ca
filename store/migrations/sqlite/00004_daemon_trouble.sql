-- +goose Up

-- What keeps a daemon from taking jobs, in its own words.
ALTER TABLE provisioner_daemons ADD COLUMN trouble TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE provisioner_daemons DROP COLUMN trouble;
