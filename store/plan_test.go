package store_test

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// Enough rows that reading a whole table is never the better plan.
const (
	largeRowsSQLite   = 1_000
	largeRowsPostgres = 10_000
)

// wholeTable is how either database says that it reads all of one. What ends
// in one of the indexes named reads only rows that are current.
var wholeTable = regexp.MustCompile(`(?:Seq Scan on|SCAN) (\w+)(?: USING INDEX (job_attempts_current_key|provisioner_jobs_active|provisioner_jobs_open))?`)

// What a request or a daemon runs all the time must not cost more with every
// job and workspace that there ever was.
func TestHotQueriesUseIndexes(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := seedOrganization(t, s, "plan")
		fill(t, s, f)
		ctx, id, ids := t.Context(), uuid.New(), store.IDs([]uuid.UUID{uuid.New(), uuid.New()})
		plans := s.Plans(func(q *store.Queries) { hotQueries(ctx, q, f, id, ids) })
		maps.Copy(plans, filteredPlans(ctx, s, f, id))
		require.GreaterOrEqual(t, len(plans), 20)
		for query, plan := range plans {
			for _, table := range wholeTable.FindAllStringSubmatch(plan, -1) {
				if table[2] == "" && isLarge(query, table[1]) {
					t.Errorf("reads the whole table %s:\n%s\n%s", table[1], query, plan)
				}
			}
		}
	})
}

// What a member's list of workspaces runs must cost what the member's own and
// shared workspaces are, not what their organization has.
func filteredPlans(ctx context.Context, s *store.Store, f *fixture, id uuid.UUID) map[string]string {
	organizations := store.IDs([]uuid.UUID{f.organization.ID})
	plans := map[string]string{}
	for _, actors := range [][]uuid.UUID{nil, {id, f.organization.ID}} {
		member := store.ReadableWorkspaces{Own: []uuid.UUID{f.organization.ID}, Owner: id, Actors: actors}
		condition, args := member.Condition()
		var filter store.Filter
		filter.Where(condition, args...)
		maps.Copy(plans, s.PlansFiltered(filter, func(q *store.Queries) {
			_, _ = q.ListWorkspaceIDs(ctx, store.ListWorkspaceIDsParams{OrganizationIds: organizations, ViewerID: id.String(), MaxRows: 50})
			_, _ = q.CountWorkspaces(ctx, organizations)
		}))
	}
	var some store.Filter
	some.Where("j.id IN (SELECT value FROM json_list(?))", store.IDs([]uuid.UUID{id}))
	for _, filter := range []store.Filter{{}, some} {
		maps.Copy(plans, s.PlansFiltered(filter, func(q *store.Queries) {
			_, _ = q.ListProvisionerJobs(ctx, store.ListProvisionerJobsParams{OrganizationID: f.organization.ID, MaxRows: 50})
		}))
	}
	return plans
}

// isLarge: the name in a plan is a large table or its alias in the query.
func isLarge(query, name string) bool {
	for _, table := range []string{"provisioner_jobs", "job_logs", "workspaces", "workspace_builds", "users", "api_keys", "template_versions", "workspace_resources", "job_attempts", "workspace_acl"} {
		if name == table || regexp.MustCompile(`\b`+table+` `+name+`\b`).MatchString(query) {
			return true
		}
	}
	return false
}

