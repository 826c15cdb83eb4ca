-- name: GetHistory :one
SELECT h.number, h.attempt_id, h.witness, COALESCE(r.id, '00000000-0000-0000-0000-000000000000') AS recovery_id
FROM organization_histories h LEFT JOIN recoveries r ON r.organization_id = h.organization_id AND r.ended_at IS NULL
WHERE h.organization_id = @organization_id;

-- name: RaiseHistory :execrows
-- Takes the number behind the one before; no row where that is not the last one any more.
INSERT INTO organization_histories (organization_id, number, attempt_id, witness, updated_at) VALUES (@organization_id, @number, @attempt_id, @witness, @updated_at)
ON CONFLICT (organization_id) DO UPDATE SET number = excluded.number, attempt_id = excluded.attempt_id, witness = excluded.witness, updated_at = excluded.updated_at
WHERE organization_histories.number = @before;

-- name: LiftHistory :exec
INSERT INTO organization_histories (organization_id, number, attempt_id, witness, updated_at) VALUES (@organization_id, @number, @attempt_id, @witness, @updated_at)
ON CONFLICT (organization_id) DO UPDATE SET number = excluded.number, attempt_id = excluded.attempt_id, witness = excluded.witness, updated_at = excluded.updated_at;

-- name: ListHistoryOfWorkspace :many
SELECT a.history AS number FROM job_attempts a WHERE a.organization_id = @organization_id AND a.workspace_id = @workspace_id AND a.history > 0
UNION SELECT r.number FROM recovery_reports r WHERE r.organization_id = @organization_id AND r.workspace_id = @workspace_id
ORDER BY number DESC LIMIT 100;

-- name: RememberEngineStart :exec
-- An engine start that the copy did not have, of an attempt that it had.
UPDATE job_attempts SET history = @history, voucher = @voucher, engine_started_at = COALESCE(engine_started_at, @engine_started_at)
WHERE job_attempts.organization_id = @organization_id AND job_attempts.id = @id AND job_attempts.history = 0
    AND NOT EXISTS (SELECT 1 FROM job_attempts taken WHERE taken.organization_id = @organization_id AND taken.history = @history);

-- name: GetEngineStart :one
-- What decides about the engine of a build's attempt, and what its voucher tells. The fences are those of the newest state that was accepted, and of the
-- last attempt that started an engine; 0 is none.
SELECT a.current, a.engine_started_at, a.voucher, b.build_number, b.transition, w.name AS workspace_name, w.owner_id, w.owner_name, t.name AS template_name,
    COALESCE(h.number, 0) AS history, COALESCE(r.id, '00000000-0000-0000-0000-000000000000') AS recovery_id,
    CAST(COALESCE((SELECT max(s.fence) FROM workspace_states s WHERE s.organization_id = @organization_id AND s.workspace_id = b.workspace_id AND s.salvage = FALSE), 0) AS BIGINT) AS state_fence,
    CAST(COALESCE((SELECT max(e.fence) FROM job_attempts e WHERE e.organization_id = @organization_id AND e.workspace_id = b.workspace_id AND e.history > 0), 0) AS BIGINT) AS engine_fence
FROM job_attempts a
JOIN workspace_builds b ON b.id = a.workspace_build_id
JOIN workspaces w ON w.id = b.workspace_id
JOIN templates t ON t.id = w.template_id
LEFT JOIN organization_histories h ON h.organization_id = a.organization_id
LEFT JOIN recoveries r ON r.organization_id = a.organization_id AND r.ended_at IS NULL
WHERE a.organization_id = @organization_id AND a.id = @id;

-- name: CountChangesSinceLost :one
-- What a workspace has gone through since an attempt that the database lacks: its fences may have been given out again after the restore, and time
-- tells then. A state that was recovered of an earlier attempt is none.
SELECT CAST(COALESCE(sum(c.n), 0) AS BIGINT) FROM (
    SELECT count(*) AS n FROM workspace_states s
    WHERE s.organization_id = @organization_id AND s.workspace_id = @workspace_id AND s.salvage = FALSE AND (s.fence >= @fence OR s.created_at > @lost_at)
        AND NOT EXISTS (SELECT 1 FROM recovery_reports r WHERE s.recovered AND r.attempt_id = s.attempt_id AND r.fence < @fence)
    UNION ALL
    SELECT count(*) AS n FROM job_attempts a
    WHERE a.organization_id = @organization_id AND a.workspace_id = @workspace_id AND a.history > 0 AND (a.fence >= @fence OR a.engine_started_at > @lost_at)) c;

