-- name: InsertCustomRole :one
INSERT INTO custom_roles (organization_id, name, display_name, permissions, created_at, updated_at)
VALUES (@organization_id, @name, @display_name, @permissions, @created_at, @updated_at) RETURNING *;

-- name: GetCustomRole :one
SELECT * FROM custom_roles WHERE organization_id = @organization_id AND name = @name;

-- name: ListCustomRoles :many
SELECT * FROM custom_roles WHERE organization_id = @organization_id ORDER BY name;

-- name: ListCustomRolesOfUser :many
-- scope: deployment
SELECT r.* FROM custom_roles r
JOIN organization_members m ON m.organization_id = r.organization_id
JOIN organizations o ON o.id = r.organization_id
WHERE m.user_id = @user_id AND o.deleted = FALSE;

-- name: UpdateCustomRole :one
UPDATE custom_roles SET display_name = @display_name, permissions = @permissions, updated_at = @updated_at
WHERE organization_id = @organization_id AND name = @name RETURNING *;

-- name: DeleteCustomRole :execrows
DELETE FROM custom_roles WHERE organization_id = @organization_id AND name = @name;