func hotQueries(ctx context.Context, q *store.Queries, f *fixture, id uuid.UUID, ids string) {
	o := f.organization.ID
	_, _ = q.GetAPIKeyWithUser(ctx, "key")
	_, _ = q.HasSharedWorkspaces(ctx, ids)
	_, _ = q.ListMembershipsOfUser(ctx, id)
	_, _ = q.ListMembershipsAndGroupsOfUser(ctx, id)
	_, _ = q.GetUserByUsername(ctx, "name")
	_, _ = q.GetUserByEmail(ctx, "name@example.com")
	_, _ = q.ListUsersByIDs(ctx, ids)
	_, _ = q.ListUserNames(ctx, ids)
	_, _ = q.GetWorkspace(ctx, id)
	_, _ = q.GetWorkspaceByName(ctx, store.GetWorkspaceByNameParams{OwnerID: id, Name: "name"})
	_, _ = q.ListWorkspacesByIDs(ctx, ids)
	_, _ = q.ListWorkspaceDetails(ctx, ids)
	_, _ = q.GetWorkspaceBuild(ctx, id)
	_, _ = q.GetWorkspaceBuildByNumber(ctx, store.GetWorkspaceBuildByNumberParams{OrganizationID: o, WorkspaceID: id, BuildNumber: 1})
	_, _ = q.ListResourcesOfJobs(ctx, ids)
	_, _ = q.ListAgentsOfJobs(ctx, ids)
	_, _ = q.SumWorkspaceCosts(ctx, store.SumWorkspaceCostsParams{OrganizationID: o, OwnerID: id})
	_, _ = q.SumOrganizationCosts(ctx, o)
	_, _ = q.CountRunningWorkspaces(ctx, o)
	_, _ = q.GetProvisionerJob(ctx, id)
	_, _ = q.ListProvisionerJobsByIDs(ctx, ids)
	_, _ = q.ListPendingJobs(ctx, o)
	_, _ = q.ListPendingJobsByIDs(ctx, store.ListPendingJobsByIDsParams{OrganizationID: o, Ids: ids})
	_, _ = q.CountPendingJobs(ctx, o)
	_, _ = q.ListUsageOfInitiators(ctx, store.ListUsageOfInitiatorsParams{OrganizationID: o, InitiatorIds: ids})
	_, _ = q.ListActiveJobsOfOrganization(ctx, o)
	_, _ = q.ListJobLogs(ctx, store.ListJobLogsParams{OrganizationID: o, JobID: id})
	_, _ = q.LatestJobsOfDaemons(ctx, o)
	_, _ = q.ListProvisionerDaemons(ctx, o)
	_, _ = q.GetAttempt(ctx, id)
	_, _ = q.ListCurrentAttempts(ctx)
	_, _ = q.ListAttemptsUnderWay(ctx, o)
	_, _ = q.ListAttemptsOfJob(ctx, store.ListAttemptsOfJobParams{OrganizationID: o, JobID: id})
	_ = q.RenewAttempts(ctx, store.RenewAttemptsParams{RenewedAt: now, Ids: ids})
	_, _ = q.ClaimProvisionerJob(ctx, store.ClaimProvisionerJobParams{OrganizationID: o, ID: id})
	_, _ = q.GetLatestWorkspaceState(ctx, store.GetLatestWorkspaceStateParams{OrganizationID: o, WorkspaceID: id})
	_, _ = q.ListWorkspaceACL(ctx, store.ListWorkspaceACLParams{OrganizationID: o, WorkspaceID: id})
	_, _ = q.ListWorkspaceACLNames(ctx, ids)
	_, _ = q.ListWorkspacesOfActor(ctx, store.ListWorkspacesOfActorParams{OrganizationID: o, ActorID: id})
	_, _ = q.ListTemplatesOfFile(ctx, id)
	_, _ = q.GetTemplateVersion(ctx, id)
	_, _ = q.GetAttemptOfCall(ctx, id)
	_, _ = q.GetBuildToHandOut(ctx, store.GetBuildToHandOutParams{OrganizationID: o, ID: id, FileID: id})
	_, _ = q.GetEngineStart(ctx, store.GetEngineStartParams{OrganizationID: o, ID: id})
	_, _ = q.GetScheduleOfWorkspace(ctx, store.GetScheduleOfWorkspaceParams{OrganizationID: o, ID: id})
}