-- name: GetFirstHistoryAfter :one
-- The first engine start that was numbered after a time; 0 is none. One that lies ahead was numbered by a clock that had gone ahead, and says nothing.
SELECT CAST(COALESCE(min(history), 0) AS BIGINT) FROM job_attempts
WHERE organization_id = @organization_id AND history > 0 AND engine_started_at > @lost_at AND engine_started_at <= @now_at;

-- name: InsertRecovery :exec
INSERT INTO recoveries (id, organization_id, copy_number, witnessed, started_at) VALUES (@id, @organization_id, @copy_number, @witnessed, @started_at);

-- name: WidenRecovery :exec
UPDATE recoveries SET copy_number = @copy_number, witnessed = @witnessed WHERE organization_id = @organization_id AND id = @id;

-- name: EndRecovery :execrows
UPDATE recoveries SET ended_at = @ended_at, ended_by_id = @ended_by_id WHERE organization_id = @organization_id AND id = @id AND ended_at IS NULL;

-- name: ListRecoveries :many
SELECT r.*, COALESCE(u.username, '') AS ended_by_name FROM recoveries r LEFT JOIN users u ON u.id = r.ended_by_id
WHERE r.organization_id = @organization_id ORDER BY r.started_at DESC, r.id;

-- name: ListOpenRecoveries :many
-- scope: deployment
SELECT r.id, r.organization_id, r.started_at, o.name FROM recoveries r JOIN organizations o ON o.id = r.organization_id
WHERE r.ended_at IS NULL AND o.deleted = FALSE ORDER BY o.name;

-- name: PutRecoveryReport :exec
INSERT INTO recovery_reports (attempt_id, organization_id, recovery_id, number, workspace_id, fence, claim, daemon_name, running, outcome, sha256, data, reported_at)
VALUES (@attempt_id, @organization_id, @recovery_id, @number, @workspace_id, @fence, @claim, @daemon_name, @running, @outcome, @sha256, @data, @reported_at)
ON CONFLICT (attempt_id) DO UPDATE SET daemon_name = excluded.daemon_name, running = excluded.running, outcome = excluded.outcome, sha256 = excluded.sha256, reported_at = excluded.reported_at
WHERE recovery_reports.outcome IN ('', 'none') AND (recovery_reports.running = TRUE OR excluded.running = FALSE);

-- name: GetRecoveryReport :one
SELECT * FROM recovery_reports WHERE organization_id = @organization_id AND attempt_id = @attempt_id;

-- name: ListRecoveryReports :many
SELECT r.attempt_id, r.recovery_id, r.number, r.workspace_id, r.fence, r.claim, r.daemon_name, r.running, r.outcome, r.version, r.sha256, r.size, r.reported_at,
    CAST(CASE WHEN w.id IS NULL THEN 0 ELSE 1 END AS BIGINT) AS known
FROM recovery_reports r LEFT JOIN workspaces w ON w.id = r.workspace_id AND w.organization_id = r.organization_id
WHERE r.organization_id = @organization_id ORDER BY r.number, r.attempt_id;

-- name: ListRunningReports :many
-- Engines that the database does not know, and of which was heard lately.
SELECT workspace_id, daemon_name FROM recovery_reports
WHERE organization_id = @organization_id AND running = TRUE AND outcome = '' AND reported_at > @since_at ORDER BY number;

-- name: SettleRecoveryReport :exec
UPDATE recovery_reports SET outcome = @outcome, version = @version, size = @size, data = @data
WHERE organization_id = @organization_id AND attempt_id = @attempt_id;

-- name: SupersedeRecoveryReports :exec
UPDATE recovery_reports SET outcome = 'superseded'
WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND fence < @fence AND outcome = '' AND running = FALSE;

-- name: ListReportsSealedOtherwise :many
SELECT attempt_id FROM recovery_reports WHERE organization_id = @organization_id AND length(data) > 0 AND substr(data, 1, 5) <> @sealed_with;

-- name: SetReportData :exec
UPDATE recovery_reports SET data = @data WHERE organization_id = @organization_id AND attempt_id = @attempt_id;

-- name: RememberPrunedAttempts :exec
-- scope: deployment
INSERT INTO pruned_attempts (attempt_id, organization_id, number)
SELECT id, organization_id, history FROM job_attempts WHERE current = FALSE AND expires_at < @expires_at AND history > 0
ON CONFLICT (attempt_id) DO NOTHING;

-- name: ForgetPrunedAttempts :exec
-- scope: deployment
-- By their number, and so by no clock.
DELETE FROM pruned_attempts
WHERE number <= (SELECT h.number FROM organization_histories h WHERE h.organization_id = pruned_attempts.organization_id) - CAST(@keep AS BIGINT);

-- name: CountPrunedAttempt :one
SELECT count(*) FROM pruned_attempts WHERE organization_id = @organization_id AND attempt_id = @attempt_id AND number = @number;
