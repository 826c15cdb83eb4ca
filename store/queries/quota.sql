-- name: SetOrganizationQuota :one
UPDATE organizations SET max_daily_cost = @max_daily_cost, max_running_workspaces = @max_running_workspaces, updated_at = @updated_at
WHERE id = @organization_id AND deleted = FALSE RETURNING *;

-- name: SumWorkspaceCosts :one
SELECT CAST(COALESCE(sum(daily_cost), 0) AS BIGINT) FROM workspaces
WHERE organization_id = @organization_id AND owner_id = @owner_id AND deleted = FALSE AND daily_cost > 0;

-- name: SumOrganizationCosts :one
SELECT CAST(COALESCE(sum(daily_cost), 0) AS BIGINT) FROM workspaces
WHERE organization_id = @organization_id AND deleted = FALSE AND daily_cost > 0;

-- name: CountRunningWorkspaces :one
SELECT count(*) FROM workspaces WHERE organization_id = @organization_id AND deleted = FALSE AND running = TRUE;

-- name: SetWorkspaceUsage :exec
UPDATE workspaces SET daily_cost = @daily_cost, running = @running
WHERE organization_id = @organization_id AND id = @id AND latest_build_id = @latest_build_id;

-- name: SetWorkspaceRefusal :execrows
UPDATE workspaces SET refusal = @refusal, retry_at = @retry_at, next_start_at = @next_start_at
WHERE organization_id = @organization_id AND id = @id AND latest_build_id = @latest_build_id AND refusal = @seen AND deleted = FALSE;
