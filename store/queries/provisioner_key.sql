-- name: InsertProvisionerKey :one
INSERT INTO provisioner_keys (id, organization_id, name, hashed_secret, tags, created_at)
VALUES (@id, @organization_id, @name, @hashed_secret, @tags, @created_at) RETURNING *;

-- name: GetProvisionerKeyBySecret :one
-- scope: deployment
SELECT * FROM provisioner_keys WHERE hashed_secret = @hashed_secret;

-- name: GetProvisionerKeyByName :one
SELECT * FROM provisioner_keys WHERE organization_id = @organization_id AND name = @name;

-- name: ProvisionerKeyExists :one
SELECT CAST(count(*) AS BIGINT) FROM provisioner_keys WHERE organization_id = @organization_id AND id = @id;

-- name: ListProvisionerKeys :many
SELECT * FROM provisioner_keys WHERE organization_id = @organization_id ORDER BY created_at, name;

-- name: DeleteProvisionerKey :execrows
DELETE FROM provisioner_keys WHERE organization_id = @organization_id AND name = @name;