// fill makes large tables in one statement each, with settled jobs only.
func fill(t *testing.T, s *store.Store, f *fixture) {
	t.Helper()
	series := fmt.Sprintf("generate_series(1, %d) AS c (n)", largeRowsPostgres)
	if s.Dialect() == store.SQLite {
		series = fmt.Sprintf("(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d) SELECT n FROM c) AS c", largeRowsSQLite)
	}
	exec := func(statement string, args ...any) {
		_, err := s.Raw().ExecContext(t.Context(), strings.Replace(statement, "SERIES", series, 1), args...)
		require.NoError(t, err, statement)
	}
	empty := []byte{}
	exec(`INSERT INTO users (id, email, username, login_type, status, ssh_private_key, created_at, updated_at)
		SELECT 'user' || n, 'user' || n, 'user' || n, 'password', 'active', $1, n, n FROM SERIES`, empty)
	exec(`INSERT INTO api_keys (id, user_id, hashed_secret, login_type, lifetime_seconds, last_used_at, expires_at, created_at, updated_at)
		SELECT 'key' || n, 'user' || n, $1, 'password', n, n, n, n, n FROM SERIES`, empty)
	exec(`INSERT INTO provisioner_daemons (id, organization_id, key_id, name, version, api_version, created_at, last_seen_at)
		SELECT 'daemon' || n, $1, 'k', 'name' || n, '', '', n, n FROM SERIES WHERE n <= 100`, f.organization.ID.String())
	exec(`INSERT INTO provisioner_jobs (id, organization_id, type, provisioner, status, file_id, initiator_id, template_version_id, worker_id, created_at, updated_at, started_at, completed_at)
		SELECT 'job' || n, $1, 'workspace_build', 'terraform', 'succeeded', $2, 'user' || n, '', 'daemon' || (n % 100), n, n, n, n FROM SERIES`, f.organization.ID.String(), f.file.ID.String())
	exec(`INSERT INTO job_logs (job_id, id, created_at, source, level, stage, output) SELECT 'job' || n, n, n, '', '', '', '' FROM SERIES`)
	exec(`INSERT INTO job_attempts (id, organization_id, job_id, daemon_id, key_id, request_id, number, fence, hashed_secret, reply, clocks, current, handed_at, renewed_at)
		SELECT 'attempt' || n, $1, 'job' || n, 'd', 'k', 'r' || n, 1, 1, $2, $2, '{}', FALSE, n, n FROM SERIES`, f.organization.ID.String(), empty)
	exec(`INSERT INTO template_versions (id, organization_id, template_id, job_id, name, created_by, created_at, updated_at)
		SELECT 'version' || n, $1, $2, 'job' || n, 'name' || n, $3, n, n FROM SERIES`, f.organization.ID.String(), f.template.ID.String(), f.user.ID.String())
	exec(`INSERT INTO workspaces (id, organization_id, owner_id, owner_name, template_id, name, last_used_at, latest_build_id, latest_build_number, latest_status, daily_cost, running, created_at, updated_at)
		SELECT 'workspace' || n, $1, 'user' || n, 'user' || n, $2, 'name' || n, n, 'build' || n, 1, 'running', CASE n % 100 WHEN 0 THEN 1 ELSE 0 END, n % 100 = 0, n, n FROM SERIES`, f.organization.ID.String(), f.template.ID.String())
	exec(`INSERT INTO workspace_builds (id, organization_id, workspace_id, template_version_id, job_id, build_number, transition, reason, initiator_id, created_at, updated_at)
		SELECT 'build' || n, $1, 'workspace' || n, $2, 'job' || n, 1, 'start', 'initiator', 'user' || n, n, n FROM SERIES`, f.organization.ID.String(), f.version.ID.String())
	exec(`INSERT INTO workspace_resources (id, organization_id, job_id, transition, address, type, name, metadata, created_at)
		SELECT 'resource' || n, $1, 'job' || n, 'start', 'a', 'b', 'c', $2, n FROM SERIES`, f.organization.ID.String(), empty)
	exec(`INSERT INTO workspace_acl (workspace_id, organization_id, actor_type, actor_id, role, created_at, updated_at)
		SELECT 'workspace' || n, $1, 'user', 'user' || (n + 1), 'use', n, n FROM SERIES`, f.organization.ID.String())
	exec("ANALYZE")
}
