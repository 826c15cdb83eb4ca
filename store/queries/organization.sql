-- name: InsertOrganization :one
-- scope: deployment
INSERT INTO organizations (id, name, display_name, description, icon, is_default, default_member_roles, sealing_key, created_at, updated_at)
VALUES (@id, @name, @display_name, @description, @icon, @is_default, @default_member_roles, @sealing_key, @created_at, @updated_at)
RETURNING *;

-- name: GetOrganization :one
SELECT * FROM organizations WHERE id = @organization_id AND deleted = FALSE;

-- name: GetOrganizationByName :one
-- scope: deployment
SELECT * FROM organizations WHERE lower(name) = lower(@name) AND deleted = FALSE;

-- name: GetDefaultOrganization :one
-- scope: deployment
SELECT * FROM organizations WHERE is_default = TRUE;

-- name: ListOrganizations :many
-- scope: deployment
SELECT * FROM organizations WHERE deleted = FALSE ORDER BY lower(name);

-- name: UpdateOrganization :one
UPDATE organizations SET name = @name, display_name = @display_name, description = @description, icon = @icon,
    default_member_roles = @default_member_roles, updated_at = @updated_at
WHERE id = @organization_id AND deleted = FALSE RETURNING *;

-- name: UpdateOrganizationSharing :one
UPDATE organizations SET shareable_workspace_owners = @shareable_workspace_owners, updated_at = @updated_at
WHERE id = @organization_id AND deleted = FALSE RETURNING *;

-- name: DeleteOrganization :execrows
UPDATE organizations SET deleted = TRUE, sealing_key = @sealing_key, updated_at = @updated_at
WHERE id = @organization_id AND deleted = FALSE AND is_default = FALSE;

-- name: CountOrganizationContents :one
SELECT
    CAST((SELECT count(*) FROM workspaces w WHERE w.organization_id = @organization_id AND w.deleted = FALSE) AS BIGINT) AS workspaces,
    CAST((SELECT count(*) FROM templates t WHERE t.organization_id = @organization_id AND t.deleted = FALSE) AS BIGINT) AS templates,
    CAST((SELECT count(*) FROM provisioner_keys k WHERE k.organization_id = @organization_id) AS BIGINT) AS provisioner_keys,
    CAST((SELECT count(*) FROM organization_members m WHERE m.organization_id = @organization_id) AS BIGINT) AS members,
    CAST((SELECT count(*) FROM groups g WHERE g.organization_id = @organization_id AND g.id <> @organization_id) AS BIGINT) AS groups;

-- name: ListOrganizationContents :many
SELECT CAST('workspace' AS TEXT) AS kind, CAST(c.name AS TEXT) AS name FROM (
    SELECT w.owner_name || '/' || w.name AS name FROM workspaces w WHERE w.organization_id = @organization_id AND w.deleted = FALSE
    ORDER BY w.owner_name, lower(w.name), w.id LIMIT @max_rows) c
UNION ALL SELECT 'template', c.name FROM (
    SELECT t.name FROM templates t WHERE t.organization_id = @organization_id AND t.deleted = FALSE ORDER BY lower(t.name) LIMIT @max_rows) c
UNION ALL SELECT 'provisioner_key', c.name FROM (
    SELECT k.name FROM provisioner_keys k WHERE k.organization_id = @organization_id ORDER BY k.name LIMIT @max_rows) c
UNION ALL SELECT 'member', c.username FROM (
    SELECT u.username FROM organization_members m JOIN users u ON u.id = m.user_id WHERE m.organization_id = @organization_id
    ORDER BY lower(u.username), u.id LIMIT @max_rows) c
UNION ALL SELECT 'group', c.name FROM (
    SELECT g.name FROM groups g WHERE g.organization_id = @organization_id AND g.id <> @organization_id ORDER BY lower(g.name) LIMIT @max_rows) c;

-- name: DeleteOrganizationMembers :exec
DELETE FROM organization_members WHERE organization_id = @organization_id;

-- name: DeleteOrganizationGroups :exec
DELETE FROM groups WHERE organization_id = @organization_id;

-- name: DeleteOrganizationRoles :exec
DELETE FROM custom_roles WHERE organization_id = @organization_id;

-- name: DeleteOrganizationDaemons :exec
DELETE FROM provisioner_daemons WHERE organization_id = @organization_id;

-- name: GetSealingKey :one
SELECT sealing_key FROM organizations WHERE id = @organization_id AND deleted = FALSE;

-- name: ListSealingKeys :many
-- scope: deployment
SELECT id, sealing_key FROM organizations WHERE length(sealing_key) > 0 ORDER BY id;

-- name: SetSealingKey :execrows
UPDATE organizations SET sealing_key = @sealing_key WHERE id = @organization_id;
