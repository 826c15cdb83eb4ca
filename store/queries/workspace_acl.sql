-- name: SetWorkspaceACLEntry :exec
INSERT INTO workspace_acl (workspace_id, organization_id, actor_type, actor_id, role, created_at, updated_at)
VALUES (@workspace_id, @organization_id, @actor_type, @actor_id, @role, @created_at, @updated_at)
ON CONFLICT (workspace_id, actor_id) DO UPDATE SET role = excluded.role, updated_at = excluded.updated_at;

-- name: ListWorkspaceACL :many
SELECT * FROM workspace_acl WHERE organization_id = @organization_id AND workspace_id = @workspace_id ORDER BY actor_id;

-- name: ListWorkspaceACLNames :many
-- scope: deployment
SELECT a.workspace_id, a.actor_type, a.actor_id, a.role, COALESCE(u.username, g.name, '') AS name, COALESCE(u.avatar_url, g.avatar_url, '') AS avatar_url
FROM workspace_acl a
LEFT JOIN users u ON u.id = a.actor_id AND a.actor_type = 'user'
LEFT JOIN groups g ON g.id = a.actor_id AND a.actor_type = 'group'
WHERE a.workspace_id IN (SELECT value FROM json_list(@workspace_ids))
ORDER BY a.workspace_id, a.actor_type DESC, COALESCE(u.username, g.name, ''), a.actor_id;

-- name: HasSharedWorkspaces :one
-- scope: deployment
SELECT EXISTS (SELECT 1 FROM workspace_acl a WHERE a.actor_id IN (SELECT value FROM json_list(@actor_ids)));

-- name: ListWorkspacesOfActor :many
SELECT sqlc.embed(w), a.role FROM workspace_acl a JOIN workspaces w ON w.id = a.workspace_id
WHERE a.organization_id = @organization_id AND a.actor_id = @actor_id AND w.deleted = FALSE ORDER BY w.id;

-- name: ListACLOfWorkspacesOfActor :many
SELECT sqlc.embed(w), sqlc.embed(acl) FROM workspace_acl a
JOIN workspaces w ON w.id = a.workspace_id
JOIN workspace_acl acl ON acl.workspace_id = a.workspace_id
WHERE a.organization_id = @organization_id AND a.actor_id = @actor_id AND w.deleted = FALSE ORDER BY w.id, acl.actor_id;

-- name: DeleteWorkspaceACLEntry :execrows
DELETE FROM workspace_acl WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND actor_id = @actor_id;

-- name: DeleteWorkspaceACL :execrows
DELETE FROM workspace_acl WHERE organization_id = @organization_id AND workspace_id = @workspace_id;

-- name: DeleteWorkspaceACLOfActor :execrows
DELETE FROM workspace_acl WHERE organization_id = @organization_id AND actor_id = @actor_id;

-- name: DeleteWorkspaceACLOfOrganization :execrows
DELETE FROM workspace_acl WHERE organization_id = @organization_id;
