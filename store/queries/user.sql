-- name: InsertUser :one
-- scope: deployment
INSERT INTO users (id, email, username, name, avatar_url, hashed_password, login_type, status, roles, ssh_public_key, ssh_private_key, created_at, updated_at)
VALUES (@id, @email, @username, @name, @avatar_url, @hashed_password, @login_type, @status, @roles, @ssh_public_key, @ssh_private_key, @created_at, @updated_at)
RETURNING *;

-- name: GetUser :one
-- scope: deployment
SELECT * FROM users WHERE id = @id AND deleted = FALSE;

-- name: GetUserIncludingDeleted :one
-- scope: deployment
SELECT * FROM users WHERE id = @id;

-- name: GetUserByUsername :one
-- scope: deployment
SELECT * FROM users WHERE lower(username) = lower(@username) AND deleted = FALSE;

-- name: GetUserByEmail :one
-- scope: deployment
SELECT * FROM users WHERE lower(email) = lower(@email) AND deleted = FALSE;

-- name: CountUsers :one
-- scope: deployment
SELECT count(*) FROM users WHERE deleted = FALSE;

-- name: CountActiveUsers :one
-- scope: deployment
SELECT count(*) FROM users WHERE deleted = FALSE AND status = 'active';

-- name: ListUsers :many
-- scope: deployment
SELECT * FROM users u WHERE u.deleted = FALSE /* filter */
ORDER BY lower(u.username), u.id LIMIT @max_rows OFFSET @skip_rows;

-- name: CountUsersMatching :one
-- scope: deployment
SELECT count(*) FROM users u WHERE u.deleted = FALSE /* filter */;

-- name: ListOwners :many
-- scope: deployment
SELECT * FROM users WHERE deleted = FALSE AND status <> 'suspended' AND roles LIKE '%"owner"%';

-- name: ListUsersByIDs :many
-- scope: deployment
SELECT * FROM users WHERE id IN (SELECT value FROM json_list(@ids));

-- name: ListUserNames :many
-- scope: deployment
SELECT id, username, name, avatar_url FROM users WHERE id IN (SELECT value FROM json_list(@ids));

-- name: UpdateUserProfile :one
-- scope: deployment
UPDATE users SET username = @username, name = @name, avatar_url = @avatar_url, updated_at = @updated_at
WHERE id = @id AND deleted = FALSE RETURNING *;

-- name: UpdateUserRoles :one
-- scope: deployment
UPDATE users SET roles = @roles, updated_at = @updated_at WHERE id = @id AND deleted = FALSE RETURNING *;

-- name: UpdateUserStatus :one
-- scope: deployment
UPDATE users SET status = @status, updated_at = @updated_at WHERE id = @id AND deleted = FALSE RETURNING *;

-- name: UpdateUserPassword :exec
-- scope: deployment
UPDATE users SET hashed_password = @hashed_password, updated_at = @updated_at WHERE id = @id AND deleted = FALSE;

-- name: UpdateUserSSHKey :exec
-- scope: deployment
UPDATE users SET ssh_public_key = @ssh_public_key, ssh_private_key = @ssh_private_key, updated_at = @updated_at WHERE id = @id;

-- name: TouchUser :exec
-- scope: deployment
UPDATE users SET last_seen_at = @last_seen_at,
    status = CASE WHEN status = 'dormant' THEN 'active' ELSE status END
WHERE id = @id;

-- name: DeleteUser :execrows
-- scope: deployment
UPDATE users SET deleted = TRUE, updated_at = @updated_at WHERE id = @id AND deleted = FALSE;

-- name: CountOwnedWorkspaces :one
-- scope: deployment
SELECT count(*) FROM workspaces WHERE owner_id = @owner_id AND deleted = FALSE;

-- name: GetUserSetting :one
-- scope: deployment
SELECT value FROM user_settings WHERE user_id = @user_id AND name = @name;

-- name: PutUserSetting :exec
-- scope: deployment
INSERT INTO user_settings (user_id, name, value) VALUES (@user_id, @name, @value)
ON CONFLICT (user_id, name) DO UPDATE SET value = excluded.value;

-- name: ListSSHKeys :many
-- scope: deployment
SELECT id, ssh_private_key FROM users WHERE length(ssh_private_key) > 0 ORDER BY id;

-- name: SetSSHPrivateKey :exec
-- scope: deployment
UPDATE users SET ssh_private_key = @ssh_private_key WHERE id = @id;
