-- name: InsertWorkspaceResource :exec
INSERT INTO workspace_resources (id, organization_id, job_id, transition, address, type, name, hide, icon, daily_cost, instance_type, module_path, metadata, created_at)
VALUES (@id, @organization_id, @job_id, @transition, @address, @type, @name, @hide, @icon, @daily_cost, @instance_type, @module_path, @metadata, @created_at);

-- name: InsertWorkspaceAgent :exec
INSERT INTO workspace_agents (id, organization_id, resource_id, job_id, name, hashed_token, spec, created_at, updated_at)
VALUES (@id, @organization_id, @resource_id, @job_id, @name, @hashed_token, @spec, @created_at, @updated_at);

-- name: ListResourcesOfJobs :many
-- scope: deployment
SELECT * FROM workspace_resources WHERE job_id IN (SELECT value FROM json_list(@job_ids)) ORDER BY job_id, name, address;

-- name: ListAgentsOfJobs :many
-- scope: deployment
SELECT * FROM workspace_agents WHERE job_id IN (SELECT value FROM json_list(@job_ids)) ORDER BY job_id, name;

-- name: GetWorkspaceAgent :one
-- scope: deployment
SELECT * FROM workspace_agents WHERE id = @id;

-- name: ListMetadataSealedOtherwise :many
SELECT id, metadata AS sealed FROM workspace_resources WHERE organization_id = @organization_id AND length(metadata) > 0 AND substr(metadata, 1, 5) <> @sealed_with;

-- name: SetResourceMetadata :exec
UPDATE workspace_resources SET metadata = @metadata WHERE organization_id = @organization_id AND id = @id;

-- name: ListAgentsSealedOtherwise :many
SELECT id, spec AS sealed FROM workspace_agents WHERE organization_id = @organization_id AND length(spec) > 0 AND substr(spec, 1, 5) <> @sealed_with;

-- name: SetAgentSpec :exec
UPDATE workspace_agents SET spec = @spec WHERE organization_id = @organization_id AND id = @id;
