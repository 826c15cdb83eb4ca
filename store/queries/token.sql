-- name: InsertAPIKey :exec
-- scope: deployment
INSERT INTO api_keys (id, user_id, hashed_secret, login_type, token_name, scopes, allow_list, lifetime_seconds, ip_address, workspace_id, last_used_at, expires_at, created_at, updated_at)
VALUES (@id, @user_id, @hashed_secret, @login_type, @token_name, @scopes, @allow_list, @lifetime_seconds, @ip_address, @workspace_id, @last_used_at, @expires_at, @created_at, @updated_at);

-- name: GetAPIKey :one
-- scope: deployment
SELECT * FROM api_keys WHERE id = @id;

-- name: GetAPIKeyWithUser :one
-- scope: deployment
SELECT sqlc.embed(api_keys), sqlc.embed(users),
    CAST(COALESCE((SELECT s.stamp FROM stamps s WHERE s.subject = api_keys.user_id), '') AS TEXT) AS memberships_stamp,
    CAST(COALESCE((SELECT s.stamp FROM stamps s WHERE s.subject = 'organizations'), '') AS TEXT) AS organizations_stamp
FROM api_keys JOIN users ON users.id = api_keys.user_id
WHERE api_keys.id = @id AND users.deleted = FALSE;

-- name: GetTokenByName :one
-- scope: deployment
SELECT * FROM api_keys WHERE user_id = @user_id AND token_name = @token_name AND login_type = 'token';

-- name: ListTokens :many
-- scope: deployment
SELECT sqlc.embed(api_keys), users.username FROM api_keys JOIN users ON users.id = api_keys.user_id
WHERE api_keys.login_type = 'token' AND users.deleted = FALSE
  AND (CAST(@owner AS TEXT) = '' OR api_keys.user_id = CAST(@owner AS TEXT))
  AND (api_keys.expires_at > @now_at OR CAST(@include_expired AS BOOLEAN) = TRUE)
ORDER BY api_keys.created_at, api_keys.id;

-- name: ListSessions :many
-- scope: deployment
SELECT * FROM api_keys
WHERE user_id = @user_id AND login_type <> 'token' AND workspace_id IS NULL AND expires_at > @now_at
ORDER BY last_used_at DESC, id;

-- name: TouchAPIKey :exec
-- scope: deployment
UPDATE api_keys SET last_used_at = @last_used_at, expires_at = @expires_at, updated_at = @updated_at WHERE id = @id AND expires_at > @last_used_at;

-- name: ExpireAPIKey :execrows
-- scope: deployment
UPDATE api_keys SET expires_at = @expires_at, updated_at = @updated_at WHERE id = @id AND expires_at > @expires_at;

-- name: DeleteAPIKey :execrows
-- scope: deployment
DELETE FROM api_keys WHERE id = @id AND user_id = @user_id;

-- name: DeleteAPIKeysOfUser :execrows
-- scope: deployment
DELETE FROM api_keys WHERE user_id = @user_id;

-- name: DeleteAPIKeysOfWorkspace :exec
-- scope: deployment
DELETE FROM api_keys WHERE workspace_id = @workspace_id;

-- name: DeleteExpiredAPIKeys :execrows
-- scope: deployment
DELETE FROM api_keys WHERE expires_at < @expires_at;
