-- name: InsertWorkspaceBuild :exec
INSERT INTO workspace_builds (id, organization_id, workspace_id, template_version_id, job_id, build_number, transition, reason, initiator_id, preset_id, parameters, orphan, log_level, on_success, daily_cost, standing_cost, standing_running, created_at, updated_at)
VALUES (@id, @organization_id, @workspace_id, @template_version_id, @job_id, @build_number, @transition, @reason, @initiator_id, @preset_id, @parameters, @orphan, @log_level, @on_success, @daily_cost, @standing_cost, @standing_running, @created_at, @updated_at);

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

-- name: GetBuildToHandOut :one
-- All that a hand-out asks of a build, its workspace, version and owner: it is one look in the turn of a database that has one writer.
SELECT b.build_number, b.transition, b.parameters, b.orphan, b.log_level, w.id AS workspace_id, w.name AS workspace_name, t.id AS template_id, t.name AS template_name,
    v.name AS version_name, v.graph, v.priced, o.name AS organization_name, f.hash AS source_hash,
    u.id AS owner_id, u.username, u.name AS owner_full_name, u.email, u.login_type, u.status AS owner_status, u.roles AS owner_roles, u.ssh_public_key, u.ssh_private_key,
    COALESCE(p.parameters, '[]') AS previous_parameters, COALESCE(h.number, 0) AS history, COALESCE(r.id, '00000000-0000-0000-0000-000000000000') AS recovery_id,
    EXISTS (SELECT 1 FROM job_attempts l WHERE l.organization_id = @organization_id AND l.workspace_id = b.workspace_id AND l.engine_started_at IS NOT NULL AND l.ended_at IS NULL) AS engine_lives,
    EXISTS (SELECT 1 FROM recovery_reports x WHERE x.organization_id = @organization_id AND x.workspace_id = b.workspace_id
        AND x.running = TRUE AND x.outcome = '' AND x.reported_at > @reports_since) AS stranger_lives,
    EXISTS (SELECT 1 FROM workspace_states s WHERE s.organization_id = @organization_id AND s.workspace_id = b.workspace_id AND s.salvage = FALSE) AS has_state,
    EXISTS (SELECT 1 FROM workspace_states s WHERE s.organization_id = @organization_id AND s.workspace_id = b.workspace_id AND s.salvage = TRUE AND s.merged_at IS NULL) AS has_salvage,
    EXISTS (SELECT 1 FROM workspace_builds a WHERE a.organization_id = @organization_id AND a.workspace_id = b.workspace_id
        AND a.initiator_id = w.owner_id AND a.reason NOT IN ('autostart', 'autostop', 'dormancy')) AS asked_by_owner,
    EXISTS (SELECT 1 FROM api_keys k WHERE k.workspace_id = b.workspace_id) AS has_session
FROM workspace_builds b
JOIN workspaces w ON w.id = b.workspace_id
JOIN templates t ON t.id = w.template_id
JOIN template_versions v ON v.id = b.template_version_id
JOIN organizations o ON o.id = b.organization_id
JOIN users u ON u.id = w.owner_id
JOIN files f ON f.id = @file_id
LEFT JOIN workspace_builds p ON p.workspace_id = b.workspace_id AND p.build_number = b.build_number - 1
LEFT JOIN organization_histories h ON h.organization_id = b.organization_id
LEFT JOIN recoveries r ON r.organization_id = b.organization_id AND r.ended_at IS NULL
WHERE b.organization_id = @organization_id AND b.id = @id;

-- name: EndWorkspaceBuild :exec
UPDATE workspace_builds SET daily_cost = @daily_cost, standing_cost = @standing_cost, standing_running = @standing_running,
    deadline_at = @deadline_at, max_deadline_at = @max_deadline_at, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id;

-- name: GetScheduleOfWorkspace :one
-- What decides when a workspace that was built stops and starts by itself.
SELECT w.ttl_ms, w.autostart_schedule, w.dormant_at, t.autostop_days, t.autostop_weeks, t.autostart_days, t.allow_user_autostart, t.allow_user_autostop, t.default_ttl_ms,
    CAST(COALESCE((SELECT s.value FROM user_settings s WHERE s.user_id = w.owner_id AND s.name = @quiet_hours), '') AS TEXT) AS quiet_hours
FROM workspaces w JOIN templates t ON t.id = w.template_id
WHERE w.organization_id = @organization_id AND w.id = @id;
