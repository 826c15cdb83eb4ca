-- name: InsertWorkspace :one
INSERT INTO workspaces (id, organization_id, owner_id, owner_name, template_id, name, autostart_schedule, ttl_ms, automatic_updates, last_used_at, next_start_at, daily_cost, running, latest_build_id, latest_build_number, latest_status, created_at, updated_at)
VALUES (@id, @organization_id, @owner_id, (SELECT lower(u.username) FROM users u WHERE u.id = @owner_id), @template_id, @name, @autostart_schedule, @ttl_ms, @automatic_updates, @last_used_at, @next_start_at, @daily_cost, @running, @latest_build_id, 1, 'pending', @created_at, @updated_at)
RETURNING owner_name;

-- name: GetWorkspace :one
-- scope: deployment
SELECT * FROM workspaces WHERE id = @id;

-- name: GetWorkspaceByName :one
-- scope: deployment
SELECT * FROM workspaces WHERE owner_id = @owner_id AND lower(name) = lower(@name) AND deleted = FALSE;

-- name: GetDeletedWorkspaceByName :one
-- scope: deployment
SELECT * FROM workspaces WHERE owner_id = @owner_id AND lower(name) = lower(@name) AND deleted = TRUE ORDER BY updated_at DESC LIMIT 1;

-- name: LockWorkspace :one
UPDATE workspaces SET updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id RETURNING *;

-- name: RaiseWorkspaceFence :one
UPDATE workspaces SET fence = fence + 1 WHERE organization_id = @organization_id AND id = @id RETURNING fence;

-- name: HandOutWorkspace :one
-- Raises the fence, and keeps the status true, as a build is handed out.
UPDATE workspaces SET fence = fence + 1,
    latest_status = CASE WHEN latest_build_id = @latest_build_id THEN @latest_status ELSE latest_status END,
    updated_at = CASE WHEN latest_build_id = @latest_build_id THEN @updated_at ELSE updated_at END
WHERE organization_id = @organization_id AND id = @id RETURNING fence;

-- name: LiftWorkspaceFence :execrows
UPDATE workspaces SET fence = @fence WHERE organization_id = @organization_id AND id = @id AND fence <= @fence;

-- name: SetWorkspaceLatestBuild :execrows
UPDATE workspaces SET latest_build_id = @latest_build_id, latest_build_number = @latest_build_number, latest_status = 'pending',
    daily_cost = @daily_cost, running = @running, refusal = '', retry_at = NULL, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND latest_build_number + 1 = @latest_build_number;

-- name: SetWorkspaceStatus :exec
UPDATE workspaces SET latest_status = @latest_status, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND latest_build_id = @latest_build_id;

-- name: EndBuildOfWorkspace :exec
-- What the end of a build means for its workspace. Scheduled tells that the next start is known.
UPDATE workspaces SET latest_status = @latest_status, daily_cost = @daily_cost, running = @running,
    next_start_at = CASE WHEN CAST(@scheduled AS BOOLEAN) THEN @next_start_at ELSE next_start_at END, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND latest_build_id = @latest_build_id;

-- name: DeleteWorkspace :exec
UPDATE workspaces SET deleted = TRUE, updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id;

-- name: RenameWorkspace :exec
UPDATE workspaces SET name = @name, updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE;

-- name: RenameWorkspaceOwner :exec
-- scope: deployment
UPDATE workspaces SET owner_name = lower(@username) WHERE owner_id = @owner_id;

-- name: SetWorkspaceAutostart :exec
UPDATE workspaces SET autostart_schedule = @autostart_schedule, next_start_at = @next_start_at, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE;

-- name: SetWorkspaceTTL :exec
UPDATE workspaces SET ttl_ms = @ttl_ms, updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE;

-- name: SetWorkspaceAutomaticUpdates :exec
UPDATE workspaces SET automatic_updates = @automatic_updates, updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE;

-- name: SetWorkspaceFavorite :exec
UPDATE workspaces SET favorite = @favorite WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE;

-- name: SetWorkspaceDormant :one
UPDATE workspaces SET dormant_at = @dormant_at, deleting_at = @deleting_at, last_used_at = @last_used_at, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE RETURNING *;

-- name: SetWorkspaceNextStart :exec
UPDATE workspaces SET next_start_at = @next_start_at WHERE organization_id = @organization_id AND id = @id;

-- name: TouchWorkspace :exec
UPDATE workspaces SET last_used_at = @last_used_at WHERE organization_id = @organization_id AND id = @id AND last_used_at < @last_used_at;

-- name: SetWorkspaceLastUsed :exec
UPDATE workspaces SET last_used_at = @last_used_at WHERE organization_id = @organization_id AND id = @id;

-- name: ResetTemplateLastUsed :exec
UPDATE workspaces SET last_used_at = @last_used_at WHERE organization_id = @organization_id AND template_id = @template_id AND deleted = FALSE;

-- name: SetTemplateDeleting :exec
UPDATE workspaces SET deleting_at = CASE WHEN CAST(@autodelete AS BIGINT) = 0 THEN NULL ELSE dormant_at + CAST(@autodelete AS BIGINT) END
WHERE organization_id = @organization_id AND template_id = @template_id AND deleted = FALSE AND dormant_at IS NOT NULL;

-- name: ListWorkspaceIDs :many
SELECT w.id FROM workspaces w
WHERE w.organization_id IN (SELECT value FROM json_list(@organization_ids)) AND w.deleted = FALSE /* filter */
ORDER BY CASE WHEN w.favorite = TRUE AND w.owner_id = CAST(@viewer_id AS TEXT) THEN 0 ELSE 1 END, CASE WHEN w.latest_status = 'running' THEN 0 ELSE 1 END, w.owner_name, lower(w.name), w.id
LIMIT @max_rows OFFSET @skip_rows;

