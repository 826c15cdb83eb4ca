-- name: InsertTemplateVersion :one
INSERT INTO template_versions (id, organization_id, template_id, job_id, name, message, workspace_tags, created_by, created_at, updated_at)
VALUES (@id, @organization_id, @template_id, @job_id, @name, @message, @workspace_tags, @created_by, @created_at, @updated_at) RETURNING *;

-- name: GetTemplateVersion :one
-- scope: deployment
SELECT * FROM template_versions WHERE id = @id;

-- name: GetTemplateVersionByName :one
SELECT * FROM template_versions WHERE organization_id = @organization_id AND template_id = @template_id AND lower(name) = lower(@name);

-- name: GetPreviousTemplateVersion :one
SELECT * FROM template_versions WHERE organization_id = @organization_id AND template_id = @template_id
  AND (created_at, id) < (@created_at, CAST(@before_id AS TEXT))
ORDER BY created_at DESC, id DESC LIMIT 1;

-- name: ListTemplateVersions :many
SELECT v.id, v.organization_id, v.template_id, v.job_id, v.name, CAST(substr(v.message, 1, 4096) AS TEXT) AS message, CAST(substr(v.readme, 1, 16384) AS TEXT) AS readme, v.has_external_agent, v.archived, v.created_by, v.created_at, v.updated_at
FROM template_versions v WHERE v.organization_id = @organization_id AND v.template_id = @template_id
  AND (v.archived = FALSE OR CAST(@include_archived AS BOOLEAN) = TRUE)
  AND (CAST(@after_id AS TEXT) = '' OR (v.created_at, v.id) > (SELECT x.created_at, x.id FROM template_versions x WHERE x.id = CAST(@after_id AS TEXT)))
ORDER BY v.created_at, v.id LIMIT @max_rows OFFSET @skip_rows;

-- name: UpdateTemplateVersion :one
UPDATE template_versions SET name = @name, message = @message, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id RETURNING *;

-- name: BindTemplateVersion :execrows
UPDATE template_versions SET template_id = @template_id, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND template_id IS NULL;

-- name: ArchiveTemplateVersion :execrows
UPDATE template_versions SET archived = @archived, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND archived <> @archived;

-- name: ListArchivableTemplateVersions :many
SELECT v.id FROM template_versions v JOIN provisioner_jobs j ON j.id = v.job_id
JOIN templates t ON t.id = v.template_id
WHERE v.organization_id = @organization_id AND v.template_id = @template_id AND v.archived = FALSE
  AND t.active_version_id <> v.id
  AND (j.status IN ('failed', 'canceled') OR (CAST(@every AS BOOLEAN) = TRUE AND j.status = 'succeeded'))
  AND NOT EXISTS (SELECT 1 FROM workspaces w JOIN workspace_builds b ON b.id = w.latest_build_id
                  WHERE w.deleted = FALSE AND b.template_version_id = v.id);

-- name: SetTemplateVersionImport :exec
UPDATE template_versions SET readme = @readme, parameters = @parameters, presets = @presets, external_auth = @external_auth,
    graph = @graph, start_cost = @start_cost, stop_cost = @stop_cost, priced = @priced, has_external_agent = @has_external_agent, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id;

-- name: InsertTemplateVersionVariable :exec
INSERT INTO template_version_variables (template_version_id, organization_id, position, name, description, type, required, sensitive, default_value, value, given)
VALUES (@template_version_id, @organization_id, @position, @name, @description, @type, @required, @sensitive, @default_value, @value, @given);

-- name: DeleteTemplateVersionVariables :exec
DELETE FROM template_version_variables WHERE organization_id = @organization_id AND template_version_id = @template_version_id;

-- name: ListTemplateVersionVariables :many
SELECT * FROM template_version_variables WHERE organization_id = @organization_id AND template_version_id = @template_version_id ORDER BY position;

-- name: ListVariablesSealedOtherwise :many
SELECT template_version_id, name FROM template_version_variables WHERE organization_id = @organization_id
  AND (substr(value, 1, 5) <> @sealed_with OR substr(default_value, 1, 5) <> @sealed_with);

-- name: GetVariableValues :one
SELECT value, default_value FROM template_version_variables
WHERE organization_id = @organization_id AND template_version_id = @template_version_id AND name = @name;

-- name: SetVariableValues :exec
UPDATE template_version_variables SET value = @value, default_value = @default_value
WHERE organization_id = @organization_id AND template_version_id = @template_version_id AND name = @name;
