-- name: InsertGroup :one
INSERT INTO groups (id, organization_id, name, display_name, avatar_url, quota_allowance, source, created_at, updated_at)
VALUES (@id, @organization_id, @name, @display_name, @avatar_url, @quota_allowance, @source, @created_at, @updated_at) RETURNING *;

-- name: InsertGroupMember :exec
INSERT INTO group_members (group_id, organization_id, user_id) VALUES (@group_id, @organization_id, @user_id);

-- name: DeleteGroupMember :execrows
DELETE FROM group_members WHERE organization_id = @organization_id AND group_id = @group_id AND user_id = @user_id;

-- name: UpdateGroup :one
UPDATE groups SET name = @name, display_name = @display_name, avatar_url = @avatar_url, quota_allowance = @quota_allowance, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id RETURNING *;

-- name: DeleteGroup :execrows
DELETE FROM groups WHERE organization_id = @organization_id AND id = @id AND id <> organization_id;

-- name: GetGroup :one
-- scope: deployment
SELECT * FROM groups WHERE id = @id;

-- name: GetGroupByName :one
SELECT * FROM groups WHERE organization_id = @organization_id AND lower(name) = lower(@name);

-- name: ListGroups :many
SELECT * FROM groups WHERE organization_id = @organization_id ORDER BY lower(name);

-- name: ListGroupsPage :many
SELECT * FROM groups g WHERE g.organization_id = @organization_id /* filter */
ORDER BY lower(g.name), g.id LIMIT @max_rows OFFSET @skip_rows;

-- name: CountGroups :one
SELECT count(*) FROM groups g WHERE g.organization_id = @organization_id /* filter */;

-- name: ListGroupsOfUser :many
SELECT g.* FROM groups g JOIN organization_members m ON m.organization_id = g.organization_id AND m.user_id = @user_id
WHERE g.organization_id = @organization_id
  AND (g.id = g.organization_id OR EXISTS (SELECT 1 FROM group_members gm WHERE gm.group_id = g.id AND gm.user_id = @user_id))
ORDER BY lower(g.name);

-- name: ListGroupMembers :many
SELECT u.* FROM users u JOIN organization_members m ON m.user_id = u.id AND m.organization_id = @organization_id
WHERE u.deleted = FALSE
  AND (CAST(@group_id AS TEXT) = m.organization_id OR EXISTS (SELECT 1 FROM group_members gm WHERE gm.group_id = CAST(@group_id AS TEXT) AND gm.user_id = u.id)) /* filter */
ORDER BY lower(u.username), u.id LIMIT @max_rows OFFSET @skip_rows;

-- name: CountGroupMembers :one
SELECT count(*) FROM users u JOIN organization_members m ON m.user_id = u.id AND m.organization_id = @organization_id
WHERE u.deleted = FALSE
  AND (CAST(@group_id AS TEXT) = m.organization_id OR EXISTS (SELECT 1 FROM group_members gm WHERE gm.group_id = CAST(@group_id AS TEXT) AND gm.user_id = u.id)) /* filter */;

-- name: ListMembersOfGroups :many
SELECT g.id AS group_id, sqlc.embed(u) FROM groups g
JOIN organization_members m ON m.organization_id = g.organization_id
JOIN users u ON u.id = m.user_id
WHERE g.organization_id = @organization_id AND u.deleted = FALSE
  AND g.id IN (SELECT value FROM json_list(@ids))
  AND (g.id = g.organization_id OR EXISTS (SELECT 1 FROM group_members gm WHERE gm.group_id = g.id AND gm.user_id = u.id))
ORDER BY lower(u.username), u.id;

-- name: CountMembersOfGroups :many
SELECT g.id AS group_id, CAST(CASE WHEN g.id = g.organization_id
    THEN (SELECT count(*) FROM organization_members m JOIN users u ON u.id = m.user_id WHERE m.organization_id = g.organization_id AND u.deleted = FALSE)
    ELSE (SELECT count(*) FROM group_members gm JOIN organization_members m ON m.organization_id = g.organization_id AND m.user_id = gm.user_id
        JOIN users u ON u.id = gm.user_id WHERE gm.group_id = g.id AND u.deleted = FALSE)
    END AS BIGINT) AS members
FROM groups g WHERE g.organization_id = @organization_id AND g.id IN (SELECT value FROM json_list(@ids));
