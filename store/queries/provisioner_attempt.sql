-- name: InsertAttempt :exec
INSERT INTO job_attempts (id, organization_id, job_id, workspace_id, workspace_build_id, daemon_id, host_id, key_id, user_id, api_key_id, request_id, number, fence, hashed_secret, reply, clocks, handed_at, renewed_at)
VALUES (@id, @organization_id, @job_id, @workspace_id, @workspace_build_id, @daemon_id, @host_id, @key_id, @user_id, @api_key_id, @request_id, @number, @fence, @hashed_secret, @reply, @clocks, @handed_at, @renewed_at);

-- name: GetAttempt :one
-- scope: deployment
SELECT * FROM job_attempts WHERE id = @id;

-- name: GetAttemptOfCall :one
-- What the calls of an attempt need of it: each of them reads it once or twice.
-- scope: deployment
SELECT id, organization_id, job_id, workspace_id, workspace_build_id, fence, hashed_secret, current, revoked, log_offset, state_n, intents, plan_cost, plan_told,
    refusal, settled, settled_hash, confirmed_at, engine_started_at, renewed_at, expires_at
FROM job_attempts WHERE id = @id;

-- name: GetAttemptByRequest :one
-- scope: deployment
SELECT organization_id, reply FROM job_attempts WHERE daemon_id = @daemon_id AND request_id = @request_id;

-- name: ListCurrentAttempts :many
-- scope: deployment
SELECT id, organization_id, job_id, daemon_id, host_id, key_id, user_id, api_key_id, clocks, handed_at, confirmed_at, engine_started_at, renewed_at, lost_at, revoked
FROM job_attempts WHERE current = TRUE AND ended_at IS NULL;

-- name: ListAttemptsUnderWay :many
SELECT id, job_id, workspace_id, daemon_id, number, clocks, handed_at, confirmed_at, engine_started_at, renewed_at, lost_at FROM job_attempts
WHERE organization_id = @organization_id AND current = TRUE AND ended_at IS NULL;

-- name: ListAttemptsOfJob :many
SELECT a.id, a.daemon_id, a.number, a.settled, a.handed_at, a.confirmed_at, a.engine_started_at, a.lost_at, a.ended_at, COALESCE(d.name, '') AS daemon_name
FROM job_attempts a LEFT JOIN provisioner_daemons d ON d.id = a.daemon_id AND d.organization_id = a.organization_id
WHERE a.organization_id = @organization_id AND a.job_id = @job_id ORDER BY a.handed_at, a.id;

-- name: ConfirmAttempt :execrows
UPDATE job_attempts SET confirmed_at = COALESCE(confirmed_at, @confirmed_at)
WHERE organization_id = @organization_id AND id = @id AND current = TRUE;

-- name: MarkAttemptEngineStarted :execrows
UPDATE job_attempts SET engine_started_at = @engine_started_at, history = @history, voucher = @voucher
WHERE organization_id = @organization_id AND id = @id AND current = TRUE AND confirmed_at IS NOT NULL AND engine_started_at IS NULL;

-- name: RaiseAttemptState :exec
UPDATE job_attempts SET state_n = @state_n WHERE organization_id = @organization_id AND id = @id AND state_n < @state_n;

-- name: SetAttemptPlan :execrows
UPDATE job_attempts SET plan_cost = @plan_cost, refusal = @refusal
WHERE organization_id = @organization_id AND id = @id AND current = TRUE;

-- name: RenewAttempts :exec
-- scope: deployment
UPDATE job_attempts SET renewed_at = @renewed_at, lost_at = NULL WHERE id IN (SELECT value FROM json_list(@ids)) AND current = TRUE;

-- name: MarkAttemptLost :execrows
UPDATE job_attempts SET lost_at = @lost_at WHERE organization_id = @organization_id AND id = @id AND current = TRUE AND lost_at IS NULL;

-- name: RevokeAttempt :execrows
UPDATE job_attempts SET revoked = TRUE WHERE organization_id = @organization_id AND id = @id AND revoked = FALSE;

-- name: EndAttempt :execrows
UPDATE job_attempts SET current = FALSE, ended_at = COALESCE(ended_at, @ended_at), expires_at = @expires_at, reply = @reply
WHERE organization_id = @organization_id AND id = @id AND current = TRUE AND renewed_at = @renewed_at;

-- name: SettleAttempt :execrows
UPDATE job_attempts SET settled = @settled, settled_hash = @settled_hash, current = FALSE, ended_at = @ended_at, expires_at = @expires_at, reply = @reply
WHERE organization_id = @organization_id AND id = @id AND current = TRUE;

-- name: AdvanceAttemptLog :execrows
UPDATE job_attempts SET log_offset = @next_offset, intents = @intents, plan_told = (plan_told OR @plan_told)
WHERE organization_id = @organization_id AND id = @id AND current = TRUE AND log_offset = @log_offset AND intents = @known_intents;

-- name: DeleteExpiredAttempts :execrows
-- scope: deployment
DELETE FROM job_attempts WHERE current = FALSE AND expires_at < @expires_at;

-- name: CountLiveEngines :one
SELECT count(*) FROM job_attempts
WHERE organization_id = @organization_id AND workspace_id = @workspace_id AND engine_started_at IS NOT NULL AND ended_at IS NULL;

-- name: StoreSettledReply :exec
UPDATE job_attempts SET settled = @settled WHERE organization_id = @organization_id AND id = @id;

-- name: ListRepliesSealedOtherwise :many
SELECT id FROM job_attempts WHERE organization_id = @organization_id AND length(reply) > 0 AND substr(reply, 1, 5) <> @sealed_with;

-- name: SetAttemptReply :exec
UPDATE job_attempts SET reply = @reply WHERE organization_id = @organization_id AND id = @id;