-- name: ListFavoriteWorkspaces :many
-- scope: deployment
SELECT w.id, w.organization_id FROM workspaces w
WHERE w.owner_id = @viewer_id AND w.favorite = TRUE AND w.deleted = FALSE
ORDER BY CASE WHEN w.latest_status = 'running' THEN 0 ELSE 1 END, w.owner_name, lower(w.name), w.id;

-- name: ListOtherWorkspaceIDs :many
-- scope: deployment
SELECT w.id FROM workspaces w
WHERE w.deleted = FALSE AND NOT (w.favorite = TRUE AND w.owner_id = @viewer_id)
ORDER BY CASE WHEN w.latest_status = 'running' THEN 0 ELSE 1 END, w.owner_name, lower(w.name), w.id
LIMIT @max_rows OFFSET @skip_rows;

-- name: ListOtherOrganizationWorkspaceIDs :many
SELECT w.id FROM workspaces w
WHERE w.organization_id = @organization_id AND w.deleted = FALSE AND NOT (w.favorite = TRUE AND w.owner_id = @viewer_id)
ORDER BY CASE WHEN w.latest_status = 'running' THEN 0 ELSE 1 END, w.owner_name, lower(w.name), w.id
LIMIT @max_rows OFFSET @skip_rows;

-- name: CountWorkspaces :one
SELECT count(*) FROM workspaces w
WHERE w.organization_id IN (SELECT value FROM json_list(@organization_ids)) AND w.deleted = FALSE /* filter */;

-- name: CountAllWorkspaces :one
SELECT CAST(COALESCE(sum(workspaces), 0) AS BIGINT) FROM workspace_counts
WHERE organization_id IN (SELECT value FROM json_list(@organization_ids));

-- name: CountWorkspacesEverywhere :one
-- scope: deployment
SELECT CAST(COALESCE(sum(workspaces), 0) AS BIGINT) FROM workspace_counts;

-- name: ListWorkspaceDetails :many
-- scope: deployment
SELECT w.id, w.organization_id, w.owner_id, w.template_id, w.name, w.autostart_schedule, w.ttl_ms, w.automatic_updates, w.favorite, w.last_used_at,
    w.dormant_at, w.deleting_at, w.next_start_at, w.refusal, w.retry_at, w.created_at, w.updated_at, sqlc.embed(b),
    u.username AS owner_name, u.avatar_url AS owner_avatar_url,
    o.name AS organization_name, o.display_name AS organization_display_name,
    t.name AS template_name, t.display_name AS template_display_name, t.icon AS template_icon, t.active_version_id,
    t.allow_user_cancel, t.require_active_version, EXISTS (SELECT 1 FROM workspace_acl a WHERE a.workspace_id = w.id) AS shared
FROM json_list(@ids) picked
JOIN workspaces w ON w.id = picked.value
JOIN build_details b ON b.id = w.latest_build_id
JOIN users u ON u.id = w.owner_id
JOIN templates t ON t.id = w.template_id
JOIN organizations o ON o.id = w.organization_id;

-- name: ListLatestJobs :many
SELECT w.id, b.job_id FROM workspaces w JOIN workspace_builds b ON b.id = w.latest_build_id
WHERE w.organization_id IN (SELECT value FROM json_list(@organization_ids)) AND w.deleted = FALSE;

-- name: ListWorkspacesByIDs :many
-- scope: deployment
SELECT * FROM workspaces WHERE id IN (SELECT value FROM json_list(@ids));

-- name: ListWorkspacesForLifecycle :many
-- scope: deployment
SELECT w.organization_id, w.id FROM workspaces w
JOIN workspace_builds b ON b.id = w.latest_build_id
JOIN provisioner_jobs j ON j.id = b.job_id
JOIN templates t ON t.id = w.template_id
JOIN users u ON u.id = w.owner_id
WHERE w.deleted = FALSE AND j.completed_at IS NOT NULL AND (
    (b.transition = 'start' AND j.status = 'succeeded' AND b.deadline_at <= @now_at)
    OR (b.transition = 'start' AND j.status = 'succeeded' AND j.completed_at > @now_at AND b.deadline_at > j.completed_at)
    OR (b.transition = 'start' AND j.status = 'succeeded' AND (w.dormant_at IS NOT NULL OR u.status = 'suspended'))
    OR (b.transition = 'start' AND j.status = 'failed' AND t.failure_ttl_ms > 0 AND (sqlc.arg(now_at) - j.completed_at) / 1000 >= t.failure_ttl_ms)
    OR (w.next_start_at <= @now_at OR w.next_start_at > @far_at)
    OR (w.dormant_at IS NULL AND t.time_til_dormant_ms > 0 AND ((sqlc.arg(now_at) - w.last_used_at) / 1000 >= t.time_til_dormant_ms OR w.last_used_at > @now_at))
    OR w.deleting_at <= @now_at OR w.dormant_at > @now_at
    OR (b.transition = 'stop' AND j.status = 'succeeded' AND b.on_success <> '' AND (w.retry_at IS NULL OR w.retry_at <= @now_at OR w.retry_at > @far_at))
)
ORDER BY w.id;

-- name: CountWorkspacesByStatus :many
-- scope: deployment
SELECT latest_status, CAST(count(*) AS BIGINT) AS workspaces FROM workspaces WHERE deleted = FALSE GROUP BY latest_status;
