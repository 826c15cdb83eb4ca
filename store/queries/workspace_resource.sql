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
