-- name: InsertWorkspaceState :exec
INSERT INTO workspace_states (workspace_id, organization_id, fence, n, workspace_build_id, attempt_id, sha256, size, data, salvage, created_by, created_at)
VALUES (@workspace_id, @organization_id, @fence, @n, @workspace_build_id, @attempt_id, @sha256, @size, @data, @salvage, @created_by, @created_at);

-- name: GetWorkspaceStateInfo :one
SELECT fence, n, sha256, size, workspace_build_id, salvage FROM workspace_states
WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence AND n = @n;

-- name: GetLatestWorkspaceState :one
SELECT * FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND salvage = FALSE
ORDER BY fence DESC, n DESC LIMIT 1;

-- name: GetWorkspaceStateBefore :one
SELECT * FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence < @fence AND salvage = FALSE
ORDER BY fence DESC, n DESC LIMIT 1;

-- name: GetWorkspaceStateOfBuild :one
SELECT * FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND workspace_build_id = @workspace_build_id AND salvage = FALSE
ORDER BY fence DESC, n DESC LIMIT 1;

-- name: GetWorkspaceStateAtBuild :one
SELECT s.* FROM workspace_states s JOIN workspace_builds b ON b.id = s.workspace_build_id
WHERE s.organization_id = @organization_id AND s.workspace_id = @workspace_id AND s.salvage = FALSE AND b.build_number <= @build_number
ORDER BY s.fence DESC, s.n DESC LIMIT 1;

-- name: NextWorkspaceStateNumber :one
SELECT CAST(COALESCE(max(n), 0) + 1 AS BIGINT) FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence;

-- name: PruneBuildStates :execrows
DELETE FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND workspace_build_id = @workspace_build_id AND salvage = FALSE
  AND (fence, n) < (@fence, CAST(@n AS BIGINT));

-- name: PruneWorkspaceStates :execrows
DELETE FROM workspace_states WHERE workspace_states.organization_id = @organization_id AND workspace_states.workspace_id = @workspace_id AND workspace_states.salvage = FALSE
  AND workspace_states.fence < (SELECT COALESCE(min(kept.fence), 0) FROM (
      SELECT k.fence FROM workspace_states k WHERE k.organization_id = @organization_id AND k.workspace_id = @workspace_id AND k.salvage = FALSE
      ORDER BY k.fence DESC, k.n DESC LIMIT @keep) kept);

-- name: ListStatesSealedOtherwise :many
SELECT workspace_id, fence, n FROM workspace_states WHERE organization_id = @organization_id AND substr(data, 1, 5) <> @sealed_with;

-- name: GetWorkspaceStateData :one
SELECT data FROM workspace_states WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence AND n = @n;

-- name: SetWorkspaceStateData :exec
UPDATE workspace_states SET data = @data WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence = @fence AND n = @n;
