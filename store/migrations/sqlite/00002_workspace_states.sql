-- +goose Up

-- version numbers the states of a workspace in the order in which they came,
-- resources is how many managed ones a state holds (of earlier rows it is not
-- known), merged_at and merged_build_id say when salvage went into the base of
-- which build, and restored_from is the version that a state is a copy of.
ALTER TABLE workspace_states ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE workspace_states ADD COLUMN resources INTEGER;
ALTER TABLE workspace_states ADD COLUMN merged_at INTEGER;
ALTER TABLE workspace_states ADD COLUMN merged_build_id TEXT;
ALTER TABLE workspace_states ADD COLUMN restored_from INTEGER NOT NULL DEFAULT 0;
UPDATE workspace_states SET version = (
    SELECT count(*) FROM workspace_states o
    WHERE o.workspace_id = workspace_states.workspace_id
      AND (o.created_at, o.fence, o.n) <= (workspace_states.created_at, workspace_states.fence, workspace_states.n));
CREATE INDEX workspace_states_version ON workspace_states (workspace_id, version);
CREATE INDEX workspace_states_unmerged ON workspace_states (workspace_id) WHERE salvage = TRUE AND merged_at IS NULL;
CREATE INDEX job_attempts_lost ON job_attempts (workspace_id) WHERE settled = '' AND ended_at IS NOT NULL;

-- +goose Down

DROP INDEX job_attempts_lost;
DROP INDEX workspace_states_unmerged;
DROP INDEX workspace_states_version;
ALTER TABLE workspace_states DROP COLUMN restored_from;
ALTER TABLE workspace_states DROP COLUMN merged_build_id;
ALTER TABLE workspace_states DROP COLUMN merged_at;
ALTER TABLE workspace_states DROP COLUMN resources;
ALTER TABLE workspace_states DROP COLUMN version;
