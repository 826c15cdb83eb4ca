-- name: InsertFile :one
-- scope: deployment
INSERT INTO files (id, created_by, hash, mimetype, data, created_at)
VALUES (@id, @created_by, @hash, @mimetype, @data, @created_at) RETURNING id, created_at;

-- name: GetFile :one
-- scope: deployment
SELECT * FROM files WHERE id = @id;

-- name: GetFileInfo :one
-- scope: deployment
SELECT id, created_by, hash, mimetype, created_at FROM files WHERE id = @id;

-- name: GetFileByHash :one
-- scope: deployment
SELECT id, created_by, hash, mimetype, created_at FROM files WHERE created_by = @created_by AND hash = @hash;

-- name: ListTemplatesOfFile :many
-- scope: deployment
SELECT DISTINCT v.organization_id, v.template_id FROM template_versions v JOIN provisioner_jobs j ON j.id = v.job_id
WHERE j.file_id = @file_id;
