-- name: InsertWorkspaceState :one
INSERT INTO workspace_states (workspace_id, organization_id, fence, n, workspace_build_id, attempt_id, sha256, size, resources, data, salvage, restored_from, recovered, created_by, created_at, version)
VALUES (@workspace_id, @organization_id, @fence, @n, @workspace_build_id, @attempt_id, @sha256, @size, @resources, @data, @salvage, @restored_from, @recovered, @created_by, @created_at,
  (SELECT COALESCE(max(v.version), 0) + 1 FROM workspace_states v WHERE v.workspace_id = @workspace_id))
RETURNING version;

-- name: GetWorkspaceStateInfo :one
SELECT fence, n, sha256, size, workspace_build_id, salvage FROM workspace_states
WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence AND n = @n;

-- name: GetLatestWorkspaceState :one
SELECT * FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND salvage = FALSE
ORDER BY fence DESC, n DESC LIMIT 1;

-- name: GetWorkspaceStateBefore :one
-- The state that the attempt with a fence has started from: number 0 of its own is what salvage was merged into.
SELECT * FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id
  AND (fence < @fence OR (fence = @fence AND n = 0)) AND salvage = FALSE
ORDER BY fence DESC, n DESC LIMIT 1;

-- name: GetWorkspaceStateAtBuild :one
SELECT s.* FROM workspace_states s JOIN workspace_builds b ON b.id = s.workspace_build_id
WHERE s.organization_id = @organization_id AND s.workspace_id = @workspace_id AND s.salvage = FALSE AND b.build_number <= @build_number
ORDER BY s.fence DESC, s.n DESC LIMIT 1;

-- name: ListWorkspaceStates :many
SELECT s.version, s.fence, s.n, s.workspace_build_id, s.attempt_id, s.sha256, s.size, s.resources, s.salvage, s.restored_from, s.recovered, s.created_by, s.created_at, s.merged_at,
    CAST(COALESCE(b.build_number, 0) AS BIGINT) AS build_number, CAST(COALESCE(m.build_number, 0) AS BIGINT) AS merged_build_number,
    CAST(COALESCE(a.number, 0) AS BIGINT) AS attempt_number, COALESCE(u.username, '') AS created_by_name
FROM workspace_states s
LEFT JOIN workspace_builds b ON b.id = s.workspace_build_id
LEFT JOIN workspace_builds m ON m.id = s.merged_build_id
LEFT JOIN job_attempts a ON a.id = s.attempt_id
LEFT JOIN users u ON u.id = s.created_by
WHERE s.organization_id = @organization_id AND s.workspace_id = @workspace_id
ORDER BY s.version DESC;

-- name: GetWorkspaceStateVersion :one
SELECT * FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND version = @version;

-- name: ListUnmergedSalvage :many
SELECT version, fence, n, workspace_build_id FROM workspace_states
WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND salvage = TRUE AND merged_at IS NULL
ORDER BY fence DESC, n DESC;

-- name: ListKnownStates :many
-- What an attempt's salvage may already be known by: the accepted states since its base, and its own merged salvage.
SELECT fence, n FROM workspace_states
WHERE organization_id = @organization_id AND workspace_id = @workspace_id
  AND ((salvage = FALSE AND fence >= @base_fence) OR (merged_at IS NOT NULL AND fence = @fence))
ORDER BY fence, n;

-- name: MarkSalvageMerged :execrows
UPDATE workspace_states SET merged_at = @merged_at, merged_build_id = @merged_build_id
WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence AND n <= @n AND salvage = TRUE AND merged_at IS NULL;

-- name: GetWorkspaceStateFloor :one
-- The lowest fence whose attempt may still have something to say, or has said it and was not heard; 0 is none.
SELECT CAST(COALESCE(min(f.fence), 0) AS BIGINT) FROM (
    SELECT s.fence FROM workspace_states s
    WHERE s.organization_id = @organization_id AND s.workspace_id = @workspace_id AND s.salvage = TRUE AND s.merged_at IS NULL
    UNION ALL
    SELECT l.fence FROM job_attempts l WHERE l.organization_id = @organization_id AND l.workspace_id = @workspace_id AND l.ended_at IS NULL
    UNION ALL
    SELECT a.fence FROM job_attempts a
    WHERE a.organization_id = @organization_id AND a.workspace_id = @workspace_id AND a.settled = '' AND a.ended_at IS NOT NULL
      AND a.engine_started_at IS NOT NULL AND a.expires_at > @expires_at) f;

-- name: PruneBuildStates :execrows
-- From @protected_fence on, the last state of each attempt stays, and what salvage was merged into.
DELETE FROM workspace_states WHERE workspace_states.organization_id = @organization_id AND workspace_states.workspace_id = @workspace_id
  AND workspace_states.workspace_build_id = @workspace_build_id AND workspace_states.salvage = FALSE
  AND (workspace_states.fence, workspace_states.n) < (@fence, CAST(@n AS BIGINT))
  AND (workspace_states.fence < @protected_fence OR (workspace_states.n > 0 AND workspace_states.n < (SELECT max(k.n) FROM workspace_states k
      WHERE k.workspace_id = @workspace_id AND k.fence = workspace_states.fence AND k.salvage = FALSE)));

-- name: PruneMergedSalvage :execrows
-- Of the salvage of an attempt the last is kept.
DELETE FROM workspace_states WHERE workspace_states.organization_id = @organization_id AND workspace_states.workspace_id = @workspace_id
  AND workspace_states.merged_at IS NOT NULL AND workspace_states.fence < @protected_fence
  AND workspace_states.n < (SELECT max(k.n) FROM workspace_states k WHERE k.workspace_id = @workspace_id AND k.fence = workspace_states.fence AND k.salvage = TRUE);

-- name: PruneWorkspaceStates :execrows
DELETE FROM workspace_states WHERE workspace_states.organization_id = @organization_id AND workspace_states.workspace_id = @workspace_id
  AND (workspace_states.salvage = FALSE OR workspace_states.merged_at IS NOT NULL) AND workspace_states.fence < @protected_fence
  AND workspace_states.fence < (SELECT COALESCE(min(kept.fence), 0) FROM (
      SELECT k.fence FROM workspace_states k WHERE k.organization_id = @organization_id AND k.workspace_id = @workspace_id AND k.salvage = FALSE
      ORDER BY k.fence DESC, k.n DESC LIMIT @keep) kept);

-- name: ListStatesSealedOtherwise :many
SELECT workspace_id, fence, n FROM workspace_states WHERE organization_id = @organization_id AND substr(data, 1, 5) <> @sealed_with;

-- name: GetWorkspaceStateData :one
SELECT data FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence AND n = @n;

-- name: SetWorkspaceStateData :exec
UPDATE workspace_states SET data = @data WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence AND n = @n;
