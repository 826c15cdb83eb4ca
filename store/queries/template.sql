-- name: InsertTemplate :one
INSERT INTO templates (id, organization_id, name, display_name, description, icon, provisioner, active_version_id, created_by,
    default_ttl_ms, activity_bump_ms, time_til_autostop_notify_ms, autostop_days, autostop_weeks, autostart_days,
    failure_ttl_ms, time_til_dormant_ms, time_til_dormant_autodelete_ms, allow_user_cancel, allow_user_autostart, allow_user_autostop,
    require_active_version, max_port_share_level, cors_behavior, user_acl, group_acl, created_at, updated_at)
VALUES (@id, @organization_id, @name, @display_name, @description, @icon, @provisioner, @active_version_id, @created_by,
    @default_ttl_ms, @activity_bump_ms, @time_til_autostop_notify_ms, @autostop_days, @autostop_weeks, @autostart_days,
    @failure_ttl_ms, @time_til_dormant_ms, @time_til_dormant_autodelete_ms, @allow_user_cancel, @allow_user_autostart, @allow_user_autostop,
    @require_active_version, @max_port_share_level, @cors_behavior, @user_acl, @group_acl, @created_at, @updated_at)
RETURNING *;

-- name: GetTemplate :one
-- scope: deployment
SELECT * FROM templates WHERE id = @id;

-- name: GetTemplateByName :one
SELECT * FROM templates WHERE organization_id = @organization_id AND lower(name) = lower(@name) AND deleted = FALSE;

-- name: ListTemplates :many
SELECT * FROM templates WHERE organization_id IN (SELECT value FROM json_list(@organization_ids)) AND deleted = @deleted;

-- name: ListTemplateNames :many
-- scope: deployment
SELECT t.id, t.organization_id, t.name FROM templates t WHERE t.deleted = @deleted /* filter */;

-- name: ListTemplatesByIDs :many
-- scope: deployment
SELECT * FROM templates WHERE id IN (SELECT value FROM json_list(@ids));

-- name: CountTemplateUsers :many
SELECT template_id, CAST(sum(users) AS BIGINT) AS users FROM workspace_counts
WHERE organization_id IN (SELECT value FROM json_list(@organization_ids)) GROUP BY template_id;

-- name: ListTemplateUse :many
-- scope: deployment
SELECT c.template_id, c.users FROM workspace_counts c WHERE c.users > 0 /* filter */;

-- name: CountTemplateWorkspaces :one
SELECT count(*) FROM workspaces WHERE organization_id = @organization_id AND template_id = @template_id AND deleted = FALSE;

-- name: ListTemplateBuildTimes :many
SELECT times.template_id, times.transition, times.duration FROM (
    SELECT w.template_id, b.transition, CAST(j.completed_at - j.started_at AS BIGINT) AS duration,
        row_number() OVER (PARTITION BY w.template_id, b.transition ORDER BY j.completed_at DESC) AS age
    FROM provisioner_jobs j JOIN workspace_builds b ON b.job_id = j.id JOIN workspaces w ON w.id = b.workspace_id
    WHERE j.organization_id = @organization_id AND j.type = 'workspace_build' AND j.status = 'succeeded'
      AND j.started_at IS NOT NULL AND j.completed_at >= CAST(@since_at AS BIGINT)
) AS times WHERE times.age <= 100 ORDER BY times.template_id, times.transition, times.duration;

-- name: UpdateTemplate :one
UPDATE templates SET name = @name, display_name = @display_name, description = @description, icon = @icon,
    deprecation_message = @deprecation_message, default_ttl_ms = @default_ttl_ms, activity_bump_ms = @activity_bump_ms,
    time_til_autostop_notify_ms = @time_til_autostop_notify_ms, autostop_days = @autostop_days, autostop_weeks = @autostop_weeks,
    autostart_days = @autostart_days, failure_ttl_ms = @failure_ttl_ms, time_til_dormant_ms = @time_til_dormant_ms,
    time_til_dormant_autodelete_ms = @time_til_dormant_autodelete_ms, allow_user_cancel = @allow_user_cancel,
    allow_user_autostart = @allow_user_autostart, allow_user_autostop = @allow_user_autostop,
    require_active_version = @require_active_version, max_port_share_level = @max_port_share_level,
    cors_behavior = @cors_behavior, disable_module_cache = @disable_module_cache, group_acl = @group_acl, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE RETURNING *;

-- name: UpdateTemplateACL :exec
UPDATE templates SET user_acl = @user_acl, group_acl = @group_acl, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE;

-- name: UpdateTemplateActiveVersion :execrows
UPDATE templates SET active_version_id = @active_version_id, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND deleted = FALSE;

-- name: DeleteTemplate :execrows
UPDATE templates SET deleted = TRUE, updated_at = @updated_at
WHERE templates.organization_id = @organization_id AND templates.id = @id AND templates.deleted = FALSE
  AND NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.template_id = templates.id AND w.deleted = FALSE);
