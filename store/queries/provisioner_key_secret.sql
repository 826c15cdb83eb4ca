-- name: InsertProvisionerKeySecret :one
INSERT INTO provisioner_key_secrets (id, organization_id, key_id, kind, hashed_secret, created_at, expires_at)
VALUES (@id, @organization_id, @key_id, @kind, @hashed_secret, @created_at, @expires_at) RETURNING *;

-- name: GetProvisionerKeyBySecret :one
-- scope: deployment
SELECT sqlc.embed(k), sqlc.embed(s) FROM provisioner_key_secrets s JOIN provisioner_keys k ON k.id = s.key_id AND k.organization_id = s.organization_id
WHERE s.hashed_secret = @hashed_secret;

-- name: ListProvisionerKeySecrets :many
SELECT * FROM provisioner_key_secrets WHERE organization_id = @organization_id ORDER BY created_at, id;

-- name: UseProvisionerKeySecret :execrows
UPDATE provisioner_key_secrets SET used_at = @used_at
WHERE organization_id = @organization_id AND id = @id AND (used_at IS NULL OR (kind <> 'join' AND used_at < @used_at));

-- name: EndProvisionerKeySecret :exec
UPDATE provisioner_key_secrets SET expires_at = @expires_at WHERE organization_id = @organization_id AND id = @id;

-- name: DeleteEndedProvisionerKeySecrets :execrows
DELETE FROM provisioner_key_secrets WHERE organization_id = @organization_id AND key_id = @key_id AND expires_at <= @expires_at;
