-- name: InsertWorkspaceBuild :one
INSERT INTO workspace_builds (id, organization_id, workspace_id, template_version_id, job_id, build_number, transition, reason, initiator_id, preset_id, parameters, orphan, log_level, on_success, daily_cost, standing_cost, standing_running, created_at, updated_at)
VALUES (@id, @organization_id, @workspace_id, @template_version_id, @job_id, @build_number, @transition, @reason, @initiator_id, @preset_id, @parameters, @orphan, @log_level, @on_success, @daily_cost, @standing_cost, @standing_running, @created_at, @updated_at)
RETURNING *;

-- name: GetWorkspaceBuild :one
-- scope: deployment
SELECT * FROM workspace_builds WHERE id = @id;

-- name: GetWorkspaceBuildByNumber :one
SELECT * FROM workspace_builds WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND build_number = @build_number;

-- name: GetWorkspaceBuildByJob :one
SELECT * FROM workspace_builds WHERE organization_id = @organization_id AND job_id = @job_id;

-- name: ListBuildDetails :many
SELECT * FROM build_details
WHERE organization_id = @organization_id AND workspace_id = @workspace_id
  AND created_at >= CAST(@since_at AS BIGINT) AND build_number < @before_number
ORDER BY build_number DESC LIMIT @max_rows OFFSET @skip_rows;

-- name: GetBuildDetail :one
SELECT * FROM build_details WHERE organization_id = @organization_id AND id = @id;

-- name: ListAutofillParameters :many
-- scope: deployment
SELECT b.parameters, v.parameters AS declared FROM workspace_builds b
JOIN workspaces w ON w.id = b.workspace_id
JOIN template_versions v ON v.id = b.template_version_id
WHERE w.owner_id = @owner_id AND w.template_id = @template_id AND b.initiator_id = @owner_id
ORDER BY b.created_at DESC LIMIT 20;

-- name: SetWorkspaceBuildDeadline :execrows
UPDATE workspace_builds SET deadline_at = @deadline_at, max_deadline_at = @max_deadline_at, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id;

-- name: DropFollowUp :execrows
UPDATE workspace_builds SET on_success = '', updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id AND on_success <> '';

-- name: SetWorkspaceBuildCost :exec
UPDATE workspace_builds SET daily_cost = @daily_cost, standing_cost = @standing_cost, standing_running = @standing_running, updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id;

-- name: CountBuildsAskedForBy :one
SELECT CAST(count(*) AS BIGINT) FROM workspace_builds
WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND initiator_id = @initiator_id AND reason NOT IN ('autostart', 'autostop', 'dormancy');
