-- name: InsertMember :one
INSERT INTO organization_members (organization_id, user_id, roles, created_at, updated_at)
VALUES (@organization_id, @user_id, @roles, @created_at, @updated_at) RETURNING *;

-- name: GetMember :one
SELECT sqlc.embed(m), sqlc.embed(u) FROM organization_members m JOIN users u ON u.id = m.user_id
WHERE m.organization_id = @organization_id AND m.user_id = @user_id AND u.deleted = FALSE;

-- name: ListMembers :many
SELECT sqlc.embed(m), sqlc.embed(u) FROM organization_members m JOIN users u ON u.id = m.user_id
WHERE m.organization_id = @organization_id AND u.deleted = FALSE /* filter */
ORDER BY lower(u.username), u.id LIMIT @max_rows OFFSET @skip_rows;

-- name: CountMembers :one
SELECT count(*) FROM organization_members m JOIN users u ON u.id = m.user_id
WHERE m.organization_id = @organization_id AND u.deleted = FALSE /* filter */;

-- name: ListMembershipsOfUser :many
-- scope: deployment
SELECT m.organization_id, m.roles, o.default_member_roles, o.shareable_workspace_owners, o.name FROM organization_members m JOIN organizations o ON o.id = m.organization_id
WHERE m.user_id = @user_id AND o.deleted = FALSE;

-- name: ListMembershipsAndGroupsOfUser :many
-- A row for each group of a membership, and one without where there is none:
-- every request asks this, so it asks once.
-- scope: deployment
SELECT m.organization_id, m.roles, m.created_at, o.default_member_roles, o.shareable_workspace_owners, gm.group_id
FROM organization_members m JOIN organizations o ON o.id = m.organization_id
LEFT JOIN group_members gm ON gm.user_id = m.user_id AND gm.organization_id = m.organization_id
WHERE m.user_id = @user_id AND o.deleted = FALSE;

-- name: ListMembershipsOfUsers :many
-- scope: deployment
SELECT m.organization_id, m.user_id FROM organization_members m JOIN organizations o ON o.id = m.organization_id
WHERE m.user_id IN (SELECT value FROM json_list(@user_ids)) AND o.deleted = FALSE
ORDER BY m.created_at, m.organization_id;

-- name: UpdateMemberRoles :one
UPDATE organization_members SET roles = @roles, updated_at = @updated_at
WHERE organization_id = @organization_id AND user_id = @user_id RETURNING *;

-- name: ListMembersWithRole :many
SELECT m.* FROM organization_members m
WHERE m.organization_id = @organization_id AND CAST(@role AS TEXT) IN (SELECT value FROM json_list(m.roles)) ORDER BY m.user_id;

-- name: DeleteMember :execrows
DELETE FROM organization_members WHERE organization_id = @organization_id AND user_id = @user_id;

-- name: DeleteMemberships :exec
-- scope: deployment
DELETE FROM organization_members WHERE user_id = @user_id;

-- name: DeleteGroupMemberships :exec
DELETE FROM group_members WHERE organization_id = @organization_id AND user_id = @user_id;

-- name: DeleteGroupMembershipsOfUser :exec
-- scope: deployment
DELETE FROM group_members WHERE user_id = @user_id;
