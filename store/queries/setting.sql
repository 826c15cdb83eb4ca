-- name: GetSetting :one
-- scope: deployment
SELECT value FROM settings WHERE name = @name;

-- name: PutSetting :exec
-- scope: deployment
INSERT INTO settings (name, value) VALUES (@name, @value)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: PutSettingOnce :one
-- scope: deployment
INSERT INTO settings (name, value) VALUES (@name, @value)
ON CONFLICT (name) DO UPDATE SET value = settings.value RETURNING value;

-- name: AcquireLease :one
-- scope: deployment
INSERT INTO leases (name, holder, term, expires_at) VALUES (@name, @holder, 1, @expires_at)
ON CONFLICT (name) DO UPDATE SET
    holder = excluded.holder, expires_at = excluded.expires_at,
    term = leases.term + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END
WHERE leases.holder = excluded.holder OR leases.expires_at < @now_at OR leases.expires_at > @far_at
RETURNING *;

-- name: ListLeases :many
-- scope: deployment
SELECT * FROM leases WHERE expires_at > @now_at ORDER BY name;

-- name: DeleteLease :exec
-- scope: deployment
DELETE FROM leases WHERE name = @name AND holder = @holder;

-- name: DeleteExpiredLeases :exec
-- scope: deployment
DELETE FROM leases WHERE expires_at < @expires_at;
