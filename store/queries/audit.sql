-- name: InsertAuditLog :exec
INSERT INTO audit_logs (organization_id, seq, id, created_at, request_id, user_id, username, ip, user_agent, resource_type, resource_id,
    resource_target, resource_icon, action, status_code, diff, additional_fields, hash)
VALUES (@organization_id, @seq, @id, @created_at, @request_id, @user_id, @username, @ip, @user_agent, @resource_type, @resource_id,
    @resource_target, @resource_icon, @action, @status_code, @diff, @additional_fields, @hash);

-- name: GetAuditHead :one
SELECT * FROM audit_heads WHERE organization_id = @organization_id;

-- name: PutAuditHead :exec
INSERT INTO audit_heads (organization_id, entries, hash, seal) VALUES (@organization_id, @entries, @hash, @seal)
ON CONFLICT (organization_id) DO UPDATE SET entries = excluded.entries, hash = excluded.hash, seal = excluded.seal;

-- name: ListAuditChain :many
SELECT * FROM audit_logs l WHERE l.organization_id = @organization_id AND l.seq > @after /* filter */ ORDER BY l.seq LIMIT @max_rows;

-- name: ListAuditLogs :many
-- scope: deployment
SELECT * FROM audit_logs l WHERE TRUE /* filter */
ORDER BY l.created_at DESC, l.organization_id, l.seq DESC LIMIT @max_rows OFFSET @skip_rows;

-- name: CountAuditLogs :one
-- scope: deployment
SELECT count(*) FROM (SELECT 1 FROM audit_logs l WHERE TRUE /* filter */ LIMIT @max_rows) AS found;

-- name: ListAuditHeads :many
-- scope: deployment
SELECT * FROM audit_heads ORDER BY organization_id;
