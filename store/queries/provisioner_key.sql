-- name: InsertProvisionerKey :one
INSERT INTO provisioner_keys (id, organization_id, name, tags, allow_list, created_at, expires_at)
VALUES (@id, @organization_id, @name, @tags, @allow_list, @created_at, @expires_at) RETURNING *;

-- name: GetProvisionerKey :one
SELECT * FROM provisioner_keys WHERE organization_id = @organization_id AND id = @id;

-- name: GetProvisionerKeyByName :one
SELECT * FROM provisioner_keys WHERE organization_id = @organization_id AND name = @name;

-- name: ListProvisionerKeys :many
SELECT * FROM provisioner_keys WHERE organization_id = @organization_id ORDER BY created_at, name;

-- name: UpdateProvisionerKey :one
UPDATE provisioner_keys SET allow_list = @allow_list, expires_at = @expires_at
WHERE organization_id = @organization_id AND id = @id RETURNING *;

-- name: DeleteProvisionerKey :execrows
DELETE FROM provisioner_keys WHERE organization_id = @organization_id AND name = @name;
