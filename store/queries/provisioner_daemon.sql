-- name: UpsertProvisionerDaemon :one
INSERT INTO provisioner_daemons (id, organization_id, key_id, user_id, name, owner, version, api_version, provisioners, tags, host_id, created_at, last_seen_at)
VALUES (@id, @organization_id, @key_id, @user_id, @name, @owner, @version, @api_version, @provisioners, @tags, @host_id, @created_at, @last_seen_at)
ON CONFLICT (organization_id, name, owner) DO UPDATE SET
    key_id = excluded.key_id, user_id = excluded.user_id, version = excluded.version, api_version = excluded.api_version,
    provisioners = excluded.provisioners, tags = excluded.tags, host_id = excluded.host_id, last_seen_at = excluded.last_seen_at, stopped_at = NULL, trouble = ''
RETURNING *;

-- name: GetProvisionerDaemon :one
-- scope: deployment
SELECT * FROM provisioner_daemons WHERE id = @id;

-- name: GetDaemonOfOrganization :one
SELECT * FROM provisioner_daemons WHERE organization_id = @organization_id AND id = @id;

-- name: SetDaemonDrained :one
UPDATE provisioner_daemons SET drained_at = @drained_at WHERE organization_id = @organization_id AND id = @id RETURNING *;

-- name: AdmitDaemon :execrows
UPDATE provisioner_daemons SET last_seen_at = @last_seen_at WHERE organization_id = @organization_id AND id = @id AND key_id = @key_id AND drained_at IS NULL;

-- name: ListProvisionerDaemons :many
SELECT d.*, COALESCE(k.name, '') AS key_name, k.expires_at AS key_expires_at FROM provisioner_daemons d
LEFT JOIN provisioner_keys k ON k.id = d.key_id AND k.organization_id = d.organization_id
WHERE d.organization_id = @organization_id ORDER BY d.created_at, d.name;

-- name: TouchProvisionerDaemons :exec
-- scope: deployment
UPDATE provisioner_daemons SET last_seen_at = @last_seen_at
WHERE id IN (SELECT value FROM json_list(@ids)) AND stopped_at IS NULL;

-- name: StopProvisionerDaemon :exec
-- scope: deployment
UPDATE provisioner_daemons SET stopped_at = @stopped_at WHERE id = @id;

-- name: LatestJobsOfDaemons :many
SELECT j.id, j.worker_id, j.status, j.completed_at, COALESCE(t.name, '') AS template_name, COALESCE(t.icon, '') AS template_icon, COALESCE(t.display_name, '') AS template_display_name
FROM provisioner_daemons d
JOIN provisioner_jobs j ON j.id IN (
    (SELECT l.id FROM provisioner_jobs l WHERE l.worker_id = d.id AND l.completed_at IS NULL ORDER BY l.started_at DESC, l.id LIMIT 1),
    (SELECT l.id FROM provisioner_jobs l WHERE l.worker_id = d.id AND l.completed_at IS NOT NULL ORDER BY l.started_at DESC, l.id LIMIT 1))
LEFT JOIN template_versions v ON v.id = j.template_version_id
LEFT JOIN templates t ON t.id = v.template_id
WHERE d.organization_id = @organization_id AND j.organization_id = @organization_id
ORDER BY j.started_at DESC, j.id;

-- name: ListDaemonsSeenSince :many
-- scope: deployment
SELECT * FROM provisioner_daemons WHERE last_seen_at > @last_seen_at AND stopped_at IS NULL ORDER BY created_at, name;

-- name: SetDaemonTrouble :exec
UPDATE provisioner_daemons SET trouble = @trouble, last_seen_at = @last_seen_at WHERE organization_id = @organization_id AND id = @id AND stopped_at IS NULL;
