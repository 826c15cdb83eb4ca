-- name: InsertProvisionerJob :exec
INSERT INTO provisioner_jobs (id, organization_id, type, provisioner, status, tags, file_id, initiator_id, automated, template_version_id, workspace_id, workspace_build_id, input, sealed_input, created_at, updated_at)
VALUES (@id, @organization_id, @type, @provisioner, 'pending', @tags, @file_id, @initiator_id, @automated, @template_version_id, @workspace_id, @workspace_build_id, @input, @sealed_input, @created_at, @updated_at);

-- name: GetProvisionerJob :one
-- scope: deployment
SELECT * FROM provisioner_jobs WHERE id = @id;

-- name: LockProvisionerJob :one
-- scope: deployment
UPDATE provisioner_jobs SET updated_at = @updated_at WHERE id = @id RETURNING *;

-- name: ListProvisionerJobsByIDs :many
-- scope: deployment
SELECT * FROM provisioner_jobs WHERE id IN (SELECT value FROM json_list(@ids));

-- name: ListProvisionerJobs :many
SELECT sqlc.embed(j), COALESCE(d.name, '') AS worker_name, COALESCE(v.name, '') AS template_version_name,
    t.id AS template_id, COALESCE(t.name, '') AS template_name, COALESCE(t.display_name, '') AS template_display_name, COALESCE(t.icon, '') AS template_icon,
    COALESCE(w.name, '') AS workspace_name, COALESCE(b.transition, '') AS transition
FROM provisioner_jobs j
LEFT JOIN provisioner_daemons d ON d.id = j.worker_id
LEFT JOIN template_versions v ON v.id = j.template_version_id
LEFT JOIN templates t ON t.id = v.template_id
LEFT JOIN workspaces w ON w.id = j.workspace_id
LEFT JOIN workspace_builds b ON b.id = j.workspace_build_id
WHERE j.organization_id = @organization_id /* filter */
ORDER BY j.created_at DESC, j.id LIMIT @max_rows OFFSET @skip_rows;

-- name: ListPendingJobs :many
SELECT id, organization_id, provisioner, tags, initiator_id, automated, workspace_id, created_at FROM provisioner_jobs
WHERE organization_id = @organization_id AND status = 'pending' AND completed_at IS NULL
ORDER BY created_at, id;

-- name: ListPendingJobsByIDs :many
SELECT j.id, j.organization_id, j.provisioner, j.tags, j.initiator_id, j.automated, j.workspace_id, j.created_at
FROM json_list(@ids) w CROSS JOIN provisioner_jobs j
WHERE j.id = w.value AND j.organization_id = @organization_id AND j.status = 'pending' AND j.completed_at IS NULL;

-- name: CountPendingJobs :one
SELECT count(*) FROM provisioner_jobs WHERE organization_id = @organization_id AND status = 'pending' AND completed_at IS NULL;

-- name: ListUsageOfInitiators :many
SELECT CAST(w.value AS TEXT) AS initiator_id,
    CAST((SELECT count(*) FROM provisioner_jobs r WHERE r.organization_id = @organization_id AND r.initiator_id = w.value
        AND r.status IN ('running', 'canceling') AND r.completed_at IS NULL) AS BIGINT) AS running,
    CAST(COALESCE((SELECT max(l.started_at) FROM provisioner_jobs l WHERE l.organization_id = @organization_id AND l.initiator_id = w.value), 0) AS BIGINT) AS last_started
FROM json_list(@initiator_ids) w;

-- name: ListActiveJobsOfOrganization :many
SELECT * FROM provisioner_jobs WHERE organization_id = @organization_id AND completed_at IS NULL ORDER BY created_at, id;

-- name: ClaimProvisionerJob :one
UPDATE provisioner_jobs SET status = 'running', worker_id = @worker_id, attempt_id = @attempt_id, attempts = attempts + 1,
    started_at = COALESCE(started_at, @started_at), updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND status = 'pending' AND completed_at IS NULL RETURNING *;

-- name: RequeueProvisionerJob :execrows
UPDATE provisioner_jobs SET status = 'pending', worker_id = NULL, attempt_id = NULL, attempts = @attempts, engine_starts = @engine_starts, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND attempt_id = @attempt_id AND completed_at IS NULL AND canceled_at IS NULL;

-- name: MarkJobEngineStarted :execrows
UPDATE provisioner_jobs SET engine_starts = engine_starts + 1, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND attempt_id = @attempt_id AND completed_at IS NULL AND canceled_at IS NULL;

-- name: CancelProvisionerJob :one
UPDATE provisioner_jobs SET
    status = CASE WHEN status = 'pending' THEN 'canceled' ELSE 'canceling' END,
    completed_at = CASE WHEN status = 'pending' THEN CAST(@canceled_at AS BIGINT) ELSE completed_at END,
    canceled_at = COALESCE(canceled_at, @canceled_at), cancel = @cancel, updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND completed_at IS NULL RETURNING *;

-- name: FinishProvisionerJob :execrows
UPDATE provisioner_jobs SET status = @status, error = @error, error_code = @error_code, in_doubt = @in_doubt, timings = @timings,
    completed_at = @completed_at, updated_at = @completed_at
WHERE organization_id = @organization_id AND id = @id AND completed_at IS NULL;

-- name: BumpJobLogs :one
-- Counts lines that are about to be added; no row where they are over what a log may have.
UPDATE provisioner_jobs SET log_rows = log_rows + @rows, log_bytes = log_bytes + @bytes, logs_overflowed = (logs_overflowed OR @overflowed), updated_at = @updated_at
WHERE organization_id = @organization_id AND id = @id AND log_bytes <= @bytes_before RETURNING log_rows;

-- name: OverflowJobLogs :exec
UPDATE provisioner_jobs SET logs_overflowed = TRUE, updated_at = @updated_at WHERE organization_id = @organization_id AND id = @id;

-- name: InsertJobLog :exec
INSERT INTO job_logs (job_id, id, attempt_id, created_at, source, level, stage, output)
SELECT j.id, @log_id, @attempt_id, @created_at, @source, @level, @stage, @output FROM provisioner_jobs j
WHERE j.organization_id = @organization_id AND j.id = @job_id;

-- name: ListJobLogs :many
SELECT l.* FROM job_logs l JOIN provisioner_jobs j ON j.id = l.job_id
WHERE j.organization_id = @organization_id AND l.job_id = @job_id AND l.id > @after ORDER BY l.id LIMIT @max_rows;

-- name: ListInputsSealedOtherwise :many
SELECT id FROM provisioner_jobs WHERE organization_id = @organization_id AND length(sealed_input) > 0 AND substr(sealed_input, 1, 5) <> @sealed_with;

-- name: SetJobSealedInput :exec
UPDATE provisioner_jobs SET sealed_input = @sealed_input WHERE organization_id = @organization_id AND id = @id;

-- name: CountJobsByTags :many
-- scope: deployment
SELECT o.name, j.tags, j.status, CAST(count(*) AS BIGINT) AS jobs, CAST(min(j.created_at) AS BIGINT) AS oldest
FROM provisioner_jobs j JOIN organizations o ON o.id = j.organization_id
WHERE j.completed_at IS NULL AND j.status IN ('pending', 'running', 'canceling') GROUP BY o.name, j.tags, j.status ORDER BY o.name, j.tags, j.status;
